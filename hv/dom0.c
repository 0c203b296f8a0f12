/*
 * The first domain, built from the boot modules (hv/dom0.h).
 *
 * dom0's memory is one to one: guest frame n is machine frame n. So it gets the lowest free RAM, which is
 * where its kernel wants to be loaded, and takes over the modules where they lie. What it is told about
 * memory is the firmware's map, in which RAM that is not its own stands as reserved. Runs once, on the boot
 * CPU, before any guest; no locking.
 */
#include <hv/arch/p2m.h>
#include <hv/arch/vcpu.h>
#include <hv/boot_info.h>
#include <hv/cmdline.h>
#include <hv/cpu.h>
#include <hv/dom0.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <hv/sched.h>
#include <lib/elf.h>
#include <lib/number.h>
#include <lib/string.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/domctl.h>
#include <xen/memory.h>

#define MIB              (1ul << 20)
#define DOM0_DEFAULT_MAX (4096 * MIB)
#define DOM0_LEAST       (32 * MIB)

/* RAM that dom0 owns, by rising address, neighbours merged. */
#define MAX_RANGES 128
static struct range {
    uint64_t start, count; /* frames */
} ranges[MAX_RANGES] INIT_DATA;
static unsigned range_count INIT_DATA;

/* --- command line --------------------------------------------------------------------------------------- */

static uint64_t dom0_mem;
static uint32_t dom0_max_vcpus;

/* dom0_mem=SIZE[,min:SIZE][,max:SIZE]: with memory one to one there is no growing, so max: only bounds SIZE.
 */
static int parse_dom0_mem(const char *value)
{
    uint64_t size = 0, least = 0, most = ~0ull;
    while (*value) {
        char part[32];
        const char *comma = strchr(value, ',');
        size_t length = comma ? (size_t)(comma - value) : strlen(value);
        if (length >= sizeof part)
            return -1;
        memcpy(part, value, length);
        part[length] = '\0';
        bool min = !strncmp(part, "min:", 4), max = !strncmp(part, "max:", 4);
        if (!parse_size(min || max ? part + 4 : part, 1024, min ? &least : max ? &most : &size))
            return -1;
        value += length + (comma != NULL);
    }
    if (!size)
        size = most != ~0ull ? most : least;
    dom0_mem = MAX(MIN(size, most), least);
    return 0;
}
CMDLINE_FN("dom0_mem", parse_dom0_mem);
CMDLINE_UINT("dom0_max_vcpus", dom0_max_vcpus);

/* --- memory --------------------------------------------------------------------------------------------- */

static INIT_CODE void own_range(uint64_t start, uint64_t count)
{
    unsigned i = 0;
    while (i < range_count && ranges[i].start < start)
        i++;
    if (i && ranges[i - 1].start + ranges[i - 1].count == start) {
        ranges[--i].count += count;
    } else {
        memmove(&ranges[i + 1], &ranges[i], (range_count - i) * sizeof ranges[0]);
        ranges[i] = (struct range){start, count};
        range_count++;
    }
    if (i + 1 < range_count && start + count == ranges[i + 1].start) {
        ranges[i].count += ranges[i + 1].count;
        range_count--;
        memmove(&ranges[i + 1], &ranges[i + 2], (range_count - i - 1) * sizeof ranges[0]);
    }
}

static INIT_CODE bool take(uint64_t start, uint64_t count)
{
    if (range_count == MAX_RANGES - 1 || !frame_alloc_at(dom0, MFN(start), count))
        return false;
    own_range(start, count);
    return true;
}

/* Free frames of one region of RAM, in pieces of 2 MiB where they are whole. Returns how many of wanted were
 * got. */
static INIT_CODE uint64_t take_from(const struct memory_region *region, uint64_t wanted)
{
    uint64_t at = DIV_ROUND_UP(region->start, PAGE_SIZE), end = (region->start + region->size) >> PAGE_SHIFT;
    uint64_t got = 0;
    while (at < end && got < wanted) {
        uint64_t piece = (1ull << ORDER_2M) - (at & ((1ull << ORDER_2M) - 1));
        piece = MIN(piece, MIN(end - at, wanted - got));
        if (take(at, piece)) {
            got += piece;
        } else {
            for (uint64_t i = 0; i < piece; i++)
                got += take(at + i, 1);
        }
        at += piece;
    }
    return got;
}

static INIT_CODE void adopt_modules(const struct boot_info *info)
{
    for (unsigned i = 1; i < info->modules; i++) {
        uint64_t count = DIV_ROUND_UP(info->module[i].size, PAGE_SIZE);
        if (!count)
            continue;
        frame_adopt(dom0, maddr_to_mfn(info->module[i].start), count);
        own_range(info->module[i].start.v >> PAGE_SHIFT, count);
    }
}

