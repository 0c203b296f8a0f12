/*
 * domctl and sysctl (xen/domctl.h, xen/sysctl.h): as dom0 a domain is made, filled, looked into, and taken
 * apart with not a page lost; any other domain is refused everything.
 */
#include "check.h"
#include <xen/domctl.h>
#include <xen/grant_table.h>
#include <xen/sysctl.h>

#define GUEST_PAGES 64

static struct xen_domctl domctl;
static struct xen_sysctl sysctl;
static uint64_t at; /* where there is nothing of ours */

static long control(unsigned command, domid_t domid)
{
    domctl.cmd = command;
    domctl.domain = domid;
    domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return CONTROL(domctl, &domctl);
}

static long system_control(unsigned command)
{
    sysctl.cmd = command;
    sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return CONTROL(sysctl, &sysctl);
}

static uint64_t free_pages(void)
{
    memset(&sysctl, 0, sizeof(sysctl));
    EXPECT_EQ(system_control(XEN_SYSCTL_physinfo), 0);
    return sysctl.u.physinfo.free_pages;
}

/* What a dead domain had may take a moment to come back: until nothing moves for 20 ms. */
static uint64_t settled_free_pages(void)
{
    uint64_t last = 0, now = free_pages();
    for (unsigned i = 0; i < 100 && now != last; i++) {
        struct sched_poll poll = {.nr_ports = 0, .timeout = pvh_time_ns() + 20 * MILLISECOND};
        OP(sched_op, SCHEDOP_poll, &poll);
        last = now;
        now = free_pages();
    }
    return now;
}

static long info(domid_t domid)
{
    memset(&domctl, 0, sizeof(domctl));
    return control(XEN_DOMCTL_getdomaininfo, domid);
}

static void test_system(void)
{
    EXPECT(free_pages() > 0);
    const struct xen_sysctl_physinfo *physinfo = &sysctl.u.physinfo;
    EXPECT(physinfo->nr_cpus >= 1 && physinfo->total_pages > physinfo->free_pages &&
           physinfo->cpu_khz > 1000);
    EXPECT((physinfo->capabilities & (XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap)) ==
           (XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap));

    static struct xen_domctl_getdomaininfo list[8];
    memset(&sysctl, 0, sizeof(sysctl));
    sysctl.u.getdomaininfolist.max_domains = ARRAY_SIZE(list);
    set_xen_guest_handle(sysctl.u.getdomaininfolist.buffer, list);
    EXPECT_EQ(system_control(XEN_SYSCTL_getdomaininfolist), 0);
    EXPECT_EQ(sysctl.u.getdomaininfolist.num_domains, 1);
    EXPECT(list[0].domain == 0 && list[0].flags & XEN_DOMINF_running && list[0].flags & XEN_DOMINF_hvm_guest);
    EXPECT(list[0].tot_pages > 0 && list[0].nr_online_vcpus >= 1 && list[0].cpu_time > 0);

    static char text[256];
    memset(&sysctl, 0, sizeof(sysctl));
    set_xen_guest_handle(sysctl.u.readconsole.buffer, text);
    sysctl.u.readconsole.count = sizeof(text);
    EXPECT_EQ(system_control(XEN_SYSCTL_readconsole), 0);
    EXPECT(sysctl.u.readconsole.count > 0 && sysctl.u.readconsole.count <= sizeof(text));

    EXPECT(system_control(99) < 0);
    sysctl.cmd = XEN_SYSCTL_physinfo;
    sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION + 1;
    EXPECT_EQ(CONTROL(sysctl, &sysctl), -XEN_EACCES);
    domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION - 1;
    EXPECT_EQ(CONTROL(domctl, &domctl), -XEN_EACCES);
    EXPECT_EQ(CONTROL(domctl, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(info(0x7000), -XEN_ESRCH);
    EXPECT(control(XEN_DOMCTL_destroydomain, 0) < 0); /* not ourselves */
    EXPECT(control(XEN_DOMCTL_pausedomain, 0) < 0);
    EXPECT(control(9999, 0) < 0);
}

/* The values of the counter of that name, summed up; 0 when there is none. */
static uint64_t counter(const char *name)
{
    static xen_sysctl_perfc_desc_t desc[64];
    static xen_sysctl_perfc_val_t value[64 * 64];
    uint64_t sum = 0;
    unsigned first = 0;
    memset(&sysctl, 0, sizeof(sysctl));
    sysctl.u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_query;
    EXPECT_EQ(system_control(XEN_SYSCTL_perfc_op), 0); /* sizes only */
    const struct xen_sysctl_perfc_op *op = &sysctl.u.perfc_op;
    if (!EXPECT(op->nr_counters <= ARRAY_SIZE(desc) && op->nr_vals <= ARRAY_SIZE(value)))
        return 0;
    set_xen_guest_handle(sysctl.u.perfc_op.desc, desc);
    set_xen_guest_handle(sysctl.u.perfc_op.val, value);
    EXPECT_EQ(system_control(XEN_SYSCTL_perfc_op), 0);
    for (unsigned i = 0; i < op->nr_counters; first += desc[i++].nr_vals)
        for (unsigned k = 0; k < desc[i].nr_vals && !strcmp(desc[i].name, name); k++)
            sum += value[first + k];
    return sum;
}

static void test_counters(void)
{
    uint32_t a, b, c, d;
    uint64_t cpuids = counter("exits: CPUID"), hypercalls = counter("hypercalls");
    EXPECT(cpuids > 0 && hypercalls > 0);
    for (unsigned i = 0; i < 100; i++)
        asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(0), "2"(0));
    EXPECT_EQ(counter("exits: CPUID") - cpuids, 100);
    EXPECT_EQ(counter("hypercalls") - hypercalls, 4); /* two for each reading */

    static const uint32_t bad[] = {0, 3, ~0u};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        sysctl.u.perfc_op.cmd = bad[i];
        EXPECT_EQ(system_control(XEN_SYSCTL_perfc_op), -XEN_EINVAL);
    }
    sysctl.u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_reset;
    set_xen_guest_handle(sysctl.u.perfc_op.val, (xen_sysctl_perfc_val_t *)BAD_POINTER);
    EXPECT_EQ(system_control(XEN_SYSCTL_perfc_op), -XEN_EFAULT);
    EXPECT(counter("exits: CPUID") >= cpuids + 100); /* a reset that fails resets nothing */
    memset(&sysctl, 0, sizeof(sysctl));
    sysctl.u.perfc_op.cmd = XEN_SYSCTL_PERFCOP_reset;
    EXPECT_EQ(system_control(XEN_SYSCTL_perfc_op), 0);
    EXPECT_EQ(counter("exits: CPUID"), 0);
}

