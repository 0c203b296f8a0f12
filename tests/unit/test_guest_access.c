/* sources: arch/x86_64/guest/guest_access.c arch/x86_64/guest/known_page.c arch/x86_64/guest/walk.c arch/x86_64/guest/p2m.c arch/x86_64/svm/npt.c hv/lock.c tests/unit/fake/p2m_world.c */
/* cflags: -Iarch/x86_64/include */
/*
 * Guest memory through the guest's own page tables. What is remembered to be fast must never differ from what
 * a walk would find, whatever the guest does to its tables and whoever takes pages out of its map.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <x86/msr.h>
#include <x86/paging.h>
#include <xen/errno.h>
#include "../../arch/x86_64/guest/guest_access.h"
#include "fake/p2m_world.h"

#define PAGES 64u /* gfn 0 to 63 are RAM; 1 to 4 the page tables */
#define BASE  0x7f0000000000ull

static struct domain *d = &world_domain;
static struct vcpu vcpu, *v = &vcpu;
static struct arch_vcpu arch;
static uint64_t reg[8];
static mfn_t frame[PAGES];

static uint64_t get_register(const struct vcpu *unused, enum guest_register which)
{
    (void)unused;
    return reg[which];
}

static uint64_t long_mode_root(const struct vcpu *unused)
{
    (void)unused;
    return reg[REG_EFER] & EFER_LMA ? reg[REG_CR3] : NO_ROOT;
}

static void get_segment(const struct vcpu *unused, enum segment_name which, struct segment *segment)
{
    (void)unused, (void)which;
    *segment = (struct segment){.access = SEGMENT_L | SEGMENT_P};
}

static uint64_t *ram(unsigned gfn)
{
    return mfn_to_virt(frame[gfn]);
}

/* The entry of the lowest table that maps the i-th page at BASE. */
static uint64_t *pte(unsigned i)
{
    return &ram(4)[i];
}

static gva_t at(unsigned i, unsigned offset)
{
    return GVA(BASE + (uint64_t)i * PAGE_SIZE + offset);
}

static int fresh(void **state)
{
    (void)state;
    world_begin(&npt_format);
    world_ops.get_register = get_register;
    world_ops.long_mode_root = long_mode_root;
    world_ops.get_segment = get_segment;
    memset(&arch, 0, sizeof(arch));
    vcpu = (struct vcpu){.domain = d, .arch = &arch};
    cpus[0]->current_vcpu = v;
    for (unsigned i = 0; i < PAGES; i++) {
        frame[i] = world_ram(0);
        memset(ram(i), 0, PAGE_SIZE);
        assert_int_equal(p2m_add(d, GFN(i), frame[i], 0, P2M_RAM), 0);
    }
    reg[REG_CR0] = CR0_PG | CR0_PE | CR0_WP;
    reg[REG_CR3] = 0x1000;
    reg[REG_CR4] = CR4_PAE;
    reg[REG_EFER] = EFER_LMA | EFER_LME | EFER_NXE;
    ram(1)[BASE >> 39] = 0x2000 | PTE_P | PTE_W;
    ram(2)[0] = 0x3000 | PTE_P | PTE_W;
    ram(3)[0] = 0x4000 | PTE_P | PTE_W;
    for (unsigned i = 0; i < PAGES; i++)
        *pte(i) = (uint64_t)i << PAGE_SHIFT | PTE_P | PTE_W;
    return 0;
}

static int dead(void **state)
{
    (void)state;
    world_end();
    return 0;
}

/* Each of these is a hypercall of its own: the guest ran in between. */
static uint32_t read_word(unsigned i)
{
    uint32_t value = 0;
    arch.entries++;
    assert_int_equal(copy_from_guest(&value, at(i, 0x100), sizeof(value)), 0);
    return value;
}

static int try_read(unsigned i)
{
    uint32_t value;
    arch.entries++;
    return copy_from_guest(&value, at(i, 0x100), sizeof(value));
}

static int try_write(unsigned i, uint32_t value)
{
    arch.entries++;
    return copy_to_guest(at(i, 0x100), &value, sizeof(value));
}

static void put_word(unsigned gfn, uint32_t value)
{
    memcpy((char *)ram(gfn) + 0x100, &value, sizeof(value));
}

static void take_out(unsigned gfn)
{
    struct p2m_entry old;
    assert_int_equal(p2m_remove(d, GFN(gfn), ~0u, &old), 0);
    frame_put(old.mfn);
}

static void put_back(unsigned gfn)
{
    frame[gfn] = world_ram(0);
    put_word(gfn, (uint32_t)frame[gfn].v);
    assert_int_equal(p2m_add(d, GFN(gfn), frame[gfn], 0, P2M_RAM), 0);
}

