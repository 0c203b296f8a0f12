/*
 * What it costs to reach another CPU, in instructions of the whole machine (see ops.c): runs as first domain
 * with two vCPUs on two CPUs, each on its own. Who waits sleeps, so that nothing but the way there and back
 * counts.
 */
#include <bench.h>
#include <lib/x86.h>
#include <pvh/apic.h>
#include <pvh/event.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>

#define VECTOR 0x40u

static uint32_t ids[2]; /* of the local APICs */
static volatile bool answered;

static void on_ipi(struct trap_frame *frame)
{
    (void)frame;
    apic_eoi();
    if (cpu_index() == 0)
        answered = true;
    else
        apic_ipi(ids[0], VECTOR);
}

static void answer_ipis(void *arg)
{
    (void)arg;
    for (;;)
        wait_for_interrupt();
}

static void ipi_there_and_back(void)
{
    answered = false;
    apic_ipi(ids[1], VECTOR);
    while (!answered)
        wait_for_interrupt();
}

static const struct operation operations[] = {
    {.name = "event_there_and_back", .operation = partner_call},
    {.name = "ipi_there_and_back", .operation = ipi_there_and_back},
};

int main(void)
{
    apic_init();
    expect("events", event_init());
    interrupt_set(VECTOR, on_ipi);
    expect("pinning", pin(0, 0, 0));
    expect("pinning", pin(0, 1, 1));
    long partner = partner_start();
    expect("a domain that answers", partner);
    expect("pinning", pin((domid_t)partner, 0, 1));
    if (cpu_apic_ids(ids, ARRAY_SIZE(ids)) < 2 || !smp_start(ids[1], answer_ipis, NULL))
        pvh_panic("bench: no second CPU");
    measure_all(operations, ARRAY_SIZE(operations));
    pvh_printf("BENCH end\n");
    return 0;
}
