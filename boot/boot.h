/* The parts of boot/: each protocol's reader fills boot_info through the functions of memory_map.c and
 * boot.c. */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <hv/boot_info.h>
#include <x86/paging.h>

/* EAX at entry; PVH has none of its own, boot/entry.asm supplies the start info's magic. */
#define MULTIBOOT1_BOOT_MAGIC 0x2badb002u
#define MULTIBOOT2_BOOT_MAGIC 0x36d76289u

void multiboot1_read(const void *info);
void multiboot2_read(const void *info);
void pvh_read(const void *info);

/* The first page tables reach 4 GiB, where every protocol puts what it hands over. */
static inline const void *boot_pointer(uint64_t address)
{
    return maddr_to_virt(MADDR(address));
}

/*
 * A copy of the loader's text that outlives the loader's memory; "" for NULL and when there is no room.
 */
const char *boot_text(const char *text);
void boot_add_module(uint64_t start, uint64_t end, const char *cmdline);

/* Regions as the firmware lists them, in any order, overlapping or not. */
void memory_map_add(uint64_t start, uint64_t size, uint32_t type);
/* After the last memory_map_add: fills boot_info.region. */
void memory_map_finish(void);

#endif
