/*
 * Decoding of the few instructions that end up in software: those that exits name without giving their
 * length, and the moves that touch emulated registers (SDM vol. 2, chapter 2). Pure functions over bytes;
 * nothing here reads the guest.
 */
#ifndef X86_GUEST_DECODE_H
#define X86_GUEST_DECODE_H

#include <hv/types.h>

#define INSTRUCTION_MAX 15u

struct instruction {
    uint8_t length;
    uint16_t opcode;      /* second byte of 0F xx as 0x0fxx */
    uint8_t operand_size; /* bytes: 2, 4, 8; 1 for byte forms */
    uint8_t address_size; /* bytes: 2, 4, 8 */
    uint8_t rex;          /* 0: none */
    bool lock, rep, repne;
    int8_t segment; /* enum segment_name of an override prefix, or -1 */

    bool has_modrm;
    uint8_t modrm;
    uint8_t mod, reg, rm; /* reg and rm with REX.R and REX.B */
    int8_t base, index;   /* registers of a memory operand, -1: none */
    uint8_t scale;        /* shift of index */
    bool rip_relative;    /* displacement counts from the next instruction */
    int64_t displacement; /* or the whole address for MOV moffs */
    uint64_t immediate;   /* sign-extended */
};

/* mode: bytes of the code segment's default size: 2, 4, or 8 for 64-bit mode. False: not among those known,
 * or incomplete. */
bool decode(const uint8_t *bytes, size_t count, unsigned mode, struct instruction *out);

#endif
