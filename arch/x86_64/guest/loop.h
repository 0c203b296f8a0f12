/*
 * The loop that vendor->run() is: into the guest, out of it, and whatever the exit asks for. Each vendor has
 * it compiled around its own way in, so that nothing is called through a pointer from one exit to the next.
 *
 * Locking: none. Everything here is done by the CPU on which the vCPU is current.
 */
#ifndef X86_GUEST_LOOP_H
#define X86_GUEST_LOOP_H

#include <hv/arch/p2m.h>
#include <hv/cpu.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include "exit.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/*
 * What this CPU's caches and predictors must not carry into the guest. The buffers that VERW empties held the
 * hypervisor's data and other guests'; L1D matters only where L1TF does.
 */
ALWAYS_INLINE void leaks_close(const struct arch_vcpu *a)
{
    if (likely(!cpu_features.leaks))
        return;
    if (cpu_features.spec_ctrl && a->spec_ctrl != cpu_features.spec_ctrl_host)
        wrmsr(MSR_SPEC_CTRL, a->spec_ctrl);
    if (cpu_features.l1d_flush)
        wrmsr(MSR_FLUSH_CMD, 1);
    if (cpu_features.verw_clear) {
        static const uint16_t selector = SELECTOR_DATA;
        asm volatile("verw %0" : : "m"(selector) : "cc");
    }
}

ALWAYS_INLINE void speculation_restrict(const struct arch_vcpu *a)
{
    if (unlikely(cpu_features.leaks) && cpu_features.spec_ctrl && a->spec_ctrl != cpu_features.spec_ctrl_host)
        wrmsr(MSR_SPEC_CTRL, cpu_features.spec_ctrl_host);
}

/* enter: one entry and exit; *exit is filled (guest/vendor.h). It returns v->arch, since a guest leaves the
 * compiler no register in which to keep that. */
ALWAYS_INLINE void run_loop(struct vcpu *v, struct arch_vcpu *(*enter)(struct vcpu *v, struct vmexit *exit))
{
    struct arch_vcpu *a = v->arch;
    struct vmexit exit;

    do {
        if (unlikely(a->attention || vcpu_upcall_pending(v))) {
            if (a->start_flags && !run_start_state(v))
                return;
            inject_events(v);
        }

        guest_access_begin(v->domain);
        uint64_t epoch = v->domain->arch->tlb_epoch;
        if (unlikely(a->tlb_seen != epoch)) {
            a->tlb_seen = epoch;
            perfc_incr(tlb_flushes);
            vendor->flush_tlb(v);
        }
        a->entries++;
        leaks_close(a);
        a = enter(v, &exit);
        v = a->vcpu;
        speculation_restrict(a);
        guest_access_end();

        exit_dispatch(v, &exit);
        /* Bochs 2.7 leaves a guest that was entered so for no interrupt (vmx/vmx.c): one that exits often
         * gets none in. */
        if (unlikely(!(a->rflags & RFLAGS_IF)))
            interrupts_window();
    } while (!READ_ONCE(this_cpu_var(pending)));
}

#endif
