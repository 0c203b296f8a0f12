/*
 * An instruction decoder for the moves that emulated registers meet, and for what exits without a length (SDM
 * vol. 2, chapter 2 and appendix A).
 *
 * Interface: decode.h. Pure: no state, no locks; tests/unit/test_decode.c runs it on the host.
 *
 * Two tables say of each opcode whether a ModRM byte follows, how long its immediate is, and whether it works
 * on bytes. An opcode that is not in them is refused, and with it every VEX or EVEX form.
 */
#include "decode.h"
#include "vendor.h"

enum {
    KNOWN = 0x01,
    MODRM = 0x02,
    BYTE = 0x04,       /* operand of one byte */
    IMM8 = 0x08,       /* sign-extended byte */
    IMM = 0x10,        /* operand size, at most four bytes, sign-extended */
    MOFFS = 0x20,      /* address of the address size */
    IMM_GROUP3 = 0x40, /* immediate only for /0 and /1 (TEST) */
    WIDE = 0x80,       /* 64-bit operand in 64-bit mode without REX.W */
};

#define M  (KNOWN | MODRM)
#define MB (KNOWN | MODRM | BYTE)
/* The four forms r/m8,r8  r/m,r  r8,r/m8  r,r/m of an ALU operation. */
#define ALU(base) [base] = MB, [(base) + 1] = M, [(base) + 2] = MB, [(base) + 3] = M

/* clang-format off */
static const uint8_t one_byte[256] = {
    ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30), ALU(0x38),
    [0x6c] = KNOWN | BYTE, [0x6d] = KNOWN, [0x6e] = KNOWN | BYTE, [0x6f] = KNOWN, /* INS, OUTS */
    [0x80] = MB | IMM8, [0x81] = M | IMM, [0x83] = M | IMM8,
    [0x84] = MB, [0x85] = M, [0x86] = MB, [0x87] = M, /* TEST, XCHG */
    [0x88] = MB, [0x89] = M, [0x8a] = MB, [0x8b] = M, /* MOV */
    [0xa0] = KNOWN | BYTE | MOFFS, [0xa1] = KNOWN | MOFFS, [0xa2] = KNOWN | BYTE | MOFFS, [0xa3] = KNOWN | MOFFS,
    [0xa4] = KNOWN | BYTE, [0xa5] = KNOWN, [0xaa] = KNOWN | BYTE, [0xab] = KNOWN, [0xac] = KNOWN | BYTE, [0xad] = KNOWN,
    [0xc6] = MB | IMM8, [0xc7] = M | IMM,
    [0xe4] = KNOWN | BYTE | IMM8, [0xe5] = KNOWN | IMM8, [0xe6] = KNOWN | BYTE | IMM8, [0xe7] = KNOWN | IMM8,
    [0xec] = KNOWN | BYTE, [0xed] = KNOWN, [0xee] = KNOWN | BYTE, [0xef] = KNOWN, /* IN, OUT */
    [0xf4] = KNOWN,                              /* HLT */
    [0xf6] = MB | IMM8 | IMM_GROUP3, [0xf7] = M | IMM | IMM_GROUP3,
    [0xfe] = MB, [0xff] = M,
};
/* clang-format on */

/* clang-format off */
static const uint8_t two_byte[256] = {
    [0x01] = M,                                        /* LMSW, VMMCALL, XSETBV ... */
    [0x06] = KNOWN, [0x08] = KNOWN, [0x09] = KNOWN,    /* CLTS, INVD, WBINVD */
    [0x20] = M | WIDE, [0x21] = M | WIDE, [0x22] = M | WIDE, [0x23] = M | WIDE, /* MOV CR, MOV DR */
    [0x30] = KNOWN, [0x31] = KNOWN, [0x32] = KNOWN, [0x33] = KNOWN, /* WRMSR, RDTSC, RDMSR, RDPMC */
    [0xa2] = KNOWN,                                    /* CPUID */
    [0xa3] = M, [0xab] = M, [0xb3] = M, [0xbb] = M, [0xba] = M | IMM8, /* BT, BTS, BTR, BTC */
    [0xb0] = MB, [0xb1] = M, [0xc0] = MB, [0xc1] = M,  /* CMPXCHG, XADD */
    [0xb6] = M, [0xb7] = M, [0xbe] = M, [0xbf] = M,    /* MOVZX, MOVSX */
};
/* clang-format on */

struct cursor {
    const uint8_t *at, *end;
    bool short_of_bytes;
};

static uint8_t next_byte(struct cursor *c)
{
    if (c->at == c->end) {
        c->short_of_bytes = true;
        return 0;
    }
    return *c->at++;
}

static uint64_t next_unsigned(struct cursor *c, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)next_byte(c) << (8 * i);
    return value;
}

static int64_t next_signed(struct cursor *c, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (int64_t)(next_unsigned(c, size) << unused) >> unused;
}