static void test_copies(void **state)
{
    char text[2 * PAGE_SIZE + 10], back[sizeof(text)];
    (void)state;
    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    *pte(11) = 20ull << PAGE_SHIFT | PTE_P | PTE_W; /* neighbours by address only */
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(copy_to_guest(at(10, 4000), text, sizeof(text)), 0);
        memset(back, 0, sizeof(back));
        assert_int_equal(copy_from_guest(back, at(10, 4000), sizeof(back)), 0);
        assert_memory_equal(text, back, sizeof(text));
    }
    assert_memory_equal((char *)ram(20), text + 96, PAGE_SIZE);
    assert_true(*pte(11) & PTE_D);
    assert_int_equal(clear_guest(at(10, 4090), 12), 0);
    assert_int_equal(ram(20)[0] & 0xffffffffffffull, 0);
    assert_int_equal(copy_from_gpa(d, back, GPA(20 * PAGE_SIZE + 96), 8), 0);
    assert_memory_equal(back, text + 192, 8);
    assert_int_equal(copy_to_gpa(d, GPA(PAGES * PAGE_SIZE - 4), text, 8), -XEN_EFAULT);
    assert_int_equal(copy_to_gpa(d, GPA(~0ull - 3), text, 8), -XEN_EFAULT);
}

static void test_refusals(void **state)
{
    char buffer[64];
    (void)state;
    assert_int_equal(copy_from_guest(buffer, GVA(0x0000800000000000), 1), -XEN_EFAULT);
    assert_int_equal(copy_from_guest(buffer, GVA(0x00008f0000000100), 4), -XEN_EFAULT);
    assert_int_equal(read_word(5), 0);
    assert_int_equal(copy_from_guest(buffer, GVA(at(5, 0x100).v | 1ull << 50), 4),
                     -XEN_EFAULT); /* alias of a known one */
    assert_int_equal(copy_from_guest(buffer, GVA(~0ull - 10), 64), -XEN_EFAULT);
    *pte(30) = 1000ull << PAGE_SHIFT | PTE_P; /* no RAM there */
    assert_int_equal(try_read(30), -XEN_EFAULT);
    *pte(31) = 0;
    assert_int_equal(copy_from_guest(buffer, at(30, 4090), 10), -XEN_EFAULT);
}

/* The guest changes each level of its tables between two accesses. */
static void test_tables_change(void **state)
{
    (void)state;
    put_word(10, 111);
    put_word(11, 222);
    assert_int_equal(read_word(10), 111);
    *pte(10) = 11ull << PAGE_SHIFT | PTE_P | PTE_W;
    assert_int_equal(read_word(10), 222);
    *pte(10) = 0;
    assert_int_equal(try_read(10), -XEN_EFAULT);
    *pte(10) = 10ull << PAGE_SHIFT | PTE_P | PTE_W;
    assert_int_equal(read_word(10), 111);

    memcpy(ram(40), ram(4), PAGE_SIZE); /* another lowest table, in which page 10 is 11 */
    ram(40)[10] = 11ull << PAGE_SHIFT | PTE_P;
    ram(3)[0] = 40ull << PAGE_SHIFT | PTE_P | PTE_W;
    assert_int_equal(read_word(10), 222);
    ram(3)[0] = 4ull << PAGE_SHIFT | PTE_P | PTE_W;
    assert_int_equal(read_word(10), 111);

    memcpy(ram(41), ram(1), PAGE_SIZE); /* another root */
    ram(41)[BASE >> 39] = 0;
    reg[REG_CR3] = 41 << PAGE_SHIFT;
    assert_int_equal(try_read(10), -XEN_EFAULT);
    reg[REG_CR3] = 0x1000;
    assert_int_equal(read_word(10), 111);
}

/* Within one hypercall: what was seen of the guest's tables counts as in a TLB, the map's changes at once. */
static void test_one_hypercall(void **state)
{
    uint32_t value = 0;
    (void)state;
    put_word(10, 111);
    put_word(11, 222);
    assert_int_equal(read_word(10), 111);
    *pte(10) = 11ull << PAGE_SHIFT | PTE_P | PTE_W;
    assert_int_equal(copy_from_guest(&value, at(10, 0x100), sizeof(value)), 0);
    assert_true(value == 111 || value == 222);
    assert_int_equal(read_word(10), 222);
    take_out(11);
    assert_int_equal(copy_from_guest(&value, at(10, 0x100), sizeof(value)), -XEN_EFAULT);
}

static void test_rights_change(void **state)
{
    (void)state;
    assert_int_equal(try_write(10, 1), 0);
    assert_int_equal(try_write(10, 2), 0);
    *pte(10) &= ~PTE_W;
    assert_int_equal(try_write(10, 3), -XEN_EFAULT);
    assert_int_equal(read_word(10), 2);
    *pte(10) = 10ull << PAGE_SHIFT | PTE_P | PTE_W; /* clean again: a write marks it */
    assert_int_equal(read_word(10), 2);
    assert_int_equal(try_write(10, 4), 0);
    assert_true(*pte(10) & PTE_D);
    ram(2)[0] &= ~PTE_W;
    assert_int_equal(try_write(10, 5), -XEN_EFAULT);
    assert_int_equal(read_word(10), 4);
    struct p2m_entry old;
    assert_int_equal(p2m_remove(d, GFN(12), ~0u, &old), 0);
    assert_int_equal(p2m_add(d, GFN(12), old.mfn, 0, P2M_GRANT_RO), 0);
    ram(2)[0] |= PTE_W;
    assert_int_equal(try_read(12), 0);
    assert_int_equal(try_write(12, 6), -XEN_EFAULT);
}

