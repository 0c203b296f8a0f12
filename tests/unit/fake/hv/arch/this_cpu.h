/* this_cpu() on the host: each thread is the CPU that the test made it (fake.h). Shadows the one of the
 * hypervisor. */
#ifndef HV_ARCH_THIS_CPU_H
#define HV_ARCH_THIS_CPU_H

extern __thread struct cpu *fake_this_cpu;

static inline struct cpu *this_cpu(void)
{
    return fake_this_cpu;
}

#define this_cpu_var(member) (this_cpu()->member)

static inline void this_cpu_count(uint64_t slot, uint32_t by)
{
    fake_this_cpu->perfc[slot] += by;
}

void cpu_relax(void);

#endif
