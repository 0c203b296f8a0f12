/*
 * Grant tables: life, the shared frames, and the operations on the table as a whole (xen/grant_table.h).
 *
 * Version 1 only, and of the operations those that Xen lets HVM guests call. A table starts with one frame
 * (the toolstack puts grants for console and store there) and grows when frames are asked for; it never
 * shrinks, so a frame that exists can be used without the lock.
 *
 * Locking: LOCK_GNTTAB for growing, for the places of the frames, and for their pins. Where a frame is shared
 * may be looked up without: that stays as it is.
 */
#include <hv/arch/guest_access.h>
#include <hv/cmdline.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include <hv/printk.h>
#include <lib/string.h>

static uint32_t gnttab_max_frames_option = 64;
static uint32_t gnttab_max_maptrack_option = 1024;
CMDLINE_UINT("gnttab_max_frames", gnttab_max_frames_option);
CMDLINE_UINT("gnttab_max_maptrack_frames", gnttab_max_maptrack_option);

/* --- life ----------------------------------------------------------------------------------------------- */

/* Makes room for all frames that the table may have. Whoever still uses the old place finds there what never
 * changes. */
static int make_list_locked(struct gnttab *g)
{
    struct grant_frame *list = heap_alloc(g->max_frames * sizeof *list);

    if (!list)
        return -XEN_ENOMEM;
    memcpy(list, g->few, sizeof g->few);
    __atomic_store_n(&g->frame, list, __ATOMIC_RELEASE);
    return 0;
}

static int grow_locked(struct domain *d, uint32_t frames)
{
    struct gnttab *g = d->gnttab;

    if (frames > FEW_FRAMES && g->frame == g->few && make_list_locked(g))
        return -XEN_ENOMEM;
    while (g->frames < frames) {
        struct grant_frame *f = &g->frame[g->frames];
        f->shared = page_alloc_shared(d);
        f->gfn = INVALID_GFN;
        if (!f->shared)
            return -XEN_ENOMEM;
        __atomic_store_n(&g->frames, g->frames + 1, __ATOMIC_RELEASE);
    }
    return 0;
}

static int32_t limit_or_default(int32_t wanted, uint32_t most)
{
    most = MIN(most, PAGE_SIZE / sizeof(struct grant_frame));
    return wanted < 0 ? (int32_t)most : (uint32_t)wanted > most ? -XEN_EINVAL : wanted;
}

int gnttab_init(struct domain *d, int32_t max_frames, int32_t max_maptrack, uint32_t version)
{
    int32_t frames = limit_or_default(max_frames, gnttab_max_frames_option);
    uint32_t maptrack = max_maptrack < 0 ? gnttab_max_maptrack_option : (uint32_t)max_maptrack;

    if (frames < 1 || maptrack > gnttab_max_maptrack_option || version < 1 || version > 2)
        return -XEN_EINVAL;

    struct gnttab *g = heap_alloc(sizeof *g);
    if (!g)
        return -XEN_ENOMEM;
    spin_lock_init(&g->lock, LOCK_GNTTAB);
    g->frame = g->few;
    g->max_frames = (uint32_t)frames;
    g->max_mapping_pages = maptrack;
    g->free_handle = NO_HANDLE;
    d->gnttab = g;

    int error = gnttab_grow(d, 1);
    if (error)
        gnttab_free(d);
    return error;
}

void gnttab_free(struct domain *d)
{
    struct gnttab *g = d->gnttab;

    for (uint32_t i = 0; i < g->frames; i++) {
        page_free_shared(g->frame[i].shared);
        page_free(g->frame[i].pin, 0);
    }
    gnttab_free_mappings(g);
    if (g->frame != g->few)
        heap_free(g->frame);
    heap_free(g);
    d->gnttab = NULL;
}

