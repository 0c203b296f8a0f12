/*
 * The order of start-up. hv_main() (hv/main.c) calls these; each stands in the file that its comment names.
 */
#ifndef HV_INIT_H
#define HV_INIT_H

#include <hv/boot_info.h>
#include <hv/types.h>

/* On the boot CPU, on the boot stack, interrupts off, first page tables. */
void hv_main(void) __attribute__((noreturn));

/* --- by the architecture, in the order in which hv_main() calls them ------------------------------------ */
void arch_early_init(void);    /* traps, CPU features: exceptions print from here on */
void arch_console_init(void);  /* console_register() for each device that there may be */
void arch_memory_init(void);   /* final page tables, frames handed over, per-CPU stacks */
void arch_platform_init(void); /* ACPI, interrupt controllers, clock */
void arch_cpus_init(void);     /* the other CPUs; they wait until smp_release() */
void arch_virt_init(void);     /* VMX or SVM; boot_fail() when there is none (arch/x86_64/guest) */
void arch_cpus_release(void) __attribute__((noreturn)); /* .init is freed, every CPU goes to cpu_loop() */

/*
 * Memory for the time before frame_init(): page aligned, zeroed, never given back. Panics when there is none.
 */
void *boot_alloc(uint64_t size);

#endif
