/* Shared by the files of svm/: the boot-time choices, and what a VMCB is filled with. */
#ifndef X86_SVM_SVM_H
#define X86_SVM_SVM_H

#include "../guest/guest.h"
#include "vmcb.h"
#include <x86/msr.h>

extern bool svm_has_next_rip; /* the processor stores where the next instruction begins */

static inline struct vmcb *vmcb_of(const struct vcpu *v)
{
    return v->arch->svm.vmcb;
}

/* Bytes of the default size where CS:RIP points: 8 stands for 64-bit mode. */
static inline bool svm_code64(const struct vmcb *vmcb)
{
    return vmcb->cs.attributes & SEGMENT_L && vmcb->efer & EFER_LMA;
}
static inline unsigned svm_code_size(const struct vmcb *vmcb)
{
    return svm_code64(vmcb) ? 8 : vmcb->cs.attributes & SEGMENT_DB ? 4 : 2;
}

/* svm.c: another ASID for v on this CPU, so that nothing it translated before counts. */
void svm_new_asid(struct vcpu *v);
/* exit.c */
void svm_run(struct vcpu *v);
/* enter.asm */
void svm_enter(struct arch_vcpu *vcpu, maddr_t vmcb, maddr_t host_vmcb);

/* An instruction that exits: its bytes without prefixes, first one lowest, and its opcode as in struct
 * instruction. */
struct svm_encoding {
    uint32_t plain, mask;
    uint16_t opcode; /* 0x0f01 stands for the whole group, whose third byte the exit code implies */
    uint8_t length;
};
/*
 * length.c: exit->instruction_length of the instruction at RIP. False: the instruction is not there any more
 * (another vCPU changed the page); the guest runs on and meets what is there now.
 */
bool svm_find_length(struct vcpu *v, struct vmexit *exit, const struct svm_encoding *encoding);

/* state.c */
void svm_get_segment(const struct vcpu *v, enum segment_name which, struct segment *segment);
void svm_set_segment(struct vcpu *v, enum segment_name which, const struct segment *segment);
void svm_get_table(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit);
void svm_set_table(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit);
uint64_t svm_get_register(const struct vcpu *v, enum guest_register which);
uint64_t svm_long_mode_root(const struct vcpu *v);
void svm_set_register(struct vcpu *v, enum guest_register which, uint64_t value);
bool svm_get_msr(const struct vcpu *v, uint32_t index, uint64_t *value);
bool svm_set_msr(struct vcpu *v, uint32_t index, uint64_t value);

/* event.c */
void svm_inject(struct vcpu *v, enum event_type type, uint8_t vector, bool has_error_code,
                uint32_t error_code);
bool svm_interruptible(const struct vcpu *v, bool nmi);
void svm_want_window(struct vcpu *v, bool on);
/* The exit interrupted the delivery of an event, which goes in again at the next entry. */
void svm_requeue(struct vcpu *v);
/* Around the entry, where svm_inject_virtually: an interrupt enters as a virtual one. False: it is another
 * event. */
extern bool svm_inject_virtually;
bool svm_virtual_begin(struct vcpu *v);
void svm_virtual_end(struct vcpu *v);
/* The guest reached the IRET of its NMI handler. */
void svm_nmi_done(struct vcpu *v);

#endif
