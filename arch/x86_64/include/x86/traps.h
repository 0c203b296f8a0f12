/*
 * Exceptions and interrupts of the hypervisor itself (traps.asm, traps.c).
 *
 * An exception is a bug, hence a panic, except at the few instructions that may fault: their addresses are in
 * the fixup table, and execution goes on where it says.
 */
#ifndef X86_TRAPS_H
#define X86_TRAPS_H

#include <hv/types.h>

/* As the stubs push them; rsp and ss are always pushed in 64-bit mode. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rdx, rcx, rbx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

enum trap {
    TRAP_DE = 0,
    TRAP_DB = 1,
    TRAP_NMI = 2,
    TRAP_BP = 3,
    TRAP_OF = 4,
    TRAP_BR = 5,
    TRAP_UD = 6,
    TRAP_NM = 7,
    TRAP_DF = 8,
    TRAP_TS = 10,
    TRAP_NP = 11,
    TRAP_SS = 12,
    TRAP_GP = 13,
    TRAP_PF = 14,
    TRAP_MF = 16,
    TRAP_AC = 17,
    TRAP_MC = 18,
    TRAP_XM = 19,
    TRAP_VE = 20,
    TRAP_CP = 21,
    TRAP_SX = 30,
};

/* One entry stub after the other (traps.asm). */
#define TRAP_STUB_SIZE 16
extern const char trap_stubs[];

/* One that came while a guest ran is reported as an exit. */
void machine_check_handle(void) __attribute__((noreturn));

/* False: the access faulted. */
bool rdmsr_safe(uint32_t index, uint64_t *value);
bool wrmsr_safe(uint32_t index, uint64_t value);
bool xsetbv_safe(uint32_t index, uint64_t value);
/* Loads FPU state from memory that a guest chose; false: the CPU refused it. area is 64-byte aligned. */
bool xrstor_safe(const void *area, uint64_t mask);
bool fxrstor_safe(const void *area);

/* Marks the instruction at label 1 as one that may fault; execution goes on at label 2 before it. */
#define FIXUP ".pushsection .fixups, \"a\"; .balign 8; .quad 1b, 2b; .popsection\n"

/* For panics and the debug key. */
void trap_frame_print(const struct trap_frame *frame);

#endif
