/*
 * The fake machine: what the hypervisor's portable core needs from below, on the host and in the hands of the
 * test.
 *
 * Memory is an array (DIRECTMAP_BASE points to it) under the real allocator, so frames_free() shows leaks.
 * Time stands still unless fake_advance() moves it. A CPU is whichever thread calls itself so; fake_pass()
 * takes one through cpu_loop() until it would run its vCPU. Guest-virtual memory is fake_guest[];
 * guest-physical memory is a table.
 */
#ifndef FAKE_H
#define FAKE_H

#include <setjmp.h>
#include <hv/arch/p2m.h>
#include <hv/cpu.h>
#include <hv/domain.h>

#define FAKE_MAX_GFN    4096u
#define FAKE_GUEST_SIZE (1u << 20)

struct arch_domain {
    struct p2m_entry map[FAKE_MAX_GFN];
};
struct arch_vcpu {
    unsigned upcalls; /* times that arch_upcall() was called */
    unsigned nmis, switches;
    bool interrupts_off; /* then it blocks whatever is pending */
};

/* --- the machine ---------------------------------------------------------------------------------------- */
/* Memory and this many CPUs; this thread is CPU 0. Once per process. */
void fake_boot(unsigned cpus);
/* This thread goes on as that CPU. */
void fake_cpu(unsigned id);
/* The CPU, on this thread, does what is pending until it would run its vCPU, which is returned. */
struct vcpu *fake_pass(unsigned id);
/* Every CPU passes until none has anything pending. This thread is CPU 0 afterwards. */
void fake_settle(void);
extern unsigned fake_kicks[MAX_CPUS]; /* arch_cpu_kick() calls */
/* What arch_vcpu_run() does; when it returns false, or is NULL, the CPU leaves cpu_loop() and fake_pass()
 * ends. */
extern bool (*fake_run)(struct vcpu *v);

extern ns_t fake_now;
extern ns_t fake_programmed[MAX_CPUS]; /* arch_timer_program()'s last word */
extern unsigned fake_programs;         /* how often it was called */
/* Time passes; hardware timers that are due raise SOFTIRQ_TIMER, one after the other, and CPUs pass. */
void fake_advance(ns_t by);

/* --- panics and messages -------------------------------------------------------------------------------- */
extern jmp_buf fake_panic;
extern bool fake_panic_expected;
extern char fake_message[256]; /* of the last panic() or printk() */
#define EXPECT_PANIC(statement)                                                                              \
    do {                                                                                                     \
        fake_panic_expected = true;                                                                          \
        if (!setjmp(fake_panic)) {                                                                           \
            statement;                                                                                       \
            fail_msg("no panic: %s", #statement);                                                            \
        }                                                                                                    \
        fake_panic_expected = false;                                                                         \
    } while (0)

/* --- guests --------------------------------------------------------------------------------------------- */
extern char fake_guest[FAKE_GUEST_SIZE]; /* readable and writable as guest-virtual memory, nothing else is */

/* A domain with that many vCPUs, all up, unpaused; the first privileged one is dom0. */
struct domain *fake_domain(unsigned vcpus, bool privileged);
/* Kills it to its last page. */
void fake_destroy(struct domain *d);
/* A page of RAM at gfn of d. */
void *fake_page(struct domain *d, uint64_t gfn);
/* As v, on this CPU: the hypercall, with restarts, until it has a result. v need not be running. */
int64_t fake_hypercall(struct vcpu *v, unsigned number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);

#endif
