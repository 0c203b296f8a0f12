/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c hv/evtchn_op.c hv/multicall.c hv/version.c hv/console_io.c hv/vcpu_op.c */
/* cflags: -pthread -DHOSPES_VERSION=\"test\" */
/* Event channels through the hypercall: both ABIs, wrong arguments, hostile queues, polling, reset, domains
 * that die. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/evtchn_port.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include "fake/fake.h"

static uint64_t frames_before;
static struct domain *a, *b; /* two guests of two vCPUs */

static int setup(void **state)
{
    (void)state;
    fake_settle();
    frames_before = frames_free();
    a = fake_domain(2, false);
    b = fake_domain(2, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_destroy(a);
    fake_destroy(b);
    assert_int_equal(frames_free(), frames_before);
    return 0;
}

/* --- calling -------------------------------------------------------------------------------------------- */

static int64_t op(struct domain *d, unsigned number, void *arg, size_t size)
{
    memcpy(fake_guest, arg, size);
    int64_t result =
        fake_hypercall(d->vcpu[0], __HYPERVISOR_event_channel_op, number, (uintptr_t)fake_guest, 0, 0);
    memcpy(arg, fake_guest, size);
    return result;
}
#define OP(d, name, arg) op((d), EVTCHNOP_##name, (arg), sizeof(*(arg)))

static int64_t alloc(struct domain *d, domid_t remote)
{
    struct evtchn_alloc_unbound alloc_op = {.dom = DOMID_SELF, .remote_dom = remote};
    int64_t error = OP(d, alloc_unbound, &alloc_op);
    return error ? error : alloc_op.port;
}

static int64_t bind(struct domain *d, struct domain *rd, evtchn_port_t remote)
{
    struct evtchn_bind_interdomain bind_op = {.remote_dom = rd->id, .remote_port = remote};
    int64_t error = OP(d, bind_interdomain, &bind_op);
    return error ? error : bind_op.local_port;
}

static int64_t bind_virq(struct domain *d, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq virq_op = {.virq = virq, .vcpu = vcpu};
    int64_t error = OP(d, bind_virq, &virq_op);
    return error ? error : virq_op.port;
}

static int64_t bind_ipi(struct domain *d, uint32_t vcpu)
{
    struct evtchn_bind_ipi ipi_op = {.vcpu = vcpu};
    int64_t error = OP(d, bind_ipi, &ipi_op);
    return error ? error : ipi_op.port;
}

static int64_t port_op(struct domain *d, unsigned number, evtchn_port_t port)
{
    return op(d, number, &port, sizeof(port));
}
#define SEND(d, port)   port_op((d), EVTCHNOP_send, (port))
#define CLOSE(d, port)  port_op((d), EVTCHNOP_close, (port))
#define UNMASK(d, port) port_op((d), EVTCHNOP_unmask, (port))

static unsigned status(struct domain *d, evtchn_port_t port)
{
    struct evtchn_status status_op = {.dom = DOMID_SELF, .port = port};
    assert_int_equal(OP(d, status, &status_op), 0);
    return status_op.status;
}

static bool pending_2l(struct domain *d, evtchn_port_t port)
{
    return d->shared_info->evtchn_pending[port / 64] >> port % 64 & 1;
}

static void clear_2l(struct domain *d, struct vcpu *v)
{
    memset(d->shared_info->evtchn_pending, 0, sizeof(d->shared_info->evtchn_pending));
    v->info->evtchn_pending_sel = 0;
    v->info->evtchn_upcall_pending = 0;
}

/* A joined pair: a's port, and b's through *other. */
static evtchn_port_t join(evtchn_port_t *other)
{
    int64_t port = alloc(a, b->id);
    assert_true(port > 0);
    int64_t remote = bind(b, a, port);
    assert_true(remote > 0);
    clear_2l(b, b->vcpu[0]); /* binding raises it once */
    *other = remote;
    return port;
}

/* --- opening and closing -------------------------------------------------------------------------------- */

static void test_lowest_port_first(void **state)
{
    (void)state;
    for (int64_t port = 1; port <= 300; port++)
        assert_int_equal(alloc(a, b->id), port);
    assert_int_equal(CLOSE(a, 7), 0);
    assert_int_equal(CLOSE(a, 250), 0);
    assert_int_equal(CLOSE(a, 7), -XEN_EINVAL);
    assert_int_equal(alloc(a, b->id), 7);
    assert_int_equal(alloc(a, b->id), 250);
    assert_int_equal(alloc(a, b->id), 301);
}

static void test_port_limit(void **state)
{
    (void)state;
    a->evtchn->max_port = 130;
    for (int64_t port = 1; port <= 130; port++)
        assert_int_equal(bind_ipi(a, port % 2), port);
    assert_int_equal(bind_ipi(a, 0), -XEN_ENOSPC);
    assert_int_equal(alloc(a, b->id), -XEN_ENOSPC);
    assert_int_equal(CLOSE(a, 130), 0);
    assert_int_equal(bind_ipi(a, 0), 130);
    /* The 2-level ABI has no more than 4096, whatever the domain may have. */
    for (int64_t port = 1; port < 4096; port++)
        assert_int_equal(bind_ipi(b, 0), port);
    assert_int_equal(bind_ipi(b, 0), -XEN_ENOSPC);
}

static void test_bind_checks(void **state)
{
    (void)state;
    int64_t for_a = alloc(a, DOMID_SELF), for_b = alloc(a, b->id);
    assert_int_equal(bind(b, a, for_a), -XEN_EINVAL);
    assert_int_equal(bind(b, a, 0), -XEN_EINVAL);
    assert_int_equal(bind(b, a, 100000), -XEN_EINVAL);
    assert_true(bind(b, a, for_b) > 0);
    assert_int_equal(bind(b, a, for_b), -XEN_EINVAL);
    struct evtchn_bind_interdomain nobody = {.remote_dom = 0x7000, .remote_port = 1};
    assert_int_equal(OP(a, bind_interdomain, &nobody), -XEN_ESRCH);
    struct evtchn_alloc_unbound foreign = {.dom = b->id, .remote_dom = a->id};
    assert_int_equal(OP(a, alloc_unbound, &foreign), -XEN_EPERM);

    assert_int_equal(bind_ipi(a, 2), -XEN_ENOENT);
    assert_int_equal(bind_virq(a, NR_VIRQS, 0), -XEN_EINVAL);
    assert_int_equal(bind_virq(a, VIRQ_TIMER, 2), -XEN_ENOENT);
    assert_int_equal(bind_virq(a, VIRQ_DOM_EXC, 1), -XEN_EINVAL);
    assert_true(bind_virq(a, VIRQ_TIMER, 1) > 0);
    assert_int_equal(bind_virq(a, VIRQ_TIMER, 1), -XEN_EEXIST);
    struct evtchn_bind_pirq pirq = {.pirq = 1};
    assert_int_equal(OP(a, bind_pirq, &pirq), -XEN_EINVAL);
    assert_int_equal(fake_hypercall(a->vcpu[0], __HYPERVISOR_event_channel_op, EVTCHNOP_send, 16, 0, 0),
                     -XEN_EFAULT);
    assert_int_equal(
        fake_hypercall(a->vcpu[0], __HYPERVISOR_event_channel_op, 99, (uintptr_t)fake_guest, 0, 0),
        -XEN_ENOSYS);
}

/* An argument may end where memory ends, and not behind. */
static void test_argument_at_the_end_of_memory(void **state)
{
    (void)state;
    struct evtchn_bind_ipi ipi_op = {0};
    char *end = fake_guest + FAKE_GUEST_SIZE - sizeof(ipi_op);
    memcpy(end, &ipi_op, sizeof(ipi_op));
    assert_int_equal(
        fake_hypercall(a->vcpu[0], __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, (uintptr_t)end, 0, 0),
        0);
    assert_int_equal(fake_hypercall(a->vcpu[0], __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi,
                                    (uintptr_t)end + 1, 0, 0),
                     -XEN_EFAULT);
    assert_int_equal(a->evtchn->active, 1);
}

static void test_close_of_a_pair(void **state)
{
    (void)state;
    evtchn_port_t theirs, mine = join(&theirs);
    assert_int_equal(status(a, mine), EVTCHNSTAT_interdomain);
    assert_int_equal(CLOSE(b, theirs), 0);
    assert_int_equal(status(b, theirs), EVTCHNSTAT_closed);
    assert_int_equal(status(a, mine), EVTCHNSTAT_unbound); /* for b to bind again */
    assert_int_equal(SEND(a, mine), 0);
    assert_int_equal(bind(b, a, mine), theirs);
    assert_int_equal(status(a, 0), EVTCHNSTAT_closed);
    assert_int_equal(CLOSE(a, 0), -XEN_EINVAL);

    int64_t loop = alloc(a, DOMID_SELF), back = bind(a, a, loop);
    assert_true(back > 0);
    assert_int_equal(SEND(a, loop), 0);
    assert_true(pending_2l(a, back));
    assert_int_equal(CLOSE(a, loop), 0);
    assert_int_equal(status(a, back), EVTCHNSTAT_unbound);
}

/* --- sending, 2-level ----------------------------------------------------------------------------------- */

static void test_send_2l(void **state)
{
    (void)state;
    evtchn_port_t theirs, mine = join(&theirs);
    unsigned upcalls = b->vcpu[0]->arch->upcalls;
    assert_int_equal(SEND(a, mine), 0);
    assert_int_equal(SEND(a, mine), 0);
    assert_true(pending_2l(b, theirs));
    assert_int_equal(b->vcpu[0]->info->evtchn_pending_sel, 1);
    assert_int_equal(b->vcpu[0]->info->evtchn_upcall_pending, 1);
    assert_int_equal(b->vcpu[0]->arch->upcalls, upcalls + 1);

    clear_2l(b, b->vcpu[0]);
    b->shared_info->evtchn_mask[0] = ~0ull;
    assert_int_equal(SEND(a, mine), 0);
    assert_int_equal(b->vcpu[0]->info->evtchn_upcall_pending, 0);
    assert_int_equal(UNMASK(b, theirs), 0);
    assert_int_equal(b->vcpu[0]->info->evtchn_upcall_pending, 1);

    clear_2l(b, b->vcpu[0]);
    b->shared_info->evtchn_mask[0] = 0;
    struct evtchn_bind_vcpu move = {.port = theirs, .vcpu = 1};
    assert_int_equal(OP(b, bind_vcpu, &move), 0);
    assert_int_equal(SEND(a, mine), 0);
    assert_int_equal(b->vcpu[0]->info->evtchn_upcall_pending, 0);
    assert_int_equal(b->vcpu[1]->info->evtchn_upcall_pending, 1);
    move.vcpu = 2;
    assert_int_equal(OP(b, bind_vcpu, &move), -XEN_ENOENT);

    assert_int_equal(SEND(a, 0), -XEN_EINVAL);
    assert_int_equal(SEND(a, 99999), -XEN_EINVAL);
    assert_int_equal(SEND(a, bind_virq(a, VIRQ_TIMER, 0)), -XEN_EINVAL);
    assert_int_equal(UNMASK(a, 99999), -XEN_EINVAL);
    struct evtchn_set_priority priority = {.port = mine, .priority = 1};
    assert_int_equal(OP(a, set_priority, &priority), -XEN_ENOSYS);
}

/* The toolstack is still making the other domain: its first vCPU finds the event when there is one. */
static void test_send_to_a_domain_without_vcpus(void **state)
{
    struct domain *young;
    (void)state;
    assert_int_equal(domain_create(DOMID_INVALID, b->config, false, &young), 0);
    int64_t remote = evtchn_alloc_unbound(young, a->id);
    int64_t port = bind(a, young, remote);
    assert_true(remote > 0 && port > 0);
    assert_int_equal(SEND(a, port), 0);
    assert_true(pending_2l(young, remote));

    assert_int_equal(vcpu_create(young, 0), 0);
    assert_int_equal(SEND(a, port), 0);
    assert_int_equal(young->vcpu[0]->info->evtchn_upcall_pending, 0);
    young->shared_info->evtchn_mask[0] = ~0ul;
    assert_int_equal(UNMASK(young, remote), 0);
    assert_int_equal(young->vcpu[0]->info->evtchn_upcall_pending, 1);
    fake_destroy(young);
}

static void test_virqs(void **state)
{
    (void)state;
    int64_t timer = bind_virq(a, VIRQ_TIMER, 1), global = bind_virq(a, VIRQ_DOM_EXC, 0);
    evtchn_send_virq(a->vcpu[0], VIRQ_TIMER); /* not bound there */
    assert_false(pending_2l(a, timer));
    evtchn_send_virq(a->vcpu[1], VIRQ_TIMER);
    assert_true(pending_2l(a, timer));
    assert_int_equal(a->vcpu[1]->info->evtchn_upcall_pending, 1);

    struct evtchn_bind_vcpu move = {.port = timer, .vcpu = 0};
    assert_int_equal(OP(a, bind_vcpu, &move), -XEN_EINVAL);
    move.port = global;
    move.vcpu = 1;
    assert_int_equal(OP(a, bind_vcpu, &move), 0);
    evtchn_send_global_virq(a, VIRQ_DOM_EXC);
    assert_true(pending_2l(a, global));
    assert_int_equal(CLOSE(a, timer), 0);
    assert_int_equal(CLOSE(a, global), 0);
    assert_false(pending_2l(a, global)); /* the next owner finds it silent */
    evtchn_send_virq(a->vcpu[1], VIRQ_TIMER);
    evtchn_send_global_virq(a, VIRQ_DOM_EXC);
    assert_true(bind_virq(a, VIRQ_DOM_EXC, 0) > 0);
}

/* --- FIFO ----------------------------------------------------------------------------------------------- */

#define CONTROL_GFN 10
#define ARRAY_GFN   20
#define LINK_MASK   ((1u << EVTCHN_FIFO_LINK_BITS) - 1)

static struct evtchn_fifo_control_block *control[2];
static event_word_t *words;

static void use_fifo(struct domain *d)
{
    for (unsigned i = 0; i < 2; i++) {
        control[i] = fake_page(d, CONTROL_GFN + i);
        struct evtchn_init_control init = {.control_gfn = CONTROL_GFN + i, .vcpu = i};
        assert_int_equal(OP(d, init_control, &init), 0);
        assert_int_equal(init.link_bits, EVTCHN_FIFO_LINK_BITS);
    }
    words = fake_page(d, ARRAY_GFN);
    struct evtchn_expand_array expand = {.array_gfn = ARRAY_GFN};
    assert_int_equal(OP(d, expand_array, &expand), 0);
}

/* What a guest does: the next port of the queue, 0 when it is empty. */
static evtchn_port_t consume(unsigned vcpu, unsigned priority)
{
    evtchn_port_t port = control[vcpu]->head[priority];
    if (!port)
        return 0;
    event_word_t word = words[port];
    words[port] = word & ~(1u << EVTCHN_FIFO_LINKED | LINK_MASK | 1u << EVTCHN_FIFO_PENDING);
    control[vcpu]->head[priority] = word & LINK_MASK;
    if (!(word & LINK_MASK))
        control[vcpu]->ready &= ~(1u << priority);
    return word >> EVTCHN_FIFO_PENDING & 1 ? port : 0;
}

static void test_fifo_order(void **state)
{
    (void)state;
    use_fifo(a);
    evtchn_port_t port[5];
    for (unsigned i = 0; i < 5; i++)
        port[i] = bind_ipi(a, 0);
    struct evtchn_set_priority high = {.port = port[4], .priority = 3};
    assert_int_equal(OP(a, set_priority, &high), 0);

    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(SEND(a, port[4 - i]), 0);
    assert_int_equal(control[0]->ready, 1u << 3 | 1u << EVTCHN_FIFO_PRIORITY_DEFAULT);
    assert_int_equal(a->vcpu[0]->info->evtchn_upcall_pending, 1);
    assert_int_equal(consume(0, 3), port[4]);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), port[4 - i]);
    assert_int_equal(control[0]->ready, 0);

    words[port[0]] |= 1u << EVTCHN_FIFO_MASKED;
    assert_int_equal(SEND(a, port[0]), 0);
    assert_int_equal(control[0]->ready, 0);
    assert_int_equal(UNMASK(a, port[0]), 0);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), port[0]);

    high.priority = EVTCHN_FIFO_PRIORITY_MIN + 1;
    assert_int_equal(OP(a, set_priority, &high), -XEN_EINVAL);
    high.port = port[4] + 1;
    assert_int_equal(OP(a, set_priority, &high), -XEN_EACCES);
}

