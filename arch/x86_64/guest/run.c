/*
 * A CPU and the vCPU that it runs: entering the guest until something else is to be done (guest/loop.h), and
 * changing over to another vCPU (hv/arch/vcpu.h).
 *
 * Locking: none. Everything here is done by the CPU on which the vCPU is current.
 */
#include <hv/arch/vcpu.h>
#include <hv/frame.h>
#include <hv/panic.h>
#include <x86/apic.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/irq.h>
#include "exit.h"

/* --- inside --------------------------------------------------------------------------------------------- */

/*
 * INIT and SIPI (SDM vol. 3, 9.4). The sender has set the flags and woken v. False: v waits for a SIPI now
 * and does not run. A SIPI that comes between the last look and the stop wakes it again.
 */
bool run_start_state(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    if (__atomic_exchange_n(&a->init_pending, false, __ATOMIC_SEQ_CST)) {
        vcpu_reset(v);
        a->wait_for_sipi = true;
    }
    if (__atomic_exchange_n(&a->sipi_pending, false, __ATOMIC_SEQ_CST) && a->wait_for_sipi)
        vcpu_start_sipi(v, a->sipi_vector);
    if (!a->wait_for_sipi)
        return true;
    vcpu_stop(v, VCPU_DOWN);
    if (__atomic_load_n(&a->sipi_pending, __ATOMIC_SEQ_CST) ||
        __atomic_load_n(&a->init_pending, __ATOMIC_SEQ_CST))
        vcpu_wake(v, VCPU_DOWN);
    return false;
}

void arch_vcpu_run(struct vcpu *v)
{
    struct cpu *cpu = this_cpu();
    if (!vcpu_is_idle(v))
        vendor->run(v);
    else if (frames_scrub())
        interrupts_window();
    else if (!READ_ONCE(cpu->pending))
        wait_for_interrupt();
}

/* --- changing over -------------------------------------------------------------------------------------- */

void arch_switch_out(struct vcpu *prev)
{
    debug_registers_switch_out(prev);
    fpu_save(prev);
    vendor->switch_out(prev);
}

void arch_switch_in(struct vcpu *next)
{
    struct arch_vcpu *a = next->arch;
    struct arch_cpu *cpu = this_arch_cpu();

    a->entries++; /* since the last one others may have changed its page tables */
    vendor->switch_in(next);
    if (cpu->last_guest != next) {
        if (cpu_features.ibpb)
            wrmsr(MSR_PRED_CMD, 1);
        cpu->last_guest = next;
        if (cpu_features.rdtscp)
            wrmsr(MSR_TSC_AUX, a->tsc_aux);
    }
    fpu_load(next);
    debug_registers_switch_in(next);
}

/* Arriving is all that a kick has to do. */
static void kicked(uint8_t vector, void *arg)
{
    (void)vector;
    (void)arg;
}

INIT_CODE void run_init(void)
{
    irq_set_handler(VECTOR_KICK, kicked, NULL);
}

void arch_cpu_kick(struct cpu *cpu)
{
    if (cpu != this_cpu())
        apic_send_ipi(cpu, VECTOR_KICK);
}

/* No CPU may take v for what it ran last: its memory may become another vCPU. */
void run_forget(const struct vcpu *v)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        struct vcpu *seen = (struct vcpu *)v;
        __atomic_compare_exchange_n(&cpus[i]->arch->last_guest, &seen, NULL, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
        seen = (struct vcpu *)v;
        __atomic_compare_exchange_n(&cpus[i]->arch->fpu_owner, &seen, NULL, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
    }
}
