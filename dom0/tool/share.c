/* A domain's share of the CPUs (share.h). No state, no locking. */
#include <dom0/below.h>

#include "cpus.h"
#include "share.h"
#include "xen.h"

/* The text for one vCPU: a single text is for all of them, a list has one each. NULL: any CPU. */
static const char *text_for(const struct cfg_value *value, unsigned vcpu)
{
    if (!value || value->text)
        return value ? value->text : NULL;
    const struct cfg_value *item = value->items;
    while (item && vcpu--)
        item = item->next;
    return item ? item->text : NULL;
}

/* *set for one vCPU out of the key; *given false: it is not said. */
static bool read_set(const struct guest_config *config, const char *key, const struct cfg_value *value,
                     unsigned vcpu, struct cpu_set *set, bool *given, struct why *why)
{
    struct why reason;
    const char *text = text_for(value, vcpu);
    *given = text;
    return !text || cpus_parse(text, host_cpus(), set, &reason) ||
           config_fail(config, key, why, "%s", reason.text);
}

bool share_check(const struct guest_config *config, struct why *why)
{
    struct cpu_set set;
    bool given;
    for (unsigned vcpu = 0; (config->cpus || config->cpus_soft) && vcpu < config->max_vcpus; vcpu++)
        if (!read_set(config, "cpus", config->cpus, vcpu, &set, &given, why) ||
            !read_set(config, "cpus_soft", config->cpus_soft, vcpu, &set, &given, why))
            return false;
    return true;
}

static bool apply_affinity(domid_t domid, const struct guest_config *config, unsigned vcpu, struct why *why)
{
    struct cpu_set hard, soft;
    bool has_hard, has_soft;
    if (!read_set(config, "cpus", config->cpus, vcpu, &hard, &has_hard, why) ||
        !read_set(config, "cpus_soft", config->cpus_soft, vcpu, &soft, &has_soft, why))
        return false;
    if (!has_hard && !has_soft)
        return true;
    long rc = set_affinity(domid, vcpu, has_hard ? hard.map : NULL, has_soft ? soft.map : NULL, MOST_CPUS, 0);
    return !rc || fail(why, "choosing CPUs for its virtual CPU %u failed: %s", vcpu, error_text(rc));
}

bool share_apply(domid_t domid, const struct guest_config *config, struct why *why)
{
    for (unsigned vcpu = 0; (config->cpus || config->cpus_soft) && vcpu < config->max_vcpus; vcpu++)
        if (!apply_affinity(domid, config, vcpu, why))
            return false;
    if (!config->cpu_weight && !config->cap)
        return true;
    long rc = set_credit(domid, config->cpu_weight, config->cap);
    return !rc || fail(why, "setting its weight and cap failed: %s", error_text(rc));
}
