/*
 * From the machine's interrupts to the local APICs of the domain that drives it. Interface: hwirq.h.
 *
 * Each bound source has one host vector, the same on every CPU. Where it is delivered follows the first vCPU
 * that its route names: looked up when the route changes and again with each interrupt, so that a source
 * catches up with a vCPU that moved.
 *
 * A source that fires more often than irq_ratelimit= allows within STORM_WINDOW is masked until a timer, one
 * for all of them, lets it go on. Edges that came meanwhile may be lost, so the domain gets one interrupt
 * then; spurious ones it has to expect anyway.
 *
 * Locking: hwirq_lock (LOCK_HWIRQ) for bound[] and for what hwirq.h says. It is taken in interrupt handlers,
 * which run only where the hypervisor holds no lock.
 */
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cmdline.h>
#include <hv/debugkeys.h>
#include <hv/domain.h>
#include <hv/lock.h>
#include <hv/printk.h>
#include <x86/cpu.h>
#include <x86/irq.h>
#include <xen/errno.h>
#include "hwirq.h"
#include "vlapic.h"

#define STORM_WINDOW (10 * MILLISECOND)
#define TELL_PERIOD  (5 * SECOND)
#define FIRST_VECTOR 16u
#define BROADCAST    0xffu /* of messages and IO-APICs, with their 8 bits of destination */
#define LAST_HOST_ID 254u

#define MESSAGE_BASE      0xfee00000u
#define MESSAGE_BASE_MASK 0xfffffffffff00000ull
#define MESSAGE_LOGICAL   0x4u
#define MESSAGE_DELIVERY  0x700u
#define MESSAGE_VECTOR    0xffu
#define DELIVERY_LOWEST   1u

/*
 * More interrupts of one source in 10 ms than this are a storm; 0: nothing is. About what keeps a CPU busy
 * all the time. A line that several devices share never has as many, but stays up for good when nobody serves
 * it.
 */
static uint32_t irq_ratelimit = 2000;
#define LEVEL_SHARE 8u
CMDLINE_UINT("irq_ratelimit", irq_ratelimit);

static struct hwirq *bound[256]; /* by host vector */
static uint32_t throttled;       /* how many of them are */
static struct timer storm_timer;
static ns_t told; /* of a storm */
static spinlock_t hwirq_lock = SPINLOCK_INIT(LOCK_HWIRQ);

static bool route_valid(const struct hwirq_route *route)
{
    return route->vector >= FIRST_VECTOR && route->delivery <= DELIVERY_LOWEST;
}

/* --- where to ------------------------------------------------------------------------------------------- */

/* The next vCPU from number *next on that the route names; NULL: none. */
static struct vcpu *next_target(const struct hwirq *irq, uint32_t *next)
{
    const struct hwirq_route *route = &irq->route;
    bool one = !route->logical && route->destination != BROADCAST; /* the frequent case */
    uint32_t end = one ? route->destination / 2 + 1 : irq->domain->max_vcpus;

    for (*next = MAX(*next, one ? route->destination / 2 : 0); *next < end;) {
        struct vcpu *v = domain_vcpu(irq->domain, (*next)++);
        if (v && vlapic_addressed(v, route->logical, route->destination, BROADCAST))
            return v;
    }
    return NULL;
}

/* An interrupt message has 8 bits for the CPU; the boot CPU is within their reach. */
static uint32_t host_destination(const struct vcpu *v)
{
    uint32_t id = v ? READ_ONCE(v->cpu)->arch->apic_id : ~0u;

    return id <= LAST_HOST_ID ? id : cpus[0]->arch->apic_id;
}

static void program_locked(struct hwirq *irq, uint32_t apic_id)
{
    irq->host_apic_id = apic_id;
    irq->operations->program(irq, apic_id, irq->host_vector);
}

static void deliver_locked(struct hwirq *irq)
{
    uint32_t next = 0;
    struct vcpu *first = next_target(irq, &next);

    irq->delivered++;
    for (struct vcpu *v = first; v; v = next_target(irq, &next)) {
        if (irq->route.level)
            vlapic_set_irq_level(v, irq->route.vector);
        else
            vlapic_set_irq(v, irq->route.vector);
        if (irq->route.delivery == DELIVERY_LOWEST) /* any one of them will do */
            break;
    }
    uint32_t apic_id = host_destination(first);
    if (first && unlikely(apic_id != irq->host_apic_id))
        program_locked(irq, apic_id);
}

/* --- storms --------------------------------------------------------------------------------------------- */

static void end_throttle_locked(struct hwirq *irq)
{
    irq->throttled = false;
    irq->count = 0;
    throttled--;
    if (irq->operations->mask)
        irq->operations->mask(irq, false);
}

