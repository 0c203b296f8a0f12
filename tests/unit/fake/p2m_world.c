/* The world around the real guest-physical map (p2m_world.h). */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/vcpu.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/panic.h>
#include "p2m_world.h"

struct vendor_ops world_ops;
const struct vendor_ops *vendor = &world_ops;
struct arch_domain world_arch;
struct domain world_domain;
volatile unsigned world_kicks;

__thread struct cpu *fake_this_cpu;
struct cpu *cpus[MAX_CPUS];
unsigned cpu_count;
__attribute__((aligned(4096))) char fake_ram[FAKE_FRAMES << PAGE_SHIFT];

/* Tables come from the first half of the memory, the domain's frames from the second. */
#define FIRST_RAM (FAKE_FRAMES / 2)
static uint64_t next_page, pages_in_use, next_ram;
static int references[FAKE_FRAMES];
bool world_dirty[FAKE_FRAMES];

void *page_alloc(unsigned order)
{
    assert_int_equal(order, 0);
    assert_in_range(next_page, 0, FIRST_RAM - 1);
    pages_in_use++;
    return memset(fake_ram + (next_page++ << PAGE_SHIFT), 0, PAGE_SIZE);
}

void page_free(void *p, unsigned order)
{
    assert_int_equal(order, 0);
    memset(p, 0xaa, PAGE_SIZE); /* whoever still reads it will notice */
    pages_in_use--;
}

static int *reference(mfn_t mfn)
{
    assert_in_range(mfn.v, FIRST_RAM, FAKE_FRAMES - 1);
    return &references[mfn.v];
}

void frame_get_held(mfn_t mfn)
{
    assert_true(*reference(mfn) > 0);
    ++*reference(mfn);
}

void frame_put(mfn_t mfn)
{
    --*reference(mfn);
}

void frames_put(mfn_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        frame_put(mfn_plus(first, i));
}

bool frames_clean(mfn_t first, uint64_t count)
{
    uint64_t clean = 0;

    for (uint64_t i = 0; i < count; i++)
        clean += !world_dirty[first.v + i] && *reference(mfn_plus(first, i)) > 0;
    return clean == count;
}

void frames_dirty(mfn_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        assert_true(*reference(mfn_plus(first, i)) > 0); /* before anybody else can get it */
        world_dirty[first.v + i] = true;
    }
}

mfn_t world_ram(unsigned order)
{
    uint64_t count = 1ull << order, first = (next_ram + count - 1) & ~(count - 1);

    assert_in_range(first + count, FIRST_RAM, FAKE_FRAMES);
    next_ram = first + count;
    for (uint64_t i = 0; i < count; i++)
        ++*reference(MFN(first + i));
    return MFN(first);
}

void arch_cpu_kick(struct cpu *cpu)
{
    assert_ptr_equal(cpu, cpus[0]);
    world_kicks++;
}

void cpu_relax(void)
{
    sched_yield();
}

void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}

int world_begin(const struct p2m_format *format)
{
    static struct cpu cpu[2];

    memset(cpu, 0, sizeof(cpu));
    for (cpu_count = 0; cpu_count < 2; cpu_count++)
        cpus[cpu_count] = &cpu[cpu_count];
    fake_this_cpu = cpus[0];
    next_page = 0;
    next_ram = FIRST_RAM;
    world_kicks = 0;
    p2m_set_format(format, ORDER_1G, 48, true);
    memset(world_dirty, 0, sizeof(world_dirty));
    memset(&world_domain, 0, sizeof(world_domain));
    memset(&world_arch, 0, sizeof(world_arch));
    world_domain.arch = &world_arch;
    world_domain.max_pages = 10000;
    return p2m_domain_init(&world_domain);
}

void world_end(void)
{
    world_domain.dying = DOMAIN_DYING;
    while (p2m_domain_kill(&world_domain) == HYPERCALL_RESTART)
        ;
    p2m_domain_free(&world_domain);
    assert_int_equal(pages_in_use, 0);
    for (unsigned i = 0; i < FAKE_FRAMES; i++)
        assert_int_equal(references[i], 0);
}
