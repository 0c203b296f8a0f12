/* Starting the other CPUs (smp.c). */
#ifndef X86_SMP_H
#define X86_SMP_H

#include <hv/types.h>

struct arch_cpu;

/*
 * What the trampoline (trampoline.asm) needs to know; the last bytes of its page. The boot CPU fills it in
 * for one CPU at a time.
 */
struct trampoline_data {
    uint64_t cr3;
    uint64_t entry;
    uint64_t stack;
    uint64_t cpu;  /* struct arch_cpu, for entry */
    uint32_t efer; /* low half: LME, NXE */
    uint32_t cr4;
};
#define TRAMPOLINE_DATA (4096 - sizeof(struct trampoline_data))

/* Takes the trampoline's page while the boot allocator still has it. */
void smp_reserve_trampoline(void);
/* Fills in the boot CPU's struct and gives it its stacks. */
void smp_boot_cpu_init(void);

#endif
