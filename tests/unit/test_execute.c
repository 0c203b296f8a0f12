/* sources: arch/x86_64/guest/decode.c arch/x86_64/guest/execute.c */
/* cflags: -Iarch/x86_64/include */
/* Instructions on device memory, as bytes: what they load and store, and what they leave in registers and
 * flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../arch/x86_64/guest/execute.h"
#include "../../arch/x86_64/guest/vendor.h"

#define CF 0x001u
#define PF 0x004u
#define AF 0x010u
#define ZF 0x040u
#define SF 0x080u
#define OF 0x800u

static uint64_t gpr[GPRS], rflags;

struct expect {
    unsigned length, size;
    bool loads, stores;
    uint64_t before, after; /* of the memory operand */
};

/* Decodes and carries out; checks what is expected of memory. */
static void run(unsigned mode, const char *bytes, size_t count, struct expect expect)
{
    struct instruction i;
    struct memory_use use;
    uint64_t memory = expect.before;

    assert_true(decode((const uint8_t *)bytes, count, mode, &i));
    assert_int_equal(i.length, expect.length);
    assert_true(memory_use(&i, &use));
    assert_int_equal(use.size, expect.size);
    assert_int_equal(use.loads, expect.loads);
    assert_int_equal(use.stores, expect.stores);
    execute(&i, gpr, &rflags, &memory);
    if (use.stores)
        assert_int_equal(memory, expect.after);
}
#define RUN(mode, bytes, ...)                                                                                \
    run(mode, bytes, sizeof(bytes) - 1, (struct expect){sizeof(bytes) - 1, __VA_ARGS__})

static int fresh(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GPRS; i++)
        gpr[i] = 0x1111111111111111ull * i;
    rflags = 2;
    return 0;
}

static void test_moves(void **state)
{
    (void)state;
    RUN(8, "\x89\x07", 4, false, true, 0, 0);                              /* mov [rdi], eax */
    RUN(8, "\x48\x89\x0f", 8, false, true, 0, gpr[RCX]);                   /* mov [rdi], rcx */
    RUN(8, "\x66\x89\x0f", 2, false, true, 0, 0x1111);                     /* mov [rdi], cx */
    RUN(8, "\x44\x89\xbe\x00\x03\x00\x00", 4, false, true, 0, 0xffffffff); /* mov [rsi+0x300], r15d */
    RUN(8, "\xc7\x80\xb0\x00\x00\x00\x78\x56\x34\x12", 4, false, true, 0, 0x12345678);
    RUN(8, "\x48\xc7\x07\xff\xff\xff\xff", 8, false, true, 0, ~0ull); /* immediates are sign-extended */
    RUN(8, "\xc6\x07\x80", 1, false, true, 0, 0x80);
    RUN(4, "\x66\xc7\x00\x34\x12", 2, false, true, 0, 0x1234);
    RUN(2, "\xc7\x07\x34\x12", 2, false, true, 0, 0x1234);
    RUN(4, "\xa3\x00\x00\xe0\xfe", 4, false, true, 0, 0); /* mov moffs, eax */
    RUN(8, "\x8b\x0c\x25\x20\x00\xe0\xfe", 4, true, false, 0x89abcdef, 0);
    assert_int_equal(gpr[RCX], 0x89abcdef); /* upper half cleared */
    RUN(8, "\x8a\x07", 1, true, false, 0xfe, 0);
    assert_int_equal(gpr[RAX], 0xfe);
    RUN(8, "\x66\x8b\x17", 2, true, false, 0xbeef, 0);
    assert_int_equal(gpr[RDX], 0x222222222222beefull); /* upper part kept */
    RUN(8, "\x48\xa1\x00\x00\xe0\xfe\x00\x00\x00\x00", 8, true, false, 42, 0);
    assert_int_equal(gpr[RAX], 42);
    assert_int_equal(rflags, 2);
}

