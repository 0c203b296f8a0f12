/*
 * The instructions that compilers and kernels use on device memory: MOV in all forms, MOVZX and MOVSX, the
 * ALU operations, TEST, XCHG, and the bit operations.
 *
 * Interface: execute.h. Pure: no state, no locks; tests/unit/test_execute.c runs it on the host.
 */
#include "execute.h"
#include "vendor.h"

#define FLAG_CF          0x001ull
#define FLAG_PF          0x004ull
#define FLAG_AF          0x010ull
#define FLAG_ZF          0x040ull
#define FLAG_SF          0x080ull
#define FLAG_OF          0x800ull
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

enum kind {
    NOT_KNOWN,
    MOVE_TO_MEMORY, /* MOV r/m, r and MOV moffs, rAX */
    MOVE_IMMEDIATE,
    MOVE_FROM_MEMORY,
    MOVE_EXTENDED,   /* MOVZX, MOVSX */
    ALU_TO_MEMORY,   /* op r/m, r */
    ALU_TO_REGISTER, /* op r, r/m */
    ALU_IMMEDIATE,   /* op r/m, imm */
    TEST_REGISTER,
    TEST_IMMEDIATE,
    EXCHANGE,
    BIT_REGISTER, /* BT, BTS, BTR, BTC r/m, r */
    BIT_IMMEDIATE,
};

static enum kind kind_of_alu(uint16_t opcode)
{
    return (opcode & 7) < 2 ? ALU_TO_MEMORY : (opcode & 7) < 4 ? ALU_TO_REGISTER : NOT_KNOWN;
}

static enum kind kind_of(const struct instruction *i)
{
    bool register_form = i->has_modrm && i->mod == 3;

    if (register_form)
        return NOT_KNOWN;
    if (i->opcode < 0x40)
        return kind_of_alu(i->opcode);
    switch (i->opcode) {
    case 0x80:
    case 0x81:
    case 0x83:
        return ALU_IMMEDIATE;
    case 0x84:
    case 0x85:
        return TEST_REGISTER;
    case 0x86:
    case 0x87:
        return EXCHANGE;
    case 0x88:
    case 0x89:
    case 0xa2:
    case 0xa3:
        return MOVE_TO_MEMORY;
    case 0x8a:
    case 0x8b:
    case 0xa0:
    case 0xa1:
        return MOVE_FROM_MEMORY;
    case 0xc6:
    case 0xc7:
        return (i->modrm & 0x38) == 0 ? MOVE_IMMEDIATE : NOT_KNOWN;
    case 0xf6:
    case 0xf7:
        return (i->modrm & 0x38) == 0 ? TEST_IMMEDIATE : NOT_KNOWN;
    case 0x0fb6:
    case 0x0fb7:
    case 0x0fbe:
    case 0x0fbf:
        return MOVE_EXTENDED;
    case 0x0fa3:
    case 0x0fab:
    case 0x0fb3:
    case 0x0fbb:
        return BIT_REGISTER;
    case 0x0fba:
        return (i->modrm & 0x20) ? BIT_IMMEDIATE : NOT_KNOWN;
    default:
        return NOT_KNOWN;
    }
}

static unsigned alu_of(const struct instruction *i)
{
    return (i->opcode < 0x40 ? i->opcode : i->modrm) >> 3 & 7;
}

/* BT, BTS, BTR, BTC by two bits of the opcode or of ModRM. */
static unsigned bit_operation(const struct instruction *i)
{
    return (i->opcode == 0x0fba ? i->modrm : i->opcode) >> 3 & 3;
}

bool memory_use(const struct instruction *i, struct memory_use *use)
{
    *use = (struct memory_use){.size = i->operand_size, .loads = true, .stores = true};
    switch (kind_of(i)) {
    case NOT_KNOWN:
        return false;
    case MOVE_TO_MEMORY:
    case MOVE_IMMEDIATE:
        use->loads = false;
        break;
    case MOVE_EXTENDED:
        use->size = i->opcode & 1 ? 2 : 1;
        use->stores = false;
        break;
    case MOVE_FROM_MEMORY:
    case ALU_TO_REGISTER:
    case TEST_REGISTER:
    case TEST_IMMEDIATE:
        use->stores = false;
        break;
    case ALU_TO_MEMORY:
    case ALU_IMMEDIATE:
        use->stores = alu_of(i) != ALU_CMP;
        break;
    case BIT_REGISTER:
    case BIT_IMMEDIATE:
        use->stores = bit_operation(i) != 0;
        break;
    case EXCHANGE:
        break;
    }
    return true;
}

/* --- operands ------------------------------------------------------------------------------------------- */

static uint64_t mask_of(unsigned size)
{
    return size == 8 ? ~0ull : (1ull << 8 * size) - 1;
}

static bool high_byte(const struct instruction *i, unsigned reg, unsigned size)
{
    return size == 1 && !i->rex && reg >= RSP && reg <= RDI;
}

