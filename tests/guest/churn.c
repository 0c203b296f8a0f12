/*
 * Control operations against each other, as dom0: every vCPU makes domains, and pauses, pins, re-weights,
 * shrinks, maps, shuts down and destroys those of all, with no order between them. Three domains are left
 * alive throughout; they and all others check their own memory (crowd.c), and so does this one when it sees a
 * page of theirs. At last everything must be given back. Words: seed, seconds (of the machine's time), calls
 * (ends after so many instead). Needs crowd's file as its module.
 */
#include <pvh/apic.h>
#include "churn_build.h"

#define MOST_CPUS   8
#define SLOTS       10
#define WELLS       3
#define FIRST_WELL  61 /* ids of theirs; those of the others are below */
#define MOST_GRANTS 16
#define MOST_PORTS  16
#define CONTESTED   8 /* pages of the window that all vCPUs use at once */

static struct worker workers[MOST_CPUS];
static unsigned cpus, finished;
static uint32_t ids[SMP_MAX_CPUS];
static uint64_t deadline, calls_wanted, contested;
static uint32_t slots[SLOTS], lives; /* 0: empty, otherwise the id of a domain that is, or was, there */
static uint64_t mapped[MOST_GRANTS]; /* handle + 1 of a grant that stays mapped for a while */
static uint64_t grant_space;
static evtchn_port_t shared_ports[MOST_PORTS];
static bool hogging;

static _Noreturn void damage(const char *what, domid_t domid, unsigned page)
{
    pvh_printf("DAMAGE: %s, domain %u, page %u\n", what, domid, page);
    pvh_printf("VERDICT churn: FAIL\n");
    pvh_shutdown(SHUTDOWN_crash);
}

/* --- making and destroying ------------------------------------------------------------------------------ */

static void unpause(struct worker *w, domid_t domid)
{
    plain_control(w, XEN_DOMCTL_unpausedomain, domid);
}