static void test_high_bytes(void **state)
{
    (void)state;
    RUN(8, "\x88\x27", 1, false, true, 0, 0x00);     /* ah */
    RUN(8, "\x88\x3f", 1, false, true, 0, 0x33);     /* bh */
    RUN(8, "\x40\x88\x3f", 1, false, true, 0, 0x77); /* dil */
    RUN(8, "\x8a\x27", 1, true, false, 0xab, 0);
    assert_int_equal(gpr[RAX], 0xab00);
    RUN(8, "\x44\x8a\x07", 1, true, false, 0xcd, 0);
    assert_int_equal(gpr[R8], 0x88888888888888cdull);
}

static void test_extending_moves(void **state)
{
    (void)state;
    RUN(8, "\x0f\xb6\x07", 1, true, false, 0xff, 0);
    assert_int_equal(gpr[RAX], 0xff);
    RUN(8, "\x0f\xb7\x07", 2, true, false, 0xffff, 0);
    assert_int_equal(gpr[RAX], 0xffff);
    RUN(8, "\x0f\xbe\x07", 1, true, false, 0x80, 0);
    assert_int_equal(gpr[RAX], 0xffffff80);
    RUN(8, "\x48\x0f\xbf\x07", 2, true, false, 0x8000, 0);
    assert_int_equal(gpr[RAX], 0xffffffffffff8000ull);
    RUN(8, "\x66\x0f\xbe\x0f", 1, true, false, 0x7f, 0);
    assert_int_equal(gpr[RCX], 0x111111111111007full);
}

static void test_arithmetic(void **state)
{
    (void)state;
    gpr[RAX] = 0xf0;
    RUN(8, "\x09\x07", 4, true, true, 0x0f, 0xff); /* or [rdi], eax */
    assert_int_equal(rflags, 2 | PF);
    RUN(8, "\x21\x07", 4, true, true, 0x0f, 0); /* and */
    assert_int_equal(rflags, 2 | ZF | PF);
    RUN(8, "\x31\x07", 4, true, true, 0xf0, 0); /* xor */
    assert_int_equal(rflags, 2 | ZF | PF);
    RUN(8, "\x83\x0f\x80", 4, true, true, 1, 0xffffff81); /* or dword [rdi], -128 */
    assert_int_equal(rflags, 2 | SF | PF);
    RUN(8, "\x81\x27\xff\xff\xfe\xff", 4, true, true, 0x1ffff, 0xffff); /* and dword [rdi], ~0x10000 */
    RUN(8, "\x83\x07\x01", 4, true, true, 0xffffffff, 0);               /* add: carry out */
    assert_int_equal(rflags, 2 | CF | ZF | AF | PF);
    RUN(8, "\x83\x17\x00", 4, true, true, 7, 8); /* adc takes the carry */
    assert_int_equal(rflags, 2);
    RUN(8, "\x80\x07\x01", 1, true, true, 0x7f, 0x80); /* signed overflow of a byte */
    assert_int_equal(rflags, 2 | OF | SF | AF);
    RUN(8, "\x83\x2f\x01", 4, true, true, 0, 0xffffffff); /* sub: borrow */
    assert_int_equal(rflags, 2 | CF | SF | AF | PF);
    RUN(8, "\x48\x83\x1f\x00", 8, true, true, 5, 4); /* sbb */
    gpr[RCX] = 3;
    RUN(8, "\x03\x0f", 4, true, false, 4, 0); /* add ecx, [rdi] */
    assert_int_equal(gpr[RCX], 7);
}

