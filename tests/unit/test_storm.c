/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/evtchn_op.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/vcpu_op.c hv/hypercall.c hv/multicall.c hv/gnttab.c hv/gnttab_pin.c hv/gnttab_map.c hv/gnttab_copy.c hv/memory.c hv/memory_map.c hv/memory_physmap.c */
/* cflags: -pthread */
/*
 * Random calls from random domains, some of which die meanwhile: memory, grants, events. Whatever they ask,
 * nothing of the hypervisor's breaks (ASan, assertions), and when the last domain is gone no frame is
 * missing.
 *
 * Arguments are random within what makes them meaningful often: small frame numbers, references, ports and
 * handles, and now and then anything. SEED=n in the environment chooses the storm, ROUNDS=n its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include "fake/fake.h"

#define GUESTS 4
#define GFNS   64 /* each guest's playground */
#define REFS   32
#define LIST   (fake_guest + 4096)

static struct domain *guest[GUESTS], *control;
static uint64_t seed;

static uint32_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

/* Mostly below limit. */
static uint64_t wild(uint32_t limit)
{
    switch (any() % 64) {
    case 0:
        return any();
    case 1:
        return ~0ull - any() % 4;
    case 2:
        return (uint64_t)any() << 32 | any();
    default:
        return any() % limit;
    }
}

static domid_t some_id(void)
{
    return any() % 8 == 0 ? (any() % 2 ? DOMID_SELF : (domid_t)any()) : guest[any() % GUESTS]->id;
}

static void call(struct vcpu *v, unsigned number, uint64_t op, const void *argument, uint64_t count)
{
    const void *at = any() % 100 ? argument : (const void *)(uintptr_t)wild(4096);
    fake_hypercall(v, number, op, (uint64_t)(uintptr_t)at, count, 0);
}

static void reservation(struct vcpu *v)
{
    struct xen_memory_reservation *r = (struct xen_memory_reservation *)fake_guest;
    *r = (struct xen_memory_reservation){
        .nr_extents = wild(6), .extent_order = any() % 8 ? 0 : (unsigned)wild(4), .domid = some_id()};
    if (any() % 4)
        r->domid = DOMID_SELF;
    set_xen_guest_handle(r->extent_start, (xen_pfn_t *)LIST);
    for (unsigned i = 0; i < 6; i++)
        ((uint64_t *)LIST)[i] = wild(GFNS);
    static const unsigned op[] = {XENMEM_populate_physmap, XENMEM_decrease_reservation,
                                  XENMEM_populate_physmap, XENMEM_increase_reservation};
    call(v, __HYPERVISOR_memory_op, op[any() % 4] | (any() % 16 ? 0 : wild(4) << 6), r, 0);
}

static void physmap(struct vcpu *v)
{
    struct xen_add_to_physmap *a = (struct xen_add_to_physmap *)fake_guest;
    *a = (struct xen_add_to_physmap){.domid = any() % 4 ? DOMID_SELF : some_id(),
                                     .space = any() % 5,
                                     .size = (uint16_t)wild(4),
                                     .idx = wild(any() % 2 ? 3 : GFNS),
                                     .gpfn = wild(GFNS)};
    call(v, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, a, 0);
}

static void batch(struct vcpu *v)
{
    struct xen_add_to_physmap_batch *b = (struct xen_add_to_physmap_batch *)fake_guest;
    memset(b, 0, sizeof *b);
    b->domid = DOMID_SELF;
    b->space = any() % 8 ? XENMAPSPACE_gmfn_foreign : (uint16_t)(any() % 6);
    b->size = (uint16_t)(any() % 4);
    b->u.foreign_domid = some_id();
    for (unsigned i = 0; i < 8; i++)
        ((uint64_t *)LIST)[i] = i < 4 ? wild(GFNS) : 2000 + wild(GFNS);
    set_xen_guest_handle(b->idxs, (xen_ulong_t *)LIST);
    set_xen_guest_handle(b->gpfns, (xen_pfn_t *)LIST + 4);
    set_xen_guest_handle(b->errs, (int *)LIST + 32);
    call(v, __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, b, 0);
}

static void remove_page(struct vcpu *v)
{
    struct xen_remove_from_physmap *r = (struct xen_remove_from_physmap *)fake_guest;
    r->domid = any() % 4 ? DOMID_SELF : some_id();
    r->gpfn = v->domain == control ? 2000 + wild(GFNS) : wild(GFNS);
    call(v, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, r, 0);
}

static void resource(struct vcpu *v)
{
    struct xen_mem_acquire_resource *r = (struct xen_mem_acquire_resource *)fake_guest;
    memset(r, 0, sizeof *r);
    r->domid = some_id();
    r->type = any() % 4 ? XENMEM_resource_grant_table : (uint16_t)any();
    r->nr_frames = (uint32_t)wild(3);
    r->frame = wild(4);
    set_xen_guest_handle(r->frame_list, (xen_pfn_t *)LIST);
    for (unsigned i = 0; i < 4; i++)
        ((uint64_t *)LIST)[i] = 2000 + wild(GFNS);
    call(v, __HYPERVISOR_memory_op, XENMEM_acquire_resource, r, 0);
}

/* The guest writes into its table, as it may at any time. */
static void offer(struct vcpu *v)
{
    struct gnttab *g = v->domain->gnttab;
    uint32_t ref = any() % REFS;
    g->frame[0].shared[ref] = (grant_entry_v1_t){
        .flags = any() % 8 ? GTF_permit_access | (any() % 4 ? 0 : GTF_readonly) : (uint16_t)any(),
        .domid = some_id(),
        .frame = (uint32_t)wild(GFNS)};
}

