/* sources: arch/x86_64/guest/decode.c */
/* Instructions as bytes: their length, their operands, and that nothing behind the last byte is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../arch/x86_64/guest/decode.h"
#include "../../arch/x86_64/guest/vendor.h"

static struct instruction i;

/* From a copy that ends where the heap block ends. */
static bool decode_copy(const char *bytes, size_t count, unsigned mode)
{
    uint8_t *copy = malloc(count ? count : 1);
    memcpy(copy, bytes, count);
    bool known = decode(copy, count, mode, &i);
    free(copy);
    return known;
}
#define DECODE(mode, bytes) decode_copy(bytes, sizeof(bytes) - 1, mode)
/* Known, as long as the bytes, and with this opcode; every shorter prefix of it is incomplete. */
#define WHOLE(mode, bytes, code)                                                                             \
    do {                                                                                                     \
        for (size_t n = 0; n < sizeof(bytes) - 1; n++)                                                       \
            assert_false(decode_copy(bytes, n, mode));                                                       \
        assert_true(DECODE(mode, bytes));                                                                    \
        assert_int_equal(i.length, sizeof(bytes) - 1);                                                       \
        assert_int_equal(i.opcode, code);                                                                    \
    } while (0)

static void test_exits(void **state)
{
    (void)state;
    WHOLE(8, "\x0f\xa2", 0x0fa2);     /* cpuid */
    WHOLE(8, "\x0f\x01\xd9", 0x0f01); /* vmmcall */
    WHOLE(8, "\x0f\x01\xd1", 0x0f01); /* xsetbv */
    WHOLE(8, "\x0f\x30", 0x0f30);     /* wrmsr */
    WHOLE(8, "\x0f\x32", 0x0f32);     /* rdmsr */
    WHOLE(8, "\xf4", 0xf4);           /* hlt */
    WHOLE(2, "\x66\x0f\xa2", 0x0fa2);
    WHOLE(4, "\x66\x67\x2e\xf3\x0f\xa2", 0x0fa2); /* every kind of prefix */
    WHOLE(8, "\xf2\x48\x0f\xa2", 0x0fa2);
    WHOLE(4, "\x0f\x06", 0x0f06); /* clts */
    WHOLE(8, "\x0f\x08", 0x0f08); /* invd */
    WHOLE(8, "\x0f\x09", 0x0f09); /* wbinvd */
}

static void test_control_registers(void **state)
{
    (void)state;
    WHOLE(8, "\x44\x0f\x22\xc0", 0x0f22); /* mov cr8, rax */
    assert_int_equal(i.reg, 8);
    assert_int_equal(i.rm, RAX);
    assert_int_equal(i.operand_size, 8);
    WHOLE(8, "\x45\x0f\x20\xc7", 0x0f20); /* mov r15, cr8 */
    assert_int_equal(i.rm, R15);
    /* mod says memory, and is ignored: no displacement follows. */
    WHOLE(8, "\x44\x0f\x22\x05", 0x0f22);
    assert_int_equal(i.rm, RBP);
}

static void test_addresses(void **state)
{
    (void)state;
    WHOLE(8, "\x8b\x07", 0x8b); /* mov eax, [rdi] */
    assert_int_equal(i.base, RDI);
    assert_int_equal(i.index, -1);
    WHOLE(8, "\x4d\x8b\x54\x8d\xf8", 0x8b); /* mov r10, [r13 + rcx*4 - 8] */
    assert_int_equal(i.base, R13);
    assert_int_equal(i.index, RCX);
    assert_int_equal(i.scale, 2);
    assert_int_equal(i.displacement, -8);
    assert_int_equal(i.reg, R10);
    assert_int_equal(i.operand_size, 8);
    WHOLE(8, "\x89\x05\x10\x00\x00\x00", 0x89); /* mov [rip + 16], eax */
    assert_true(i.rip_relative);
    assert_int_equal(i.displacement, 16);
    WHOLE(4, "\x89\x05\x00\x00\xe0\xfe", 0x89); /* the same in 32-bit mode is an absolute address */
    assert_false(i.rip_relative);
    assert_int_equal((uint32_t)i.displacement, 0xfee00000u);
    WHOLE(8, "\x89\x04\x25\x00\x00\xe0\xfe", 0x89); /* mov [abs], eax */
    assert_int_equal(i.base, -1);
    assert_int_equal(i.index, -1);
    WHOLE(8, "\x8b\x04\x24", 0x8b); /* [rsp] needs a SIB, whose index is none */
    assert_int_equal(i.base, RSP);
    assert_int_equal(i.index, -1);
    WHOLE(8, "\x42\x8b\x04\x24", 0x8b); /* [rsp + r12] */
    assert_int_equal(i.index, R12);
    WHOLE(8, "\x67\x8b\x07", 0x8b);
    assert_int_equal(i.address_size, 4);
    WHOLE(8, "\x65\x8b\x07", 0x8b);
    assert_int_equal(i.segment, SEG_GS);
}

