/* The fake machine: CPUs, time, memory, messages (fake.h). */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/console.h>
#include <hv/frame.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include "fake.h"

__thread struct cpu *fake_this_cpu;
__attribute__((aligned(4096))) char fake_ram[FAKE_FRAMES << 12];
static struct frame descriptors[FAKE_FRAMES];
static struct cpu fake_cpus[MAX_CPUS];

unsigned fake_kicks[MAX_CPUS];
bool (*fake_run)(struct vcpu *v);
ns_t fake_now = 1000 * SECOND;
ns_t fake_programmed[MAX_CPUS];
unsigned fake_programs;
jmp_buf fake_panic;
bool fake_panic_expected;
char fake_message[256];
uint32_t tsc_khz = 1000000;

static __thread jmp_buf out_of_loop;

void fake_cpu(unsigned id)
{
    fake_this_cpu = &fake_cpus[id];
}

void fake_boot(unsigned count)
{
    fake_cpu(0);
    frame_init(descriptors, FAKE_FRAMES);
    frame_add_range(MFN(1), FAKE_FRAMES - 1);
    for (unsigned i = 0; i < count; i++) {
        fake_programmed[i] = NS_NEVER;
        cpu_init(&fake_cpus[i], i);
    }
}

void arch_vcpu_run(struct vcpu *v)
{
    if (!fake_run || !fake_run(v))
        longjmp(out_of_loop, 1);
}

struct vcpu *fake_pass(unsigned id)
{
    fake_cpu(id);
    if (!setjmp(out_of_loop))
        cpu_loop();
    return fake_cpus[id].current_vcpu;
}

void fake_settle(void)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < cpu_count; i++)
            if (cpus[i]->pending) {
                fake_pass(i);
                again = true;
            }
    }
    fake_cpu(0);
}

void cpu_relax(void)
{
    sched_yield();
}

void arch_cpu_kick(struct cpu *cpu)
{
    __atomic_fetch_add(&fake_kicks[cpu->id], 1, __ATOMIC_SEQ_CST);
}

/* --- time ----------------------------------------------------------------------------------------------- */

ns_t time_now(void)
{
    return __atomic_load_n(&fake_now, __ATOMIC_SEQ_CST);
}

void arch_timer_program(ns_t when)
{
    fake_programmed[this_cpu()->id] = when;
    fake_programs++;
}

void fake_advance(ns_t by)
{
    ns_t end = fake_now + by;
    for (;;) {
        unsigned first = 0;
        for (unsigned i = 1; i < cpu_count; i++)
            if (fake_programmed[i] < fake_programmed[first])
                first = i;
        if (fake_programmed[first] > end)
            break;
        fake_now = fake_now > fake_programmed[first] ? fake_now : fake_programmed[first];
        fake_programmed[first] = NS_NEVER;
        fake_cpu(first);
        softirq_raise(SOFTIRQ_TIMER);
        fake_settle();
    }
    fake_now = end;
    fake_cpu(0);
}

/* --- messages ------------------------------------------------------------------------------------------- */

void panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fake_message, sizeof(fake_message), format, args);
    va_end(args);
    if (fake_panic_expected)
        longjmp(fake_panic, 1);
    fprintf(stderr, "panic: %s\n", fake_message);
    abort();
}

void printk(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fake_message, sizeof(fake_message), format, args);
    va_end(args);
    if (getenv("VERBOSE"))
        fputs(fake_message, stderr);
}

__attribute__((weak)) void guest_printk(struct domain *d, const char *format, ...)
{
    (void)d, (void)format;
}

void machine_shutdown(enum machine_shutdown how)
{
    panic("machine shut down: %d", how);
}

void cpu_stop_self(void)
{
    panic("CPU stopped");
}

__attribute__((weak)) void console_softirq(void)
{
}
