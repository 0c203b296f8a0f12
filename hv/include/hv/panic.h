/*
 * When the hypervisor cannot go on, and how the machine is left.
 *
 * panic(): the hypervisor broke its own invariant; prints the message, registers and a backtrace.
 * boot_fail(): the machine or the command line lacks something; prints one line that says what is missing and
 * what to do. Both stop the other CPUs. Then the machine reboots after a panic (unless noreboot), and halts
 * after a failed start.
 */
#ifndef HV_PANIC_H
#define HV_PANIC_H

#include <hv/types.h>

void panic(const char *format, ...) __attribute__((noreturn, cold, format(printf, 1, 2)));
void boot_fail(const char *format, ...) __attribute__((noreturn, cold, format(printf, 1, 2)));

/* For those who print more than the backtrace of their own: the message first, then what they have, then the
 * end. */
void panic_begin(const char *format, ...) __attribute__((cold, format(printf, 1, 2)));
void panic_end(void) __attribute__((noreturn, cold));

#define ASSERT(condition)                                                                                    \
    do {                                                                                                     \
        if (unlikely(!(condition)))                                                                          \
            panic("assertion failed: %s (%s:%d)", #condition, __FILE__, __LINE__);                           \
    } while (0)

/* SOFTIRQ_STOP: this CPU leaves the game. */
void cpu_stop_self(void) __attribute__((noreturn));
/* Some CPU is taking the machine down. */
bool machine_stopping(void);

enum machine_shutdown { MACHINE_POWEROFF, MACHINE_REBOOT, MACHINE_HALT };

/* Stops all CPUs and does it. noreboot (or a machine that cannot do what is asked) makes it MACHINE_HALT. */
void machine_shutdown(enum machine_shutdown how) __attribute__((noreturn));

/* --- by the architecture -------------------------------------------------------------------------------- */
/* The last act, on one CPU, the others stopped. Returns when the machine did not obey. */
void arch_machine_shutdown(enum machine_shutdown how);
/* Makes every other CPU call cpu_stop_self(), also one that no longer looks at its softirqs; waits a bounded
 * time. */
void arch_stop_other_cpus(void);
void arch_stop_cpu(void) __attribute__((noreturn)); /* this one, for good */
/* The stack of the caller, with function names. */
void arch_backtrace(void);
/* Registers and stack of every CPU, or of this one (debug key d). */
void arch_dump_cpus(void);

#endif
