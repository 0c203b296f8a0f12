/*
 * The verb top, after Xen's xentop: who uses the processors, and why guests exit, over and over.
 *
 * A page is made for a terminal of 80 columns and 24 lines, for dom0's console does not know better. No
 * state, no locking.
 */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "domain.h"
#include "format.h"
#include "sample.h"
#include "verbs.h"

#define SECOND       1000000000ull
#define DELAY        (3 * SECOND)
#define FIRST_DELAY  SECOND /* at most, so that there is something to see soon */
#define LEAST_DELAY  (SECOND / 10)
#define MOST_DELAY   (3600 * SECOND)
#define POLL_TIME    (SECOND / 10) /* how long a Ctrl-C may go unnoticed */
#define COLUMNS      80
#define LINES        23 /* the last one stays free, so that the terminal does not scroll */
#define EXITS        "Exits/s:"
#define MORE         " ..."
#define EXIT_PREFIX  "exits: " /* of their counters' names */
#define EXIT_LINES   3         /* at most */
#define VCPU_LETTERS 21        /* what is left of a line */

struct top {
    uint64_t delay;
    uint64_t pages; /* still to be shown; 0: any number */
    bool batch;
    struct sample before, now;
    unsigned lines; /* printed of this page */
};

/* --- one page ------------------------------------------------------------------------------------------- */

/* On a terminal the rest of what stood in the line goes away. */
static void end_line(struct top *top)
{
    print(top->batch ? "\n" : "\033[K\n");
    top->lines++;
}

static void show_summary(struct top *top)
{
    const struct sample *now = &top->now;
    unsigned busy = sample_busy(&top->before, now), running = 0, blocked = 0, paused = 0;
    const unsigned mib = 20 - PAGE_SHIFT;
    for (unsigned i = 0; i < now->domains; i++) {
        running += !!(now->domain[i].flags & XEN_DOMINF_running);
        blocked += !!(now->domain[i].flags & XEN_DOMINF_blocked);
        paused += !!(now->domain[i].flags & XEN_DOMINF_paused);
    }
    print("%u domains: %u running, %u blocked, %u paused", now->domains, running, blocked, paused);
    end_line(top);
    print("%u CPUs: %u.%u%% busy   Memory: %llu MiB, %llu free", now->cpus, busy / 10, busy % 10,
          (unsigned long long)(now->total_pages >> mib), (unsigned long long)(now->free_pages >> mib));
    end_line(top);
}

/* The exit counter that counted most since, of those that counted less than `most`, or as much and stand
 * behind `last`; -1: none. */
static int next_reason(const struct top *top, int last, uint64_t most, uint64_t *rate)
{
    const struct counters *counters = &top->now.counters;
    int best = -1;
    *rate = 0;
    for (unsigned i = 0; i < counters->count; i++) {
        if (strncmp(counters->desc[i].name, EXIT_PREFIX, sizeof EXIT_PREFIX - 1))
            continue;
        uint64_t r = sample_rate(&top->before, &top->now, i);
        if (r > *rate && (r < most || (r == most && (int)i > last))) {
            best = (int)i;
            *rate = r;
        }
    }
    return best;
}

/* "Exits/s: hypercall 1200, HLT 30 …", in as many lines as it takes, the frequent ones first. */
static void show_exits(struct top *top)
{
    const struct counters *counters = &top->now.counters;
    uint64_t rate, most = ~0ull;
    unsigned column = sizeof EXITS - 1, first = top->lines;
    if (!counters->count) {
        print(EXITS " this hypervisor does not count them");
        end_line(top);
        return;
    }
    print(EXITS);
    for (int i = -1; (i = next_reason(top, i, most, &rate)) >= 0; most = rate) {
        char text[COLUMNS];
        const xen_sysctl_perfc_desc_t *desc = &counters->desc[i];
        unsigned length =
            (unsigned)snprintf(text, sizeof text, " %.*s %llu", (int)(sizeof desc->name - sizeof EXIT_PREFIX),
                               desc->name + sizeof EXIT_PREFIX - 1, (unsigned long long)rate);
        if (most != ~0ull) {
            print(",");
            column++;
        }
        if (column + length + sizeof MORE > COLUMNS) {
            if (top->lines - first == EXIT_LINES - 1) {
                print(MORE);
                break;
            }
            end_line(top);
            column = sizeof EXITS - 1;
            print("%*s", (int)column, "");
        }
        print("%s", text);
        column += length;
    }
    end_line(top);
}

/* Running, blocked, paused, waiting for a processor, not online. */
static char vcpu_letter(const struct xen_domctl_getdomaininfo *info, unsigned vcpu)
{
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    op.u.getvcpuinfo.vcpu = vcpu;
    long rc = domctl(XEN_DOMCTL_getvcpuinfo, info->domain, &op);
    const struct xen_domctl_getvcpuinfo *v = &op.u.getvcpuinfo;
    if (rc || !v->online)
        return '.';
    if (v->running || v->blocked)
        return v->running ? 'r' : 'b';
    return info->flags & XEN_DOMINF_paused ? 'p' : 'w';
}

