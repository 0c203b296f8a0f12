/* Shared by the files of vmx/. */
#ifndef X86_VMX_VMX_H
#define X86_VMX_VMX_H

#include "../guest/guest.h"
#include "vmcs.h"

/*
 * MSRs that stay the guest's while its vCPU is on the CPU, because the hypervisor uses none of them. Their
 * values, while it is not, lie in arch_vcpu's vmx.msr[]. Writing one takes long: the next vCPU's is written
 * only where it differs.
 */
#define VMX_LIVE_MSRS 5
extern const uint32_t vmx_live_msr[VMX_LIVE_MSRS];

/* Work before an entry. */
#define VMX_FLUSH  0x01 /* translations */
#define VMX_PDPTES 0x02 /* the processor reads PAE's root entries at MOV to CR; it did not see this one */
#define VMX_EVENT  0x04 /* entry_event goes in */
#define VMX_LAUNCH 0x08 /* it is the first one since the VMCS was loaded */

/*
 * The VMCS of v becomes the current one of this CPU, if it is not already; v runs on this CPU or on none. The
 * pair does not nest. What vmcs_borrow() returns goes to vmcs_return().
 */
bool vmcs_borrow(const struct vcpu *v);
void vmcs_return(const struct vcpu *v, bool borrowed);
static inline bool vmcs_is_current(const struct vcpu *v)
{
    return v->arch->vmx.loaded_on == this_cpu();
}

/* controls.c: probe's result: the controls that every VMCS starts with. */
struct vmx_controls {
    uint32_t pin, primary, secondary, exit, entry;
    uint32_t revision;         /* of the VMCS format */
    uint64_t cr0_one, cr4_one; /* bits that must be set in VMX operation */
};
extern struct vmx_controls vmx_controls;
const char *vmx_controls_probe(void);

/* exit.c */
void vmx_run(struct vcpu *v);
/* enter.asm. vmx_exit is where exits arrive. */
void vmx_enter_stub(void);
void vmx_exit(void);
/* Returns vcpu. *done false: the processor refused the VMCS. The compiler saves what it needs of the
 * registers, once. */
static inline struct arch_vcpu *vmx_enter(struct arch_vcpu *vcpu, bool launched, bool *done)
{
    struct arch_vcpu *entered, *lost = vcpu;
    uint64_t resume = launched;
    asm volatile("call vmx_enter_stub"
                 : "=a"(entered), "+D"(lost), "+S"(resume), "=@ccnc"(*done)
                 :
                 : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
    return entered;
}

/* state.c */
void vmx_get_segment(const struct vcpu *v, enum segment_name which, struct segment *segment);
void vmx_set_segment(struct vcpu *v, enum segment_name which, const struct segment *segment);
void vmx_get_table(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit);
void vmx_set_table(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit);
uint64_t vmx_get_register(const struct vcpu *v, enum guest_register which);
uint64_t vmx_long_mode_root(const struct vcpu *v);
void vmx_set_register(struct vcpu *v, enum guest_register which, uint64_t value);
bool vmx_get_msr(const struct vcpu *v, uint32_t index, uint64_t *value);
bool vmx_set_msr(struct vcpu *v, uint32_t index, uint64_t value);
uint64_t vmx_cr0_mask(void);
uint64_t vmx_cr4_mask(void);

/* event.c */
void vmx_inject(struct vcpu *v, enum event_type type, uint8_t vector, bool has_error_code,
                uint32_t error_code);
bool vmx_interruptible(const struct vcpu *v, bool nmi);
void vmx_want_window(struct vcpu *v, bool on);
void vmx_set_primary(struct vcpu *v, uint32_t controls);
/* Before an entry: the queued event goes into the VMCS. */
void vmx_event_enter(struct vcpu *v);
/* After an exit that can cut off the delivery of an event: it is queued once more. */
void vmx_requeue(struct vcpu *v);

#endif
