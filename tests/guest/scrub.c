/*
 * Memory that one domain had shows nothing to the next. As dom0: a domain is made of pieces of 2 MiB and of
 * single pages, each is written to in another way, by the domain itself and by us, it is destroyed, and all
 * memory of the next domain, which is larger, must be zero. As a domain: nothing but zeroes where nothing was
 * loaded; then everything is filled, for whoever comes next.
 */
#include "check.h"
#include <xen/domctl.h>
#include <xen/grant_table.h>
#include <xen/hvm/save.h>

#define SECRET      0x5ec2e75e5ec2e75eull
#define PIECE       9u /* order */
#define PIECE_PAGES (1ull << PIECE)
#define WINDOW      64u /* pages of another domain that are looked at together */

/* What becomes of the pieces. The child runs in the first. */
enum piece {
    PROGRAM,
    FILLED,
    TOUCHED,
    SPLIT,
    FOREIGN,
    GRANTED,
    COPIED,
    HYPERCALL,
    UNTOUCHED,
    SINGLE,
    PIECES
};

#define DONE  0x8000u /* the child's last word, in PROGRAM */
#define ENTRY 0x1000u
#define REF   20u

static struct xen_domctl domctl;
static uint64_t window, table; /* where there is nothing of ours */
static bool intel;

static long control(unsigned command, domid_t domid)
{
    domctl.cmd = command;
    domctl.domain = domid;
    domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return CONTROL(domctl, &domctl);
}

static long reserve(unsigned command, domid_t domid, xen_pfn_t first, unsigned count, unsigned order)
{
    static xen_pfn_t frames[PIECE_PAGES];
    for (unsigned i = 0; i < count; i++)
        frames[i] = first + ((uint64_t)i << order);
    struct xen_memory_reservation r = {.nr_extents = count, .extent_order = order, .domid = domid};
    set_xen_guest_handle(r.extent_start, frames);
    return OP(memory_op, command, &r);
}

static domid_t create(unsigned pieces)
{
    memset(&domctl, 0, sizeof domctl);
    domctl.u.createdomain = (struct xen_domctl_createdomain){.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
                                                             .max_vcpus = 1,
                                                             .max_evtchn_port = 1023,
                                                             .max_grant_frames = -1,
                                                             .max_maptrack_frames = -1,
                                                             .grant_opts = XEN_DOMCTL_GRANT_version(1),
                                                             .arch.emulation_flags = XEN_X86_EMU_LAPIC};
    EXPECT_EQ(control(XEN_DOMCTL_createdomain, 0), 0);
    domid_t domid = domctl.domain;
    domctl.u.max_vcpus.max = 1;
    EXPECT_EQ(control(XEN_DOMCTL_max_vcpus, domid), 0);
    domctl.u.max_mem.max_memkb = (pieces << (PIECE + 2)) + 1024;
    EXPECT_EQ(control(XEN_DOMCTL_max_mem, domid), 0);
    domctl.u.paging_mempool.size = 2 << 20;
    EXPECT_EQ(control(XEN_DOMCTL_set_paging_mempool_size, domid), 0);
    return domid;
}

static void destroy(domid_t domid)
{
    EXPECT_EQ(control(XEN_DOMCTL_destroydomain, domid), 0);
    for (unsigned i = 0; i < 100000 && control(XEN_DOMCTL_getdomaininfo, domid) == 0; i++)
        OP(sched_op, SCHEDOP_yield, NULL);
    EXPECT_EQ(control(XEN_DOMCTL_getdomaininfo, domid), -XEN_ESRCH);
}

/* --- looking into another domain ------------------------------------------------------------------------ */

static void map_window(domid_t domid, xen_pfn_t first, unsigned count)
{
    static xen_ulong_t index[WINDOW];
    static xen_pfn_t gfn[WINDOW];
    static int error[WINDOW];
    for (unsigned i = 0; i < count; i++) {
        index[i] = first + i;
        gfn[i] = (window >> PAGE_SHIFT) + i;
        error[i] = 1;
    }
    struct xen_add_to_physmap_batch batch = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = (uint16_t)count};
    batch.u.foreign_domid = domid;
    set_xen_guest_handle(batch.idxs, index);
    set_xen_guest_handle(batch.gpfns, gfn);
    set_xen_guest_handle(batch.errs, error);
    EXPECT_EQ(OP(memory_op, XENMEM_add_to_physmap_batch, &batch), 0);
    for (unsigned i = 0; i < count; i++)
        EXPECT_EQ(error[i], 0);
}

static void unmap_window(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = (window >> PAGE_SHIFT) + i};
        EXPECT_EQ(OP(memory_op, XENMEM_remove_from_physmap, &remove), 0);
    }
}

/* Pages that hold anything but zeroes. */
static unsigned used_pages(const void *pages, unsigned count)
{
    const uint64_t *word = pages;
    unsigned used = 0;
    for (unsigned page = 0; page < count; page++, word += PAGE_SIZE / sizeof *word) {
        uint64_t all = 0;
        for (unsigned i = 0; i < PAGE_SIZE / sizeof *word; i++)
            all |= word[i];
        used += all != 0;
    }
    return used;
}

