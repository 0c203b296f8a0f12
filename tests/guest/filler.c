/*
 * Fills xenstore until it is refused: nodes, large values, watches, transactions that are never ended. Speaks
 * the wire protocol (xen/io/xs_wire.h) over the store's ring. Passes when each kind comes to its end by an
 * error.
 */
#include "check.h"
#include <lib/printf.h>
#include <xen/io/xs_wire.h>

#define TRIES 20000

static struct xenstore_domain_interface *ring;
static evtchn_port_t port;

static bool wait_until(bool (*ready)(void))
{
    uint64_t end = pvh_time_ns() + 20 * SECOND;
    while (!ready() && pvh_time_ns() < end) {
        event_send(port);
        struct sched_poll poll = {.nr_ports = 0, .timeout = pvh_time_ns() + MILLISECOND};
        OP(sched_op, SCHEDOP_poll, &poll);
    }
    return ready();
}

static bool has_room(void)
{
    return ring->req_prod - __atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE) < XENSTORE_RING_SIZE;
}

static bool has_answer(void)
{
    return __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE) != ring->rsp_cons;
}

static bool put(const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!has_room() && !wait_until(has_room))
            return false;
        ring->req[MASK_XENSTORE_IDX(ring->req_prod)] = ((const char *)data)[i];
        __atomic_store_n(&ring->req_prod, ring->req_prod + 1, __ATOMIC_RELEASE);
    }
    return true;
}

static bool get(void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!has_answer() && !wait_until(has_answer))
            return false;
        char c = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons)];
        if (data != NULL)
            ((char *)data)[i] = c;
        __atomic_store_n(&ring->rsp_cons, ring->rsp_cons + 1, __ATOMIC_RELEASE);
    }
    return true;
}

/* One request and its answer: XS_ERROR, another type, or 0 when the store does not answer. */
static uint32_t ask(uint32_t type, const void *body, uint32_t length)
{
    struct xsd_sockmsg head = {.type = type, .req_id = 7, .len = length};
    if (!put(&head, sizeof(head)) || !put(body, length))
        return 0;
    event_send(port);
    do { /* watches fire in between */
        if (!get(&head, sizeof(head)) || head.len > XENSTORE_PAYLOAD_MAX || !get(NULL, head.len))
            return 0;
    } while (head.type == XS_WATCH_EVENT);
    event_send(port);
    return head.type;
}

/* Repeats a request with a new name each time until the store refuses it. */
static bool refused_at_last(uint32_t type, const char *format, uint32_t extra)
{
    static char body[XENSTORE_PAYLOAD_MAX];
    for (unsigned i = 0; i < TRIES; i++) {
        memset(body, 'x', sizeof(body));
        uint32_t length = (uint32_t)snprintf(body, sizeof(body), format, i) + 1;
        if (type == XS_WATCH)
            length += (uint32_t)snprintf(body + length, 8, "token") + 1;
        uint32_t answer = ask(type, body, length + extra);
        if (answer == 0)
            return false;
        if (answer == XS_ERROR) {
            pvh_printf("request %u refused after %u\n", type, i);
            return true;
        }
    }
    return false;
}

int main(void)
{
    uint64_t frame = 0, channel = 0;
    EXPECT_EQ(event_init(), 0);
    EXPECT_EQ(hvm_param_get(HVM_PARAM_STORE_PFN, &frame), 0);
    EXPECT_EQ(hvm_param_get(HVM_PARAM_STORE_EVTCHN, &channel), 0);
    ring = (struct xenstore_domain_interface *)(frame << PAGE_SHIFT);
    port = (evtchn_port_t)channel;
    EXPECT(refused_at_last(XS_WRITE, "data/node%u", 1000));
    EXPECT(refused_at_last(XS_WATCH, "data/watch%u", 0));
    EXPECT(refused_at_last(XS_TRANSACTION_START, "", 0));
    EXPECT_EQ(ask(XS_WRITE, "/local/domain/0/name\0evil", 25), XS_ERROR);
    EXPECT_EQ(ask(9999, "x", 2), XS_ERROR);

    /* A header that promises more than any message may have: the store stops listening, to us alone. */
    struct xsd_sockmsg head = {.type = XS_READ, .len = ~0u};
    put(&head, sizeof(head));
    event_send(port);
    return verdict("filler");
}
