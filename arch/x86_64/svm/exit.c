/*
 * One entry into the guest and one exit, told in the terms of guest/vendor.h (APM vol. 2, 15.5-15.14,
 * appendix C).
 *
 * Interface: svm_run(). Locking: none, see svm.c.
 */
#include "svm.h"
#include "../guest/decode.h"
#include "../guest/guest_access.h"
#include "../guest/loop.h"
#include <lib/string.h>
#include <x86/cpu.h>
#include <x86/msr.h>
#include <x86/traps.h>

#define NPF_PRESENT (1ull << 0)
#define NPF_WRITE   (1ull << 1)
#define NPF_FETCH   (1ull << 4)
#define NPF_WALK    (1ull << 33)

#define IOIO_IN         (1u << 0)
#define IOIO_STRING     (1u << 2)
#define IOIO_REP        (1u << 3)
#define IOIO_SIZE(info) ((uint8_t)((info) >> 4 & 7))
#define IOIO_PORT(info) ((uint16_t)((info) >> 16))

#define ENCODING(plain_bytes, bytes_mask, code, size)                                                        \
    {                                                                                                        \
        .plain = (plain_bytes), .mask = (bytes_mask), .opcode = (code), .length = (size)                     \
    }
static const struct svm_encoding plain_vmmcall = ENCODING(0xd9010f, 0xffffff, 0x0f01, 3);
static const struct svm_encoding plain_xsetbv = ENCODING(0xd1010f, 0xffffff, 0x0f01, 3);
static const struct svm_encoding plain_cpuid = ENCODING(0xa20f, 0xffff, 0x0fa2, 2);
static const struct svm_encoding plain_rdmsr = ENCODING(0x320f, 0xffff, 0x0f32, 2);
static const struct svm_encoding plain_wrmsr = ENCODING(0x300f, 0xffff, 0x0f30, 2);
static const struct svm_encoding plain_wbinvd = ENCODING(0x090f, 0xffff, 0x0f09, 2);
static const struct svm_encoding plain_invd = ENCODING(0x080f, 0xffff, 0x0f08, 2);
static const struct svm_encoding plain_hlt = ENCODING(0xf4, 0xff, 0xf4, 1);

static void exit_port(struct vmcb *vmcb, struct vmexit *exit)
{
    uint32_t info = (uint32_t)vmcb->exit_info1;
    exit->reason = EXIT_IO;
    exit->io.port = IOIO_PORT(info);
    exit->io.size = IOIO_SIZE(info);
    exit->io.in = info & IOIO_IN;
    exit->io.string = info & IOIO_STRING;
    exit->io.rep = info & IOIO_REP;
    exit->instruction_length = (uint8_t)(vmcb->exit_info2 - vmcb->rip);
}

static void exit_npf(struct vmcb *vmcb, struct vmexit *exit)
{
    uint64_t info = vmcb->exit_info1;
    exit->reason = EXIT_P2M_FAULT;
    exit->fault.gpa = GPA(vmcb->exit_info2);
    exit->fault.write = info & NPF_WRITE;
    exit->fault.fetch = info & NPF_FETCH;
    exit->fault.read = !exit->fault.write && !exit->fault.fetch;
    exit->fault.during_walk = info & NPF_WALK;
}

static void exit_exception(struct vmcb *vmcb, struct vmexit *exit)
{
    exit->vector = (uint8_t)(vmcb->exit_code - SVM_EXIT_EXCEPTION);
    if (exit->vector == TRAP_MC) {
        machine_check_handle();
        exit->reason = EXIT_HANDLED;
        return;
    }
    exit->reason = EXIT_EXCEPTION;
    exit->has_error_code = exit->vector == TRAP_AC;
    exit->error_code = 0;
}

/* MOV to or from CR8: the encoding names the register; CR0 to CR4 are the guest's own. */
static void exit_cr8(struct vcpu *v, struct vmexit *exit)
{
    uint8_t bytes[INSTRUCTION_MAX];
    struct instruction instruction;
    size_t count = fetch_guest(v, v->arch->rip, bytes, sizeof(bytes));
    exit->reason = EXIT_HANDLED;
    if (!decode(bytes, count, svm_code_size(vmcb_of(v)), &instruction))
        return;
    if (instruction.opcode != 0x0f20 && instruction.opcode != 0x0f22)
        return;
    exit->reason = EXIT_CR_ACCESS;
    exit->instruction_length = instruction.length;
    exit->cr.cr = 8;
    exit->cr.gpr = instruction.rm;
    exit->cr.write = instruction.opcode == 0x0f22;
    exit->cr.clts = exit->cr.lmsw = false;
}

