/* sources: tests/unit/fake/machine.c tests/unit/fake/guest.c tests/unit/fake/absent.c hv/frame.c hv/heap.c hv/lock.c hv/rcu.c hv/cpu.c hv/timer.c hv/sched.c hv/sched_balance.c hv/sched_cap.c hv/sched_control.c hv/runstate.c hv/vcpu_time.c hv/evtchn.c hv/evtchn_2l.c hv/evtchn_fifo.c hv/domain.c hv/vcpu.c hv/sched_op.c hv/hypercall.c hv/evtchn_op.c hv/multicall.c hv/version.c hv/console_io.c hv/vcpu_op.c hv/gnttab.c hv/gnttab_pin.c hv/gnttab_map.c hv/gnttab_copy.c hv/memory.c hv/memory_map.c hv/memory_physmap.c hv/hvm_op.c */
/* cflags: -DHOSPES_VERSION=\"test\" */
/*
 * Two guests make whatever hypercalls the input says, on two CPUs, with arguments that are mostly near the
 * truth. Then both die, and nothing may be left of them: no page, no lock, no timer.
 */
#include <string.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/hypercall.h>
#include <hv/panic.h>
#include <hv/sched.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include "../unit/fake/fake.h"

static const uint8_t *input;
static size_t left;
static struct domain *guest[2];

static uint8_t byte(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

static uint32_t word(void)
{
    uint32_t value = byte();
    value |= (uint32_t)byte() << 8;
    value |= (uint32_t)byte() << 16;
    return value | (uint32_t)byte() << 24;
}

/* What stands in a field of 32 bits: mostly something that could be meant. */
static uint32_t field(void)
{
    uint8_t kind = byte();
    switch (kind >> 4) {
    case 0:
        return guest[0]->id;
    case 1:
        return guest[1]->id;
    case 2:
        return DOMID_SELF;
    case 3:
        return word();
    case 4:
        return 16 + kind % 16; /* a gfn with RAM */
    case 5:
        return (uint32_t)guest[kind & 1]->id << 16 | DOMID_SELF;
    default:
        return kind % 16;
    }
}

/* Fills an argument; a handle in it mostly points to other arguments. */
static uint64_t argument(void)
{
    size_t at = (byte() % 16) * 256;
    for (size_t i = 0; i < 6; i++) {
        uint32_t value = field();
        memcpy(fake_guest + at + 4 * i, &value, sizeof(value));
    }
    uint8_t handle = byte();
    if (handle & 1) {
        uint64_t address = (uintptr_t)fake_guest + (handle >> 1) * 64ull;
        memcpy(fake_guest + at + (handle % 8 & 6) * 4, &address, sizeof(address));
    }
    return byte() == 0 ? word() : (uintptr_t)fake_guest + at;
}

static void one_call(void)
{
    static const uint8_t numbers[] = {
        __HYPERVISOR_event_channel_op, __HYPERVISOR_event_channel_op, __HYPERVISOR_event_channel_op,
        __HYPERVISOR_grant_table_op,   __HYPERVISOR_grant_table_op,   __HYPERVISOR_memory_op,
        __HYPERVISOR_memory_op,        __HYPERVISOR_vcpu_op,          __HYPERVISOR_sched_op,
        __HYPERVISOR_hvm_op,           __HYPERVISOR_set_timer_op,     __HYPERVISOR_vm_assist,
        __HYPERVISOR_xen_version,      __HYPERVISOR_multicall,        __HYPERVISOR_console_io,
    };
    uint8_t who = byte();
    unsigned number = numbers[byte() % sizeof(numbers)];
    struct vcpu *v = guest[who & 1]->vcpu[who >> 1 & 1];
    fake_cpu(who >> 2 & 1);
    uint64_t command = byte() % 32, second = argument(), third = argument();
    switch (number) {
    case __HYPERVISOR_grant_table_op: /* command, list, count */
        third = byte() % 4;
        break;
    case __HYPERVISOR_multicall: /* list, count */
        command = second;
        second = byte() % 4;
        break;
    case __HYPERVISOR_vcpu_op: /* command, vCPU, argument */
        second = byte() % 3;
        break;
    case __HYPERVISOR_set_timer_op:
        command = fake_now + word() % 1000000;
        break;
    default:
        break;
    }
    fake_hypercall(v, number, command, second, third, 0);
}

static void make_guests(void)
{
    for (unsigned i = 0; i < 2; i++) {
        guest[i] = fake_domain(2, false);
        guest[i]->max_pages = 200;
        for (unsigned gfn = 16; gfn < 32; gfn++)
            fake_page(guest[i], gfn);
    }
}

/* What guests write into memory that the hypervisor reads: grant entries, event words, control blocks. */
static void scribble(void)
{
    struct p2m_entry entry = p2m_lookup(guest[byte() & 1], GFN(byte() % 64));
    if (entry.type == P2M_RAM || entry.type == P2M_SHARED) {
        uint32_t value = field();
        memcpy((char *)mfn_to_virt(entry.mfn) + (byte() * 4ull) % PAGE_SIZE, &value, sizeof(value));
    }
}

/* dom0 lives on: what others' attempts to use its grants make the hypervisor keep for it is there beforehand.
 */
static void boot(void)
{
    mfn_t mfn;
    fake_boot(2);
    struct domain *dom0 = fake_domain(1, true);
    vcpu_stop(dom0->vcpu[0], VCPU_BLOCKED);
    for (uint32_t ref = 0; grant_pin(dom0, ref, true, &mfn) != GNTST_bad_gntref; ref++)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool booted;
    if (!booted) {
        boot();
        booted = true;
    }
    fake_settle();
    uint64_t frames = frames_free();
    input = data;
    left = size;
    make_guests();
    while (left) {
        uint8_t what = byte();
        if (what % 8 == 0)
            fake_advance(word() % 10000000);
        else if (what % 8 == 1)
            scribble();
        else
            one_call();
        ASSERT(cpus[0]->locks_held == 0 && cpus[1]->locks_held == 0);
    }
    fake_cpu(0);
    /* The table of domains grows by a page that stays, once for so many ids. */
    bool new_ids = guest[1]->id % (PAGE_SIZE / sizeof(struct domain *)) < 2;
    fake_destroy(guest[0]);
    fake_destroy(guest[1]);
    fake_advance(100 * SECOND);
    ASSERT(frames_free() == frames || (new_ids && frames_free() == frames - 1));
    ASSERT(cpus[0]->timers.count == 0 && cpus[1]->timers.count == 0);
    return 0;
}
