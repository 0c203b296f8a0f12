/* sources: arch/x86_64/guest/p2m.c arch/x86_64/svm/npt.c arch/x86_64/vmx/ept.c hv/lock.c tests/unit/fake/p2m_world.c */
/* cflags: -pthread -Iarch/x86_64/include */
/* The guest-physical map, in both formats: sizes of pages, splitting, refusals that change nothing, death in
 * steps. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include "fake/p2m_world.h"

#define GIB (1ull << ORDER_1G)

static struct domain *d = &world_domain;

static int fresh(void **state)
{
    return world_begin(*state);
}

static int dead(void **state)
{
    (void)state;
    world_end();
    return 0;
}

static void expect(uint64_t gfn, uint64_t mfn, enum p2m_type type, unsigned order)
{
    struct p2m_entry entry = p2m_lookup(d, GFN(gfn));
    assert_int_equal(entry.type, type);
    assert_int_equal(entry.mfn.v, mfn);
    if (type != P2M_NONE)
        assert_int_equal(entry.order, order);
}
#define EXPECT_NONE(gfn) expect(gfn, ~0ull, P2M_NONE, 0)

static void test_sizes(void **state)
{
    (void)state;
    mfn_t one = world_ram(0), large = world_ram(ORDER_2M);
    assert_int_equal(p2m_add(d, GFN(7), one, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(1024), large, ORDER_2M, P2M_RAM_RO), 0);
    assert_int_equal(p2m_add(d, GFN(4 * GIB), MFN(2 * GIB), ORDER_1G, P2M_DEVICE), 0);
    assert_int_equal(p2m_add(d, GFN(2048), MFN(0x100001), ORDER_2M, P2M_DEVICE),
                     0); /* not aligned: small entries */
    assert_int_equal(p2m_add(d, GFN(8192), MFN(0x200000), 12, P2M_DEVICE), 0); /* eight large pages */
    expect(7, one.v, P2M_RAM, 0);
    expect(1024 + 511, large.v + 511, P2M_RAM_RO, ORDER_2M);
    expect(5 * GIB - 1, 3 * GIB - 1, P2M_DEVICE, ORDER_1G);
    expect(2048 + 5, 0x100006, P2M_DEVICE, 0);
    expect(8192 + 4095, 0x200fff, P2M_DEVICE, ORDER_2M);
    EXPECT_NONE(8);
    EXPECT_NONE(1023);
    EXPECT_NONE(5 * GIB);
    EXPECT_NONE(~0ull);
    assert_int_equal(p2m_max_gfn(d).v, 5 * GIB - 1);
}

static void test_refusals(void **state)
{
    (void)state;
    mfn_t one = world_ram(0), large = world_ram(ORDER_2M), other = world_ram(0);
    assert_int_equal(p2m_add(d, GFN(512 + 300), one, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), -XEN_EEXIST);
    EXPECT_NONE(512); /* nothing of it happened */
    EXPECT_NONE(512 + 511);
    assert_int_equal(p2m_add(d, GFN(1), large, ORDER_2M, P2M_RAM), -XEN_EINVAL);
    assert_int_equal(p2m_add(d, GFN(1ull << 36), other, 0, P2M_RAM), -XEN_EINVAL);
    assert_int_equal(p2m_add(d, GFN(~0ull << 9), large, ORDER_2M, P2M_RAM), -XEN_EINVAL);
    assert_int_equal(p2m_add(d, GFN(0), large, 60, P2M_RAM), -XEN_EINVAL);
    assert_int_equal(p2m_add(d, GFN(0), MFN(~0ull - 100), ORDER_2M, P2M_DEVICE), -XEN_EINVAL);
    assert_int_equal(p2m_add(d, GFN(0), large, ORDER_2M, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(0), other, 0, P2M_RAM), -XEN_EEXIST);
    frame_put(other);
    expect(0, large.v, P2M_RAM, ORDER_2M); /* and was not split for nothing */
}

static void test_remove_splits(void **state)
{
    struct p2m_entry old;
    (void)state;
    mfn_t large = world_ram(ORDER_2M);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    uint64_t epoch = world_arch.tlb_epoch;
    assert_int_equal(p2m_remove(d, GFN(513), P2M_BIT(P2M_RAM), &old), 0);
    assert_int_equal(old.mfn.v, large.v + 1);
    assert_int_equal(old.type, P2M_RAM);
    assert_true(world_arch.tlb_epoch > epoch);
    EXPECT_NONE(513);
    expect(512, large.v, P2M_RAM, 0);
    expect(1023, large.v + 511, P2M_RAM, 0);
    frame_put(old.mfn);
    assert_int_equal(p2m_remove(d, GFN(513), ~0u, &old), -XEN_ENOENT);
    assert_int_equal(p2m_remove(d, GFN(1ull << 40), ~0u, &old), -XEN_ENOENT);
    assert_int_not_equal(p2m_remove(d, GFN(512), P2M_BIT(P2M_GRANT_RW), &old), 0);
    expect(512, large.v, P2M_RAM, 0);

    assert_int_equal(p2m_add(d, GFN(GIB), MFN(GIB), ORDER_1G, P2M_DEVICE), 0);
    assert_int_equal(p2m_remove(d, GFN(GIB + 1000), ~0u, &old), 0);
    assert_int_equal(old.mfn.v, GIB + 1000);
    expect(GIB, GIB, P2M_DEVICE, ORDER_2M);
    expect(GIB + 1001, GIB + 1001, P2M_DEVICE, 0);
}

