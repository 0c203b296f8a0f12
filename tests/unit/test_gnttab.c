/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c hv/gnttab.c hv/gnttab_pin.c hv/gnttab_map.c hv/gnttab_copy.c */
/* cflags: -pthread */
/* Grant tables: mapping, copying, hostile tables and handles, deaths in the middle. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include "fake/fake.h"

#define GRANT(v, op, a, count)                                                                               \
    fake_hypercall(v, __HYPERVISOR_grant_table_op, (op), (uint64_t)(uintptr_t)(a), (count), 0)
#define PAGE   100 /* where the granter has the page that it grants */
#define PLACE  200 /* where the mapper maps it */
#define REF    9
#define IN_USE (GTF_permit_access | GTF_reading | GTF_writing)

static struct domain *granter, *mapper;
static struct vcpu *gv, *mv;
static uint64_t before;

static grant_entry_v1_t *entry(struct domain *of, unsigned ref)
{
    return &of->gnttab->frame[ref / ENTRIES_PER_FRAME].shared[ref % ENTRIES_PER_FRAME];
}

static void offer(unsigned ref, uint16_t flags)
{
    *entry(granter, ref) = (grant_entry_v1_t){.flags = flags, .domid = mapper->id, .frame = PAGE};
}

static int map(uint64_t gfn, unsigned ref, uint32_t flags, grant_handle_t *handle)
{
    struct gnttab_map_grant_ref *op = memset(fake_guest, 0, sizeof *op);
    *op =
        (struct gnttab_map_grant_ref){.host_addr = gfn << 12, .flags = flags, .ref = ref, .dom = granter->id};
    assert_int_equal(GRANT(mv, GNTTABOP_map_grant_ref, op, 1), 0);
    *handle = op->handle;
    return op->status;
}

static int unmap(uint64_t gfn, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref *op = memset(fake_guest, 0, sizeof *op);
    op->host_addr = gfn << 12;
    op->handle = handle;
    assert_int_equal(GRANT(mv, GNTTABOP_unmap_grant_ref, op, 1), 0);
    return op->status;
}

static void test_map(void **state)
{
    (void)state;
    grant_handle_t rw, ro;
    offer(REF, GTF_permit_access);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &rw), GNTST_okay);
    assert_int_equal(entry(granter, REF)->flags, IN_USE);
    assert_int_equal(p2m_lookup(mapper, GFN(PLACE)).type, P2M_GRANT_RW);
    assert_int_equal(p2m_lookup(mapper, GFN(PLACE)).mfn.v, p2m_lookup(granter, GFN(PAGE)).mfn.v);
    assert_int_equal(map(PLACE + 1, REF, GNTMAP_host_map | GNTMAP_readonly, &ro), GNTST_okay);
    assert_int_equal(p2m_lookup(mapper, GFN(PLACE + 1)).type, P2M_GRANT_RO);
    assert_int_equal(unmap(PLACE + 1, rw), GNTST_general_error); /* not where it is */
    assert_int_equal(unmap(0, rw), GNTST_okay);                  /* nothing was named to be undone */
    assert_int_equal(unmap(PLACE, rw), GNTST_okay);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(unmap(PLACE, rw), GNTST_bad_handle);
    assert_int_equal(unmap(PLACE + 1, ro), GNTST_okay);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    assert_int_equal(frame_table[p2m_lookup(granter, GFN(PAGE)).mfn.v].refs, 1);
}

static int undo_bus(uint64_t place, uint64_t bus, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref *op = (struct gnttab_unmap_grant_ref *)fake_guest;
    *op = (struct gnttab_unmap_grant_ref){.host_addr = place << 12, .dev_bus_addr = bus, .handle = handle};
    assert_int_equal(GRANT(mv, GNTTABOP_unmap_grant_ref, op, 1), 0);
    return op->status;
}

