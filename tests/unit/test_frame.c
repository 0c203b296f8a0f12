/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c */
/* cflags: -pthread */
/* Machine frames: what is taken comes back, counts are right, nobody sees another's data. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <xen/domctl.h>
#include "fake/fake.h"

static struct domain *d;

static void test_orders(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    mfn_t block[10];
    for (unsigned order = 0; order < 10; order++) {
        block[order] = frame_alloc(d, order, ALLOC_ANY);
        assert_true(mfn_valid_value(block[order]));
        assert_int_equal(block[order].v & ((1u << order) - 1), 0);
        assert_int_equal(frame_owner(block[order]), d->id);
    }
    assert_int_equal(d->total_pages, 1023);
    assert_int_equal(frames_free(), free - 1023);
    for (unsigned order = 0; order < 10; order++)
        for (unsigned i = 0; i < 1u << order; i++)
            frame_put(mfn_plus(block[order], i));
    assert_int_equal(d->total_pages, 0);
    assert_int_equal(frames_free(), free);
    assert_int_equal(frame_owner(block[3]), DOMID_INVALID);
}

/* After any order of freeing, buddies are one block again. */
static void test_buddies_join(void **state)
{
    (void)state;
    static void *page[4096];
    uint64_t free = frames_free();
    for (unsigned i = 0; i < 4096; i++)
        page[i] = page_alloc(0);
    for (unsigned i = 0; i < 4096; i++)
        page_free(page[(i * 1237) % 4096], 0);
    assert_int_equal(frames_free(), free);
    void *large = page_alloc(12);
    assert_non_null(large);
    page_free(large, 12);
}

static void test_limit(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    d->max_pages = 3;
    mfn_t a = frame_alloc(d, 1, ALLOC_ANY);
    assert_true(mfn_valid_value(a));
    assert_false(mfn_valid_value(frame_alloc(d, 1, ALLOC_ANY)));
    assert_false(mfn_valid_value(frame_alloc(d, 40, ALLOC_ANY)));
    assert_int_equal(d->total_pages, 2);
    frame_put(a);
    frame_put(mfn_plus(a, 1));
    d->max_pages = UINT32_MAX;
    assert_int_equal(frames_free(), free);
    assert_false(mfn_valid_value(frame_alloc(d, 14, ALLOC_ANY)));
    assert_int_equal(d->total_pages, 0);
}

/* What one domain has claimed neither the others nor the hypervisor get. */
static void test_claim(void **state)
{
    (void)state;
    struct domain *other = fake_domain(1, false);
    uint64_t free = frames_free();
    assert_int_equal(frames_claim(d, free + 1), -XEN_ENOMEM);
    d->max_pages = 9;
    assert_int_equal(frames_claim(d, 10), -XEN_EINVAL);
    d->max_pages = UINT32_MAX;
    mfn_t a = frame_alloc(d, 0, ALLOC_ANY);
    assert_int_equal(frames_claim(d, 1), -XEN_EINVAL);
    assert_int_equal(frames_claim(d, free - 1), 0); /* one is left for others */
    assert_int_equal(frames_claim(d, free - 1), -XEN_EINVAL);
    assert_int_equal(frames_claim(other, 2), -XEN_ENOMEM);
    assert_int_equal(frames_claimed(), free - 2);
    assert_false(mfn_valid_value(frame_alloc(other, 1, ALLOC_ANY)));
    assert_null(page_alloc(1));
    mfn_t b = frame_alloc(other, 0, ALLOC_ANY);
    assert_true(mfn_valid_value(b));
    assert_null(page_alloc(0));
    assert_null(page_alloc_shared(other));
    assert_false(frame_alloc_at(other, MFN(mfn_plus(b, 1).v), 1));

    mfn_t c = frame_alloc(d, 1, ALLOC_ANY);
    assert_true(mfn_valid_value(c));
    assert_int_equal(frames_claimed(), free - 4);
    frame_put(c); /* what comes back is anybody's */
    frame_put(mfn_plus(c, 1));
    assert_int_equal(d->claimed_pages, free - 4);
    assert_int_equal(frames_claim(d, 0), 0);
    assert_int_equal(frames_claimed(), 0);
    assert_int_equal(frames_claim(d, 0), 0);
    frame_put(a);
    frame_put(b);
    assert_int_equal(frames_free(), free);

    d->dying = DOMAIN_DYING;
    assert_int_equal(frames_claim(d, 5), -XEN_EINVAL);
    d->dying = DOMAIN_ALIVE;
}