/* Somebody takes pages out of the map, and puts others there. */
static void test_map_changes(void **state)
{
    (void)state;
    put_word(10, 111);
    assert_int_equal(read_word(10), 111);
    assert_int_equal(try_write(13, 5), 0);
    take_out(50); /* does not concern them */
    assert_int_equal(read_word(10), 111);
    assert_int_equal(try_write(13, 6), 0);
    take_out(10);
    assert_int_equal(try_read(10), -XEN_EFAULT);
    put_back(10);
    assert_int_equal(read_word(10), frame[10].v);

    take_out(4); /* a page table */
    assert_int_equal(try_read(10), -XEN_EFAULT);
    assert_int_equal(try_write(13, 7), -XEN_EFAULT);
    mfn_t other = world_ram(0);
    memset(mfn_to_virt(other), 0, PAGE_SIZE);
    ((uint64_t *)mfn_to_virt(other))[10] = 13ull << PAGE_SHIFT | PTE_P;
    assert_int_equal(p2m_add(d, GFN(4), other, 0, P2M_RAM), 0);
    assert_int_equal(read_word(10), 6);
}

static void test_large_page(void **state)
{
    (void)state;
    put_word(5, 55);
    ram(3)[1] = 0 | PTE_P | PTE_W | PTE_PS; /* gfn 0 to 511 at BASE + 2 MiB */
    uint32_t value;
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(copy_from_guest(&value, GVA(BASE + (2u << 20) + 5 * PAGE_SIZE + 0x100), 4), 0);
        assert_int_equal(value, 55);
        assert_int_equal(copy_from_guest(&value, GVA(BASE + (2u << 20) + 100 * PAGE_SIZE), 4), -XEN_EFAULT);
    }
    assert_int_equal(copy_to_guest(GVA(BASE + (2u << 20) + 5 * PAGE_SIZE), &value, 4), 0);
    assert_true(ram(3)[1] & PTE_D);
}

static void test_dying(void **state)
{
    (void)state;
    assert_int_equal(try_read(10), 0);
    d->dying = DOMAIN_DYING;
    (void)p2m_domain_kill(d);
    assert_int_equal(try_read(10), -XEN_EFAULT);
    assert_null(map_guest_frame(d, GFN(10), false));
}

static void test_fetch_and_frames(void **state)
{
    char code[15];
    (void)state;
    memset((char *)ram(10) + PAGE_SIZE - 5, 0x90, 5);
    *pte(11) = 0;
    assert_int_equal(fetch_guest(v, BASE + 11 * PAGE_SIZE - 5, code, sizeof(code)), 5);
    *pte(11) = 11ull << PAGE_SHIFT | PTE_P;
    assert_int_equal(fetch_guest(v, BASE + 11 * PAGE_SIZE - 5, code, sizeof(code)), 15);
    void *page = map_guest_frame(d, GFN(7), true);
    assert_ptr_equal(page, ram(7));
    frame_put(virt_to_mfn(page));
    assert_null(map_guest_frame(d, GFN(PAGES), false));
}

/* Random changes and accesses, against a walk that remembers nothing. */
static void test_random(void **state)
{
    (void)state;
    unsigned frames_added = 0;
    srand(1);
    for (unsigned i = 10; i < 40; i++)
        put_word(i, 1000 + i);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = 10 + rand() % 30, other = 10 + rand() % 30;
        switch (rand() % 8) {
        case 0:
            *pte(i) = rand() % 4 ? (uint64_t)other << PAGE_SHIFT | PTE_P | (rand() & PTE_W) : 0;
            break;
        case 1:
            if (p2m_lookup(d, GFN(other)).type == P2M_RAM)
                take_out(other);
            else if (frames_added++ < 4000)
                put_back(other);
            break;
        default: {
            uint32_t value = 0;
            uint64_t entry = *pte(i);
            struct p2m_entry backing = p2m_lookup(d, GFN((entry & PTE_ADDR) >> PAGE_SHIFT));
            arch.entries++;
            bool readable = entry & PTE_P && backing.type == P2M_RAM, write = rand() % 2;
            int error = write ? try_write(i, 1000 + i) : copy_from_guest(&value, at(i, 0x100), sizeof(value));
            assert_int_equal(error, readable && (!write || entry & PTE_W) ? 0 : -XEN_EFAULT);
            if (!error && !write)
                assert_memory_equal(&value, (char *)mfn_to_virt(backing.mfn) + 0x100, sizeof(value));
        }
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, dead)
    const struct CMUnitTest tests[] = {
        TEST(test_copies),        TEST(test_refusals),      TEST(test_tables_change),
        TEST(test_one_hypercall), TEST(test_rights_change), TEST(test_map_changes),
        TEST(test_large_page),    TEST(test_dying),         TEST(test_fetch_and_frames),
        TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