static void test_for_devices(void **state)
{
    (void)state;
    grant_handle_t h;
    mfn_t mfn = p2m_lookup(granter, GFN(PAGE)).mfn;
    uint64_t bus = mfn.v << 12;
    offer(REF, GTF_permit_access);
    assert_int_equal(map(PLACE, REF, GNTMAP_device_map, &h), GNTST_okay);
    assert_int_equal(((struct gnttab_map_grant_ref *)fake_guest)->dev_bus_addr, bus);
    assert_int_equal(p2m_lookup(mapper, GFN(PLACE)).type, P2M_NONE);
    assert_int_equal(entry(granter, REF)->flags, IN_USE);
    assert_int_equal(frame_table[mfn.v].refs, 2);
    assert_int_equal(undo_bus(PLACE, 0, h), GNTST_general_error); /* it is not there */
    assert_int_equal(undo_bus(0, bus + 4096, h), GNTST_general_error);
    assert_int_equal(undo_bus(PLACE, bus, h), GNTST_general_error);
    assert_int_equal(undo_bus(0, bus, h), GNTST_okay);
    assert_int_equal(undo_bus(0, bus, h), GNTST_bad_handle);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    assert_int_equal(frame_table[mfn.v].refs, 1);

    /* Both uses, undone one after the other, in both orders, and together. */
    for (unsigned order = 0; order < 3; order++) {
        assert_int_equal(map(PLACE, REF, GNTMAP_device_map | GNTMAP_host_map, &h), GNTST_okay);
        assert_int_equal(frame_table[mfn.v].refs, 2);
        if (order < 2) {
            assert_int_equal(order ? undo_bus(0, bus, h) : undo_bus(PLACE, 0, h), GNTST_okay);
            assert_int_equal(frame_table[mfn.v].refs, 2);
            assert_int_equal(p2m_lookup(mapper, GFN(PLACE)).type, order ? P2M_GRANT_RW : P2M_NONE);
            assert_int_equal(order ? undo_bus(PLACE, 0, h) : undo_bus(0, bus, h), GNTST_okay);
        } else {
            assert_int_equal(undo_bus(PLACE, bus, h), GNTST_okay);
        }
        assert_int_equal(frame_table[mfn.v].refs, 1);
        assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    }
    /* A host mapping's bus address may be named as well. */
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_okay);
    assert_int_equal(undo_bus(0, bus, h), GNTST_okay);
    assert_int_equal(undo_bus(PLACE, bus, h), GNTST_okay);
}

static void test_refusals(void **state)
{
    (void)state;
    grant_handle_t h;
    offer(REF, GTF_permit_access | GTF_readonly);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_general_error);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access | GTF_readonly);
    offer(REF, GTF_permit_access | GTF_sub_page);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_general_error);
    offer(REF, GTF_transitive);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_general_error);
    offer(REF, GTF_invalid);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_general_error);
    offer(REF, GTF_permit_access);
    entry(granter, REF)->domid = mapper->id + 1;
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_general_error);
    offer(REF, GTF_permit_access);
    entry(granter, REF)->frame = PAGE + 7;
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_bad_page);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    entry(granter, REF)->frame = UINT32_MAX;
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &h), GNTST_bad_page);
    offer(REF, GTF_permit_access);
    assert_int_equal(map(PLACE, 512, GNTMAP_host_map, &h), GNTST_bad_gntref);
    assert_int_equal(map(PLACE, ~0u, GNTMAP_host_map, &h), GNTST_bad_gntref);
    assert_int_equal(map(PLACE, REF, 0, &h), GNTST_bad_gntref);
    assert_int_equal(map(1ull << 32, REF, GNTMAP_host_map, &h), GNTST_general_error);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map | GNTMAP_contains_pte, &h), GNTST_general_error);
    assert_int_equal(map(FAKE_MAX_GFN, REF, GNTMAP_host_map, &h), GNTST_general_error);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    fake_page(mapper, PLACE + 2);
    assert_int_equal(map(PLACE + 2, REF, GNTMAP_host_map, &h), GNTST_general_error); /* there is something */
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    assert_int_equal(unmap(PLACE, ~0u), GNTST_bad_handle);
    assert_int_equal(unmap(PLACE, 200), GNTST_bad_handle);
    assert_int_equal(GRANT(mv, GNTTABOP_map_grant_ref, fake_guest - 4, 1), -XEN_EFAULT);
    assert_int_equal(GRANT(mv, GNTTABOP_map_grant_ref, fake_guest, 0x80000000u), -XEN_EINVAL);
    assert_int_equal(GRANT(mv, GNTTABOP_transfer, fake_guest, 1), -XEN_ENOSYS);
    assert_int_equal(GRANT(mv, 1 << 12, fake_guest, 1), -XEN_ENOSYS);
}

