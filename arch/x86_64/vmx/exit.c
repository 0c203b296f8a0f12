/*
 * One entry into the guest and one exit, told in the terms of guest/vendor.h (SDM vol. 3, chapters 27 and 28,
 * appendix C).
 *
 * Interface: vmx_run(). Locking: none, see vmx.c. Only those fields of the VMCS are read that the reason
 * calls for, and only what changed is written.
 */
#include "vmx.h"
#include "../guest/loop.h"
#include <hv/frame.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/traps.h>

#define QUALIFICATION_READ          (1u << 0)
#define QUALIFICATION_WRITE         (1u << 1)
#define QUALIFICATION_FETCH         (1u << 2)
#define QUALIFICATION_LINEAR        (1u << 7) /* there is a linear address */
#define QUALIFICATION_FINAL         (1u << 8) /* and the fault was on its translation, not on the way there */
#define QUALIFICATION_NMI_UNBLOCKED (1u << 12)

#define DR6_FROM_EXIT      0x600full /* breakpoints 0-3, BD, BS */
#define DR7_GENERAL_DETECT (1ull << 13)

/* --- before the entry ----------------------------------------------------------------------------------- */

/* Runs inside the entry's guest_access section. A root that is no RAM leaves nothing mapped. */
static __attribute__((noinline)) void load_pdptes(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;

    if (!(a->vmx.cr0 & CR0_PG) || a->vmx.efer & EFER_LMA || !(vmcs_read(VMCS_GUEST_CR4) & CR4_PAE))
        return;
    gpa_t root = GPA(vmcs_read(VMCS_GUEST_CR3) & 0xffffffe0);
    struct p2m_entry entry = p2m_lookup(v->domain, gpa_to_gfn(root));
    const uint64_t *pdpte = (void *)((uint64_t)mfn_to_virt(entry.mfn) | (root.v & ~PAGE_MASK));
    for (unsigned i = 0; i < 4; i++)
        vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, entry.type == P2M_RAM ? READ_ONCE(pdpte[i]) : 0);
}

static __attribute__((noinline)) void flush_translations(struct vcpu *v)
{
    if (!vmx_invept(v->domain->arch->p2m_root_entry))
        panic("INVEPT failed");
}

/* An instruction was carried out: the shadow of the one before it is over. */
static void moved_on(struct arch_vcpu *a)
{
    uint64_t state = vmcs_read(VMCS_INTERRUPTIBILITY);

    vmcs_write(VMCS_GUEST_RIP, a->rip);
    if (unlikely(state & SHADOW_STI_MOV_SS))
        vmcs_write(VMCS_INTERRUPTIBILITY, state & ~(uint64_t)SHADOW_STI_MOV_SS);
}

/* --- after the exit ------------------------------------------------------------------------------------- */

static void set_length(struct vmexit *exit)
{
    exit->instruction_length = (uint8_t)vmcs_read(VMCS_INSTRUCTION_LENGTH);
}

/* Code that is not conforming runs at its segment's DPL, so that one field tells of 64-bit kernels. */
static void exit_hypercall(const struct arch_vcpu *a, struct vmexit *exit)
{
    const uint32_t code64 = SEGMENT_L << 4, mask = code64 | SEGMENT_DPL | SEGMENT_CONFORMING;

    exit->instruction_length = 3;
    exit->reason = EXIT_HYPERCALL;
    if (likely(a->vmx.efer & EFER_LMA && (vmcs_read(VMCS_GUEST_ACCESS + 2 * SEG_CS) & mask) == code64))
        return;
    exit->cpl = vmcs_read(VMCS_GUEST_ACCESS + 2 * SEG_SS) >> 5 & 3;
    exit->reason = EXIT_HYPERCALL_ODD;
}

/* After an IRET that an exit cut off, the NMI that it ended is blocked once more, for it will be executed
 * again. */
static void block_nmi_again(void)
{
    vmcs_write(VMCS_INTERRUPTIBILITY, vmcs_read(VMCS_INTERRUPTIBILITY) | BLOCKED_BY_NMI);
}

