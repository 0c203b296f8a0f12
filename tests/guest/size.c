/*
 * A domain that does what its toolstack wants of its size: CPUs go on and off by cpu/N/availability, pages
 * are given back and taken by memory/target. It looks at the nodes a few times a second, checks its pages,
 * and says what changed. Typing q ends it.
 */
#include "check.h"
#include <drivers/front.h>
#include <lib/printf.h>
#include <pvh/apic.h>

#define WAKE      0x71
#define MOST      16384u /* pages given back, or taken where there was no RAM at the start */
#define BATCH     64u
#define ANY_WORDS (PAGE_SIZE / sizeof(uint64_t))

/* --- CPUs ----------------------------------------------------------------------------------------------- */

enum cpu_state { NEVER, ON, LEAVING, OFF };
static volatile enum cpu_state states[SMP_MAX_CPUS];
static volatile unsigned rounds[SMP_MAX_CPUS];

static void on_wake(struct trap_frame *frame)
{
    (void)frame;
    apic_eoi();
}

/* VCPUOP_down returns when somebody says VCPUOP_up. */
static void other_cpu(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    for (;;) {
        rounds[cpu]++;
        if (states[cpu] == LEAVING)
            EXPECT_EQ(VCPUOP(VCPUOP_down, cpu, NULL), 0);
        else
            wait_for_interrupt();
    }
}

static bool comes_true(volatile unsigned *count, unsigned before)
{
    uint64_t end = pvh_time_ns() + SECOND;
    while (*count == before && pvh_time_ns() < end)
        cpu_relax();
    return *count != before;
}

static void cpu_on(unsigned cpu)
{
    unsigned before = rounds[cpu];
    bool first = states[cpu] == NEVER;
    states[cpu] = ON;
    if (first)
        EXPECT(smp_start(cpu * 2, other_cpu, (void *)(uintptr_t)cpu)); /* APIC ids are twice the number */
    else
        EXPECT_EQ(VCPUOP(VCPUOP_up, cpu, NULL), 0);
    EXPECT(comes_true(&rounds[cpu], before));
}

static void cpu_off(unsigned cpu)
{
    uint64_t end = pvh_time_ns() + SECOND;
    states[cpu] = LEAVING;
    apic_ipi(cpu * 2, WAKE);
    while (VCPUOP(VCPUOP_is_up, cpu, NULL) == 1 && pvh_time_ns() < end)
        cpu_relax();
    EXPECT_EQ(VCPUOP(VCPUOP_is_up, cpu, NULL), 0);
    states[cpu] = OFF;
}

static void follow_cpus(void)
{
    char path[32], word[16];
    unsigned on = 1;
    bool changed = false;
    for (unsigned cpu = 1; cpu < SMP_MAX_CPUS; cpu++) {
        snprintf(path, sizeof path, "cpu/%u/availability", cpu);
        if (xs_read(path, word, sizeof word))
            break;
        bool is = states[cpu] == ON, wanted = !strcmp(word, "online");
        if (is != wanted) {
            (wanted ? cpu_on : cpu_off)(cpu);
            changed = true;
        }
        on += wanted;
    }
    if (changed)
        pvh_printf("%u CPUs\n", on);
}

/* --- memory --------------------------------------------------------------------------------------------- */

static xen_pfn_t given[MOST], taken[MOST]; /* stacks: the last is the first to change again */
static unsigned given_count, taken_count;
static uint64_t extra; /* where pages go that were no RAM at the start */

static unsigned change(unsigned command, xen_pfn_t *frames, unsigned count)
{
    struct xen_memory_reservation r = {.nr_extents = count, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, frames);
    long done = OP(memory_op, command, &r);
    return done < 0 ? 0 : (unsigned)done;
}

static long reservation(void)
{
    struct xen_memory_domain self = {.domid = DOMID_SELF};
    return OP(memory_op, XENMEM_current_reservation, &self);
}

/* What a page of ours holds, first and last. */
static uint64_t mark(xen_pfn_t frame)
{
    return 0x512eull << 48 | frame;
}

static void fill(xen_pfn_t frame)
{
    volatile uint64_t *page = (volatile uint64_t *)(frame << PAGE_SHIFT);
    page[0] = page[ANY_WORDS - 1] = mark(frame);
}

/* A page that was taken is clean, or one that we gave back; one that we have is as we left it. */
static void check_page(xen_pfn_t frame, bool taken_now)
{
    volatile uint64_t *page = (volatile uint64_t *)(frame << PAGE_SHIFT);
    uint64_t first = page[0], last = page[ANY_WORDS - 1];
    bool ours = taken_now ? !first || first >> 48 == mark(0) >> 48 : first == mark(frame);
    if (first != last || !ours)
        check_value((long)first, (long)mark(frame), "the content of a page", __LINE__);
}

/* As many of count pages as go with one call; 0: none. */
static unsigned grow(unsigned count)
{
    xen_pfn_t frames[BATCH];
    unsigned n = count < BATCH ? count : BATCH, from_given = given_count < n ? given_count : n;
    if (!from_given && taken_count + n > MOST)
        return 0;
    n = from_given ? from_given : n;
    for (unsigned i = 0; i < n; i++)
        frames[i] = from_given ? given[given_count - 1 - i] : (extra >> PAGE_SHIFT) + taken_count + i;
    unsigned done = change(XENMEM_populate_physmap, frames, n);
    for (unsigned i = 0; i < done; i++) {
        check_page(frames[i], true);
        if (from_given)
            page_free((void *)(frames[i] << PAGE_SHIFT), 1);
        else
            fill(taken[taken_count++] = frames[i]);
    }
    if (from_given)
        given_count -= done;
    return done;
}

static unsigned shrink(unsigned count)
{
    xen_pfn_t frames[BATCH];
    unsigned n = 0;
    bool from_taken = taken_count;
    for (; n < count && n < BATCH; n++) {
        void *page = NULL;
        if (from_taken ? n == taken_count : given_count + n == MOST || !(page = page_alloc(1)))
            break;
        frames[n] = from_taken ? taken[taken_count - 1 - n] : frame_of(page);
        if (from_taken)
            check_page(frames[n], false);
        else
            fill(frames[n]);
    }
    unsigned done = change(XENMEM_decrease_reservation, frames, n);
    EXPECT_EQ(done, n);
    for (unsigned i = 0; i < done; i++) {
        if (from_taken)
            taken_count--;
        else
            given[given_count++] = frames[i];
    }
    return done;
}

/* What the store says now, against what it said when there were so many pages. */
static void follow_memory(uint64_t first_target, long first_pages)
{
    uint64_t target;
    if (xs_read_number("memory/target", &target))
        return;
    long wanted = first_pages + ((long)target - (long)first_target) / 4, before = reservation();
    for (long now = before; now != wanted; now = reservation())
        if (!(now < wanted ? grow((unsigned)(wanted - now)) : shrink((unsigned)(now - wanted))))
            break;
    if (reservation() != before)
        pvh_printf("%ld pages\n", reservation());
}

int main(void)
{
    uint64_t first_target = 0;
    front_init();
    apic_init();
    interrupt_set(WAKE, on_wake);
    extra = memory_reserve_space(MOST * PAGE_SIZE);
    EXPECT(extra != 0);
    EXPECT_EQ(xs_read_number("memory/target", &first_target), 0);
    long first_pages = reservation();
    pvh_printf("ready: %ld pages\n", first_pages);
    while (pvh_getchar() != 'q') {
        follow_cpus();
        follow_memory(first_target, first_pages);
        front_sleep(NULL, 0, pvh_time_ns() + 20 * MILLISECOND);
    }
    return verdict("size");
}
