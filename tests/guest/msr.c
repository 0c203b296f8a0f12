/* MSRs: those every guest needs work, those it may not have fault, and nothing it writes reaches the
 * machine's. */
#include "check.h"

struct access {
    uint32_t msr;
    uint64_t value;
};

static void try_read(void *arg)
{
    struct access *access = arg;
    access->value = rdmsr(access->msr);
}

static void try_write(void *arg)
{
    struct access *access = arg;
    wrmsr(access->msr, access->value);
}

static bool readable(uint32_t msr, uint64_t *value)
{
    struct access access = {.msr = msr};
    struct pvh_trap trap;
    bool ok = pvh_try(try_read, &access, &trap);
    if (!ok)
        EXPECT_EQ(trap.vector, TRAP_PROTECTION);
    else if (value != NULL)
        *value = access.value;
    return ok;
}

static bool writable(uint32_t msr, uint64_t value)
{
    struct access access = {.msr = msr, .value = value};
    struct pvh_trap trap;
    bool ok = pvh_try(try_write, &access, &trap);
    if (!ok)
        EXPECT_EQ(trap.vector, TRAP_PROTECTION);
    return ok;
}

/* Registers that simply keep what is written. */
static void test_kept(void)
{
    static const struct access kept[] = {
        {0xc0000081, 0x0023001000000000}, /* STAR */
        {0xc0000082, 0xffffffff81000000}, /* LSTAR */
        {0xc0000083, 0xffffffff81000100}, /* CSTAR */
        {0xc0000084, 0x47700},            /* SFMASK */
        {0xc0000101, 0xffff888000001000}, /* GS base */
        {0xc0000102, 0x123000},           /* kernel GS base */
        {0x174, 0x10},                    /* SYSENTER */
        {0x175, 0xffffffff82000000},
        {0x176, 0xffffffff81000200},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        uint64_t before = 0, now = 0;
        EXPECT(readable(kept[i].msr, &before));
        EXPECT(writable(kept[i].msr, kept[i].value));
        EXPECT(readable(kept[i].msr, &now));
        if (now != kept[i].value)
            pvh_printf("msr %#x:\n", kept[i].msr);
        EXPECT_EQ(now, kept[i].value);
        EXPECT(writable(kept[i].msr, before));
    }
}

int main(void)
{
    uint64_t value = 0;
    test_kept();
    EXPECT(readable(0xc0000080, &value)); /* EFER */
    EXPECT((value & 0x500) == 0x500);
    EXPECT(!writable(0xc0000080, value | 1ull << 40));
    EXPECT(!writable(0xc0000080, value & ~0x100ull)); /* out of long mode with paging on */
    EXPECT(writable(0xc0000080, value | 1));
    EXPECT(readable(0x1b, &value)); /* APIC base: on, boot processor */
    EXPECT((value & 0x900) == 0x900);
    EXPECT(readable(0x277, &value)); /* PAT */
    EXPECT(writable(0x277, value));
    EXPECT(readable(0xfe, &value)); /* MTRR capabilities */
    EXPECT(readable(0x2ff, &value));
    EXPECT(readable(0x10, &value)); /* TSC */
    EXPECT(!readable(0x12345678, NULL));
    EXPECT(!writable(0x12345678, 0));
    EXPECT(!readable(0x40000999, NULL));
    EXPECT(!writable(0x480, 0)); /* VMX capabilities */
    return verdict("msr");
}