static void grant_calls(struct vcpu *v)
{
    struct gnttab_map_grant_ref *map = (struct gnttab_map_grant_ref *)fake_guest;
    struct gnttab_unmap_grant_ref *unmap = (struct gnttab_unmap_grant_ref *)LIST;
    unsigned count = 1 + any() % 3;
    for (unsigned i = 0; i < count; i++) {
        map[i] = (struct gnttab_map_grant_ref){
            .host_addr = (1000 + wild(GFNS)) << 12,
            .flags = any() % 8 ? GNTMAP_host_map | (any() & GNTMAP_readonly) : any(),
            .ref = (uint32_t)wild(REFS),
            .dom = some_id()};
        /* Often a handle and the place that belongs to it. */
        uint32_t handle = (uint32_t)wild(REFS);
        uint64_t gfn =
            handle < v->domain->gnttab->handles ? grant_mapping(v->domain->gnttab, handle)->gfn : wild(GFNS);
        unmap[i] = (struct gnttab_unmap_grant_ref){.host_addr = gfn << 12, .handle = handle};
    }
    if (any() % 2)
        call(v, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, map, count);
    else
        call(v, __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, unmap, count);
}

static void copy(struct vcpu *v)
{
    struct gnttab_copy *c = (struct gnttab_copy *)fake_guest;
    memset(c, 0, sizeof *c);
    c->flags = any() % 4;
    c->source.domid = c->flags & GNTCOPY_source_gref ? some_id() : DOMID_SELF;
    c->dest.domid = c->flags & GNTCOPY_dest_gref ? some_id() : DOMID_SELF;
    c->source.u.gmfn = wild(REFS);
    c->dest.u.gmfn = wild(REFS);
    c->source.offset = (uint16_t)wild(4096);
    c->dest.offset = (uint16_t)wild(4096);
    c->len = (uint16_t)wild(600);
    call(v, __HYPERVISOR_grant_table_op, GNTTABOP_copy, c, 1);
}

static void events(struct vcpu *v)
{
    union {
        struct evtchn_alloc_unbound alloc;
        struct evtchn_bind_interdomain bind;
        struct evtchn_bind_virq virq;
        struct evtchn_bind_vcpu vcpu;
        uint32_t port;
    } *a = (void *)fake_guest;
    unsigned op = any() % 15;
    memset(a, 0, sizeof *a);
    switch (op) {
    case EVTCHNOP_alloc_unbound:
        a->alloc.dom = any() % 4 ? DOMID_SELF : some_id();
        a->alloc.remote_dom = some_id();
        break;
    case EVTCHNOP_bind_interdomain:
        a->bind.remote_dom = some_id();
        a->bind.remote_port = (uint32_t)wild(24);
        break;
    case EVTCHNOP_bind_virq:
        a->virq.virq = (uint32_t)wild(24);
        a->virq.vcpu = (uint32_t)wild(2);
        break;
    case EVTCHNOP_init_control: /* random control blocks are FIFO's own test */
        return;
    case EVTCHNOP_bind_vcpu:
        a->vcpu.vcpu = (uint32_t)wild(2);
        a->vcpu.port = (uint32_t)wild(24);
        break;
    default:
        a->port = (uint32_t)wild(24);
        if (op == EVTCHNOP_reset)
            *(domid_t *)a = any() % 4 ? DOMID_SELF : some_id();
    }
    call(v, __HYPERVISOR_event_channel_op, op, a, 0);
}

static void vcpu_calls(struct vcpu *v)
{
    struct vcpu_register_vcpu_info *r = (struct vcpu_register_vcpu_info *)fake_guest;
    *r = (struct vcpu_register_vcpu_info){.mfn = wild(GFNS), .offset = (uint32_t)wild(64) * 64};
    fake_hypercall(v, __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, wild(2), (uint64_t)(uintptr_t)r, 0);
}

static void live_and_die(struct vcpu *v)
{
    (void)v;
    unsigned i = any() % GUESTS;
    if (any() % 20)
        return;
    fake_destroy(guest[i]);
    guest[i] = fake_domain(2, false);
    guest[i]->max_pages = 40;
}

static void storm(uint64_t rounds)
{
    static void (*const act[])(struct vcpu * v) = {
        reservation, reservation, physmap,     batch, remove_page, resource,   offer,       offer,
        grant_calls, grant_calls, grant_calls, copy,  events,      vcpu_calls, live_and_die};
    for (uint64_t i = 0; i < rounds; i++) {
        struct domain *d = any() % 4 ? guest[any() % GUESTS] : control;
        act[any() % ARRAY_SIZE(act)](d->vcpu[any() % 2]);
        fake_settle();
    }
}

static void clear_control(void)
{
    struct p2m_entry old;
    for (uint64_t gfn = 0; gfn < FAKE_MAX_GFN; gfn++)
        if (!p2m_remove(control, GFN(gfn), P2M_BIT(P2M_RAM) | P2M_BIT(P2M_FOREIGN) | P2M_BIT(P2M_SHARED),
                        &old))
            frame_put(old.mfn);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 0) : otherwise;
}

static void test_storm(void **state)
{
    (void)state;
    seed = from_environment("SEED", 0x9e3779b97f4a7c15ull) | 1;
    fake_boot(2);
    control = fake_domain(2, true);
    for (unsigned i = 0; i < GUESTS; i++)
        guest[i] = fake_domain(2, false);
    storm(from_environment("ROUNDS", 200000));
    clear_control();
    for (unsigned i = 0; i < GUESTS; i++)
        fake_destroy(guest[i]);
    fake_destroy(control);
    assert_null(domain_next(0));
    uint64_t in_use = FAKE_FRAMES - 1 - frames_free();
    printf("frames in use after the storm: %lu\n", (unsigned long)in_use);
    assert_true(in_use < 20); /* the table of ids, timers' heaps */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
