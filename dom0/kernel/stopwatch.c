/*
 * The shell's verb `time`: how long another command took, and how much the machine's processors did
 * meanwhile.
 *
 * Busy is what the idle vCPUs of the hypervisor did not get (XEN_SYSCTL_getcpuinfo): the command's own work,
 * the hypervisor's for it, and whatever else ran. Where the clock counts instructions (scripts/run.py
 * --icount) the second figure is the number of instructions executed. No state, no locking.
 */
#include <lib/string.h>
#include <pvh/pvh.h>
#include <xen/sysctl.h>
#include "builtin.h"
#include "kernel.h"

#define MOST_CPUS 64

struct reading {
    uint64_t now, idle; /* ns; idle of all processors together */
    unsigned cpus;
};

static bool read_clocks(struct reading *reading)
{
    static xen_sysctl_cpuinfo_t info[MOST_CPUS];
    struct xen_sysctl op = {.cmd = XEN_SYSCTL_getcpuinfo, .interface_version = XEN_SYSCTL_INTERFACE_VERSION};
    op.u.getcpuinfo.max_cpus = MOST_CPUS;
    set_xen_guest_handle(op.u.getcpuinfo.info, info);
    if (hypercall(__HYPERVISOR_sysctl, (uintptr_t)&op, 0, 0, 0, 0))
        return false;
    *reading = (struct reading){.now = time_ns(), .cpus = op.u.getcpuinfo.nr_cpus};
    for (unsigned i = 0; i < reading->cpus; i++)
        reading->idle += info[i].idletime;
    return true;
}

int run_time(int argc, char **argv)
{
    struct reading before, after;
    if (argc < 2) {
        print("usage: time COMMAND [WORD...]\n");
        return 2;
    }
    const struct tool_verb *verb = verb_find(argv[1]);
    if (!verb)
        return verb_unknown("time: ", argv[1]);
    bool told = read_clocks(&before);
    int status = verb->run(argc - 1, argv + 1);
    if (!told || !read_clocks(&after)) {
        print("time: the hypervisor does not say how long its processors were idle\n");
        return status;
    }
    uint64_t took = after.now - before.now, idle = after.idle - before.idle, all = took * after.cpus;
    print("time: %llu ns, processors busy %llu ns\n", (unsigned long long)took,
          (unsigned long long)(all > idle ? all - idle : 0));
    return status;
}
