/*
 * Why the guest stopped, and what follows from it.
 *
 * Interface: exit_dispatch(), advance_rip(). Locking: none; the frequent exits (hypercall, CPUID, MSR,
 * interrupt and its window) allocate nothing and take no lock here.
 */
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/hypercall.h>
#include <hv/printk.h>
#include <x86/asm.h>
#include <x86/traps.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>
#include "emulate.h"
#include "exit.h"
#include "hypercall32.h"
#include "vlapic.h"

#define DR6_SINGLE_STEP (1ull << 14)

/* Kept out of the dispatcher, so that one exit does not pay for another's stack frame. */
#define HANDLER __attribute__((noinline))

/* 32-bit code wraps at 4 GiB; a trap after the instruction comes from here, as the processor did not carry it
 * out. */
static __attribute__((noinline)) void advance_rip_special(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    struct segment cs;
    vendor->get_segment(v, SEG_CS, &cs);
    if (!(cs.access & SEGMENT_L))
        a->rip = (uint32_t)a->rip;
    a->rflags &= ~RFLAGS_RF;
    if (a->rflags & RFLAGS_TF) {
        vendor->set_register(v, REG_DR6, vendor->get_register(v, REG_DR6) | DR6_SINGLE_STEP);
        inject_exception(v, TRAP_DB);
    }
}

void advance_rip(struct vcpu *v, unsigned length)
{
    struct arch_vcpu *a = v->arch;
    a->rip += length;
    if (unlikely(a->rflags & (RFLAGS_RF | RFLAGS_TF) || (a->rip >> 32 && (a->rip - length) >> 32 == 0)))
        advance_rip_special(v);
}

/* 64-bit: rdi, rsi, rdx, r10, r8, r9. On a restart the registers say what is left and RIP stays. */
static HANDLER void exit_hypercall(struct vcpu *v, const struct vmexit *exit)
{
    uint64_t *gpr = v->arch->gpr, *arg = v->arch->hypercall_arg;
    arg[0] = gpr[RDI];
    arg[1] = gpr[RSI];
    arg[2] = gpr[RDX];
    arg[3] = gpr[R10];
    arg[4] = gpr[R8];
    arg[5] = gpr[R9];
    int64_t result = hypercall(gpr[RAX], arg);
    if (unlikely(result == HYPERCALL_RESTART)) {
        gpr[RDI] = arg[0];
        gpr[RSI] = arg[1];
        gpr[RDX] = arg[2];
        gpr[R10] = arg[3];
        gpr[R8] = arg[4];
        gpr[R9] = arg[5];
        return;
    }
    gpr[RAX] = (uint64_t)result;
    advance_rip(v, exit->instruction_length);
}

static HANDLER void exit_hypercall_odd(struct vcpu *v, const struct vmexit *exit)
{
    int64_t result = exit->cpl ? -XEN_EPERM : hypercall32(v);
    if (result == HYPERCALL_RESTART)
        return;
    v->arch->gpr[RAX] = (uint64_t)result;
    advance_rip(v, exit->instruction_length);
}

static HANDLER void exit_rdmsr(struct vcpu *v, const struct vmexit *exit)
{
    uint64_t *gpr = v->arch->gpr, value;
    if (!msr_read(v, (uint32_t)gpr[RCX], &value)) {
        inject_exception_error(v, TRAP_GP, 0);
        return;
    }
    gpr[RAX] = (uint32_t)value;
    gpr[RDX] = value >> 32;
    advance_rip(v, exit->instruction_length);
}

static HANDLER void exit_wrmsr(struct vcpu *v, const struct vmexit *exit)
{
    const uint64_t *gpr = v->arch->gpr;
    if (msr_write(v, (uint32_t)gpr[RCX], (uint32_t)gpr[RAX] | gpr[RDX] << 32))
        advance_rip(v, exit->instruction_length);
    else
        inject_exception_error(v, TRAP_GP, 0);
}

/* True when no vCPU of d could ever run again by itself. */
static bool all_down(const struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = domain_vcpu(d, i);
        if (v && !(__atomic_load_n(&v->stopped, __ATOMIC_SEQ_CST) & VCPU_DOWN))
            return false;
    }
    return true;
}

/* HLT with interrupts off is how a vCPU goes away: only NMI, INIT and SIPI bring it back. */
static void exit_hlt(struct vcpu *v, const struct vmexit *exit)
{
    advance_rip(v, exit->instruction_length);
    if (likely(v->arch->rflags & RFLAGS_IF)) {
        vcpu_block_current();
        return;
    }
    if (v->arch->nmi_pending)
        return;
    vcpu_stop(v, VCPU_DOWN);
    if (v->arch->nmi_pending || v->arch->init_pending)
        vcpu_wake(v, VCPU_DOWN);
    else if (all_down(v->domain))
        domain_shutdown(v->domain, SHUTDOWN_poweroff);
}

