/*
 * The hypervisor's own address space (x86/paging.h, hv/arch/layout.h): one set of page tables for all CPUs.
 *
 * No page is both writable and executable: code is executable in the image's mapping only, and what is
 * read-only there is read-only in the direct map too. Built on the boot CPU; later changes (device mappings,
 * the end of .init) only add entries or happen before the other CPUs are released. Locking: paging_lock
 * around additions after boot.
 */
#include <hv/frame.h>
#include <hv/init.h>
#include <hv/lock.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/boot_memory.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/paging.h>
#include <x86/platform.h>

#define TABLE_ENTRIES 512
#define SIZE_2M       (1ull << 21)
#define SIZE_1G       (1ull << 30)
#define KERNEL_RX     (PTE_P | PTE_A)
#define KERNEL_RO     (PTE_P | PTE_A | PTE_NX)
#define KERNEL_RW     (PTE_P | PTE_A | PTE_D | PTE_W | PTE_NX)
#define DEVICE_RW     (KERNEL_RW | PTE_PCD | PTE_PWT)

extern char image_start[], text_end[], init_start[], init_text_end[], init_end[], rodata_start[],
    rodata_end[], init_bss_start[], init_bss_end[], image_end[];

uint64_t image_shift;
static uint64_t root[TABLE_ENTRIES] __attribute__((aligned(4096)));
static uint64_t nx_mask; /* clears PTE_NX where the CPU has none */
static bool frames_ready;
static spinlock_t paging_lock = SPINLOCK_INIT(LOCK_PAGING);
static uint64_t devices_next = DEVICES_BASE;

static uint64_t *table_alloc(void)
{
    return frames_ready ? page_alloc(0) : boot_alloc(PAGE_SIZE);
}

/* The entry that maps address at that level (3: 1 GiB, 2: 2 MiB, 1: 4 KiB), tables made on the way. NULL: no
 * memory. */
static uint64_t *entry_at(uint64_t address, unsigned level)
{
    uint64_t *table = root;
    for (unsigned l = 4;; l--) {
        uint64_t *entry = &table[address >> (12 + 9 * (l - 1)) & (TABLE_ENTRIES - 1)];
        if (l == level || *entry & PTE_PS)
            return entry;
        if (!(*entry & PTE_P)) {
            uint64_t *next = table_alloc();
            if (!next)
                return NULL;
            *entry = virt_to_maddr(next).v | PTE_P | PTE_W | PTE_A;
        }
        table = maddr_to_virt(MADDR(*entry & PTE_ADDR));
    }
}

static unsigned largest_level(uint64_t alignment, uint64_t size)
{
    if (cpu_features.page1g && alignment % SIZE_1G == 0 && size >= SIZE_1G)
        return 3;
    return alignment % SIZE_2M == 0 && size >= SIZE_2M ? 2 : 1;
}

/* Maps [maddr, maddr + size) at address with the largest pages that fit. What is mapped already stays as it
 * is. */
static bool map_range(uint64_t address, uint64_t maddr, uint64_t size, uint64_t flags)
{
    flags &= nx_mask;
    for (uint64_t done = 0, step; done < size; done += step) {
        unsigned level = largest_level((address + done) | (maddr + done), size - done);
        uint64_t *entry = entry_at(address + done, level);
        /* A part of it has smaller pages already. */
        while (entry && level > 1 && (*entry & (PTE_P | PTE_PS)) == PTE_P)
            entry = entry_at(address + done, --level);
        if (!entry)
            return false;
        if (!(*entry & PTE_P))
            *entry = (maddr + done) | flags | (level > 1 ? PTE_PS : 0);
        step = PAGE_SIZE << (9 * (level - 1));
    }
    return true;
}

static INIT_CODE void map_image(char *start, char *end, uint64_t flags)
{
    map_range((uint64_t)start, virt_to_maddr(start).v, (uint64_t)(end - start), flags);
}

static INIT_CODE void map_direct(uint64_t start, uint64_t end, uint64_t flags)
{
    start &= PAGE_MASK;
    end = MIN((end + PAGE_SIZE - 1) & PAGE_MASK, DIRECTMAP_SIZE);
    if (start < end)
        map_range(DIRECTMAP_BASE + start, start, end - start, flags);
}

/*
 * Copies the image, these variables and this stack included, and goes on in the copy: from the copying to the
 * new tables nothing may be written.
 */
static INIT_CODE void move_image(maddr_t from)
{
    void *to = maddr_to_virt(virt_to_maddr(image_start));
    const void *source = maddr_to_virt(from);
    uint64_t words = (uint64_t)(image_end - image_start) / 8;
    asm volatile("rep movsq; mov %3, %%cr3"
                 : "+D"(to), "+S"(source), "+c"(words)
                 : "r"(paging_root())
                 : "memory");
}

