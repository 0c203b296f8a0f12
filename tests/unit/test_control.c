/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c hv/gnttab.c hv/gnttab_pin.c hv/gnttab_map.c hv/gnttab_copy.c hv/domctl.c hv/domctl_sched.c hv/domctl_state.c hv/sysctl.c hv/perfc.c hv/hvm_op.c hv/platform_op.c hv/vcpu_op.c */
/* cflags: -pthread */
/* The toolstack's side: domctl, sysctl, HVM parameters; the life of a domain from its creation to its last
 * page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/console.h>
#include <hv/debugkeys.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <lib/domain_state.h>
#include <xen/domctl.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/save.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sysctl.h>
#include "fake/fake.h"

static struct domain *control, *guest;
static struct vcpu *cv, *gv;
static struct xen_domctl *op = (struct xen_domctl *)fake_guest;
static struct xen_sysctl *sop = (struct xen_sysctl *)fake_guest;
static char *buffer = fake_guest + 4096;

/* --- what this test needs of the machine besides the fakes ---------------------------------------------- */

static const char context[] = "\x02\0\x01\0\x04\0\0\0abcd\x02\0\0\0\x03\0\0\0xyz\0\0\0\0\0\0\0";
static unsigned contexts_set;

int64_t arch_get_hvm_context(struct domain *d, void *buf, size_t size)
{
    assert_true(domain_is_stopped(d));
    if (buf)
        memcpy(buf, context, size);
    return sizeof context - 1;
}

int64_t arch_set_hvm_context(struct domain *d, const void *buf, size_t size)
{
    assert_true(domain_is_stopped(d));
    contexts_set++;
    return size && *(const char *)buf == 'x' ? -XEN_EINVAL : (int64_t)size;
}

void arch_get_vcpu_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    c->user_regs.rax = 1000 + v->id;
    c->flags = VGCF_online;
}

static uint64_t rax_set;
int arch_set_vcpu_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    assert_true(domain_is_stopped(v->domain));
    rax_set = c->user_regs.rax;
    return c->debugreg[7] ? -XEN_EINVAL : 0;
}

int arch_set_upcall_vector(struct vcpu *v, uint32_t vector)
{
    (void)v, (void)vector;
    return 0;
}

int arch_set_callback_via(struct domain *d, uint64_t via)
{
    (void)d;
    return via == 0x123 ? -XEN_EINVAL : 0;
}

void arch_hw_caps(uint32_t hw_cap[8])
{
    memset(hw_cap, 0, 8 * sizeof hw_cap[0]);
}

void arch_cpu_ids(const struct cpu *cpu, uint32_t *apic_id, uint32_t *acpi_id)
{
    *apic_id = *acpi_id = cpu->id + 10;
}

void time_set_wallclock(uint64_t unix_ns, ns_t at)
{
    (void)unix_ns, (void)at;
}

void debugkey_press(char key)
{
    fake_message[0] = key;
}

void console_ring_pieces(bool incremental, uint32_t *index, uint32_t max, struct console_piece piece[2])
{
    piece[0] = (struct console_piece){"first", MIN(max, 5u)};
    piece[1] = (struct console_piece){"second", max > 5 ? MIN(max - 5, 6u) : 0};
    *index = (incremental ? *index : 0) + piece[0].length + piece[1].length;
}

void console_ring_clear(void)
{
}

/* --- helpers -------------------------------------------------------------------------------------------- */

static int64_t domctl_as(struct vcpu *v, uint32_t cmd, domid_t id)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = id;
    return fake_hypercall(v, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)op, 0, 0, 0);
}

static int64_t domctl(uint32_t cmd, domid_t id)
{
    return domctl_as(cv, cmd, id);
}

static int64_t sysctl(uint32_t cmd)
{
    sop->cmd = cmd;
    sop->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return fake_hypercall(cv, __HYPERVISOR_sysctl, (uint64_t)(uintptr_t)sop, 0, 0, 0);
}

static void good_config(void)
{
    memset(op, 0, sizeof *op);
    op->u.createdomain = (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = 2,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = 2,
    };
}