static void exit_cr_access(struct vcpu *v, const struct vmexit *exit)
{
    struct arch_vcpu *a = v->arch;
    uint64_t cr0 = vendor->get_register(v, REG_CR0);
    bool done = true;
    if (exit->cr.clts)
        done = cr_write(v, 0, cr0 & ~CR0_TS);
    else if (exit->cr.lmsw) /* LMSW cannot clear PE */
        done = cr_write(v, 0, (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (exit->cr.lmsw_value & 0xf));
    else if (exit->cr.write)
        done = cr_write(v, exit->cr.cr, a->gpr[exit->cr.gpr]);
    else
        a->gpr[exit->cr.gpr] = cr_read(v, exit->cr.cr);
    if (done)
        advance_rip(v, exit->instruction_length);
}

static void exit_exception(struct vcpu *v, const struct vmexit *exit)
{
    if (exit->has_error_code)
        inject_exception_error(v, exit->vector, exit->error_code);
    else
        inject_exception(v, exit->vector);
}

static void exit_triple_fault(struct vcpu *v)
{
    uint64_t code = v->domain->hvm_param[HVM_PARAM_TRIPLE_FAULT_REASON];
    guest_printk(v->domain, "vCPU %u: triple fault at %#lx", v->id, v->arch->rip);
    arch_vcpu_dump(v);
    domain_shutdown(v->domain, (uint8_t)code);
}

static HANDLER void exit_seldom(struct vcpu *v, const struct vmexit *exit)
{
    const uint64_t *gpr = v->arch->gpr;
    switch (exit->reason) {
    case EXIT_HYPERCALL_ODD:
        exit_hypercall_odd(v, exit);
        break;
    case EXIT_CR_ACCESS:
        exit_cr_access(v, exit);
        break;
    case EXIT_DR_ACCESS:
        exit_debug_registers(v);
        break;
    case EXIT_EXCEPTION:
        exit_exception(v, exit);
        break;
    case EXIT_XSETBV:
        if (!exit->cpl && exit_xsetbv(v, (uint32_t)gpr[RCX], (uint32_t)gpr[RAX] | gpr[RDX] << 32))
            advance_rip(v, exit->instruction_length);
        else
            inject_exception_error(v, TRAP_GP, 0);
        break;
    case EXIT_INVALID_OP:
        inject_exception(v, TRAP_UD);
        break;
    case EXIT_WBINVD: /* without devices of its own a guest cannot tell */
        advance_rip(v, exit->instruction_length);
        break;
    case EXIT_PAUSE:
        vcpu_yield_to_siblings();
        break;
    case EXIT_TRIPLE_FAULT:
        exit_triple_fault(v);
        break;
    case EXIT_INIT_STATE:
        domain_crash(v->domain, "%s refused its registers (code %#lx)", vendor->name, exit->code);
        break;
    default:
        domain_crash(v->domain, "%s exit %#lx is not handled", vendor->name, exit->code);
        break;
    }
}

#define COUNTED_AS(name, text) _Static_assert(PERFC_EXIT_##name == (int)EXIT_##name, "hv/perfc.h");
PERFC_EXITS(COUNTED_AS)

void exit_dispatch(struct vcpu *v, const struct vmexit *exit)
{
    enum exit_reason reason = exit->reason;
    this_cpu_count(reason, 1);
    if (likely(reason == EXIT_HYPERCALL)) {
        exit_hypercall(v, exit);
        return;
    }
    switch (reason) {
    case EXIT_INTERRUPT:
        interrupts_window();
        break;
    case EXIT_HANDLED:
    case EXIT_NMI:
        break;
    case EXIT_INTERRUPT_WINDOW:
        vendor->want_window(v, false);
        break;
    case EXIT_CPUID:
        exit_cpuid(v, exit);
        break;
    case EXIT_RDMSR:
        exit_rdmsr(v, exit);
        break;
    case EXIT_WRMSR:
        exit_wrmsr(v, exit);
        break;
    case EXIT_HLT:
        exit_hlt(v, exit);
        break;
    case EXIT_IO:
        exit_io(v, exit);
        break;
    case EXIT_P2M_FAULT:
        emulate_p2m_fault(v, exit);
        break;
    default:
        exit_seldom(v, exit);
        break;
    }
}