/* An event that changes its queue while it is the tail of another one must not drag that along. */
static void test_fifo_queue_change(void **state)
{
    (void)state;
    use_fifo(a);
    evtchn_port_t remote = alloc(b, a->id), moving = bind(a, b, remote), staying = bind_ipi(a, 0);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), moving); /* from binding */
    assert_int_equal(SEND(b, remote), 0);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), moving);
    struct evtchn_bind_vcpu move = {.port = moving, .vcpu = 1};
    assert_int_equal(OP(a, bind_vcpu, &move), 0);
    assert_int_equal(SEND(b, remote), 0);
    assert_int_equal(SEND(a, staying), 0);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), staying);
    assert_int_equal(consume(1, EVTCHN_FIFO_PRIORITY_DEFAULT), moving);
}

static void test_fifo_setup_checks(void **state)
{
    (void)state;
    struct evtchn_expand_array expand = {.array_gfn = ARRAY_GFN};
    assert_int_equal(OP(a, expand_array, &expand), -XEN_EOPNOTSUPP);
    struct evtchn_init_control init = {.control_gfn = CONTROL_GFN, .vcpu = 2};
    assert_int_equal(OP(a, init_control, &init), -XEN_ENOENT);
    init.vcpu = 0;
    assert_int_equal(OP(a, init_control, &init), -XEN_EINVAL); /* no such page */
    fake_page(a, CONTROL_GFN);
    init.offset = 4;
    assert_int_equal(OP(a, init_control, &init), -XEN_EINVAL);
    init.offset = PAGE_SIZE - 8;
    assert_int_equal(OP(a, init_control, &init), -XEN_EINVAL);
    assert_null(a->evtchn->fifo);

    /* What was pending in the 2-level ABI is delivered once there is a word for it. */
    evtchn_port_t port = bind_ipi(a, 0);
    a->shared_info->evtchn_mask[0] = ~0ull;
    assert_int_equal(SEND(a, port), 0);
    init.offset = PAGE_SIZE - sizeof(struct evtchn_fifo_control_block);
    assert_int_equal(OP(a, init_control, &init), 0);
    assert_int_equal(OP(a, init_control, &init), -XEN_EINVAL); /* twice */
    words = fake_page(a, ARRAY_GFN);
    assert_int_equal(OP(a, expand_array, &expand), 0);
    assert_true(words[port] >> EVTCHN_FIFO_PENDING & 1);
    expand.array_gfn = 999;
    assert_int_equal(OP(a, expand_array, &expand), -XEN_EINVAL);
    expand.array_gfn = ARRAY_GFN; /* the same page again is the guest's own business */
    for (unsigned i = 1; i < EVTCHN_FIFO_NR_CHANNELS / (PAGE_SIZE / 4); i++)
        assert_int_equal(OP(a, expand_array, &expand), 0);
    assert_int_equal(OP(a, expand_array, &expand), -XEN_ENOSPC);
}

