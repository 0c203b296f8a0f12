/*
 * What every test guest shares: checks that say what went wrong, the verdict line that the runner looks for,
 * and the thinnest names for hypercalls. What is expected here is what Xen 4.17 was seen to do.
 */
#ifndef TESTS_GUEST_CHECK_H
#define TESTS_GUEST_CHECK_H

#include <lib/relax.h>
#include <lib/x86.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>
#include <xen/errno.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <lib/number.h>
#include <lib/string.h>

#define MILLISECOND 1000000ull
#define SECOND      1000000000ull

static unsigned check_failures;

static inline bool check_value(long actual, long expected, const char *what, int line)
{
    if (actual == expected)
        return true;
    check_failures++;
    pvh_printf("line %d: %s is %ld (%#lx), not %ld\n", line, what, actual, (unsigned long)actual, expected);
    return false;
}

/* Both are true when the check held, for what would make no sense after it. */
#define EXPECT(condition)        check_value((condition) ? 1 : 0, 1, #condition, __LINE__)
#define EXPECT_EQ(actual, value) check_value((long)(actual), (long)(value), #actual, __LINE__)

/* The line that the runner waits for; main() returns its value, so that a failed test ends as a crash. */
static inline int verdict(const char *name)
{
    if (check_failures == 0)
        pvh_printf("VERDICT %s: PASS\n", name);
    else
        pvh_printf("VERDICT %s: FAIL %u checks\n", name, check_failures);
    return 0;
}

/* A hypercall that takes a command and a pointer: OP(memory_op, XENMEM_memory_map, &map). */
#define OP(name, command, argument)                                                                          \
    hypercall(__HYPERVISOR_##name, (command), (uint64_t)(uintptr_t)(argument), 0, 0, 0)
/* One that takes a pointer only. */
#define CONTROL(name, argument) hypercall(__HYPERVISOR_##name, (uint64_t)(uintptr_t)(argument), 0, 0, 0, 0)
#define VCPUOP(command, vcpu, argument)                                                                      \
    hypercall(__HYPERVISOR_vcpu_op, (command), (vcpu), (uint64_t)(uintptr_t)(argument), 0, 0)

/* An address that no memory map has and no page table maps. */
#define BAD_POINTER ((void *)0xdead000000000ull)

/* A number on the command line: option_number("seconds", 5) of "seconds=20" is 20. */
static inline uint64_t option_number(const char *name, uint64_t otherwise)
{
    char text[24];
    uint64_t value;
    return pvh_option(name, text, sizeof text) && parse_number(text, &value) ? value : otherwise;
}

/* The next of a row of numbers that a seed, not 0, stands for (xorshift). */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Our own domain id, from CPUID: hypercalls know it as DOMID_SELF, the grant table does not. */
static inline domid_t own_domid(void)
{
    struct cpuid leaf = cpuid(hypercall_cpuid_base() + 4, 0);
    return leaf.eax & (1u << 4) ? (domid_t)leaf.ecx : 0;
}

/* Takes what interrupts are pending. No PAUSE: QEMU's TCG stretches the shadow of STI over it. */
static inline void take_interrupts(void)
{
    asm volatile("sti; nop; nop; nop; cli" : : : "memory");
}

static inline uint64_t frame_of(const void *page)
{
    return (uintptr_t)page >> PAGE_SHIFT;
}

#endif
