/* In a loop that waits for another CPU. */
#ifndef LIB_RELAX_H
#define LIB_RELAX_H

static inline void cpu_relax(void)
{
    asm volatile("pause" : : : "memory");
}

#endif