static unsigned used_pages_of(domid_t domid, xen_pfn_t first, unsigned count)
{
    unsigned used = 0;
    for (unsigned i = 0; i < count; i += WINDOW) {
        map_window(domid, first + i, WINDOW);
        used += used_pages((void *)window, WINDOW);
        unmap_window(WINDOW);
    }
    return used;
}

/* --- the child ------------------------------------------------------------------------------------------- */

static uint32_t address_of(enum piece piece)
{
    return (uint32_t)piece << (PIECE + PAGE_SHIFT);
}

struct program {
    uint8_t *at;
};

static void code(struct program *p, const void *bytes, unsigned size)
{
    memcpy(p->at, bytes, size);
    p->at += size;
}
#define CODE(p, ...) code(p, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void number(struct program *p, uint32_t value)
{
    code(p, &value, sizeof value);
}

static void fill(struct program *p, uint32_t address, uint32_t size)
{
    CODE(p, 0xbf); /* mov edi, */
    number(p, address);
    CODE(p, 0xb9); /* mov ecx, */
    number(p, size / 4);
    CODE(p, 0xb8); /* mov eax, */
    number(p, (uint32_t)SECRET);
    CODE(p, 0xf3, 0xab); /* rep stosd */
}

/* In flat 32-bit code: some of its own memory filled, some by a hypercall's answer; then it says so and
 * waits. */
static void write_program(uint8_t *to)
{
    struct program p = {.at = to};
    fill(&p, address_of(FILLED), PIECE_PAGES << PAGE_SHIFT);
    fill(&p, address_of(TOUCHED) + 300 * PAGE_SIZE, 4);
    fill(&p, address_of(SPLIT), 3 * PAGE_SIZE);
    fill(&p, address_of(SINGLE), 40 * PAGE_SIZE);
    CODE(&p, 0xb8); /* mov eax, */
    number(&p, __HYPERVISOR_xen_version);
    CODE(&p, 0xbb); /* mov ebx, */
    number(&p, XENVER_extraversion);
    CODE(&p, 0xb9); /* mov ecx, */
    number(&p, address_of(HYPERCALL) + 5 * PAGE_SIZE);
    CODE(&p, 0x0f, 0x01, intel ? 0xc1 : 0xd9); /* vmcall, vmmcall */
    CODE(&p, 0xa3);                            /* mov [DONE], eax */
    number(&p, DONE);
    CODE(&p, 0xc7, 0x05); /* mov dword [DONE + 4], */
    number(&p, DONE + 4);
    number(&p, 1);
    CODE(&p, 0xeb, 0xfe); /* jmp $ */
}

struct record {
    struct hvm_save_descriptor header_descriptor;
    HVM_SAVE_TYPE(HEADER) header;
    struct hvm_save_descriptor descriptor;
    HVM_SAVE_TYPE(CPU) cpu;
    struct hvm_save_descriptor end;
};

/* The hypervisor's own records begin with the header that it wants back. */
static void set_registers(domid_t domid)
{
    static uint8_t records[16384];
    static struct record r;
    memset(&domctl, 0, sizeof domctl);
    set_xen_guest_handle(domctl.u.hvmcontext.buffer, records);
    domctl.u.hvmcontext.size = sizeof records;
    EXPECT_EQ(control(XEN_DOMCTL_gethvmcontext, domid), 0);
    memcpy(&r, records, sizeof r.header_descriptor + sizeof r.header);
    r.descriptor =
        (struct hvm_save_descriptor){.typecode = HVM_SAVE_CODE(CPU), .length = HVM_SAVE_LENGTH(CPU)};
    r.cpu.cs_limit = r.cpu.ds_limit = r.cpu.es_limit = r.cpu.ss_limit = ~0u;
    r.cpu.tr_limit = 0x67;
    r.cpu.cs_arbytes = 0xc9b;
    r.cpu.ds_arbytes = r.cpu.es_arbytes = r.cpu.ss_arbytes = 0xc93;
    r.cpu.tr_arbytes = 0x8b;
    r.cpu.cr0 = 0x11;
    r.cpu.rip = ENTRY;
    r.cpu.rflags = 2;
    r.cpu.dr6 = 0xffff0ff0;
    r.cpu.dr7 = 0x400;
    memset(&domctl, 0, sizeof domctl);
    set_xen_guest_handle(domctl.u.hvmcontext.buffer, (uint8_t *)&r);
    domctl.u.hvmcontext.size = sizeof r;
    EXPECT_EQ(control(XEN_DOMCTL_sethvmcontext, domid), 0);
}

