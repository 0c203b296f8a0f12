/*
 * What an exit leads to: guest/exit.c dispatches, the other files here carry out. All of it for the current
 * vCPU, on its CPU, interrupts off, no lock held.
 */
#ifndef X86_GUEST_EXIT_H
#define X86_GUEST_EXIT_H

#include "guest.h"

/* guest/exit.c */
void exit_dispatch(struct vcpu *v, const struct vmexit *exit);

/* guest/inject.c: chooses at most one event for the next entry and asks for a window when another waits. */
void inject_events(struct vcpu *v);
/* Requests an upcall that is pending once more: the local APIC did not have it, or lost it. */
void upcall_again(struct vcpu *v);
/* An event that was to be injected again gives way to another: it becomes pending once more. */
void event_put_back(struct vcpu *v, enum event_type type, uint8_t vector);
/* The instruction at RIP faults. RIP stays. Vectors: enum trap. */
void inject_exception(struct vcpu *v, uint8_t vector); /* without error code */
void inject_exception_error(struct vcpu *v, uint8_t vector, uint32_t error_code);
void inject_page_fault(struct vcpu *v, uint64_t address, uint32_t error_code); /* sets CR2 */

/* guest/exit.c: RIP moves past an instruction that was carried out, wrapped to the mode's width; a single
 * step traps. */
void advance_rip(struct vcpu *v, unsigned length);

/* guest/cpuid.c */
void cpuid_init(void);
int cpuid_domain_init(struct domain *d); /* the table of answers; 0 or -ENOMEM */
void cpuid_domain_free(struct domain *d);
void exit_cpuid(struct vcpu *v, const struct vmexit *exit);
/* Bits of CR4 and EFER that guests may set; how many bits their physical addresses have. */
uint64_t guest_cr4_valid(void);
uint64_t guest_efer_valid(void);
unsigned guest_maxphysaddr(void);

/* guest/msr.c: false: #GP. */
#define MSR_HYPERCALL_PAGE 0x40000000u /* announced by CPUID */
bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value);
bool msr_write(struct vcpu *v, uint32_t index, uint64_t value);
void msr_vcpu_init(struct vcpu *v); /* values after power-on */
bool pat_valid(uint64_t pat);
bool spec_ctrl_valid(uint64_t value);
bool mtrr_valid(uint32_t index, uint64_t value); /* index is an MTRR */

/* guest/cr.c: a MOV to CRn that was intercepted; value as the guest gave it. False: an exception was
 * injected. */
bool cr_write(struct vcpu *v, unsigned cr, uint64_t value);
uint64_t cr_read(struct vcpu *v, unsigned cr);
bool cr0_valid(uint64_t cr0);
bool cr4_valid(uint64_t cr4);
bool efer_valid(uint64_t efer);
/* CR0, CR4 and EFER fit together, LMA included. */
bool paging_valid(uint64_t cr0, uint64_t cr4, uint64_t efer);
bool canonical(uint64_t address);

/* guest/io.c */
void io_init(void);
void exit_io(struct vcpu *v, const struct vmexit *exit);
int io_domain_init(struct domain *d); /* d->arch->io_bitmap; 0 or -ENOMEM */
void io_domain_free(struct domain *d);

/* guest/domain.c */
void domain_debugkeys_init(void);

/* guest/run.c. run_start_state: INIT and SIPI; false: v waits for a SIPI now and does not run. */
void run_init(void);
bool run_start_state(struct vcpu *v);
void run_forget(const struct vcpu *v);

/* guest/debug.c: DR0-3 are loaded from a guest's first use of them until it leaves the CPU. */
void exit_debug_registers(struct vcpu *v);
void debug_registers_reset(struct vcpu *v);
/* For all who change DR7 but the guest itself, when its debug registers are loaded. */
void debug_registers_set_dr7(struct vcpu *v, uint64_t value);
void debug_registers_switch_out(struct vcpu *v);
void debug_registers_switch_in(struct vcpu *v);
/* The processor (an emulator) does not switch breakpoints off when a guest is left: they must never be in the
 * registers. */
extern bool debug_registers_stay;

/* guest/fpu.c */
void fpu_cpu_init(void);             /* XCR0 as wide as guests may use it */
int fpu_vcpu_create(struct vcpu *v); /* 0 or -ENOMEM */
void fpu_vcpu_free(struct vcpu *v);
void fpu_save(struct vcpu *v);
void fpu_load(struct vcpu *v);
bool exit_xsetbv(struct vcpu *v, uint32_t index, uint64_t value); /* false: #GP */

/* guest/time.c */
void vcpu_set_tsc_offset(struct vcpu *v, uint64_t offset);

/* guest/context.c: registers as after INIT or SIPI. */
void vcpu_reset(struct vcpu *v);
void vcpu_start_sipi(struct vcpu *v, uint8_t vector);
/* It has other registers than those of INIT, and may start with them. */
void vcpu_ready(struct vcpu *v);

#endif
