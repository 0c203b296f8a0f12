/*
 * domctl: the state of a domain's processors and memory, and what of the hardware it may touch (xen/domctl.h,
 * xen/hvm/save.h).
 *
 * Contexts go through a buffer of the hypervisor's: the domain is paused while it is filled or read, and the
 * guest copies happen outside. Hardware is the first domain's alone, so others can be denied it, never
 * allowed. Locking: LOCK_DOMCTL is held.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/p2m.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/control.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <lib/string.h>
#include <xen/arch-x86/xen.h>
#include <xen/hvm/save.h>

/* --- HVM context ---------------------------------------------------------------------------------------- */

#define MAX_CONTEXT_ORDER 9u /* 2 MiB: MAX_VCPUS with all their state is less */

struct buffer {
    char *bytes;
    size_t size;
    unsigned order;
};

static int buffer_alloc(struct buffer *b, size_t size)
{
    b->size = size;
    b->order = 0;
    while (b->order < MAX_CONTEXT_ORDER && PAGE_SIZE << b->order < size)
        b->order++;
    b->bytes = PAGE_SIZE << b->order < size ? NULL : page_alloc(b->order);
    return b->bytes ? 0 : -XEN_ENOMEM;
}

static void buffer_free(struct buffer *b)
{
    page_free(b->bytes, b->order);
}

/* The whole context in a new buffer. */
static int64_t save_context(struct domain *d, struct buffer *b)
{
    control_pause_and_wait(d);
    int64_t size = arch_get_hvm_context(d, NULL, 0);
    if (size >= 0)
        size = buffer_alloc(b, (size_t)size) ? -XEN_ENOMEM : arch_get_hvm_context(d, b->bytes, (size_t)size);
    else
        b->bytes = NULL;
    domain_unpause(d);
    if (size < 0)
        buffer_free(b);
    else
        b->size = (size_t)size;
    return size < 0 ? size : 0;
}

int64_t domctl_get_context(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    struct buffer b;

    int64_t error = save_context(d, &b);
    if (error)
        return error;
    if (h->buffer.p && h->size < b.size)
        error = -XEN_ENOSPC;
    else if (h->buffer.p)
        error = copy_to_guest(handle_gva(h->buffer), b.bytes, b.size);
    h->size = (uint32_t)b.size;
    buffer_free(&b);
    return error;
}

int64_t domctl_set_context(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    struct buffer b;

    if (buffer_alloc(&b, h->size))
        return -XEN_ENOMEM;
    int64_t error = copy_from_guest(b.bytes, handle_gva(h->buffer), h->size);
    if (!error) {
        control_pause_and_wait(d);
        int64_t result = arch_set_hvm_context(d, b.bytes, h->size);
        domain_unpause(d);
        error = MIN(result, 0);
    }
    buffer_free(&b);
    return error;
}

/* The record of a type and instance, without its descriptor. */
static int64_t copy_record(const struct buffer *b, struct xen_domctl_hvmcontext_partial *h)
{
    size_t at = 0;

    while (at + sizeof(struct hvm_save_descriptor) <= b->size) {
        struct hvm_save_descriptor record;

        memcpy(&record, b->bytes + at, sizeof record);
        at += sizeof record;
        if (record.typecode == h->type && record.instance == h->instance) {
            if (h->buffer.p && h->bufsz < record.length)
                return -XEN_ENOBUFS;
            h->bufsz = record.length;
            return h->buffer.p ? copy_to_guest(handle_gva(h->buffer), b->bytes + at, record.length) : 0;
        }
        at += record.length;
    }
    return -XEN_ENOENT;
}

int64_t domctl_get_context_partial(struct xen_domctl *op, struct domain *d)
{
    struct buffer b;

    int64_t error = save_context(d, &b);
    if (error)
        return error;
    error = copy_record(&b, &op->u.hvmcontext_partial);
    buffer_free(&b);
    return error;
}

/* --- vCPU context --------------------------------------------------------------------------------------- */

#define VCPU_CONTEXT_ORDER 1u
_Static_assert(sizeof(struct vcpu_guest_context) <= PAGE_SIZE << VCPU_CONTEXT_ORDER, "it needs its room");

static int find_ready_vcpu(struct domain *d, uint32_t id, struct vcpu **v)
{
    *v = domain_vcpu(d, id);
    if (!*v)
        return -XEN_EINVAL;
    return (*v)->initialised ? 0 : -XEN_ENODATA;
}

int64_t domctl_get_vcpu_context(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_vcpucontext *request = &op->u.vcpucontext;
    struct vcpu *v;

    int error = find_ready_vcpu(d, request->vcpu, &v);
    if (error)
        return error;
    struct vcpu_guest_context *context = page_alloc(VCPU_CONTEXT_ORDER);
    if (!context)
        return -XEN_ENOMEM;
    control_pause_and_wait(d);
    arch_get_vcpu_context(v, context);
    domain_unpause(d);
    error = copy_to_guest(handle_gva(request->ctxt), context, sizeof *context);
    page_free(context, VCPU_CONTEXT_ORDER);
    return error;
}