/* A guest scribbles over words and heads: whatever happens to its events, we neither hang nor touch anything
 * else. */
static void test_fifo_hostile(void **state)
{
    (void)state;
    use_fifo(a);
    evtchn_port_t port[64];
    for (unsigned i = 0; i < 64; i++)
        port[i] = bind_ipi(a, i % 2);
    srand(2);
    for (unsigned round = 0; round < 20000; round++) {
        evtchn_port_t p = port[rand() % 64];
        switch (rand() % 8) {
        case 0:
            words[rand() % 1024] = (uint32_t)rand() << 16 ^ (uint32_t)rand();
            break;
        case 1:
            control[rand() % 2]->head[rand() % 16] = (uint32_t)rand();
            break;
        case 2:
            control[rand() % 2]->ready = (uint32_t)rand();
            break;
        case 3:
            UNMASK(a, p);
            break;
        case 4: {
            struct evtchn_set_priority priority = {.port = p, .priority = (uint32_t)rand() % 20};
            OP(a, set_priority, &priority);
            break;
        }
        case 5:
            CLOSE(a, p);
            bind_ipi(a, 0);
            break;
        default:
            SEND(a, p);
        }
    }
    /* Ports that are still linked in the guest's eyes are not given out again. */
    CLOSE(a, port[0]);
    words[port[0]] = 1u << EVTCHN_FIFO_LINKED;
    for (unsigned i = 0; i < 100; i++)
        assert_int_not_equal(bind_ipi(a, 0), port[0]);
    words[port[0]] = 0;
    assert_int_equal(bind_ipi(a, 0), port[0]);
}

