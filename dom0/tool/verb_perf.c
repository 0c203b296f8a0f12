/* The verb perf, after Xen's xenperf: the hypervisor's performance counters. No state, no locking. */
#include <dom0/below.h>
#include <lib/string.h>
#include <xen/xen.h>

#include "counters.h"
#include "verbs.h"

static const char *const hypercall_names[] = {
    [__HYPERVISOR_memory_op] = "memory_op",
    [__HYPERVISOR_multicall] = "multicall",
    [__HYPERVISOR_set_timer_op] = "set_timer_op",
    [__HYPERVISOR_xen_version] = "xen_version",
    [__HYPERVISOR_console_io] = "console_io",
    [__HYPERVISOR_grant_table_op] = "grant_table_op",
    [__HYPERVISOR_vm_assist] = "vm_assist",
    [__HYPERVISOR_vcpu_op] = "vcpu_op",
    [__HYPERVISOR_xsm_op] = "xsm_op",
    [__HYPERVISOR_sched_op] = "sched_op",
    [__HYPERVISOR_event_channel_op] = "event_channel_op",
    [__HYPERVISOR_physdev_op] = "physdev_op",
    [__HYPERVISOR_hvm_op] = "hvm_op",
    [__HYPERVISOR_sysctl] = "sysctl",
    [__HYPERVISOR_domctl] = "domctl",
    [__HYPERVISOR_platform_op] = "platform_op",
};

/* The values that are not zero, a line each. */
static void show_values(const xen_sysctl_perfc_desc_t *desc, const xen_sysctl_perfc_val_t *value)
{
    bool hypercalls = !strcmp(desc->name, "hypercalls");
    for (unsigned i = 0; i < desc->nr_vals; i++) {
        if (!value[i])
            continue;
        if (hypercalls && i < sizeof hypercall_names / sizeof hypercall_names[0] && hypercall_names[i])
            print("    %-31s   %10u\n", hypercall_names[i], value[i]);
        else
            print("    [%02u]%*s%10u\n", i, 30, "", value[i]);
    }
}

static bool show_counters(const char *filter, bool full, struct why *why)
{
    struct counters counters;
    bool any = false;
    if (!counters_read(&counters, why))
        return false;
    const xen_sysctl_perfc_val_t *value = counters.value;
    for (unsigned i = 0; i < counters.count && !interrupted(); i++) {
        xen_sysctl_perfc_desc_t *desc = &counters.desc[i];
        uint32_t sum = 0;
        desc->name[sizeof desc->name - 1] = '\0';
        for (unsigned k = 0; k < desc->nr_vals; k++)
            sum += value[k];
        if (!filter || strstr(desc->name, filter)) {
            print("%-35s T=%10u\n", desc->name, sum);
            if (full)
                show_values(desc, value);
            any = true;
        }
        value += desc->nr_vals;
    }
    counters_free(&counters);
    return any || fail(why, "no counter has %s in its name: perf alone shows all", filter);
}

int verb_perf(int argc, char **argv)
{
    bool reset = false, full = false;
    const struct option options[] = {
        {'r', "reset", &reset, "set all to zero, show nothing"},
        {'f', "full", &full, "also for each CPU, hypercalls by name"},
    };
    struct why why;
    int status, operands = take_options(argc, argv, options, 2, 0, 1, &status);
    if (operands < 0)
        return status;
    if (reset && (full || operands)) {
        print("perf: -r sets all counters to zero and shows none of them\n");
        return USAGE;
    }
    if (reset ? counters_reset(&why) : show_counters(operands ? argv[1] : NULL, full, &why))
        return DONE;
    return verb_failed("perf", &why);
}
