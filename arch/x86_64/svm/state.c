/*
 * A guest's registers in the VMCB, in the terms of guest/vendor.h.
 *
 * Interface: svm.h. Locking: none, see svm.c. A field that is changed here is taken off the list of clean
 * ones, so that the processor loads it at the next entry (APM vol. 2, 15.15).
 */
#include "svm.h"
#include <x86/msr.h>

static struct vmcb_segment *segment_of(struct vmcb *vmcb, enum segment_name which)
{
    switch (which) {
    case SEG_ES:
        return &vmcb->es;
    case SEG_CS:
        return &vmcb->cs;
    case SEG_SS:
        return &vmcb->ss;
    case SEG_DS:
        return &vmcb->ds;
    case SEG_FS:
        return &vmcb->fs;
    case SEG_GS:
        return &vmcb->gs;
    case SEG_TR:
        return &vmcb->tr;
    default:
        return &vmcb->ldtr;
    }
}

void svm_get_segment(const struct vcpu *v, enum segment_name which, struct segment *segment)
{
    const struct vmcb_segment *from = segment_of(vmcb_of(v), which);
    *segment = (struct segment){
        .selector = from->selector, .access = from->attributes, .limit = from->limit, .base = from->base};
}

void svm_set_segment(struct vcpu *v, enum segment_name which, const struct segment *segment)
{
    struct vmcb *vmcb = vmcb_of(v);
    *segment_of(vmcb, which) = (struct vmcb_segment){.selector = segment->selector,
                                                     .attributes = segment->access & 0xfff,
                                                     .limit = segment->limit,
                                                     .base = segment->base};
    if (which == SEG_SS)
        vmcb->cpl = segment->access >> 5 & 3;
    vmcb->clean &= ~(uint64_t)CLEAN_SEGMENTS;
}

void svm_get_table(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit)
{
    const struct vmcb_segment *from = which == TABLE_GDTR ? &vmcb_of(v)->gdtr : &vmcb_of(v)->idtr;
    *base = from->base;
    *limit = (uint16_t)from->limit;
}

void svm_set_table(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit)
{
    struct vmcb_segment *to = which == TABLE_GDTR ? &vmcb_of(v)->gdtr : &vmcb_of(v)->idtr;
    to->base = base;
    to->limit = limit;
    vmcb_of(v)->clean &= ~(uint64_t)CLEAN_TABLES;
}

uint64_t svm_get_register(const struct vcpu *v, enum guest_register which)
{
    const struct vmcb *vmcb = vmcb_of(v);
    switch (which) {
    case REG_CR0:
        return vmcb->cr0;
    case REG_CR2:
        return vmcb->cr2;
    case REG_CR3:
        return vmcb->cr3;
    case REG_CR4:
        return vmcb->cr4;
    case REG_EFER:
        return vmcb->efer & ~EFER_SVME;
    case REG_DR6:
        return vmcb->dr6;
    case REG_DR7:
        return vmcb->dr7;
    default:
        return vmcb->pat;
    }
}

uint64_t svm_long_mode_root(const struct vcpu *v)
{
    const struct vmcb *vmcb = vmcb_of(v);
    return vmcb->efer & EFER_LMA ? vmcb->cr3 : NO_ROOT;
}

void svm_set_register(struct vcpu *v, enum guest_register which, uint64_t value)
{
    struct vmcb *vmcb = vmcb_of(v);
    switch (which) {
    case REG_CR0:
        vmcb->cr0 = value;
        break;
    case REG_CR2:
        vmcb->cr2 = value;
        break;
    case REG_CR3:
        vmcb->cr3 = value;
        break;
    case REG_CR4:
        vmcb->cr4 = value;
        break;
    case REG_EFER:
        vmcb->efer = value | EFER_SVME;
        break;
    case REG_DR6:
        vmcb->dr6 = value;
        break;
    case REG_DR7:
        vmcb->dr7 = value;
        break;
    case REG_PAT:
        vmcb->pat = value;
        break;
    }
    vmcb->clean &= ~(uint64_t)(CLEAN_CR | CLEAN_DR | CLEAN_CR2 | CLEAN_NESTED);
    /* Hardware flushes on these when the guest writes them itself; it did not see this one. */
    if (which == REG_CR0 || which == REG_CR3 || which == REG_CR4 || which == REG_EFER)
        v->arch->svm.asid_generation = 0;
}

static uint64_t *msr_field(struct vmcb *vmcb, uint32_t index)
{
    switch (index) {
    case MSR_STAR:
        return &vmcb->star;
    case MSR_LSTAR:
        return &vmcb->lstar;
    case MSR_CSTAR:
        return &vmcb->cstar;
    case MSR_SYSCALL_MASK:
        return &vmcb->syscall_mask;
    case MSR_SYSENTER_CS:
        return &vmcb->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &vmcb->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &vmcb->sysenter_eip;
    case MSR_FS_BASE:
        return &vmcb->fs.base;
    case MSR_GS_BASE:
        return &vmcb->gs.base;
    case MSR_KERNEL_GS_BASE:
        return &vmcb->kernel_gs_base;
    default:
        return NULL;
    }
}

bool svm_get_msr(const struct vcpu *v, uint32_t index, uint64_t *value)
{
    const uint64_t *field = msr_field(vmcb_of(v), index);
    if (field)
        *value = *field;
    return field;
}

bool svm_set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
    uint64_t *field = msr_field(vmcb_of(v), index);
    if (field)
        *field = value;
    return field;
}
