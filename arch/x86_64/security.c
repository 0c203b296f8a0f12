/* The stack protector's guard value. Set once, before the second CPU runs; no locking. */
#include <hv/panic.h>
#include <x86/asm.h>
#include <x86/security.h>

extern uintptr_t __stack_chk_guard;
void __stack_chk_fail(void) __attribute__((noreturn));

uintptr_t __stack_chk_guard = 0x5bd1e995a7c3f200;

#define CPUID_1_ECX_RDRAND (1u << 30)

/* Runs before CPU features are known, so it asks for itself. */
INIT_CODE __attribute__((no_stack_protector)) void stack_guard_init(void)
{
    uint64_t random = 0;
    if (cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND)
        asm volatile("rdrand %0" : "+r"(random) : : "cc");
    random ^= rdtsc() * 0x9e3779b97f4a7c15ull;
    /*
     * The lowest byte stays zero, so that a string copied over the end of its buffer cannot forge the value.
     */
    __stack_chk_guard ^= random << 8;
}

void __stack_chk_fail(void)
{
    panic("a function wrote past a buffer on its stack");
}
