/*
 * Single instructions of the processor as functions, for every image. Those that may fault (RDMSR of what is
 * not there, XSETBV) fault.
 */
#ifndef LIB_X86_H
#define LIB_X86_H

#include <stdint.h>

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdmsr(uint32_t index)
{
    uint32_t low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return (uint64_t)high << 32 | low;
}
static inline void wrmsr(uint32_t index, uint64_t value)
{
    asm volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}
/* Not before earlier loads are done, where LFENCE is dispatch serialising. */
static inline uint64_t rdtsc_ordered(void)
{
    uint32_t low, high;
    asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#define X86_CR_ACCESSORS(n)                                                                                  \
    static inline uint64_t read_cr##n(void)                                                                  \
    {                                                                                                        \
        uint64_t value;                                                                                      \
        asm volatile("mov %%cr" #n ", %0" : "=r"(value) : : "memory");                                       \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void write_cr##n(uint64_t value)                                                           \
    {                                                                                                        \
        asm volatile("mov %0, %%cr" #n : : "r"(value) : "memory");                                           \
    }
X86_CR_ACCESSORS(0)
X86_CR_ACCESSORS(2)
X86_CR_ACCESSORS(3)
X86_CR_ACCESSORS(4)
#undef X86_CR_ACCESSORS

static inline uint64_t xgetbv(uint32_t index)
{
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}
static inline void xsetbv(uint32_t index, uint64_t value)
{
    asm volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

#define X86_PORT_ACCESSORS(suffix, type)                                                                     \
    static inline type in##suffix(uint16_t port)                                                             \
    {                                                                                                        \
        type value;                                                                                          \
        asm volatile("in %1, %0" : "=a"(value) : "Nd"(port) : "memory");                                     \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void out##suffix(uint16_t port, type value)                                                \
    {                                                                                                        \
        asm volatile("out %0, %1" : : "a"(value), "Nd"(port) : "memory");                                    \
    }
X86_PORT_ACCESSORS(b, uint8_t)
X86_PORT_ACCESSORS(w, uint16_t)
X86_PORT_ACCESSORS(l, uint32_t)
#undef X86_PORT_ACCESSORS

static inline void invlpg(const void *address)
{
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}
static inline void interrupts_on(void)
{
    asm volatile("sti" : : : "memory");
}
static inline void interrupts_off(void)
{
    asm volatile("cli" : : : "memory");
}
/* Takes what is pending now: STI's shadow covers the NOP, so interrupts come after it. */
static inline void interrupts_window(void)
{
    asm volatile("sti; nop; cli" : : : "memory");
}
/* Waits for an interrupt that cannot slip in before the HLT. */
static inline void wait_for_interrupt(void)
{
    asm volatile("sti; hlt; cli" : : : "memory");
}
static inline uint64_t read_flags(void)
{
    uint64_t flags;
    asm volatile("pushf; pop %0" : "=r"(flags));
    return flags;
}

#endif