static void test_addresses_16(void **state)
{
    (void)state;
    WHOLE(2, "\x8b\x00", 0x8b); /* mov ax, [bx + si] */
    assert_int_equal(i.base, RBX);
    assert_int_equal(i.index, RSI);
    assert_int_equal(i.operand_size, 2);
    WHOLE(2, "\x8b\x0e\x34\x12", 0x8b); /* mov cx, [0x1234] */
    assert_int_equal(i.base, -1);
    assert_int_equal(i.displacement, 0x1234);
    WHOLE(2, "\x8b\x46\xfe", 0x8b); /* [bp - 2] */
    assert_int_equal(i.base, RBP);
    assert_int_equal(i.displacement, -2);
    WHOLE(2, "\x67\x8b\x03", 0x8b); /* mov ax, [ebx] */
    assert_int_equal(i.address_size, 4);
    WHOLE(4, "\x67\x8b\x07", 0x8b); /* mov eax, [bx] */
    assert_int_equal(i.address_size, 2);
    assert_int_equal(i.base, RBX);
}

static void test_immediates(void **state)
{
    (void)state;
    WHOLE(8, "\xc7\x07\x78\x56\x34\x12", 0xc7);
    assert_int_equal(i.immediate, 0x12345678);
    WHOLE(8, "\x48\xc7\x07\xff\xff\xff\xff", 0xc7); /* sign-extended to 64 bits */
    assert_true(i.immediate == ~0ull);
    WHOLE(8, "\x66\xc7\x07\x34\x12", 0xc7);
    assert_int_equal(i.operand_size, 2);
    WHOLE(8, "\xc6\x07\x80", 0xc6);
    assert_int_equal(i.operand_size, 1);
    WHOLE(8, "\x83\x0f\x01", 0x83);
    WHOLE(8, "\xf6\x07\x01", 0xf6); /* TEST has an immediate, NOT has none */
    WHOLE(8, "\xf6\x17", 0xf6);
    WHOLE(8, "\xf7\x07\x01\x00\x00\x00", 0xf7);
    WHOLE(8, "\xa1\x00\x00\xe0\xfe\x00\x00\x00\x00", 0xa1); /* MOV moffs: 8 bytes of address */
    assert_int_equal((uint64_t)i.displacement, 0xfee00000u);
    WHOLE(4, "\xa1\x00\x00\xe0\xfe", 0xa1);
}

static void test_prefixes(void **state)
{
    (void)state;
    WHOLE(8, "\x48\x66\x8b\x07", 0x8b); /* a REX that is not last does not count */
    assert_int_equal(i.operand_size, 2);
    WHOLE(8, "\x66\x48\x8b\x07", 0x8b);
    assert_int_equal(i.operand_size, 8);
    WHOLE(8, "\xf0\x0f\xb1\x0f", 0x0fb1);
    assert_true(i.lock);
    WHOLE(8, "\xf3\xab", 0xab);
    assert_true(i.rep);
    assert_false(DECODE(4, "\x40\x8b\x07")); /* INC EAX outside 64-bit mode: not among the known */
    /* Fifteen bytes are the most. */
    assert_true(DECODE(8, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\xa2"));
    assert_false(DECODE(8, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\xa2"));
}

static void test_unknown(void **state)
{
    (void)state;
    assert_false(DECODE(8, "\xc5\xf8\x77"));         /* VEX */
    assert_false(DECODE(8, "\x62\xf1\x7c\x48\x10")); /* EVEX */
    assert_false(DECODE(8, "\x0f\x38\x00\xc0"));
    assert_false(DECODE(8, "\xe9\x00\x00\x00\x00"));
}

/* Whatever the bytes: nothing is read behind them (the sanitizer looks), and lengths stay in bounds. */
static void test_random(void **state)
{
    (void)state;
    srand(1);
    for (unsigned n = 0; n < 200000; n++) {
        char bytes[20];
        size_t count = (size_t)rand() % sizeof(bytes);
        for (size_t b = 0; b < count; b++)
            bytes[b] = (char)rand();
        if (decode_copy(bytes, count, 1u << (1 + rand() % 3))) {
            assert_in_range(i.length, 1, INSTRUCTION_MAX);
            assert_true(i.length <= count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exits),      cmocka_unit_test(test_control_registers),
        cmocka_unit_test(test_addresses),  cmocka_unit_test(test_addresses_16),
        cmocka_unit_test(test_immediates), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_unknown),    cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
