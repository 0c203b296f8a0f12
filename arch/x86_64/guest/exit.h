/*
 * What an exit leads to: guest/exit.c dispatches, the other files here carry out. All of it for the current vCPU,
 * on its CPU, interrupts off, no lock held.
 */
#ifndef X86_GUEST_EXIT_H
#define X86_GUEST_EXIT_H

#include "guest.h"

/* guest/exit.c */
void exit_dispatch(struct vcpu *v, const struct vmexit *exit);

/* guest/inject.c: chooses at most one event for the next entry and asks for a window when another waits. */
void inject_events(struct vcpu *v);
/* An event that was to be injected again gives way to another: it becomes pending once more. */
void event_put_back(struct vcpu *v, enum event_type type, uint8_t vector);
/* The instruction at RIP faults. RIP stays. Vectors: enum trap. */
void inject_exception(struct vcpu *v, uint8_t vector);                          /* without error code */
void inject_exception_error(struct vcpu *v, uint8_t vector, uint32_t error_code);
void inject_page_fault(struct vcpu *v, uint64_t address, uint32_t error_code);  /* sets CR2 */

/* guest/exit.c: RIP moves past an instruction that was carried out, wrapped to the mode's width; a single step traps. */
void advance_rip(struct vcpu *v, unsigned length);

/* guest/cpuid.c */
int cpuid_domain_init(struct domain *d);  /* tables of answers; 0 or -ENOMEM */
void cpuid_domain_free(struct domain *d);
void exit_cpuid(struct vcpu *v);          /* fills RAX, RBX, RCX, RDX */
/* CR4 bits, EFER bits and XCR0 bits that this guest may set; physical address width. */
uint64_t guest_cr4_valid(const struct domain *d);
uint64_t guest_efer_valid(const struct domain *d);
uint64_t guest_xcr0_valid(const struct domain *d);
unsigned guest_maxphysaddr(const struct domain *d);

/* guest/msr.c: false: #GP. */
bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value);
bool msr_write(struct vcpu *v, uint32_t index, uint64_t value);
void hypercall_page_fill(void *page);     /* VMCALL or VMMCALL stubs */

/* guest/cr.c: a MOV to CRn that was intercepted; value as the guest gave it. False: #GP was injected. */
bool cr_write(struct vcpu *v, unsigned cr, uint64_t value);
uint64_t cr_read(struct vcpu *v, unsigned cr);
bool cr0_valid(const struct vcpu *v, uint64_t cr0);
bool cr4_valid(const struct vcpu *v, uint64_t cr4);

/* guest/io.c */
void exit_io(struct vcpu *v, const struct vmexit *exit);
int io_domain_init(struct domain *d);     /* dom0's bitmap of ports; 0 or -ENOMEM */
void io_domain_free(struct domain *d);

/* guest/run.c */
#define DR7_ENABLED 0xffull
void debug_registers_load(struct vcpu *v);
void run_forget(const struct vcpu *v);

/* guest/fpu.c */
void fpu_cpu_init(void);                  /* XCR0 as wide as guests may use it */
int fpu_vcpu_create(struct vcpu *v);      /* 0 or -ENOMEM */
void fpu_vcpu_free(struct vcpu *v);
void fpu_save(struct vcpu *v);
void fpu_load(struct vcpu *v);
bool exit_xsetbv(struct vcpu *v, uint32_t index, uint64_t value); /* false: #GP */

/* guest/context.c: registers as after INIT or SIPI. */
void vcpu_reset(struct vcpu *v);
void vcpu_start_sipi(struct vcpu *v, uint8_t vector);

#endif
