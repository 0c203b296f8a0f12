/* Sets of CPUs (cpus.h). No state, no locking. */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/string.h>

#include "cpus.h"
#include "xen.h"

unsigned host_cpus(void)
{
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    unsigned count = sysctl(XEN_SYSCTL_physinfo, &op) ? 1 : op.u.physinfo.max_cpu_id + 1;
    return count < MOST_CPUS ? count : MOST_CPUS;
}

static bool has(const struct cpu_set *set, unsigned cpu)
{
    return set->map[cpu / 8] >> (cpu % 8) & 1;
}

static void put(struct cpu_set *set, unsigned cpu, bool in)
{
    if (in)
        set->map[cpu / 8] |= (uint8_t)(1u << cpu % 8);
    else
        set->map[cpu / 8] &= (uint8_t) ~(1u << cpu % 8);
}

/* "7" or "2-5". */
static bool parse_range(char *text, uint64_t *first, uint64_t *last)
{
    char *hyphen = strchr(text, '-');
    if (hyphen)
        *hyphen = '\0';
    if (!parse_number(text, first))
        return false;
    *last = *first;
    return !hyphen || (parse_number(hyphen + 1, last) && *first <= *last);
}

/* One word between commas. */
static bool take_word(const char *word, size_t length, unsigned count, struct cpu_set *set, struct why *why)
{
    char text[24];
    uint64_t first = 0, last = count - 1;
    bool in = word[0] != '^';
    if (!in)
        word++, length--;
    if (!strncmp(word, "node", 4))
        return fail(why, "%.*s: there are no nodes to choose from here: name CPUs, as in 0-3,^1", (int)length,
                    word);
    bool all = length == 3 && !strncmp(word, "all", 3);
    if (!all && length < sizeof text) {
        memcpy(text, word, length);
        text[length] = '\0';
    }
    if (!all && (length >= sizeof text || !parse_range(text, &first, &last)))
        return fail(why, "%.*s: CPUs are named as in 0-3,^1 or all",
                    (int)(length < sizeof text ? length : sizeof text), word);
    if (last >= count)
        return fail(why, "%.*s: there is no such CPU: the machine has 0 to %u", (int)length, word, count - 1);
    for (uint64_t cpu = first; cpu <= last; cpu++)
        put(set, (unsigned)cpu, in);
    return true;
}

bool cpus_parse(const char *text, unsigned count, struct cpu_set *set, struct why *why)
{
    memset(set, 0, sizeof *set);
    for (const char *word = text, *end; word; word = *end ? end + 1 : NULL) {
        end = strchr(word, ',');
        if (!end)
            end = word + strlen(word);
        if (!take_word(word, (size_t)(end - word), count, set, why))
            return false;
    }
    for (unsigned cpu = 0; cpu < count; cpu++)
        if (has(set, cpu))
            return true;
    return fail(why, "no CPU is left: begin with those that are in, as in all,^1");
}

void cpus_print(const struct cpu_set *set, unsigned count)
{
    unsigned in = 0, printed = 0;
    for (unsigned cpu = 0; cpu < count; cpu++)
        in += has(set, cpu);
    if (in == count || !in) {
        print("%s", in ? "all" : "none");
        return;
    }
    for (unsigned cpu = 0; cpu < count; cpu++) {
        if (!has(set, cpu))
            continue;
        unsigned last = cpu;
        while (last + 1 < count && has(set, last + 1))
            last++;
        print(last > cpu ? "%s%u-%u" : "%s%u", printed++ ? "," : "", cpu, last);
        cpu = last;
    }
}