static void exit_exception(struct vcpu *v, struct vmexit *exit)
{
    struct arch_vcpu *a = v->arch;
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_EVENT);

    vmx_requeue(v);
    exit->vector = EVENT_INFO_VECTOR(info);
    exit->has_error_code = info & EVENT_INFO_HAS_ERROR;
    exit->error_code = exit->has_error_code ? (uint32_t)vmcs_read(VMCS_EXIT_ERROR) : 0;
    exit->reason = EXIT_EXCEPTION;
    if (EVENT_INFO_TYPE(info) == EVENT_NMI) {
        asm volatile("int $2"); /* the handler's IRET lets in the next one */
        exit->reason = EXIT_NMI;
        return;
    }
    if (exit->vector == TRAP_MC)
        machine_check_handle();
    if (info & EVENT_INFO_NMI_UNBLOCKED && !a->event_queued)
        block_nmi_again();
    if (exit->vector == TRAP_DB) {
        a->vmx.dr6 = (a->vmx.dr6 & ~0xfull) | (vmcs_read(VMCS_QUALIFICATION) & DR6_FROM_EXIT);
        vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GENERAL_DETECT);
        if (EVENT_INFO_TYPE(info) == EVENT_TYPE_ICEBP)
            a->rip += vmcs_read(VMCS_INSTRUCTION_LENGTH);
    }
}

static void exit_ept_violation(struct vcpu *v, struct vmexit *exit)
{
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

    exit->reason = EXIT_P2M_FAULT;
    exit->fault.gpa = GPA(vmcs_read(VMCS_GUEST_PHYSICAL));
    exit->fault.read = qualification & QUALIFICATION_READ;
    exit->fault.write = qualification & QUALIFICATION_WRITE;
    exit->fault.fetch = qualification & QUALIFICATION_FETCH;
    exit->fault.during_walk =
        (qualification & (QUALIFICATION_LINEAR | QUALIFICATION_FINAL)) == QUALIFICATION_LINEAR;
    vmx_requeue(v);
    if (qualification & QUALIFICATION_NMI_UNBLOCKED && !v->arch->event_queued)
        block_nmi_again();
}

static void exit_port(struct vmexit *exit)
{
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);

    set_length(exit);
    exit->reason = EXIT_IO;
    exit->io.size = (uint8_t)((qualification & 7) + 1);
    exit->io.in = qualification & 8;
    exit->io.string = qualification & 0x10;
    exit->io.rep = qualification & 0x20;
    exit->io.port = (uint16_t)(qualification >> 16);
}

static void exit_control_register(struct vmexit *exit)
{
    enum { MOV_TO, MOV_FROM, CLTS, LMSW };
    uint64_t qualification = vmcs_read(VMCS_QUALIFICATION);
    unsigned type = qualification >> 4 & 3;

    set_length(exit);
    exit->reason = EXIT_CR_ACCESS;
    exit->cr.cr = qualification & 0xf;
    exit->cr.gpr = qualification >> 8 & 0xf;
    exit->cr.write = type == MOV_TO;
    exit->cr.clts = type == CLTS;
    exit->cr.lmsw = type == LMSW;
    exit->cr.lmsw_value = (uint16_t)(qualification >> 16);
}

static void exit_other(struct vcpu *v, struct vmexit *exit, uint32_t code)
{
    exit->code = code;
    if (unlikely(exit->code & VMX_ENTRY_FAILED)) { /* the guest's state is none that a processor could have */
        exit->reason = EXIT_INIT_STATE;
        printk(LOG_ERROR "d%uv%u: VM entry found bad guest state, reason %lu, qualification %lu\n",
               v->domain->id, v->id, exit->code & 0xffff, vmcs_read(VMCS_QUALIFICATION));
        return;
    }
    switch (exit->code) {
    case VMX_EXCEPTION_OR_NMI:
        exit_exception(v, exit);
        break;
    case VMX_TRIPLE_FAULT:
        exit->reason = EXIT_TRIPLE_FAULT;
        break;
    case VMX_INIT:
    case VMX_SIPI:
        exit->reason = EXIT_HANDLED;
        break;
    case VMX_CR_ACCESS:
        exit_control_register(exit);
        break;
    case VMX_DR_ACCESS:
        exit->reason = EXIT_DR_ACCESS;
        break;
    case VMX_RDPMC:
        exit->reason = EXIT_EXCEPTION;
        exit->vector = TRAP_GP;
        exit->has_error_code = true;
        exit->error_code = 0;
        break;
    case VMX_INVD:
    case VMX_WBINVD:
        set_length(exit);
        exit->reason = EXIT_WBINVD;
        break;
    case VMX_XSETBV:
        set_length(exit);
        exit->cpl = 0; /* from user mode it is #GP without an exit */
        exit->reason = EXIT_XSETBV;
        break;
    case VMX_PAUSE:
        exit->reason = EXIT_PAUSE;
        break;
    case VMX_GETSEC:
    case VMX_VMCLEAR ... VMX_VMXON:
    case VMX_MWAIT:
    case VMX_MONITOR:
    case VMX_INVEPT:
    case VMX_INVVPID:
        exit->reason = EXIT_INVALID_OP;
        break;
    default:
        exit->reason = EXIT_UNKNOWN;
        break;
    }
}