int64_t domctl_set_vcpu_context(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_vcpucontext *request = &op->u.vcpucontext;
    struct vcpu *v;

    int error = find_ready_vcpu(d, request->vcpu, &v);
    if (error)
        return error;
    struct vcpu_guest_context *context = page_alloc(VCPU_CONTEXT_ORDER);
    if (!context)
        return -XEN_ENOMEM;
    error = copy_from_guest(context, handle_gva(request->ctxt), sizeof *context);
    if (!error) {
        control_pause_and_wait(d);
        error = arch_set_vcpu_context(v, context);
        if (!error && (context->flags & VGCF_online))
            vcpu_wake(v, VCPU_DOWN);
        else if (!error)
            vcpu_stop(v, VCPU_DOWN);
        domain_unpause(d);
    }
    page_free(context, VCPU_CONTEXT_ORDER);
    return error;
}

/* --- memory --------------------------------------------------------------------------------------------- */

#define MAX_PAGE_INFOS 1024 /* per call, as Xen's */

/* Which frame numbers hold RAM: no page is of a kind that a saver would have to treat in its own way. */
int64_t domctl_get_page_info(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_getpageframeinfo3 *p = &op->u.getpageframeinfo3;

    if (p->num > MAX_PAGE_INFOS)
        return -XEN_E2BIG;
    for (uint64_t i = 0; i < p->num; i++) {
        xen_pfn_t pfn;

        if (copy_element_from_guest(&pfn, p->array, i))
            return -XEN_EFAULT;
        guest_access_begin(d);
        enum p2m_type type = p2m_lookup(d, GFN(pfn)).type;
        guest_access_end();
        pfn = type == P2M_RAM || type == P2M_RAM_RO ? XEN_DOMCTL_PFINFO_NOTAB : XEN_DOMCTL_PFINFO_XTAB;
        if (copy_element_to_guest(p->array, i, &pfn))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t domctl_get_mempool_size(struct xen_domctl *op, struct domain *d)
{
    op->u.paging_mempool.size = d->mempool_size;
    return 0;
}

int64_t domctl_set_mempool_size(struct xen_domctl *op, struct domain *d)
{
    if (op->u.paging_mempool.size & ~PAGE_MASK)
        return -XEN_EINVAL;
    d->mempool_size = op->u.paging_mempool.size;
    return 0;
}

/* The older names of the two above, in MiB. No log of dirty pages is kept. */
int64_t domctl_shadow_op(struct xen_domctl *op, struct domain *d)
{
    struct xen_domctl_shadow_op *s = &op->u.shadow_op;

    switch (s->op) {
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        s->mb = (uint32_t)(d->mempool_size >> 20);
        return 0;
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        d->mempool_size = (uint64_t)s->mb << 20;
        return 0;
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return 0;
    default:
        return -XEN_EOPNOTSUPP;
    }
}

/* --- time ----------------------------------------------------------------------------------------------- */

#define TSC_MODE_DEFAULT       0
#define TSC_MODE_NEVER_EMULATE 2

int64_t domctl_get_tsc_info(struct xen_domctl *op, struct domain *d)
{
    (void)d;
    op->u.tsc_info = (struct xen_domctl_tsc_info){
        .tsc_mode = TSC_MODE_DEFAULT, .gtsc_khz = tsc_khz, .elapsed_nsec = time_now()};
    return 0;
}

/* Guests read the processor's own counter: no other frequency can be shown, and emulation not be forced. */
int64_t domctl_set_tsc_info(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_tsc_info *t = &op->u.tsc_info;

    (void)d;
    if (t->tsc_mode != TSC_MODE_DEFAULT && t->tsc_mode != TSC_MODE_NEVER_EMULATE)
        return -XEN_EOPNOTSUPP;
    return t->gtsc_khz == 0 || t->gtsc_khz == tsc_khz ? 0 : -XEN_EOPNOTSUPP;
}

/* --- hardware ------------------------------------------------------------------------------------------- */

static int64_t permission(const struct domain *d, bool allow)
{
    return allow == d->privileged ? 0 : -XEN_EOPNOTSUPP;
}

int64_t domctl_irq_permission(struct xen_domctl *op, struct domain *d)
{
    return permission(d, op->u.irq_permission.allow_access);
}

int64_t domctl_iomem_permission(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_iomem_permission *p = &op->u.iomem_permission;

    return p->first_mfn + p->nr_mfns - 1 < p->first_mfn ? -XEN_EINVAL : permission(d, p->allow_access);
}

int64_t domctl_ioport_permission(struct xen_domctl *op, struct domain *d)
{
    const struct xen_domctl_ioport_permission *p = &op->u.ioport_permission;
    uint64_t end = (uint64_t)p->first_port + p->nr_ports;

    return p->nr_ports == 0 || end > 0x10000 ? -XEN_EINVAL : permission(d, p->allow_access);
}
