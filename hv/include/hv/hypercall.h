/*
 * Hypercalls: one table, number -> handler (hv/hypercall.c); each handler says beside itself what its
 * arguments are.
 *
 * A handler gets the six argument registers and returns what the guest sees in RAX. It decodes and checks
 * everything, then commits without being able to fail. One that has done a bounded part of a long operation
 * may change arg[] so that they describe the rest and return HYPERCALL_RESTART: the guest's registers are
 * updated and the instruction runs again, after interrupts and the scheduler had their turn.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <hv/types.h>
#include <xen/xen.h>
#include <xen/errno.h>

#define HYPERCALL_RESTART INT64_MIN
/* How many elements (pages, extents, sub-calls) one run of a handler does before it restarts. */
#define HYPERCALL_BUDGET 512

typedef int64_t hypercall_fn(uint64_t arg[6]);

/*
 * Called by arch on a hypercall exit of the current vCPU, from CPL 0 and 64-bit mode: the result for RAX,
 * or HYPERCALL_RESTART. -ENOSYS for numbers without handler.
 */
int64_t hypercall(uint64_t number, uint64_t arg[6]);

hypercall_fn do_memory_op, do_multicall, do_set_timer_op, do_xen_version, do_console_io, do_grant_table_op,
    do_vm_assist, do_vcpu_op, do_sched_op, do_event_channel_op, do_physdev_op, do_hvm_op, do_sysctl,
    do_domctl, do_platform_op, do_xsm_op;

#endif
