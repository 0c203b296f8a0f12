/*
 * The 2-level ABI: pending and mask bits of all ports in shared_info, and for each vCPU a word that says
 * which words of the pending bits to look at (xen/xen.h, struct shared_info).
 *
 * Locking: none here; the guest changes these words at any time too, so every access is one atomic operation.
 */
#include <hv/evtchn_port.h>

#define WORD_BITS 64u
_Static_assert(sizeof(xen_ulong_t) * 8 == WORD_BITS, "layout of 64-bit guests");

static inline uint64_t port_bit(evtchn_port_t port)
{
    return 1ull << port % WORD_BITS;
}

/* A domain that has no vCPU yet has unmasked nothing either: it finds the pending bit when it does. */
static void select_word(struct domain *d, const struct evtchn *chn)
{
    struct vcpu *v = __atomic_load_n(&d->vcpu[READ_ONCE(chn->vcpu)], __ATOMIC_ACQUIRE);
    if (!v)
        return;
    struct vcpu_info *info = __atomic_load_n(&v->info, __ATOMIC_ACQUIRE);
    uint64_t word = 1ull << chn->port / WORD_BITS;
    if (!(__atomic_fetch_or(&info->evtchn_pending_sel, word, __ATOMIC_SEQ_CST) & word))
        evtchn_upcall(v);
}

static void set_pending(struct domain *d, struct evtchn *chn)
{
    struct shared_info *s = d->shared_info;
    evtchn_port_t port = chn->port, word = port / WORD_BITS;
    uint64_t bit = port_bit(port);
    if (__atomic_fetch_or(&s->evtchn_pending[word], bit, __ATOMIC_SEQ_CST) & bit)
        return;
    if (!(__atomic_load_n(&s->evtchn_mask[word], __ATOMIC_SEQ_CST) & bit))
        select_word(d, chn);
    evtchn_check_pollers(d, port);
}

static void clear_pending(struct domain *d, struct evtchn *chn)
{
    __atomic_fetch_and(&d->shared_info->evtchn_pending[chn->port / WORD_BITS], ~port_bit(chn->port),
                       __ATOMIC_SEQ_CST);
}

static bool is_pending(struct domain *d, const struct evtchn *chn)
{
    return __atomic_load_n(&d->shared_info->evtchn_pending[chn->port / WORD_BITS], __ATOMIC_SEQ_CST) &
           port_bit(chn->port);
}

static bool is_masked(struct domain *d, const struct evtchn *chn)
{
    return __atomic_load_n(&d->shared_info->evtchn_mask[chn->port / WORD_BITS], __ATOMIC_SEQ_CST) &
           port_bit(chn->port);
}

static void unmask(struct domain *d, struct evtchn *chn)
{
    uint32_t word = chn->port / WORD_BITS;
    uint64_t before =
        __atomic_fetch_and(&d->shared_info->evtchn_mask[word], ~port_bit(chn->port), __ATOMIC_SEQ_CST);
    if ((before & port_bit(chn->port)) && is_pending(d, chn))
        select_word(d, chn);
}

static bool is_busy(struct domain *d, const struct evtchn *chn)
{
    (void)d, (void)chn;
    return false;
}

const struct evtchn_abi evtchn_2l = {
    .ports = WORD_BITS * WORD_BITS,
    .set_pending = set_pending,
    .clear_pending = clear_pending,
    .unmask = unmask,
    .is_pending = is_pending,
    .is_masked = is_masked,
    .is_busy = is_busy,
};
