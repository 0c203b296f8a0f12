/*
 * What one operation costs, in time-stamp ticks: with QEMU's -icount shift=0,sleep=off and a native RDTSC,
 * and in Bochs, a tick is one instruction executed by the machine, so the figures are exact and repeat. Runs
 * as first domain on Hospes and on Xen alike and prints a line "BENCH name ticks" for each operation, with
 * " exits=number" where the hypervisor counts them; scripts/bench.py collects them.
 */
#include <bench.h>
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/apic.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define MSR_APIC_BASE    0x1bu
#define PORT_PCI_ADDRESS 0xcf8

static uint8_t *page, *other_page, *window;
static domid_t granter; /* a domain whose page number 1 is open to us by */
#define GRANTED 20u     /* this reference */

/* --- the operations; what has to be undone or got ready is done outside of the measured time ------------ */

static void version(void)
{
    hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

static void cpuid_exit(void)
{
    cpuid(0, 0);
}

static void msr_exit(void)
{
    rdmsr(MSR_APIC_BASE);
}

static void port_exit(void)
{
    inl(PORT_PCI_ADDRESS);
}

static void apic_exit(void)
{
    apic_read(APIC_TPR);
}

static void yield(void)
{
    must(hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0, 0));
}

static evtchn_port_t channel, peer;

static void event(void)
{
    event_send(channel);
}
static void event_mask_peer(void)
{
    event_mask(peer);
    event_clear(peer);
}
static void event_pend_peer(void)
{
    event_mask(peer);
    event_send(channel);
}

static volatile bool delivered;

static void on_event(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    delivered = true;
}

static void take_event(struct trap_frame *frame)
{
    (void)frame;
    event_dispatch();
}

/* From the hypercall to the handler's mark, on our own vCPU. */
static void event_to_handler(void)
{
    interrupts_on();
    event_send(channel);
    while (!delivered)
        ;
    interrupts_off();
}
static void event_open_peer(void)
{
    delivered = false;
    event_unmask(peer);
}

static void timer_set(void)
{
    struct vcpu_set_singleshot_timer set = {.timeout_abs_ns = pvh_time_ns() + 1000000000000ull};
    must(hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uint64_t)&set, 0, 0));
}

static grant_handle_t handle;

static void grant_map(void)
{
    struct gnttab_map_grant_ref map = {
        .host_addr = (uint64_t)window, .flags = GNTMAP_host_map, .ref = GRANTED, .dom = granter};
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)&map, 1, 0, 0);
    must(map.status);
    handle = map.handle;
}

static void grant_unmap(void)
{
    struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window, .handle = handle};
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&unmap, 1, 0, 0);
    must(unmap.status);
}

/* For devices only: what a back end does with the pages of a disk request. */
static void grant_pin_unpin(void)
{
    struct gnttab_map_grant_ref map = {.flags = GNTMAP_device_map, .ref = GRANTED, .dom = granter};
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)&map, 1, 0, 0);
    must(map.status);
    struct gnttab_unmap_grant_ref unmap = {.dev_bus_addr = map.dev_bus_addr, .handle = map.handle};
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&unmap, 1, 0, 0);
    must(unmap.status);
}

static void copy(uint16_t size)
{
    struct gnttab_copy copy = {
        .source = {.u.ref = GRANTED, .domid = granter},
        .dest = {.u.gmfn = (uint64_t)page >> PAGE_SHIFT, .domid = DOMID_SELF},
        .len = size,
        .flags = GNTCOPY_source_gref,
    };
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (uint64_t)&copy, 1, 0, 0);
    must(copy.status);
}
static void grant_copy_16(void)
{
    copy(16);
}
static void grant_copy_4k(void)
{
    copy(PAGE_SIZE);
}

static void reserve(unsigned command)
{
    static xen_pfn_t frame;
    frame = (uint64_t)other_page >> PAGE_SHIFT;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &frame);
    must(hypercall(__HYPERVISOR_memory_op, command, (uint64_t)&r, 0, 0, 0) - 1);
}
static void give_and_take(void)
{
    reserve(XENMEM_decrease_reservation);
    reserve(XENMEM_populate_physmap);
}