/* A guest that spreads its pages gets no more than its share of the hypervisor's memory, and dies in steps.
 */
static void test_tables_are_bounded(void **state)
{
    int error = 0;
    (void)state;
    for (uint64_t i = 0; !error; i++)
        error = p2m_add(d, GFN(i * 3 * GIB), MFN(i), 0, P2M_DEVICE);
    assert_int_equal(error, -XEN_ENOMEM);
    assert_in_range(p2m_table_pages(d), 1000, 1200);
    d->dying = DOMAIN_DYING;
    EXPECT_NONE(0);
    assert_int_equal(p2m_add(d, GFN(1), MFN(1), 0, P2M_DEVICE), -XEN_EINVAL);
    unsigned steps = 1;
    while (p2m_domain_kill(d) == HYPERCALL_RESTART)
        steps++;
    assert_true(steps > 5);
    struct p2m_entry old;
    assert_int_equal(p2m_remove(d, GFN(0), ~0u, &old), -XEN_ENOENT);
    assert_int_equal(p2m_table_pages(d), 1);
}

/* Whatever is put in, nothing but the type of entry decides what the hardware is told, and nothing at all is
 * zero. */
static void test_no_leftovers(void **state)
{
    struct p2m_entry old;
    (void)state;
    assert_int_equal(p2m_add(d, GFN(0), MFN(1), 0, P2M_DEVICE), 0);
    assert_int_equal(p2m_remove(d, GFN(0), ~0u, &old), 0);
    const uint64_t *table = world_arch.p2m_root;
    for (unsigned level = 0; level < 3; level++)
        table = mfn_to_virt(MFN((table[0] & P2M_ENTRY_ADDRESS) >> PAGE_SHIFT));
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(table[i], 0);
}

/* --- who may have written: every frame whose entry goes away dirty is told, no other ---------------------- */

static uint64_t *slot_of(uint64_t gfn, unsigned order)
{
    uint64_t *table = world_arch.p2m_root;
    for (unsigned level = 27; level > order; level -= 9)
        table = mfn_to_virt(MFN((table[gfn >> level & 511] & P2M_ENTRY_ADDRESS) >> PAGE_SHIFT));
    return &table[gfn >> order & 511];
}

static unsigned dirty_count(mfn_t first, unsigned count)
{
    unsigned dirty = 0;
    for (unsigned i = 0; i < count; i++)
        dirty += world_dirty[first.v + i];
    return dirty;
}

static void kill(void)
{
    d->dying = DOMAIN_DYING;
    while (p2m_domain_kill(d) == HYPERCALL_RESTART)
        ;
}

static void test_untouched_stays_clean(void **state)
{
    struct p2m_entry old;
    (void)state;
    mfn_t one = world_ram(0), large = world_ram(ORDER_2M), taken = world_ram(0);
    assert_int_equal(p2m_add(d, GFN(3), one, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(5), taken, 0, P2M_RAM), 0);
    assert_int_equal(p2m_remove(d, GFN(5), ~0u, &old), 0);
    frame_put(old.mfn);
    kill();
    assert_int_equal(dirty_count(MFN(FAKE_FRAMES / 2), FAKE_FRAMES / 2), 0);
}

/* As the processor does it. */
static void test_written_by_guest(void **state)
{
    const struct p2m_format *format = *state;
    struct p2m_entry old;
    (void)state;
    mfn_t one = world_ram(0), large = world_ram(ORDER_2M), taken = world_ram(0), other = world_ram(ORDER_2M);
    assert_int_equal(p2m_add(d, GFN(3), one, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(5), taken, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(1024), other, ORDER_2M, P2M_RAM), 0);
    *slot_of(3, 0) |= format->dirty;
    *slot_of(5, 0) |= format->dirty;
    *slot_of(512, ORDER_2M) |= format->dirty;
    assert_int_equal(p2m_remove(d, GFN(5), ~0u, &old), 0);
    assert_int_equal(dirty_count(taken, 1), 1); /* at once: it may have been freed when the domain dies */
    assert_int_equal(dirty_count(one, 1), 0);
    frame_put(old.mfn);
    kill();
    assert_int_equal(dirty_count(one, 1), 1);
    assert_int_equal(dirty_count(large, 512), 512);
    assert_int_equal(dirty_count(other, 512), 0);
}

