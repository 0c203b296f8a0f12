/*
 * The local APIC's timer (SDM vol. 3, 11.5.4): one-shot, periodic and TSC deadline, over hv/timer.h.
 *
 * It counts at 100 MHz before the divider, as guests are told by CPUID and Xen's do. The timer may fire on a
 * CPU that the vCPU has left; so whoever reprograms it first waits until it does not run anywhere.
 *
 * Locking: none; see vlapic.c.
 */
#include <hv/arch/time.h>
#include <x86/asm.h>
#include "vlapic_internal.h"

#define TICK_NS 10u
/* What a guest asks for beyond this would keep the CPU from others by timer interrupts alone. */
#define SHORTEST_PERIOD (50 * 1000ull)

static void fire(struct timer *timer, void *arg)
{
    struct vcpu *v = arg;
    struct vlapic *l = v->arch->vlapic;
    uint32_t lvt = READ_ONCE(l->reg[APIC_LVT_TIMER]);

    l->deadline = 0;
    if (l->period) {
        ns_t now = time_now(), next = timer->expires + l->period;
        if (next <= now) /* late by whole periods: they are lost, the phase is kept */
            next = now + l->period - (now - timer->expires) % l->period;
        timer_set(timer, next);
    }
    if (!(lvt & APIC_LVT_MASKED))
        vlapic_set_irq(v, (uint8_t)lvt);
}

void vlapic_timer_init(struct vcpu *v)
{
    timer_init(&v->arch->vlapic->timer, fire, v);
}

void vlapic_timer_stop(struct vcpu *v)
{
    struct vlapic *l = v->arch->vlapic;

    timer_kill(&l->timer);
    l->period = 0;
    l->deadline = 0;
}

static ns_t tick(const struct vlapic *l)
{
    uint32_t divide = l->reg[APIC_TIMER_DIVIDE];
    unsigned power = ((divide & 3) | (divide >> 1 & 4)) + 1;

    return (ns_t)TICK_NS << (power & 7);
}

void vlapic_timer_start(struct vcpu *v)
{
    struct vlapic *l = v->arch->vlapic;
    uint32_t mode = l->reg[APIC_LVT_TIMER] & APIC_LVT_TIMER_MODE;
    ns_t duration = l->reg[APIC_TIMER_INITIAL] * tick(l);

    if (mode == APIC_LVT_TSC_DEADLINE)
        return;
    vlapic_timer_stop(v);
    if (!duration)
        return;
    if (mode == APIC_LVT_PERIODIC)
        l->period = duration = MAX(duration, SHORTEST_PERIOD);
    timer_set(&l->timer, time_now() + duration);
}

uint32_t vlapic_timer_current(const struct vcpu *v)
{
    const struct vlapic *l = v->arch->vlapic;
    ns_t expiry = timer_expiry(&l->timer), now = time_now();

    if ((l->reg[APIC_LVT_TIMER] & APIC_LVT_TIMER_MODE) == APIC_LVT_TSC_DEADLINE || expiry == NS_NEVER ||
        expiry <= now)
        return 0;
    return (uint32_t)MIN((expiry - now) / tick(l), (ns_t)l->reg[APIC_TIMER_INITIAL]);
}

void vlapic_timer_set_lvt(struct vcpu *v, uint32_t lvt)
{
    struct vlapic *l = v->arch->vlapic;
    uint32_t old = l->reg[APIC_LVT_TIMER];

    l->reg[APIC_LVT_TIMER] = lvt;
    if (!((old ^ lvt) & APIC_LVT_TIMER_MODE))
        return;
    if ((old ^ lvt) & APIC_LVT_TSC_DEADLINE)
        vlapic_timer_stop(v);
    else
        vlapic_timer_start(v);
}

void vlapic_timer_set_deadline(struct vcpu *v, uint64_t guest_tsc)
{
    struct vlapic *l = v->arch->vlapic;

    if ((l->reg[APIC_LVT_TIMER] & APIC_LVT_TIMER_MODE) != APIC_LVT_TSC_DEADLINE)
        return;
    vlapic_timer_stop(v);
    if (!guest_tsc)
        return;
    uint64_t now = rdtsc() + v->arch->tsc_offset, ticks = guest_tsc > now ? guest_tsc - now : 0;
    ns_t duration = ticks / tsc_khz * MILLISECOND + ticks % tsc_khz * MILLISECOND / tsc_khz;
    l->deadline = guest_tsc;
    timer_set(&l->timer, time_now() + MIN(duration, NS_NEVER / 2));
}
