/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c hv/gnttab.c hv/gnttab_pin.c hv/gnttab_map.c hv/gnttab_copy.c hv/memory.c hv/memory_map.c hv/memory_physmap.c */
/* cflags: -pthread */
/* memory_op: what each operation does to the guest-physical map, and what hostile arguments do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <xen/memory.h>
#include "fake/fake.h"

#define MEMORY(v, op, a) fake_hypercall(v, __HYPERVISOR_memory_op, (op), (uint64_t)(uintptr_t)(a), 0, 0)
#define ARGUMENT(type)   ((type *)memset(fake_guest, 0, sizeof(type)))
#define LIST             (fake_guest + 4096)

static struct domain *d, *control;
static struct vcpu *v, *control_v;
static uint64_t before;

static enum p2m_type type_at(struct domain *of, uint64_t gfn)
{
    return p2m_lookup(of, GFN(gfn)).type;
}

static struct xen_memory_reservation *reservation(uint64_t extents, unsigned order)
{
    struct xen_memory_reservation *r = ARGUMENT(struct xen_memory_reservation);
    set_xen_guest_handle(r->extent_start, (xen_pfn_t *)LIST);
    r->nr_extents = extents;
    r->extent_order = order;
    r->domid = DOMID_SELF;
    return r;
}

static void list(unsigned i, uint64_t value)
{
    ((uint64_t *)LIST)[i] = value;
}

static void test_populate_and_decrease(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1200; i++)
        list(i, i + 1);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(1200, 0)), 1200); /* with restarts */
    assert_int_equal(d->total_pages, 1200);
    assert_int_equal(type_at(d, 1200), P2M_RAM);
    assert_int_equal(type_at(d, 1201), P2M_NONE);
    domid_t *whose = ARGUMENT(domid_t);
    assert_int_equal(MEMORY(v, XENMEM_current_reservation, whose), -XEN_EPERM);
    *whose = DOMID_SELF;
    assert_int_equal(MEMORY(v, XENMEM_current_reservation, whose), 1200);
    assert_int_equal(MEMORY(v, XENMEM_maximum_gpfn, whose), 1200);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(1200, 0)), 1200);
    assert_int_equal(d->total_pages, 0);
    assert_int_equal(frames_free(), before);
}

static void test_large_extents(void **state)
{
    (void)state;
    list(0, 512);
    list(1, 1024);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(2, 9)), 2);
    assert_int_equal(d->total_pages, 1024);
    assert_int_equal(p2m_lookup(d, GFN(512)).mfn.v + 511, p2m_lookup(d, GFN(1023)).mfn.v);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(1, 10)), 0);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(1, ~0u)), 0);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(2, 9)), 2);
    assert_int_equal(frames_free(), before);
}

/* It stops at the first that cannot be done and says how many were. */
static void test_partial(void **state)
{
    (void)state;
    list(0, 5), list(1, 6), list(2, 5), list(3, 7);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(4, 0)), 2);
    assert_int_equal(type_at(d, 7), P2M_NONE);
    list(0, 5), list(1, 999), list(2, 6);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(3, 0)), 1);
    assert_int_equal(d->total_pages, 1);
    list(0, 6);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(1, 0)), 1);

    d->max_pages = 2;
    list(0, 10), list(1, 11), list(2, 12);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(3, 0)), 2);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(2, 0)), 2);
    d->max_pages = UINT32_MAX;
    assert_int_equal(frames_free(), before);
}

static void test_claim(void **state)
{
    (void)state;
    struct xen_memory_reservation *r = reservation(8, 0);
    r->domid = d->id;
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r),
                     -XEN_EINVAL); /* a list makes no sense */
    r->extent_start.p = NULL;
    assert_int_equal(MEMORY(v, XENMEM_claim_pages, r), -XEN_EPERM);
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, fake_guest - 8), -XEN_EFAULT);
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages | 1 << 6, r), -XEN_EINVAL);
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r), 0);
    assert_int_equal(d->claimed_pages, 8);
    r->extent_order = 1;
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r), -XEN_EINVAL);
    r->extent_order = 0, r->mem_flags = 1;
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r), -XEN_EINVAL);
    r->mem_flags = 0, r->nr_extents = ~0ull;
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r), -XEN_EINVAL);
    r->nr_extents = 0;
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r), 0);
    assert_int_equal(d->claimed_pages, 0);
    r->domid = 0x7000;
    assert_int_equal(MEMORY(control->vcpu[0], XENMEM_claim_pages, r), -XEN_EINVAL);
}