static void test_alloc_at(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    assert_true(frame_alloc_at(d, MFN(9001), 700));
    assert_int_equal(frames_free(), free - 700);
    assert_false(frame_alloc_at(d, MFN(9700), 2));
    assert_false(frame_alloc_at(d, MFN(8999), 3));
    assert_true(frame_alloc_at(d, MFN(8999), 2));
    assert_false(frame_alloc_at(d, MFN(0), 1));
    assert_false(frame_alloc_at(d, MFN(FAKE_FRAMES - 1), 2));
    assert_false(frame_alloc_at(d, MFN(~0ull - 1), 4));
    assert_int_equal(d->total_pages, 702);
    for (unsigned i = 0; i < 702; i++)
        frame_put(MFN(8999 + i));
    assert_int_equal(frames_free(), free);
}

static void test_references(void **state)
{
    (void)state;
    mfn_t mfn = frame_alloc(d, 0, ALLOC_ANY);
    assert_true(frame_get(mfn, d->id));
    assert_false(frame_get(mfn, d->id + 1));
    assert_false(frame_get(MFN(FAKE_FRAMES), d->id));
    assert_false(frame_get(INVALID_MFN, d->id));
    frame_get_held(mfn);
    frame_put(mfn);
    frame_put(mfn);
    assert_int_equal(d->total_pages, 1);
    frame_put(mfn);
    assert_int_equal(d->total_pages, 0);
    assert_false(frame_get(mfn, d->id));
    EXPECT_PANIC(frame_put(mfn));
    EXPECT_PANIC(frame_get_held(mfn));
    frame_table[mfn.v].refs = 0; /* what the last panic left */
}

static void write_to(mfn_t mfn, const char *text)
{
    strcpy(mfn_to_virt(mfn), text);
    frames_dirty(mfn, 1); /* as the p2m says it */
}

static void test_scrub(void **state)
{
    (void)state;
    struct domain *other = fake_domain(1, false);
    mfn_t mfn = frame_alloc(d, 0, ALLOC_ANY);
    write_to(mfn, "secret");
    frame_put(mfn);
    mfn_t again = frame_alloc(d, 0, ALLOC_ANY);
    assert_int_equal(again.v, mfn.v);
    assert_string_equal((char *)mfn_to_virt(mfn), "secret"); /* its own data */
    assert_false(frames_clean(mfn, 1));
    frame_put(again);
    again = frame_alloc(other, 0, ALLOC_ANY);
    assert_int_equal(again.v, mfn.v);
    assert_string_equal((char *)mfn_to_virt(mfn), "");
    frame_put(again);
    fake_destroy(other);
}

/* Another domain with the same id is another domain. */
static void test_scrub_reused_id(void **state)
{
    (void)state;
    struct xen_domctl_createdomain config = {.max_vcpus = 1,
                                             .max_evtchn_port = 10,
                                             .max_grant_frames = 1,
                                             .max_maptrack_frames = 1,
                                             .grant_opts = 1};
    struct domain *first, *second;
    assert_int_equal(domain_create(77, &config, false, &first), 0);
    assert_int_equal(domain_create(77, &config, false, &second), -XEN_EEXIST);
    first->max_pages = 10;
    mfn_t mfn = frame_alloc(first, 0, ALLOC_ANY);
    write_to(mfn, "secret");
    frame_put(mfn);
    fake_destroy(first);
    assert_null(domain_find(77));
    assert_int_equal(domain_create(77, &config, false, &second), 0);
    second->max_pages = 4;
    for (unsigned i = 0; i < 4; i++) {
        mfn = frame_alloc(second, 0, ALLOC_ANY);
        assert_string_equal((char *)mfn_to_virt(mfn), "");
        assert_int_equal(p2m_add(second, GFN(i), mfn, 0, P2M_RAM), 0);
    }
    fake_destroy(second);
}

/* A run is given back as one block, but for what somebody else still holds. */
static void test_put_run(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    mfn_t first = frame_alloc(d, 9, ALLOC_ANY), held = mfn_plus(first, 100);
    frame_get_held(held);
    frame_get_held(mfn_plus(first, 511));
    frames_put(first, 512);
    assert_int_equal(d->total_pages, 2);
    assert_int_equal(frames_free(), free - 2);
    assert_int_equal(frame_owner(held), d->id);
    assert_int_equal(frame_owner(mfn_plus(first, 99)), DOMID_INVALID);
    frames_put(held, 1);
    frame_put(mfn_plus(first, 511));
    assert_int_equal(d->total_pages, 0);
    assert_int_equal(frames_free(), free);
    assert_true(frame_alloc_at(d, first, 512)); /* together again */
    frames_put(first, 512);
    EXPECT_PANIC(frames_put(first, 1));
}