static INIT_CODE void give_memory(const struct boot_info *info)
{
    uint64_t pages = dom0_mem >> PAGE_SHIFT;
    dom0->max_pages = UINT32_MAX;
    adopt_modules(info);
    uint64_t got = dom0->total_pages;
    for (unsigned i = 0; i < info->regions && got < pages; i++)
        if (info->region[i].type == MEMORY_RAM)
            got += take_from(&info->region[i], pages - got);
    if (got < pages)
        printk(LOG_WARNING "dom0_mem: %lu MiB wanted, %lu MiB given: there is no more\n", dom0_mem / MIB,
               got * PAGE_SIZE / MIB);
    for (unsigned i = 0; i < range_count; i++) {
        uint64_t at = ranges[i].start, end = at + ranges[i].count;
        while (at < end) {
            unsigned order = ORDER_1G;
            while (order && ((at & ((1ull << order) - 1)) || at + (1ull << order) > end))
                order--;
            if (p2m_add(dom0, GFN(at), MFN(at), order, P2M_RAM))
                boot_fail("dom0: no memory for its page tables; give a smaller dom0_mem=");
            at += 1ull << order;
        }
    }
}

/* True when frames [start, start + count) are all dom0's. */
static INIT_CODE bool owned(uint64_t start, uint64_t count)
{
    for (unsigned i = 0; i < range_count; i++)
        if (start >= ranges[i].start && start + count <= ranges[i].start + ranges[i].count)
            return true;
    return false;
}

static INIT_CODE bool overlaps(uint64_t start, uint64_t count, uint64_t other, uint64_t other_count)
{
    return start < other + other_count && other < start + count;
}

static INIT_CODE uint64_t kernel_frames(const struct elf_image *kernel)
{
    return DIV_ROUND_UP(kernel->end, PAGE_SIZE) - (kernel->start >> PAGE_SHIFT);
}

/* count frames of dom0's between 1 MiB and 4 GiB that hold neither its kernel nor a module. 0: there are
 * none. */
static INIT_CODE uint64_t find_room(const struct boot_info *info, const struct elf_image *kernel,
                                    uint64_t count)
{
    for (unsigned i = 0; i < range_count; i++) {
        uint64_t at = MAX(ranges[i].start, MIB >> PAGE_SHIFT);
        if (overlaps(at, count, kernel->start >> PAGE_SHIFT, kernel_frames(kernel)))
            at = (kernel->start >> PAGE_SHIFT) + kernel_frames(kernel);
        for (unsigned m = 1; m < info->modules; m++) {
            uint64_t start = info->module[m].start.v >> PAGE_SHIFT;
            uint64_t length = DIV_ROUND_UP(info->module[m].size, PAGE_SIZE);
            if (overlaps(at, count, start, length))
                at = start + length;
        }
        if (at + count <= 1ull << (32 - PAGE_SHIFT) && owned(at, count))
            return at;
    }
    return 0;
}

/* --- what dom0 is told about memory --------------------------------------------------------------------- */

static INIT_CODE void add_map_entry(uint64_t start, uint64_t size, uint32_t type)
{
    if (!size)
        return;
    if (dom0->memory_map_entries == MEMORY_MAP_MAX)
        boot_fail("dom0: the memory map has too many entries");
    dom0->memory_map[dom0->memory_map_entries++] = (struct e820_entry){start, size, type};
}

/* A region of RAM, cut into what is dom0's and what is not. */
static INIT_CODE void add_ram_entries(const struct memory_region *region)
{
    uint64_t at = region->start, end = at + region->size;
    for (unsigned i = 0; i < range_count; i++) {
        uint64_t start = MAX(ranges[i].start << PAGE_SHIFT, at);
        uint64_t stop = MIN((ranges[i].start + ranges[i].count) << PAGE_SHIFT, end);
        if (start >= stop)
            continue;
        add_map_entry(at, start - at, MEMORY_RESERVED);
        add_map_entry(start, stop - start, MEMORY_RAM);
        at = stop;
    }
    add_map_entry(at, end - at, MEMORY_RESERVED);
}

static INIT_CODE void make_memory_map(const struct boot_info *info)
{
    dom0->memory_map = heap_alloc(MEMORY_MAP_MAX * sizeof dom0->memory_map[0]);
    if (!dom0->memory_map)
        boot_fail("dom0: no memory for its memory map");
    for (unsigned i = 0; i < info->regions; i++) {
        const struct memory_region *r = &info->region[i];
        if (r->type == MEMORY_RAM)
            add_ram_entries(r);
        else
            add_map_entry(r->start, r->size, r->type);
    }
}

/* --- kernel and start info ------------------------------------------------------------------------------ */

static INIT_CODE void *dom0_memory(uint64_t address)
{
    return (char *)mfn_to_virt(MFN(address >> PAGE_SHIFT)) + (address & ~PAGE_MASK);
}

static INIT_CODE void load_kernel(const struct elf_image *kernel)
{
    if (!owned(kernel->start >> PAGE_SHIFT, kernel_frames(kernel)))
        boot_fail("dom0: its kernel wants %#lx-%#lx, which is not free RAM of dom0; give a larger dom0_mem= "
                  "(now %lu MiB)",
                  kernel->start, kernel->end, dom0_mem / MIB);
    for (unsigned i = 0; i < kernel->segment_count; i++) {
        const struct elf_segment *segment = &kernel->segments[i];
        char *to = dom0_memory(segment->address);
        memcpy(to, segment->data, segment->file_size);
        memset(to + segment->file_size, 0, segment->memory_size - segment->file_size);
    }
}

