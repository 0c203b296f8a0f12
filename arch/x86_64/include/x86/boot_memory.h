/* Memory between the boot loader and the frame allocator (boot_memory.c). Boot CPU only. */
#ifndef X86_BOOT_MEMORY_H
#define X86_BOOT_MEMORY_H

#include <hv/types.h>

/* The free ranges: RAM without the image, the boot modules and page 0. Memory from limit on is not given out
 * yet. */
void boot_memory_init(uint64_t limit);
void boot_memory_set_limit(uint64_t limit);
/*
 * dom0's kernel wants low memory, so that the modules and the image give it up. boot_memory_move_modules()
 * moves the modules up as far as they go; boot_memory_image_place() is where the image is to go, and
 * boot_memory_image_moved() frees where it was.
 */
void boot_memory_move_modules(void);
maddr_t boot_memory_image_place(void);
void boot_memory_image_moved(void);
/* One page below 1 MiB, for the trampoline of the other CPUs; 0: there is none. */
maddr_t boot_memory_low_page(void);
/* Makes the frame table and hands over all that is left. boot_alloc() is over. */
void boot_memory_finish(void);
uint64_t boot_memory_total(void); /* bytes of RAM */

#endif
