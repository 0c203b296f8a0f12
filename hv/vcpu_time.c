/*
 * The timers that a vCPU has: VCPUOP_set_singleshot_timer and set_timer_op, VCPUOP_set_periodic_timer, and
 * the timeout of SCHEDOP_poll.
 *
 * Locking: the one-shot and the poll timer are set by their own vCPU only. The periodic one may be set by
 * another vCPU and is set again when it fires and when its vCPU comes to run: LOCK_SCHED of that vCPU's queue
 * orders these.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/time.h>
#include <hv/cpu.h>
#include <hv/evtchn.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/vcpu_time.h>

static void singleshot_fires(struct timer *timer, void *v)
{
    (void)timer;
    evtchn_send_virq(v, VIRQ_TIMER);
}

static void poll_times_out(struct timer *timer, void *arg)
{
    struct vcpu *v = arg;
    (void)timer;
    if (evtchn_poll_end(v)) /* otherwise it blocks for another reason by now */
        vcpu_wake(v, VCPU_BLOCKED);
}

/* One that waits for a CPU or sleeps gets no ticks, so that it costs nothing: they go on in
 * vcpu_periodic_resume(). */
static void arm_periodic_locked(struct vcpu *v)
{
    if (v->period && v->running)
        timer_set(&v->periodic, v->ticked + v->period);
    else
        timer_stop(&v->periodic);
}

static void periodic_fires(struct timer *timer, void *arg)
{
    struct vcpu *v = arg;
    ns_t now = time_now();
    (void)timer;

    struct cpu *cpu = sched_lock_vcpu(v);
    bool tick = v->period && v->running && now >= v->ticked + v->period;
    if (tick)
        v->ticked = now;
    arm_periodic_locked(v);
    spin_unlock(&cpu->run_queue.lock);
    if (tick)
        evtchn_send_virq(v, VIRQ_TIMER);
}

void vcpu_periodic_resume(struct vcpu *v)
{
    struct cpu *cpu = sched_lock_vcpu(v);
    arm_periodic_locked(v);
    spin_unlock(&cpu->run_queue.lock);
}

void vcpu_set_periodic(struct vcpu *v, ns_t period)
{
    struct cpu *cpu = sched_lock_vcpu(v);
    WRITE_ONCE(v->period, period);
    arm_periodic_locked(v);
    spin_unlock(&cpu->run_queue.lock);
}

void vcpu_set_singleshot(struct vcpu *v, ns_t expires)
{
    if (expires > time_now()) {
        timer_set(&v->singleshot, expires);
    } else {
        timer_stop(&v->singleshot);
        evtchn_send_virq(v, VIRQ_TIMER);
    }
}

/* arg: when, as nanoseconds since the start, signed; 0 stops the timer. */
int64_t do_set_timer_op(uint64_t arg[6])
{
    struct vcpu *v = current;
    int64_t when = (int64_t)arg[0];
    ns_t now = time_now();

    if (!when)
        timer_stop(&v->singleshot);
    else if (when < 0 || when - (int64_t)now > INT64_C(1) << 50)
        /* As on Xen: wrapped jiffies of old guests, who may mean "now" as well as "never". */
        vcpu_set_singleshot(v, now + 100 * MILLISECOND);
    else
        vcpu_set_singleshot(v, when);
    return 0;
}

void vcpu_publish_time(void)
{
    struct vcpu *v = current;
    struct vcpu_time_info info = v->info->time;
    if (v->time_area.v)
        (void)copy_to_guest(v->time_area, &info,
                            sizeof(info)); /* if it is not mapped now, it stays as it is */
}

int vcpu_time_init(struct vcpu *v)
{
    struct timer *const timers[] = {&v->singleshot, &v->periodic, &v->poll};
    timer_fn *const fns[] = {singleshot_fires, periodic_fires, poll_times_out};

    for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
        timer_init(timers[i], fns[i], v);
        int error = timer_reserve();
        if (error) {
            while (i--)
                timer_release();
            return error;
        }
    }
    return 0;
}

void vcpu_time_destroy(struct vcpu *v)
{
    struct timer *const timers[] = {&v->singleshot, &v->periodic, &v->poll};
    for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
        timer_kill(timers[i]);
        timer_release();
    }
}
