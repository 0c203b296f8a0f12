/* event_channel_op over the two-level bit maps: every sub-operation, and delivery (xen/event_channel.h). */
#include "check.h"
#include <pvh/apic.h>

#define EVTCHN(command, argument) OP(event_channel_op, command, argument)

static volatile unsigned seen;
static volatile evtchn_port_t last_port;

static void on_event(evtchn_port_t port, void *arg)
{
    seen += (unsigned)(uintptr_t)arg;
    last_port = port;
}

static unsigned status_of(evtchn_port_t port, struct evtchn_status *status)
{
    *status = (struct evtchn_status){.dom = DOMID_SELF, .port = port};
    return EVTCHN(EVTCHNOP_status, status) == 0 ? status->status : ~0u;
}

/* Both ends in one domain: what is sent into one comes out of the other. */
static void test_interdomain(void)
{
    struct evtchn_status status;
    evtchn_port_t end = (evtchn_port_t)event_alloc_unbound(DOMID_SELF, DOMID_SELF);
    EXPECT((int)end > 0);
    EXPECT_EQ(status_of(end, &status), EVTCHNSTAT_unbound);
    EXPECT_EQ(event_send(end), 0); /* into an unbound channel: lost, no error */

    evtchn_port_t other = (evtchn_port_t)event_bind_interdomain(DOMID_SELF, end);
    EXPECT((int)other > 0 && other != end);
    EXPECT_EQ(status_of(other, &status), EVTCHNSTAT_interdomain);
    EXPECT_EQ(status.u.interdomain.port, end);
    EXPECT_EQ(status.vcpu, 0);
    EXPECT_EQ(event_bind_interdomain(DOMID_SELF, end), -XEN_EINVAL);

    event_clear(end);
    event_clear(other); /* binding makes the new end pending */
    seen = 0;
    event_handle(end, on_event, (void *)1);
    event_handle(other, on_event, (void *)100);
    take_interrupts();
    seen = 0;
    EXPECT_EQ(event_send(other), 0);
    take_interrupts();
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(last_port, end);
    EXPECT_EQ(event_send(end), 0);
    take_interrupts();
    EXPECT_EQ(seen, 101);

    /* Masked: pending but not delivered, until it is unmasked. */
    event_mask(end);
    EXPECT_EQ(event_send(other), 0);
    take_interrupts();
    EXPECT_EQ(seen, 101);
    EXPECT(event_pending(end));
    struct evtchn_unmask unmask = {.port = end};
    EXPECT_EQ(EVTCHN(EVTCHNOP_unmask, &unmask), 0);
    take_interrupts();
    EXPECT_EQ(seen, 102);

    EXPECT_EQ(event_close(end), 0);
    EXPECT_EQ(status_of(end, &status), EVTCHNSTAT_closed);
    EXPECT_EQ(status_of(other, &status), EVTCHNSTAT_unbound);
    EXPECT_EQ(event_close(other), 0);
    EXPECT_EQ(event_close(other), -XEN_EINVAL);
    EXPECT_EQ(event_send(other), -XEN_EINVAL);
}

static void test_ipi_and_virq(void)
{
    struct evtchn_status status;
    evtchn_port_t ipi = (evtchn_port_t)event_bind_ipi(0);
    EXPECT((int)ipi > 0);
    EXPECT_EQ(status_of(ipi, &status), EVTCHNSTAT_ipi);
    event_handle(ipi, on_event, (void *)1);
    seen = 0;
    EXPECT_EQ(event_send(ipi), 0);
    take_interrupts();
    EXPECT_EQ(seen, 1);
    struct evtchn_bind_vcpu move = {.port = ipi, .vcpu = 0};
    EXPECT_EQ(EVTCHN(EVTCHNOP_bind_vcpu, &move), -XEN_EINVAL); /* an IPI stays where it is */
    EXPECT_EQ(event_close(ipi), 0);
    EXPECT_EQ(event_bind_ipi(4000), -XEN_ENOENT);

    evtchn_port_t virq = (evtchn_port_t)event_bind_virq(VIRQ_DEBUG, 0);
    EXPECT((int)virq > 0);
    EXPECT_EQ(status_of(virq, &status), EVTCHNSTAT_virq);
    EXPECT_EQ(status.u.virq, VIRQ_DEBUG);
    EXPECT_EQ(event_bind_virq(VIRQ_DEBUG, 0), -XEN_EEXIST);
    EXPECT_EQ(event_send(virq), -XEN_EINVAL);
    EXPECT_EQ(event_close(virq), 0);
    EXPECT_EQ(event_bind_virq(NR_VIRQS, 0), -XEN_EINVAL);
    EXPECT_EQ(event_bind_virq(VIRQ_TIMER, 4000), -XEN_ENOENT);
}

