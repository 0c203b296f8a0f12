/*
 * The CPU and XSAVE records of an HVM context (hvm_context.h).
 *
 * Checked is what a processor would refuse at VM entry or at XRSTOR; a state that is merely useless is the
 * guest's affair. Locking: none; the vCPU does not run.
 */
#include <hv/arch/vcpu.h>
#include <hv/sched.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <xen/hvm/save.h>
#include "exit.h"
#include "fpu.h"
#include "hvm_context.h"

#define ACCESS_S       0x010
#define ACCESS_G       0x800
#define ACCESS_DEFINED 0xfff
#define TYPE(access)   ((access)&0xf)
#define TSS16_BUSY     0x3
#define TSS_BUSY       0xb
#define LDT            0x2
#define TYPE_ACCESSED  0x1

#define DR_UPPER       0xffffffff00000000ull
#define DR6_FIXED      0xffff0ff0ull
#define DR7_FIXED      0x400ull
#define RFLAGS_DEFINED 0x3f7fd7ull

/* The general registers stand in the record in another order than in encodings. */
#define GENERAL_REGISTERS(X)                                                                                 \
    X(rax, RAX)                                                                                              \
    X(rbx, RBX)                                                                                              \
    X(rcx, RCX)                                                                                              \
    X(rdx, RDX)                                                                                              \
    X(rbp, RBP)                                                                                              \
    X(rsi, RSI)                                                                                              \
    X(rdi, RDI)                                                                                              \
    X(rsp, RSP) X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)
#define SEGMENT_REGISTERS(X)                                                                                 \
    X(cs, SEG_CS)                                                                                            \
    X(ds, SEG_DS) X(es, SEG_ES) X(fs, SEG_FS) X(gs, SEG_GS) X(ss, SEG_SS) X(tr, SEG_TR) X(ldtr, SEG_LDTR)
#define SWITCHED_MSRS(X)                                                                                     \
    X(sysenter_cs, MSR_SYSENTER_CS)                                                                          \
    X(sysenter_esp, MSR_SYSENTER_ESP)                                                                        \
    X(sysenter_eip, MSR_SYSENTER_EIP)                                                                        \
    X(shadow_gs, MSR_KERNEL_GS_BASE)                                                                         \
    X(msr_lstar, MSR_LSTAR)                                                                                  \
    X(msr_star, MSR_STAR) X(msr_cstar, MSR_CSTAR) X(msr_syscall_mask, MSR_SYSCALL_MASK)

/* --- registers ------------------------------------------------------------------------------------------ */

size_t context_cpu_save(struct vcpu *v, void *to)
{
    const struct arch_vcpu *a = v->arch;
    struct hvm_hw_cpu *r = to;
    struct segment segment;
    uint16_t limit;

    memcpy(r->fpu_regs, &a->xsave_area->legacy, sizeof(r->fpu_regs));
    r->flags = XEN_X86_FPU_INITIALISED;
#define SAVE(field, register) r->field = a->gpr[register];
    GENERAL_REGISTERS(SAVE)
#undef SAVE
    r->rip = a->rip;
    r->rflags = a->rflags;
    r->cr0 = vendor->get_register(v, REG_CR0);
    r->cr2 = vendor->get_register(v, REG_CR2);
    r->cr3 = vendor->get_register(v, REG_CR3);
    r->cr4 = vendor->get_register(v, REG_CR4);
    r->msr_efer = vendor->get_register(v, REG_EFER);
    r->dr0 = a->dr[0];
    r->dr1 = a->dr[1];
    r->dr2 = a->dr[2];
    r->dr3 = a->dr[3];
    r->dr6 = vendor->get_register(v, REG_DR6);
    r->dr7 = vendor->get_register(v, REG_DR7);
#define SAVE(field, which)                                                                                   \
    vendor->get_segment(v, which, &segment);                                                                 \
    r->field##_sel = segment.selector;                                                                       \
    r->field##_limit = segment.limit;                                                                        \
    r->field##_base = segment.base;                                                                          \
    r->field##_arbytes = segment.access;
    SEGMENT_REGISTERS(SAVE)
#undef SAVE
    vendor->get_table(v, TABLE_GDTR, &r->gdtr_base, &limit);
    r->gdtr_limit = limit;
    vendor->get_table(v, TABLE_IDTR, &r->idtr_base, &limit);
    r->idtr_limit = limit;
#define SAVE(field, index)                                                                                   \
    do {                                                                                                     \
        uint64_t value = 0;                                                                                  \
        vendor->get_msr(v, index, &value);                                                                   \
        r->field = value;                                                                                    \
    } while (0);
    SWITCHED_MSRS(SAVE)
#undef SAVE
    r->msr_tsc_aux = a->tsc_aux;
    r->tsc = rdtsc() + a->tsc_offset;
    return sizeof(*r);
}