/* More handles than there may be, in one call, and back. */
static void test_all_handles(void **state)
{
    (void)state;
    enum { COUNT = 4 * MAPPINGS_PER_PAGE + 3 };
    struct gnttab_map_grant_ref *op = (struct gnttab_map_grant_ref *)fake_guest;
    struct gnttab_unmap_grant_ref *undo = (struct gnttab_unmap_grant_ref *)(fake_guest + FAKE_GUEST_SIZE / 2);
    for (unsigned i = 0; i < COUNT; i++) {
        offer(i % 500, GTF_permit_access);
        op[i] = (struct gnttab_map_grant_ref){
            .host_addr = (1000ull + i) << 12, .flags = GNTMAP_host_map, .ref = i % 500, .dom = granter->id};
    }
    assert_int_equal(GRANT(mv, GNTTABOP_map_grant_ref, op, COUNT), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(op[i].status, i < 4 * MAPPINGS_PER_PAGE ? GNTST_okay : GNTST_no_space);
        undo[i] = (struct gnttab_unmap_grant_ref){.host_addr = op[i].host_addr, .handle = op[i].handle};
    }
    assert_int_equal(GRANT(mv, GNTTABOP_unmap_grant_ref, undo, COUNT - 3), 0);
    for (unsigned i = 0; i < COUNT - 3; i++)
        assert_int_equal(undo[i].status, GNTST_okay);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(entry(granter, i)->flags, GTF_permit_access);
}

static void test_pin_limit(void **state)
{
    (void)state;
    grant_handle_t handle[256];
    offer(REF, GTF_permit_access);
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(map(1000 + i, REF, GNTMAP_host_map, &handle[i]), GNTST_okay);
    assert_int_equal(map(1255, REF, GNTMAP_host_map, &handle[255]), GNTST_general_error);
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(unmap(1000 + i, handle[i]), GNTST_okay);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
}

static int copy(struct vcpu *by, struct gnttab_copy op)
{
    memcpy(fake_guest, &op, sizeof op);
    assert_int_equal(GRANT(by, GNTTABOP_copy, fake_guest, 1), 0);
    return ((struct gnttab_copy *)fake_guest)->status;
}

static void test_copy(void **state)
{
    (void)state;
    char *theirs = mfn_to_virt(p2m_lookup(granter, GFN(PAGE)).mfn), *mine = fake_page(mapper, 300);
    memset(theirs, 7, PAGE_SIZE);
    offer(REF, GTF_permit_access | GTF_readonly);
    struct gnttab_copy in = {.source = {.u.ref = REF, .domid = granter->id, .offset = 96},
                             .dest = {.u.gmfn = 300, .domid = DOMID_SELF},
                             .len = 4000,
                             .flags = GNTCOPY_source_gref};
    assert_int_equal(copy(mv, in), GNTST_okay);
    assert_int_equal(mine[3999], 7);
    assert_int_equal(mine[4000], 0);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access | GTF_readonly);
    in.source.offset = 97;
    assert_int_equal(copy(mv, in), GNTST_bad_copy_arg);
    in.source.offset = in.dest.offset = in.len = 0xffff;
    assert_int_equal(copy(mv, in), GNTST_bad_copy_arg);
    in.source.offset = in.dest.offset = 0;
    in.len = 16;
    in.dest.domid = granter->id; /* only one's own pages by frame */
    assert_int_equal(copy(mv, in), GNTST_permission_denied);
    in.dest.domid = DOMID_SELF;
    in.source.domid = 0x7abc;
    assert_int_equal(copy(mv, in), GNTST_bad_domain);
    in.source.domid = granter->id;
    in.dest.u.gmfn = 301;
    assert_int_equal(copy(mv, in), GNTST_bad_page);
    in.dest.u.gmfn = ~0ull;
    assert_int_equal(copy(mv, in), GNTST_bad_page);
    struct gnttab_copy out = {.source = {.u.gmfn = 300, .domid = DOMID_SELF},
                              .dest = {.u.ref = REF, .domid = granter->id},
                              .len = 16,
                              .flags = GNTCOPY_dest_gref};
    assert_int_equal(copy(mv, out), GNTST_general_error);
    offer(REF, GTF_permit_access);
    strcpy(mine, "mine");
    assert_int_equal(copy(mv, out), GNTST_okay);
    assert_string_equal(theirs, "mine");
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
    assert_int_equal(frame_table[p2m_lookup(granter, GFN(PAGE)).mfn.v].refs, 1);
    assert_int_equal(frame_table[p2m_lookup(mapper, GFN(300)).mfn.v].refs, 1);
}

