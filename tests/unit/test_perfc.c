/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c hv/perfc.c */
/* cflags: -pthread */
/* Performance counters: counted by the CPU that does it, read whole or in part, reset without a writer's
 * help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/hypercall.h>
#include <xen/sysctl.h>
#include "fake/fake.h"

#define CPUS 3

static struct domain *domain;
static struct xen_sysctl_perfc_op op;
static xen_sysctl_perfc_desc_t *const desc = (xen_sysctl_perfc_desc_t *)fake_guest;
static xen_sysctl_perfc_val_t *const val = (xen_sysctl_perfc_val_t *)(fake_guest + FAKE_GUEST_SIZE / 2);

static int64_t control(uint32_t command, void *descriptions, void *values)
{
    op = (struct xen_sysctl_perfc_op){.cmd = command};
    set_xen_guest_handle(op.desc, descriptions);
    set_xen_guest_handle(op.val, values);
    return perfc_control(&op);
}

/* The values of a counter; how many they are in *count. */
static const xen_sysctl_perfc_val_t *values_of(const char *name, uint32_t *count)
{
    uint32_t at = 0;
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_query, desc, val), 0);
    for (uint32_t i = 0; i < op.nr_counters; at += desc[i++].nr_vals) {
        *count = desc[i].nr_vals;
        if (!strcmp(desc[i].name, name))
            return &val[at];
    }
    fail_msg("no counter is called %s", name);
    return NULL;
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_query, NULL, NULL), 0);
    uint32_t counters = op.nr_counters, values = op.nr_vals, sum = 0;
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_query, desc, NULL), 0);
    for (uint32_t i = 0; i < counters; i++) {
        assert_true(desc[i].name[0] && memchr(desc[i].name, 0, sizeof desc[i].name));
        assert_true(desc[i].nr_vals == CPUS || desc[i].nr_vals == PERFC_HYPERCALLS);
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(desc[i].name, desc[j].name);
        sum += desc[i].nr_vals;
    }
    assert_int_equal(sum, values);
    /* Not a byte more than it says. */
    memset(fake_guest, 0x5a, FAKE_GUEST_SIZE);
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_query, desc, val), 0);
    assert_int_equal(op.nr_counters, counters);
    assert_int_equal(op.nr_vals, values);
    assert_int_equal(((char *)&desc[counters])[0], 0x5a);
    assert_int_equal(val[values], 0x5a5a5a5a);
    assert_int_not_equal(val[values - 1], 0x5a5a5a5a);
}

static void test_counting(void **state)
{
    (void)state;
    uint32_t count;
    const xen_sysctl_perfc_val_t *v;
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_reset, NULL, NULL), 0);

    for (unsigned i = 0; i < 5; i++)
        fake_hypercall(domain->vcpu[0], __HYPERVISOR_sched_op, 9999, 0, 0, 0);
    fake_hypercall(domain->vcpu[0], 0x7fff, 0, 0, 0, 0);
    fake_hypercall(domain->vcpu[0], ~0u, 0, 0, 0, 0);
    v = values_of("hypercalls", &count);
    assert_int_equal(count, PERFC_HYPERCALLS);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(v[i], i == __HYPERVISOR_sched_op ? 5 : 0);

    fake_cpu(2);
    perfc_add(grant_copy_bytes, 4000);
    perfc_index(hypercalls, __HYPERVISOR_sched_op); /* a list's values are of all CPUs */
    fake_cpu(1);
    perfc_incr(grant_copy_bytes);
    fake_cpu(0);
    assert_int_equal(values_of("hypercalls", &count)[__HYPERVISOR_sched_op], 6);
    v = values_of("bytes copied by grant", &count);
    assert_int_equal(count, CPUS);
    assert_int_equal(v[0], 0);
    assert_int_equal(v[1], 1);
    assert_int_equal(v[2], 4000);
}

static void test_switches(void **state)
{
    (void)state;
    uint32_t count, before = 0, after = 0;
    fake_settle();
    const xen_sysctl_perfc_val_t *v = values_of("context switches", &count);
    for (uint32_t i = 0; i < count; i++)
        before += v[i];
    vcpu_stop(domain->vcpu[0], VCPU_PAUSED);
    fake_settle();
    vcpu_wake(domain->vcpu[0], VCPU_PAUSED);
    fake_settle();
    v = values_of("context switches", &count);
    for (uint32_t i = 0; i < count; i++)
        after += v[i];
    assert_int_equal(after - before, 2);
}

static void test_reset(void **state)
{
    (void)state;
    uint32_t count;
    cpus[0]->perfc[PERFC_ipis] = ~0u - 1; /* about to wrap */
    /* What was there is shown once more. */
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_reset, desc, val), 0);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < op.nr_vals; i++)
        sum += val[i];
    assert_true(sum >= ~0u - 1);
    values_of("hypercalls", &count);
    for (uint32_t i = 0; i < op.nr_vals; i++)
        assert_int_equal(val[i], 0);
    for (unsigned i = 0; i < 4; i++)
        perfc_incr(ipis);
    assert_int_equal(values_of("IPIs between CPUs", &count)[0], 4);
    perfc_reset();
    assert_int_equal(values_of("IPIs between CPUs", &count)[0], 0);
}

static void test_wrong(void **state)
{
    (void)state;
    uint32_t count;
    perfc_incr(p2m_flushes);
    uint32_t was = values_of("p2m flushes", &count)[0], values = op.nr_vals;
    static const uint32_t commands[] = {0, 3, 0x80000001, ~0u};
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        assert_int_equal(control(commands[i], desc, val), -XEN_EINVAL);
    char *end = fake_guest + FAKE_GUEST_SIZE;
    for (uint32_t command = XEN_SYSCTL_PERFCOP_reset; command <= XEN_SYSCTL_PERFCOP_query; command++) {
        assert_int_equal(control(command, (void *)8, val), -XEN_EFAULT);
        assert_int_equal(control(command, desc, (void *)8), -XEN_EFAULT);
        assert_int_equal(control(command, (void *)~0ull, (void *)~0ull), -XEN_EFAULT);
        assert_int_equal(control(command, end - sizeof *desc, val), -XEN_EFAULT);
        assert_int_equal(control(command, desc, end - (values - 1) * sizeof *val), -XEN_EFAULT);
    }
    assert_int_equal(control(XEN_SYSCTL_PERFCOP_query, desc, end - values * sizeof *val), 0);
    assert_int_equal(values_of("p2m flushes", &count)[0], was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_counting), cmocka_unit_test(test_switches),
        cmocka_unit_test(test_reset), cmocka_unit_test(test_wrong),
    };
    fake_boot(CPUS);
    domain = fake_domain(1, true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
