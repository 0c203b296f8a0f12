/*
 * multicall: a list of hypercalls in one (xen/xen.h, struct multicall_entry).
 *
 * Each entry is copied in, carried out, and its result copied out. A call that has to be continued leaves its
 * changed arguments in its entry and the multicall begins with that entry the next time. So a list of any
 * length keeps interrupts waiting for one run only.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/hypercall.h>

/* When this much time has passed, the rest of the list waits until interrupts and the scheduler had their
 * turn. */
#define RUN_TIME (200 * 1000ull)

_Static_assert(sizeof(((struct multicall_entry *)0)->args) == 6 * sizeof(uint64_t), "arguments are arg[6]");

/* 0, -EFAULT, or HYPERCALL_RESTART: the call is not finished. */
static int64_t one_call(gva_t where)
{
    struct multicall_entry entry;
    if (copy_from_guest(&entry, where, sizeof(entry)))
        return -XEN_EFAULT;

    int64_t result = entry.op == __HYPERVISOR_multicall ? -XEN_EINVAL : hypercall(entry.op, entry.args);
    if (result == HYPERCALL_RESTART)
        return copy_to_guest(where, &entry, sizeof(entry)) ? -XEN_EFAULT : HYPERCALL_RESTART;
    entry.result = (uint64_t)result;
    return copy_to_guest(GVA(where.v + offsetof(struct multicall_entry, result)), &entry.result,
                         sizeof(entry.result));
}

/* arg: address of the list, number of its entries. Both then say what remains. */
int64_t do_multicall(uint64_t arg[6])
{
    ns_t deadline = time_now() + RUN_TIME;
    uint32_t count = (uint32_t)arg[1];

    while (count) {
        int64_t result = one_call(GVA(arg[0]));
        if (result)
            return result;
        arg[0] += sizeof(struct multicall_entry);
        arg[1] = --count;
        if (count && time_now() >= deadline)
            return HYPERCALL_RESTART;
    }
    return 0;
}