/* Copies by the hypervisor, foreign mappings, grants: they all begin with a look. */
static void test_looked_at(void **state)
{
    struct p2m_slot slot;
    (void)state;
    mfn_t one = world_ram(0), large = world_ram(ORDER_2M), slotted = world_ram(0),
          other = world_ram(ORDER_2M);
    assert_int_equal(p2m_add(d, GFN(3), one, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(5), slotted, 0, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(1024), other, ORDER_2M, P2M_RAM), 0);
    expect(3, one.v, P2M_RAM, 0);
    expect(1000, large.v + 488, P2M_RAM, ORDER_2M);
    assert_int_equal(p2m_lookup_slot(d, GFN(5), &slot).mfn.v, slotted.v);
    assert_int_equal(*slot.at, slot.value); /* the processor has nothing left to change there */
    EXPECT_NONE(4);
    kill();
    assert_int_equal(dirty_count(one, 1), 1);
    assert_int_equal(dirty_count(slotted, 1), 1);
    assert_int_equal(dirty_count(large, 512), 512);
    assert_int_equal(dirty_count(other, 512), 0);
}

/* A large page that is split, of which only the processor knows what it wrote in that moment. */
static void test_split_is_dirty(void **state)
{
    struct p2m_entry old;
    (void)state;
    mfn_t large = world_ram(ORDER_2M);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    assert_int_equal(p2m_remove(d, GFN(513), ~0u, &old), 0);
    assert_int_equal(dirty_count(large, 512), 1);
    frame_put(old.mfn);
    kill();
    assert_int_equal(dirty_count(large, 512), 512);
}

/* What was dirty when it was mapped, and every type of entry that is not the domain's own RAM. */
static void test_dirty_from_the_start(void **state)
{
    const struct p2m_format *format = *state;
    (void)state;
    mfn_t large = world_ram(ORDER_2M), clean = world_ram(ORDER_2M);
    frames_dirty(mfn_plus(large, 77), 1);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    assert_int_equal(p2m_add(d, GFN(1024), clean, ORDER_2M, P2M_RAM), 0);
    assert_int_not_equal(*slot_of(512, ORDER_2M) & format->dirty, 0);
    assert_int_equal(*slot_of(1024, ORDER_2M) & format->dirty, 0);
    for (enum p2m_type type = P2M_RAM_RO; type <= P2M_DEVICE; type++) {
        assert_int_equal(p2m_add(d, GFN(2048 + type), world_ram(0), 0, type), 0);
        assert_int_not_equal(*slot_of(2048 + type, 0) & format->dirty, 0);
    }
    struct p2m_entry old;
    assert_int_equal(p2m_remove(d, GFN(2048 + P2M_DEVICE), ~0u, &old), 0);
    assert_int_equal(dirty_count(old.mfn, 1), 0); /* registers have no descriptor */
    frame_put(old.mfn);
}

/* A processor that does not track: all that was ever mapped is dirty. */
static void test_no_tracking(void **state)
{
    const struct p2m_format *format = *state;
    p2m_set_format(format, ORDER_1G, 48, false);
    mfn_t large = world_ram(ORDER_2M);
    assert_int_equal(p2m_add(d, GFN(512), large, ORDER_2M, P2M_RAM), 0);
    kill();
    assert_int_equal(dirty_count(large, 512), 512);
}

static volatile bool flushed;

static void *flush(void *unused)
{
    (void)unused;
    fake_this_cpu = cpus[1];
    p2m_flush(d);
    flushed = true;
    return NULL;
}

/* The flush returns when the CPU that used the map has left it, even if it uses it again at once. */
static void test_flush_waits(void **state)
{
    pthread_t thread;
    (void)state;
    flushed = false;
    guest_access_begin(d);
    assert_int_equal(pthread_create(&thread, NULL, flush, NULL), 0);
    while (!world_kicks)
        cpu_relax();
    assert_false(flushed);
    guest_access_end();
    guest_access_begin(d);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(flushed);
    guest_access_end();
}

#define BOTH(test)                                                                                           \
    {#test " NPT", test, fresh, dead, (void *)&npt_format},                                                  \
    {                                                                                                        \
#test " EPT", test, fresh, dead, (void *)&ept_format                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_sizes),
        BOTH(test_refusals),
        BOTH(test_remove_splits),
        BOTH(test_tables_are_bounded),
        BOTH(test_no_leftovers),
        BOTH(test_flush_waits),
        BOTH(test_untouched_stays_clean),
        BOTH(test_written_by_guest),
        BOTH(test_looked_at),
        BOTH(test_split_is_dirty),
        BOTH(test_dirty_from_the_start),
        BOTH(test_no_tracking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
