/*
 * A vCPU's registers in the form that came before HVM contexts (xen/arch-x86/xen.h, struct
 * vcpu_guest_context). For HVM domains Xen shows general, control and debug registers and segments, and takes
 * general and debug registers; toolstacks use it to change the result of a hypercall that waits.
 *
 * Interface: hv/arch/vcpu.h. Locking: the vCPU is stopped and stays so.
 */
#include <hv/arch/vcpu.h>
#include <hv/sched.h>
#include <x86/msr.h>
#include <xen/errno.h>
#include "exit.h"

#define RFLAGS_CHANGEABLE 0x3f7fd5ull
#define DR_UPPER          0xffffffff00000000ull

/* The general registers stand in the record in another order than in encodings. */
#define GENERAL_REGISTERS(X)                                                                                 \
    X(rax, RAX)                                                                                              \
    X(rbx, RBX)                                                                                              \
    X(rcx, RCX)                                                                                              \
    X(rdx, RDX)                                                                                              \
    X(rbp, RBP)                                                                                              \
    X(rsi, RSI)                                                                                              \
    X(rdi, RDI)                                                                                              \
    X(rsp, RSP)                                                                                              \
    X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)
#define SEGMENT_REGISTERS(X)                                                                                 \
    X(cs, SEG_CS) X(ds, SEG_DS) X(es, SEG_ES) X(fs, SEG_FS) X(gs, SEG_GS) X(ss, SEG_SS)

void arch_get_vcpu_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    const struct arch_vcpu *a = v->arch;
    struct segment s;

#define SHOW(field, name) c->user_regs.field = a->gpr[name];
    GENERAL_REGISTERS(SHOW)
#undef SHOW
    c->user_regs.rip = a->rip;
    c->user_regs.rflags = a->rflags;
#define SHOW(field, name)                                                                                    \
    vendor->get_segment(v, name, &s);                                                                        \
    c->user_regs.field = s.selector;
    SEGMENT_REGISTERS(SHOW)
#undef SHOW
    vendor->get_segment(v, SEG_FS, &s);
    c->fs_base = s.base;
    vendor->get_segment(v, SEG_GS, &s);
    c->gs_base_user = s.base;
    c->ctrlreg[0] = vendor->get_register(v, REG_CR0);
    c->ctrlreg[2] = vendor->get_register(v, REG_CR2);
    c->ctrlreg[3] = vendor->get_register(v, REG_CR3);
    c->ctrlreg[4] = vendor->get_register(v, REG_CR4);
    for (unsigned i = 0; i < ARRAY_SIZE(a->dr); i++)
        c->debugreg[i] = a->dr[i];
    c->debugreg[6] = vendor->get_register(v, REG_DR6);
    c->debugreg[7] = vendor->get_register(v, REG_DR7);
    c->flags = v->stopped & VCPU_DOWN ? 0 : VGCF_online;
}

int arch_set_vcpu_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct arch_vcpu *a = v->arch;

    if ((c->debugreg[6] | c->debugreg[7]) & DR_UPPER)
        return -XEN_EINVAL;
#define TAKE(field, name) a->gpr[name] = c->user_regs.field;
    GENERAL_REGISTERS(TAKE)
#undef TAKE
    a->rip = c->user_regs.rip;
    a->rflags = (a->rflags & ~RFLAGS_CHANGEABLE) | (c->user_regs.rflags & RFLAGS_CHANGEABLE);
    for (unsigned i = 0; i < ARRAY_SIZE(a->dr); i++)
        a->dr[i] = c->debugreg[i];
    vendor->set_register(v, REG_DR6, c->debugreg[6]);
    debug_registers_set_dr7(v, c->debugreg[7]);
    return 0;
}
