/*
 * What every CPU has for itself, and the softirqs through which others ask it to do something.
 *
 * Each CPU runs cpu_loop(): do pending softirqs, then let the current vCPU run until something is pending
 * again. Interrupt handlers, IPIs and hypercall handlers only raise softirqs.
 */
#ifndef HV_CPU_H
#define HV_CPU_H

#include <hv/perfc.h>
#include <hv/sched.h>
#include <hv/timer.h>
#include <hv/types.h>

#define MAX_CPUS 64

enum softirq {
    SOFTIRQ_TIMER,    /* timers may have expired */
    SOFTIRQ_SCHEDULE, /* choose again what runs here */
    SOFTIRQ_RCU,      /* a grace period may have ended */
    SOFTIRQ_CONSOLE,  /* console input or output waits */
    SOFTIRQ_STOP,     /* this CPU is to stop for good (panic elsewhere, reboot) */
    SOFTIRQS
};

struct arch_cpu;

struct cpu {
    struct cpu *self; /* must be first: what GS:0 holds */
    uint32_t id;      /* 0 is the boot CPU; dense */
    uint32_t pending; /* bit per enum softirq; set atomically by any CPU */
    struct vcpu *current_vcpu;
    struct vcpu *idle;

    /*
     * Whose guest-physical map this CPU may be using without a lock: set to the domain while it runs a vCPU
     * in guest mode or inside guest_access_begin()/end(), NULL otherwise. p2m_flush() waits for it to change
     * or for use_count to move (hv/arch/p2m.h).
     */
    struct domain *volatile using_p2m;
    uint64_t use_count;

    struct run_queue run_queue;
    struct timer_queue timers;
    uint64_t rcu_seen;   /* last grace period this CPU passed through (hv/rcu.c) */
    uint64_t locks_held; /* debug builds: two bits per enum lock_level, how many of it are held */
    struct arch_cpu *arch;

    uint32_t perfc[PERFC_SLOTS];       /* written by this CPU only */
    uint32_t perfc_reset[PERFC_SLOTS]; /* what they were at the last reset */
};

/* The CPU this code runs on (stable: nothing moves code to another CPU), and its counters (hv/perfc.h).
 * Defined by the arch header. */
#include <hv/arch/this_cpu.h>

#define current this_cpu_var(current_vcpu)

/* What idle vCPUs belong to (id DOMID_IDLE). They have neither memory nor events nor arch state: arch is
 * NULL. */
extern struct domain idle_domain;

extern struct cpu *cpus[MAX_CPUS]; /* [0 .. cpu_count) are filled */
extern unsigned cpu_count;         /* CPUs that are up; does not change after boot */

static inline void softirq_raise(enum softirq which)
{
    __atomic_fetch_or(&this_cpu()->pending, 1u << which, __ATOMIC_RELAXED);
}

/* On another CPU: sets the bit and makes that CPU leave the guest or idle. Also fine for this CPU. */
void softirq_raise_on(struct cpu *cpu, enum softirq which);

/*
 * Fills in what the portable core keeps of a CPU (queues, timers, idle vCPU) and counts it. Called on the
 * boot CPU, for itself first and then with rising ids, once there is a heap; panics when memory is short.
 */
void cpu_init(struct cpu *cpu, uint32_t id);

/* Never returns. Called once by every CPU when it is ready. */
void cpu_loop(void) __attribute__((noreturn));

#endif
