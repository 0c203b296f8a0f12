/* sources: drivers/pv/grant.c */
/* Guests' pages in dom0 over a hypervisor that maps for devices, and over one that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <dom0/below.h>
#include <drivers/grant.h>
#include <pvh/memory.h>

#define WINDOW  0x100000000ull
#define HANDLES 8192

static bool knows_device_maps;
static unsigned calls, live, bad_unmaps;
static struct {
    bool live;
    uint64_t host, bus;
} handles[HANDLES];

uint64_t memory_reserve_space(uint64_t size)
{
    assert_in_range(size, 1, 1 << 30);
    return WINDOW;
}

/* References up to 9999 are good. */
static void map_one(struct gnttab_map_grant_ref *op)
{
    bool device = op->flags & GNTMAP_device_map;
    op->status = op->ref > 9999                 ? GNTST_bad_gntref
                 : device && !knows_device_maps ? GNTST_general_error
                                                : GNTST_okay;
    if (op->status)
        return;
    for (op->handle = 0; handles[op->handle].live; op->handle++)
        ;
    handles[op->handle].live = true;
    handles[op->handle].host = device ? 0 : op->host_addr;
    handles[op->handle].bus = device ? (uint64_t)op->ref << 12 : 0;
    for (unsigned h = 0; h < op->handle && !device; h++)
        assert_false(handles[h].live && handles[h].host == op->host_addr);
    op->dev_bus_addr = (uint64_t)op->ref << 12;
    live++;
}

static void unmap_one(struct gnttab_unmap_grant_ref *op)
{
    if (op->handle >= HANDLES || !handles[op->handle].live || handles[op->handle].host != op->host_addr ||
        handles[op->handle].bus != op->dev_bus_addr) {
        bad_unmaps++;
        return;
    }
    handles[op->handle].live = false;
    live--;
}

long hypercall(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)a4;
    (void)a5;
    assert_int_equal(op, __HYPERVISOR_grant_table_op);
    calls++;
    for (uint64_t i = 0; i < a3; i++)
        if (a1 == GNTTABOP_map_grant_ref)
            map_one((struct gnttab_map_grant_ref *)a2 + i);
        else if (a1 == GNTTABOP_unmap_grant_ref)
            unmap_one((struct gnttab_unmap_grant_ref *)a2 + i);
        else
            ((struct gnttab_copy *)a2)[i].status = i == 1 ? GNTST_bad_page : GNTST_okay;
    return 0;
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(live, 0);
    assert_int_equal(bad_unmaps, 0);
    return 0;
}

static struct grant_pin pins[5000];

static void want(size_t count, grant_ref_t first)
{
    memset(pins, 0, sizeof pins);
    for (size_t i = 0; i < count; i++)
        pins[i].ref = first + (grant_ref_t)i;
    calls = 0;
}

static void devices_are_told_machine_addresses(void **state)
{
    (void)state;
    knows_device_maps = true;
    want(300, 20);
    assert_true(grant_pin(1, pins, 300, false));
    assert_int_equal(calls, 2);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(pins[i].bus, (20 + i) << 12);
        assert_null(pins[i].data);
        assert_int_equal(handles[pins[i].handle].host, 0);
    }
    grant_unpin(pins, 300);
    grant_unpin(pins, 300);
    assert_int_equal(calls, 4);
}

/* What the hypervisor can is learned once, so this one is met by another process. */
static int meet_xen(void)
{
    bool good = true;
    knows_device_maps = false;
    want(2, 10000);
    good &= !grant_pin(1, pins, 2, false);
    want(3, 20);
    good &= grant_pin(1, pins, 3, false) && calls == 2;
    for (unsigned i = 0; i < 3; i++)
        good &= pins[i].bus == handles[pins[i].handle].host && !pins[i].data;
    grant_unpin(pins, 3);
    want(3, 20);
    good &= grant_pin(1, pins, 3, false) && calls == 1;
    grant_unpin(pins, 3);
    return good && !live && !bad_unmaps ? 0 : 1;
}

static void a_hypervisor_without_device_maps_maps_for_us(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (!child)
        _exit(meet_xen());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void the_window_has_an_end(void **state)
{
    (void)state;
    want(5000, 0);
    assert_false(grant_pin(1, pins, 5000, true));
    assert_int_equal(live, 4096);
    assert_int_equal(pins[4095].status, GNTST_okay);
    assert_int_equal(pins[4096].status, GNTST_no_space);
    grant_unpin(pins, 5000);
    want(5000, 0);
    assert_true(grant_pin(1, pins, 4096, true));
    assert_int_equal((uint64_t)pins[7].data, handles[pins[7].handle].host);
    grant_unpin(pins, 4096);
}

static void bad_references_leave_no_hole(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        want(200, 9900);
        assert_false(grant_pin(1, pins, 200, true));
        assert_int_equal(pins[99].status, GNTST_okay);
        assert_int_equal(pins[100].status, GNTST_bad_gntref);
        assert_null(pins[100].data);
        grant_unpin(pins, 200);
    }
}

static void rings_stand_in_a_row(void **state)
{
    (void)state;
    grant_ref_t refs[16];
    grant_handle_t ring_handles[20][16], failed[17];
    void *rings[20];
    for (unsigned i = 0; i < 16; i++)
        refs[i] = i;
    for (unsigned r = 0; r < 20; r++) {
        rings[r] = grant_map_ring(1, refs, 1 + r % 16, ring_handles[r]);
        assert_non_null(rings[r]);
        for (unsigned i = 0; i < 1 + r % 16; i++)
            assert_int_equal(handles[ring_handles[r][i]].host, (uint64_t)rings[r] + i * 4096);
    }
    refs[3] = 10000;
    unsigned before = live;
    assert_null(grant_map_ring(1, refs, 16, failed));
    assert_int_equal(live, before);
    assert_null(grant_map_ring(1, refs, 17, failed));
    assert_null(grant_map_ring(1, refs, 0, failed));
    for (unsigned r = 0; r < 20; r++)
        grant_unmap_ring(rings[r], 1 + r % 16, ring_handles[r]);
    grant_unmap_ring(NULL, 1, NULL);
}

static void copies_say_which_failed(void **state)
{
    (void)state;
    struct gnttab_copy pieces[2] = {0};
    assert_true(grant_copy(pieces, 1));
    assert_false(grant_copy(pieces, 2));
    assert_int_equal(pieces[0].status, GNTST_okay);
    assert_int_equal(pieces[1].status, GNTST_bad_page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hypervisor_without_device_maps_maps_for_us, NULL, end),
        cmocka_unit_test_setup_teardown(devices_are_told_machine_addresses, NULL, end),
        cmocka_unit_test_setup_teardown(the_window_has_an_end, NULL, end),
        cmocka_unit_test_setup_teardown(bad_references_leave_no_hole, NULL, end),
        cmocka_unit_test_setup_teardown(rings_stand_in_a_row, NULL, end),
        cmocka_unit_test_setup_teardown(copies_say_which_failed, NULL, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