/* Copies bytes to *at in dom0's memory and moves *at behind them, aligned to 8. Returns where they are. */
static INIT_CODE uint64_t place(uint64_t *at, const void *bytes, size_t size)
{
    uint64_t where = *at;
    memcpy(dom0_memory(where), bytes, size);
    *at = (where + size + 7) & ~7ull;
    return where;
}

static INIT_CODE uint64_t make_start_info(const struct boot_info *info, const struct elf_image *kernel)
{
    size_t size = sizeof(struct hvm_start_info) + strlen(info->module[0].cmdline) + 64;
    for (unsigned i = 1; i < info->modules; i++)
        size += sizeof(struct hvm_modlist_entry) + strlen(info->module[i].cmdline) + 16;
    size += dom0->memory_map_entries * sizeof(struct hvm_memmap_table_entry) +
            arch_dom0_acpi_size(dom0->max_vcpus);

    uint64_t room = find_room(info, kernel, DIV_ROUND_UP(size, PAGE_SIZE)) << PAGE_SHIFT;
    if (!room)
        boot_fail("dom0: no room for its start information below 4 GiB; give a larger dom0_mem=");

    uint64_t at = room + sizeof(struct hvm_start_info);
    struct hvm_start_info start = {
        .magic = XEN_HVM_START_MAGIC_VALUE, .version = 1, .flags = SIF_PRIVILEGED | SIF_INITDOMAIN};
    start.cmdline_paddr = place(&at, info->module[0].cmdline, strlen(info->module[0].cmdline) + 1);

    struct hvm_modlist_entry list[BOOT_MAX_MODULES] = {0};
    start.nr_modules = info->modules - 1;
    for (unsigned i = 1; i < info->modules; i++) {
        const struct boot_module *m = &info->module[i];
        list[i - 1].paddr = m->start.v;
        list[i - 1].size = m->size;
        list[i - 1].cmdline_paddr = place(&at, m->cmdline, strlen(m->cmdline) + 1);
    }
    if (start.nr_modules)
        start.modlist_paddr = place(&at, list, start.nr_modules * sizeof list[0]);

    start.memmap_entries = dom0->memory_map_entries;
    start.memmap_paddr = at;
    for (unsigned i = 0; i < dom0->memory_map_entries; i++) {
        const struct e820_entry *e = &dom0->memory_map[i];
        struct hvm_memmap_table_entry entry = {.addr = e->addr, .size = e->size, .type = e->type};
        place(&at, &entry, sizeof entry);
    }
    start.rsdp_paddr = at;
    arch_dom0_acpi_write(dom0_memory(at), at, dom0->max_vcpus);
    memcpy(dom0_memory(room), &start, sizeof start);
    return room;
}

/* --- all together --------------------------------------------------------------------------------------- */

static INIT_CODE void create_domain(void)
{
    uint32_t vcpus = dom0_max_vcpus ? dom0_max_vcpus : cpu_count;
    struct xen_domctl_createdomain config = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = MIN(vcpus, MAX_VCPUS),
        .max_evtchn_port = -1,
        .max_grant_frames = 64,
        .max_maptrack_frames = 1024,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };
    int error = domain_create(0, &config, true, &dom0);
    for (uint32_t id = 0; !error && id < config.max_vcpus; id++)
        error = vcpu_create(dom0, id);
    if (error)
        boot_fail("dom0: cannot be created (error %d); is there too little memory?", error);
}

INIT_CODE void dom0_build(const struct boot_info *info)
{
    const struct boot_module *module = &info->module[0];
    static struct elf_image kernel INIT_DATA;
    static struct why why INIT_DATA;
    if (!elf_parse(mfn_to_virt(maddr_to_mfn(module->start)), module->size, &kernel, &why))
        boot_fail("dom0: the first boot module has to be its kernel: %s", why.text);

    if (!dom0_mem)
        dom0_mem = MIN((frames_total() << PAGE_SHIFT) / 4, DOM0_DEFAULT_MAX);
    dom0_mem = MAX(dom0_mem, DOM0_LEAST) & PAGE_MASK;

    create_domain();
    give_memory(info);
    load_kernel(&kernel);
    make_memory_map(info);
    uint64_t start_info = make_start_info(info, &kernel);
    arch_vcpu_pvh_entry(dom0->vcpu[0], (uint32_t)kernel.entry, (uint32_t)start_info);
    vcpu_wake(dom0->vcpu[0], VCPU_DOWN);
    frame_add_range(maddr_to_mfn(module->start), DIV_ROUND_UP(module->size, PAGE_SIZE));
    printk(LOG_INFO "dom0: %u MiB, %u vCPUs, kernel at %#lx-%#lx, entry %#lx, %u more modules\n",
           (unsigned)((uint64_t)dom0->total_pages * PAGE_SIZE / MIB), dom0->max_vcpus, kernel.start,
           kernel.end, kernel.entry, info->modules - 1);
}
