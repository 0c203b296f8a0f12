/*
 * Performance counters: how often what happened, kept by each CPU for itself and read through
 * XEN_SYSCTL_perfc_op (xen/sysctl.h).
 *
 * A counter has 32 bits, as in Xen's interface, and wraps; differences of two readings stay right. Only the
 * CPU that a counter belongs to writes it, never an NMI's handler: counting is one instruction and no lock.
 * A new counter is a new line below.
 */
#ifndef HV_PERFC_H
#define HV_PERFC_H

#include <hv/types.h>

/* Why guests stopped, in the order of enum exit_reason (arch/x86_64/guest/vendor.h): X(NAME, text). */
#define PERFC_EXITS(X)                                                                                       \
    X(HANDLED, "exits: the vendor's own")                                                                    \
    X(INTERRUPT, "exits: interrupt")                                                                         \
    X(NMI, "exits: NMI")                                                                                     \
    X(HYPERCALL, "exits: hypercall")                                                                         \
    X(HYPERCALL_ODD, "exits: hypercall from 32-bit code")                                                    \
    X(CPUID, "exits: CPUID")                                                                                 \
    X(RDMSR, "exits: MSR read")                                                                              \
    X(WRMSR, "exits: MSR write")                                                                             \
    X(HLT, "exits: HLT")                                                                                     \
    X(IO, "exits: port")                                                                                     \
    X(P2M_FAULT, "exits: p2m fault")                                                                         \
    X(CR_ACCESS, "exits: control register")                                                                  \
    X(EMULATE, "exits: emulation")                                                                           \
    X(EXCEPTION, "exits: exception")                                                                         \
    X(INTERRUPT_WINDOW, "exits: interrupt window")                                                           \
    X(TRIPLE_FAULT, "exits: triple fault")                                                                   \
    X(INIT_STATE, "exits: state refused")                                                                    \
    X(XSETBV, "exits: XSETBV")                                                                               \
    X(DR_ACCESS, "exits: debug register")                                                                    \
    X(INVALID_OP, "exits: invalid instruction")                                                              \
    X(WBINVD, "exits: WBINVD")                                                                               \
    X(PAUSE, "exits: pause loop")                                                                            \
    X(RDTSC, "exits: RDTSC")                                                                                 \
    X(UNKNOWN, "exits: unknown")

#define PERFC_HYPERCALLS 64

/* ONE(name, text) has a value for each CPU, LIST(name, length, text) one for each index, of all CPUs. */
#define PERFC_COUNTERS(ONE, LIST)                                                                            \
    LIST(hypercalls, PERFC_HYPERCALLS, "hypercalls") /* by number; a restart counts again */                 \
    ONE(apic_accesses, "local APIC accesses in memory")                                                      \
    ONE(injected, "interrupts injected")                                                                     \
    ONE(upcalls, "event upcalls injected")                                                                   \
    ONE(interrupts, "interrupts of the host")                                                                \
    ONE(ipis, "IPIs between CPUs")                                                                           \
    ONE(switches, "context switches")                                                                        \
    ONE(p2m_flushes, "p2m flushes")                                                                          \
    ONE(tlb_flushes, "TLB flushes of vCPUs")                                                                 \
    ONE(grant_copies, "pages copied by grant")                                                               \
    ONE(grant_copy_bytes, "bytes copied by grant")

#define PERFC_EXIT_SLOT(name, text)          PERFC_EXIT_##name,
#define PERFC_ONE_SLOT(name, text)           PERFC_##name,
#define PERFC_LIST_SLOTS(name, length, text) PERFC_##name, PERFC_##name##_last = PERFC_##name + (length)-1,
/* Where a counter stands in cpu->perfc[]. */
enum perfc_slot { PERFC_EXITS(PERFC_EXIT_SLOT) PERFC_COUNTERS(PERFC_ONE_SLOT, PERFC_LIST_SLOTS) PERFC_SLOTS };

/* For whoever includes hv/cpu.h. */
#define perfc_incr(name)     this_cpu_count(PERFC_##name, 1)
#define perfc_add(name, by)  this_cpu_count(PERFC_##name, (by))
#define perfc_index(name, i) this_cpu_count(PERFC_##name + (i), 1) /* i < length of the list */

struct xen_sysctl_perfc_op;
/*
 * XEN_SYSCTL_perfc_op. The numbers of counters and of values are always filled in; the descriptions and the
 * values go where the handles lead, unless these are NULL, and a reset follows. 0, -EINVAL for another
 * command, -EFAULT; then nothing is reset.
 */
int64_t perfc_control(struct xen_sysctl_perfc_op *op);

/* Debug keys p and P: those that are not zero; all to zero. */
void perfc_dump(void);
void perfc_reset(void);

#endif
