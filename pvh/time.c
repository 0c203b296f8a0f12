/*
 * The PV clock (pvh/event.h; xen.h, struct vcpu_time_info). Read-only users of what the hypervisor keeps up
 * to date.
 */
#include <lib/x86.h>
#include <pvh/event.h>

uint64_t pvh_time_ns(void)
{
    const volatile struct vcpu_time_info *time = &event_vcpu_info()->time;
    uint32_t version;
    uint64_t now;
    do {
        version = time->version;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        uint64_t delta = rdtsc_ordered() - time->tsc_timestamp;
        delta = time->tsc_shift < 0 ? delta >> -time->tsc_shift : delta << time->tsc_shift;
        now = time->system_time + (uint64_t)((unsigned __int128)delta * time->tsc_to_system_mul >> 32);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (version & 1 || version != time->version);
    return now;
}

uint64_t pvh_wall_time_s(void)
{
    const volatile struct shared_info *shared = event_shared_info;
    uint32_t version;
    uint64_t seconds, ns;
    do {
        version = shared->wc_version;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        seconds = shared->wc_sec | (uint64_t)shared->wc_sec_hi << 32;
        ns = shared->wc_nsec;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (version & 1 || version != shared->wc_version);
    return seconds + (ns + pvh_time_ns()) / 1000000000;
}