/* Scrubbed once is enough until somebody may have written, and these always may have. */
static void test_clean(void **state)
{
    (void)state;
    mfn_t mfn = frame_alloc(d, 2, ALLOC_ANY);
    assert_true(frames_clean(mfn, 4));
    frames_dirty(mfn_plus(mfn, 2), 1);
    assert_false(frames_clean(mfn, 4));
    assert_true(frames_clean(mfn, 2));
    assert_int_equal(frame_table[mfn.v].refs, 1);
    assert_int_equal(frame_owner(mfn_plus(mfn, 2)), d->id);
    frames_put(mfn, 4);

    mfn = frame_alloc(d, 0, ALLOC_NO_SCRUB);
    assert_false(frames_clean(mfn, 1));
    frame_put(mfn);
    mfn = frame_alloc(dom0, 0, ALLOC_ANY); /* devices write there */
    assert_false(frames_clean(mfn, 1));
    frame_put(mfn);
    char *page = page_alloc(0);
    assert_false(frames_clean(virt_to_mfn(page), 1));
    page_free(page, 0);
    page = page_alloc_shared(d);
    assert_false(frames_clean(virt_to_mfn(page), 1));
    page_free_shared(page);
    assert_true(frame_alloc_at(d, MFN(9001), 1));
    assert_false(frames_clean(MFN(9001), 1));
    frame_put(MFN(9001));
}

static unsigned scrub_all(void)
{
    unsigned steps = 0;
    while (frames_scrub())
        steps++;
    return steps;
}

static bool free_and_clean(mfn_t mfn)
{
    return frame_table[mfn.v].refs == 0 && frames_clean(mfn, 1);
}

/* CPUs without work scrub what domains gave back, and nothing else; it is free all the time. */
static void test_scrub_while_idle(void **state)
{
    (void)state;
    scrub_all();
    uint64_t free = frames_free();
    mfn_t block = frame_alloc(d, 9, ALLOC_ANY), kept = mfn_plus(block, 200),
          single = frame_alloc(d, 0, ALLOC_ANY);
    mfn_t devices = frame_alloc(dom0, 0, ALLOC_ANY);
    for (unsigned i = 0; i < 512; i++)
        write_to(mfn_plus(block, i), "secret");
    write_to(single, "secret");
    strcpy(mfn_to_virt(devices), "late");
    assert_false(frames_scrub());
    frame_get_held(kept);
    frames_put(block, 512);
    frame_put(single);
    frame_put(devices);
    assert_int_equal(frames_free(), free - 1);
    assert_true(frames_scrub()); /* one at a time, from the first on */
    assert_true(free_and_clean(MIN(block.v, single.v) == block.v ? block : single));
    assert_false(free_and_clean(mfn_plus(block, 511)));
    assert_int_equal(frames_free(), free - 1);
    assert_in_range(scrub_all(), 511, 2000); /* some of it was the hypervisor's */
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(free_and_clean(mfn_plus(block, i)), i != 200);
    assert_true(free_and_clean(single));
    assert_string_equal((char *)mfn_to_virt(kept), "secret");
    assert_string_equal((char *)mfn_to_virt(block), "");
    assert_false(free_and_clean(devices));
    assert_string_equal((char *)mfn_to_virt(devices), "late");
    assert_int_equal(frame_table[FAKE_FRAMES - 1].flags & FRAME_CLEAN, 0); /* what nobody ever had */
    frame_put(kept);
    assert_int_equal(frames_free(), free);
    scrub_all();
    assert_true(free_and_clean(kept));
    assert_true(frame_alloc_at(d, block, 512)); /* and together again */
    frames_put(block, 512);
}

/* Nothing is scrubbed that is on its way out of the lists, or into them. */
static void test_scrub_leaves_what_is_taken(void **state)
{
    (void)state;
    mfn_t mfn = frame_alloc(d, 0, ALLOC_ANY);
    write_to(mfn, "secret");
    frame_put(mfn);
    mfn_t again = frame_alloc(d, 0, ALLOC_NO_SCRUB);
    assert_int_equal(again.v, mfn.v);
    frame_table[mfn.v].refs = 0; /* another CPU took it off the list, and has not said so yet */
    scrub_all();
    assert_string_equal((char *)mfn_to_virt(mfn), "secret");
    frame_table[mfn.v].refs = 1;
    frame_put(mfn);
}

