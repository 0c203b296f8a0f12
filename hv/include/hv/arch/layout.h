/* The hypervisor's virtual addresses on x86-64. */
#ifndef HV_ARCH_LAYOUT_H
#define HV_ARCH_LAYOUT_H

#define DIRECTMAP_BASE 0xffff800000000000ull /* all RAM: address = base + machine address */
#define DIRECTMAP_SIZE 0x0000400000000000ull /* 64 TiB */
#define STACKS_BASE    0xffffc00000000000ull /* per-CPU stacks with guard pages between them */
#define DEVICES_BASE   0xffffd00000000000ull /* device registers, uncached (APIC, IO-APIC, HPET, ECAM) */
#define WINDOWS_BASE   0xffffd80000000000ull /* a page for each CPU: map_device_window() */
#define IMAGE_BASE     0xffffffff80000000ull /* the image, linked at IMAGE_BASE + its load address */

#endif
