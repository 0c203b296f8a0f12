/*
 * Event channels: handlers, the two-level ABI, the shared pages, operations (pvh/event.h). The other ABI is
 * in event_fifo.c.
 *
 * The pending and mask words are shared with the hypervisor and other CPUs: only atomic operations on them.
 * The table of handlers is written by its owner before the port is unmasked.
 */
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include "internal.h"

#define SLOTS_PER_PAGE (PAGE_SIZE / sizeof(struct event_slot))

struct shared_info *event_shared_info;

static uint8_t shared_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
/* For the vCPUs that have none in the shared info page. One each, and none may cross a page. */
static struct vcpu_info extra_info[SMP_MAX_CPUS - XEN_LEGACY_MAX_VCPUS] __attribute__((aligned(64)));
static struct vcpu_info *infos[SMP_MAX_CPUS];
static struct event_slot *slots[EVTCHN_FIFO_NR_CHANNELS / SLOTS_PER_PAGE];
static const struct event_abi two_level, *abi = &two_level;

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

/* --- handlers ------------------------------------------------------------------------------------------- */

struct event_slot *event_slot(evtchn_port_t port)
{
    struct event_slot *page = port < EVTCHN_FIFO_NR_CHANNELS ? slots[port / SLOTS_PER_PAGE] : NULL;
    return page ? &page[port % SLOTS_PER_PAGE] : NULL;
}

static struct event_slot *make_slot(evtchn_port_t port)
{
    if (port >= abi->ports || !abi->reach(port))
        pvh_panic("event port %u is out of reach", port);
    struct event_slot **page = &slots[port / SLOTS_PER_PAGE];
    if (!*page) {
        *page = page_alloc(1);
        if (!*page)
            pvh_panic("no memory for the handler of event port %u", port);
        memset(*page, 0, PAGE_SIZE);
    }
    return event_slot(port);
}

void event_call(evtchn_port_t port)
{
    const struct event_slot *slot = event_slot(port);
    event_clear(port);
    if (slot && slot->handler)
        slot->handler(port, slot->arg);
}

void event_handle(evtchn_port_t port, event_handler handler, void *arg)
{
    struct event_slot *slot = make_slot(port);
    if (!handler)
        event_mask(port);
    slot->handler = handler;
    slot->arg = arg;
    if (handler)
        event_unmask(port);
}

void event_mask(evtchn_port_t port)
{
    abi->mask(port);
}

void event_unmask(evtchn_port_t port)
{
    struct evtchn_unmask unmask = {.port = port};
    if (!event_pending(port)) {
        abi->clear_mask(port);
        if (!event_pending(port))
            return;
        /* It came in between, perhaps while masked: have the hypervisor look again. */
        event_mask(port);
    }
    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_unmask, (uint64_t)&unmask, 0, 0, 0);
}

bool event_pending(evtchn_port_t port)
{
    return abi->pending(port);
}

bool event_clear(evtchn_port_t port)
{
    return abi->clear(port);
}

bool event_dispatch(void)
{
    /* The flag goes first: what comes after it is cleared sets it again (xen.h, struct vcpu_info). */
    return __atomic_exchange_n(&event_vcpu_info()->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST) &&
           abi->dispatch();
}

long event_use_fifo(void)
{
    long result = fifo_init();
    if (!result)
        abi = &event_fifo;
    return result;
}

/* --- two levels: a bit for each port, and a bit for each word of these ---------------------------------- */

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

static bool bits_reach(evtchn_port_t port)
{
    (void)port;
    return true;
}

static void bits_mask(evtchn_port_t port)
{
    set_bit(event_shared_info->evtchn_mask, port);
}

static void bits_clear_mask(evtchn_port_t port)
{
    clear_bit(event_shared_info->evtchn_mask, port);
}

static bool bits_pending(evtchn_port_t port)
{
    return __atomic_load_n(&event_shared_info->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1;
}

static bool bits_clear(evtchn_port_t port)
{
    return clear_bit(event_shared_info->evtchn_pending, port);
}

static bool dispatch_word(unsigned word)
{
    uint64_t ready = __atomic_load_n(&event_shared_info->evtchn_pending[word], __ATOMIC_SEQ_CST) &
                     ~__atomic_load_n(&event_shared_info->evtchn_mask[word], __ATOMIC_SEQ_CST);
    for (uint64_t left = ready; left; left &= left - 1)
        event_call(word * 64 + (unsigned)__builtin_ctzll(left));
    return ready;
}

static bool bits_dispatch(void)
{
    uint64_t words = __atomic_exchange_n(&event_vcpu_info()->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    bool any = false;
    for (; words; words &= words - 1)
        any |= dispatch_word((unsigned)__builtin_ctzll(words));
    return any;
}

static const struct event_abi two_level = {.ports = 64 * 64,
                                           .reach = bits_reach,
                                           .mask = bits_mask,
                                           .clear_mask = bits_clear_mask,
                                           .pending = bits_pending,
                                           .clear = bits_clear,
                                           .dispatch = bits_dispatch};

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
