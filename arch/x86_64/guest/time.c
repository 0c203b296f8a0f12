/*
 * Time as guests see it: the TSC with an offset, the relation of TSC and system time in vcpu_time_info, and
 * the wall clock (xen/xen.h).
 *
 * The TSC is invariant and the same on all CPUs, so the relation never changes while a guest runs: it is
 * written when the vCPU's info appears somewhere and when the guest moves its TSC.
 *
 * Locking: the time fields are written by the CPU on which v runs or while it does not; the wall clock by
 * whoever sets it, under the version protocol that readers in the guest follow.
 */
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/domain.h>
#include "exit.h"

void arch_update_time_info(struct vcpu *v)
{
    struct vcpu_time_info *t = &v->info->time;
    uint32_t version = READ_ONCE(t->version) | 1;

    WRITE_ONCE(t->version, version);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    t->tsc_timestamp = time_scale.base_tsc + v->arch->tsc_offset;
    t->system_time = time_scale.base_ns;
    t->tsc_to_system_mul = time_scale.mul;
    t->tsc_shift = time_scale.shift;
    t->flags = XEN_PVCLOCK_TSC_STABLE_BIT;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    WRITE_ONCE(t->version, version + 1);
}

void arch_update_wallclock(struct domain *d)
{
    struct shared_info *s = d->shared_info;
    uint64_t now = time_wallclock_base_ns() + (uint64_t)d->time_offset * SECOND;
    uint64_t seconds = now / SECOND;
    uint32_t version = READ_ONCE(s->wc_version) | 1;

    WRITE_ONCE(s->wc_version, version);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    s->wc_sec = (uint32_t)seconds;
    s->wc_sec_hi = (uint32_t)(seconds >> 32);
    s->wc_nsec = (uint32_t)(now % SECOND);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    WRITE_ONCE(s->wc_version, version + 1);
}

void vcpu_set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    v->arch->tsc_offset = offset;
    vendor->set_tsc_offset(v, offset);
    arch_update_time_info(v);
}