static int64_t create_with(size_t offset, uint32_t value)
{
    good_config();
    memcpy((char *)&op->u.createdomain + offset, &value, sizeof value);
    return domctl(XEN_DOMCTL_createdomain, 0);
}
#define CREATE_WITH(field, value) create_with(offsetof(struct xen_domctl_createdomain, field), value)

/* --- tests ---------------------------------------------------------------------------------------------- */

static void test_who_and_how(void **state)
{
    (void)state;
    memset(op, 0, sizeof *op);
    assert_int_equal(domctl_as(gv, XEN_DOMCTL_pausedomain, guest->id), -XEN_EPERM);
    assert_int_equal(domctl_as(gv, XEN_DOMCTL_getdomaininfo, guest->id), -XEN_EPERM);
    assert_int_equal(domctl_as(gv, XEN_DOMCTL_createdomain, 0), -XEN_EPERM);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, 0x7abc), -XEN_ESRCH);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, DOMID_SELF), -XEN_ESRCH);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, control->id), -XEN_EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, control->id), -XEN_EINVAL);
    assert_int_equal(domctl(999999, guest->id), -XEN_ENOSYS);
    assert_int_equal(domctl(0, guest->id), -XEN_ENOSYS);
    op->interface_version--;
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)op, 0, 0, 0), -XEN_EACCES);
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_domctl, 8, 0, 0, 0), -XEN_EFAULT);
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_sysctl, (uint64_t)(uintptr_t)op, 0, 0, 0), -XEN_EACCES);
    assert_int_equal(sysctl(7777), -XEN_ENOSYS);
}

static void test_bad_configs(void **state)
{
    (void)state;
    uint64_t free = frames_free();
    assert_int_equal(CREATE_WITH(flags, 1u << 30), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(max_vcpus, 0), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(max_vcpus, MAX_VCPUS + 1), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(max_evtchn_port, 0), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(iommu_opts, 1), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(vmtrace_size, 4096), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(cpupool_id, 1), -XEN_ENOENT);
    assert_int_equal(CREATE_WITH(max_grant_frames, 0), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(max_grant_frames, 65), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(max_maptrack_frames, 0x7fffffff), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(grant_opts, 0), -XEN_EINVAL);
    assert_int_equal(CREATE_WITH(grant_opts, 3), -XEN_EINVAL);
    good_config();
    assert_int_equal(domctl(XEN_DOMCTL_createdomain, guest->id), -XEN_EEXIST);
    assert_int_equal(frames_free(), free);
}

/* Creation that runs out of memory at any point leaves nothing behind. */
static void test_create_without_memory(void **state)
{
    (void)state;
    static void *hoard[FAKE_FRAMES];
    unsigned count = 0;
    while ((hoard[count] = page_alloc(0)))
        count++;
    for (unsigned i = 0; i < 64; i++) {
        page_free(hoard[--count], 0);
        uint64_t free = frames_free();
        good_config();
        int64_t result = domctl(XEN_DOMCTL_createdomain, 0);
        if (result == 0) {
            domid_t id = op->domain;
            assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), 0);
            fake_settle();
            assert_null(domain_find(id));
        } else {
            assert_int_equal(result, -XEN_ENOMEM);
        }
        assert_true(frames_free() + 1 >= free); /* the part of the table that ids stand in may stay */
    }
    while (count)
        page_free(hoard[--count], 0);
}

static int64_t get_state(struct vcpu *v, uint32_t version, domid_t id)
{
    memset(op, 0, sizeof *op);
    op->cmd = XEN_DOMCTL_get_domain_state;
    op->interface_version = version;
    op->domain = id;
    return fake_hypercall(v, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)op, 0, 0, 0);
}

/* What changed is said once, with its state as it is by now. */
static void assert_changed(domid_t id, uint16_t state)
{
    assert_int_equal(get_state(cv, 0, DOMID_INVALID), 0);
    assert_int_equal(op->domain, id);
    assert_int_equal(domain_state_of(op)->state, state);
    assert_int_equal(get_state(cv, 0, DOMID_INVALID), -XEN_ENOENT);
}