static __attribute__((noinline)) void exit_other(struct vcpu *v, struct vmexit *exit)
{
    struct vmcb *vmcb = vmcb_of(v);
    exit->code = vmcb->exit_code;
    switch (exit->code) {
    case SVM_EXIT_CR_READ + 8:
    case SVM_EXIT_CR_WRITE + 8:
        exit_cr8(v, exit);
        break;
    case SVM_EXIT_DR_READ ... SVM_EXIT_DR_LAST:
        exit->reason = EXIT_DR_ACCESS;
        break;
    case SVM_EXIT_EXCEPTION ... SVM_EXIT_EXCEPTION_LAST:
        exit_exception(vmcb, exit);
        break;
    case SVM_EXIT_IRET:
        if (v->arch->svm.nmi_masked)
            svm_nmi_done(v);
        exit->reason = EXIT_HANDLED;
        break;
    case SVM_EXIT_SMI:
    case SVM_EXIT_INIT:
        exit->reason = EXIT_HANDLED; /* taken by the host when GIF was set again */
        break;
    case SVM_EXIT_NMI:
        exit->reason = EXIT_NMI; /* likewise */
        break;
    case SVM_EXIT_RDPMC:
        exit->reason = EXIT_EXCEPTION;
        exit->vector = TRAP_GP;
        exit->has_error_code = true;
        exit->error_code = 0;
        break;
    case SVM_EXIT_WBINVD:
        if (svm_find_length(v, exit, &plain_wbinvd))
            exit->reason = EXIT_WBINVD;
        break;
    case SVM_EXIT_INVD:
        if (svm_find_length(v, exit, &plain_invd))
            exit->reason = EXIT_WBINVD;
        break;
    case SVM_EXIT_XSETBV:
        exit->cpl = vmcb->cpl;
        if (svm_find_length(v, exit, &plain_xsetbv))
            exit->reason = EXIT_XSETBV;
        break;
    case SVM_EXIT_PAUSE:
        exit->reason = EXIT_PAUSE;
        break;
    case SVM_EXIT_SHUTDOWN:
        exit->reason = EXIT_TRIPLE_FAULT;
        break;
    case SVM_EXIT_INVLPGA:
    case SVM_EXIT_VMRUN:
    case SVM_EXIT_VMLOAD ... SVM_EXIT_SKINIT:
    case SVM_EXIT_MONITOR ... SVM_EXIT_MWAIT_CONDITIONAL:
    case SVM_EXIT_RDPRU:
    case SVM_EXIT_INVLPGB ... SVM_EXIT_TLBSYNC:
        exit->reason = EXIT_INVALID_OP;
        break;
    case SVM_EXIT_INVALID:
        exit->reason = EXIT_INIT_STATE;
        break;
    default:
        exit->reason = EXIT_UNKNOWN;
        break;
    }
}

/* The frequent reasons first. */
static void exit_reason(struct vcpu *v, struct vmexit *exit)
{
    struct vmcb *vmcb = vmcb_of(v);
    switch (vmcb->exit_code) {
    case SVM_EXIT_VMMCALL:
        if (svm_find_length(v, exit, &plain_vmmcall)) {
            exit->cpl = vmcb->cpl;
            exit->reason = likely(!exit->cpl && svm_code64(vmcb)) ? EXIT_HYPERCALL : EXIT_HYPERCALL_ODD;
        }
        break;
    case SVM_EXIT_INTR:
        exit->reason = EXIT_INTERRUPT;
        break;
    case SVM_EXIT_VINTR:
        exit->reason = EXIT_INTERRUPT_WINDOW;
        break;
    case SVM_EXIT_CPUID:
        if (svm_find_length(v, exit, &plain_cpuid))
            exit->reason = EXIT_CPUID;
        break;
    case SVM_EXIT_MSR:
        if (vmcb->exit_info1) {
            if (svm_find_length(v, exit, &plain_wrmsr))
                exit->reason = EXIT_WRMSR;
        } else if (svm_find_length(v, exit, &plain_rdmsr)) {
            exit->reason = EXIT_RDMSR;
        }
        break;
    case SVM_EXIT_HLT:
        if (svm_find_length(v, exit, &plain_hlt))
            exit->reason = EXIT_HLT;
        break;
    case SVM_EXIT_IOIO:
        exit_port(vmcb, exit);
        break;
    case SVM_EXIT_NPF:
        exit_npf(vmcb, exit);
        break;
    default:
        exit_other(v, exit);
        break;
    }
}

ALWAYS_INLINE struct arch_vcpu *enter_once(struct vcpu *v, struct vmexit *exit)
{
    struct arch_vcpu *a = v->arch;
    struct vmcb *vmcb = a->svm.vmcb;
    struct arch_cpu *cpu = this_arch_cpu();

    if (unlikely(a->svm.asid_generation != cpu->asid_generation))
        svm_new_asid(v);
    if (unlikely((vmcb->intercept_dr == 0) != a->dr_loaded)) {
        vmcb->intercept_dr = a->dr_loaded ? 0 : ~0u;
        vmcb->clean &= ~(uint64_t)CLEAN_INTERCEPTS;
    }
    if (a->rip != a->svm.exit_rip)
        vmcb->interrupt_shadow = 0;
    vmcb->rip = a->rip;
    vmcb->rflags = a->rflags;
    vmcb->rsp = a->gpr[RSP];
    vmcb->rax = a->gpr[RAX];
    a->event_queued = false;
    bool as_virtual =
        unlikely(vmcb->event_injection & EVENT_VALID) && svm_inject_virtually && svm_virtual_begin(v);

    svm_enter(a, a->svm.vmcb_maddr, cpu->host_vmcb);

    vmcb->clean = CLEAN_ALL;
    vmcb->tlb_control = TLB_FLUSH_NONE;
    a->svm.exit_rip = a->rip = vmcb->rip;
    a->rflags = vmcb->rflags;
    a->gpr[RSP] = vmcb->rsp;
    a->gpr[RAX] = vmcb->rax;
    vmcb->event_injection = 0;
    if (unlikely(as_virtual))
        svm_virtual_end(v);
    if (unlikely(vmcb->exit_int_info & EVENT_VALID))
        svm_requeue(v);
    exit_reason(v, exit);
    return a;
}

void svm_run(struct vcpu *v)
{
    run_loop(v, enter_once);
}