static void make(struct worker *w, domid_t unused)
{
    unsigned vcpus = 1 + chance(w, CROWD_CPUS);
    uint32_t *slot = &slots[chance(w, SLOTS)], empty = 0;
    domid_t domid = (domid_t)(1 + chance(w, FIRST_WELL - 1));
    char words[64];
    (void)unused;
    if (!__atomic_compare_exchange_n(slot, &empty, domid, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    snprintf(words, sizeof(words), "seed=%u vcpus=%u life=%u", 1 + chance(w, 1u << 30), vcpus,
             __atomic_add_fetch(&lives, 1, __ATOMIC_SEQ_CST));
    if (!create_domain(w, domid, vcpus) || !furnish_domain(w, domid, vcpus, words))
        return; /* somebody will come past and destroy what there is */
    if (chance(w, 8))
        unpause(w, domid);
}

static void destroy(struct worker *w, domid_t domid)
{
    destroy_domain(w, domid);
    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t seen = domid;
        __atomic_compare_exchange_n(&slots[i], &seen, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

/* Takes all memory that there is, so that what others are about has to be undone halfway. */
static void hog(struct worker *w, domid_t unused)
{
    (void)unused;
    if (__atomic_exchange_n(&hogging, true, __ATOMIC_SEQ_CST))
        return;
    domid_t domid = FIRST_WELL + WELLS;
    xen_pfn_t gfn = 0;
    if (create_domain(w, domid, 1)) {
        memset(&w->domctl, 0, sizeof(w->domctl));
        w->domctl.u.max_mem.max_memkb = ~0ull >> 1;
        control(w, XEN_DOMCTL_max_mem, domid);
        for (unsigned order = 9; order != ~0u; order -= order ? 3 : 1)
            while (reservation(XENMEM_populate_physmap, domid, &gfn, 1, order) == 1)
                gfn += 1ull << order;
        for (unsigned i = chance(w, 200); i; i--)
            OP(sched_op, SCHEDOP_yield, NULL);
        destroy_domain(w, domid);
    }
    __atomic_store_n(&hogging, false, __ATOMIC_SEQ_CST);
}

static void shut_down(struct worker *w, domid_t domid)
{
    struct sched_remote_shutdown op = {.domain_id = domid, .reason = chance(w, 8)};
    sane(OP(sched_op, SCHEDOP_remote_shutdown, &op), "remote_shutdown");
    if (chance(w, 2))
        plain_control(w, XEN_DOMCTL_resumedomain, domid);
}

/* --- scheduling ----------------------------------------------------------------------------------------- */

static void pause(struct worker *w, domid_t domid)
{
    if (plain_control(w, XEN_DOMCTL_pausedomain, domid))
        return;
    if (chance(w, 2))
        OP(sched_op, SCHEDOP_yield, NULL);
    unpause(w, domid);
}

static void pin(struct worker *w, domid_t domid)
{
    struct xen_domctl_vcpuaffinity *a = &w->domctl.u.vcpuaffinity;
    uint64_t hard = random_next(&w->random), soft = random_next(&w->random);
    memset(&w->domctl, 0, sizeof(w->domctl));
    a->vcpu = chance(w, CROWD_CPUS + 1);
    a->flags = 1 + chance(w, 7);
    set_xen_guest_handle(a->cpumap_hard.bitmap, (uint8_t *)&hard);
    set_xen_guest_handle(a->cpumap_soft.bitmap, (uint8_t *)&soft);
    a->cpumap_hard.nr_bits = a->cpumap_soft.nr_bits = chance(w, 8) ? cpus : chance(w, 64);
    control(w, chance(w, 8) ? XEN_DOMCTL_setvcpuaffinity : XEN_DOMCTL_getvcpuaffinity, domid);
}

static void weigh(struct worker *w, domid_t domid)
{
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    w->domctl.u.scheduler_op.cmd = chance(w, 4) ? XEN_DOMCTL_SCHEDOP_putinfo : XEN_DOMCTL_SCHEDOP_getinfo;
    w->domctl.u.scheduler_op.u.credit2.weight = (uint16_t)(1 + chance(w, chance(w, 2) ? 1024 : 65535));
    w->domctl.u.scheduler_op.u.credit2.cap = (uint16_t)(chance(w, 4) ? 0 : 20 + chance(w, 400));
    control(w, XEN_DOMCTL_scheduler_op, domid);
}

/* --- looking -------------------------------------------------------------------------------------------- */

static long system_control(struct worker *w, unsigned command)
{
    w->sysctl.cmd = command;
    w->sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return sane(CONTROL(sysctl, &w->sysctl), "sysctl");
}

static void look(struct worker *w, domid_t domid)
{
    static const char keys[] = "qegrmt";
    char key = keys[chance(w, sizeof(keys) - 1)];
    memset(&w->domctl, 0, sizeof(w->domctl));
    memset(&w->sysctl, 0, sizeof(w->sysctl));
    switch (chance(w, 4)) {
    case 0:
        control(w, XEN_DOMCTL_getdomaininfo, domid);
        break;
    case 1:
        w->domctl.u.getvcpuinfo.vcpu = chance(w, CROWD_CPUS + 1);
        control(w, XEN_DOMCTL_getvcpuinfo, domid);
        break;
    case 2:
        set_xen_guest_handle(w->sysctl.u.getdomaininfolist.buffer,
                             (struct xen_domctl_getdomaininfo *)w->buffer);
        w->sysctl.u.getdomaininfolist.max_domains = chance(w, 64);
        system_control(w, XEN_SYSCTL_getdomaininfolist);
        break;
    default: /* what it prints is long */
        if (chance(w, 1000))
            return;
        set_xen_guest_handle(w->sysctl.u.debug_keys.keys, &key);
        w->sysctl.u.debug_keys.nr_keys = 1;
        system_control(w, XEN_SYSCTL_debug_keys);
    }
}

/* --- memory --------------------------------------------------------------------------------------------- */

static void see_page(struct worker *w, domid_t domid)
{
    unsigned page = chance(w, FIXED_PAGES);
    const uint64_t *seen = map_foreign(w, domid, FIXED_GFN + page, 1);
    if (!seen)
        return;
    for (unsigned i = 1 + chance(w, 3); i; i--)
        if (!page_is_sound(seen, domid, page))
            damage("a page mapped from outside", domid, page);
    unmap_foreign(w, 1);
}

/* All vCPUs put pages at the same place and take them away; nobody looks there. */
static void contend(struct worker *w, domid_t domid)
{
    xen_pfn_t target = (contested >> PAGE_SHIFT) + chance(w, CONTESTED);
    xen_ulong_t index = FIXED_GFN + chance(w, FIXED_PAGES);
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = target};
    int error = -1;
    struct xen_add_to_physmap_batch batch = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = 1, .u.foreign_domid = domid};
    struct xen_mem_acquire_resource acquire = {
        .domid = domid, .type = XENMEM_resource_grant_table, .nr_frames = 1, .frame = chance(w, 5)};
    set_xen_guest_handle(batch.idxs, &index);
    set_xen_guest_handle(batch.gpfns, &target);
    set_xen_guest_handle(batch.errs, &error);
    set_xen_guest_handle(acquire.frame_list, &target);
    switch (chance(w, 4)) {
    case 0:
        sane(OP(memory_op, XENMEM_acquire_resource, &acquire), "acquire_resource");
        break;
    case 1:
        sane(OP(memory_op, XENMEM_add_to_physmap_batch, &batch), "add_to_physmap_batch");
        break;
    default:
        sane(OP(memory_op, XENMEM_remove_from_physmap, &remove), "remove_from_physmap");
    }
}

static void change_memory(struct worker *w, domid_t domid)
{
    xen_pfn_t gfn = EXTRA_GFN + chance(w, EXTRA_PAGES), big = 0x8000 + 512 * chance(w, 2);
    struct xen_add_to_physmap add = {
        .domid = domid, .space = XENMAPSPACE_gmfn, .idx = EXTRA_GFN + chance(w, EXTRA_PAGES), .gpfn = gfn};
    switch (chance(w, 7)) {
    case 0:
        reservation(XENMEM_populate_physmap, domid, &big, 1, 9);
        break;
    case 1:
        gfn = big + chance(w, 512); /* out of the middle of a large page */
        reservation(XENMEM_decrease_reservation, domid, &gfn, 1, 0);
        break;
    case 2:
        reservation(XENMEM_decrease_reservation, domid, &gfn, 1, 0);
        break;
    case 3:
        add.space = XENMAPSPACE_shared_info;
        add.idx = 0;
        /* fall through */
    case 4:
        sane(OP(memory_op, XENMEM_add_to_physmap, &add), "add_to_physmap");
        break;
    case 5:
        memset(&w->domctl, 0, sizeof(w->domctl));
        w->domctl.u.max_mem.max_memkb = chance(w, MAX_PAGES * 4);
        control(w, XEN_DOMCTL_max_mem, domid);
        break;
    default:
        reservation(XENMEM_populate_physmap, domid, &gfn, 1, 0);
    }
}

/* --- grants --------------------------------------------------------------------------------------------- */

static long unmap_grant(uint64_t handle, uint64_t at)
{
    struct gnttab_unmap_grant_ref unmap = {.handle = (grant_handle_t)handle, .host_addr = at};
    sane(grant_operation(GNTTABOP_unmap_grant_ref, &unmap), "unmap_grant_ref");
    return unmap.status;
}

/* A grant stays mapped until some vCPU comes past; whatever becomes of the domain meanwhile, the page stays.
 */
static void map_grant(struct worker *w, domid_t domid)
{
    unsigned i = chance(w, MOST_GRANTS), page = chance(w, FIXED_PAGES / 2) * 2;
    uint64_t at = grant_space + i * PAGE_SIZE, handle = __atomic_exchange_n(&mapped[i], 0, __ATOMIC_SEQ_CST);
    if (handle) {
        if (unmap_grant(handle - 1, at) != GNTST_okay)
            damage("a grant that cannot be unmapped", domid, page);
        return;
    }
    struct gnttab_map_grant_ref map = {.host_addr = at,
                                       .flags = GNTMAP_host_map | GNTMAP_readonly |
                                                (chance(w, 4) ? 0 : GNTMAP_device_map),
                                       .ref = FIRST_REF + page,
                                       .dom = domid};
    sane(grant_operation(GNTTABOP_map_grant_ref, &map), "map_grant_ref");
    if (map.status != GNTST_okay)
        return; /* among others: another vCPU has one there that it is about to note */
    if (!page_is_sound((const uint64_t *)at, domid, page))
        damage("a granted page", domid, page);
    if (map.flags & GNTMAP_device_map) { /* the two uses one after the other */
        struct gnttab_unmap_grant_ref unmap = {.handle = map.handle, .dev_bus_addr = map.dev_bus_addr};
        grant_operation(GNTTABOP_unmap_grant_ref, &unmap);
    }
    __atomic_store_n(&mapped[i], map.handle + 1ull, __ATOMIC_SEQ_CST);
}

static void copy_grant(struct worker *w, domid_t domid)
{
    unsigned page = chance(w, FIXED_PAGES / 2) * 2;
    struct gnttab_copy copy = {.source = {.u.ref = FIRST_REF + page, .domid = domid},
                               .dest = {.u.gmfn = frame_of(w->buffer), .domid = DOMID_SELF},
                               .len = PAGE_SIZE,
                               .flags = GNTCOPY_source_gref};
    sane(grant_operation(GNTTABOP_copy, &copy), "copy");
    if (copy.status == GNTST_okay && ((uint64_t *)w->buffer)[0] &&
        !page_is_sound((uint64_t *)w->buffer, domid, page))
        damage("a copied page", domid, page);
}

/* --- events --------------------------------------------------------------------------------------------- */

/* Ports of ours go from hand to hand; the other end is closed by either domain, or goes with it. */
static void use_events(struct worker *w, domid_t domid)
{
    evtchn_port_t *shared = &shared_ports[chance(w, MOST_PORTS)];
    long port = event_alloc_unbound(domid, 0);
    if (chance(w, 2))
        port = 1 + chance(w, 64); /* perhaps one that it offers */
    if (sane(port, "alloc_unbound") > 0) {
        port = sane(event_bind_interdomain(domid, (evtchn_port_t)port), "bind_interdomain");
        if (port > 0) {
            evtchn_port_t old = __atomic_exchange_n(shared, (evtchn_port_t)port, __ATOMIC_SEQ_CST);
            if (old && sane(event_close(old), "close"))
                damage("a port that cannot be closed", domid, old);
        }
    }
    port = __atomic_load_n(&shared_ports[chance(w, MOST_PORTS)], __ATOMIC_SEQ_CST);
    if (port)
        sane(event_send((evtchn_port_t)port), "send");
}

/* --- state ---------------------------------------------------------------------------------------------- */

static void use_context(struct worker *w, domid_t domid)
{
    struct xen_domctl_hvmcontext *h = &w->domctl.u.hvmcontext;
    memset(&w->domctl, 0, sizeof(w->domctl));
    h->size = BUFFER_PAGES * PAGE_SIZE;
    set_xen_guest_handle(h->buffer, w->buffer);
    if (control(w, XEN_DOMCTL_gethvmcontext, domid) || domid >= FIRST_WELL || chance(w, 8))
        return;
    control(w, XEN_DOMCTL_sethvmcontext, domid);
}

static void use_vcpu_context(struct worker *w, domid_t domid)
{
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.vcpucontext.vcpu = chance(w, CROWD_CPUS + 1);
    set_xen_guest_handle(w->domctl.u.vcpucontext.ctxt, (vcpu_guest_context_t *)w->buffer);
    if (control(w, XEN_DOMCTL_getvcpucontext, domid) || domid >= FIRST_WELL || chance(w, 8))
        return;
    control(w, XEN_DOMCTL_setvcpucontext, domid);
}

static void send_nmi(struct worker *w, domid_t domid)
{
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.sendtrigger.vcpu = chance(w, CROWD_CPUS + 1);
    w->domctl.u.sendtrigger.trigger = XEN_DOMCTL_SENDTRIGGER_NMI;
    control(w, XEN_DOMCTL_sendtrigger, domid);
}

/* --- all together --------------------------------------------------------------------------------------- */

/* How often of 1000; what could harm the wells is not done to them. */
static const struct {
    void (*fn)(struct worker *w, domid_t domid);
    unsigned weight;
    bool harmful;
} operations[] = {
    {make, 60, false},         {destroy, 30, true},
    {hog, 1, false},           {shut_down, 10, true},
    {pause, 90, false},        {pin, 120, false},
    {weigh, 60, false},        {look, 60, false},
    {see_page, 120, false},    {contend, 120, false},
    {change_memory, 80, true}, {map_grant, 100, false},
    {copy_grant, 40, false},   {use_events, 80, false},
    {use_context, 9, false},   {use_vcpu_context, 10, false},
    {send_nmi, 10, true},
};

static void operate(struct worker *w)
{
    unsigned at = chance(w, 1000), i = 0;
    for (; at >= operations[i].weight; i++)
        at -= operations[i].weight;
    domid_t domid = (domid_t)__atomic_load_n(&slots[chance(w, SLOTS)], __ATOMIC_SEQ_CST);
    if (!operations[i].harmful && chance(w, 4) == 0)
        domid = FIRST_WELL + chance(w, WELLS);
    if (domid || operations[i].fn == make)
        operations[i].fn(w, domid);
    w->done++;
}

static bool time_is_up(const struct worker *w)
{
    return calls_wanted ? w->done >= calls_wanted : pvh_time_ns() >= deadline;
}

static void work(void *arg)
{
    struct worker *w = arg;
    while (!time_is_up(w))
        operate(w);
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static void wait_ms(uint64_t ms)
{
    struct sched_poll poll = {.nr_ports = 0, .timeout = pvh_time_ns() + ms * MILLISECOND};
    OP(sched_op, SCHEDOP_poll, &poll);
}

/* --- accounts ------------------------------------------------------------------------------------------- */

static unsigned count_domains(struct worker *w)
{
    memset(&w->sysctl, 0, sizeof(w->sysctl));
    set_xen_guest_handle(w->sysctl.u.getdomaininfolist.buffer, (struct xen_domctl_getdomaininfo *)w->buffer);
    w->sysctl.u.getdomaininfolist.max_domains = 128;
    EXPECT_EQ(system_control(w, XEN_SYSCTL_getdomaininfolist), 0);
    return w->sysctl.u.getdomaininfolist.num_domains;
}

static uint64_t free_pages(struct worker *w)
{
    memset(&w->sysctl, 0, sizeof(w->sysctl));
    EXPECT_EQ(system_control(w, XEN_SYSCTL_physinfo), 0);
    return w->sysctl.u.physinfo.free_pages;
}

/* What the dead had may take a while to come back on a busy computer: until nothing moves for half a second.
 */
static uint64_t settled_free_pages(struct worker *w)
{
    uint64_t last = free_pages(w);
    for (unsigned i = 0, still = 0; i < 500 && still < 25; i++) {
        wait_ms(20);
        uint64_t now = free_pages(w);
        still = now == last ? still + 1 : 0;
        last = now;
    }
    return last;
}

/* dom0's ports in use, from what each says of itself. */
static unsigned count_ports(void)
{
    unsigned count = 0;
    for (evtchn_port_t port = 1; port < 1024; port++) {
        struct evtchn_status status = {.dom = DOMID_SELF, .port = port};
        count += OP(event_channel_op, EVTCHNOP_status, &status) == 0 && status.status != EVTCHNSTAT_closed;
    }
    return count;
}

static void clear_all(struct worker *w)
{
    for (unsigned i = 0; i < MOST_GRANTS; i++)
        if (mapped[i])
            EXPECT_EQ(unmap_grant(mapped[i] - 1, grant_space + i * PAGE_SIZE), GNTST_okay);
    memset(mapped, 0, sizeof(mapped));
    for (unsigned i = 0; i < MOST_PORTS; i++)
        if (shared_ports[i])
            EXPECT_EQ(event_close(shared_ports[i]), 0);
    memset(shared_ports, 0, sizeof(shared_ports));
    for (unsigned i = 0; i < CONTESTED; i++) {
        struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = (contested >> PAGE_SHIFT) + i};
        OP(memory_op, XENMEM_remove_from_physmap, &remove);
    }
    for (domid_t domid = 1; domid <= FIRST_WELL + WELLS; domid++)
        if (domid < FIRST_WELL || domid >= FIRST_WELL + WELLS)
            destroy(w, domid);
}

/* All domains but the wells and ourselves are gone soon. */
static bool only(struct worker *w, unsigned count)
{
    for (unsigned i = 0; i < 500 && count_domains(w) != count; i++)
        wait_ms(10);
    return EXPECT_EQ(count_domains(w), count);
}

static void make_wells(struct worker *w)
{
    for (unsigned i = 0; i < WELLS; i++) {
        char words[64];
        snprintf(words, sizeof(words), "well seed=%u vcpus=%u", 1000 + i, 1 + i % CROWD_CPUS);
        EXPECT(create_domain(w, FIRST_WELL + i, 1 + i % CROWD_CPUS));
        EXPECT(furnish_domain(w, FIRST_WELL + i, 1 + i % CROWD_CPUS, words));
        unpause(w, FIRST_WELL + i);
    }
}

static uint64_t turns_of(struct worker *w, unsigned well, unsigned cpu)
{
    const uint8_t *page = map_foreign(w, FIRST_WELL + well, INFO_GFN, 1);
    if (!EXPECT(page != NULL))
        return 0;
    uint64_t turns = ((const volatile struct crowd_report *)(page + REPORT_AT))->turns[cpu];
    unmap_foreign(w, 1);
    return turns;
}

/* Each of their vCPUs goes on still. */
static void check_wells(struct worker *w)
{
    for (unsigned i = 0; i < WELLS; i++)
        for (unsigned cpu = 0; cpu <= i % CROWD_CPUS; cpu++) {
            uint64_t before = turns_of(w, i, cpu);
            for (unsigned tries = 0; tries < 500 && turns_of(w, i, cpu) == before; tries++)
                wait_ms(10);
            if (!EXPECT(turns_of(w, i, cpu) > before))
                pvh_printf("well %u vCPU %u after %lu turns\n", i, cpu, before);
        }
}

/* What is made once for all is there afterwards: tables of our map, room for as many timers, and the like. */
static void warm_up(struct worker *w)
{
    for (unsigned i = 0; i < SLOTS; i++)
        EXPECT(create_domain(w, 1 + i, CROWD_CPUS) && furnish_domain(w, 1 + i, CROWD_CPUS, "seed=1 vcpus=3"));
    make_wells(w);
    for (unsigned i = 1; i <= SLOTS; i++)
        unpause(w, (domid_t)i);
    for (unsigned i = 0; i < 500; i++) {
        domid_t domid = 1 + chance(w, SLOTS);
        map_grant(w, domid);
        contend(w, domid);
        use_events(w, domid);
    }
    for (unsigned i = 0; i < WELLS; i++)
        destroy_domain(w, FIRST_WELL + i);
    clear_all(w);
    only(w, 1);
}

/* The crowd is to take what is left over. */
static void come_first(struct worker *w)
{
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    w->domctl.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    w->domctl.u.scheduler_op.u.credit2.weight = 8192;
    EXPECT_EQ(control(w, XEN_DOMCTL_scheduler_op, 0), 0);
}

static void set_up(uint64_t seed)
{
    uint64_t space = memory_reserve_space((MOST_CPUS * WINDOW_PAGES + CONTESTED + MOST_GRANTS) * PAGE_SIZE);
    contested = space + MOST_CPUS * WINDOW_PAGES * PAGE_SIZE;
    grant_space = contested + CONTESTED * PAGE_SIZE;
    for (unsigned i = 0; i < cpus; i++) {
        workers[i].random = seed * 0x9e3779b97f4a7c15 + i + 1;
        workers[i].window = space + i * WINDOW_PAGES * PAGE_SIZE;
        workers[i].buffer = page_alloc(BUFFER_PAGES);
        EXPECT(workers[i].buffer != NULL);
    }
}

static bool load_crowd(void)
{
    struct hvm_modlist_entry module;
    struct why why;
    if (pvh_module(0, &module) && elf_parse((const void *)module.paddr, module.size, &crowd_image, &why))
        return true;
    return EXPECT(!"the crowd's kernel is the first module");
}

int main(void)
{
    uint64_t seed = option_number("seed", 1);
    EXPECT_EQ(event_init(), 0);
    apic_init();
    cpus = cpu_apic_ids(ids, ARRAY_SIZE(ids));
    if (!EXPECT(cpus >= 1 && cpus <= MOST_CPUS) || !load_crowd())
        return verdict("churn");
    set_up(seed);
    come_first(&workers[0]);
    warm_up(&workers[0]);
    uint64_t pages = settled_free_pages(&workers[0]);
    unsigned ports = count_ports();
    pvh_printf("seed %lu, %u vCPUs, %lu pages free\n", seed, cpus, pages);

    calls_wanted = option_number("calls", 0);
    make_wells(&workers[0]);
    deadline = pvh_time_ns() + option_number("seconds", 10) * SECOND;
    for (unsigned i = 1; i < cpus; i++)
        EXPECT(smp_start(ids[i], work, &workers[i]));
    work(&workers[0]);
    while (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) < cpus)
        wait_ms(10);

    clear_all(&workers[0]);
    only(&workers[0], 1 + WELLS);
    check_wells(&workers[0]);
    for (unsigned i = 0; i < WELLS; i++)
        destroy_domain(&workers[0], FIRST_WELL + i);
    only(&workers[0], 1);
    uint64_t operations_done = 0;
    for (unsigned i = 0; i < cpus; i++)
        operations_done += workers[i].done;
    pvh_printf("%lu operations, %u domains\n", operations_done, lives);
    EXPECT_EQ(settled_free_pages(&workers[0]), pages);
    EXPECT_EQ(count_ports(), ports);
    return verdict("churn");
}