static void test_changes(void **state)
{
    (void)state;
    while (!get_state(cv, 0, DOMID_INVALID))
        ;
    good_config();
    assert_int_equal(domctl(XEN_DOMCTL_createdomain, 0), 0);
    domid_t id = op->domain;
    struct domain *d = domain_find(id);
    assert_int_equal(get_state(cv, XEN_DOMCTL_INTERFACE_VERSION, DOMID_INVALID), -XEN_EACCES);
    assert_int_equal(get_state(cv, 0, DOMID_INVALID - 1), -XEN_ESRCH);
    assert_int_equal(get_state(cv, 0, 12345), -XEN_ESRCH);
    assert_int_equal(get_state(gv, 0, DOMID_INVALID), -XEN_EPERM);
    domain_state_of(op)->pad0 = 1;
    op->domain = DOMID_INVALID;
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)op, 0, 0, 0), -XEN_EINVAL);
    assert_changed(id, XEN_DOMCTL_GETDOMSTATE_STATE_EXIST);
    uint64_t unique = d->unique_id;
    assert_int_equal(get_state(cv, 0, id), 0);
    assert_int_equal(domain_state_of(op)->unique_id, unique);
    assert_int_equal(domain_state_of(op)->caps, 0);

    domain_shutdown(d, SHUTDOWN_poweroff);
    assert_changed(id, XEN_DOMCTL_GETDOMSTATE_STATE_EXIST | XEN_DOMCTL_GETDOMSTATE_STATE_SHUTDOWN);
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), 0);
    fake_settle();
    assert_changed(id, 0);
    assert_int_equal(domain_state_of(op)->unique_id, 0);
}

static void test_life(void **state)
{
    (void)state;
    good_config();
    assert_int_equal(domctl(XEN_DOMCTL_createdomain, 0), 0);
    domid_t id = op->domain;
    struct domain *d = domain_find(id);
    assert_non_null(d);
    op->u.max_vcpus.max = 3;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), -XEN_EINVAL);
    op->u.max_vcpus.max = 2;
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    op->u.max_mem.max_memkb = 4003;
    assert_int_equal(domctl(XEN_DOMCTL_max_mem, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    assert_int_equal(op->u.getdomaininfo.max_pages, 1000);
    assert_int_equal(op->u.getdomaininfo.max_vcpu_id, 1);
    assert_int_equal(op->u.getdomaininfo.nr_online_vcpus, 0);
    assert_int_equal(op->u.getdomaininfo.flags & 0xffff,
                     XEN_DOMINF_paused | XEN_DOMINF_hvm_guest | XEN_DOMINF_hap);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), -XEN_EINVAL);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_pausedomain, id), 0);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    assert_int_equal(d->pause_count, 1);
    assert_int_equal(domctl(XEN_DOMCTL_unpausedomain, id), 0);

    domain_shutdown(d, SHUTDOWN_suspend);
    domain_shutdown(d, SHUTDOWN_crash); /* the first word counts */
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
    assert_int_equal(op->u.getdomaininfo.flags >> 16 & 255, SHUTDOWN_suspend);
    assert_true(op->u.getdomaininfo.flags & XEN_DOMINF_shutdown);
    assert_int_equal(domctl(XEN_DOMCTL_resumedomain, id), 0);
    assert_false(d->shut_down);
    fake_page(d, 3);
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), 0);
    fake_settle();
    assert_null(domain_find(id));
    assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), -XEN_ESRCH);
    op->u.getdomaininfo.domain = 0;
    assert_int_equal(domctl(XEN_DOMCTL_getdomaininfo, id), -XEN_ESRCH); /* nor any above it */
}

static void test_many_lives(void **state)
{
    (void)state;
    uint64_t free = 0;
    for (unsigned i = 0; i < 300; i++) {
        good_config();
        assert_int_equal(domctl(XEN_DOMCTL_createdomain, 0), 0);
        domid_t id = op->domain;
        op->u.max_vcpus.max = 2;
        assert_int_equal(domctl(XEN_DOMCTL_max_vcpus, id), 0);
        op->u.max_mem.max_memkb = 1024;
        assert_int_equal(domctl(XEN_DOMCTL_max_mem, id), 0);
        fake_page(domain_find(id), 7);
        assert_int_equal(domctl(XEN_DOMCTL_destroydomain, id), 0);
        fake_settle();
        assert_null(domain_find(id));
        if (i == 100)
            free = frames_free();
    }
    assert_true(frames_free() + 2 >= free); /* parts of the table of ids */
}