static bool scribbling;

static void *scribble(void *arg)
{
    (void)arg;
    uint32_t x = 1;
    while (__atomic_load_n(&scribbling, __ATOMIC_RELAXED)) {
        x = x * 1664525 + 1013904223;
        words[x >> 22] = x;
        words[x >> 20 & 127] ^= 1u << EVTCHN_FIFO_LINKED;
    }
    return NULL;
}

static void test_fifo_scribbled_while_linking(void **state)
{
    (void)state;
    pthread_t thread;
    use_fifo(a);
    evtchn_port_t first = bind_ipi(a, 0);
    for (unsigned i = 1; i < 100; i++)
        bind_ipi(a, i % 2);
    __atomic_store_n(&scribbling, true, __ATOMIC_RELAXED);
    pthread_create(&thread, NULL, scribble, NULL);
    for (unsigned i = 0; i < 200000; i++)
        SEND(a, first + i % 100);
    __atomic_store_n(&scribbling, false, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

/* --- reset ---------------------------------------------------------------------------------------------- */

static void test_reset(void **state)
{
    (void)state;
    use_fifo(a);
    for (unsigned i = 0; i < 1500; i++)
        assert_true(bind_ipi(a, 0) > 0);
    struct evtchn_reset self = {.dom = DOMID_SELF}, other = {.dom = b->id};
    assert_int_equal(OP(a, reset, &other), -XEN_EPERM);
    assert_int_equal(op(a, 14, &self, sizeof(self)), -XEN_EBUSY); /* nothing to go on with */
    assert_int_equal(OP(a, reset, &self), 0);
    assert_int_equal(a->evtchn->active, 0);
    assert_null(a->evtchn->fifo);
    assert_int_equal(bind_ipi(a, 0), 1);
    assert_int_equal(SEND(a, 1), 0);
    assert_true(pending_2l(a, 1));
}

/* --- poll ----------------------------------------------------------------------------------------------- */

static int64_t poll_ports(struct vcpu *v, evtchn_port_t *ports, unsigned count, ns_t timeout)
{
    struct sched_poll poll = {.nr_ports = count, .timeout = timeout};
    memcpy(fake_guest + 64, ports, count * sizeof(*ports));
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)(fake_guest + 64));
    memcpy(fake_guest, &poll, sizeof(poll));
    return fake_hypercall(v, __HYPERVISOR_sched_op, SCHEDOP_poll, (uintptr_t)fake_guest, 0, 0);
}

