/*
 * Where a vCPU begins: after INIT (SDM vol. 3, table 9-1), at a SIPI's address, or at PVH's entry point.
 *
 * Locking: none; the vCPU does not run, or runs on this CPU.
 */
#include <hv/arch/vcpu.h>
#include <hv/evtchn.h>
#include <x86/msr.h>
#include "exit.h"
#include "fpu.h"
#include "vlapic.h"

#define ACCESS_CODE16 0x09b
#define ACCESS_DATA16 0x093
#define ACCESS_CODE32 0xc9b
#define ACCESS_DATA32 0xc93
#define ACCESS_TSS    0x08b
#define ACCESS_LDT    0x082

#define RESET_CR0 (CR0_CD | CR0_NW | CR0_ET)
#define RESET_DR6 0xffff0ff0ull
#define RESET_DR7 0x400ull

static void set_segments(struct vcpu *v, const struct segment *code, const struct segment *data)
{
    const struct segment tss = {.access = ACCESS_TSS, .limit = 0xffff};
    const struct segment ldt = {.access = ACCESS_LDT, .limit = 0xffff};
    vendor->set_segment(v, SEG_CS, code);
    for (enum segment_name s = SEG_SS; s <= SEG_GS; s++)
        vendor->set_segment(v, s, data);
    vendor->set_segment(v, SEG_ES, data);
    vendor->set_segment(v, SEG_TR, &tss);
    vendor->set_segment(v, SEG_LDTR, &ldt);
}

void vcpu_reset(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    const struct segment code = {
        .selector = 0xf000, .access = ACCESS_CODE16, .limit = 0xffff, .base = 0xffff0000};
    const struct segment data = {.access = ACCESS_DATA16, .limit = 0xffff};

    for (unsigned i = 0; i < GPRS; i++)
        a->gpr[i] = 0;
    a->rip = 0xfff0;
    a->rflags = RFLAGS_1;
    vendor->set_register(v, REG_CR0, RESET_CR0);
    vendor->set_register(v, REG_CR2, 0);
    vendor->set_register(v, REG_CR3, 0);
    vendor->set_register(v, REG_CR4, 0);
    vendor->set_register(v, REG_EFER, 0);
    vendor->set_register(v, REG_DR6, RESET_DR6);
    debug_registers_set_dr7(v, RESET_DR7);
    vendor->set_table(v, TABLE_GDTR, 0, 0xffff);
    vendor->set_table(v, TABLE_IDTR, 0, 0xffff);
    set_segments(v, &code, &data);
    debug_registers_reset(v);
    a->nmi_pending = false;
    vendor->inject(v, EVENT_NONE, 0, false, 0);
    vlapic_reset(v);
    vendor->flush_tlb(v);
}

/* v has registers to start from, other than those of INIT. */
void vcpu_ready(struct vcpu *v)
{
    v->arch->wait_for_sipi = false;
    v->initialised = true;
}

void vcpu_start_sipi(struct vcpu *v, uint8_t vector)
{
    const struct segment code = {.selector = (uint16_t)(vector << 8),
                                 .access = ACCESS_CODE16,
                                 .limit = 0xffff,
                                 .base = (uint64_t)vector << 12};
    vendor->set_segment(v, SEG_CS, &code);
    v->arch->rip = 0;
    vcpu_ready(v);
    if (v->id) /* the first vCPU's TSC may have been moved since v was created */
        vcpu_set_tsc_offset(v, v->domain->vcpu[0]->arch->tsc_offset);
}

void arch_vcpu_pvh_entry(struct vcpu *v, uint32_t entry, uint32_t start_info)
{
    const struct segment code = {.access = ACCESS_CODE32, .limit = 0xffffffff};
    const struct segment data = {.access = ACCESS_DATA32, .limit = 0xffffffff};
    struct arch_vcpu *a = v->arch;

    vcpu_reset(v);
    set_segments(v, &code, &data);
    vendor->set_register(v, REG_CR0, CR0_PE | CR0_ET);
    a->rip = entry;
    a->gpr[RBX] = start_info;
    vcpu_ready(v);
    vcpu_wake(v, VCPU_DOWN);
}