INIT_CODE void paging_init(maddr_t image)
{
    maddr_t loaded = virt_to_maddr(image_start);
    nx_mask = cpu_features.nx ? ~0ull : ~PTE_NX;
    image_shift = image.v - loaded.v;

    map_image(image_start, text_end, KERNEL_RX);
    map_image(init_start, init_text_end, KERNEL_RX);
    map_image(init_text_end, init_end, KERNEL_RW);
    map_image(rodata_start, rodata_end, KERNEL_RO);
    map_image(rodata_end, image_end, KERNEL_RW);

    map_direct(virt_to_maddr(image_start).v, virt_to_maddr(rodata_end).v, KERNEL_RO);
    for (uint32_t i = 0; i < boot_info.regions; i++) {
        const struct memory_region *region = &boot_info.region[i];
        if (region->type == MEMORY_RAM)
            map_direct(region->start, region->start + region->size, KERNEL_RW);
        else if (region->type == MEMORY_ACPI || region->type == MEMORY_NVS)
            map_direct(region->start, region->start + region->size, KERNEL_RO);
    }
    /* In use already: drivers/platform/vga.c. */
    map_range(DIRECTMAP_BASE + VGA_TEXT, VGA_TEXT, VGA_TEXT_SIZE, DEVICE_RW);
    move_image(loaded);
}

INIT_CODE void paging_use_frames(void)
{
    frames_ready = true;
}

uint64_t paging_root(void)
{
    return virt_to_maddr(root).v;
}

void *map_device(maddr_t start, uint64_t size)
{
    uint64_t first = start.v & PAGE_MASK, end = (start.v + size + PAGE_SIZE - 1) & PAGE_MASK;
    spin_lock(&paging_lock);
    /* At the same distance from a 2 MiB boundary, so that large areas get large pages. */
    uint64_t address = ((devices_next + SIZE_2M - 1) & ~(SIZE_2M - 1)) + first % SIZE_2M;
    if (end - first < SIZE_2M)
        address = devices_next;
    bool ok = map_range(address, first, end - first, DEVICE_RW);
    devices_next = address + (end - first);
    spin_unlock(&paging_lock);
    return ok ? (char *)address + (start.v - first) : NULL;
}

volatile void *map_device_window(maddr_t at)
{
    static uint64_t *entries[MAX_CPUS];
    uint32_t cpu = this_cpu()->id;
    uint64_t address = WINDOWS_BASE + cpu * PAGE_SIZE;
    uint64_t wanted = (at.v & PAGE_MASK) | (DEVICE_RW & nx_mask);

    if (!entries[cpu]) {
        spin_lock(&paging_lock);
        entries[cpu] = entry_at(address, 1);
        spin_unlock(&paging_lock);
        if (!entries[cpu])
            return NULL;
    }
    if (*entries[cpu] != wanted) {
        *entries[cpu] = wanted;
        invlpg((void *)address);
    }
    return (char *)address + (at.v & ~PAGE_MASK);
}

const void *map_firmware(maddr_t start, uint64_t size)
{
    uint64_t first = start.v & PAGE_MASK, end = (start.v + size + PAGE_SIZE - 1) & PAGE_MASK;
    if (end < first || end > MIN(DIRECTMAP_SIZE, 1ull << cpu_features.phys_bits))
        return NULL;
    spin_lock(&paging_lock);
    bool ok = map_range(DIRECTMAP_BASE + first, first, end - first, KERNEL_RO);
    spin_unlock(&paging_lock);
    return ok ? maddr_to_virt(start) : NULL;
}

bool map_stacks(uint32_t cpu, uint64_t tops[])
{
    uint64_t address = STACKS_BASE + cpu * 0x10000ull;
    for (unsigned i = 0; i < STACKS; i++) {
        uint64_t size = i == STACK_MAIN ? STACK_MAIN_SIZE : STACK_IST_SIZE;
        address += PAGE_SIZE; /* the guard page */
        for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
            void *page = page_alloc(0);
            if (!page || !map_range(address + at, virt_to_maddr(page).v, PAGE_SIZE, KERNEL_RW))
                return false;
        }
        address += size;
        tops[i] = address;
    }
    return true;
}

/* Identity mapping of the trampoline's page, executable, for CPUs that turn paging on in it; gone again after
 * boot. */
INIT_CODE bool paging_map_trampoline(maddr_t page)
{
    return map_range(page.v, page.v, PAGE_SIZE, KERNEL_RX);
}

/* Gives [start, end) of the image back: out of the image's mapping, writable in the direct map, free. */
static void free_image_part(char *start, char *end)
{
    for (char *p = start; p < end; p += PAGE_SIZE) {
        uint64_t maddr = virt_to_maddr(p).v;
        *entry_at((uint64_t)p, 1) = 0;
        uint64_t *direct = entry_at(DIRECTMAP_BASE + maddr, 1);
        if (!(*direct & PTE_PS))
            *direct = maddr | (KERNEL_RW & nx_mask);
    }
    frame_add_range(maddr_to_mfn(virt_to_maddr(start)), (uint64_t)(end - start) >> PAGE_SHIFT);
}

void paging_free_init(void)
{
    root[0] = 0;
    free_image_part(init_start, init_end);
    free_image_part(init_bss_start, init_bss_end);
    write_cr3(paging_root());
}
