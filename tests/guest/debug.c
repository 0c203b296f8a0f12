/* Debug registers: they hold what was written, and breakpoints at the hypervisor's addresses are the guest's
 * affair only. */
#include "check.h"
#include <xen/version.h>

#define DR7_FIXED 0x400ul
#define ENABLE_0  0x2ul
#define WRITES_8  0xd0000ul /* of breakpoint 0: eight bytes, written */

/* The hypervisor's code lies somewhere in the first part of its image; guests know where from its source. */
#define IMAGE_START 0xffffffff80200000ul
#define IMAGE_LOOK  0x28000ul

#define ACCESSORS(n)                                                                                         \
    static unsigned long read_dr##n(void)                                                                    \
    {                                                                                                        \
        unsigned long value;                                                                                 \
        asm volatile("mov %%db" #n ", %0" : "=r"(value));                                                    \
        return value;                                                                                        \
    }                                                                                                        \
    static void write_dr##n(unsigned long value)                                                             \
    {                                                                                                        \
        asm volatile("mov %0, %%db" #n : : "r"(value));                                                      \
    }
ACCESSORS(0)
ACCESSORS(1)
ACCESSORS(2)
ACCESSORS(3)
ACCESSORS(6)
ACCESSORS(7)

static long version(void)
{
    return hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

int main(void)
{
    EXPECT_EQ(read_dr7(), DR7_FIXED);
    EXPECT_EQ(read_dr6() & 0xffff0fff, 0xffff0ff0);
    write_dr0(1);
    write_dr1(0x8000000000000002ul);
    write_dr2(3);
    write_dr3(~0ul);
    EXPECT_EQ(read_dr0(), 1);
    EXPECT_EQ(read_dr1(), 0x8000000000000002ul);
    EXPECT_EQ(read_dr2(), 3);
    EXPECT_EQ(read_dr3(), ~0ul);

    write_dr7(DR7_FIXED | ENABLE_0);
    EXPECT_EQ(read_dr7(), DR7_FIXED | ENABLE_0);
    unsigned right = 0, looks = 0;
    for (unsigned long at = IMAGE_START; at < IMAGE_START + IMAGE_LOOK; at++, looks++) {
        write_dr0(at);
        right += version() == (4 << 16 | 17);
    }
    EXPECT_EQ(right, looks);
    write_dr7(DR7_FIXED | ENABLE_0 | WRITES_8);
    for (unsigned long at = 0xffffc00000000000ul; at < 0xffffc00000004000ul; at += 8) { /* its stacks */
        write_dr0(at);
        EXPECT_EQ(version(), 4 << 16 | 17);
    }
    write_dr7(DR7_FIXED);
    write_dr6(0);
    EXPECT_EQ(read_dr6() & 0xf, 0);
    return verdict("debug");
}
