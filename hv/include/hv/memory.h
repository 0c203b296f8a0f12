/*
 * memory_op (xen/memory.h), one function per operation or two; hv/memory.c has the table.
 *
 * start: how many extents earlier runs of the same call have done, from the upper bits of the command. A
 * function that has used up its budget returns memory_restart(), everything else what the guest sees.
 */
#ifndef HV_MEMORY_H
#define HV_MEMORY_H

#include <hv/arch/guest_access.h>
#include <hv/hypercall.h>
#include <hv/types.h>

/* The command's number is in bits 0 to 5, the extent to start from above them: the layout Xen's guests see on
 * a restart. */
#define MEMOP_EXTENT_SHIFT 6
#define MEMOP_COMMAND_MASK ((1u << MEMOP_EXTENT_SHIFT) - 1)
/* More extents than this would not fit into the 32-bit register of a restarted command. */
#define MEMOP_MAX_EXTENTS (UINT32_MAX >> MEMOP_EXTENT_SHIFT)

struct domain;
typedef int64_t memop_fn(uint64_t arg[6], uint64_t start);

static inline int64_t memory_restart(uint64_t arg[6], uint64_t done)
{
    arg[0] = (arg[0] & MEMOP_COMMAND_MASK) | done << MEMOP_EXTENT_SHIFT;
    return HYPERCALL_RESTART;
}
static inline gva_t memory_argument(const uint64_t arg[6])
{
    return GVA(arg[1]);
}

/* hv/memory_map.c: what the guest is told about its memory */
memop_fn memory_get_map, memory_set_map, memory_reserved_device_map;
/* hv/memory_physmap.c: pages at chosen places of a guest-physical map */
memop_fn memory_add_to_physmap, memory_add_to_physmap_batch, memory_remove_from_physmap,
    memory_acquire_resource;

/*
 * The same for callers whose arguments look otherwise (32-bit code: guest/hypercall32.c). Errors as the
 * operations have.
 */
/* At most *entries of d's memory map, from where *entries says how many there are. */
int memory_map_read(struct domain *d, gva_t to, uint32_t *entries);
int memory_map_write(struct domain *d, gva_t from, uint32_t entries);
/* One page of d's own; d is the caller. */
int physmap_add_own(struct domain *d, unsigned space, uint64_t index, gfn_t gfn);

#endif