static void go_on(struct timer *timer, void *arg)
{
    (void)timer, (void)arg;
    spin_lock(&hwirq_lock);
    for (unsigned vector = VECTOR_DYNAMIC; vector < VECTOR_DYNAMIC_END && throttled; vector++) {
        struct hwirq *irq = bound[vector];
        if (!irq || !irq->throttled)
            continue;
        end_throttle_locked(irq);
        if (!irq->route.level) /* a level would be there still */
            deliver_locked(irq);
    }
    spin_unlock(&hwirq_lock);
}

/* True: one too many. The source is masked, if it can be, and what it still sends is dropped. */
static bool storms_locked(struct hwirq *irq)
{
    if (irq->throttled)
        return true;
    ns_t now = time_now();
    if (now - irq->window_start >= STORM_WINDOW) {
        irq->window_start = now;
        irq->count = 0;
    }
    uint32_t limit = irq->route.level ? irq_ratelimit / LEVEL_SHARE : irq_ratelimit;
    if (++irq->count <= limit || !irq_ratelimit)
        return false;
    irq->throttled = true;
    if (irq->operations->mask)
        irq->operations->mask(irq, true);
    if (!throttled++)
        timer_set(&storm_timer, now + STORM_WINDOW);
    if (!told || now - told >= TELL_PERIOD) {
        told = now;
        printk(LOG_WARNING
               "interrupt storm: what d%u takes as vector 0x%x is held back for %u ms at a time\n",
               irq->domain->id, irq->route.vector, (unsigned)(STORM_WINDOW / MILLISECOND));
    }
    return true;
}

/* --- interrupts ----------------------------------------------------------------------------------------- */

static void interrupt(uint8_t vector, void *arg)
{
    (void)arg;
    spin_lock(&hwirq_lock);
    struct hwirq *irq = bound[vector]; /* NULL: unbound while it was on its way */
    if (irq && !storms_locked(irq) && (!irq->arrived || irq->arrived(irq)))
        deliver_locked(irq);
    spin_unlock(&hwirq_lock);
}

/* --- binding -------------------------------------------------------------------------------------------- */

static void aim_locked(struct hwirq *irq, const struct hwirq_route *route)
{
    uint32_t next = 0;

    irq->route = *route;
    program_locked(irq, host_destination(next_target(irq, &next)));
}

int hwirq_bind(struct domain *d, struct hwirq *irq, const struct hwirq_route *route)
{
    if (!route_valid(route))
        return -XEN_EINVAL;
    uint8_t vector = irq_alloc_vector(interrupt, NULL);
    if (!vector)
        return -XEN_ENOSPC;
    spin_lock(&hwirq_lock);
    irq->domain = d;
    irq->host_vector = vector;
    irq->count = 0;
    bound[vector] = irq;
    aim_locked(irq, route);
    spin_unlock(&hwirq_lock);
    return 0;
}

int hwirq_set_route(struct hwirq *irq, const struct hwirq_route *route)
{
    if (!route_valid(route))
        return -XEN_EINVAL;
    spin_lock(&hwirq_lock);
    aim_locked(irq, route);
    spin_unlock(&hwirq_lock);
    return 0;
}

void hwirq_unbind(struct hwirq *irq)
{
    uint8_t vector = irq->host_vector;

    spin_lock(&hwirq_lock);
    bound[vector] = NULL;
    if (irq->throttled)
        end_throttle_locked(irq);
    irq->host_vector = 0;
    spin_unlock(&hwirq_lock);
    irq_free_vector(vector);
}

bool hwirq_route_of_message(uint64_t address, uint32_t data, struct hwirq_route *route)
{
    *route = (struct hwirq_route){
        .destination = (uint32_t)address >> 12 & 0xff,
        .logical = address & MESSAGE_LOGICAL,
        .delivery = (uint8_t)((data & MESSAGE_DELIVERY) >> 8),
        .vector = (uint8_t)(data & MESSAGE_VECTOR),
    };
    return (address & MESSAGE_BASE_MASK) == MESSAGE_BASE && route_valid(route);
}

/* Debug key 'i'. What changes meanwhile is shown as it was or as it is; nothing waits for the console under
 * the lock. */
static void dump(void)
{
    for (unsigned vector = VECTOR_DYNAMIC; vector < VECTOR_DYNAMIC_END; vector++) {
        spin_lock(&hwirq_lock);
        struct hwirq seen = bound[vector] ? *bound[vector] : (struct hwirq){0};
        spin_unlock(&hwirq_lock);
        if (seen.host_vector)
            printk(LOG_INFO "vector 0x%x at APIC %u -> d%u vector 0x%x, %s %#x%s: %lu%s\n", vector,
                   seen.host_apic_id, seen.domain->id, seen.route.vector,
                   seen.route.logical ? "logical" : "APIC", seen.route.destination,
                   seen.route.level ? ", level" : "", seen.delivered, seen.throttled ? ", held back" : "");
    }
}

INIT_CODE void hwirq_init(void)
{
    timer_init(&storm_timer, go_on, NULL);
    debugkey_register('i', dump, "interrupts of the machine that dom0 takes");
}
