/*
 * The life of a CPU: softirqs, then whatever vCPU is current, for ever. And the idle vCPUs.
 *
 * No locks: cpus[] is filled on the boot CPU before the others look, `pending` is atomic.
 */
#include <hv/arch/vcpu.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/panic.h>
#include <hv/rcu.h>

struct cpu *cpus[MAX_CPUS];
unsigned cpu_count;

struct domain idle_domain = {.id = DOMID_IDLE, .refs = 1};

void softirq_raise_on(struct cpu *cpu, enum softirq which)
{
    uint32_t before = __atomic_fetch_or(&cpu->pending, 1u << which, __ATOMIC_SEQ_CST);
    /* A bit that was set already came with a kick, or was set by that CPU itself, which looks before it goes
     * on. */
    if (cpu != this_cpu() && !(before & (1u << which)))
        arch_cpu_kick(cpu);
}

static void softirqs_run(uint32_t pending)
{
    if (pending & (1u << SOFTIRQ_STOP))
        cpu_stop_self();
    if (pending & (1u << SOFTIRQ_TIMER))
        timer_softirq();
    if (pending & (1u << SOFTIRQ_CONSOLE))
        console_softirq();
    if (pending & (1u << SOFTIRQ_SCHEDULE))
        sched_softirq(); /* last: it sees what the others woke */
}

void cpu_init(struct cpu *cpu, uint32_t id)
{
    struct vcpu *idle = heap_alloc(sizeof(*idle));
    if (!idle)
        panic("no memory for the idle vCPU of CPU %u", id);
    idle->id = id;
    idle->domain = &idle_domain;
    idle->cpu = cpu;
    idle->running = true;

    cpu->self = cpu;
    cpu->id = id;
    cpu->idle = cpu->current_vcpu = idle;
    timer_cpu_init(cpu);
    rcu_cpu_init(cpu);
    cpus[id] = cpu;
    cpu_count = id + 1;
    sched_cpu_init(cpu);
}

void cpu_loop(void)
{
    struct cpu *cpu = this_cpu();
    for (;;) {
        rcu_quiescent();
        uint32_t pending = __atomic_exchange_n(&cpu->pending, 0, __ATOMIC_SEQ_CST);
        if (pending)
            softirqs_run(pending);
        else
            arch_vcpu_run(cpu->current_vcpu);
    }
}
