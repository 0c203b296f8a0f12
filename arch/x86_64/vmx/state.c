/*
 * A guest's registers in the VMCS, in the terms of guest/vendor.h.
 *
 * Interface: vmx.h. Locking: none, see vmx.c. Where v is not the vCPU on this CPU, its VMCS is borrowed for
 * the access; of one that runs on another CPU (the debug key's dump) nothing can be known, and zero is given.
 *
 * The guest changes CR0 and CR4 itself, but for the bits in the masks below: those that VMX needs set, those
 * whose change has consequences that the processor leaves to us (PG: EFER.LMA), and those that the guest must
 * not have. For these it reads the shadows.
 */
#include "vmx.h"
#include "../guest/exit.h"
#include <x86/asm.h>

#define CR0_OWNED (CR0_PG | CR0_NE | CR0_CD | CR0_NW)
#define CR4_OWNED (CR4_VMXE | CR4_MCE)

uint64_t vmx_cr0_mask(void)
{
    return CR0_OWNED | vmx_controls.cr0_one;
}

uint64_t vmx_cr4_mask(void)
{
    return CR4_OWNED | vmx_controls.cr4_one | ~guest_cr4_valid();
}

static bool out_of_reach(const struct vcpu *v)
{
    return v->arch->vmx.loaded_on && !vmcs_is_current(v);
}

static uint64_t read_field(const struct vcpu *v, enum vmcs_field field)
{
    if (likely(vmcs_is_current(v)))
        return vmcs_read(field);
    if (out_of_reach(v))
        return 0;
    bool borrowed = vmcs_borrow(v);
    uint64_t value = vmcs_read(field);
    vmcs_return(v, borrowed);
    return value;
}

static void write_field(struct vcpu *v, enum vmcs_field field, uint64_t value)
{
    bool borrowed = vmcs_borrow(v);

    vmcs_write(field, value);
    vmcs_return(v, borrowed);
}

/* --- segments ------------------------------------------------------------------------------------------- */

/* Offset of the segment's fields from those of ES. */
static unsigned segment_offset(enum segment_name which)
{
    switch (which) {
    case SEG_LDTR:
        return 2 * 6;
    case SEG_TR:
        return 2 * 7;
    default:
        return 2 * which;
    }
}

/* The VMCS has bits 8-11 of our form at 12-15, and a segment that is not present may not be used. */
static uint32_t access_to_vmcs(uint16_t access)
{
    if (!(access & SEGMENT_P))
        return SEGMENT_UNUSABLE | (access & 0xffu);
    return (access & 0xffu) | (access & 0xf00u) << 4;
}

static uint16_t access_from_vmcs(uint64_t access)
{
    uint16_t packed = (uint16_t)((access & 0xff) | (access >> 4 & 0xf00));

    return access & SEGMENT_UNUSABLE ? packed & (uint16_t)~SEGMENT_P : packed;
}

void vmx_get_segment(const struct vcpu *v, enum segment_name which, struct segment *segment)
{
    unsigned offset = segment_offset(which);

    *segment = (struct segment){
        .selector = (uint16_t)read_field(v, VMCS_GUEST_SELECTOR + offset),
        .access = access_from_vmcs(read_field(v, VMCS_GUEST_ACCESS + offset)),
        .limit = (uint32_t)read_field(v, VMCS_GUEST_LIMIT + offset),
        .base = read_field(v, VMCS_GUEST_BASE + offset),
    };
}

void vmx_set_segment(struct vcpu *v, enum segment_name which, const struct segment *segment)
{
    unsigned offset = segment_offset(which);
    bool borrowed = vmcs_borrow(v);

    vmcs_write(VMCS_GUEST_SELECTOR + offset, segment->selector);
    vmcs_write(VMCS_GUEST_ACCESS + offset, access_to_vmcs(segment->access));
    vmcs_write(VMCS_GUEST_LIMIT + offset, segment->limit);
    vmcs_write(VMCS_GUEST_BASE + offset, segment->base);
    vmcs_return(v, borrowed);
}

void vmx_get_table(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit)
{
    *base = read_field(v, which == TABLE_GDTR ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE);
    *limit = (uint16_t)read_field(v, which == TABLE_GDTR ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT);
}

void vmx_set_table(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit)
{
    write_field(v, which == TABLE_GDTR ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE, base);
    write_field(v, which == TABLE_GDTR ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT, limit);
}

/* --- control and debug registers ------------------------------------------------------------------------ */

