/* The verbs about the scheduler: sched-credit2, vcpu-pin; in xl's formats. No state, no locking. */
#include <lib/number.h>
#include <lib/string.h>

#include "cpus.h"
#include "domain.h"
#include "verbs.h"
#include "xen.h"

#define POOL            "Pool-0" /* the only one */
#define MOST_WEIGHT     65535
#define LEAST_RATELIMIT XEN_SYSCTL_SCHED_RATELIMIT_MIN
#define MOST_RATELIMIT  XEN_SYSCTL_SCHED_RATELIMIT_MAX

/* --- sched-credit2 -------------------------------------------------------------------------------------- */

static int refused(const char *what, long rc)
{
    print("sched-credit2: %s: %s\n", what, error_text(rc));
    return FAILED;
}

/* A number between two; what is its name in the message. */
static bool number_value(const char *what, const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    if (parse_number(text, number) && *number >= least && *number <= most)
        return true;
    print("sched-credit2: %s: %s is a number from %llu to %llu\n", text, what, (unsigned long long)least,
          (unsigned long long)most);
    return false;
}

static int pool_line(void)
{
    uint32_t us;
    long rc = get_ratelimit(&us);
    if (rc)
        return refused(POOL, rc);
    print("Cpupool %s: ratelimit=%uus\n", POOL, us);
    return DONE;
}

static int set_pool(const char *text)
{
    uint64_t us;
    if (!parse_number(text, &us) || (us && (us < LEAST_RATELIMIT || us > MOST_RATELIMIT))) {
        print("sched-credit2: %s: a rate limit is 0, or %u to %u microseconds\n", text, LEAST_RATELIMIT,
              MOST_RATELIMIT);
        return USAGE;
    }
    long rc = set_ratelimit((uint32_t)us);
    return rc ? refused(POOL, rc) : DONE;
}

static void domain_heading(void)
{
    print("%-33s %4s %6s %4s\n", "Name", "ID", "Weight", "Cap");
}

static int domain_line(domid_t domid)
{
    char name[NAME_MAX];
    uint16_t weight, cap;
    long rc = get_credit(domid, &weight, &cap);
    if (rc)
        return refused(domain_name(domid, name), rc);
    print("%-33s %4u %6u %4u\n", domain_name(domid, name), domid, weight, cap);
    return DONE;
}

static int all_domains(void)
{
    struct xen_domctl_getdomaininfo info;
    int status = pool_line();
    domain_heading();
    for (unsigned next = 0; domain_next(next, &info); next = info.domain + 1u)
        if (domain_line(info.domain))
            status = FAILED;
    return status;
}

/* text NULL: it stays as it is. */
static int set_domain(domid_t domid, const char *name, const char *weight_text, const char *cap_text)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t weight, cap;
    uint16_t old_weight, old_cap;
    long rc = get_credit(domid, &old_weight, &old_cap);
    if (rc || !domain_info(domid, &info))
        return refused(name, rc);
    weight = old_weight, cap = old_cap;
    if (weight_text && !number_value("a weight", weight_text, 1, MOST_WEIGHT, &weight))
        return USAGE;
    if (cap_text &&
        !number_value("a cap, in percent of one CPU,", cap_text, 0, 100ull * (info.max_vcpu_id + 1), &cap))
        return USAGE;
    rc = set_credit(domid, (uint16_t)weight, (uint16_t)cap);
    return rc ? refused(name, rc) : DONE;
}

