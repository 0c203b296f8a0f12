/* Measures operations and prints what they take (bench.h). For one CPU. */
#include <bench.h>
#include <lib/x86.h>
#include <pvh/pvh.h>

#define ROUNDS       200u
#define EXITS_ROUNDS 5u

static long failed; /* what an operation gave that did not do what is measured */

void must(long result)
{
    if (result < 0)
        failed = result;
}

void expect(const char *what, long result)
{
    if (result < 0)
        pvh_panic("bench: %s: error %ld", what, result);
}

static void nothing(void)
{
}
const struct operation measure_nothing = {.operation = nothing};

/* The two readings of the clock are also what scripts/bench_profile.py looks for. */
__attribute__((noipa)) uint64_t measure(const struct operation *o)
{
    uint64_t least = ~0ull;
    for (unsigned i = 0; i < (o->rounds ? o->rounds : ROUNDS); i++) {
        if (o->before)
            o->before();
        uint64_t start = rdtsc_ordered();
        o->operation();
        uint64_t ticks = rdtsc_ordered() - start;
        least = ticks < least ? ticks : least;
        if (o->after)
            o->after();
    }
    return least;
}

/* How many exits one takes: -1 where that is not known. */
static long measure_exits(const struct operation *o)
{
    long least = -1;
    uint32_t start, end;
    if (!exits_read(&start))
        return -1;
    for (unsigned i = 0; i < (o->rounds ? 1 : EXITS_ROUNDS); i++) {
        if (o->before)
            o->before();
        exits_read(&start);
        o->operation();
        exits_read(&end);
        long exits = (uint32_t)(end - start - EXITS_OF_READING);
        least = least < 0 || exits < least ? exits : least;
        if (o->after)
            o->after();
    }
    return least;
}

void report(const char *name, uint64_t ticks, long exits)
{
    if (failed)
        pvh_printf("BENCH %s failed %ld\n", name, failed);
    else if (exits < 0)
        pvh_printf("BENCH %s %lu\n", name, ticks);
    else
        pvh_printf("BENCH %s %lu exits=%ld\n", name, ticks, exits);
    failed = 0;
}

void measure_all(const struct operation *operations, unsigned count)
{
    uint64_t floor = measure(&measure_nothing);
    for (unsigned i = 0; i < count; i++)
        report(operations[i].name, measure(&operations[i]) - floor, measure_exits(&operations[i]));
}
