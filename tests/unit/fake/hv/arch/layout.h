/* The machine's memory on the host: an array. Shadows the addresses of the hypervisor. */
#ifndef HV_ARCH_LAYOUT_H
#define HV_ARCH_LAYOUT_H

#define FAKE_FRAMES 16384ull
extern char fake_ram[];

#define DIRECTMAP_BASE ((uint64_t)(uintptr_t)fake_ram)
#define DIRECTMAP_SIZE (FAKE_FRAMES << 12)
#define IMAGE_BASE     0xffffffff80000000ull /* nothing lies there */

#endif
