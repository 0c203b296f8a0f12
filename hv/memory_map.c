/*
 * memory_op: the memory map that a domain is told (xen/memory.h; entries as E820 gives them).
 *
 * Locking: the map and its size change and are read under LOCK_DOMAIN.
 */
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/memory.h>
#include <xen/memory.h>

int memory_map_read(struct domain *d, gva_t to, uint32_t *entries)
{
    int error = -XEN_ENOSYS;

    spin_lock(&d->lock);
    *entries = MIN(*entries, d->memory_map_entries);
    if (d->memory_map_entries)
        error = copy_to_guest(to, d->memory_map, *entries * sizeof d->memory_map[0]);
    spin_unlock(&d->lock);
    return error;
}

int memory_map_write(struct domain *d, gva_t from, uint32_t entries)
{
    if (entries > MEMORY_MAP_MAX)
        return -XEN_EINVAL;
    struct e820_entry *map = heap_alloc(entries * sizeof *map);
    if (!map)
        return -XEN_ENOMEM;
    if (copy_from_guest(map, from, entries * sizeof map[0])) {
        heap_free(map);
        return -XEN_EFAULT;
    }

    spin_lock(&d->lock);
    struct e820_entry *old = d->memory_map;
    d->memory_map = map;
    d->memory_map_entries = entries;
    spin_unlock(&d->lock);
    heap_free(old);
    return 0;
}

int64_t memory_get_map(uint64_t arg[6], uint64_t start)
{
    struct xen_memory_map map;

    (void)start;
    if (copy_from_guest(&map, memory_argument(arg), sizeof map))
        return -XEN_EFAULT;
    int error = memory_map_read(current->domain, handle_gva(map.buffer), &map.nr_entries);
    return error ? error : copy_to_guest(memory_argument(arg), &map, sizeof map);
}

int64_t memory_set_map(uint64_t arg[6], uint64_t start)
{
    struct xen_foreign_memory_map request;
    struct domain *d;

    (void)start;
    if (copy_from_guest(&request, memory_argument(arg), sizeof request))
        return -XEN_EFAULT;
    if (request.map.nr_entries > MEMORY_MAP_MAX)
        return -XEN_EINVAL;
    int error = domain_find_target(request.domid, &d);
    return error ? error : memory_map_write(d, handle_gva(request.map.buffer), request.map.nr_entries);
}

/* Regions that firmware wants devices to reach one to one: only an IOMMU driver would know any. */
int64_t memory_reserved_device_map(uint64_t arg[6], uint64_t start)
{
    struct xen_reserved_device_memory_map map;

    (void)start;
    if (copy_from_guest(&map, memory_argument(arg), sizeof map))
        return -XEN_EFAULT;
    if (map.flags & ~XENMEM_RDM_ALL)
        return -XEN_EINVAL;
    map.nr_entries = 0;
    return copy_to_guest(memory_argument(arg), &map, sizeof map);
}
