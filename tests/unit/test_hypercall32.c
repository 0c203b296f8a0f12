/* sources: arch/x86_64/guest/hypercall32.c */
/* cflags: -Iarch/x86_64/include */
/* Hypercalls of 32-bit code: which pass, and what the translated ones make of their structures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <hv/memory.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include "../../arch/x86_64/guest/guest.h"
#include "../../arch/x86_64/guest/hypercall32.h"

static uint8_t memory[256];
static uint64_t passed[6];
static unsigned passed_number;
static int64_t answer;
static struct {
    uint64_t at, index, gfn;
    uint32_t entries;
    unsigned space;
} seen;

int copy_from_guest(void *to, gva_t from, size_t size)
{
    if (from.v + size > sizeof memory)
        return -XEN_EFAULT;
    memcpy(to, memory + from.v, size);
    return 0;
}

int copy_to_guest(gva_t to, const void *from, size_t size)
{
    if (to.v + size > sizeof memory)
        return -XEN_EFAULT;
    memcpy(memory + to.v, from, size);
    return 0;
}

int64_t hypercall(uint64_t number, uint64_t arg[6])
{
    passed_number = (unsigned)number;
    memcpy(passed, arg, sizeof passed);
    if (answer == HYPERCALL_RESTART)
        arg[1] = 0x1234;
    return answer;
}

int memory_map_read(struct domain *d, gva_t to, uint32_t *entries)
{
    (void)d;
    seen.at = to.v;
    seen.entries = *entries;
    *entries = 3;
    return 0;
}

int memory_map_write(struct domain *d, gva_t from, uint32_t entries)
{
    (void)d;
    seen.at = from.v;
    seen.entries = entries;
    return 0;
}

int physmap_add_own(struct domain *d, unsigned space, uint64_t index, gfn_t gfn)
{
    (void)d;
    seen.space = space;
    seen.index = index;
    seen.gfn = gfn.v;
    return 0;
}

static struct arch_vcpu arch;
static struct vcpu vcpu = {.arch = &arch};

/* The upper halves are what 64-bit code left there. */
static int64_t call(uint32_t number, uint32_t op, uint32_t argument)
{
    arch.gpr[RAX] = 0xdead00000000 | number;
    arch.gpr[RBX] = 0xdead00000000 | op;
    arch.gpr[RCX] = 0xdead00000000 | argument;
    arch.gpr[RDX] = 1;
    passed_number = ~0u;
    memset(&seen, 0, sizeof seen);
    return hypercall32(&vcpu);
}

static void put(unsigned at, uint32_t value)
{
    memcpy(memory + at, &value, sizeof value);
}

static void same_layouts_pass(void **state)
{
    (void)state;
    answer = 0;
    assert_int_equal(call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, 0x100), 0);
    assert_int_equal(passed_number, __HYPERVISOR_event_channel_op);
    assert_int_equal(passed[0], EVTCHNOP_send);
    assert_int_equal(passed[1], 0x100);
    assert_int_equal(call(__HYPERVISOR_hvm_op, HVMOP_get_param, 0x100), 0);
    assert_int_equal(call(__HYPERVISOR_sched_op, SCHEDOP_yield, 0), 0);
    assert_int_equal(call(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, 0), 0);
    answer = -XEN_EINVAL;
    assert_int_equal((int32_t)call(__HYPERVISOR_sched_op, SCHEDOP_block, 0), -XEN_EINVAL);
    answer = HYPERCALL_RESTART;
    assert_int_equal(call(__HYPERVISOR_event_channel_op, EVTCHNOP_close, 0), HYPERCALL_RESTART);
    assert_int_equal(arch.gpr[RCX], 0x1234);
}

static void others_do_not(void **state)
{
    (void)state;
    answer = 0;
    static const struct {
        uint32_t number, op;
    } cases[] = {
        {__HYPERVISOR_grant_table_op, GNTTABOP_setup_table},
        {__HYPERVISOR_grant_table_op, GNTTABOP_copy},
        {__HYPERVISOR_memory_op, XENMEM_populate_physmap},
        {__HYPERVISOR_memory_op, XENMEM_add_to_physmap | 1 << 6},
        {__HYPERVISOR_sched_op, SCHEDOP_poll},
        {__HYPERVISOR_multicall, 0},
        {__HYPERVISOR_domctl, 0},
        {__HYPERVISOR_event_channel_op, EVTCHNOP_init_control},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal((int32_t)call(cases[i].number, cases[i].op, 0), -XEN_ENOSYS);
        assert_int_equal(passed_number, ~0u);
    }
}

static void memory_maps(void **state)
{
    (void)state;
    put(16, 128);
    put(20, 0xabcd);
    assert_int_equal(call(__HYPERVISOR_memory_op, XENMEM_memory_map, 16), 0);
    assert_int_equal(seen.at, 0xabcd);
    assert_int_equal(seen.entries, 128);
    uint32_t entries;
    memcpy(&entries, memory + 16, sizeof entries);
    assert_int_equal(entries, 3);
    put(16, 0xffff0000 | DOMID_SELF);
    put(20, 7);
    put(24, 0xf0000000);
    assert_int_equal(call(__HYPERVISOR_memory_op, XENMEM_set_memory_map, 16), 0);
    assert_int_equal(seen.at, 0xf0000000);
    assert_int_equal(seen.entries, 7);
    put(16, 5);
    assert_int_equal((int32_t)call(__HYPERVISOR_memory_op, XENMEM_set_memory_map, 16), -XEN_ENOSYS);
    assert_int_equal((int32_t)call(__HYPERVISOR_memory_op, XENMEM_memory_map, 252), -XEN_EFAULT);
}

static void own_pages(void **state)
{
    (void)state;
    put(32, 0xffff0000 | DOMID_SELF);
    put(36, XENMAPSPACE_grant_table);
    put(40, 2);
    put(44, 0x18000);
    assert_int_equal(call(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, 32), 0);
    assert_int_equal(seen.space, XENMAPSPACE_grant_table);
    assert_int_equal(seen.index, 2);
    assert_int_equal(seen.gfn, 0x18000);
    put(32, 3);
    assert_int_equal((int32_t)call(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, 32), -XEN_ENOSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_layouts_pass),
        cmocka_unit_test(others_do_not),
        cmocka_unit_test(memory_maps),
        cmocka_unit_test(own_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
