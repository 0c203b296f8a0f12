/*
 * A vCPU's local APIC (SDM vol. 3, chapter 11), xAPIC and x2APIC.
 *
 * The vCPU's own CPU reads and writes the registers; what other CPUs do to it is limited to vlapic_set_irq()
 * and the ICR's INIT and SIPI, which set flags in struct arch_vcpu and wake the vCPU.
 */
#ifndef X86_GUEST_VLAPIC_H
#define X86_GUEST_VLAPIC_H

#include <hv/types.h>

struct vcpu;
struct domain;
struct hvm_hw_lapic;
struct hvm_hw_lapic_regs;

#define APIC_DEFAULT_BASE 0xfee00000ull

int vlapic_create(struct vcpu *v); /* 0 or -ENOMEM; v->arch->vlapic */
void vlapic_free(struct vcpu *v);
void vlapic_reset(struct vcpu *v); /* as after INIT; the ID is 2 * vcpu id */

/* An edge interrupt for v from any CPU: IRR is set and v woken or kicked. */
void vlapic_set_irq(struct vcpu *v, uint8_t vector);
/* The same of a level-triggered pin: TMR says so, and the EOI is told to the IO-APICs (vioapic_eoi()). */
void vlapic_set_irq_level(struct vcpu *v, uint8_t vector);
/* A message with that destination is for v. broadcast: the destination that means everybody. */
bool vlapic_addressed(const struct vcpu *v, bool logical, uint32_t destination, uint32_t broadcast);

/* The vector that v's APIC wants delivered now (above PPR), or -1. Cheap when nothing is pending. */
int vlapic_pending(const struct vcpu *v);
/* It was handed to the guest: IRR -> ISR. */
void vlapic_accept(struct vcpu *v, uint8_t vector);
/* It did not get there after all: ISR -> IRR. */
void vlapic_give_back(struct vcpu *v, uint8_t vector);

/* x2APIC MSRs 0x800-0x8ff and IA32_TSC_DEADLINE; false: #GP. */
bool vlapic_read_msr(struct vcpu *v, uint32_t index, uint64_t *value);
bool vlapic_write_msr(struct vcpu *v, uint32_t index, uint64_t value);
/* IA32_APIC_BASE (v->arch->apic_base is changed); false: #GP. */
bool vlapic_write_base(struct vcpu *v, uint64_t value);
/* xAPIC registers at apic_base, 32 bits at offset. */
uint32_t vlapic_read(struct vcpu *v, uint32_t offset);
void vlapic_write(struct vcpu *v, uint32_t offset, uint32_t value);
/* CR8 is the task priority's upper four bits. */
uint8_t vlapic_get_cr8(const struct vcpu *v);
void vlapic_set_cr8(struct vcpu *v, uint8_t cr8);

/* HVM context records (xen/arch-x86/hvm/save.h). save: NULL for the one that is not wanted. check: -EINVAL
 * for what no APIC could hold; load cannot fail. */
void vlapic_save(const struct vcpu *v, struct hvm_hw_lapic *lapic, struct hvm_hw_lapic_regs *regs);
int vlapic_check(const struct hvm_hw_lapic *lapic);
void vlapic_load(struct vcpu *v, const struct hvm_hw_lapic *lapic);
void vlapic_load_regs(struct vcpu *v, const struct hvm_hw_lapic_regs *regs);

#endif