static void show_vcpus(const struct xen_domctl_getdomaininfo *info)
{
    unsigned count = info->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : info->max_vcpu_id + 1;
    unsigned shown = count <= VCPU_LETTERS ? count : VCPU_LETTERS - 4;
    for (unsigned i = 0; i < shown; i++)
        print("%c", vcpu_letter(info, i));
    if (shown < count)
        print("+%u", count - shown);
}

static void show_domain(struct top *top, unsigned index, unsigned share)
{
    const struct xen_domctl_getdomaininfo *info = &top->now.domain[index];
    char name[NAME_MAX], state[STATE_TEXT];
    print("%5u %-17.17s %s %9llu.%u %5u.%u %6llu ", info->domain, domain_name(info->domain, name),
          format_state(state, info->flags), (unsigned long long)(info->cpu_time / SECOND),
          (unsigned)(info->cpu_time % SECOND / (SECOND / 10)), share / 10, share % 10,
          (unsigned long long)(info->tot_pages >> (20 - PAGE_SHIFT)));
    show_vcpus(info);
    end_line(top);
}

/* By falling use of processors; of equal ones the older first. */
static void show_domains(struct top *top, unsigned *share)
{
    const unsigned shown = ~0u;
    for (unsigned left = top->now.domains; left; left--) {
        unsigned best = 0;
        if (!top->batch && top->lines == LINES - 1 && left > 1) {
            print("      and %u more", left);
            end_line(top);
            return;
        }
        while (share[best] == shown)
            best++;
        for (unsigned i = best + 1; i < top->now.domains; i++)
            if (share[i] != shown && share[i] > share[best])
                best = i;
        show_domain(top, best, share[best]);
        share[best] = shown;
    }
}

static bool show_page(struct top *top, struct why *why)
{
    unsigned *share = mem_alloc((top->now.domains + 1) * sizeof *share);
    if (!share)
        return fail(why, "out of memory");
    for (unsigned i = 0; i < top->now.domains; i++)
        share[i] = sample_share(&top->before, &top->now, i);
    top->lines = 0;
    if (!top->batch)
        print("\033[H");
    show_summary(top);
    show_exits(top);
    print("%5s %-17s %-6s %11s %7s %6s %s", "ID", "Name", "State", "Time(s)", "CPU(%)", "Mem", "VCPUs");
    end_line(top);
    show_domains(top, share);
    if (!top->batch)
        print("\033[J");
    mem_free(share);
    return true;
}

/* --- over and over -------------------------------------------------------------------------------------- */

/* False: the person wants no more. Without a terminal nothing that was typed is taken away from the shell. */
static bool wait(const struct top *top, uint64_t ns)
{
    uint64_t end = time_ns() + ns;
    for (uint64_t now; !interrupted() && (now = time_ns()) < end;) {
        uint64_t most = end - now < POLL_TIME ? end - now : POLL_TIME;
        if (top->batch)
            thread_sleep(most);
        else if (key_wait(most) == 'q')
            return false;
    }
    return !interrupted();
}

static bool run(struct top *top, struct why *why)
{
    bool ok = sample_take(&top->before, why);
    if (ok && !top->batch)
        print("\033[H\033[J");
    uint64_t delay = top->delay < FIRST_DELAY ? top->delay : FIRST_DELAY;
    while (ok && wait(top, delay)) {
        ok = sample_take(&top->now, why) && show_page(top, why);
        sample_free(&top->before);
        top->before = top->now;
        memset(&top->now, 0, sizeof top->now);
        delay = top->delay;
        if (!ok || (top->pages && !--top->pages))
            break;
    }
    sample_free(&top->before);
    return ok;
}

int verb_top(int argc, char **argv)
{
    struct top top = {.delay = DELAY};
    const char *delay = NULL, *pages = NULL;
    const struct option options[] = {
        {'d', "delay", NULL, "seconds between two pages: 0.1 to 3600; 3 without it", &delay},
        {'n', "iterations", NULL, "how many pages", &pages},
        {'b', "batch", &top.batch, "one page below the other, all domains; for scripts"},
    };
    struct why why;
    int status, operands = take_options(argc, argv, options, 3, 0, 0, &status);
    if (operands < 0)
        return status;
    if (delay && (!parse_seconds(delay, &top.delay) || top.delay < LEAST_DELAY || top.delay > MOST_DELAY)) {
        print("top: -d %s: a delay is 0.1 to 3600 seconds\n", delay);
        return USAGE;
    }
    if (pages && (!parse_number(pages, &top.pages) || !top.pages)) {
        print("top: -n %s: the number of pages is 1 at least\n", pages);
        return USAGE;
    }
    return run(&top, &why) ? DONE : verb_failed("top", &why);
}