static domid_t create(void)
{
    memset(&domctl, 0, sizeof(domctl));
    domctl.u.createdomain = (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = 2,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };
    EXPECT_EQ(control(XEN_DOMCTL_createdomain, 0), 0);
    EXPECT(domctl.domain > 0 && domctl.domain < DOMID_FIRST_RESERVED);
    return domctl.domain;
}

static void test_create_refusals(void)
{
    memset(&domctl, 0, sizeof(domctl));
    EXPECT(control(XEN_DOMCTL_createdomain, 0) < 0); /* no vCPU, not HVM */
    domctl.u.createdomain.flags = ~0u;
    domctl.u.createdomain.max_vcpus = 1;
    EXPECT(control(XEN_DOMCTL_createdomain, 0) < 0);
    domctl.u.createdomain.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
    domctl.u.createdomain.max_vcpus = 100000;
    EXPECT(control(XEN_DOMCTL_createdomain, 0) < 0);
}

static long populate(domid_t domid, xen_pfn_t first, unsigned count)
{
    static xen_pfn_t frames[GUEST_PAGES];
    for (unsigned i = 0; i < count; i++)
        frames[i] = first + i;
    struct xen_memory_reservation reservation = {.nr_extents = count, .domid = domid};
    set_xen_guest_handle(reservation.extent_start, frames);
    return OP(memory_op, XENMEM_populate_physmap, &reservation);
}

/* Sees the other domain's page where nothing of ours is, and lets it go again. */
static void test_foreign(domid_t domid)
{
    xen_ulong_t index = 5;
    xen_pfn_t gfn = at >> PAGE_SHIFT;
    int error = -1;
    struct xen_add_to_physmap_batch batch = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = 1};
    batch.u.foreign_domid = domid;
    set_xen_guest_handle(batch.idxs, &index);
    set_xen_guest_handle(batch.gpfns, &gfn);
    set_xen_guest_handle(batch.errs, &error);
    EXPECT_EQ(OP(memory_op, XENMEM_add_to_physmap_batch, &batch), 0);
    if (EXPECT_EQ(error, 0)) {
        volatile uint64_t *page = (volatile uint64_t *)at;
        EXPECT_EQ(page[3], 0); /* scrubbed */
        page[3] = 0x1122334455667788;
        EXPECT_EQ(page[3], 0x1122334455667788);
    }
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = gfn};
    EXPECT_EQ(OP(memory_op, XENMEM_remove_from_physmap, &remove), 0);
    index = 1000000;
    OP(memory_op, XENMEM_add_to_physmap_batch, &batch);
    EXPECT(error < 0);
}