int gnttab_grow(struct domain *d, uint32_t frames)
{
    struct gnttab *g = d->gnttab;

    if (frames > g->max_frames)
        return -XEN_EINVAL;
    if (frames <= __atomic_load_n(&g->frames, __ATOMIC_ACQUIRE))
        return 0;
    spin_lock(&g->lock);
    int error = grow_locked(d, frames);
    spin_unlock(&g->lock);
    return error;
}

int gnttab_frame(struct domain *d, uint32_t index, mfn_t *mfn)
{
    if (index >= d->gnttab->max_frames)
        return -XEN_EINVAL;
    int error = gnttab_grow(d, index + 1);
    if (!error)
        *mfn = virt_to_mfn(d->gnttab->frame[index].shared);
    return error;
}

gfn_t gnttab_set_gfn(struct domain *d, uint32_t index, gfn_t gfn)
{
    struct gnttab *g = d->gnttab;

    spin_lock(&g->lock);
    gfn_t old = g->frame[index].gfn;
    g->frame[index].gfn = gfn;
    spin_unlock(&g->lock);
    return old;
}

uint32_t gnttab_max_frames(const struct domain *d)
{
    return d->gnttab->max_frames;
}

/* --- the table as a whole ------------------------------------------------------------------------------- */

/* For operations that report a missing domain or right in their status. */
static int find_table(domid_t id, struct domain **d)
{
    switch (domain_find_target(id, d)) {
    case 0:
        return GNTST_okay;
    case -XEN_EPERM:
        return GNTST_permission_denied;
    default:
        return GNTST_bad_domain;
    }
}

static int setup_frames(const struct gnttab_setup_table *op)
{
    struct domain *d;

    int status = find_table(op->dom, &d);
    if (status != GNTST_okay)
        return status;
    if (gnttab_grow(d, op->nr_frames))
        return GNTST_general_error;
    for (uint32_t i = 0; i < op->nr_frames; i++) {
        xen_pfn_t gfn = READ_ONCE(d->gnttab->frame[i].gfn.v);
        if (copy_element_to_guest(op->frame_list, i, &gfn))
            status = GNTST_bad_virt_addr;
    }
    return status;
}

static int64_t setup_table(uint64_t arg[6])
{
    struct gnttab_setup_table op;

    if ((uint32_t)arg[2] != 1)
        return -XEN_EINVAL;
    if (copy_from_guest(&op, GVA(arg[1]), sizeof op))
        return -XEN_EFAULT;
    op.status = (int16_t)setup_frames(&op);
    return copy_to_guest(GVA(arg[1]), &op, sizeof op);
}

static int64_t query_size(uint64_t arg[6])
{
    struct gnttab_query_size op;
    struct domain *d;

    if ((uint32_t)arg[2] != 1)
        return -XEN_EINVAL;
    if (copy_from_guest(&op, GVA(arg[1]), sizeof op))
        return -XEN_EFAULT;
    op.status = (int16_t)find_table(op.dom, &d);
    if (op.status == GNTST_okay) {
        op.nr_frames = d->gnttab->frames;
        op.max_nr_frames = d->gnttab->max_frames;
    }
    return copy_to_guest(GVA(arg[1]), &op, sizeof op);
}

/* Version 2 is told about as Xen does when a domain may have version 1 only. */
static int64_t set_version(uint64_t arg[6])
{
    struct gnttab_set_version op;

    if (copy_from_guest(&op, GVA(arg[1]), sizeof op))
        return -XEN_EFAULT;
    int64_t result = op.version == 1 ? 0 : op.version == 2 ? -XEN_ENOSYS : -XEN_EINVAL;
    op.version = 1;
    return copy_to_guest(GVA(arg[1]), &op, sizeof op) ? -XEN_EFAULT : result;
}

static int64_t get_version(uint64_t arg[6])
{
    struct gnttab_get_version op;
    struct domain *d;

    if (copy_from_guest(&op, GVA(arg[1]), sizeof op))
        return -XEN_EFAULT;
    int error = domain_find_target(op.dom, &d);
    if (error)
        return error;
    op.version = 1;
    return copy_to_guest(GVA(arg[1]), &op, sizeof op);
}

