/*
 * NVMe namespaces as disks (nvme.h).
 *
 * A namespace that is lost leaves in steps, so that nobody has to wait for it: new requests are refused, the
 * old ones end in their time, then the disk goes, and the memory when its last user has closed it. A new one
 * is announced by a thread that may wait for its partition table while the controller's thread sees to it
 * that requests end.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "nvme.h"

#define MOST_NAMESPACES 64
#define DISCARD_BLOCKS  (1u << 24) /* in one command */

static void submit(struct disk *disk, struct disk_request *request)
{
    struct nvme_namespace *ns = disk->driver_data;
    struct nvme *nvme = ns->nvme;
    if (ns->gone) {
        request->done(request, XEN_EIO);
        return;
    }
    request->driver = ns;
    request->tag = request->part = 0;
    ns->unfinished++;
    nvme_submit(&nvme->queue[1 + request->queue % nvme->io_queues], request);
}

static void closed(struct disk *disk)
{
    if (disk->removed)
        mem_free(disk->driver_data);
}

static const struct disk_operations operations = {.submit = submit, .closed = closed};

/* --- coming --------------------------------------------------------------------------------------------- */

static void describe(const struct nvme_namespace *ns)
{
    const struct nvme *nvme = ns->nvme;
    char size[DRIVE_SIZE_TEXT], where[PCI_NAME];
    print("%s: %s, %s in blocks of %u bytes, %u queue%s of %u%s%s%s, NVMe %u.%u at %s\n", ns->disk.name,
          ns->disk.model, drive_size(&ns->disk, size), ns->disk.sector_size, nvme->io_queues,
          nvme->io_queues == 1 ? "" : "s", nvme->depth - 1u, ns->disk.flush ? ", write cache" : "",
          ns->disk.discard_granularity ? ", discard" : "", ns->disk.read_only ? ", read-only" : "",
          nvme->version >> 16, nvme->version >> 8 & 0xff, pci_name(nvme->pci, where));
}

void nvme_announce(void *arg)
{
    struct nvme *nvme = arg;
    for (struct nvme_namespace *ns = nvme->namespaces; ns; ns = ns->next) {
        if (ns->announced || ns->gone)
            continue;
        describe(ns);
        ns->announced = disk_add(&ns->disk);
        if (!ns->announced) {
            print("%s: there is a disk of that name already\n", ns->disk.name);
            nvme_namespace_lost(ns);
        }
    }
    nvme->announcing = false;
    nvme_wake(nvme, NULL);
}

/* The format of what nvme->page says; false: not one that can be used, *why says why. */
static bool read_format(const struct nvme *nvme, uint32_t *shift, uint64_t *sectors, bool *read_only,
                        const char **why)
{
    const volatile struct nvme_namespace_data *data = nvme->page;
    uint8_t flbas = data->flbas;
    uint32_t format = data->format[FLBAS_FORMAT(flbas)];
    uint64_t blocks = data->size;
    *shift = FORMAT_SHIFT(format);
    *read_only = data->nsattr & NSATTR_WRITE_PROTECTED;
    *why = NULL;
    if (*shift != 9 && *shift != 12)
        *why = "its blocks have neither 512 nor 4096 bytes";
    else if (FORMAT_METADATA(format))
        *why = "its blocks carry metadata";
    else if (!blocks || blocks > UINT64_MAX >> *shift)
        *why = "its size makes no sense";
    else
        *sectors = blocks << *shift >> 9;
    return !*why;
}

static struct nvme_namespace *create(struct nvme *nvme, uint32_t nsid, uint32_t shift, uint64_t sectors,
                                     bool read_only)
{
    struct nvme_namespace *ns = mem_alloc(sizeof *ns);
    if (!ns)
        return NULL;
    *ns = (struct nvme_namespace){.nvme = nvme, .nsid = nsid, .shift = shift};
    ns->disk = (struct disk){.driver = "nvme",
                             .operations = &operations,
                             .sectors = sectors,
                             .sector_size = 1u << shift,
                             .physical_sector_size = 1u << shift,
                             .max_segments = NVME_SEGMENTS,
                             .max_bytes = nvme->max_bytes,
                             .max_discard = (uint64_t)DISCARD_BLOCKS << shift >> 9,
                             .queues = nvme->io_queues,
                             .discard_granularity = nvme->discard ? 1u << shift : 0,
                             .read_only = read_only,
                             .flush = nvme->write_cache,
                             /* A block may have to be put together from parts of pages. */
                             .needs_data = shift > 9 && !nvme->sgl,
                             .driver_data = ns};
    snprintf(ns->disk.name, sizeof ns->disk.name, "%sn%u", nvme->name, nsid);
    strlcpy(ns->disk.model, nvme->model, sizeof ns->disk.model);
    struct nvme_namespace **link = &nvme->namespaces;
    while (*link)
        link = &(*link)->next;
    return *link = ns;
}