static void test_grant_frames(domid_t domid)
{
    xen_pfn_t gfn = at >> PAGE_SHIFT;
    struct xen_mem_acquire_resource acquire = {
        .domid = domid, .type = XENMEM_resource_grant_table, .nr_frames = 0};
    EXPECT_EQ(OP(memory_op, XENMEM_acquire_resource, &acquire), 0);
    EXPECT(acquire.nr_frames >= 1);
    acquire.nr_frames = 1;
    set_xen_guest_handle(acquire.frame_list, &gfn);
    if (EXPECT_EQ(OP(memory_op, XENMEM_acquire_resource, &acquire), 0)) {
        volatile struct grant_entry_v1 *table = (volatile struct grant_entry_v1 *)at;
        EXPECT_EQ(table[100].flags, 0);
        table[GNTTAB_RESERVED_CONSOLE].domid = 0;
    }
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = gfn};
    EXPECT_EQ(OP(memory_op, XENMEM_remove_from_physmap, &remove), 0);
}

static void test_life(void)
{
    domid_t domid = create();
    EXPECT_EQ(info(domid), 0);
    const struct xen_domctl_getdomaininfo *now = &domctl.u.getdomaininfo;
    EXPECT(now->domain == domid && now->flags & XEN_DOMINF_paused && !(now->flags & XEN_DOMINF_dying));
    EXPECT_EQ(now->tot_pages, 0);

    EXPECT_EQ(populate(domid, 0, 1), 0); /* max_mem is 0 yet */
    memset(&domctl, 0, sizeof(domctl));
    domctl.u.max_mem.max_memkb = (GUEST_PAGES + 8) * 4;
    EXPECT_EQ(control(XEN_DOMCTL_max_mem, domid), 0);
    domctl.u.max_vcpus.max = 2;
    EXPECT_EQ(control(XEN_DOMCTL_max_vcpus, domid), 0);
    domctl.u.paging_mempool.size = 1 << 20;
    EXPECT_EQ(control(XEN_DOMCTL_set_paging_mempool_size, domid), 0);

    EXPECT_EQ(populate(domid, 0, GUEST_PAGES), GUEST_PAGES);
    EXPECT(populate(domid, 1000, GUEST_PAGES) < GUEST_PAGES); /* more than it may have */
    EXPECT_EQ(info(domid), 0);
    EXPECT(now->tot_pages >= GUEST_PAGES && now->tot_pages <= GUEST_PAGES + 8);
    EXPECT_EQ(now->max_pages, GUEST_PAGES + 8);
    EXPECT_EQ(now->max_vcpu_id, 1);
    test_foreign(domid);
    test_grant_frames(domid);

    struct evtchn_alloc_unbound unbound = {.dom = domid, .remote_dom = 0};
    EXPECT_EQ(OP(event_channel_op, EVTCHNOP_alloc_unbound, &unbound), 0);
    long local = event_bind_interdomain(domid, unbound.port);
    EXPECT(local > 0);

    struct xen_hvm_param param = {.domid = domid, .index = HVM_PARAM_STORE_PFN, .value = 6};
    EXPECT_EQ(OP(hvm_op, HVMOP_set_param, &param), 0);
    param.value = 0;
    EXPECT_EQ(OP(hvm_op, HVMOP_get_param, &param), 0);
    EXPECT_EQ(param.value, 6);

    EXPECT_EQ(control(XEN_DOMCTL_destroydomain, domid), 0);
    for (unsigned i = 0; i < 10000 && info(domid) == 0; i++)
        OP(sched_op, SCHEDOP_yield, NULL);
    EXPECT_EQ(info(domid), -XEN_ESRCH);
    EXPECT_EQ(event_close((evtchn_port_t)local), 0);
}

static void test_as_dom0(void)
{
    EXPECT_EQ(event_init(), 0);
    at = memory_reserve_space(PAGE_SIZE);
    test_system();
    test_counters();
    test_create_refusals();
    test_life(); /* what is set up once for all is there afterwards */
    uint64_t before =
        settled_free_pages(); /* Xen keeps a few pages of each round in its pools; here none may go */
    for (unsigned i = 0; i < 20; i++)
        test_life();
    EXPECT_EQ(settled_free_pages(), before);
}

static void test_as_guest(void)
{
    for (unsigned command = 1; command <= XEN_DOMCTL_set_paging_mempool_size; command++) {
        memset(&domctl, 0, sizeof(domctl));
        if (!EXPECT(control(command, own_domid()) < 0))
            pvh_printf("domctl %u\n", command);
    }
    for (unsigned command = 1; command <= XEN_SYSCTL_pcitopoinfo; command++) {
        memset(&sysctl, 0, sizeof(sysctl));
        if (!EXPECT(system_control(command) < 0))
            pvh_printf("sysctl %u\n", command);
    }
    EXPECT_EQ(info(0), -XEN_EPERM);
    EXPECT_EQ(system_control(XEN_SYSCTL_physinfo), -XEN_EPERM);
}

int main(void)
{
    if (pvh_is_dom0())
        test_as_dom0();
    else
        test_as_guest();
    return verdict("control");
}
