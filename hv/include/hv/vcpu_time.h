/*
 * A vCPU's own timers: one-shot and periodic ones that raise VIRQ_TIMER (xen/vcpu.h), and the timeout of
 * SCHEDOP_poll.
 */
#ifndef HV_VCPU_TIME_H
#define HV_VCPU_TIME_H

#include <hv/domain.h>

/* 0 or -ENOMEM. */
int vcpu_time_init(struct vcpu *v);
/* v is not running and never will again. */
void vcpu_time_destroy(struct vcpu *v);

/* VCPUOP_set_singleshot_timer: expires in the past raises the event at once. Only for the current vCPU. */
void vcpu_set_singleshot(struct vcpu *v, ns_t expires);
/* Any vCPU; period 0 stops it. It ticks only while v runs, and not more often than once per period. */
void vcpu_set_periodic(struct vcpu *v, ns_t period);

/* Copies the current vCPU's time info to its time_area, if it has one. */
void vcpu_publish_time(void);

/* The scheduler made v current. */
void vcpu_periodic_resume(struct vcpu *v);
static inline void vcpu_time_switch_in(struct vcpu *v)
{
    if (READ_ONCE(v->period))
        vcpu_periodic_resume(v);
    if (v->time_area.v)
        vcpu_publish_time();
}

#endif