uint64_t read_operand(const struct instruction *i, const uint64_t *gpr, unsigned reg, unsigned size)
{
    if (high_byte(i, reg, size))
        return gpr[reg - 4] >> 8 & 0xff;
    return gpr[reg] & mask_of(size);
}

static void write_operand(const struct instruction *i, uint64_t *gpr, unsigned reg, unsigned size,
                          uint64_t value)
{
    value &= mask_of(size);
    if (high_byte(i, reg, size))
        gpr[reg - 4] = (gpr[reg - 4] & ~0xff00ull) | value << 8;
    else if (size >= 4)
        gpr[reg] = value;
    else
        gpr[reg] = (gpr[reg] & ~mask_of(size)) | value;
}

/* --- arithmetic ----------------------------------------------------------------------------------------- */

static uint64_t result_flags(uint64_t result, unsigned size)
{
    uint64_t flags = __builtin_parity(result & 0xff) ? 0 : FLAG_PF;

    if (!result)
        flags |= FLAG_ZF;
    if (result >> (8 * size - 1) & 1)
        flags |= FLAG_SF;
    return flags;
}

static uint64_t alu(unsigned operation, uint64_t a, uint64_t b, unsigned size, uint64_t *rflags)
{
    uint64_t mask = mask_of(size), carry = *rflags & FLAG_CF, flags = 0, result;
    uint64_t sign = 1ull << (8 * size - 1);

    if (operation != ALU_ADC && operation != ALU_SBB)
        carry = 0;
    b &= mask;
    switch (operation) {
    case ALU_ADD:
    case ALU_ADC:
        result = (a + b + carry) & mask;
        flags |= result < a || (carry && result == a) ? FLAG_CF : 0;
        flags |= (a ^ result) & (b ^ result) & sign ? FLAG_OF : 0;
        flags |= (a ^ b ^ result) & 0x10 ? FLAG_AF : 0;
        break;
    case ALU_OR:
        result = a | b;
        break;
    case ALU_AND:
        result = a & b;
        break;
    case ALU_XOR:
        result = a ^ b;
        break;
    default: /* SUB, SBB, CMP */
        result = (a - b - carry) & mask;
        flags |= a < b || (carry && a == b) ? FLAG_CF : 0;
        flags |= (a ^ b) & (a ^ result) & sign ? FLAG_OF : 0;
        flags |= (a ^ b ^ result) & 0x10 ? FLAG_AF : 0;
        break;
    }
    *rflags = (*rflags & ~FLAGS_ARITHMETIC) | flags | result_flags(result, size);
    return result;
}

static uint64_t bit_test(const struct instruction *i, uint64_t value, uint64_t number, uint64_t *rflags)
{
    uint64_t bit = 1ull << number % (8 * i->operand_size);

    *rflags = (*rflags & ~FLAG_CF) | (value & bit ? FLAG_CF : 0);
    switch (bit_operation(i)) {
    case 1:
        return value | bit;
    case 2:
        return value & ~bit;
    case 3:
        return value ^ bit;
    default:
        return value;
    }
}

void execute(const struct instruction *i, uint64_t *gpr, uint64_t *rflags, uint64_t *memory)
{
    unsigned size = i->operand_size;
    unsigned reg = i->has_modrm ? i->reg : RAX;
    uint64_t operand = read_operand(i, gpr, reg, size), unsigned_memory = *memory;

    switch (kind_of(i)) {
    case MOVE_TO_MEMORY:
        *memory = operand;
        break;
    case MOVE_IMMEDIATE:
        *memory = i->immediate & mask_of(size);
        break;
    case MOVE_FROM_MEMORY:
        write_operand(i, gpr, reg, size, *memory);
        break;
    case MOVE_EXTENDED:
        if (i->opcode >= 0x0fbe)
            unsigned_memory = i->opcode & 1 ? (uint64_t)(int16_t)*memory : (uint64_t)(int8_t)*memory;
        write_operand(i, gpr, reg, size, unsigned_memory);
        break;
    case ALU_TO_MEMORY:
        *memory = alu(alu_of(i), *memory, operand, size, rflags);
        break;
    case ALU_TO_REGISTER:
        operand = alu(alu_of(i), operand, *memory, size, rflags);
        if (alu_of(i) != ALU_CMP)
            write_operand(i, gpr, reg, size, operand);
        break;
    case ALU_IMMEDIATE:
        *memory = alu(alu_of(i), *memory, i->immediate, size, rflags);
        break;
    case TEST_REGISTER:
        alu(ALU_AND, *memory, operand, size, rflags);
        break;
    case TEST_IMMEDIATE:
        alu(ALU_AND, *memory, i->immediate, size, rflags);
        break;
    case EXCHANGE:
        write_operand(i, gpr, reg, size, *memory);
        *memory = operand;
        break;
    case BIT_REGISTER:
        *memory = bit_test(i, *memory, operand, rflags);
        break;
    case BIT_IMMEDIATE:
        *memory = bit_test(i, *memory, i->immediate, rflags);
        break;
    case NOT_KNOWN:
        break;
    }
}