static void test_poll(void **state)
{
    (void)state;
    struct vcpu *v = a->vcpu[1];
    evtchn_port_t ports[3] = {bind_ipi(a, 0), bind_ipi(a, 0), bind_ipi(a, 0)};
    a->shared_info->evtchn_mask[0] = ~0ull; /* pollers see masked events too */

    assert_int_equal(poll_ports(v, ports, 1, 0), 0);
    assert_int_equal(v->stopped, VCPU_BLOCKED);
    assert_int_equal(SEND(a, ports[1]), 0);
    assert_int_equal(v->stopped, VCPU_BLOCKED);
    assert_int_equal(SEND(a, ports[0]), 0);
    assert_int_equal(v->stopped, 0);
    assert_int_equal(a->evtchn->pollers, 0);

    assert_int_equal(poll_ports(v, ports, 3, 0), 0); /* pending already */
    assert_int_equal(v->stopped, 0);
    clear_2l(a, v);
    assert_int_equal(poll_ports(v, ports, 3, 0), 0);
    assert_int_equal(v->stopped, VCPU_BLOCKED);
    assert_int_equal(SEND(a, ports[2]), 0);
    assert_int_equal(v->stopped, 0);

    clear_2l(a, v);
    assert_int_equal(poll_ports(v, ports, 1, fake_now + 1000), 0);
    fake_advance(999);
    assert_int_equal(v->stopped, VCPU_BLOCKED);
    fake_advance(1);
    assert_int_equal(v->stopped, 0);

    ports[1] = 100000;
    assert_int_equal(poll_ports(v, ports, 2, 0), -XEN_EINVAL);
    assert_int_equal(poll_ports(v, ports, 129, 0), -XEN_EINVAL);
    assert_int_equal(v->stopped, 0);
    assert_int_equal(a->evtchn->pollers, 0);
}