int verb_sched_credit2(int argc, char **argv)
{
    const char *domain = NULL, *weight = NULL, *cap = NULL, *ratelimit = NULL, *pool = NULL;
    bool parameters = false;
    const struct option options[] = {
        {'d', "domain", NULL, "the domain to show or set", &domain},
        {'w', "weight", NULL, "its share to the others', 1 to 65535; 256 at first", &weight},
        {'c', "cap", NULL, "most that it may use, in percent of one CPU; 0: any", &cap},
        {'p', "cpupool", NULL, "Pool-0, which is the only one", &pool},
        {'s', "schedparam", &parameters, "show or set what is the same for all"},
        {'r', "ratelimit_us", NULL, "least time between two changes, in microseconds; 0: any", &ratelimit},
    };
    int status;
    domid_t domid;
    if (take_options(argc, argv, options, 6, 0, 0, &status) < 0)
        return status;
    if (pool && strcmp(pool, POOL) && strcmp(pool, "0")) {
        print("sched-credit2: %s: there is one pool, %s\n", pool, POOL);
        return FAILED;
    }
    if ((weight || cap) && !domain) {
        print("sched-credit2: a weight or a cap is a domain's: add -d DOMAIN\n");
        return USAGE;
    }
    if (ratelimit && !parameters) {
        print("sched-credit2: the rate limit is the same for all: add -s\n");
        return USAGE;
    }
    if (parameters && !domain)
        return ratelimit ? set_pool(ratelimit) : pool_line();
    if (parameters) {
        print("sched-credit2: -s is not about a domain: leave out -d or -s\n");
        return USAGE;
    }
    if (!domain)
        return all_domains();
    if (!whole_domain_operand("sched-credit2", domain, &domid))
        return FAILED;
    if (weight || cap)
        return set_domain(domid, domain, weight, cap);
    domain_heading();
    return domain_line(domid);
}

/* --- vcpu-pin ------------------------------------------------------------------------------------------- */

/* What the operand names; *given false: "-", it stays as it is. */
static bool set_operand(const char *operand, struct cpu_set *set, bool *given)
{
    struct why why;
    *given = strcmp(operand, "-");
    if (!*given || cpus_parse(operand, host_cpus(), set, &why))
        return true;
    verb_failed("vcpu-pin", &why);
    return false;
}

/* The virtual CPUs that the operand names, from *first to *last. */
static bool vcpu_operand(const char *operand, domid_t domid, unsigned *first, unsigned *last)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t vcpu;
    if (!domain_info(domid, &info) || info.max_vcpu_id == XEN_INVALID_MAX_VCPU_ID) {
        print("vcpu-pin: the domain has no virtual CPUs\n");
        return false;
    }
    *first = 0, *last = info.max_vcpu_id;
    if (!strcmp(operand, "all"))
        return true;
    if (!parse_number(operand, &vcpu) || vcpu > info.max_vcpu_id) {
        print("vcpu-pin: %s: a virtual CPU is a number up to %u here, or all\n", operand, info.max_vcpu_id);
        return false;
    }
    *first = *last = (unsigned)vcpu;
    return true;
}

int verb_vcpu_pin(int argc, char **argv)
{
    bool force = false, has_hard = false, has_soft = false;
    const struct option options[] = {{'f', "force", &force, "also where the guest has pinned itself"}};
    int status, operands = take_options(argc, argv, options, 1, 3, 4, &status);
    struct cpu_set hard, soft;
    unsigned first, last;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!whole_domain_operand("vcpu-pin", argv[1], &domid))
        return FAILED;
    if (!vcpu_operand(argv[2], domid, &first, &last) || !set_operand(argv[3], &hard, &has_hard) ||
        (operands == 4 && !set_operand(argv[4], &soft, &has_soft)))
        return USAGE;
    if (!has_hard && !has_soft) {
        print("vcpu-pin: nothing is left to set: - keeps what is\n");
        return USAGE;
    }
    for (unsigned vcpu = first; vcpu <= last; vcpu++) {
        long rc = set_affinity(domid, vcpu, has_hard ? hard.map : NULL, has_soft ? soft.map : NULL, MOST_CPUS,
                               force ? XEN_VCPUAFFINITY_FORCE : 0);
        if (rc) {
            print("vcpu-pin: %s: virtual CPU %u: %s\n", argv[1], vcpu, error_text(rc));
            return FAILED;
        }
    }
    return DONE;
}
