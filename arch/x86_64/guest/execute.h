/*
 * What a decoded instruction does to registers, flags and one memory operand (SDM vol. 2). Pure functions:
 * the caller reads and writes the memory, which is a device's.
 */
#ifndef X86_GUEST_EXECUTE_H
#define X86_GUEST_EXECUTE_H

#include "decode.h"

struct memory_use {
    uint8_t size; /* bytes; of both operands for MOVS */
    bool loads, stores;
};

/* How the instruction uses its memory operand; false: it is not one of those that execute() knows. Not for
 * STOS, MOVS. */
bool memory_use(const struct instruction *instruction, struct memory_use *use);

/* Carries it out. *memory: the operand before, if it loads; after, if it stores. RIP is the caller's. */
void execute(const struct instruction *instruction, uint64_t *gpr, uint64_t *rflags, uint64_t *memory);

/* A register operand of size bytes, as instructions without and with REX number them (AH to BH, or SPL to
 * DIL). */
uint64_t read_operand(const struct instruction *instruction, const uint64_t *gpr, unsigned reg,
                      unsigned size);

#endif
