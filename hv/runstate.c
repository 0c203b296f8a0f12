/*
 * Run states: how long each vCPU ran, waited, slept and was kept from running (xen/vcpu.h), and the copy that
 * a guest can have in its own memory.
 *
 * Locking: v->runstate changes under the lock of v->cpu's run queue. The guest's copy is written only by the
 * CPU that has v current.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/sched.h>

void runstate_change_locked(struct vcpu *v, int state, ns_t now)
{
    struct vcpu_runstate_info *r = &v->runstate;
    if (r->state == state)
        return;
    /* Another CPU may have read the clock a little later than we did. */
    if (now > r->state_entry_time) {
        r->time[r->state] += now - r->state_entry_time;
        r->state_entry_time = now;
    }
    r->state = state;
}

void runstate_get(struct vcpu *v, struct vcpu_runstate_info *out)
{
    struct cpu *cpu = sched_lock_vcpu(v);
    *out = v->runstate;
    spin_unlock(&cpu->run_queue.lock);
    ns_t now = time_now();
    if (now > out->state_entry_time)
        out->time[out->state] += now - out->state_entry_time;
}

ns_t vcpu_cpu_time(struct vcpu *v)
{
    struct cpu *cpu = sched_lock_vcpu(v);
    ns_t ran = v->runstate.time[RUNSTATE_running], since = v->runstate.state_entry_time;
    bool runs = v->runstate.state == RUNSTATE_running;
    spin_unlock(&cpu->run_queue.lock);
    if (!runs)
        return ran; /* whoever asks about many domains asks mostly about idle ones */
    ns_t now = time_now();
    return now > since ? ran + (now - since) : ran;
}

/* Apart from runstate_publish(), which few guests have go on. */
static __attribute__((noinline)) void write_copy(struct vcpu *v)
{
    struct vcpu_runstate_info r = v->runstate;
    if (!(READ_ONCE(v->domain->vm_assist) & (1ull << VMASST_TYPE_runstate_update_flag))) {
        (void)copy_to_guest(v->runstate_area, &r, sizeof(r)); /* if it is not mapped now, it stays as it is */
        return;
    }
    /* Readers on other vCPUs see the flag for as long as the rest may be half written. */
    gva_t entry_time = GVA(v->runstate_area.v + offsetof(struct vcpu_runstate_info, state_entry_time));
    r.state_entry_time |= XEN_RUNSTATE_UPDATE;
    if (copy_to_guest(entry_time, &r.state_entry_time, sizeof(r.state_entry_time)))
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (copy_to_guest(v->runstate_area, &r, sizeof(r)))
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    r.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    (void)copy_to_guest(entry_time, &r.state_entry_time, sizeof(r.state_entry_time));
}

void runstate_publish(void)
{
    if (current->runstate_area.v)
        write_copy(current);
}