static void test_comparisons(void **state)
{
    (void)state;
    RUN(8, "\x83\x3f\x05", 4, true, false, 5, 0); /* cmp dword [rdi], 5 */
    assert_int_equal(rflags, 2 | ZF | PF);
    RUN(8, "\x80\x3f\x80", 1, true, false, 0x7f, 0);
    assert_int_equal(rflags, 2 | CF | OF | SF | PF);
    gpr[RDX] = 0x100;
    RUN(8, "\x39\x17", 4, true, false, 0xff, 0);
    assert_true(rflags & CF);
    RUN(8, "\x3b\x17", 4, true, false, 0xff, 0);
    assert_false(rflags & CF);
    assert_int_equal(gpr[RDX], 0x100);
    RUN(8, "\xf7\x07\x00\x10\x00\x00", 4, true, false, 0x1000, 0); /* test dword [rdi], ICR busy */
    assert_int_equal(rflags, 2 | PF);
    RUN(8, "\xf6\x07\x01", 1, true, false, 2, 0);
    assert_int_equal(rflags, 2 | ZF | PF);
    RUN(8, "\x85\x17", 4, true, false, 0x100, 0);
    assert_false(rflags & ZF);
}

static void test_exchange_and_bits(void **state)
{
    (void)state;
    RUN(8, "\x87\x0f", 4, true, true, 0xabcd, 0x11111111); /* xchg [rdi], ecx */
    assert_int_equal(gpr[RCX], 0xabcd);
    RUN(8, "\x0f\xba\x2f\x10", 4, true, true, 0, 0x10000); /* bts dword [rdi], 16 */
    assert_false(rflags & CF);
    RUN(8, "\x0f\xba\x37\x10", 4, true, true, 0x30000, 0x20000); /* btr */
    assert_true(rflags & CF);
    RUN(8, "\x0f\xba\x27\x00", 4, true, false, 1, 0); /* bt */
    assert_true(rflags & CF);
}

static void test_not_known(void **state)
{
    static const char *const bytes[] = {
        "\x89\xc8",                 /* register form: no memory operand */
        "\xff\x37",                 /* push [rdi] */
        "\x0f\x01\xd9",             /* vmmcall */
        "\xc7\xf8\x00\x00\x00\x00", /* xbegin */
        "\xf7\x37",                 /* div */
        "\xf4",
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        uint8_t copy[INSTRUCTION_MAX] = {0};
        struct instruction instruction;
        struct memory_use use;
        memcpy(copy, bytes[i], 6 < strlen(bytes[i]) ? 6 : strlen(bytes[i]));
        if (decode(copy, sizeof(copy), 8, &instruction))
            assert_false(memory_use(&instruction, &use));
    }
}

/* Whatever the bytes are: not longer than an instruction can be, not one byte more is looked at, and carried
 * out. */
static void test_random(void **state)
{
    (void)state;
    srand(1);
    unsigned known = 0;
    for (unsigned round = 0; round < 500000; round++) {
        static const unsigned modes[] = {2, 4, 8};
        uint8_t bytes[INSTRUCTION_MAX];
        struct instruction i, again;
        struct memory_use use;
        unsigned mode = modes[round % 3];
        for (unsigned k = 0; k < sizeof(bytes); k++)
            bytes[k] = (uint8_t)rand();
        if (rand() % 2)
            bytes[0] = 0x0f;
        if (!decode(bytes, sizeof(bytes), mode, &i))
            continue;
        assert_in_range(i.length, 1, INSTRUCTION_MAX);
        uint8_t *exact = malloc(i.length); /* whose bounds the sanitizer knows */
        memcpy(exact, bytes, i.length);
        assert_true(decode(exact, i.length, mode, &again));
        assert_false(decode(exact, i.length - 1u, mode, &again));
        free(exact);
        if (memory_use(&i, &use)) {
            uint64_t memory = use.loads ? (uint64_t)rand() : 0;
            assert_true(use.size == 1 || use.size == 2 || use.size == 4 || use.size == 8);
            execute(&i, gpr, &rflags, &memory);
            known++;
        }
    }
    assert_true(known > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_moves, fresh),
        cmocka_unit_test_setup(test_high_bytes, fresh),
        cmocka_unit_test_setup(test_extending_moves, fresh),
        cmocka_unit_test_setup(test_arithmetic, fresh),
        cmocka_unit_test_setup(test_comparisons, fresh),
        cmocka_unit_test_setup(test_exchange_and_bits, fresh),
        cmocka_unit_test_setup(test_not_known, fresh),
        cmocka_unit_test_setup(test_random, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