static void test_hostile_reservations(void **state)
{
    (void)state;
    list(0, 5);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, fake_guest - 8), 0);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(~0ull, 0)), 0);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(1ull << 26, 0)), 0);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap | 1 << 6, reservation(1, 0)), 1);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap | 77ull << 6, reservation(1, 0)), 77);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap | ~63ull, reservation(1, 0)), (int64_t)(~63ull >> 6));
    struct xen_memory_reservation *r = reservation(1, 0);
    r->domid = control->id;
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, r), 0);
    r = reservation(1, 0);
    r->domid = 0x7abc;
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, r), 0);
    r = reservation(1, 0);
    r->mem_flags = XENMEMF_populate_on_demand;
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, r), 0);
    r = reservation(1, 0);
    r->mem_flags = XENMEMF_address_bits(12);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, r), 0);
    r = reservation(1, 0);
    set_xen_guest_handle(r->extent_start, (xen_pfn_t *)(fake_guest + FAKE_GUEST_SIZE));
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, r), 0);
    r = reservation(2, 0);
    set_xen_guest_handle(r->extent_start, (xen_pfn_t *)(fake_guest + FAKE_GUEST_SIZE - 8));
    ((uint64_t *)(fake_guest + FAKE_GUEST_SIZE))[-1] = 9;
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, r), 1);
    list(0, 9);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(1, 0)), 1);
    list(0, ~0ull);
    assert_int_equal(MEMORY(v, XENMEM_populate_physmap, reservation(1, 0)), 0);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(1, 9)), 0);
    assert_int_equal(MEMORY(v, 63, NULL), -XEN_ENOSYS);
    assert_int_equal(MEMORY(v, 8, NULL), -XEN_ENOSYS);
    assert_int_equal(d->total_pages, 0);
    assert_int_equal(frames_free(), before);
}

/* dom0's addresses are the machine's. */
static void test_one_to_one(void **state)
{
    (void)state;
    list(0, 3000);
    assert_int_equal(MEMORY(control_v, XENMEM_populate_physmap, reservation(1, 0)), 1);
    assert_int_equal(p2m_lookup(control, GFN(3000)).mfn.v, 3000);
    assert_int_equal(MEMORY(control_v, XENMEM_decrease_reservation, reservation(1, 0)), 1);
    struct xen_memory_reservation *r = reservation(1, 0);
    r->domid = d->id;
    assert_int_equal(MEMORY(control_v, XENMEM_populate_physmap, r), 1);
    assert_int_equal(d->total_pages, 1);
    assert_int_equal(MEMORY(v, XENMEM_decrease_reservation, reservation(1, 0)), 1);
    assert_int_equal(frames_free(), before);
}

static int64_t add(struct vcpu *by, unsigned space, uint64_t index, uint64_t gfn)
{
    struct xen_add_to_physmap *a = ARGUMENT(struct xen_add_to_physmap);
    *a = (struct xen_add_to_physmap){.domid = DOMID_SELF, .space = space, .idx = index, .gpfn = gfn};
    return MEMORY(by, XENMEM_add_to_physmap, a);
}

static int64_t take_away(struct vcpu *by, uint64_t gfn)
{
    struct xen_remove_from_physmap *r = ARGUMENT(struct xen_remove_from_physmap);
    r->domid = DOMID_SELF;
    r->gpfn = gfn;
    return MEMORY(by, XENMEM_remove_from_physmap, r);
}

