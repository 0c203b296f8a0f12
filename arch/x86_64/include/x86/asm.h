/* What the hypervisor adds to lib/x86.h. What may fault without harm: rdmsr_safe, wrmsr_safe, xsetbv_safe
 * (x86/traps.h). */
#ifndef X86_ASM_H
#define X86_ASM_H

#include <hv/types.h>
#include <lib/x86.h>
#include <x86/msr.h>

/* a * b / c with the whole product in between. The result has to fit 64 bits. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low, high;
    asm("mulq %3; divq %4" : "=&a"(low), "=&d"(high) : "0"(a), "r"(b), "r"(c) : "cc");
    return low;
}

/* Registers of a device in the DEVICES area: exactly one access. */
static inline uint32_t mmio_read32(const volatile void *address)
{
    return *(const volatile uint32_t *)address;
}
static inline void mmio_write32(volatile void *address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

#endif
