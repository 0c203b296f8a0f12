/*
 * The table of hypercalls (hv/hypercall.h). Numbers are those of xen/xen.h; what has no handler is -ENOSYS.
 *
 * Locking: none here.
 */
#include <hv/cpu.h>
#include <hv/hypercall.h>

static hypercall_fn *const handlers[PERFC_HYPERCALLS] = {
    [__HYPERVISOR_platform_op] = do_platform_op,
    [__HYPERVISOR_memory_op] = do_memory_op,
    [__HYPERVISOR_multicall] = do_multicall,
    [__HYPERVISOR_set_timer_op] = do_set_timer_op,
    [__HYPERVISOR_xen_version] = do_xen_version,
    [__HYPERVISOR_console_io] = do_console_io,
    [__HYPERVISOR_grant_table_op] = do_grant_table_op,
    [__HYPERVISOR_vm_assist] = do_vm_assist,
    [__HYPERVISOR_vcpu_op] = do_vcpu_op,
    [__HYPERVISOR_xsm_op] = do_xsm_op,
    [__HYPERVISOR_sched_op] = do_sched_op,
    [__HYPERVISOR_event_channel_op] = do_event_channel_op,
    [__HYPERVISOR_physdev_op] = do_physdev_op,
    [__HYPERVISOR_hvm_op] = do_hvm_op,
    [__HYPERVISOR_sysctl] = do_sysctl,
    [__HYPERVISOR_domctl] = do_domctl,
};

int64_t hypercall(uint64_t number, uint64_t arg[6])
{
    if (number >= ARRAY_SIZE(handlers))
        return -XEN_ENOSYS;
    /* So that a CPU which guesses wrongly about the comparison cannot be led to an address beyond the table.
     */
    number = index_nospec(number, ARRAY_SIZE(handlers));
    perfc_index(hypercalls, number);
    hypercall_fn *fn = handlers[number];
    return fn ? fn(arg) : -XEN_ENOSYS;
}