static void test_special_pages(void **state)
{
    (void)state;
    fake_page(d, 20);
    assert_int_equal(add(v, XENMAPSPACE_shared_info, 0, 20), 0); /* in the place of RAM, which goes */
    assert_int_equal(d->total_pages, 0);
    assert_ptr_equal(mfn_to_virt(p2m_lookup(d, GFN(20)).mfn), d->shared_info);
    assert_int_equal(add(v, XENMAPSPACE_shared_info, 0, 21), 0); /* it moves */
    assert_int_equal(type_at(d, 20), P2M_NONE);
    assert_int_equal(add(v, XENMAPSPACE_shared_info, 1, 22), -XEN_EINVAL);
    assert_int_equal(add(v, XENMAPSPACE_grant_table, 0, 30), 0);
    assert_int_equal(add(v, XENMAPSPACE_grant_table, 2, 31), 0); /* the table grows */
    assert_int_equal(add(v, XENMAPSPACE_grant_table, 4, 32), -XEN_EINVAL);
    assert_int_equal(add(v, XENMAPSPACE_grant_table, ~0ull, 32), -XEN_EINVAL);
    assert_int_equal(add(v, XENMAPSPACE_grant_table, 0, 21), 0); /* over shared_info */
    assert_int_equal(type_at(d, 30), P2M_NONE);
    assert_int_equal(add(v, XENMAPSPACE_shared_info, 0, 33), 0);
    assert_int_equal(type_at(d, 21), P2M_SHARED); /* not its old place any more */
    assert_int_equal(take_away(v, 21), 0);
    assert_int_equal(take_away(v, 31), 0);
    assert_int_equal(take_away(v, 33), 0);
    assert_int_equal(take_away(v, 33), -XEN_ENOENT);
    assert_int_equal(add(v, XENMAPSPACE_gmfn_foreign, 0, 40), -XEN_ENOSYS);
    assert_int_equal(add(v, XENMAPSPACE_dev_mmio, 0, 40), -XEN_EACCES);
    assert_int_equal(add(v, 99, 0, 40), -XEN_EINVAL);
    assert_int_equal(add(v, XENMAPSPACE_shared_info, 0, ~0ull), -XEN_EINVAL);
    assert_int_equal(add(v, XENMAPSPACE_shared_info, 0, FAKE_MAX_GFN), -XEN_EINVAL);
    assert_int_equal(frame_table[virt_to_mfn(d->shared_info).v].refs, 1);
    assert_int_equal(frames_free() + 2, before); /* two more grant frames; no grant was used */
}

/* What is done in one go cannot be gone on with. */
static void test_single_shots(void **state)
{
    static const unsigned commands[] = {XENMEM_exchange,
                                        XENMEM_maximum_ram_page,
                                        XENMEM_current_reservation,
                                        XENMEM_maximum_reservation,
                                        XENMEM_maximum_gpfn,
                                        XENMEM_memory_map,
                                        XENMEM_set_memory_map,
                                        XENMEM_reserved_device_memory_map,
                                        XENMEM_remove_from_physmap,
                                        XENMEM_set_pod_target,
                                        XENMEM_get_pod_target,
                                        XENMEM_get_sharing_freed_pages,
                                        XENMEM_get_sharing_shared_pages,
                                        XENMEM_get_vnumainfo,
                                        XENMEM_claim_pages};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        assert_int_equal(MEMORY(control->vcpu[0], commands[i] | 1 << 6, reservation(1, 0)), -XEN_EINVAL);
}

static void test_move(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    strcpy(fake_page(d, 50), "moved");
    fake_page(d, 51);
    assert_int_equal(add(v, XENMAPSPACE_gmfn, 50, 51), 0);
    assert_int_equal(type_at(d, 50), P2M_NONE);
    assert_string_equal((char *)mfn_to_virt(p2m_lookup(d, GFN(51)).mfn), "moved");
    assert_int_equal(d->total_pages, 1);
    assert_int_equal(add(v, XENMAPSPACE_gmfn, 50, 52), -XEN_EINVAL);
    assert_int_equal(add(v, XENMAPSPACE_gmfn, 51, 51), 0);
    assert_int_equal(add(v, XENMAPSPACE_gmfn, 51, ~1ull), -XEN_EINVAL); /* the page is lost, no more */
    assert_int_equal(d->total_pages, 0);

    struct xen_add_to_physmap *a = ARGUMENT(struct xen_add_to_physmap);
    *a = (struct xen_add_to_physmap){
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_range, .size = 2, .idx = ~0ull};
    assert_int_equal(MEMORY(v, XENMEM_add_to_physmap, a), -XEN_EOVERFLOW);
    assert_int_equal(MEMORY(v, XENMEM_add_to_physmap | 3 << 6, a), -XEN_EILSEQ);
    assert_int_equal(MEMORY(v, XENMEM_add_to_physmap | 0x10000 << 6, a), -XEN_EDOM);
    assert_int_equal(frames_free(), free);
}

