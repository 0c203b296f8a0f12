/* Shared by the files of svm/: the boot-time choices, and what a VMCB is filled with. */
#ifndef X86_SVM_SVM_H
#define X86_SVM_SVM_H

#include "../guest/guest.h"
#include "vmcb.h"

extern bool svm_has_next_rip; /* the processor stores where the next instruction begins */

static inline struct vmcb *vmcb_of(const struct vcpu *v)
{
    return v->arch->svm.vmcb;
}

/* svm.c: another ASID for v on this CPU, so that nothing it translated before counts. */
void svm_new_asid(struct vcpu *v);
/* exit.c */
void svm_run(struct vcpu *v, struct vmexit *exit);
/* enter.asm */
void svm_enter(struct arch_vcpu *vcpu, maddr_t vmcb, maddr_t host_vmcb);

/* state.c */
void svm_get_segment(const struct vcpu *v, enum segment_name which, struct segment *segment);
void svm_set_segment(struct vcpu *v, enum segment_name which, const struct segment *segment);
void svm_get_table(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit);
void svm_set_table(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit);
uint64_t svm_get_register(const struct vcpu *v, enum guest_register which);
void svm_set_register(struct vcpu *v, enum guest_register which, uint64_t value);
bool svm_get_msr(const struct vcpu *v, uint32_t index, uint64_t *value);
bool svm_set_msr(struct vcpu *v, uint32_t index, uint64_t value);

/* event.c */
void svm_inject(struct vcpu *v, enum event_type type, uint8_t vector, bool has_error_code, uint32_t error_code);
bool svm_interruptible(const struct vcpu *v, bool nmi);
void svm_want_window(struct vcpu *v, bool on);
/* After an exit: what it interrupted goes in again at the next entry. */
void svm_requeue(struct vcpu *v);
/* The guest reached the IRET of its NMI handler. */
void svm_nmi_done(struct vcpu *v);

#endif
