/* sources: arch/x86_64/guest/walk.c */
/* cflags: -Iarch/x86_64/include */
/* The walk through a guest's page tables, in every paging mode, against tables in an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "../../arch/x86_64/guest/guest_access.h"

#define CR0_WP  (1ull << 16)
#define CR0_PG  (1ull << 31)
#define CR4_PSE 0x10ull
#define CR4_PAE 0x20ull
#define LMA     (1ull << 10)
#define NXE     (1ull << 11)

#define P  1ull
#define W  2ull
#define U  4ull
#define A  0x20ull
#define D  0x40ull
#define PS 0x80ull
#define NX (1ull << 63)

#define PAGES 16u
static uint64_t page[PAGES][512]; /* guest frames 0 to 15 */
static uint64_t reg[8];
static bool read_only;

static uint64_t get_register(const struct vcpu *v, enum guest_register which)
{
    (void)v;
    return reg[which];
}

static const struct vendor_ops ops = {.get_register = get_register};
const struct vendor_ops *vendor = &ops;

const struct gfn_cache_entry *gfn_find(struct vcpu *v, gfn_t gfn)
{
    static struct gfn_cache_entry entry;
    (void)v;
    entry = (struct gfn_cache_entry){.page = (char *)page[gfn.v % PAGES], .writable = !read_only};
    return gfn.v < PAGES ? &entry : NULL;
}

static gpa_t gpa;
static uint32_t error_code;

static enum walk_result walk(uint64_t address, uint32_t access)
{
    struct paging paging = read_paging(NULL);
    gpa = GPA(~0ull);
    error_code = ~0u;
    return guest_walk(NULL, &paging, GVA(address), access, &gpa, &error_code);
}

static int fresh(void **state)
{
    (void)state;
    memset(page, 0, sizeof(page));
    memset(reg, 0, sizeof(reg));
    read_only = false;
    return 0;
}

static void long_mode(void)
{
    reg[REG_CR0] = CR0_PG | CR0_WP;
    reg[REG_CR4] = CR4_PAE;
    reg[REG_EFER] = LMA | NXE;
    reg[REG_CR3] = 0x1000 | 0x18; /* the low bits are no address */
    page[1][1] = 0x2000 | P | W | U;
    page[2][2] = 0x3000 | P | W | U;
    page[3][3] = 0x4000 | P | W | U;
}
#define AT(i, offset) (1ull << 39 | 2ull << 30 | 3ull << 21 | (uint64_t)(i) << 12 | (offset))

static void test_no_paging(void **state)
{
    (void)state;
    assert_int_equal(walk(0x12345678, ACCESS_WRITE), WALK_OK);
    assert_int_equal(gpa.v, 0x12345678);
    assert_int_equal(walk(0x100000000, ACCESS_READ), WALK_FAULT);
}

static void test_four_levels(void **state)
{
    (void)state;
    long_mode();
    page[4][7] = 0xabc000 | P | W | U;
    assert_int_equal(walk(AT(7, 0x123), ACCESS_READ), WALK_OK);
    assert_int_equal(gpa.v, 0xabc123);
    assert_int_equal(page[4][7], 0xabc000 | P | W | U | A);
    assert_true(page[1][1] & A);
    assert_int_equal(walk(AT(7, 0x123), ACCESS_WRITE), WALK_OK);
    assert_int_equal(page[4][7], 0xabc000 | P | W | U | A | D);
    assert_false(page[3][3] & D);
    assert_int_equal(walk(AT(8, 0), ACCESS_READ), WALK_FAULT);
    assert_int_equal(error_code, 0);
    assert_int_equal(walk(AT(8, 0), ACCESS_WRITE | ACCESS_USER), WALK_FAULT);
    assert_int_equal(error_code, ACCESS_WRITE | ACCESS_USER);
    assert_int_equal(walk(AT(8, 0), ACCESS_FETCH), WALK_FAULT);
    assert_int_equal(error_code, ACCESS_FETCH);
}

static void test_large_pages(void **state)
{
    (void)state;
    long_mode();
    page[3][4] = 0x40200000 | P | W | U | PS | 0x1000; /* bit 12 is PAT there */
    assert_int_equal(walk(1ull << 39 | 2ull << 30 | 4ull << 21 | 0x12345, ACCESS_WRITE), WALK_OK);
    assert_int_equal(gpa.v, 0x40212345);
    assert_true(page[3][4] & D);
    page[2][5] = 0xc0000000 | P | PS;
    assert_int_equal(walk(1ull << 39 | 5ull << 30 | 0x3fffffff, ACCESS_READ), WALK_OK);
    assert_int_equal(gpa.v, 0xffffffff);
}

