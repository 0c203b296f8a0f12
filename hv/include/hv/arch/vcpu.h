/*
 * The processor side of domains and vCPUs, as the portable core sees it.
 */
#ifndef HV_ARCH_VCPU_H
#define HV_ARCH_VCPU_H

#include <hv/types.h>
#include <xen/xen.h>

struct domain;
struct vcpu;
struct cpu;
struct xen_domctl_createdomain;

/* -EOPNOTSUPP/-EINVAL for configurations that this machine or Hospes cannot run (flags, emulation_flags). */
int arch_domain_check(const struct xen_domctl_createdomain *config);
int arch_domain_create(struct domain *d); /* includes p2m_domain_init */
void arch_domain_free(struct domain *d);
int arch_vcpu_create(struct vcpu *v); /* reset state, as after INIT */
void arch_vcpu_free(struct vcpu *v);

/*
 * Runs the current vCPU: enters the guest, handles exits, until this CPU has softirqs pending. For an idle
 * vCPU: waits for interrupts. Interrupts are off on entry and return.
 */
void arch_vcpu_run(struct vcpu *v);

/* Called by the scheduler on the CPU concerned, in this order, when it changes what runs. */
void arch_switch_out(struct vcpu *prev);
void arch_switch_in(struct vcpu *next);

/* Makes the CPU leave guest mode or idle soon (an IPI when it is another CPU). Any state, any CPU. */
void arch_cpu_kick(struct cpu *cpu);

/* Flat 32-bit protected mode at entry with EBX = start_info: PVH's first instruction
 * (xen/arch-x86/hvm/start_info.h). */
void arch_vcpu_pvh_entry(struct vcpu *v, uint32_t entry, uint32_t start_info);

/*
 * ACPI tables for dom0 with so many vCPUs, at most arch_dom0_acpi_size() bytes in buf, which stand for its
 * memory at address: the machine's own, but for those that describe what the hypervisor drives, and a MADT of
 * dom0's. The RSDP comes first. Boot only.
 */
size_t arch_dom0_acpi_size(uint32_t vcpus);
void arch_dom0_acpi_write(void *buf, uint64_t address, uint32_t vcpus);

/* VCPUOP_initialise: registers as context says (xen/hvm/hvm_vcpu.h) for a vCPU that is down. -EINVAL: no CPU
 * could run it. */
struct vcpu_hvm_context;
int arch_vcpu_initialise(struct vcpu *v, const struct vcpu_hvm_context *context);
void arch_send_nmi(struct vcpu *v);

/* Upcall: the per-vCPU vector if one is set (HVMOP_set_evtchn_upcall_vector) goes to its local APIC;
 * otherwise the domain's callback vector is injected while vcpu_upcall_pending(). Called when pending goes
 * from 0 to 1; ends with vcpu_kick(). */
void arch_upcall(struct vcpu *v);
int arch_set_upcall_vector(struct vcpu *v, uint32_t vector); /* -EINVAL */
int arch_set_callback_via(struct domain *d, uint64_t via); /* HVM_PARAM_CALLBACK_IRQ; -EINVAL, -EOPNOTSUPP */
/*
 * Something waits that v would take at its next entry: an NMI, INIT or SIPI, or, with interrupts enabled, an
 * interrupt or an upcall. Then it does not block: HLT, SCHEDOP_block and SCHEDOP_poll all come through
 * vcpu_block_current().
 */
bool arch_event_pending(const struct vcpu *v);

/* Fills time fields of v's vcpu_time_info for this CPU (xen.h); called on switch-in and when info moves. */
void arch_update_time_info(struct vcpu *v);
void arch_update_wallclock(struct domain *d);

/*
 * HVM context, as xc_domain_hvm_getcontext gives it (xen/hvm/save.h, xen/arch-x86/hvm/save.h). buf NULL: the
 * size only. d is stopped. Size or negative errno; set refuses what no CPU could run (-EINVAL) before it
 * changes anything.
 */
int64_t arch_get_hvm_context(struct domain *d, void *buf, size_t size);
int64_t arch_set_hvm_context(struct domain *d, const void *buf, size_t size);

/*
 * The same of one vCPU in the older form (xen/arch-x86/xen.h): get fills what Xen shows of HVM domains in
 * zeroed memory, set takes general and debug registers. v is stopped. -EINVAL.
 */
void arch_get_vcpu_context(struct vcpu *v, struct vcpu_guest_context *context);
int arch_set_vcpu_context(struct vcpu *v, const struct vcpu_guest_context *context);

/* Instruction pointer for messages. */
uint64_t arch_vcpu_rip(const struct vcpu *v);
void arch_vcpu_dump(struct vcpu *v); /* debug key, crashes */

/* physinfo: hw_cap words, and capabilities string of xen_version ("xen-3.0-x86_64 hvm-3.0-x86_32 ..."). */
const char *arch_capabilities(void);
void arch_hw_caps(uint32_t hw_cap[8]);
/* Of a CPU that is up: how the APIC and ACPI's MADT number it. */
void arch_cpu_ids(const struct cpu *cpu, uint32_t *apic_id, uint32_t *acpi_id);

#endif
