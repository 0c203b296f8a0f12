/*
 * The FIFO ABI of event channels (xen/event_channel.h), for one CPU: a word for each port in pages that are
 * given to the hypervisor as ports need them, and a queue of ports for each priority, linked through these
 * words.
 *
 * The hypervisor appends to the queues at any time, so words change by atomic operations only. Delivery takes
 * all out of the queues first and then calls the handlers, so what comes meanwhile waits for the next time.
 * Handlers may deliver again: there is one list of what was taken.
 */
#include <lib/relax.h>
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/errno.h>
#include "internal.h"

#define PENDING        (1u << EVTCHN_FIFO_PENDING)
#define MASKED         (1u << EVTCHN_FIFO_MASKED)
#define LINKED         (1u << EVTCHN_FIFO_LINKED)
#define BUSY           (1u << EVTCHN_FIFO_BUSY)
#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(event_word_t))

static event_word_t *pages[EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE];
static uint32_t page_count;
static struct evtchn_fifo_control_block *control;
static evtchn_port_t queue_head[EVTCHN_FIFO_MAX_QUEUES]; /* 0: where the control block says */
static evtchn_port_t taken_first, taken_last;            /* 0: none */

static event_word_t *word_of(evtchn_port_t port)
{
    return &pages[port / WORDS_PER_PAGE][port % WORDS_PER_PAGE];
}

static bool fifo_reach(evtchn_port_t port)
{
    while (port / WORDS_PER_PAGE >= page_count) {
        event_word_t *page = page_alloc(1);
        if (!page)
            return false;
        memset(page, 0, PAGE_SIZE);
        pages[page_count] = page; /* before the hypervisor puts anything into it */
        struct evtchn_expand_array expand = {.array_gfn = (uint64_t)page >> PAGE_SHIFT};
        if (hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, (uint64_t)&expand, 0, 0, 0)) {
            page_free(page, 1);
            return false;
        }
        page_count++;
    }
    return true;
}

static void fifo_mask(evtchn_port_t port)
{
    __atomic_fetch_or(word_of(port), MASKED, __ATOMIC_SEQ_CST);
}

/* While the hypervisor changes the link it wants to see nothing else changed. */
static event_word_t change(event_word_t *word, event_word_t gone)
{
    event_word_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    do {
        for (; old & BUSY; old = __atomic_load_n(word, __ATOMIC_SEQ_CST))
            cpu_relax();
    } while (
        !__atomic_compare_exchange_n(word, &old, old & ~gone, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return old;
}

static void fifo_clear_mask(evtchn_port_t port)
{
    change(word_of(port), MASKED);
}

static bool fifo_pending(evtchn_port_t port)
{
    return __atomic_load_n(word_of(port), __ATOMIC_SEQ_CST) & PENDING;
}

static bool fifo_clear(evtchn_port_t port)
{
    return __atomic_fetch_and(word_of(port), ~PENDING, __ATOMIC_SEQ_CST) & PENDING;
}

static void take(evtchn_port_t port)
{
    struct event_slot *slot = event_slot(port);
    if (!slot || slot->taken)
        return;
    slot->taken = true;
    slot->next = 0;
    if (taken_first)
        event_slot(taken_last)->next = port;
    else
        taken_first = port;
    taken_last = port;
}

/* Takes out the queue's first port. False: it was the last one. */
static bool advance(unsigned priority)
{
    evtchn_port_t port = queue_head[priority];
    if (!port)
        port = __atomic_load_n(&control->head[priority], __ATOMIC_ACQUIRE);
    event_word_t word = change(word_of(port), LINKED | EVTCHN_FIFO_LINK_MASK);
    if (word & PENDING && !(word & MASKED))
        take(port);
    queue_head[priority] = word & EVTCHN_FIFO_LINK_MASK;
    return queue_head[priority];
}

/* Ends although others go on sending: to take an event out is much quicker than to put one in. */
static bool fifo_dispatch(void)
{
    uint32_t ready = 0;
    bool any = false;
    while ((ready |= __atomic_exchange_n(&control->ready, 0, __ATOMIC_SEQ_CST))) {
        unsigned priority = (unsigned)__builtin_ctz(ready);
        if (!advance(priority))
            ready &= ~(1u << priority);
    }
    while (taken_first) {
        evtchn_port_t port = taken_first;
        struct event_slot *slot = event_slot(port);
        taken_first = slot->next;
        slot->taken = false;
        event_call(port);
        any = true;
    }
    return any;
}

const struct event_abi event_fifo = {.ports = EVTCHN_FIFO_NR_CHANNELS,
                                     .reach = fifo_reach,
                                     .mask = fifo_mask,
                                     .clear_mask = fifo_clear_mask,
                                     .pending = fifo_pending,
                                     .clear = fifo_clear,
                                     .dispatch = fifo_dispatch};

long fifo_init(void)
{
    control = page_alloc(1);
    if (!control)
        return -XEN_ENOMEM;
    memset(control, 0, PAGE_SIZE);
    struct evtchn_init_control init = {.control_gfn = (uint64_t)control >> PAGE_SHIFT};
    long result = hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_init_control, (uint64_t)&init, 0, 0, 0);
    if (result) {
        page_free(control, 1);
        return result;
    }
    /* The port of whatever is bound already; more come with their handlers. */
    if (!fifo_reach(0))
        pvh_panic("the hypervisor took a control block for events, but no words");
    return 0;
}