static int64_t map_foreign(struct vcpu *by, domid_t whose, uint64_t index, uint64_t gfn, int *error)
{
    struct xen_add_to_physmap_batch *b = ARGUMENT(struct xen_add_to_physmap_batch);
    b->domid = DOMID_SELF;
    b->space = XENMAPSPACE_gmfn_foreign;
    b->size = 1;
    b->u.foreign_domid = whose;
    list(0, index), list(1, gfn);
    set_xen_guest_handle(b->idxs, (xen_ulong_t *)LIST);
    set_xen_guest_handle(b->gpfns, (xen_pfn_t *)LIST + 1);
    set_xen_guest_handle(b->errs, (int *)LIST + 8);
    int64_t result = MEMORY(by, XENMEM_add_to_physmap_batch, b);
    *error = ((int *)LIST)[8];
    return result;
}

static void test_foreign(void **state)
{
    (void)state;
    int error;
    strcpy(fake_page(d, 60), "seen");
    mfn_t mfn = p2m_lookup(d, GFN(60)).mfn;
    assert_int_equal(map_foreign(control_v, d->id, 60, 70, &error), 0);
    assert_int_equal(error, 0);
    assert_int_equal(type_at(control, 70), P2M_FOREIGN);
    assert_int_equal(p2m_lookup(control, GFN(70)).mfn.v, mfn.v);
    assert_int_equal(frame_table[mfn.v].refs, 2);
    assert_int_equal(map_foreign(control_v, d->id, 61, 71, &error), 0);
    assert_int_equal(error, -XEN_EINVAL);
    assert_int_equal(map_foreign(control_v, 0x7abc, 60, 71, &error), 0);
    assert_int_equal(error, -XEN_ESRCH);
    assert_int_equal(map_foreign(control_v, control->id, 60, 71, &error), 0);
    assert_int_equal(error, -XEN_EPERM);
    assert_int_equal(map_foreign(v, control->id, 0, 71, &error), 0);
    assert_int_equal(error, -XEN_EPERM);
    list(0, 70);
    assert_int_equal(MEMORY(control_v, XENMEM_decrease_reservation, reservation(1, 0)), 0);
    assert_int_equal(add(control_v, XENMAPSPACE_shared_info, 0, 70), -XEN_ENXIO);
    assert_int_equal(take_away(control_v, 70), 0);
    assert_int_equal(take_away(v, 60), 0);
    assert_int_equal(d->total_pages, 0);
}

/* The owner dies first: the page stays until it is no longer mapped. */
static void test_foreign_outlives(void **state)
{
    (void)state;
    int error;
    struct domain *mortal = fake_domain(1, false);
    domid_t id = mortal->id;
    fake_page(mortal, 60);
    assert_int_equal(map_foreign(control_v, id, 60, 70, &error), 0);
    assert_int_equal(error, 0);
    fake_destroy(mortal);
    assert_non_null(domain_find(id));
    assert_int_equal(take_away(control_v, 70), 0);
    fake_settle();
    assert_null(domain_find(id));
}