static void test_rights(void **state)
{
    (void)state;
    long_mode();
    page[4][0] = 0x5000 | P | U;
    assert_int_equal(walk(AT(0, 0), ACCESS_WRITE), WALK_FAULT);
    assert_int_equal(error_code, FAULT_PROTECTION | ACCESS_WRITE);
    assert_false(page[4][0] & D);
    reg[REG_CR0] &= ~CR0_WP; /* then a kernel may write everything, a user may not */
    assert_int_equal(walk(AT(0, 0), ACCESS_WRITE), WALK_OK);
    assert_int_equal(walk(AT(0, 0), ACCESS_WRITE | ACCESS_USER), WALK_FAULT);
    page[4][1] = 0x5000 | P | W;
    assert_int_equal(walk(AT(1, 0), ACCESS_USER), WALK_FAULT);
    assert_int_equal(error_code, FAULT_PROTECTION | ACCESS_USER);
    page[4][2] = 0x5000 | P | NX;
    assert_int_equal(walk(AT(2, 0), ACCESS_READ), WALK_OK);
    assert_int_equal(walk(AT(2, 0), ACCESS_FETCH), WALK_FAULT);
    assert_int_equal(error_code, FAULT_PROTECTION | ACCESS_FETCH);
    reg[REG_EFER] = LMA;
    assert_int_equal(walk(AT(2, 0), ACCESS_FETCH), WALK_OK);
    page[1][1] &= ~U; /* the rights of every level count */
    assert_int_equal(walk(AT(0, 0), ACCESS_USER), WALK_FAULT);
}

static void test_addresses(void **state)
{
    (void)state;
    long_mode();
    assert_int_equal(walk(0x0000800000000000, ACCESS_READ), WALK_FAULT);
    assert_int_equal(walk(0xffff7fffffffffff, ACCESS_READ), WALK_FAULT);
    page[1][511] = 0x100000 | P; /* a table where no RAM is */
    assert_int_equal(walk(0xffffffffffffffff, ACCESS_READ), WALK_NOT_RAM);
}

static void test_read_only_tables(void **state)
{
    (void)state;
    long_mode();
    page[4][7] = 0xabc000 | P | W | U;
    read_only = true;
    assert_int_equal(walk(AT(7, 0), ACCESS_WRITE), WALK_OK);
    assert_int_equal(page[4][7], 0xabc000 | P | W | U);
}

static void test_pae(void **state)
{
    (void)state;
    reg[REG_CR0] = CR0_PG;
    reg[REG_CR4] = CR4_PAE;
    reg[REG_CR3] = 0x1020;
    page[1][4 + 3] = 0x2000 | P; /* root entries have no rights of their own */
    page[2][511] = 0x3000 | P | W | U;
    page[3][1] = 0x100000000 | P | W | U;
    page[2][510] = 0x7fe00000 | P | W | PS;
    assert_int_equal(walk(0xffe01234, ACCESS_WRITE | ACCESS_USER), WALK_OK);
    assert_int_equal(gpa.v, 0x100000234);
    assert_int_equal(page[1][7], 0x2000 | P);
    assert_int_equal(walk(0xffc12345, ACCESS_READ), WALK_OK);
    assert_int_equal(gpa.v, 0x7fe12345);
    assert_int_equal(walk(0x00000000, ACCESS_READ), WALK_FAULT);
    assert_int_equal(walk(0x1ffe01234, ACCESS_READ), WALK_FAULT);
}

static void test_32_bit(void **state)
{
    uint32_t *directory = (uint32_t *)page[1], *table = (uint32_t *)page[2];
    (void)state;
    reg[REG_CR0] = CR0_PG | CR0_WP;
    reg[REG_CR4] = CR4_PSE;
    reg[REG_CR3] = 0x1000;
    directory[1023] = 0x2000 | P | W | U;
    table[1] = 0xfffff000 | P | W | U;
    directory[2] = 0x00c00000 | 1u << 13 | P | W | PS; /* PSE-36: bit 32 */
    assert_int_equal(walk(0xffc01fff, ACCESS_WRITE | ACCESS_USER), WALK_OK);
    assert_int_equal(gpa.v, 0xffffffff);
    assert_int_equal(table[1], 0xfffff000 | P | W | U | A | D);
    assert_int_equal(table[2], 0); /* the neighbour is not touched */
    assert_int_equal(walk(0x00812345, ACCESS_READ), WALK_OK);
    assert_int_equal(gpa.v, 0x100c12345);
    reg[REG_CR4] = 0; /* then the bit means nothing, and this is a table */
    directory[2] = 0x2000 | P | W | PS;
    assert_int_equal(walk(0x00801fff, ACCESS_READ), WALK_OK);
    assert_int_equal(gpa.v, 0xffffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_paging, fresh),   cmocka_unit_test_setup(test_four_levels, fresh),
        cmocka_unit_test_setup(test_large_pages, fresh), cmocka_unit_test_setup(test_rights, fresh),
        cmocka_unit_test_setup(test_addresses, fresh),   cmocka_unit_test_setup(test_read_only_tables, fresh),
        cmocka_unit_test_setup(test_pae, fresh),         cmocka_unit_test_setup(test_32_bit, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