static void test_vcpus(void **state)
{
    (void)state;
    memset(op, 0, sizeof *op);
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuinfo, guest->id), 0);
    assert_int_equal(op->u.getvcpuinfo.online, 1);
    op->u.getvcpuinfo.vcpu = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuinfo, guest->id), -XEN_EINVAL);

    struct xen_domctl_vcpuaffinity *a = &op->u.vcpuaffinity;
    *a = (struct xen_domctl_vcpuaffinity){.vcpu = 0, .flags = XEN_VCPUAFFINITY_HARD};
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), -XEN_EINVAL); /* no CPU */
    a->cpumap_hard.nr_bits = 16;
    set_xen_guest_handle(a->cpumap_hard.bitmap, (uint8_t *)buffer);
    memcpy(buffer, "\x02\xff", 2);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), 0);
    assert_int_equal(buffer[0], 2);
    assert_int_equal(buffer[1], 0);
    a->flags = XEN_VCPUAFFINITY_SOFT;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), -XEN_EINVAL); /* no bitmap */
    a->cpumap_soft.nr_bits = 8;
    set_xen_guest_handle(a->cpumap_soft.bitmap, (uint8_t *)buffer);
    buffer[0] = 3;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), 0);
    assert_int_equal(buffer[0], 2); /* what of it is allowed */
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity, guest->id), 0);
    assert_int_equal(buffer[0], 3); /* what was set */
    buffer[0] = 0;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), 0);

    /* Both at once, and neither when one of them is wrong; not while it is pinned, unless that is forced. */
    a->flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    set_xen_guest_handle(a->cpumap_soft.bitmap, (uint8_t *)buffer + 8);
    buffer[0] = 3, buffer[1] = 0, buffer[8] = 1;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), 0);
    assert_int_equal(guest->vcpu[0]->affinity, 3);
    assert_int_equal(guest->vcpu[0]->soft_affinity, 1);
    buffer[0] = 1;
    set_xen_guest_handle(a->cpumap_soft.bitmap, (uint8_t *)8);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), -XEN_EFAULT);
    assert_int_equal(guest->vcpu[0]->affinity, 3);
    a->flags = XEN_VCPUAFFINITY_HARD;
    assert_int_equal(sched_pin(guest->vcpu[0], 0), 0);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), -XEN_EBUSY);
    a->flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_FORCE;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), 0);
    a->flags = 0;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpuaffinity, guest->id), -XEN_EINVAL);
    a->flags = XEN_VCPUAFFINITY_SOFT;
    a->cpumap_soft.nr_bits = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity, guest->id), -XEN_EINVAL);
    a->vcpu = 99;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpuaffinity, guest->id), -XEN_EINVAL);
}

static void test_scheduler(void **state)
{
    (void)state;
    memset(op, 0, sizeof *op);
    struct xen_domctl_scheduler_op *s = &op->u.scheduler_op;
    *s = (struct xen_domctl_scheduler_op){.sched_id = XEN_SCHEDULER_CREDIT2,
                                          .cmd = XEN_DOMCTL_SCHEDOP_getinfo};
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), 0);
    assert_int_equal(s->u.credit2.weight, 256);
    s->cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    s->u.credit2.weight = 512;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), 0);
    assert_int_equal(sched_get_weight(guest), 512);
    s->u.credit2.weight = 0;
    s->u.credit2.cap = 50;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), 0);
    s->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), 0);
    assert_int_equal(s->u.credit2.weight, 512);
    assert_int_equal(s->u.credit2.cap, 50);
    s->cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    s->u.credit2.cap = UINT16_MAX;
    s->u.credit2.weight = 1;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), -XEN_EINVAL);
    assert_int_equal(sched_get_weight(guest), 512);
    assert_int_equal(sched_get_cap(guest), 50);
    s->u.credit2.cap = 0;
    s->u.credit2.weight = 256;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), 0);
    assert_int_equal(sched_get_cap(guest), 0);
    s->cmd = XEN_DOMCTL_SCHEDOP_getvcpuinfo;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), -XEN_EINVAL);
    s->cmd = XEN_DOMCTL_SCHEDOP_putvcpuinfo;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), -XEN_EINVAL);
    s->sched_id = XEN_SCHEDULER_CREDIT;
    s->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(domctl(XEN_DOMCTL_scheduler_op, guest->id), -XEN_EINVAL);
}

