/* The hypercall page: asked for by MSR, every entry works; a wild address is refused (xen/arch-x86/cpuid.h).
 */
#include "check.h"

static void write_page(void *arg)
{
    wrmsr(cpuid(hypercall_cpuid_base() + 2, 0).ebx, *(uint64_t *)arg);
}

int main(void)
{
    EXPECT_EQ(hypercall_by_page(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0), 4 << 16 | 17);
    EXPECT_EQ(hypercall_by_page(60, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    EXPECT_EQ(hypercall(0x1000, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    EXPECT_EQ(hypercall(~0u, 0, 0, 0, 0, 0), -XEN_ENOSYS);

    uint64_t nowhere = 1ull << 44;
    EXPECT(!pvh_try(write_page, &nowhere, NULL));
    uint64_t second = memory_reserve_space(PAGE_SIZE) | 1; /* pages are counted from 0, and there is one */
    EXPECT(!pvh_try(write_page, &second, NULL));
    return verdict("page");
}
