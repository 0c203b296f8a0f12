/*
 * The verbs that make a running domain larger or smaller: mem-max, mem-set, vcpu-set. What they want is
 * written to the store, where the guest's kernel sees it and acts on it in its own time. No state.
 */
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "build.h"
#include "domain.h"
#include "format.h"
#include "nodes.h"
#include "verbs.h"

#define SECOND 1000000000ull
/* How long -w looks on while nothing happens, and when it begins to say what does. */
#define PATIENCE (30 * SECOND)
#define SILENCE  SECOND

/* What -w waits for: a figure of the domain's is within slack of the wanted one. */
struct goal {
    uint64_t (*figure)(const struct xen_domctl_getdomaininfo *info);
    uint64_t wanted, slack, unit; /* unit: what one is, in the numbers that people see */
    const char *of, *hint;        /* "8 CPUs online"; what may be missing when it does not get there */
};

static uint64_t pages_of(const struct xen_domctl_getdomaininfo *info)
{
    return info->tot_pages;
}

static uint64_t cpus_of(const struct xen_domctl_getdomaininfo *info)
{
    return info->nr_online_vcpus;
}

static bool reached(const struct goal *goal, uint64_t now)
{
    return now + goal->slack >= goal->wanted && now <= goal->wanted + goal->slack;
}

/* What came of waiting. */
enum end { REACHED, ENDED, INTERRUPTED, STUCK };
struct progress {
    uint64_t now; /* the last figure */
    bool told;    /* there is a line about it that does not end */
};

/* Says how far it is, once that takes a while. */
static enum end look_on(const char *verb, domid_t domid, const struct goal *goal, struct progress *progress)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t started = time_ns(), changed = started, last = 0;
    while (domain_info(domid, &info) && !(info.flags & XEN_DOMINF_shutdown)) {
        progress->now = goal->figure(&info);
        if (reached(goal, progress->now))
            return REACHED;
        if (interrupted())
            return INTERRUPTED;
        if (progress->now == last && time_ns() - changed > PATIENCE)
            return STUCK;
        if (progress->now != last) {
            last = progress->now;
            changed = time_ns();
            progress->told |= changed - started > SILENCE;
            if (progress->told)
                print("\r%s: %llu of %s ", verb, (unsigned long long)(last / goal->unit), goal->of);
        }
        thread_sleep(SECOND / 20);
    }
    return ENDED;
}

/* False, and said why, when the domain ends, the person has enough, or the guest does nothing for long. */
static bool await(const char *verb, domid_t domid, const struct goal *goal)
{
    char name[NAME_MAX];
    struct progress progress = {0};
    domain_name(domid, name);
    enum end end = look_on(verb, domid, goal, &progress);
    if (progress.told)
        print("\r%*s\r", 40, "");
    if (end == ENDED)
        print("%s: %s: it ended before it had %s\n", verb, name, goal->of);
    if (end == INTERRUPTED)
        print("%s: %s: no longer waited for; the request stands\n", verb, name);
    if (end == STUCK)
        print("%s: %s: it stays at %llu of %s: %s\n", verb, name,
              (unsigned long long)(progress.now / goal->unit), goal->of, goal->hint);
    return end == REACHED;
}

/* The operands of all three: a domain, then something else. A negative status: go on. */
static int operands(int argc, char **argv, const struct option *options, size_t count, domid_t *domid)
{
    int status;
    if (take_options(argc, argv, options, count, 2, 2, &status) < 0)
        return status;
    return whole_domain_operand(argv[0], argv[1], domid) ? -1 : FAILED;
}

static bool parse_mib(const char *verb, const char *text, uint64_t *bytes)
{
    if (parse_size(text, 1 << 20, bytes) && *bytes >= 1 << 20 && *bytes < 1ull << 52)
        return true;
    print("%s: %s: a size is a number of MiB, or one with b, k, m, g or t behind it\n", verb, text);
    return false;
}

static int failed(const char *verb, const char *what, long error)
{
    print("%s: %s: %s\n", verb, what, error_text(error));
    return FAILED;
}

/* --- memory --------------------------------------------------------------------------------------------- */

int verb_mem_max(int argc, char **argv)
{
    domid_t domid;
    uint64_t bytes;
    char target[SIZE_TEXT];
    int status = operands(argc, argv, NULL, 0, &domid);
    if (status >= 0)
        return status;
    if (!parse_mib("mem-max", argv[2], &bytes))
        return USAGE;
    struct guest_config *config = domain_config(domid);
    if (config && bytes < config->memory) {
        print("mem-max: %s: it is to have %s now: mem-set first makes that less\n", argv[1],
              format_size(target, config->memory));
        return FAILED;
    }
    long rc = set_max_memory(domid, bytes + MEMORY_SLACK);
    if (rc)
        return failed("mem-max", argv[1], rc);
    if (config)
        config->max_memory = bytes;
    return DONE;
}

