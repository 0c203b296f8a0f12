/*
 * Exceptions, interrupts, and user mode.
 *
 * An exception that nobody expects prints the registers and crashes the domain. Vectors 0x20 up are free for
 * interrupts, but 0x80 (the end of user mode), 0xf0 (events) and 0xff (spurious).
 */
#ifndef PVH_TRAP_H
#define PVH_TRAP_H

#include <stdbool.h>
#include <stdint.h>

struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

enum trap_vector {
    TRAP_DIVIDE = 0,
    TRAP_DEBUG = 1,
    TRAP_NMI = 2,
    TRAP_BREAKPOINT = 3,
    TRAP_UNDEFINED = 6,
    TRAP_DOUBLE_FAULT = 8,
    TRAP_SEGMENT = 11,
    TRAP_STACK = 12,
    TRAP_PROTECTION = 13,
    TRAP_PAGE = 14,
    TRAP_MACHINE_CHECK = 18,
    TRAP_USER_EXIT = 0x80,
    TRAP_EVENT = 0xf0,
    TRAP_SPURIOUS = 0xff,
};

/* What an expected exception was. */
struct pvh_trap {
    unsigned vector;
    uint64_t error, rip, cr2;
    uint64_t value; /* RAX at the time: what a user-mode function returned, for TRAP_USER_EXIT */
};

/*
 * Runs fn(arg). True when it returned; false when an exception ended it, then *trap (may be NULL) says which.
 * Calls may not be nested on one CPU.
 */
bool pvh_try(void (*fn)(void *arg), void *arg, struct pvh_trap *trap);

/*
 * Runs fn(arg) in ring 3 on a stack of its own (4 KiB) with every page accessible to it. Ends by returning
 * (trap->vector is TRAP_USER_EXIT, trap->value what it returned) or by any other exception. flags: extra bits
 * for RFLAGS, for example 0x3000 for IOPL 3; interrupts stay as they are.
 */
void pvh_user_run(uint64_t (*fn)(void *arg), void *arg, uint64_t flags, struct pvh_trap *trap);

typedef void (*interrupt_handler)(struct trap_frame *frame);
/* handler NULL: an interrupt of that vector is a fault again. The handler acknowledges the APIC where due. */
void interrupt_set(unsigned vector, interrupt_handler handler);

/* Number of the CPU we run on: 0 for the first, then in the order of smp_start(). */
unsigned cpu_index(void);

#endif