/* What was populated is there at once: no exit is left for the first access. */
static void repopulate(void)
{
    give_and_take();
}
static void touch(void)
{
    *(volatile uint8_t *)other_page = 1;
}

static void add_to_physmap(void)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = (uint64_t)window >> PAGE_SHIFT};
    must(hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&add, 0, 0, 0));
}
static void shared_info_home(void)
{
    struct xen_add_to_physmap add = {.domid = DOMID_SELF,
                                     .space = XENMAPSPACE_shared_info,
                                     .gpfn = (uint64_t)event_shared_info >> PAGE_SHIFT};
    must(hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&add, 0, 0, 0));
}

/* --- another domain: paused, as a toolstack asks for it; and one that answers ------------------------------ */

#define DOMAIN_PIECES 32u /* of 2 MiB */

static void domain_create_destroy(void)
{
    long domid = domain_create(DOMAIN_PIECES);
    must(domid < 0 ? domid : domain_destroy((domid_t)domid));
}

/* --- setting up ----------------------------------------------------------------------------------------- */

/* A domain that grants us a page: its grant table is filled in through a mapping of our own. */
static void prepare_grants(void)
{
    uint64_t table = memory_reserve_space(PAGE_SIZE);
    window = (uint8_t *)memory_reserve_space(PAGE_SIZE);
    long domid = domain_create(1);
    expect("a domain that grants", domid);
    granter = (domid_t)domid;
    xen_pfn_t frame = table >> PAGE_SHIFT;
    struct xen_mem_acquire_resource acquire = {
        .domid = granter, .type = XENMEM_resource_grant_table, .nr_frames = 1};
    set_xen_guest_handle(acquire.frame_list, &frame);
    expect("mapping its grant table",
           hypercall(__HYPERVISOR_memory_op, XENMEM_acquire_resource, (uint64_t)&acquire, 0, 0, 0));
    volatile grant_entry_v1_t *entry = (void *)table;
    entry[GRANTED].frame = 1;
    entry[GRANTED].flags = GTF_permit_access;
}

static void prepare(void)
{
    apic_init();
    page = page_alloc(1);
    other_page = page_alloc(1);
    memset(page, 1, PAGE_SIZE);
    memset(other_page, 2, PAGE_SIZE);
    expect("events", event_init());
    long port = event_alloc_unbound(DOMID_SELF, DOMID_SELF);
    expect("alloc_unbound", port);
    peer = (evtchn_port_t)port;
    port = event_bind_interdomain(DOMID_SELF, peer);
    expect("bind_interdomain", port);
    channel = (evtchn_port_t)port;
    event_handle(peer, on_event, NULL);
    event_mask(peer);
    interrupt_set(TRAP_EVENT, take_event);
    prepare_grants();
    expect("a domain that answers", partner_start());
}

/* --- a timer's interrupt, from the moment it is due to the handler -------------------------------------- */

static volatile uint64_t timer_handled;

static void on_timer(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
    timer_handled = rdtsc();
}

/* Ticks of the TSC at which the hypervisor's clock, whose pace vcpu_info tells, stands at ns. */
static uint64_t ticks_of_ns(uint64_t ns)
{
    const struct vcpu_time_info *t = &event_vcpu_info()->time;
    uint64_t delta = ns - t->system_time, shifted, rest;
    asm("divq %4"
        : "=a"(shifted), "=d"(rest)
        : "0"(delta << 32), "1"(delta >> 32), "r"((uint64_t)t->tsc_to_system_mul));
    return t->tsc_timestamp + (t->tsc_shift < 0 ? shifted << -t->tsc_shift : shifted >> t->tsc_shift);
}

