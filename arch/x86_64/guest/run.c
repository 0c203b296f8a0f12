/*
 * A CPU and the vCPU that it runs: entering the guest until something else is to be done, and changing over
 * to another vCPU (hv/arch/vcpu.h).
 *
 * Locking: none. Everything here is done by the CPU on which the vCPU is current.
 */
#include <hv/arch/vcpu.h>
#include <hv/panic.h>
#include <x86/apic.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/irq.h>
#include "exit.h"

/* --- inside --------------------------------------------------------------------------------------------- */

/*
 * What this CPU's caches and predictors must not carry into the guest. The buffers that VERW empties held the
 * hypervisor's data and other guests'; L1D matters only where L1TF does.
 */
static inline void leaks_close(void)
{
    if (cpu_features.l1d_flush)
        wrmsr(MSR_FLUSH_CMD, 1);
    if (cpu_features.verw_clear) {
        static const uint16_t selector = SELECTOR_DATA;
        asm volatile("verw %0" : : "m"(selector) : "cc");
    }
}

static inline bool speculation_differs(const struct arch_vcpu *a)
{
    return cpu_features.spec_ctrl && a->spec_ctrl != cpu_features.spec_ctrl_host;
}

static void enter(struct vcpu *v, struct vmexit *exit)
{
    struct arch_vcpu *a = v->arch;
    struct domain *d = v->domain;

    guest_access_begin(d);
    uint64_t epoch = d->arch->tlb_epoch;
    if (unlikely(a->tlb_seen != epoch)) {
        a->tlb_seen = epoch;
        perfc_incr(tlb_flushes);
        vendor->flush_tlb(v);
    }
    leaks_close();
    if (unlikely(speculation_differs(a)))
        wrmsr(MSR_SPEC_CTRL, a->spec_ctrl);
    vendor->run(v, exit);
    if (unlikely(speculation_differs(a)))
        wrmsr(MSR_SPEC_CTRL, cpu_features.spec_ctrl_host);
    guest_access_end();
}

/*
 * INIT and SIPI (SDM vol. 3, 9.4). The sender has set the flags and woken v. False: v waits for a SIPI now
 * and does not run. A SIPI that comes between the last look and the stop wakes it again.
 */
static bool start_state(struct vcpu *v)
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
    if (vcpu_is_idle(v)) {
        if (!READ_ONCE(cpu->pending))
            wait_for_interrupt();
        return;
    }

    struct arch_vcpu *a = v->arch;
    struct vmexit exit;
    do {
        if (unlikely(a->start_flags) && !start_state(v))
            return;
        inject_events(v);
        enter(v, &exit);
        exit_dispatch(v, &exit);
        /* Bochs 2.7 leaves a guest that was entered so for no interrupt (vmx/vmx.c): one that exits often
         * gets none in. */
        if (unlikely(!(a->rflags & RFLAGS_IF)))
            interrupts_window();
    } while (!READ_ONCE(cpu->pending));
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