static void test_scheduler_parameters(void **state)
{
    (void)state;
    memset(sop, 0, sizeof *sop);
    struct xen_sysctl_scheduler_op *s = &sop->u.scheduler_op;
    s->sched_id = XEN_SCHEDULER_CREDIT2;
    s->cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    s->u.sched_credit2.ratelimit_us = 2000;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
    s->u.sched_credit2.ratelimit_us = XEN_SYSCTL_SCHED_RATELIMIT_MIN - 1;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -XEN_EINVAL);
    s->u.sched_credit2.ratelimit_us = UINT32_MAX;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -XEN_EINVAL);
    s->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
    assert_int_equal(s->u.sched_credit2.ratelimit_us, 2000);
    s->cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    s->u.sched_credit2.ratelimit_us = 0;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
    s->cmd = 2;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -XEN_EINVAL);
    s->cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    s->cpupool_id = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -XEN_ESRCH);
    s->cpupool_id = 0;
    s->sched_id = XEN_SCHEDULER_CREDIT;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -XEN_EINVAL);
}

static void test_contexts(void **state)
{
    (void)state;
    memset(op, 0, sizeof *op);
    struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext, guest->id), 0);
    assert_int_equal(h->size, sizeof context - 1);
    set_xen_guest_handle(h->buffer, (uint8_t *)buffer);
    h->size = 3;
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext, guest->id), -XEN_ENOSPC);
    h->size = 1000;
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext, guest->id), 0);
    assert_memory_equal(buffer, context, sizeof context - 1);
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext, control->id), -XEN_EINVAL);

    struct xen_domctl_hvmcontext_partial *p = &op->u.hvmcontext_partial;
    *p = (struct xen_domctl_hvmcontext_partial){.type = 2, .instance = 0, .bufsz = 3};
    set_xen_guest_handle(p->buffer, (uint8_t *)buffer);
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext_partial, guest->id), 0);
    assert_memory_equal(buffer, "xyz", 3);
    p->instance = 1;
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext_partial, guest->id), -XEN_ENOBUFS);
    p->type = 77;
    assert_int_equal(domctl(XEN_DOMCTL_gethvmcontext_partial, guest->id), -XEN_ENOENT);

    *h = (struct xen_domctl_hvmcontext){.size = 100};
    set_xen_guest_handle(h->buffer, (uint8_t *)buffer);
    assert_int_equal(domctl(XEN_DOMCTL_sethvmcontext, guest->id), -XEN_EINVAL);
    buffer[0] = 'y';
    assert_int_equal(domctl(XEN_DOMCTL_sethvmcontext, guest->id), 0);
    assert_int_equal(contexts_set, 2);
    h->size = ~0u;
    assert_int_equal(domctl(XEN_DOMCTL_sethvmcontext, guest->id), -XEN_ENOMEM);

    struct vcpu_guest_context *c = (struct vcpu_guest_context *)buffer;
    op->u.vcpucontext.vcpu = 0;
    set_xen_guest_handle(op->u.vcpucontext.ctxt, c);
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, guest->id), 0);
    assert_int_equal(c->user_regs.rax, 1000);
    c->user_regs.rax = 77;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, guest->id), 0);
    assert_int_equal(rax_set, 77);
    c->debugreg[7] = 1;
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, guest->id), -XEN_EINVAL);
    set_xen_guest_handle(op->u.vcpucontext.ctxt, NULL);
    assert_int_equal(domctl(XEN_DOMCTL_setvcpucontext, guest->id), -XEN_EFAULT);
    op->u.vcpucontext.vcpu = 7;
    assert_int_equal(domctl(XEN_DOMCTL_getvcpucontext, guest->id), -XEN_EINVAL);
    assert_int_equal(guest->pause_count, 0);
}

