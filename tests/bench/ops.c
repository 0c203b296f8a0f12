/*
 * What one operation costs, in time-stamp ticks: with QEMU's -icount shift=0 and in Bochs a tick is one instruction
 * executed by the machine, so the figures are exact and repeat. Runs as dom0 on Hospes and on Xen alike and prints a
 * line "BENCH name ticks" for each operation.
 */
#include <pvh/apic.h>
#include <lib/x86.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>
#include <lib/string.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define ROUNDS 200u

static uint8_t *page, *other_page, *window;
static grant_ref_t page_ref = 20, other_ref = 21;

static bool failed; /* an operation did not do what is measured */

/* --- the operations ----------------------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void version(void)
{
    hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

static void cpuid_exit(void)
{
    cpuid(0, 0);
}

static evtchn_port_t channel;
static void event(void)
{
    event_send(channel);
}

static void timer_set(void)
{
    struct vcpu_set_singleshot_timer set = {.timeout_abs_ns = pvh_time_ns() + 1000000000000ull};
    hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uint64_t)&set, 0, 0);
}

static void grant_map_unmap(void)
{
    struct gnttab_map_grant_ref map = {
        .host_addr = (uint64_t)window, .flags = GNTMAP_host_map, .ref = page_ref, .dom = 0}; /* ourselves */
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)&map, 1, 0, 0);
    failed |= map.status != GNTST_okay;
    struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window, .handle = map.handle};
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&unmap, 1, 0, 0);
}

static void grant_copy(void)
{
    struct gnttab_copy copy = {
        .source = {.u.ref = page_ref, .domid = DOMID_SELF},
        .dest = {.u.ref = other_ref, .domid = DOMID_SELF},
        .len = PAGE_SIZE,
        .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
    };
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (uint64_t)&copy, 1, 0, 0);
    failed |= copy.status != GNTST_okay;
}

static void give_and_take(void)
{
    static xen_pfn_t frame;
    frame = (uint64_t)other_page >> PAGE_SHIFT;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &frame);
    hypercall(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, (uint64_t)&r, 0, 0, 0);
    hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (uint64_t)&r, 0, 0, 0);
}

/* --- setting up ------------------------------------------------------------------------------------------------------ */

static void expect(const char *what, long result)
{
    if (result < 0)
        pvh_panic("bench: %s: error %ld", what, result);
}

/* The grant table's first frame, with entries for our two pages, open to ourselves. */
static void prepare_grants(void)
{
    uint64_t table = memory_reserve_space(PAGE_SIZE);
    window = (uint8_t *)memory_reserve_space(PAGE_SIZE);
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = table >> PAGE_SHIFT};
    expect("mapping the grant table",
           hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&add, 0, 0, 0));
    volatile grant_entry_v1_t *entry = (void *)table;
    entry[page_ref].frame = (uint32_t)((uint64_t)page >> PAGE_SHIFT);
    entry[page_ref].flags = GTF_permit_access;
    entry[other_ref].frame = (uint32_t)((uint64_t)other_page >> PAGE_SHIFT);
    entry[other_ref].flags = GTF_permit_access;
}

static void prepare(void)
{
    page = page_alloc(1);
    other_page = page_alloc(1);
    memset(page, 1, PAGE_SIZE);
    memset(other_page, 2, PAGE_SIZE);
    expect("events", event_init());
    long port = event_alloc_unbound(DOMID_SELF, DOMID_SELF);
    expect("alloc_unbound", port);
    long peer = event_bind_interdomain(DOMID_SELF, (evtchn_port_t)port);
    expect("bind_interdomain", peer);
    channel = (evtchn_port_t)peer;
    event_mask((evtchn_port_t)port);
    prepare_grants();
}

static uint64_t measure(void (*operation)(void))
{
    uint64_t least = ~0ull;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t start = rdtsc_ordered();
        operation();
        uint64_t ticks = rdtsc_ordered() - start;
        least = ticks < least ? ticks : least;
    }
    return least;
}

/* --- the timer interrupt of a halted guest: from the moment it is due to the handler ---------------------------------- */

static volatile uint64_t timer_handled;

static void on_timer(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    timer_handled = pvh_time_ns();
}

static uint64_t timer_to_handler(void)
{
    uint64_t least = ~0ull;
    long port = event_bind_virq(VIRQ_TIMER, 0);
    expect("VIRQ_TIMER", port);
    event_handle((evtchn_port_t)port, on_timer, NULL);
    for (unsigned i = 0; i < 20; i++) {
        timer_handled = 0;
        uint64_t due = pvh_time_ns() + 200000;
        struct vcpu_set_singleshot_timer set = {.timeout_abs_ns = due};
        hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uint64_t)&set, 0, 0);
        while (!timer_handled)
            wait_for_interrupt();
        least = timer_handled - due < least ? timer_handled - due : least;
    }
    return least;
}

int main(void)
{
    static const struct {
        const char *name;
        void (*operation)(void);
    } operations[] = {
        {"xen_version", version},
        {"cpuid", cpuid_exit},
        {"event_send", event},
        {"timer_set", timer_set},
        {"grant_map_unmap", grant_map_unmap},
        {"grant_copy_4k", grant_copy},
        {"page_give_take", give_and_take},
    };
    prepare();
    char loop[32];
    if (pvh_option("loop", loop, sizeof loop)) /* for ever, under a profiler's eyes */
        for (unsigned i = 0; i < ARRAY_SIZE(operations); i++)
            while (!strcmp(loop, operations[i].name))
                operations[i].operation();
    uint64_t floor = measure(nothing);
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
        failed = false;
        uint64_t ticks = measure(operations[i].operation) - floor;
        pvh_printf(failed ? "BENCH %s failed\n" : "BENCH %s %lu\n", operations[i].name, ticks);
    }
    pvh_printf("BENCH timer_to_handler_ns %lu\n", timer_to_handler());
    return 0;
}
