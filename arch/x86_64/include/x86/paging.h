/*
 * The hypervisor's own page tables (arch/x86_64/paging.c): image by section, direct map of RAM, stacks with
 * guard pages, device registers. One set for all CPUs; after boot only device mappings are added.
 */
#ifndef X86_PAGING_H
#define X86_PAGING_H

#include <hv/arch/layout.h>
#include <hv/types.h>

#define PTE_P    (1ull << 0)
#define PTE_W    (1ull << 1)
#define PTE_U    (1ull << 2)
#define PTE_PWT  (1ull << 3)
#define PTE_PCD  (1ull << 4)
#define PTE_A    (1ull << 5)
#define PTE_D    (1ull << 6)
#define PTE_PS   (1ull << 7)
#define PTE_G    (1ull << 8)
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

static inline void *maddr_to_virt(maddr_t m)
{
    return (void *)(DIRECTMAP_BASE + m.v);
}
/* How far the image lies from where it was loaded: paging_init() moves it. */
extern uint64_t image_shift;

/* p in the direct map or in the image. */
static inline maddr_t virt_to_maddr(const void *p)
{
    uint64_t v = (uint64_t)p;
    return MADDR(v >= IMAGE_BASE ? v - IMAGE_BASE + image_shift : v - DIRECTMAP_BASE);
}

/* From the first page tables to these, and the image from where it was loaded to image (its size, page
 * aligned). */
void paging_init(maddr_t image);
void paging_use_frames(void); /* tables come from page_alloc() from now on */
/* For the start of other CPUs; paging_free_init() removes it. */
bool paging_map_trampoline(maddr_t page);
/*
 * After the last INIT_CODE ran: frees it, its data and the boot stack. Each other CPU reloads CR3 afterwards.
 */
void paging_free_init(void);
uint64_t paging_root(void); /* CR3 of the hypervisor */

/* Registers of a device, uncached. Never unmapped. NULL: no memory. */
void *map_device(maddr_t start, uint64_t size);
/*
 * Registers of a device that may be moved about, uncached: good on this CPU until it asks for others. An
 * access must not go beyond the page. NULL: no memory.
 */
volatile void *map_device_window(maddr_t at);
/*
 * Firmware's tables anywhere in memory, through the direct map; adds what is not mapped yet. NULL: no memory.
 */
const void *map_firmware(maddr_t start, uint64_t size);
/* The stacks of one CPU; returns false when there is no memory. tops[i] is where stack i begins. */
bool map_stacks(uint32_t cpu, uint64_t tops[]);

#endif