uint64_t vmx_get_register(const struct vcpu *v, enum guest_register which)
{
    const struct arch_vcpu *a = v->arch;
    uint64_t mask;

    switch (which) {
    case REG_CR0:
        mask = vmx_cr0_mask();
        return (read_field(v, VMCS_GUEST_CR0) & ~mask) | (a->vmx.cr0 & mask);
    case REG_CR2:
        return vmcs_is_current(v) ? read_cr2() : a->vmx.cr2;
    case REG_CR3:
        return read_field(v, VMCS_GUEST_CR3);
    case REG_CR4:
        mask = vmx_cr4_mask();
        return (read_field(v, VMCS_GUEST_CR4) & ~mask) | (a->vmx.cr4 & mask);
    case REG_EFER:
        return a->vmx.efer;
    case REG_DR6:
        return a->vmx.dr6;
    case REG_DR7:
        return read_field(v, VMCS_GUEST_DR7);
    default:
        return read_field(v, VMCS_GUEST_PAT);
    }
}

uint64_t vmx_long_mode_root(const struct vcpu *v)
{
    return v->arch->vmx.efer & EFER_LMA ? vmcs_read(VMCS_GUEST_CR3) : NO_ROOT;
}

static void set_cr0(struct arch_vcpu *a, uint64_t value)
{
    a->vmx.cr0 = value;
    vmcs_write(VMCS_CR0_SHADOW, value);
    /* Caching stays on: all of the guest's memory is ordinary. */
    vmcs_write(VMCS_GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) | vmx_controls.cr0_one | CR0_NE);
}

static void set_cr4(struct arch_vcpu *a, uint64_t value)
{
    a->vmx.cr4 = value;
    vmcs_write(VMCS_CR4_SHADOW, value);
    /* A machine check in the guest is the host's: without MCE the CPU would shut down. */
    vmcs_write(VMCS_GUEST_CR4, value | vmx_controls.cr4_one | CR4_VMXE | (read_cr4() & CR4_MCE));
}

static void set_efer(struct arch_vcpu *a, uint64_t value)
{
    a->vmx.efer = value;
    vmcs_write(VMCS_GUEST_EFER, value);
    vmcs_write(VMCS_ENTRY_CONTROLS, vmx_controls.entry | (value & EFER_LMA ? ENTRY_LONG_MODE : 0));
}

void vmx_set_register(struct vcpu *v, enum guest_register which, uint64_t value)
{
    struct arch_vcpu *a = v->arch;
    bool borrowed = vmcs_borrow(v);

    switch (which) {
    case REG_CR0:
        set_cr0(a, value);
        break;
    case REG_CR2:
        a->vmx.cr2 = value;
        if (vmcs_is_current(v))
            write_cr2(value);
        break;
    case REG_CR3:
        vmcs_write(VMCS_GUEST_CR3, value);
        break;
    case REG_CR4:
        set_cr4(a, value);
        break;
    case REG_EFER:
        set_efer(a, value);
        break;
    case REG_DR6:
        a->vmx.dr6 = value;
        break;
    case REG_DR7:
        vmcs_write(VMCS_GUEST_DR7, (uint32_t)value);
        break;
    case REG_PAT:
        vmcs_write(VMCS_GUEST_PAT, value);
        break;
    }
    if (which == REG_CR0 || which == REG_CR3 || which == REG_CR4)
        a->vmx.work |= VMX_PDPTES;
    vmcs_return(v, borrowed);
}

/* --- model-specific registers --------------------------------------------------------------------------- */

/* The field that holds the MSR, 0: none does. */
static uint32_t msr_field(uint32_t index)
{
    switch (index) {
    case MSR_FS_BASE:
        return VMCS_GUEST_BASE + 2 * SEG_FS;
    case MSR_GS_BASE:
        return VMCS_GUEST_BASE + 2 * SEG_GS;
    case MSR_SYSENTER_CS:
        return VMCS_GUEST_SYSENTER_CS;
    case MSR_SYSENTER_ESP:
        return VMCS_GUEST_SYSENTER_ESP;
    case MSR_SYSENTER_EIP:
        return VMCS_GUEST_SYSENTER_EIP;
    default:
        return 0;
    }
}

static int live_msr(uint32_t index)
{
    for (int i = 0; i < VMX_LIVE_MSRS; i++)
        if (vmx_live_msr[i] == index)
            return i;
    return -1;
}

bool vmx_get_msr(const struct vcpu *v, uint32_t index, uint64_t *value)
{
    uint32_t field = msr_field(index);
    int live = live_msr(index);

    if (field)
        *value = read_field(v, field);
    else if (live >= 0)
        *value = vmcs_is_current(v) ? rdmsr(index) : v->arch->vmx.msr[live];
    return field || live >= 0;
}

bool vmx_set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
    uint32_t field = msr_field(index);
    int live = live_msr(index);

    if (field)
        write_field(v, field, value);
    else if (live >= 0 && vmcs_is_current(v))
        wrmsr(index, value);
    else if (live >= 0)
        v->arch->vmx.msr[live] = value;
    return field || live >= 0;
}