static int swap_entries(struct gnttab *g, uint32_t a, uint32_t b)
{
    uint64_t entries = g->frames * ENTRIES_PER_FRAME;
    int status = GNTST_okay;

    if (a >= entries || b >= entries)
        return GNTST_bad_gntref;

    spin_lock(&g->lock);
    const struct grant_frame *frame_a = &g->frame[a / ENTRIES_PER_FRAME];
    const struct grant_frame *frame_b = &g->frame[b / ENTRIES_PER_FRAME];
    grant_entry_v1_t *entry_a = &frame_a->shared[a % ENTRIES_PER_FRAME];
    grant_entry_v1_t *entry_b = &frame_b->shared[b % ENTRIES_PER_FRAME];
    if (a != b && (grant_is_pinned(frame_a, a) || grant_is_pinned(frame_b, b))) {
        status = GNTST_eagain;
    } else if (a != b) {
        grant_entry_v1_t old = *entry_a;
        *entry_a = *entry_b;
        *entry_b = old;
    }
    spin_unlock(&g->lock);
    return status;
}

static int64_t swap_grant_ref(uint64_t arg[6])
{
    for (uint32_t i = 0; i < (uint32_t)arg[2]; i++) {
        struct gnttab_swap_grant_ref op;
        gva_t at = GVA(arg[1] + i * sizeof op);

        if (i == HYPERCALL_BUDGET)
            return grant_restart(arg, i, sizeof op);
        if (copy_from_guest(&op, at, sizeof op))
            return -XEN_EFAULT;
        op.status = (int16_t)swap_entries(current->domain->gnttab, op.ref_a, op.ref_b);
        if (copy_to_guest(at, &op, sizeof op))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t grant_restart(uint64_t arg[6], uint32_t done, size_t size)
{
    arg[1] += done * size;
    arg[2] = (uint32_t)arg[2] - done;
    return HYPERCALL_RESTART;
}

int64_t do_grant_table_op(uint64_t arg[6])
{
    static hypercall_fn *const operation[] = {
        [GNTTABOP_map_grant_ref] = grant_map, [GNTTABOP_unmap_grant_ref] = grant_unmap,
        [GNTTABOP_setup_table] = setup_table, [GNTTABOP_copy] = grant_copy,
        [GNTTABOP_query_size] = query_size,   [GNTTABOP_set_version] = set_version,
        [GNTTABOP_get_version] = get_version, [GNTTABOP_swap_grant_ref] = swap_grant_ref,
    };
    uint32_t command = (uint32_t)arg[0];

    if (command >= ARRAY_SIZE(operation) || !operation[command])
        return -XEN_ENOSYS;
    return (int32_t)arg[2] < 0 ? -XEN_EINVAL : operation[command](arg);
}

/* --- debug ---------------------------------------------------------------------------------------------- */

static void dump_domain(const struct domain *d)
{
    const struct gnttab *g = d->gnttab;

    printk(LOG_ERROR "d%u: %u of %u frames, %u handles\n", d->id, g->frames, g->max_frames, g->handles);
    for (uint32_t ref = 0; ref < g->frames * ENTRIES_PER_FRAME; ref++) {
        const struct grant_frame *frame = &g->frame[ref / ENTRIES_PER_FRAME];
        if (!grant_is_pinned(frame, ref))
            continue;
        const struct grant_pin *pin = &frame->pin[ref % ENTRIES_PER_FRAME];
        printk(LOG_ERROR "  grant %u: mfn %#x used by d%u, %u readers, %u writers\n", ref, pin->mfn,
               pin->domid, pin->readers, pin->writers);
    }
}

void gnttab_dump(void)
{
    for (struct domain *d = domain_next(0); d; d = domain_next((domid_t)(d->id + 1)))
        dump_domain(d);
}