static void run_child(domid_t domid)
{
    map_window(domid, 0, 16);
    write_program((uint8_t *)window + ENTRY);
    set_registers(domid);
    EXPECT_EQ(control(XEN_DOMCTL_unpausedomain, domid), 0);
    volatile uint32_t *done = (volatile uint32_t *)(window + DONE);
    uint64_t end = pvh_time_ns() + 20 * SECOND;
    while (!done[1] && pvh_time_ns() < end)
        OP(sched_op, SCHEDOP_yield, NULL);
    EXPECT_EQ(done[1], 1);
    EXPECT_EQ(done[0], 0); /* what the hypercall returned */
    unmap_window(16);
}

/* --- what we do to it -------------------------------------------------------------------------------------- */

static void write_foreign(domid_t domid)
{
    map_window(domid, (FOREIGN << PIECE) + 7, 1);
    *(volatile uint64_t *)(window + 16) = SECRET;
    unmap_window(1);
}

static void write_by_grants(domid_t domid)
{
    xen_pfn_t gfn = table >> PAGE_SHIFT;
    struct xen_mem_acquire_resource acquire = {
        .domid = domid, .type = XENMEM_resource_grant_table, .nr_frames = 1};
    set_xen_guest_handle(acquire.frame_list, &gfn);
    EXPECT_EQ(OP(memory_op, XENMEM_acquire_resource, &acquire), 0);
    volatile grant_entry_v1_t *entry = (void *)table;
    entry[REF].frame = (GRANTED << PIECE) + 100;
    entry[REF].flags = GTF_permit_access;
    entry[REF + 1].frame = (COPIED << PIECE) + 511;
    entry[REF + 1].flags = GTF_permit_access;

    struct gnttab_map_grant_ref map = {
        .host_addr = window, .flags = GNTMAP_host_map, .ref = REF, .dom = domid};
    EXPECT_EQ(hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uint64_t)&map, 1, 0, 0), 0);
    if (EXPECT_EQ(map.status, 0))
        *(volatile uint64_t *)window = SECRET;
    struct gnttab_unmap_grant_ref unmap = {.host_addr = window, .handle = map.handle};
    EXPECT_EQ(hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uint64_t)&unmap, 1, 0, 0), 0);
    EXPECT_EQ(unmap.status, 0);

    static uint64_t secret = SECRET;
    struct gnttab_copy copy = {
        .source = {.u.gmfn = frame_of(&secret), .domid = DOMID_SELF, .offset = (uint64_t)&secret % PAGE_SIZE},
        .dest = {.u.ref = REF + 1, .domid = domid, .offset = 4088},
        .len = 8,
        .flags = GNTCOPY_dest_gref};
    EXPECT_EQ(hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (uint64_t)&copy, 1, 0, 0), 0);
    EXPECT_EQ(copy.status, 0);
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = gfn};
    EXPECT_EQ(OP(memory_op, XENMEM_remove_from_physmap, &remove), 0);
}

static void test_next_domain(void)
{
    domid_t domid = create(PIECES);
    EXPECT_EQ(reserve(XENMEM_populate_physmap, domid, 0, SINGLE, PIECE), SINGLE);
    EXPECT_EQ(reserve(XENMEM_populate_physmap, domid, SINGLE << PIECE, PIECE_PAGES, 0), PIECE_PAGES);
    write_foreign(domid);
    write_by_grants(domid);
    run_child(domid);
    /* One page of what it filled comes back before the rest. */
    EXPECT_EQ(reserve(XENMEM_decrease_reservation, domid, (SPLIT << PIECE) + 1, 1, 0), 1);
    destroy(domid);

    domid = create(2 * PIECES);
    EXPECT_EQ(reserve(XENMEM_populate_physmap, domid, 0, 1, 0), 1);
    EXPECT_EQ(reserve(XENMEM_populate_physmap, domid, 1ull << PIECE, 2 * PIECES - 2, PIECE), 2 * PIECES - 2);
    for (unsigned piece = 1; piece < 2 * PIECES - 1; piece++)
        if (!EXPECT_EQ(used_pages_of(domid, (xen_pfn_t)piece << PIECE, PIECE_PAGES), 0))
            pvh_printf("in piece %u\n", piece);
    EXPECT_EQ(reserve(XENMEM_populate_physmap, domid, 1, WINDOW, 0), WINDOW);
    EXPECT_EQ(used_pages_of(domid, 0, WINDOW), 0);
    destroy(domid);
}

/* Nobody has written to what the allocator has not handed out yet, but for its own note at the very start. */
static void test_own_memory(void)
{
    unsigned used = 0;
    for (;;) {
        uint8_t *piece = page_alloc(WINDOW);
        if (!piece)
            break;
        memset(piece, 0, 64);
        used += used_pages(piece, WINDOW);
        memset(piece, (uint8_t)SECRET, WINDOW * PAGE_SIZE);
    }
    EXPECT_EQ(used, 0);
}

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    window = memory_reserve_space(WINDOW * PAGE_SIZE);
    table = memory_reserve_space(PAGE_SIZE);
    intel = cpuid(0, 0).ebx == 0x756e6547;
    if (pvh_is_dom0()) {
        test_next_domain();
        test_next_domain(); /* of frames that the first ones had, clean and not */
    } else {
        test_own_memory();
    }
    return verdict("scrub");
}
