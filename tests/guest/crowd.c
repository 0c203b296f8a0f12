/*
 * One of the many domains that churn.c makes: on each of its vCPUs it does at random what guests do to the
 * hypervisor, and looks again and again whether its memory is still what it was. What is not is told as
 * DAMAGE. "well": stays until it is destroyed; the others end in any way there is. Words: seed, vcpus, life.
 */
#include <pvh/apic.h>
#include "crowd.h"

#define IPI_VECTOR 0x71
#define PORTS      64 /* of our own, and of others whom we try to reach */
#define DOMAINS    72

static unsigned cpus;
static bool well, present[LOOSE_PAGES];
static domid_t self;
static uint64_t seeds[CROWD_CPUS];
static struct crowd_report *const report = (struct crowd_report *)((INFO_GFN << PAGE_SHIFT) + REPORT_AT);

static unsigned chance(unsigned below)
{
    return (unsigned)(random_next(&seeds[cpu_index()]) >> 11) % below;
}

static volatile uint64_t *page_at(uint64_t gfn)
{
    return (volatile uint64_t *)(gfn << PAGE_SHIFT);
}

static _Noreturn void damage(const char *what, uint64_t gfn)
{
    volatile uint64_t *page = page_at(gfn);
    pvh_printf("DAMAGE: %s at frame %#lx begins %#lx %#lx\n", what, gfn, page[0], page[1]);
    pvh_shutdown(SHUTDOWN_crash);
}

/* --- memory --------------------------------------------------------------------------------------------- */

static void fill(uint64_t gfn, uint64_t tag)
{
    volatile uint64_t *page = page_at(gfn);
    page[0] = tag;
    for (unsigned word = 1; word < PAGE_SIZE / sizeof(uint64_t); word++)
        page[word] = pattern(tag, word);
}

static void check(const char *what, uint64_t gfn, unsigned number)
{
    volatile uint64_t *page = page_at(gfn);
    if (!page[0] || !page[1] || !page_is_sound(page, self, number))
        damage(what, gfn);
}

static void check_some_page(void)
{
    unsigned page = chance(FIXED_PAGES);
    check("a page nobody may change", FIXED_GFN + page, page);
}

static long reservation(unsigned command, xen_pfn_t gfn)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &gfn);
    return OP(memory_op, command, &r);
}

/* Each vCPU has loose pages of its own. */
static void balloon(void)
{
    unsigned page = chance(LOOSE_PAGES / CROWD_CPUS) * CROWD_CPUS + cpu_index();
    if (!present[page]) {
        present[page] = reservation(XENMEM_populate_physmap, LOOSE_GFN + page) == 1;
        if (present[page])
            fill(LOOSE_GFN + page, page_tag(self, FIXED_PAGES + page, chance(1u << 20) + 1));
        return;
    }
    if (well) /* the others' vCPUs are sometimes set back to an earlier state */
        check("a page of its own", LOOSE_GFN + page, FIXED_PAGES + page);
    if (chance(2)) {
        present[page] = false;
        if (reservation(XENMEM_decrease_reservation, LOOSE_GFN + page) != 1)
            damage("a page that does not go back", LOOSE_GFN + page);
    }
}

static void move_table(void)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = TABLE_GFN + chance(2)};
    OP(memory_op, XENMEM_add_to_physmap, &add);
}

static void offer_pages(void)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = TABLE_GFN};
    OP(memory_op, XENMEM_add_to_physmap, &add);
    volatile struct grant_entry_v1 *table = (volatile struct grant_entry_v1 *)page_at(TABLE_GFN);
    for (unsigned i = 0; i < FIXED_PAGES; i++) {
        table[FIRST_REF + i].domid = i % 2 ? (domid_t)(1 + chance(DOMAINS)) : 0;
        table[FIRST_REF + i].frame = FIXED_GFN + i;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        table[FIRST_REF + i].flags = GTF_permit_access | GTF_readonly;
    }
}

/* --- grants and events of others ------------------------------------------------------------------------ */

/* Mostly there is nobody of that number, or nothing for us. */
static void map_of_another(void)
{
    static uint64_t space[CROWD_CPUS];
    unsigned page = chance(FIXED_PAGES / 2) * 2 + 1, cpu = cpu_index();
    domid_t domid = (domid_t)(1 + chance(DOMAINS));
    if (!space[cpu])
        space[cpu] = (EXTRA_GFN + 0x800 + cpu) << PAGE_SHIFT;
    struct gnttab_map_grant_ref map = {.host_addr = space[cpu],
                                       .flags = GNTMAP_host_map | GNTMAP_readonly,
                                       .ref = FIRST_REF + page,
                                       .dom = domid};
    if (domid == self || grant_operation(GNTTABOP_map_grant_ref, &map) || map.status != GNTST_okay)
        return;
    if (!page_is_sound(page_at(space[cpu] >> PAGE_SHIFT), domid, page))
        damage("another's page", space[cpu] >> PAGE_SHIFT);
    struct gnttab_unmap_grant_ref unmap = {.host_addr = space[cpu], .handle = map.handle};
    if (well || chance(4)) /* or it stays until we die */
        grant_operation(GNTTABOP_unmap_grant_ref, &unmap);
    else
        space[cpu] += CROWD_CPUS * PAGE_SIZE;
}