/* --- domains that die ----------------------------------------------------------------------------------- */

static void test_death_parts_pairs(void **state)
{
    (void)state;
    evtchn_port_t theirs[1200], mine[1200];
    for (unsigned i = 0; i < 1200; i++)
        mine[i] = join(&theirs[i]);
    int64_t half_bound = alloc(b, a->id);
    fake_destroy(b);
    for (unsigned i = 0; i < 1200; i++) {
        assert_int_equal(status(a, mine[i]), EVTCHNSTAT_unbound);
        assert_int_equal(SEND(a, mine[i]), 0);
    }
    struct evtchn_bind_interdomain late = {.remote_dom = b->id, .remote_port = half_bound};
    assert_int_equal(OP(a, bind_interdomain, &late), -XEN_ESRCH);
    b = fake_domain(2, false);
}

static void *kill_other(void *domain)
{
    fake_cpu(1);
    while (evtchn_domain_kill(domain) == HYPERCALL_RESTART)
        ;
    return NULL;
}

/* Both ends close at the same time, on two CPUs. */
static void test_two_deaths_at_once(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        pthread_t thread;
        evtchn_port_t theirs;
        for (unsigned i = 0; i < 600; i++)
            join(&theirs);
        a->evtchn->next_kill = b->evtchn->next_kill = 1;
        pthread_create(&thread, NULL, kill_other, b);
        while (evtchn_domain_kill(a) == HYPERCALL_RESTART)
            ;
        pthread_join(thread, NULL);
        assert_int_equal(a->evtchn->active, 0);
        assert_int_equal(b->evtchn->active, 0);
    }
}