/* The frequent reasons first, and the most frequent by itself. */
static void exit_reason(struct vcpu *v, struct vmexit *exit, uint32_t code)
{
    if (likely(code == VMX_VMCALL)) {
        exit_hypercall(v->arch, exit);
        return;
    }
    switch (code) {
    case VMX_EXTERNAL_INTERRUPT:
    case VMX_PREEMPTION_TIMER:
        exit->reason = EXIT_INTERRUPT;
        break;
    case VMX_INTERRUPT_WINDOW:
    case VMX_NMI_WINDOW:
        exit->reason = EXIT_INTERRUPT_WINDOW;
        break;
    case VMX_CPUID:
        set_length(exit);
        exit->reason = EXIT_CPUID;
        break;
    case VMX_RDMSR:
        set_length(exit);
        exit->reason = EXIT_RDMSR;
        break;
    case VMX_WRMSR:
        set_length(exit);
        exit->reason = EXIT_WRMSR;
        break;
    case VMX_HLT:
        set_length(exit);
        exit->reason = EXIT_HLT;
        break;
    case VMX_IO:
        exit_port(exit);
        break;
    case VMX_EPT_VIOLATION:
        exit_ept_violation(v, exit);
        break;
    default:
        exit_other(v, exit, code);
        break;
    }
}

/* --- both ----------------------------------------------------------------------------------------------- */

/* Work that most entries do not have. False: the VMCS is to be launched. */
static __attribute__((noinline)) bool prepare(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    bool launched = !(a->vmx.work & VMX_LAUNCH);

    if (a->vmx.work & VMX_FLUSH)
        flush_translations(v);
    if (a->vmx.work & VMX_PDPTES)
        load_pdptes(v);
    if (a->vmx.work & VMX_EVENT)
        vmx_event_enter(v);
    a->vmx.work = 0;
    return launched;
}

/* The guest's debug registers are in the CPU: its DR6 goes in and out too, and MOV DR need not exit. */
static __attribute__((noinline)) bool enter_debugged(struct vcpu *v, bool launched)
{
    struct arch_vcpu *a = v->arch;
    bool entered;

    vmx_set_primary(v, a->vmx.controls & ~PRIMARY_MOV_DR);
    asm volatile("mov %0, %%db6" : : "r"(a->vmx.dr6));
    vmx_enter(a, launched, &entered);
    asm volatile("mov %%db6, %0" : "=r"(a->vmx.dr6));
    vmx_set_primary(v, a->vmx.controls | PRIMARY_MOV_DR);
    return entered;
}

/* VMfail: the controls or the host's state are not what the processor wants. */
static __attribute__((noinline, cold)) struct arch_vcpu *entry_refused(struct vcpu *v, struct vmexit *exit)
{
    exit->reason = EXIT_INIT_STATE;
    exit->code = vmcs_read(VMCS_INSTRUCTION_ERROR);
    printk(LOG_ERROR "d%uv%u: VM entry failed with error %lu\n", v->domain->id, v->id, exit->code);
    return v->arch;
}

ALWAYS_INLINE struct arch_vcpu *enter_once(struct vcpu *v, struct vmexit *exit)
{
    struct arch_vcpu *a = v->arch;
    bool launched = true, entered;

    if (unlikely(a->vmx.work))
        launched = prepare(v);
    if (a->rip != a->vmx.exit_rip)
        moved_on(a);
    if (a->rflags != a->vmx.exit_rflags)
        vmcs_write(VMCS_GUEST_RFLAGS, a->rflags);
    if (a->gpr[RSP] != a->vmx.exit_rsp)
        vmcs_write(VMCS_GUEST_RSP, a->gpr[RSP]);

    if (unlikely(a->dr_loaded)) {
        if (!enter_debugged(v, launched))
            return entry_refused(v, exit);
    } else {
        a = vmx_enter(a, launched, &entered);
        if (unlikely(!entered))
            return entry_refused(a->vcpu, exit);
    }
    a->vmx.exit_rip = a->rip = vmcs_read(VMCS_GUEST_RIP);
    a->vmx.exit_rflags = a->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    a->vmx.exit_rsp = a->gpr[RSP] = vmcs_read(VMCS_GUEST_RSP);
    exit_reason(a->vcpu, exit, (uint32_t)vmcs_read(VMCS_EXIT_REASON));
    return a;
}

void vmx_run(struct vcpu *v)
{
    run_loop(v, enter_once);
}
