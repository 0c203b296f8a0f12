/* Event channels over FIFO queues: control block, event array, priorities and order (xen/event_channel.h). */
#include "check.h"

#define EVTCHN(command, argument) OP(event_channel_op, command, argument)
#define CHANNELS                  3

static struct evtchn_fifo_control_block *control;
static event_word_t *words; /* of the ports of the first array page */

/* Takes the first event off a queue as xen/event_channel.h describes it; 0 when there is none. */
static evtchn_port_t take(unsigned priority)
{
    static uint32_t head[EVTCHN_FIFO_MAX_QUEUES];
    if (head[priority] == 0) { /* the block's own head says nothing unless the queue is ready */
        uint32_t ready = __atomic_fetch_and(&control->ready, ~(1u << priority), __ATOMIC_SEQ_CST);
        if (!(ready & 1u << priority))
            return 0;
        head[priority] = __atomic_load_n(&control->head[priority], __ATOMIC_ACQUIRE);
    }
    evtchn_port_t port = head[priority];
    event_word_t word = __atomic_fetch_and(
        &words[port], ~((1u << EVTCHN_FIFO_LINKED) | EVTCHN_FIFO_LINK_MASK), __ATOMIC_SEQ_CST);
    head[priority] = word & EVTCHN_FIFO_LINK_MASK;
    __atomic_fetch_and(&words[port], ~(1u << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
    return port;
}

static bool has(evtchn_port_t port, unsigned bit)
{
    return __atomic_load_n(&words[port], __ATOMIC_SEQ_CST) >> bit & 1;
}

static void test_setup(void)
{
    struct evtchn_expand_array expand = {.array_gfn = frame_of(words)};
    EXPECT(EVTCHN(EVTCHNOP_expand_array, &expand) < 0); /* before init_control */

    struct evtchn_init_control init = {.control_gfn = frame_of(control), .offset = PAGE_SIZE - 8, .vcpu = 0};
    EXPECT_EQ(EVTCHN(EVTCHNOP_init_control, &init), -XEN_EINVAL); /* reaches over the page */
    init.offset = 4;
    EXPECT_EQ(EVTCHN(EVTCHNOP_init_control, &init), -XEN_EINVAL); /* not aligned */
    init.offset = 0;
    init.vcpu = 4000;
    EXPECT_EQ(EVTCHN(EVTCHNOP_init_control, &init), -XEN_ENOENT);
    init.vcpu = 0;
    init.control_gfn = 1ull << 40;
    EXPECT_EQ(EVTCHN(EVTCHNOP_init_control, &init), -XEN_EINVAL);
    init.control_gfn = frame_of(control);
    EXPECT_EQ(EVTCHN(EVTCHNOP_init_control, &init), 0);
    EXPECT_EQ(init.link_bits, EVTCHN_FIFO_LINK_BITS);

    expand.array_gfn = 1ull << 40;
    EXPECT_EQ(EVTCHN(EVTCHNOP_expand_array, &expand), -XEN_EINVAL);
    expand.array_gfn = frame_of(words);
    EXPECT_EQ(EVTCHN(EVTCHNOP_expand_array, &expand), 0);
}

static void test_order(void)
{
    evtchn_port_t near[CHANNELS], far[CHANNELS];
    for (unsigned i = 0; i < CHANNELS; i++) {
        near[i] = (evtchn_port_t)event_alloc_unbound(DOMID_SELF, DOMID_SELF);
        far[i] = (evtchn_port_t)event_bind_interdomain(DOMID_SELF, near[i]);
        EXPECT((int)near[i] > 0 && (int)far[i] > 0);
    }
    for (evtchn_port_t port = 1; port != 0;) /* binding made some pending */
        port = take(EVTCHN_FIFO_PRIORITY_DEFAULT);

    for (unsigned i = 0; i < CHANNELS; i++) {
        EXPECT_EQ(event_send(far[i]), 0);
        EXPECT_EQ(event_send(far[i]), 0); /* a second one adds nothing */
        EXPECT(has(near[i], EVTCHN_FIFO_PENDING) && has(near[i], EVTCHN_FIFO_LINKED));
    }
    EXPECT(event_vcpu_info()->evtchn_upcall_pending);
    for (unsigned i = 0; i < CHANNELS; i++)
        EXPECT_EQ(take(EVTCHN_FIFO_PRIORITY_DEFAULT), near[i]);
    EXPECT_EQ(take(EVTCHN_FIFO_PRIORITY_DEFAULT), 0);

    /* A higher priority has a queue of its own. */
    struct evtchn_set_priority set = {.port = near[1], .priority = EVTCHN_FIFO_PRIORITY_MAX};
    EXPECT_EQ(EVTCHN(EVTCHNOP_set_priority, &set), 0);
    EXPECT_EQ(event_send(far[0]), 0);
    EXPECT_EQ(event_send(far[1]), 0);
    EXPECT_EQ(take(EVTCHN_FIFO_PRIORITY_MAX), near[1]);
    EXPECT_EQ(take(EVTCHN_FIFO_PRIORITY_DEFAULT), near[0]);
    set.priority = EVTCHN_FIFO_PRIORITY_MIN + 1;
    EXPECT_EQ(EVTCHN(EVTCHNOP_set_priority, &set), -XEN_EINVAL);

    /* Masked events are pending but in no queue until they are unmasked by the hypercall. */
    __atomic_fetch_or(&words[near[2]], 1u << EVTCHN_FIFO_MASKED, __ATOMIC_SEQ_CST);
    EXPECT_EQ(event_send(far[2]), 0);
    EXPECT(has(near[2], EVTCHN_FIFO_PENDING) && !has(near[2], EVTCHN_FIFO_LINKED));
    struct evtchn_unmask ask = {.port = near[2]};
    EXPECT_EQ(EVTCHN(EVTCHNOP_unmask, &ask), 0);
    EXPECT(has(near[2], EVTCHN_FIFO_LINKED) && !has(near[2], EVTCHN_FIFO_MASKED));
    EXPECT_EQ(take(EVTCHN_FIFO_PRIORITY_DEFAULT), near[2]);

    for (unsigned i = 0; i < CHANNELS; i++) {
        EXPECT_EQ(event_close(near[i]), 0);
        EXPECT_EQ(event_close(far[i]), 0);
    }
}

/* Back to the two-level maps, which EVTCHNOP_reset does for a crash kernel; and forth again. */
static void test_reset(void)
{
    evtchn_port_t port = (evtchn_port_t)event_alloc_unbound(DOMID_SELF, DOMID_SELF);
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    EXPECT_EQ(EVTCHN(EVTCHNOP_reset, &reset), 0);
    EXPECT_EQ(event_close(port), -XEN_EINVAL);
    struct evtchn_set_priority set = {.port = 1, .priority = 0};
    EXPECT(EVTCHN(EVTCHNOP_set_priority, &set) < 0);
    test_setup();
}

int main(void)
{
    control = page_alloc(1);
    words = page_alloc(1);
    memset(control, 0, PAGE_SIZE);
    memset(words, 0, PAGE_SIZE);
    EXPECT_EQ(event_init(), 0);
    test_setup();
    test_order();
    if (pvh_is_dom0()) /* elsewhere the reset would close our console */
        test_reset();
    return verdict("fifo");
}