static struct nvme_namespace *find(struct nvme *nvme, uint32_t nsid)
{
    struct nvme_namespace *ns = nvme->namespaces;
    while (ns && (ns->nsid != nsid || ns->gone))
        ns = ns->next;
    return ns;
}

/* Looks at one namespace; ENOENT: there is none. */
static int scan(struct nvme *nvme, uint32_t nsid)
{
    uint32_t shift;
    uint64_t sectors;
    bool read_only;
    const char *why;
    int error = nvme_identify(nvme, CNS_NAMESPACE, nsid);
    if (error)
        return error;
    if (!((const struct nvme_namespace_data *)nvme->page)->size)
        return XEN_ENOENT;
    struct nvme_namespace *ns = find(nvme, nsid);
    if (!read_format(nvme, &shift, &sectors, &read_only, &why)) {
        print("%sn%u: left alone: %s\n", nvme->name, nsid, why);
        return 0;
    }
    /* Another format is another disk. */
    if (ns && (ns->shift != shift || ns->disk.read_only != read_only)) {
        nvme_namespace_lost(ns);
        ns = NULL;
    }
    if (ns && ns->announced && ns->disk.sectors != sectors) {
        print("%s: the size changed to %llu sectors\n", ns->disk.name, (unsigned long long)sectors);
        disk_resized(&ns->disk, sectors);
    }
    if (!ns)
        ns = create(nvme, nsid, shift, sectors, read_only);
    if (!ns)
        return XEN_ENOMEM;
    ns->seen = true;
    return 0;
}

/* Ids of namespaces; the number of them, or a negative errno. */
static int list(struct nvme *nvme, uint32_t ids[MOST_NAMESPACES])
{
    int count = 0, error = XEN_EIO;
    if (nvme->version >= VERSION(1, 1))
        error = nvme_identify(nvme, CNS_ACTIVE, 0);
    if (!error) {
        const volatile uint32_t *active = nvme->page;
        for (uint32_t id; count < MOST_NAMESPACES && (id = active[count]);)
            ids[count++] = id;
        return count;
    }
    /* An old controller, and some that claim to be newer: they number from 1 on. */
    error = nvme_identify(nvme, CNS_CONTROLLER, 0);
    if (error)
        return -error;
    uint32_t most = ((const volatile struct nvme_controller_data *)nvme->page)->nn;
    while (count < MOST_NAMESPACES && (uint32_t)count < most) {
        ids[count] = (uint32_t)count + 1;
        count++;
    }
    return count;
}

int nvme_rescan(struct nvme *nvme)
{
    uint32_t ids[MOST_NAMESPACES];
    int count = list(nvme, ids);
    if (count < 0)
        return -count;
    for (struct nvme_namespace *ns = nvme->namespaces; ns; ns = ns->next)
        ns->seen = false;
    for (int i = 0; i < count; i++) {
        int error = scan(nvme, ids[i]);
        if (error && error != XEN_ENOENT)
            return error;
    }
    for (struct nvme_namespace *ns = nvme->namespaces; ns; ns = ns->next)
        if (!ns->seen && !ns->gone) {
            print("%s: is gone\n", ns->disk.name);
            nvme_namespace_lost(ns);
        }
    return 0;
}

/* --- going ---------------------------------------------------------------------------------------------- */

void nvme_namespace_lost(struct nvme_namespace *ns)
{
    struct nvme *nvme = ns->nvme;
    ns->gone = true;
    for (unsigned i = 1; i <= nvme->io_queues; i++) {
        struct request_list old = nvme->queue[i].waiting;
        struct disk_request *request;
        nvme->queue[i].waiting = (struct request_list){.first = NULL};
        while ((request = request_take(&old)))
            if (request->driver == ns)
                nvme_request_end(request, XEN_EIO);
            else
                request_append(&nvme->queue[i].waiting, request);
    }
}

static void drop(struct nvme_namespace *ns)
{
    if (!ns->announced) {
        mem_free(ns);
        return;
    }
    /* Ours is the last use, so that it is not freed while it is taken away. */
    ns->disk.users++;
    disk_remove(&ns->disk);
    if (!--ns->disk.users)
        mem_free(ns);
}

void nvme_namespaces_update(struct nvme *nvme)
{
    bool waiting = false, new = false;
    if (nvme->announcing)
        return;
    for (struct nvme_namespace **link = &nvme->namespaces; *link;) {
        struct nvme_namespace *ns = *link;
        if (ns->gone && !ns->unfinished) {
            *link = ns->next;
            drop(ns);
            continue;
        }
        waiting |= ns->gone;
        new |= !ns->gone && !ns->announced;
        link = &ns->next;
    }
    /* The new disk may have the name of the old one. */
    if (new && !waiting)
        nvme->announcing = thread_create(nvme_announce, nvme) != NULL;
}