/* present and its access as a processor wants it, or not usable at all */
static bool segment_valid(uint32_t access, uint32_t limit)
{
    if (access & ~(uint32_t)ACCESS_DEFINED)
        return false;
    if (!(access & SEGMENT_P))
        return true;
    return limit <= 0xfffff || (limit & 0xfff) == 0xfff;
}

static bool segments_valid(const struct hvm_hw_cpu *r)
{
#define VALID(field, which)                                                                                  \
    if (!segment_valid(r->field##_arbytes, r->field##_limit) || r->field##_sel >> 16)                        \
        return false;
    SEGMENT_REGISTERS(VALID)
#undef VALID
    uint32_t tr = r->tr_arbytes;
    bool long_mode = r->msr_efer & EFER_LMA;
    if (!(tr & SEGMENT_P) || tr & ACCESS_S || (TYPE(tr) != TSS_BUSY && (long_mode || TYPE(tr) != TSS16_BUSY)))
        return false;
    if (r->ldtr_arbytes & SEGMENT_P && (r->ldtr_arbytes & ACCESS_S || TYPE(r->ldtr_arbytes) != LDT))
        return false;
    if (!(r->cs_arbytes & SEGMENT_P) || (r->cs_arbytes & SEGMENT_L && r->cs_arbytes & SEGMENT_DB))
        return false;
    return r->gdtr_limit <= 0xffff && r->idtr_limit <= 0xffff;
}

static bool addresses_valid(const struct hvm_hw_cpu *r)
{
    const uint64_t linear[] = {r->fs_base,   r->gs_base,   r->tr_base,      r->ldtr_base,
                               r->gdtr_base, r->idtr_base, r->sysenter_esp, r->sysenter_eip,
                               r->shadow_gs, r->msr_lstar, r->msr_cstar};
    const uint64_t low[] = {r->cs_base, r->ds_base, r->es_base, r->ss_base};
    for (unsigned i = 0; i < ARRAY_SIZE(linear); i++) {
        if (!canonical(linear[i]))
            return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
        if (low[i] >> 32)
            return false;
    }
    bool code64 = r->msr_efer & EFER_LMA && r->cs_arbytes & SEGMENT_L;
    return (code64 ? canonical(r->rip) : !(r->rip >> 32)) && !(r->cr3 >> guest_maxphysaddr());
}

/* An event that waits for its delivery would need what the event came from; a stopped vCPU's is delivered
 * first. */
bool context_cpu_check(const struct vcpu *v, const void *from, size_t size)
{
    const struct hvm_hw_cpu *r = from;
    const struct fxsave_area *fpu = (const void *)r->fpu_regs;
    (void)v;
    (void)size;
    if (!paging_valid(r->cr0, r->cr4, r->msr_efer) || !segments_valid(r) || !addresses_valid(r))
        return false;
    if ((r->dr6 | r->dr7) & DR_UPPER || r->msr_tsc_aux >> 32 || r->pending_valid)
        return false;
    return !(r->flags & ~XEN_X86_FPU_INITIALISED) && !(r->flags && fpu->mxcsr >> 16);
}

static void load_segment(struct vcpu *v, enum segment_name which, uint32_t selector, uint32_t limit,
                         uint64_t base, uint32_t access)
{
    if (access & SEGMENT_P) {
        /* Granularity follows from the limit; what is loaded has been accessed. */
        access = limit >> 20 ? access | ACCESS_G : limit == 0xfffff ? access : access & ~(uint32_t)ACCESS_G;
        if (access & ACCESS_S)
            access |= TYPE_ACCESSED;
    }
    const struct segment segment = {
        .selector = (uint16_t)selector, .access = (uint16_t)access, .limit = limit, .base = base};
    vendor->set_segment(v, which, &segment);
}

static void load_control(struct vcpu *v, const struct hvm_hw_cpu *r)
{
    struct arch_vcpu *a = v->arch;
    vendor->set_register(v, REG_EFER, r->msr_efer);
    vendor->set_register(v, REG_CR0, r->cr0 | CR0_ET);
    vendor->set_register(v, REG_CR2, r->cr2);
    vendor->set_register(v, REG_CR3, r->cr3);
    vendor->set_register(v, REG_CR4, r->cr4);
    a->dr[0] = r->dr0;
    a->dr[1] = r->dr1;
    a->dr[2] = r->dr2;
    a->dr[3] = r->dr3;
    vendor->set_register(v, REG_DR6, r->dr6 | DR6_FIXED);
    debug_registers_set_dr7(v, r->dr7 | DR7_FIXED);
    vendor->flush_tlb(v);
}

void context_cpu_load(struct vcpu *v, const void *from, size_t size)
{
    const struct hvm_hw_cpu *r = from;
    struct arch_vcpu *a = v->arch;
    (void)size;

    fpu_reset(v);
    if (r->flags & XEN_X86_FPU_INITIALISED)
        memcpy(&a->xsave_area->legacy, r->fpu_regs, sizeof(r->fpu_regs));
#define LOAD(field, register) a->gpr[register] = r->field;
    GENERAL_REGISTERS(LOAD)
#undef LOAD
    a->rip = r->rip;
    a->rflags = (r->rflags & RFLAGS_DEFINED) | RFLAGS_1;
    load_control(v, r);
#define LOAD(field, which)                                                                                   \
    load_segment(v, which, r->field##_sel, r->field##_limit, r->field##_base, r->field##_arbytes);
    SEGMENT_REGISTERS(LOAD)
#undef LOAD
    vendor->set_table(v, TABLE_GDTR, r->gdtr_base, (uint16_t)r->gdtr_limit);
    vendor->set_table(v, TABLE_IDTR, r->idtr_base, (uint16_t)r->idtr_limit);
#define LOAD(field, index) vendor->set_msr(v, index, r->field);
    SWITCHED_MSRS(LOAD)
#undef LOAD
    a->tsc_aux = r->msr_tsc_aux;
    a->tsc_adjust = 0;
    vcpu_set_tsc_offset(v, r->tsc - rdtsc());
    run_forget(v); /* what a CPU still holds of v is out of date */
    vcpu_ready(v);
    vcpu_wake(v, VCPU_DOWN);
}

/* --- FPU ------------------------------------------------------------------------------------------------ */

uint32_t context_xsave_size(void)
{
    return offsetof(struct hvm_hw_cpu_xsave, save_area) + fpu_area_size();
}

size_t context_xsave_save(struct vcpu *v, void *to)
{
    struct hvm_hw_cpu_xsave *r = to;
    if (!fpu_xcr0())
        return 0;
    r->xfeature_mask = fpu_xcr0();
    r->xcr0 = v->arch->xcr0;
    r->xcr0_accum = fpu_xcr0();
    memcpy(&r->save_area, v->arch->xsave_area, fpu_area_size());
    return context_xsave_size();
}

bool context_xsave_check(const struct vcpu *v, const void *from, size_t size)
{
    const struct hvm_hw_cpu_xsave *r = from;
    const struct xsave_area *area = (const void *)&r->save_area;
    (void)v;
    if (!fpu_xcr0_valid(r->xcr0) || r->xcr0_accum & ~fpu_xcr0() || size % 8)
        return false;
    uint64_t reserved = area->xcomp_bv;
    for (unsigned i = 0; i < ARRAY_SIZE(area->reserved); i++)
        reserved |= area->reserved[i];
    return !reserved && !(area->xstate_bv & ~fpu_xcr0()) && !(area->legacy.mxcsr >> 16);
}

void context_xsave_load(struct vcpu *v, const void *from, size_t size)
{
    const struct hvm_hw_cpu_xsave *r = from;
    fpu_reset(v);
    v->arch->xcr0 = r->xcr0;
    memcpy(v->arch->xsave_area, &r->save_area, size - offsetof(struct hvm_hw_cpu_xsave, save_area));
}
