/*
 * What every CPU does right now (arch_dump_cpus of hv/panic.h, debug key d).
 *
 * One CPU at a time is asked by NMI, which comes through even where interrupts are off; it leaves a copy of
 * its state, which the asking CPU prints. Only debug keys ask, on the boot CPU, so `asked` needs no lock.
 */
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <x86/apic.h>
#include <x86/backtrace.h>
#include <x86/clock.h>
#include <x86/cpu.h>
#include <x86/dump.h>

#define ANSWER_US 10000u

static struct {
    struct cpu *cpu; /* whose answer is awaited; it resets this behind the rest */
    struct trap_frame frame;
    uint64_t callers[BACKTRACE_MAX];
    unsigned count;
} asked;

bool dump_answer(const struct trap_frame *frame)
{
    if (__atomic_load_n(&asked.cpu, __ATOMIC_ACQUIRE) != this_cpu())
        return false;
    asked.frame = *frame;
    asked.count = backtrace_collect(frame, asked.callers);
    __atomic_store_n(&asked.cpu, NULL, __ATOMIC_RELEASE);
    return true;
}

static void dump_other(struct cpu *cpu)
{
    __atomic_store_n(&asked.cpu, cpu, __ATOMIC_RELEASE);
    apic_send_nmi(cpu);
    for (unsigned us = 0; us < ANSWER_US && __atomic_load_n(&asked.cpu, __ATOMIC_ACQUIRE); us++)
        delay_us(1);
    if (__atomic_exchange_n(&asked.cpu, NULL, __ATOMIC_ACQ_REL)) {
        printk(LOG_WARNING "  no answer to an NMI\n");
    } else {
        trap_frame_print(&asked.frame);
        backtrace_print(asked.frame.rip, asked.callers, asked.count);
    }
}

void arch_dump_cpus(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        const struct arch_cpu *cpu = cpus[i]->arch;
        const struct vcpu *v = READ_ONCE(cpus[i]->current_vcpu);
        printk(LOG_INFO "CPU %u: APIC id %u, softirqs 0x%x, %u unexpected NMIs\n", i, cpu->apic_id,
               cpus[i]->pending, cpu->nmis);
        if (v == cpus[i]->idle)
            printk(LOG_INFO "  idle\n");
        else
            printk(LOG_INFO "  runs d%uv%u\n", v->domain->id, v->id);
        if (cpus[i] == this_cpu())
            arch_backtrace();
        else
            dump_other(cpus[i]);
    }
}
