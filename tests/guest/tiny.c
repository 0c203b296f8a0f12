/*
 * A small idle domain, for tests of many: asks the store for the watches that a Linux guest has, says that it
 * is there, and then sleeps without any timer. Answers each character typed on its console, and counts what
 * its watches told.
 */
#include "check.h"
#include <xen/io/xs_wire.h>

static struct xenstore_domain_interface *ring;
static evtchn_port_t ports[2];
enum { STORE, CONSOLE };

/* Whole requests only, and all of them fit into the empty ring. */
static void put(const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ring->req[MASK_XENSTORE_IDX(ring->req_prod + (uint32_t)i)] = ((const char *)data)[i];
    __atomic_store_n(&ring->req_prod, ring->req_prod + (uint32_t)length, __ATOMIC_RELEASE);
}

static void ask_for_watches(void)
{
    static const char *const paths[] = {"control/shutdown", "device", "control/sysrq", "memory/target",
                                        "cpu"};
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        size_t length = strlen(paths[i]) + 1;
        struct xsd_sockmsg head = {.type = XS_WATCH, .req_id = i, .len = (uint32_t)length + 2};
        put(&head, sizeof head);
        put(paths[i], length);
        put("t", 2);
    }
    event_send(ports[STORE]);
}

/* Answers and watch events are not looked at; what was there is gone when this returns. */
static uint32_t drain(void)
{
    uint32_t there = __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE) - ring->rsp_cons;
    __atomic_store_n(&ring->rsp_cons, ring->rsp_cons + there, __ATOMIC_RELEASE);
    if (there)
        event_send(ports[STORE]);
    return there;
}

int main(void)
{
    uint64_t frame = 0, channel[2] = {0};
    uint32_t heard = 0;
    EXPECT_EQ(event_init(), 0);
    EXPECT_EQ(hvm_param_get(HVM_PARAM_STORE_PFN, &frame), 0);
    EXPECT_EQ(hvm_param_get(HVM_PARAM_STORE_EVTCHN, &channel[STORE]), 0);
    EXPECT_EQ(hvm_param_get(HVM_PARAM_CONSOLE_EVTCHN, &channel[CONSOLE]), 0);
    ring = (struct xenstore_domain_interface *)(frame << PAGE_SHIFT);
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
        ports[i] = (evtchn_port_t)channel[i];
    ask_for_watches();
    pvh_printf("tiny %s\n", pvh_cmdline());
    for (;;) {
        struct sched_poll poll = {.nr_ports = ARRAY_SIZE(ports)};
        set_xen_guest_handle(poll.ports, ports);
        for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
            event_clear(ports[i]);
        heard += drain();
        for (int c; (c = pvh_getchar()) >= 0;) {
            if (c == 'q')
                return 0;
            pvh_printf("alive %c, %u bytes of the store's\n", c, heard);
        }
        OP(sched_op, SCHEDOP_poll, &poll);
    }
}