static void test_sysctls(void **state)
{
    (void)state;
    memset(sop, 0, sizeof *sop);
    assert_int_equal(sysctl(XEN_SYSCTL_physinfo), 0);
    assert_int_equal(sop->u.physinfo.nr_cpus, 2);
    assert_int_equal(sop->u.physinfo.free_pages, frames_free());
    sop->u.getdomaininfolist.first_domain = 1;
    sop->u.getdomaininfolist.max_domains = 10;
    set_xen_guest_handle(sop->u.getdomaininfolist.buffer, (xen_domctl_getdomaininfo_t *)buffer);
    assert_int_equal(sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(sop->u.getdomaininfolist.num_domains, 1);
    assert_int_equal(((xen_domctl_getdomaininfo_t *)buffer)->domain, guest->id);
    memset(sop, 0, sizeof *sop);
    set_xen_guest_handle(sop->u.readconsole.buffer, buffer);
    sop->u.readconsole.count = 8;
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_memory_equal(buffer, "firstsec", 8);
    assert_int_equal(sop->u.readconsole.index, 8);
    memset(sop, 0, sizeof *sop);
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(sop->u.cputopoinfo.num_cpus, 2);
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(sop->u.numainfo.num_nodes, 1);
    memset(sop, 0, sizeof *sop);
    sop->u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(sop->u.cpupool_op.n_dom, 2);
    sop->u.cpupool_op.cpupool_id = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -XEN_ENOENT);
}

static int64_t param(struct vcpu *v, unsigned which, domid_t whose, uint32_t index, uint64_t value)
{
    struct xen_hvm_param *p = (struct xen_hvm_param *)fake_guest;
    *p = (struct xen_hvm_param){.domid = whose, .index = index, .value = value};
    return fake_hypercall(v, __HYPERVISOR_hvm_op, which, (uint64_t)(uintptr_t)p, 0, 0);
}

static void test_params(void **state)
{
    (void)state;
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_STORE_PFN, 5), 0);
    assert_int_equal(param(gv, HVMOP_get_param, DOMID_SELF, HVM_PARAM_STORE_PFN, 0), 0);
    assert_int_equal(((struct xen_hvm_param *)fake_guest)->value, 5);
    assert_int_equal(param(gv, HVMOP_set_param, DOMID_SELF, HVM_PARAM_STORE_PFN, 6), -XEN_EPERM);
    assert_int_equal(param(gv, HVMOP_get_param, DOMID_SELF, HVM_PARAM_IOREQ_PFN, 0), -XEN_EPERM);
    assert_int_equal(param(gv, HVMOP_get_param, control->id, HVM_PARAM_STORE_PFN, 0), -XEN_EPERM);
    assert_int_equal(param(gv, HVMOP_set_param, DOMID_SELF, HVM_NR_PARAMS, 0), -XEN_EINVAL);
    assert_int_equal(param(gv, HVMOP_set_param, DOMID_SELF, ~0u, 0), -XEN_EINVAL);
    assert_int_equal(param(gv, HVMOP_set_param, 0x7abc, 0, 0), -XEN_ESRCH);
    assert_int_equal(param(gv, HVMOP_set_param, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, 0x123), -XEN_EINVAL);
    assert_int_equal(guest->hvm_param[HVM_PARAM_CALLBACK_IRQ], 0);
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_IOREQ_PFN, 7), 0);
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_IOREQ_PFN, 8), -XEN_EEXIST);
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_NESTEDHVM, 1), -XEN_EINVAL);
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_ALTP2M, 0), 0);
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_ALTP2M, 1), -XEN_EOPNOTSUPP);
    assert_int_equal(param(cv, HVMOP_set_param, guest->id, HVM_PARAM_TIMER_MODE, 9), -XEN_EINVAL);
    struct xen_hvm_pagetable_dying *dying = (struct xen_hvm_pagetable_dying *)fake_guest;
    dying->domid = DOMID_SELF;
    assert_int_equal(
        fake_hypercall(gv, __HYPERVISOR_hvm_op, HVMOP_pagetable_dying, (uint64_t)(uintptr_t)dying, 0, 0),
        -XEN_EINVAL);
}