/* Both sides are the same page, and overlap. */
static void test_copy_overlap(void **state)
{
    (void)state;
    char *page = fake_page(mapper, 301);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        page[i] = (char)i;
    assert_int_equal(copy(mv, (struct gnttab_copy){.source = {.u.gmfn = 301, .domid = DOMID_SELF},
                                                   .dest = {.u.gmfn = 301, .domid = DOMID_SELF, .offset = 1},
                                                   .len = 4095}),
                     GNTST_okay);
    for (unsigned i = 1; i < PAGE_SIZE; i++)
        assert_int_equal(page[i], (char)(i - 1));
}

/* The guest writes to its table all the time. */
static volatile bool stop;

static void *scribble(void *arg)
{
    uint32_t *word = (uint32_t *)entry(granter, REF);
    (void)arg;
    for (uint32_t i = 0; !stop; i++)
        __atomic_store_n(word, (uint32_t)mapper->id << 16 | GTF_permit_access | (i & 0xfe00),
                         __ATOMIC_RELAXED);
    return NULL;
}

static void test_hostile_table(void **state)
{
    (void)state;
    pthread_t thread;
    offer(REF, GTF_permit_access);
    pthread_create(&thread, NULL, scribble, NULL);
    for (unsigned i = 0; i < 20000; i++) {
        grant_handle_t handle;
        if (map(PLACE, REF, GNTMAP_host_map, &handle) == GNTST_okay)
            assert_int_equal(unmap(PLACE, handle), GNTST_okay);
    }
    stop = true;
    pthread_join(thread, NULL);
    const struct grant_pin *pin = &granter->gnttab->frame[0].pin[REF];
    assert_int_equal(pin->readers + pin->writers, 0);
    assert_int_equal(frame_table[p2m_lookup(granter, GFN(PAGE)).mfn.v].refs, 1);
}

static void test_table_ops(void **state)
{
    (void)state;
    struct gnttab_query_size *q = memset(fake_guest, 0, sizeof *q);
    q->dom = DOMID_SELF;
    assert_int_equal(GRANT(mv, GNTTABOP_query_size, q, 2), -XEN_EINVAL);
    assert_int_equal(GRANT(mv, GNTTABOP_query_size, q, 1), 0);
    assert_int_equal(q->nr_frames, 1);
    assert_int_equal(q->max_nr_frames, 4);
    q->dom = granter->id;
    assert_int_equal(GRANT(mv, GNTTABOP_query_size, q, 1), 0);
    assert_int_equal(q->status, GNTST_permission_denied);
    struct gnttab_setup_table *s = memset(fake_guest, 0, sizeof *s);
    s->dom = DOMID_SELF;
    s->nr_frames = 5;
    assert_int_equal(GRANT(mv, GNTTABOP_setup_table, s, 1), 0);
    assert_int_equal(s->status, GNTST_general_error);
    s->nr_frames = 1;
    assert_int_equal(GRANT(mv, GNTTABOP_setup_table, s, 1), 0);
    assert_int_equal(s->status, GNTST_bad_virt_addr);
    struct gnttab_set_version *version = memset(fake_guest, 0, sizeof *version);
    version->version = 2;
    assert_int_equal(GRANT(mv, GNTTABOP_set_version, version, 1), -XEN_ENOSYS);
    assert_int_equal(version->version, 1);
    assert_int_equal(GRANT(mv, GNTTABOP_set_version, version, 1), 0);

    grant_handle_t handle;
    offer(REF, GTF_permit_access);
    struct gnttab_swap_grant_ref *swap = (struct gnttab_swap_grant_ref *)(fake_guest + 512);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &handle), GNTST_okay);
    *swap = (struct gnttab_swap_grant_ref){.ref_a = REF, .ref_b = 11};
    assert_int_equal(GRANT(gv, GNTTABOP_swap_grant_ref, swap, 1), 0);
    assert_int_equal(swap->status, GNTST_eagain);
    assert_int_equal(unmap(PLACE, handle), GNTST_okay);
    *entry(granter, 11) = (grant_entry_v1_t){0};
    assert_int_equal(GRANT(gv, GNTTABOP_swap_grant_ref, swap, 1), 0);
    assert_int_equal(swap->status, GNTST_okay);
    assert_int_equal(entry(granter, 11)->flags, GTF_permit_access);
    assert_int_equal(entry(granter, REF)->flags, 0);
    swap->ref_b = 512;
    assert_int_equal(GRANT(gv, GNTTABOP_swap_grant_ref, swap, 1), 0);
    assert_int_equal(swap->status, GNTST_bad_gntref);
}