static void test_refusals(void)
{
    EXPECT_EQ(event_send(0), -XEN_EINVAL);
    EXPECT_EQ(event_send(~0u), -XEN_EINVAL);
    EXPECT_EQ(event_close(0), -XEN_EINVAL);
    EXPECT_EQ(event_alloc_unbound(0x7000, 0), -XEN_ESRCH);
    EXPECT(event_bind_interdomain(0x7000, 1) < 0);
    EXPECT_EQ(event_bind_interdomain(DOMID_SELF, ~0u), -XEN_EINVAL);
    struct evtchn_status status = {.dom = DOMID_SELF, .port = ~0u};
    EXPECT_EQ(EVTCHN(EVTCHNOP_status, &status), -XEN_EINVAL);
    struct evtchn_unmask unmask = {.port = 0x100000};
    EXPECT_EQ(EVTCHN(EVTCHNOP_unmask, &unmask), -XEN_EINVAL);
    struct evtchn_bind_vcpu move = {.port = 0, .vcpu = 0};
    EXPECT(EVTCHN(EVTCHNOP_bind_vcpu, &move) < 0);
    struct evtchn_reset reset = {.dom = 0x7000};
    EXPECT(EVTCHN(EVTCHNOP_reset, &reset) < 0);
    EXPECT_EQ(EVTCHN(99, &reset), -XEN_ENOSYS);
    EXPECT_EQ(EVTCHN(EVTCHNOP_send, BAD_POINTER), -XEN_EFAULT);
}

/* There are as many ports as the two-level maps have bits, or fewer where the domain's creator said so. */
static void test_exhaustion(void)
{
    static evtchn_port_t ports[4096];
    unsigned count = 0;
    long port = 0;
    while (count < ARRAY_SIZE(ports) && (port = event_alloc_unbound(DOMID_SELF, DOMID_SELF)) > 0)
        ports[count++] = (evtchn_port_t)port;
    EXPECT(count > 500);
    EXPECT_EQ(port, -XEN_ENOSPC);
    while (count > 0)
        if (!EXPECT_EQ(event_close(ports[--count]), 0))
            break;
    port = event_alloc_unbound(DOMID_SELF, DOMID_SELF);
    EXPECT(port > 0);
    EXPECT_EQ(event_close((evtchn_port_t)port), 0);
}

/* The same through the local APIC: the per-vCPU upcall vector. */
static volatile unsigned upcalls;

static void on_upcall(struct trap_frame *frame)
{
    (void)frame;
    upcalls++;
    event_dispatch();

    apic_eoi();
}

static void test_upcall_vector(void)
{

    apic_init();
    interrupt_set(0x51, on_upcall);
    EXPECT_EQ(event_upcall_vector(0, 0x51), 0);
    evtchn_port_t ipi = (evtchn_port_t)event_bind_ipi(0);
    event_handle(ipi, on_event, (void *)1);
    seen = upcalls = 0;
    EXPECT_EQ(event_send(ipi), 0);
    take_interrupts();
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(upcalls, 1);
    EXPECT_EQ(event_close(ipi), 0);
    EXPECT(event_upcall_vector(0, 0x05) < 0);
    EXPECT(event_upcall_vector(4000, 0x51) < 0);
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    test_interdomain();
    test_ipi_and_virq();
    test_refusals();
    test_exhaustion();
    test_upcall_vector();
    return verdict("evtchn");
}
