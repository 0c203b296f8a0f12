/*
 * Performance counters, as the toolstack reads them (hv/perfc.h).
 *
 * A reset notes where the counters stand and leaves them alone, so that each has but one writer. Locking:
 * none; the answers are what was true a moment ago.
 */
#include <hv/arch/guest_access.h>
#include <hv/cpu.h>
#include <hv/hypercall.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <xen/sysctl.h>

#define EXIT_DESC(name, text)         {PERFC_EXIT_##name, 0, text},
#define ONE_DESC(name, text)          {PERFC_##name, 0, text},
#define LIST_DESC(name, length, text) {PERFC_##name, length, text},
static const struct {
    uint16_t slot;
    uint16_t length; /* 0: a value for each CPU */
    const char *name;
} counters[] = {PERFC_EXITS(EXIT_DESC) PERFC_COUNTERS(ONE_DESC, LIST_DESC)};

static uint32_t value_of(const struct cpu *cpu, unsigned slot)
{
    return READ_ONCE(cpu->perfc[slot]) - cpu->perfc_reset[slot];
}

static uint32_t sum_of(unsigned slot)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < cpu_count; i++)
        sum += value_of(cpus[i], slot);
    return sum;
}

static uint32_t values_in(unsigned counter)
{
    return counters[counter].length ? counters[counter].length : cpu_count;
}

static int64_t put_descriptions(const struct xen_sysctl_perfc_op *op)
{
    for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
        struct xen_sysctl_perfc_desc desc = {.nr_vals = values_in(i)};
        strlcpy(desc.name, counters[i].name, sizeof desc.name);
        if (copy_element_to_guest(op->desc, i, &desc))
            return -XEN_EFAULT;
    }
    return 0;
}

/* The k-th value of a counter: of CPU k, or of index k on all CPUs. */
static uint32_t value_at(unsigned counter, unsigned k)
{
    unsigned slot = counters[counter].slot;
    return counters[counter].length ? sum_of(slot + k) : value_of(cpus[k], slot);
}

static int64_t put_values(const struct xen_sysctl_perfc_op *op)
{
    uint64_t at = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
        for (unsigned k = 0; k < values_in(i); k++) {
            xen_sysctl_perfc_val_t value = value_at(i, k);
            if (copy_element_to_guest(op->val, at++, &value))
                return -XEN_EFAULT;
        }
    }
    return 0;
}

void perfc_dump(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
        uint32_t total = 0;
        for (unsigned k = 0; k < values_in(i); k++)
            total += value_at(i, k);
        if (!total)
            continue;
        printk(LOG_INFO "  %s: %u\n", counters[i].name, total);
        for (unsigned k = 0; k < values_in(i); k++)
            if (value_at(i, k))
                printk(LOG_INFO "    [%u] %u\n", k, value_at(i, k));
    }
}

void perfc_reset(void)
{
    for (unsigned i = 0; i < cpu_count; i++)
        for (unsigned slot = 0; slot < PERFC_SLOTS; slot++)
            cpus[i]->perfc_reset[slot] = READ_ONCE(cpus[i]->perfc[slot]);
}

int64_t perfc_control(struct xen_sysctl_perfc_op *op)
{
    int64_t error = 0;

    if (op->cmd != XEN_SYSCTL_PERFCOP_reset && op->cmd != XEN_SYSCTL_PERFCOP_query)
        return -XEN_EINVAL;
    op->nr_counters = ARRAY_SIZE(counters);
    op->nr_vals = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(counters); i++)
        op->nr_vals += values_in(i);
    if (op->desc.p)
        error = put_descriptions(op);
    if (!error && op->val.p)
        error = put_values(op);
    if (!error && op->cmd == XEN_SYSCTL_PERFCOP_reset)
        perfc_reset();
    return error;
}
