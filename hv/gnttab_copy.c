/*
 * GNTTABOP_copy: bytes from page to page, each of them granted to the caller or the caller's own
 * (xen/grant_table.h).
 *
 * A granted page is pinned for the time of the copy, so that its owner sees that it is in use and cannot take
 * it away in the middle; the caller's own stays because of the section in which it is used (hv/arch/p2m.h).
 * Locking: none here; grant_pin() has its own.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/p2m.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include <lib/string.h>

/* Whole pages per run of the hypercall. */
#define COPY_BUDGET (HYPERCALL_BUDGET / 4)

/* A page at one end of a copy: granted and pinned, or the caller's own, which is looked for when it comes to
 * copying. */
struct copy_page {
    struct domain *granter; /* NULL: the caller's own */
    mfn_t mfn;              /* of a granted one */
};

static int open_page(struct copy_page *p, const struct gnttab_copy_ptr *ptr, bool by_ref, bool readonly)
{
    p->granter = NULL;
    if (!by_ref)
        return ptr->domid == DOMID_SELF ? GNTST_okay : GNTST_permission_denied;
    p->granter = domain_find(ptr->domid);
    return p->granter ? grant_pin(p->granter, ptr->u.ref, readonly, &p->mfn) : GNTST_bad_domain;
}

static void close_page(const struct copy_page *p, const struct gnttab_copy_ptr *ptr, bool readonly)
{
    if (p->granter)
        frame_put(grant_unpin(p->granter, ptr->u.ref, readonly));
}

/* Inside a section of the caller's. */
static char *page_data(const struct copy_page *p, const struct gnttab_copy_ptr *ptr, bool readonly)
{
    return p->granter ? mfn_to_virt(p->mfn) : guest_page(current->domain, GFN(ptr->u.gmfn), !readonly);
}

static int move(const struct gnttab_copy *op, const struct copy_page *source, const struct copy_page *dest)
{
    guest_access_begin(current->domain);
    const char *from = page_data(source, &op->source, true);
    char *to = page_data(dest, &op->dest, false);
    if (from && to)
        memmove(to + op->dest.offset, from + op->source.offset, op->len);
    guest_access_end();
    if (!from || !to)
        return GNTST_bad_page;
    perfc_incr(grant_copies);
    perfc_add(grant_copy_bytes, op->len);
    return GNTST_okay;
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
        status = move(op, &source, &dest);
        close_page(&dest, &op->dest, false);
    }
    close_page(&source, &op->source, true);
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