/* Returns the first byte that is no prefix. A REX counts only directly before the opcode. */
static uint8_t prefixes(struct cursor *c, unsigned mode, struct instruction *out, bool *operand,
                        bool *address)
{
    for (;;) {
        uint8_t byte = next_byte(c);
        if (c->short_of_bytes)
            return 0;
        if (mode == 8 && (byte & 0xf0) == 0x40) {
            out->rex = byte;
            continue;
        }
        switch (byte) {
        case 0x66:
            *operand = true;
            break;
        case 0x67:
            *address = true;
            break;
        case 0xf0:
            out->lock = true;
            break;
        case 0xf2:
            out->repne = true;
            break;
        case 0xf3:
            out->rep = true;
            break;
        case 0x26:
            out->segment = SEG_ES;
            break;
        case 0x2e:
            out->segment = SEG_CS;
            break;
        case 0x36:
            out->segment = SEG_SS;
            break;
        case 0x3e:
            out->segment = SEG_DS;
            break;
        case 0x64:
            out->segment = SEG_FS;
            break;
        case 0x65:
            out->segment = SEG_GS;
            break;
        default:
            return byte;
        }
        out->rex = 0;
    }
}

static void memory_operand_16(struct cursor *c, struct instruction *out)
{
    static const int8_t base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const int8_t index[8] = {RSI, RDI, RSI, RDI, -1, -1, -1, -1};
    unsigned rm = out->modrm & 7;
    if (out->mod == 0 && rm == 6) {
        out->displacement = (int64_t)next_unsigned(c, 2);
        return;
    }
    out->base = base[rm];
    out->index = index[rm];
    if (out->mod)
        out->displacement = next_signed(c, out->mod == 1 ? 1 : 2);
}

static void memory_operand(struct cursor *c, unsigned mode, struct instruction *out)
{
    unsigned rm = out->modrm & 7;
    if (rm == 4) {
        uint8_t sib = next_byte(c);
        int8_t index = (int8_t)((sib >> 3 & 7) | (out->rex & 2) << 2);
        out->index = index == RSP ? -1 : index;
        out->scale = sib >> 6;
        if ((sib & 7) == 5 && out->mod == 0)
            out->displacement = next_signed(c, 4);
        else
            out->base = (int8_t)((sib & 7) | (out->rex & 1) << 3);
    } else if (rm == 5 && out->mod == 0) {
        out->rip_relative = mode == 8;
        out->displacement = next_signed(c, 4);
    } else {
        out->base = (int8_t)out->rm;
    }
    if (out->mod == 1)
        out->displacement = next_signed(c, 1);
    else if (out->mod == 2)
        out->displacement = next_signed(c, 4);
}

static void modrm(struct cursor *c, unsigned mode, struct instruction *out)
{
    out->has_modrm = true;
    out->modrm = next_byte(c);
    out->mod = out->modrm >> 6;
    out->reg = (uint8_t)((out->modrm >> 3 & 7) | (out->rex & 4) << 1);
    out->rm = (uint8_t)((out->modrm & 7) | (out->rex & 1) << 3);
    /* MOV to and from control and debug registers takes every form as register form. */
    if (out->mod == 3 || (out->opcode & 0xfffc) == 0x0f20)
        return;
    if (out->address_size == 2)
        memory_operand_16(c, out);
    else
        memory_operand(c, mode, out);
}

static unsigned operand_size(unsigned mode, const struct instruction *out, uint8_t form, bool prefix)
{
    if (form & BYTE)
        return 1;
    if (mode == 8 && (out->rex & 8 || form & WIDE))
        return 8;
    unsigned normal = mode == 2 ? 2 : 4;
    return prefix ? normal ^ 6 : normal;
}

bool decode(const uint8_t *bytes, size_t count, unsigned mode, struct instruction *out)
{
    struct cursor c = {.at = bytes, .end = bytes + MIN(count, (size_t)INSTRUCTION_MAX)};
    bool operand = false, address = false;

    *out = (struct instruction){.segment = -1, .base = -1, .index = -1};
    uint8_t opcode = prefixes(&c, mode, out, &operand, &address);
    uint8_t form = one_byte[opcode];
    out->opcode = opcode;
    if (opcode == 0x0f) {
        opcode = next_byte(&c);
        form = two_byte[opcode];
        out->opcode = 0x0f00 | opcode;
    }
    if (c.short_of_bytes || !(form & KNOWN))
        return false;

    out->operand_size = (uint8_t)operand_size(mode, out, form, operand);
    out->address_size = (uint8_t)(!address ? mode : mode == 4 ? 2 : 4);
    if (form & MODRM)
        modrm(&c, mode, out);
    if (form & IMM_GROUP3 && out->modrm & 0x30)
        form &= (uint8_t) ~(IMM8 | IMM);
    if (form & IMM8)
        out->immediate = (uint64_t)next_signed(&c, 1);
    else if (form & IMM)
        out->immediate = (uint64_t)next_signed(&c, MIN(out->operand_size, 4u));
    else if (form & MOFFS)
        out->displacement = (int64_t)next_unsigned(&c, out->address_size);
    out->length = (uint8_t)(c.at - bytes);
    return !c.short_of_bytes;
}
