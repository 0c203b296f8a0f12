/* this_cpu() and what spares it: x86-64 keeps the CPU's struct in GS. Included by hv/cpu.h after struct cpu.
 */
#ifndef HV_ARCH_THIS_CPU_H
#define HV_ARCH_THIS_CPU_H

#include <lib/relax.h>

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    asm("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* A member of this CPU's struct, as an lvalue; in one instruction, for its address is not needed. */
#define this_cpu_var(member) (((struct cpu __seg_gs *)0)->member)

/* Adds to a counter of this CPU, in one instruction. */
static inline void this_cpu_count(uint64_t slot, uint32_t by)
{
    this_cpu_var(perfc)[slot] += by;
}

#endif
