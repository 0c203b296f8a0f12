/*
 * GNTTABOP_copy: bytes from page to page, each of them granted to the caller or the caller's own
 * (xen/grant_table.h).
 *
 * A granted page is pinned for the time of the copy, so that its owner sees that it is in use and cannot take
 * it away in the middle. Locking: none here; grant_pin() has its own.
 */
#include <hv/arch/guest_access.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include <lib/string.h>

/* Whole pages per run of the hypercall. */
#define COPY_BUDGET (HYPERCALL_BUDGET / 4)

struct copy_page {
    struct domain *granter; /* NULL: the page is the caller's own */
    uint32_t ref;
    bool readonly;
    mfn_t mfn;
};

static int open_page(struct copy_page *p, const struct gnttab_copy_ptr *ptr, bool by_ref, bool readonly)
{
    struct domain *d = domain_find(ptr->domid);

    *p = (struct copy_page){.granter = by_ref ? d : NULL, .ref = ptr->u.ref, .readonly = readonly};
    if (!by_ref && ptr->domid != DOMID_SELF)
        return GNTST_permission_denied;
    if (!d)
        return GNTST_bad_domain;
    if (by_ref)
        return grant_pin(d, p->ref, readonly, &p->mfn);

    void *page = map_guest_frame(d, GFN(ptr->u.gmfn), !readonly);
    if (!page)
        return GNTST_bad_page;
    p->mfn = virt_to_mfn(page);
    return GNTST_okay;
}

static void close_page(struct copy_page *p)
{
    if (p->granter)
        grant_unpin(p->granter, p->ref, p->readonly);
    frame_put(p->mfn);
}

static int copy_one(const struct gnttab_copy *op)
{
    struct copy_page source, dest;

    if (op->source.offset + op->len > PAGE_SIZE || op->dest.offset + op->len > PAGE_SIZE)
        return GNTST_bad_copy_arg;
    int status = open_page(&source, &op->source, op->flags & GNTCOPY_source_gref, true);
    if (status != GNTST_okay)
        return status;
    status = open_page(&dest, &op->dest, op->flags & GNTCOPY_dest_gref, false);
    if (status == GNTST_okay) {
        perfc_incr(grant_copies);
        perfc_add(grant_copy_bytes, op->len);
        memmove((char *)mfn_to_virt(dest.mfn) + op->dest.offset,
                (const char *)mfn_to_virt(source.mfn) + op->source.offset, op->len);
        close_page(&dest);
    }
    close_page(&source);
    return status;
}

int64_t grant_copy(uint64_t arg[6])
{
    uint32_t count = (uint32_t)arg[2];

    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_copy op;
        gva_t at = GVA(arg[1] + i * sizeof op);

        if (i == COPY_BUDGET)
            return grant_restart(arg, i, sizeof op);
        if (copy_from_guest(&op, at, sizeof op))
            return -XEN_EFAULT;
        op.status = (int16_t)copy_one(&op);
        if (copy_to_guest(GVA(at.v + offsetof(struct gnttab_copy, status)), &op.status, sizeof op.status))
            return -XEN_EFAULT;
    }
    return 0;
}