/* Whether the domain may have so much, and whether there is so much. */
static bool possible(const char *name, const struct guest_config *config, domid_t domid, uint64_t bytes)
{
    struct xen_domctl_getdomaininfo info;
    struct xen_sysctl op;
    char has[SIZE_TEXT], most[SIZE_TEXT], left[SIZE_TEXT];
    memset(&op, 0, sizeof op);
    long rc = sysctl(XEN_SYSCTL_physinfo, &op);
    if (rc || !domain_info(domid, &info)) {
        print("mem-set: %s: %s\n", name, rc ? error_text(rc) : "it is gone");
        return false;
    }
    if (bytes > config->max_memory) {
        print("mem-set: %s: it may have %s at most: mem-max raises that\n", name,
              format_size(most, config->max_memory));
        return false;
    }
    uint64_t now = info.tot_pages << PAGE_SHIFT;
    uint64_t free = (op.u.physinfo.free_pages - op.u.physinfo.outstanding_pages) << PAGE_SHIFT;
    if (bytes <= now || bytes - now <= free)
        return true;
    print("mem-set: %s: it has %s, and %s are free: another domain must give memory up first\n", name,
          format_size(has, now), format_size(left, free));
    return false;
}

/*
 * The limit goes with the target, as libxl has it: a guest cannot take more than it was told to. A restart
 * begins with the new size.
 */
static long set_target(domid_t domid, struct guest_config *config, uint64_t bytes)
{
    char path[PATH_MAX];
    long rc = set_max_memory(domid, bytes + MEMORY_SLACK);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "/local/domain/%u/memory/target", domid);
    rc = store_write(path, "%llu", (unsigned long long)(bytes >> 10));
    if (!rc)
        config->memory = bytes;
    return rc;
}

int verb_mem_set(int argc, char **argv)
{
    bool wait = false;
    const struct option options[] = {{'w', "wait", &wait, "wait until the guest has done it"}};
    domid_t domid;
    uint64_t bytes;
    char of[SIZE_TEXT];
    int status = operands(argc, argv, options, 1, &domid);
    if (status >= 0)
        return status;
    if (!parse_mib("mem-set", argv[2], &bytes))
        return USAGE;
    struct guest_config *config = domain_config(domid);
    if (!config) {
        print("mem-set: %s: it was not created here, or is this domain: its size is not known\n", argv[1]);
        return FAILED;
    }
    bytes &= ~((1ull << 20) - 1);
    if (!possible(argv[1], config, domid, bytes))
        return FAILED;
    long rc = set_target(domid, config, bytes);
    if (rc)
        return failed("mem-set", argv[1], rc);
    const struct goal goal = {
        .figure = pages_of,
        .wanted = bytes >> PAGE_SHIFT,
        .slack = MEMORY_SLACK >> PAGE_SHIFT,
        .unit = 1 << (20 - PAGE_SHIFT),
        .of = format_size(of, bytes),
        .hint = "has its kernel a balloon driver, and room (docs/toolstack.md)?",
    };
    return !wait || await("mem-set", domid, &goal) ? DONE : FAILED;
}

/* --- CPUs ----------------------------------------------------------------------------------------------- */

static unsigned host_cpus(void)
{
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    return sysctl(XEN_SYSCTL_physinfo, &op) ? 1 : op.u.physinfo.nr_cpus;
}

static int set_availability(domid_t domid, unsigned count, unsigned max)
{
    char path[PATH_MAX];
    int error = 0;
    for (unsigned i = 0; !error && i < max; i++) {
        snprintf(path, sizeof path, "/local/domain/%u/cpu/%u/availability", domid, i);
        error = store_write(path, "%s", i < count ? "online" : "offline");
    }
    return error;
}

int verb_vcpu_set(int argc, char **argv)
{
    bool ignore_host = false, wait = false;
    const struct option options[] = {
        {'i', "ignore-host", &ignore_host, "also more than the machine has"},
        {'w', "wait", &wait, "wait until the guest has done it"},
    };
    domid_t domid;
    uint64_t count;
    char of[32];
    int status = operands(argc, argv, options, 2, &domid);
    if (status >= 0)
        return status;
    struct guest_config *config = domain_config(domid);
    if (!config) {
        print("vcpu-set: %s: it was not created here, or is this domain: it takes no such requests\n",
              argv[1]);
        return FAILED;
    }
    if (!parse_number(argv[2], &count) || !count || count > config->max_vcpus) {
        print("vcpu-set: %s: %s can have 1 to %u CPUs: maxvcpus in its configuration\n", argv[2],
              config->name, config->max_vcpus);
        return FAILED;
    }
    if (!ignore_host && count > config->vcpus && count > host_cpus()) {
        print("vcpu-set: %s: the machine has %u CPUs: -i (--ignore-host) sets more all the same\n", argv[2],
              host_cpus());
        return FAILED;
    }
    int error = set_availability(domid, (unsigned)count, config->max_vcpus);
    if (error)
        return failed("vcpu-set", argv[1], error);
    config->vcpus = (unsigned)count;
    snprintf(of, sizeof of, "%u CPUs online", config->vcpus);
    const struct goal goal = {
        .figure = cpus_of,
        .wanted = count,
        .unit = 1,
        .of = of,
        .hint = "does anything in it bring new CPUs online (docs/toolstack.md)?",
    };
    return !wait || await("vcpu-set", domid, &goal) ? DONE : FAILED;
}