/* A debug build looks whether what is said to be clean is. */
static void test_clean_is_checked(void **state)
{
    (void)state;
    struct domain *other = fake_domain(1, false);
    mfn_t mfn = frame_alloc(other, 0, ALLOC_ANY);
    strcpy(mfn_to_virt(mfn), "secret");
    frame_put(mfn);
    EXPECT_PANIC(frame_alloc(d, 0, ALLOC_ANY));
    memset(mfn_to_virt(mfn), 0, PAGE_SIZE);
    assert_true(frame_table[mfn.v].refs == 0);
    frame_table[mfn.v].refs = 1; /* what frame_alloc() was about to do */
    frame_table[mfn.v].owner = d->id;
    frame_put(mfn);
    fake_destroy(other);
}

/* A domain lives as long as one of its frames is used. */
static void test_frames_keep_domain(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    struct domain *other = fake_domain(1, false);
    domid_t id = other->id;
    mfn_t mfn = frame_alloc(other, 0, ALLOC_ANY);
    fake_destroy(other);
    assert_ptr_equal(domain_find(id), other);
    assert_int_equal(other->dying, DOMAIN_DEAD);
    frame_put(mfn);
    fake_settle();
    assert_null(domain_find(id));
    assert_int_equal(frames_free(), free);
}

static void test_shared_pages(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    char *page = page_alloc_shared(d);
    assert_int_equal(page[17], 0);
    assert_int_equal(d->total_pages, 0);
    assert_true(frame_get(virt_to_mfn(page), d->id));
    page_free_shared(page);
    assert_int_equal(frames_free(), free - 1);
    frame_put(virt_to_mfn(page));
    assert_int_equal(frames_free(), free);
    EXPECT_PANIC(page_free(fake_page(d, 5), 0));
    struct p2m_entry old;
    assert_int_equal(p2m_remove(d, GFN(5), P2M_BIT(P2M_RAM), &old), 0);
    frame_put(old.mfn);
}

static void test_heap(void **state)
{
    (void)state;
    static unsigned char *object[600];
    uint64_t free = frames_free();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 600; i++) {
            size_t size = 1 + i * 7 % 4096;
            object[i] = heap_alloc(size);
            assert_non_null(object[i]);
            for (size_t j = 0; j < size; j++)
                assert_int_equal(object[i][j], 0);
            memset(object[i], (int)i, size);
        }
        for (unsigned i = 0; i < 600; i++) {
            size_t size = 1 + i * 7 % 4096;
            assert_int_equal(object[i][0], i & 0xff);
            assert_int_equal(object[i][size - 1], i & 0xff);
        }
        for (unsigned i = 0; i < 600; i++)
            heap_free(object[(i * 7) % 600]);
    }
    assert_int_equal(frames_free(), free);
    assert_null(heap_alloc(4097));
    heap_free(NULL);
}

/* CPUs take and drop references of one frame, and pages of one domain, at the same time. */
static mfn_t contended;

static void *race(void *cpu)
{
    fake_cpu((unsigned)(uintptr_t)cpu);
    for (unsigned i = 0; i < 20000; i++) {
        assert_true(frame_get(contended, d->id));
        mfn_t mfn = frame_alloc(d, i % 3, ALLOC_NO_SCRUB);
        frames_scrub();
        assert_true(mfn_valid_value(mfn));
        for (unsigned j = 0; j < 1u << i % 3; j++)
            frame_put(mfn_plus(mfn, j));
        frame_put(contended);
    }
    return NULL;
}

static void test_race(void **state)
{
    (void)state;
    pthread_t thread[3];
    uint64_t free = frames_free();
    contended = frame_alloc(d, 0, ALLOC_ANY);
    for (uintptr_t i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, race, (void *)(i + 1));
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(d->total_pages, 1);
    assert_int_equal(frame_table[contended.v].refs, 1);
    frame_put(contended);
    assert_int_equal(frames_free(), free);
}

static int boot(void **state)
{
    (void)state;
    fake_boot(4);
    fake_domain(1, true);
    d = fake_domain(1, false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_buddies_join),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_claim),
        cmocka_unit_test(test_alloc_at),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_scrub),
        cmocka_unit_test(test_scrub_reused_id),
        cmocka_unit_test(test_put_run),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_scrub_while_idle),
        cmocka_unit_test(test_scrub_leaves_what_is_taken),
        cmocka_unit_test(test_clean_is_checked),
        cmocka_unit_test(test_frames_keep_domain),
        cmocka_unit_test(test_shared_pages),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_race),
    };
    return cmocka_run_group_tests(tests, boot, NULL);
}
