/* multicall: a list of hypercalls, each with a result of its own (xen/xen.h). */
#include "check.h"

#define CALLS 40

static long multicall(struct multicall_entry *list, unsigned long count)
{
    return hypercall(__HYPERVISOR_multicall, (uintptr_t)list, count, 0, 0, 0);
}

int main(void)
{
    static struct multicall_entry list[CALLS];
    static struct xen_feature_info features[CALLS];
    for (unsigned i = 0; i < CALLS; i++) {
        list[i] = (struct multicall_entry){.op = __HYPERVISOR_xen_version,
                                           .args = {XENVER_get_features, (uintptr_t)&features[i]}};
        list[i].result = 0x1234;
    }
    list[1].args[0] = XENVER_version;
    list[2].args[1] = (uintptr_t)BAD_POINTER;
    list[3].op = 60; /* no such hypercall */
    list[4].args[0] = 77;
    EXPECT_EQ(multicall(list, CALLS), 0);
    EXPECT_EQ(list[0].result, 0);
    EXPECT_EQ(list[1].result, 4 << 16 | 17);
    EXPECT_EQ(list[2].result, -XEN_EFAULT);
    EXPECT_EQ(list[3].result, -XEN_ENOSYS);
    EXPECT_EQ(list[4].result, -XEN_ENOSYS);
    for (unsigned i = 5; i < CALLS; i++)
        if (!EXPECT(list[i].result == 0 && features[i].submap == features[0].submap))
            break;
    EXPECT_EQ(list[0].op, __HYPERVISOR_xen_version); /* the rest of an entry is as it was */

    EXPECT_EQ(multicall(NULL, 0), 0);
    EXPECT_EQ(multicall(BAD_POINTER, 1), -XEN_EFAULT);

    /* A list that runs off into nothing: done up to there. */
    struct multicall_entry *edge = page_alloc(2);
    page_map((uintptr_t)edge + PAGE_SIZE, 0, 0);
    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*edge); i++)
        edge[i] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
    EXPECT_EQ(multicall(edge, ~0u), -XEN_EFAULT);
    EXPECT_EQ(edge[PAGE_SIZE / sizeof(*edge) - 1].result, 4 << 16 | 17);
    return verdict("multicall");
}
