/*
 * Every hypercall with everything that is wrong: wild numbers, bad pointers, lists that run off the end of
 * memory, lengths that wrap, from the kernel and from user mode. Nothing of it may do more than return an
 * error. Left out is what would rightly end or stop the caller.
 */
#include "check.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>

#define LAST_OP       64
#define LAST_COMMAND  48
#define RESET_GOES_ON 14 /* EVTCHNOP_reset again, as it continues itself */

/* Two pages of which only the first is mapped: what starts in it and is long runs into nothing. */
static uint64_t zeros, ones;

static uint64_t make_edge(int byte)
{
    uint8_t *pages = page_alloc(2);
    memset(pages, byte, PAGE_SIZE);
    page_map((uintptr_t)pages + PAGE_SIZE, 0, 0);
    return (uintptr_t)pages;
}

/* Ends or stops us by right: shutdown, block, taking our own vCPU down, closing our console. */
static bool left_out(unsigned op, uint64_t command, uint64_t argument)
{
    bool readable = argument == zeros || argument == ones || argument == zeros + PAGE_SIZE - 4;
    switch (op) {
    case __HYPERVISOR_sched_op_compat:
        return command != 0;
    case __HYPERVISOR_sched_op:
        return command == SCHEDOP_block || command == SCHEDOP_shutdown_code ||
               (readable && (command == SCHEDOP_shutdown || command == SCHEDOP_remote_shutdown ||
                             command == SCHEDOP_poll || command == SCHEDOP_watchdog));
    case __HYPERVISOR_vcpu_op:
        return command == VCPUOP_down || command == VCPUOP_initialise || command == VCPUOP_up ||
               command == VCPUOP_send_nmi;
    case __HYPERVISOR_event_channel_op:
        return readable && (command == EVTCHNOP_reset || command == RESET_GOES_ON);
    case __HYPERVISOR_platform_op:
    case __HYPERVISOR_physdev_op:
        return readable;
    default:
        return false;
    }
}

static const uint64_t wild[] = {0,          1,          0x7fffffff,         0x80000000,
                                0xffffffff, 1ull << 47, 0xffffffff80000000, ~0ull};

static void storm(void)
{
    uint64_t pointers[] = {0,
                           zeros,
                           zeros + PAGE_SIZE - 4,
                           ones,
                           0xffffffff80100000,
                           0x8000000000000000,
                           ~0ull - 7,
                           (uintptr_t)BAD_POINTER};
    for (unsigned op = 0; op < LAST_OP; op++) {
        /* console_io has the length where others have a pointer: its turn comes below. */
        if (op == __HYPERVISOR_console_io || op == __HYPERVISOR_iret)
            continue;
        for (unsigned command = 0; command < LAST_COMMAND + ARRAY_SIZE(wild); command++) {
            uint64_t first = command < LAST_COMMAND ? command : wild[command - LAST_COMMAND];
            for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++)
                for (unsigned j = 0; j < ARRAY_SIZE(wild); j += 1 + command % 3) {
                    if (left_out(op, first, pointers[i]) || left_out(op, first, wild[j]))
                        continue;
                    hypercall6(op, first, pointers[i], wild[j], pointers[(i + j) % ARRAY_SIZE(pointers)],
                               wild[i], first);
                    hypercall6(op, pointers[i], first, wild[j], wild[i], 0, 0);
                    if (op == __HYPERVISOR_vcpu_op)
                        hypercall(op, first, wild[j], pointers[i], 0, 0);
                }
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(wild); i++)
        for (unsigned j = 4; j < ARRAY_SIZE(pointers); j++) /* what could be read would be printed */
            hypercall(__HYPERVISOR_console_io, wild[i], wild[(i + j) % ARRAY_SIZE(wild)], pointers[j], 0, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(wild); i++)
        hypercall((unsigned)wild[i] | 0x100, wild[i], wild[i], wild[i], wild[i], wild[i]);
}

/* The right version and a wild rest: what only dom0 gets past. */
static void versions(void)
{
    static union {
        struct xen_domctl domctl;
        struct xen_sysctl sysctl;
    } call;
    for (unsigned command = 0; command < 100; command++)
        for (unsigned i = 0; i < ARRAY_SIZE(wild); i++) {
            memset(&call, (int)wild[i], sizeof(call));
            call.domctl.cmd = command;
            call.domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
            call.domctl.domain = (domid_t)(0x6000 + wild[i]);
            CONTROL(domctl, &call);
            memset(&call, (int)wild[i], sizeof(call));
            call.sysctl.cmd = command;
            call.sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
            if (command != XEN_SYSCTL_debug_keys && command != XEN_SYSCTL_cpu_hotplug)
                CONTROL(sysctl, &call);
        }
}

static uint64_t from_user_mode(void *arg)
{
    (void)arg;
    uint64_t allowed = 0;
    for (unsigned op = 0; op < LAST_OP; op++)
        if (op != __HYPERVISOR_iret)
            allowed += hypercall(op, 0, zeros, 0, 0, 0) != -XEN_EPERM;
    return allowed;
}

int main(void)
{
    zeros = make_edge(0);
    ones = make_edge(0xff);
    storm();
    versions();
    EXPECT_EQ(OP(xen_version, XENVER_version, NULL), 4 << 16 | 17);

    struct pvh_trap trap;
    pvh_user_run(from_user_mode, NULL, 0, &trap);
    EXPECT_EQ(trap.vector, TRAP_USER_EXIT);
    EXPECT_EQ(trap.value, 0);
    return verdict("hostile");
}