static void test_memory_map(void **state)
{
    (void)state;
    struct xen_foreign_memory_map *f = ARGUMENT(struct xen_foreign_memory_map);
    struct xen_memory_map *m = &f->map;
    struct e820_entry *entries = (struct e820_entry *)LIST;
    assert_int_equal(MEMORY(v, XENMEM_memory_map, m), -XEN_ENOSYS);
    f->domid = DOMID_SELF;
    f->map.nr_entries = 3;
    set_xen_guest_handle(f->map.buffer, LIST);
    entries[2] = (struct e820_entry){0x1234, 0x5678, 2};
    assert_int_equal(MEMORY(v, XENMEM_set_memory_map, f), 0);
    f->map.nr_entries = MEMORY_MAP_MAX + 1;
    assert_int_equal(MEMORY(v, XENMEM_set_memory_map, f), -XEN_EINVAL);
    f->map.nr_entries = ~0u;
    assert_int_equal(MEMORY(v, XENMEM_set_memory_map, f), -XEN_EINVAL);
    f->domid = control->id;
    f->map.nr_entries = 1;
    assert_int_equal(MEMORY(v, XENMEM_set_memory_map, f), -XEN_EPERM);
    memset(entries, 0, 3 * sizeof entries[0]);
    m->nr_entries = 100;
    assert_int_equal(MEMORY(v, XENMEM_memory_map, m), 0);
    assert_int_equal(m->nr_entries, 3);
    assert_int_equal(entries[2].size, 0x5678);
    m->nr_entries = 1;
    assert_int_equal(MEMORY(v, XENMEM_memory_map, m), 0);
    assert_int_equal(m->nr_entries, 1);
    set_xen_guest_handle(m->buffer, NULL);
    assert_int_equal(MEMORY(v, XENMEM_memory_map, m), -XEN_EFAULT);
}

static void test_resource(void **state)
{
    (void)state;
    struct xen_mem_acquire_resource *r = ARGUMENT(struct xen_mem_acquire_resource);
    r->domid = d->id;
    r->type = XENMEM_resource_grant_table;
    assert_int_equal(MEMORY(v, XENMEM_acquire_resource, r), -XEN_EACCES);
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), 0);
    assert_int_equal(r->nr_frames, 4);
    set_xen_guest_handle(r->frame_list, (xen_pfn_t *)LIST);
    list(0, 80), list(1, 81), list(2, 80);
    r->nr_frames = 2;
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), 0);
    assert_int_equal(type_at(control, 81), P2M_FOREIGN);
    list(0, 82), list(1, 81);
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), -XEN_EIO);
    r->frame = 4;
    r->nr_frames = 1;
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), -XEN_EINVAL);
    r->frame = UINT32_MAX;
    r->nr_frames = UINT32_MAX;
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), -XEN_EINVAL);
    r->frame = 0;
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), -XEN_EINVAL);
    r->nr_frames = 1;
    r->type = XENMEM_resource_ioreq_server;
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), -XEN_EOPNOTSUPP);
    r->domid = DOMID_SELF;
    assert_int_equal(MEMORY(control_v, XENMEM_acquire_resource, r), -XEN_EPERM);
    for (unsigned gfn = 80; gfn < 83; gfn++)
        assert_int_equal(take_away(control_v, gfn), 0);
}

/* Nothing of all this was lost. */
static void test_nothing_lost(void **state)
{
    (void)state;
    fake_destroy(d);
    d = NULL;
    struct domain *again = fake_domain(1, false);
    uint64_t with_domain = frames_free();
    fake_destroy(again);
    again = fake_domain(1, false);
    assert_int_equal(frames_free(), with_domain);
    assert_int_equal(frames_free(), before);
    fake_destroy(again);
}

static int boot(void **state)
{
    (void)state;
    fake_boot(2);
    control = fake_domain(1, true);
    d = fake_domain(1, false);
    control_v = control->vcpu[0];
    v = d->vcpu[0];
    before = frames_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_populate_and_decrease),
        cmocka_unit_test(test_large_extents),
        cmocka_unit_test(test_partial),
        cmocka_unit_test(test_claim),
        cmocka_unit_test(test_hostile_reservations),
        cmocka_unit_test(test_single_shots),
        cmocka_unit_test(test_one_to_one),
        cmocka_unit_test(test_special_pages),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_foreign_outlives),
        cmocka_unit_test(test_memory_map),
        cmocka_unit_test(test_resource),
        cmocka_unit_test(test_nothing_lost),
    };
    return cmocka_run_group_tests(tests, boot, NULL);
}