/* --- multicall ------------------------------------------------------------------------------------------ */

static void test_multicall(void **state)
{
    (void)state;
    struct multicall_entry *list = (struct multicall_entry *)fake_guest;
    uint32_t *ipi = (uint32_t *)(fake_guest + 4096); /* struct evtchn_bind_ipi: vcpu, port */
    ipi[0] = 0;
    memset(list, 0, 4 * sizeof(*list));
    list[0].op = __HYPERVISOR_event_channel_op;
    list[0].args[0] = EVTCHNOP_bind_ipi;
    list[0].args[1] = (uintptr_t)ipi;
    list[1].op = __HYPERVISOR_multicall;
    list[2].op = 0x123456789;
    list[3].op = __HYPERVISOR_xen_version;
    assert_int_equal(fake_hypercall(a->vcpu[0], __HYPERVISOR_multicall, (uintptr_t)list, 4, 0, 0), 0);
    assert_int_equal(list[0].result, 0);
    assert_int_equal(ipi[1], 1);
    assert_int_equal((int64_t)list[1].result, -XEN_EINVAL);
    assert_int_equal((int64_t)list[2].result, -XEN_ENOSYS);
    assert_int_equal(list[3].result, 4 << 16 | 17);

    /* One that is continued: reset of many ports. */
    for (unsigned i = 0; i < 2000; i++)
        assert_true(bind_ipi(a, 0) > 0);
    memset(list, 0, 2 * sizeof(*list));
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    memcpy(ipi, &reset, sizeof(reset));
    list[0].op = __HYPERVISOR_event_channel_op;
    list[0].args[0] = EVTCHNOP_reset;
    list[0].args[1] = (uintptr_t)ipi;
    list[0].result = 77;
    list[1].op = __HYPERVISOR_xen_version;
    assert_int_equal(fake_hypercall(a->vcpu[0], __HYPERVISOR_multicall, (uintptr_t)list, 2, 0, 0), 0);
    assert_int_equal(list[0].result, 0);
    assert_int_equal(list[1].result, 4 << 16 | 17);
    assert_int_equal(a->evtchn->active, 0);

    /* Ends where the list leaves the guest's memory. */
    list = (struct multicall_entry *)(fake_guest + FAKE_GUEST_SIZE) - 1;
    list->op = __HYPERVISOR_xen_version;
    assert_int_equal(fake_hypercall(a->vcpu[0], __HYPERVISOR_multicall, (uintptr_t)list, 2, 0, 0),
                     -XEN_EFAULT);
    assert_int_equal(list->result, 4 << 16 | 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lowest_port_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bind_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_argument_at_the_end_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_of_a_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_2l, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_to_a_domain_without_vcpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_virqs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo_queue_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo_setup_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo_scribbled_while_linking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_death_parts_pairs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_deaths_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_multicall, setup, teardown),
    };
    fake_boot(2);
    struct domain *control = fake_domain(1, true);
    vcpu_stop(control->vcpu[0], VCPU_BLOCKED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