/* A table that has outgrown its few frames knows its uses and places as before. */
static void test_growth(void **state)
{
    (void)state;
    grant_handle_t old, new;
    unsigned far = 3 * ENTRIES_PER_FRAME + 1;
    offer(REF, GTF_permit_access);
    assert_int_equal(map(PLACE, REF, GNTMAP_host_map, &old), GNTST_okay);
    assert_ptr_equal(granter->gnttab->frame, granter->gnttab->few);
    gnttab_set_gfn(granter, 0, GFN(77));
    assert_int_equal(map(PLACE + 1, far, GNTMAP_host_map, &new), GNTST_bad_gntref);
    assert_int_equal(gnttab_grow(granter, 4), 0);
    assert_int_equal(gnttab_grow(granter, 5), -XEN_EINVAL);
    assert_ptr_not_equal(granter->gnttab->frame, granter->gnttab->few);
    assert_int_equal(gnttab_set_gfn(granter, 0, GFN(78)).v, 77);
    offer(far, GTF_permit_access);
    assert_int_equal(map(PLACE + 1, far, GNTMAP_host_map, &new), GNTST_okay);
    assert_int_equal(entry(granter, far)->flags, IN_USE);
    assert_int_equal(unmap(PLACE + 1, new), GNTST_okay);
    assert_int_equal(unmap(PLACE, old), GNTST_okay);
    assert_int_equal(entry(granter, REF)->flags, GTF_permit_access);
}

/* Who dies holding mappings lets go of them; whose page is mapped stays until then. */
static void test_deaths(void **state)
{
    (void)state;
    grant_handle_t handle;
    for (unsigned i = 0; i < 40; i++) {
        offer(REF + i, GTF_permit_access);
        assert_int_equal(map(1000 + i, REF + i, GNTMAP_host_map, &handle), GNTST_okay);
    }
    mfn_t mfn = p2m_lookup(granter, GFN(PAGE)).mfn;
    assert_int_equal(frame_table[mfn.v].refs, 41);
    domid_t id = granter->id;
    fake_destroy(granter);
    assert_ptr_equal(domain_find(id), granter);
    assert_int_equal(frame_table[mfn.v].refs, 40);
    fake_destroy(mapper);
    assert_null(domain_find(id));
    assert_int_equal(frames_free(), before);
}

static int boot(void **state)
{
    (void)state;
    fake_boot(2);
    fake_domain(1, true);
    granter = fake_domain(1, false);
    mapper = fake_domain(1, false);
    fake_destroy(granter);
    fake_destroy(mapper);
    before = frames_free();
    granter = fake_domain(1, false);
    mapper = fake_domain(1, false);
    gv = granter->vcpu[0];
    mv = mapper->vcpu[0];
    fake_page(granter, PAGE);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),          cmocka_unit_test(test_for_devices),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_all_handles),
        cmocka_unit_test(test_pin_limit),    cmocka_unit_test(test_copy),
        cmocka_unit_test(test_copy_overlap), cmocka_unit_test(test_hostile_table),
        cmocka_unit_test(test_table_ops),    cmocka_unit_test(test_growth),
        cmocka_unit_test(test_deaths),
    };
    return cmocka_run_group_tests(tests, boot, NULL);
}
