/*
 * Memory: mapped one to one, readable, writable, executable and open to user mode.
 *
 * The low 4 GiB and all RAM are mapped, but for page 0. Page tables are shared by all CPUs. Page allocation
 * is not for interrupt handlers nor for several CPUs at a time.
 */
#ifndef PVH_MEMORY_H
#define PVH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

#define PAGE_SIZE  4096ull
#define PAGE_SHIFT 12

/* count contiguous pages, contents unspecified; NULL when there are none. */
void *page_alloc(size_t count);
void page_free(void *page, size_t count);
/* How many pages are free. */
size_t page_free_count(void);

/* Bits of an entry, as the processor defines them. */
#define PAGE_PRESENT 0x1ull
#define PAGE_WRITE   0x2ull
#define PAGE_USER    0x4ull
#define PAGE_NOCACHE 0x18ull
#define PAGE_LARGE   0x80ull
#define PAGE_NX      (1ull << 63)
#define PAGE_ALL     (PAGE_PRESENT | PAGE_WRITE | PAGE_USER)

/* Maps one page at virtual to physical with exactly these flags (0: not present) and flushes it on this CPU.
 */
bool page_map(uint64_t virtual, uint64_t physical, uint64_t flags);
/* Maps [start, start + size) one to one, in large pages. */
bool page_map_identity(uint64_t start, uint64_t size);

/* Entry number index of the memory map, from the start info or XENMEM_memory_map; false past the last. */
bool memory_map_entry(unsigned index, struct hvm_memmap_table_entry *entry);
/* First byte above all that the memory map names, and at least 4 GiB. */
uint64_t memory_top(void);
/* Guest-physical room of size bytes where there is neither RAM nor a device, mapped; 2 MiB aligned. 0: none
 * left. */
uint64_t memory_reserve_space(uint64_t size);
/* Bytes of RAM in the memory map. */
uint64_t memory_total(void);

#endif