static void test_platform(void **state)
{
    (void)state;
    struct xen_platform_op *p = memset(fake_guest, 0, sizeof *p);
    uint64_t at = (uint64_t)(uintptr_t)p;
    p->interface_version = XENPF_INTERFACE_VERSION;
    p->cmd = XENPF_get_cpuinfo;
    assert_int_equal(fake_hypercall(gv, __HYPERVISOR_platform_op, at, 0, 0, 0), -XEN_EPERM);
    p->u.pcpu_info.xen_cpuid = 1;
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_platform_op, at, 0, 0, 0), 0);
    assert_int_equal(p->u.pcpu_info.apic_id, 11);
    p->u.pcpu_info.xen_cpuid = ~0u;
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_platform_op, at, 0, 0, 0), 0);
    assert_int_equal(p->u.pcpu_info.flags, XEN_PCPU_FLAGS_INVALID);
    p->cmd = XENPF_settime64;
    p->u.settime64.secs = ~0ull;
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_platform_op, at, 0, 0, 0), -XEN_EINVAL);
    assert_int_equal(fake_hypercall(gv, __HYPERVISOR_physdev_op, PHYSDEVOP_pci_device_add, at, 0, 0),
                     -XEN_ENOSYS);
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_physdev_op, PHYSDEVOP_pci_device_add, at, 0, 0), 0);
    assert_int_equal(fake_hypercall(cv, __HYPERVISOR_physdev_op, PHYSDEVOP_pci_device_add, 8, 0, 0),
                     -XEN_EFAULT);
}

static int64_t register_info(struct vcpu *v, uint32_t id, uint64_t gfn, uint32_t offset)
{
    struct vcpu_register_vcpu_info *r = (struct vcpu_register_vcpu_info *)fake_guest;
    *r = (struct vcpu_register_vcpu_info){.mfn = gfn, .offset = offset};
    return fake_hypercall(v, __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, id, (uint64_t)(uintptr_t)r, 0);
}

static void test_vcpu_info(void **state)
{
    (void)state;
    struct domain *d = fake_domain(40, false);
    struct vcpu *v = d->vcpu[0];
    char *page = fake_page(d, 9);
    assert_int_equal(register_info(v, 0, 9, 4096 - 63), -XEN_ENXIO);
    assert_int_equal(register_info(v, 0, 9, 4), -XEN_ENXIO);
    assert_int_equal(register_info(v, 0, 9, ~0u), -XEN_ENXIO);
    assert_int_equal(register_info(v, 0, 10, 0), -XEN_EINVAL);
    assert_int_equal(register_info(v, 99, 9, 0), -XEN_ENOENT);
    assert_int_equal(register_info(v, 1, 9, 0), -XEN_EINVAL); /* it runs */
    assert_ptr_equal(d->vcpu[0]->info, &d->shared_info->vcpu_info[0]);
    assert_ptr_equal(d->vcpu[39]->info, &d->vcpu[39]->private_info);
    assert_int_equal(register_info(d->vcpu[0], 0, 9, 64), 0);
    assert_ptr_equal(d->vcpu[0]->info, page + 64);
    assert_int_equal(register_info(d->vcpu[0], 0, 9, 128), -XEN_EINVAL); /* once */
    domid_t id = d->id;
    fake_destroy(d);
    assert_null(domain_find(id));
}

static int boot(void **state)
{
    (void)state;
    fake_boot(2);
    control = fake_domain(1, true);
    guest = fake_domain(1, false);
    cv = control->vcpu[0];
    gv = guest->vcpu[0];
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_and_how),
        cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_vcpus),
        cmocka_unit_test(test_scheduler),
        cmocka_unit_test(test_scheduler_parameters),
        cmocka_unit_test(test_contexts),
        cmocka_unit_test(test_sysctls),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_platform),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_vcpu_info),
        cmocka_unit_test(test_many_lives),
        cmocka_unit_test(test_create_without_memory),
    };
    return cmocka_run_group_tests(tests, boot, NULL);
}