static void on_event(evtchn_port_t port, void *arg)
{
    (void)port, (void)arg;
}

static void use_events(void)
{
    long port;
    switch (chance(6)) {
    case 0:
        port = event_alloc_unbound(DOMID_SELF, (domid_t)chance(DOMAINS));
        break;
    case 1:
        port = event_bind_interdomain((domid_t)(1 + chance(DOMAINS)), 1 + chance(PORTS));
        break;
    case 2:
        port = event_bind_ipi(chance(cpus));
        break;
    case 3:
        event_close(1 + chance(PORTS)); /* more than come, so that there are always free ones */
        event_close(1 + chance(PORTS));
        return;
    default:
        event_send(1 + chance(PORTS));
        return;
    }
    if (port > 0 && port < PORTS)
        event_handle((evtchn_port_t)port, on_event, NULL);
    else if (port > 0)
        event_close((evtchn_port_t)port);
}

/* --- vCPUs and time ------------------------------------------------------------------------------------- */

static void on_interrupt(struct trap_frame *frame)
{
    (void)frame;
    apic_eoi();
}

static void on_nmi(struct trap_frame *frame)
{
    (void)frame;
}

static void set_timer(void)
{
    struct vcpu_set_singleshot_timer once = {.timeout_abs_ns = pvh_time_ns() + chance(2000000)};
    struct vcpu_set_periodic_timer again = {.period_ns = MILLISECOND + chance(4000000)};
    switch (chance(4)) {
    case 0:
        VCPUOP(VCPUOP_set_periodic_timer, cpu_index(), &again);
        break;
    case 1:
        VCPUOP(VCPUOP_stop_periodic_timer, cpu_index(), NULL);
        break;
    case 2:
        apic_timer(IPI_VECTOR, APIC_LVT_ONE_SHOT, chance(1000000));
        break;
    default:
        VCPUOP(VCPUOP_set_singleshot_timer, cpu_index(), &once);
    }
}

static void wait_a_little(void)
{
    struct sched_poll poll = {.nr_ports = 0, .timeout = pvh_time_ns() + chance(3000000)};
    OP(sched_op, SCHEDOP_poll, &poll);
}

/* vCPU 0 starts the others again. */
static void down_or_up(void)
{
    if (cpu_index() == 0)
        for (unsigned i = 1; i < cpus; i++)
            VCPUOP(VCPUOP_up, i, NULL);
    else if (chance(8) == 0)
        VCPUOP(VCPUOP_down, cpu_index(), NULL);
}

static void end(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    if (well || chance(400))
        return;
    switch (chance(4)) {
    case 0:
        asm volatile("lidt %0; int3" : : "m"(none));
        break;
    case 1:
        ((void (*)(void))(0x50000000ull))(); /* where there is nothing */
        break;
    case 2:
        for (;;) /* with interrupts off, until somebody destroys us */
            asm volatile("");
    default:
        pvh_shutdown(chance(8));
    }
}

/* --- all together --------------------------------------------------------------------------------------- */

static _Noreturn void act(void *arg)
{
    unsigned cpu = cpu_index();
    (void)arg;
    for (;;) {
        __atomic_fetch_add(&report->turns[cpu], 1, __ATOMIC_SEQ_CST);
        check_some_page();
        switch (chance(11)) {
        case 0:
            balloon();
            break;
        case 1:
            move_table();
            break;
        case 2:
            map_of_another();
            break;
        case 3:
        case 4:
            use_events();
            break;
        case 5:
            set_timer();
            break;
        case 6:
            apic_ipi(2 * chance(cpus), IPI_VECTOR);
            take_interrupts();
            break;
        case 7:
            OP(sched_op, SCHEDOP_yield, NULL);
            break;
        case 8:
            down_or_up();
            break;
        case 9:
            end();
            break;
        default:
            wait_a_little();
        }
        take_interrupts();
    }
}

int main(void)
{
    char value[2];
    well = pvh_option("well", value, sizeof(value));
    self = own_domid();
    cpus = (unsigned)option_number("vcpus", 1);
    uint64_t seed = option_number("seed", 1);
    uint32_t life = (uint32_t)option_number("life", 1);
    for (unsigned i = 0; i < CROWD_CPUS; i++)
        seeds[i] = seed + i + 1;

    for (unsigned i = 0; i < FIXED_PAGES; i++) {
        uint64_t tag = page_at(FIXED_GFN + i)[0]; /* there when this vCPU was set back to its beginning */
        fill(FIXED_GFN + i, tag ? tag : page_tag(self, i, life));
    }
    for (unsigned i = 0; i < LOOSE_PAGES; i++) {
        fill(LOOSE_GFN + i, page_tag(self, FIXED_PAGES + i, life));
        present[i] = true;
    }
    event_init();
    apic_init();
    interrupt_set(IPI_VECTOR, on_interrupt);
    interrupt_set(TRAP_NMI, on_nmi);
    offer_pages();
    event_bind_virq(VIRQ_TIMER, 0);
    for (unsigned i = 1; i < cpus; i++)
        smp_start(2 * i, act, NULL);
    act(NULL);
}
