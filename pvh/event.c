/*
 * Two-level event channels and the shared pages (pvh/event.h).
 *
 * The pending and mask words are shared with the hypervisor and other CPUs: only atomic operations on them.
 * The table of handlers is written by its owner before the port is unmasked.
 */
#include <lib/x86.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include "internal.h"

#define PORTS 1024

struct shared_info *event_shared_info;

static uint8_t shared_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
/* For the vCPUs that have none in the shared info page. One each, and none may cross a page. */
static struct vcpu_info extra_info[SMP_MAX_CPUS - XEN_LEGACY_MAX_VCPUS] __attribute__((aligned(64)));
static struct vcpu_info *infos[SMP_MAX_CPUS];
static struct {
    event_handler handler;
    void *arg;
} handlers[PORTS];

/* --- setting up ----------------------------------------------------------------------------------------- */

static void upcall(struct trap_frame *frame)
{
    (void)frame;
    event_dispatch();
}

long event_init(void)
{
    if (event_shared_info)
        return 0;
    struct xen_add_to_physmap map = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = (uint64_t)shared_page >> PAGE_SHIFT};
    long result = hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&map, 0, 0, 0);
    if (result)
        return result;
    event_shared_info = (struct shared_info *)shared_page;
    for (unsigned word = 0; word < ARRAY_SIZE(event_shared_info->evtchn_mask); word++)
        event_shared_info->evtchn_mask[word] = ~0ul;
    interrupt_set(TRAP_EVENT, upcall);
    return hvm_param_set(HVM_PARAM_CALLBACK_IRQ, (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | TRAP_EVENT);
}

static struct vcpu_info *register_info(uint32_t id)
{
    struct vcpu_info *info = &extra_info[id - XEN_LEGACY_MAX_VCPUS];
    struct vcpu_register_vcpu_info where = {.mfn = (uint64_t)info >> PAGE_SHIFT,
                                            .offset = (uint64_t)info & (PAGE_SIZE - 1)};
    long result = hypercall(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, id, (uint64_t)&where, 0, 0);
    if (result)
        pvh_panic("vCPU %u has no vcpu_info: error %ld", id, result);
    return info;
}

struct vcpu_info *event_vcpu_info(void)
{
    struct vcpu_info **info = &infos[cpu_index()];
    if (!*info) {
        uint32_t id = vcpu_id();
        *info = id < XEN_LEGACY_MAX_VCPUS ? &event_shared_info->vcpu_info[id] : register_info(id);
    }
    return *info;
}

long event_upcall_vector(unsigned vcpu, unsigned vector)
{
    struct xen_hvm_evtchn_upcall_vector upcall_vector = {.vcpu = vcpu, .vector = (uint8_t)vector};
    return hypercall(__HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, (uint64_t)&upcall_vector, 0, 0, 0);
}

/* --- the bits ------------------------------------------------------------------------------------------- */

static bool set_bit(xen_ulong_t *words, evtchn_port_t port)
{
    uint64_t bit = 1ull << port % 64;
    return __atomic_fetch_or(&words[port / 64], bit, __ATOMIC_SEQ_CST) & bit;
}

static bool clear_bit(xen_ulong_t *words, evtchn_port_t port)
{
    uint64_t bit = 1ull << port % 64;
    return __atomic_fetch_and(&words[port / 64], ~bit, __ATOMIC_SEQ_CST) & bit;
}

void event_mask(evtchn_port_t port)
{
    set_bit(event_shared_info->evtchn_mask, port);
}

void event_unmask(evtchn_port_t port)
{
    struct evtchn_unmask unmask = {.port = port};
    if (!event_pending(port)) {
        clear_bit(event_shared_info->evtchn_mask, port);
        if (!event_pending(port))
            return;
        /* It came in between, perhaps while masked: have the hypervisor look again. */
        event_mask(port);
    }
    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, (uint64_t)&unmask, 0, 0, 0);
}

bool event_pending(evtchn_port_t port)
{
    return __atomic_load_n(&event_shared_info->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1;
}

bool event_clear(evtchn_port_t port)
{
    return clear_bit(event_shared_info->evtchn_pending, port);
}

void event_handle(evtchn_port_t port, event_handler handler, void *arg)
{
    if (port >= PORTS)
        pvh_panic("event port %u is out of range", port);
    if (!handler)
        event_mask(port);
    handlers[port].handler = handler;
    handlers[port].arg = arg;
    if (handler)
        event_unmask(port);
}

static bool dispatch_word(unsigned word)
{
    uint64_t ready = __atomic_load_n(&event_shared_info->evtchn_pending[word], __ATOMIC_SEQ_CST) &
                     ~__atomic_load_n(&event_shared_info->evtchn_mask[word], __ATOMIC_SEQ_CST);
    for (uint64_t left = ready; left; left &= left - 1) {
        evtchn_port_t port = word * 64 + (unsigned)__builtin_ctzll(left);
        event_clear(port);
        if (port < PORTS && handlers[port].handler)
            handlers[port].handler(port, handlers[port].arg);
    }
    return ready;
}

bool event_dispatch(void)
{
    struct vcpu_info *info = event_vcpu_info();
    bool any = false;
    /* The flag goes first: what comes after it is cleared sets it again (xen.h, struct vcpu_info). */
    if (!__atomic_exchange_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return false;
    uint64_t words = __atomic_exchange_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (; words; words &= words - 1)
        any |= dispatch_word((unsigned)__builtin_ctzll(words));
    return any;
}

/* --- operations ----------------------------------------------------------------------------------------- */

static long operation(unsigned op, void *arg)
{
    return hypercall(__HYPERVISOR_event_channel_op, op, (uint64_t)arg, 0, 0, 0);
}

long event_send(evtchn_port_t port)
{
    struct evtchn_send send = {.port = port};
    return operation(EVTCHNOP_send, &send);
}

long event_close(evtchn_port_t port)
{
    struct evtchn_close close = {.port = port};
    return operation(EVTCHNOP_close, &close);
}

long event_alloc_unbound(domid_t domid, domid_t remote)
{
    struct evtchn_alloc_unbound alloc = {.dom = domid, .remote_dom = remote};
    long result = operation(EVTCHNOP_alloc_unbound, &alloc);
    return result ? result : (long)alloc.port;
}

long event_bind_interdomain(domid_t remote, evtchn_port_t remote_port)
{
    struct evtchn_bind_interdomain bind = {.remote_dom = remote, .remote_port = remote_port};
    long result = operation(EVTCHNOP_bind_interdomain, &bind);
    return result ? result : (long)bind.local_port;
}

long event_bind_virq(uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq bind = {.virq = virq, .vcpu = vcpu};
    long result = operation(EVTCHNOP_bind_virq, &bind);
    return result ? result : (long)bind.port;
}

long event_bind_ipi(uint32_t vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};
    long result = operation(EVTCHNOP_bind_ipi, &bind);
    return result ? result : (long)bind.port;
}
