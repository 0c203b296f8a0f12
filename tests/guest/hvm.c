/* hvm_op: parameters, callback, time (xen/hvm/hvm_op.h, xen/hvm/params.h). */
#include "check.h"

#define HVM(command, argument) OP(hvm_op, command, argument)

static volatile unsigned seen;

static void on_event(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    seen++;
}

static void on_callback(struct trap_frame *frame)
{
    (void)frame;
    event_dispatch();
}

/* The callback of the whole domain by another vector. */
static void test_callback(void)
{
    interrupt_set(0x61, on_callback);
    EXPECT_EQ(hvm_param_set(HVM_PARAM_CALLBACK_IRQ, (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | 0x61),
              0);
    evtchn_port_t ipi = (evtchn_port_t)event_bind_ipi(0);
    event_handle(ipi, on_event, NULL);
    EXPECT_EQ(event_send(ipi), 0);
    take_interrupts();
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(event_close(ipi), 0);
}

static void test_params(void)
{
    uint64_t value = 0;
    if (!pvh_is_dom0()) {
        EXPECT_EQ(hvm_param_get(HVM_PARAM_STORE_PFN, &value), 0);
        EXPECT(value != 0);
        EXPECT_EQ(hvm_param_get(HVM_PARAM_STORE_EVTCHN, &value), 0);
        EXPECT((uint32_t)value != 0);
        EXPECT_EQ(hvm_param_get(HVM_PARAM_CONSOLE_PFN, &value), 0);
        EXPECT(value != 0);
        EXPECT(hvm_param_set(HVM_PARAM_STORE_PFN, 1) < 0); /* the toolstack's */
    }
    EXPECT_EQ(hvm_param_get(HVM_NR_PARAMS, &value), -XEN_EINVAL);
    EXPECT_EQ(hvm_param_set(HVM_NR_PARAMS, 0), -XEN_EINVAL);
    EXPECT_EQ(hvm_param_get(~0u, &value), -XEN_EINVAL);

    struct xen_hvm_param param = {.domid = 0x7000, .index = HVM_PARAM_STORE_PFN};
    EXPECT(HVM(HVMOP_get_param, &param) < 0);
    EXPECT_EQ(HVM(HVMOP_get_param, BAD_POINTER), -XEN_EFAULT);
    EXPECT(HVM(HVMOP_set_evtchn_upcall_vector, BAD_POINTER) < 0);
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    struct xen_hvm_get_time now = {.now = 0};
    uint64_t before = pvh_time_ns();
    EXPECT_EQ(HVM(HVMOP_get_time, &now), 0);
    uint64_t after = pvh_time_ns();
    EXPECT(before <= now.now && now.now <= after);
    test_params();
    test_callback();
    EXPECT(HVM(999, NULL) < 0);
    return verdict("hvm");
}