static uint64_t timer_to_handler(bool halted)
{
    uint64_t least = ~0ull;
    for (unsigned i = 0; i < 20; i++) {
        timer_handled = 0;
        uint64_t due = pvh_time_ns() + 200000;
        struct vcpu_set_singleshot_timer set = {.timeout_abs_ns = due};
        hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uint64_t)&set, 0, 0);
        while (!timer_handled) {
            if (halted) {
                wait_for_interrupt();
            } else {
                interrupts_on();
                asm volatile("nop; nop; nop");
                interrupts_off();
            }
        }
        uint64_t late = timer_handled - ticks_of_ns(due);
        least = late < least ? late : least;
    }
    return least;
}

static const struct operation operations[] = {
    {.name = "xen_version", .operation = version},
    {.name = "cpuid", .operation = cpuid_exit},
    {.name = "msr_read", .operation = msr_exit},
    {.name = "port_read", .operation = port_exit},
    {.name = "apic_read", .operation = apic_exit},
    {.name = "yield", .operation = yield},
    {.name = "timer_set", .operation = timer_set},
    {.name = "event_masked", .operation = event, .before = event_mask_peer},
    {.name = "event_pending", .operation = event, .before = event_pend_peer},
    {.name = "event_delivered", .operation = event_to_handler, .before = event_open_peer},
    {.name = "event_there_and_back", .operation = partner_call},
    {.name = "grant_map", .operation = grant_map, .after = grant_unmap},
    {.name = "grant_unmap", .operation = grant_unmap, .before = grant_map},
    {.name = "grant_pin_unpin", .operation = grant_pin_unpin},
    {.name = "grant_copy_16", .operation = grant_copy_16},
    {.name = "grant_copy_4k", .operation = grant_copy_4k},
    {.name = "page_give_take", .operation = give_and_take},
    {.name = "first_touch", .operation = touch, .before = repopulate},
    {.name = "add_to_physmap", .operation = add_to_physmap, .after = shared_info_home},
    {.name = "domain_create_destroy", .operation = domain_create_destroy, .rounds = 5},
};

/* What of the machine's memory is neither free nor a domain's. */
static void report_memory(void)
{
    static struct xen_sysctl op;
    static struct xen_domctl own;
    op = (struct xen_sysctl){.cmd = XEN_SYSCTL_physinfo, .interface_version = XEN_SYSCTL_INTERFACE_VERSION};
    must(hypercall(__HYPERVISOR_sysctl, (uint64_t)&op, 0, 0, 0, 0));
    must(control(&own, XEN_DOMCTL_getdomaininfo, 0));
    uint64_t used = own.u.getdomaininfo.tot_pages + op.u.physinfo.free_pages + op.u.physinfo.scrub_pages;
    pvh_printf("BENCH pages_of_domains_and_free %lu\n", used);
}

/* With loop=NAME on the command line: for ever that operation, under a profiler's eyes
 * (scripts/bench_profile.py), which is told first what it should take, and how much more the measuring does.
 */
static void loop(void)
{
    char name[32];
    if (!pvh_option("loop", name, sizeof name))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++)
        if (!strcmp(name, operations[i].name)) {
            measure_all(operations, i); /* or it might find things in another state than in the table */
            uint64_t floor = measure(&measure_nothing);
            report("floor", floor, -1);
            report("loop", measure(&operations[i]) - floor, -1);
            for (;;)
                measure(&operations[i]);
        }
    pvh_printf("BENCH end\n");
    pvh_shutdown(SHUTDOWN_poweroff);
}

int main(void)
{
    uint64_t started = rdtsc();
    pvh_printf("BENCH power_on_to_dom0 %lu\n", started);
    report_memory();
    prepare();
    loop();
    measure_all(operations, ARRAY_SIZE(operations));
    long port = event_bind_virq(VIRQ_TIMER, 0);
    expect("VIRQ_TIMER", port);
    event_handle((evtchn_port_t)port, on_timer, NULL);
    report("timer_busy", timer_to_handler(false), -1);
    report("timer_halted", timer_to_handler(true), -1);
    pvh_printf("BENCH end\n");
    return 0;
}
