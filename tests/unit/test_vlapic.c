/* sources: arch/x86_64/guest/vlapic.c arch/x86_64/guest/vlapic_ipi.c arch/x86_64/guest/vlapic_timer.c */
/* cflags: -Iarch/x86_64/include */
/* A guest's local APIC: priorities, both ways to its registers, IPIs in every addressing mode, the timer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/time.h>
#include <hv/frame.h>
#include <hv/sched.h>
#include <xen/xen.h>
#include <xen/hvm/save.h>
#include "../../arch/x86_64/guest/exit.h"
#include "../../arch/x86_64/guest/vioapic.h"
#include "../../arch/x86_64/guest/vlapic.h"

#define VCPUS    20u
#define MSR_BASE 0x1bu
#define ENABLE   (1ull << 11)
#define X2APIC   (1ull << 10)
#define BSP      (1ull << 8)
enum {
    TPR = 0x80,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR2 = 0x310,
    LVTT = 0x320,
    LINT0 = 0x350,
    LVTE = 0x370,
    TMICT = 0x380,
    TMCCT = 0x390,
    TDCR = 0x3e0
};

/* --- the world around it -------------------------------------------------------------------------------- */

static struct domain domain;
static struct vcpu vcpus[VCPUS], *v = &vcpus[0];
static struct arch_vcpu arch[VCPUS];
static struct vcpu *vcpu_table[VCPUS];
static unsigned kicks[VCPUS], reservations;
static ns_t now;
uint32_t tsc_khz = 1000000;

void vcpu_kick(struct vcpu *target)
{
    kicks[target->id]++;
}
void vcpu_wake(struct vcpu *target, uint32_t bits)
{
    (void)target, (void)bits;
}
static unsigned upcalls;
void upcall_again(struct vcpu *target)
{
    (void)target;
    upcalls++;
}
ns_t time_now(void)
{
    return now;
}
void timer_init(struct timer *timer, timer_fn *fn, void *arg)
{
    *timer = (struct timer){.fn = fn, .arg = arg};
}
int timer_reserve(void)
{
    reservations++;
    return 0;
}
void timer_release(void)
{
    reservations--;
}
void timer_set(struct timer *timer, ns_t expires)
{
    timer->expires = expires;
    timer->position = 1;
}
void timer_kill(struct timer *timer)
{
    timer->position = 0;
}
void *heap_alloc(size_t size)
{
    return calloc(1, size);
}
void heap_free(void *p)
{
    free(p);
}
unsigned guest_maxphysaddr(void)
{
    return 40;
}

/* The IO-APICs' side of an EOI. */
static unsigned eois;
static uint8_t eoi_vector;
void vioapic_eoi(struct domain *d, uint8_t vector)
{
    assert_ptr_equal(d, &domain);
    eois++;
    eoi_vector = vector;
}

static int fresh(void **state)
{
    (void)state;
    memset(arch, 0, sizeof(arch));
    memset(kicks, 0, sizeof(kicks));
    now = 1000 * SECOND;
    domain.vcpu = vcpu_table;
    domain.max_vcpus = VCPUS;
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i] = (struct vcpu){.id = i, .domain = &domain, .arch = &arch[i]};
        vcpu_table[i] = &vcpus[i];
        assert_int_equal(vlapic_create(&vcpus[i]), 0);
        vlapic_write(&vcpus[i], SVR, 0x1ff);
    }
    return 0;
}

static int gone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++)
        vlapic_free(&vcpus[i]);
    assert_int_equal(reservations, 0);
    return 0;
}

static void all_x2apic(void)
{
    for (unsigned i = 0; i < VCPUS; i++)
        assert_true(vlapic_write_base(&vcpus[i], vcpus[i].arch->apic_base | X2APIC));
}

/* Who has the vector requested, as a mask of vCPUs. */
static uint32_t requested(uint8_t vector)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        uint64_t word = 0;
        if (vcpus[i].arch->apic_base & X2APIC)
            assert_true(vlapic_read_msr(&vcpus[i], 0x820 + vector / 32, &word));
        else
            word = vlapic_read(&vcpus[i], IRR + vector / 32 * 16);
        if (word >> vector % 32 & 1)
            mask |= 1u << i;
    }
    return mask;
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void test_priorities(void **state)
{
    (void)state;
    assert_int_equal(vlapic_pending(v), -1);
    vlapic_set_irq(v, 0x41);
    vlapic_set_irq(v, 0x52);
    vlapic_set_irq(v, 0x0f); /* no such vector */
    assert_int_equal(kicks[0], 2);
    assert_int_equal(vlapic_pending(v), 0x52);
    vlapic_accept(v, 0x52);
    assert_int_equal(vlapic_read(v, ISR + 0x20), 1u << 0x12);
    assert_int_equal(vlapic_pending(v), -1); /* 0x41 waits for the end of 0x52 */
    vlapic_set_irq(v, 0x5f);
    assert_int_equal(vlapic_pending(v), -1); /* same class */
    vlapic_set_irq(v, 0x60);
    assert_int_equal(vlapic_pending(v), 0x60);
    vlapic_accept(v, 0x60);
    vlapic_write(v, EOI, 0);
    vlapic_write(v, EOI, 0);
    assert_int_equal(vlapic_pending(v), 0x5f);
    vlapic_set_cr8(v, 5);
    assert_int_equal(vlapic_read(v, TPR), 0x50);
    assert_int_equal(vlapic_pending(v), -1);
    vlapic_write(v, TPR, 0x4f);
    assert_int_equal(vlapic_get_cr8(v), 4);
    assert_int_equal(vlapic_pending(v), 0x5f);
    vlapic_write(v, EOI, 0); /* nothing in service: nothing happens */
    vlapic_write(v, SVR, 0xff);
    assert_int_equal(vlapic_pending(v), -1); /* switched off by software: what was requested is kept */
    upcalls = 0;
    vlapic_write(v, SVR, 0x1ff);
    assert_int_equal(vlapic_pending(v), 0x5f);
    assert_int_equal(upcalls, 1); /* an upcall's request may have gone with an INIT, and comes now */
    vlapic_write(v, SVR, 0x1fe);
    assert_int_equal(upcalls, 1);
}

static void test_modes(void **state)
{
    uint64_t value, base = APIC_DEFAULT_BASE | ENABLE | BSP;
    (void)state;
    assert_int_equal(v->arch->apic_base, base);
    assert_int_equal(vcpus[1].arch->apic_base, base & ~BSP);
    assert_int_equal(vlapic_read(&vcpus[3], 0x20), 6u << 24);
    assert_false(vlapic_read_msr(v, 0x802, &value)); /* not in xAPIC mode */
    assert_true(vlapic_write_base(&vcpus[19], (base & ~BSP) | X2APIC));
    assert_true(vlapic_read_msr(&vcpus[19], 0x802, &value));
    assert_int_equal(value, 38);
    assert_true(vlapic_read_msr(&vcpus[19], 0x80d, &value));
    assert_int_equal(value, 2u << 16 | 1u << 6);
    assert_false(vlapic_write_base(&vcpus[19], base & ~BSP)); /* x2APIC to xAPIC */
    assert_true(vlapic_write_base(&vcpus[19], APIC_DEFAULT_BASE));
    assert_false(vlapic_write_base(&vcpus[19], APIC_DEFAULT_BASE | ENABLE | X2APIC)); /* off to x2APIC */
    assert_false(vlapic_write_base(&vcpus[19], APIC_DEFAULT_BASE | X2APIC));
    assert_false(vlapic_write_base(&vcpus[19], 1ull << 40 | ENABLE));
    assert_false(vlapic_write_base(&vcpus[19], APIC_DEFAULT_BASE | ENABLE | 1));
    vlapic_set_irq(&vcpus[19], 0x50);
    assert_int_equal(vlapic_pending(&vcpus[19]), -1);
}

static void test_x2apic_registers(void **state)
{
    uint64_t value;
    (void)state;
    all_x2apic();
    assert_false(vlapic_write_msr(v, 0x802, 1)); /* read-only, reserved, write-only, too wide */
    assert_false(vlapic_write_msr(v, 0x80e, 1));
    assert_false(vlapic_read_msr(v, 0x80e, &value));
    assert_false(vlapic_read_msr(v, 0x80b, &value));
    assert_false(vlapic_read_msr(v, 0x83f, &value));
    assert_false(vlapic_read_msr(v, 0x8ff, &value));
    assert_false(vlapic_write_msr(v, 0x8ff, 0));
    assert_false(vlapic_write_msr(v, 0x80b, 1));
    assert_false(vlapic_write_msr(v, 0x808, 1ull << 32));
    assert_true(vlapic_write_msr(v, 0x83f, 0x77));
    assert_int_equal(vlapic_pending(v), 0x77);
    vlapic_accept(v, 0x77);
    assert_true(vlapic_write_msr(v, 0x80b, 0));
    assert_int_equal(vlapic_pending(v), -1);
    assert_true(vlapic_write_msr(v, 0x830, 5ull << 32 | 0x41));
    assert_true(vlapic_read_msr(v, 0x830, &value));
    assert_int_equal(value, 5ull << 32 | 0x41);
}

static void test_errors(void **state)
{
    (void)state;
    vlapic_write(v, LVTE, 0xee);
    vlapic_read(v, 0x7f0);
    assert_int_equal(vlapic_pending(v), 0xee);
    assert_int_equal(vlapic_read(v, ESR), 0); /* seen after a write only */
    vlapic_write(v, ICR, 0x0e);
    vlapic_write(v, ESR, 0);
    assert_int_equal(vlapic_read(v, ESR), 0xa0);
    vlapic_write(v, ESR, 0);
    assert_int_equal(vlapic_read(v, ESR), 0);
    vlapic_write(v, SVR, 0xff); /* masks the LVT, and keeps it masked */
    vlapic_write(v, LINT0, 0x700);
    assert_int_equal(vlapic_read(v, LINT0), 0x10700);
}

static void test_ipi_xapic(void **state)
{
    (void)state;
    vlapic_write(v, ICR2, 6u << 24);
    vlapic_write(v, ICR, 0x40);
    assert_int_equal(requested(0x40), 1u << 3);
    vlapic_write(v, ICR2, 7u << 24); /* nobody */
    vlapic_write(v, ICR, 0x41);
    assert_int_equal(requested(0x41), 0);
    vlapic_write(v, ICR2, 0xffu << 24);
    vlapic_write(v, ICR, 0x42);
    assert_int_equal(requested(0x42), (1u << VCPUS) - 1);
    vlapic_write(v, ICR, 1u << 18 | 0x43);
    assert_int_equal(requested(0x43), 1);
    vlapic_write(v, ICR, 2u << 18 | 0x44);
    assert_int_equal(requested(0x44), (1u << VCPUS) - 1);
    vlapic_write(v, ICR, 3u << 18 | 0x45);
    assert_int_equal(requested(0x45), (1u << VCPUS) - 2);

    for (unsigned i = 0; i < 8; i++)
        vlapic_write(&vcpus[i], LDR, 1u << (24 + i));
    vlapic_write(v, ICR2, 0x05u << 24);
    vlapic_write(v, ICR, 0x846);
    assert_int_equal(requested(0x46), 5);
    vlapic_write(v, ICR2, 0x0cu << 24);
    vlapic_write(v, ICR, 0x947); /* lowest priority: one of them */
    assert_int_equal(__builtin_popcount(requested(0x47)), 1);
    for (unsigned i = 0; i < 8; i++) {
        vlapic_write(&vcpus[i], DFR, 0x0fffffff);
        vlapic_write(&vcpus[i], LDR, (i / 4) << 28 | 1u << (24 + i % 4));
    }
    vlapic_write(v, ICR2, 0x19u << 24); /* cluster 1, members 0 and 3 */
    vlapic_write(v, ICR, 0x848);
    assert_int_equal(requested(0x48), 1u << 4 | 1u << 7);
}

static void test_ipi_x2apic(void **state)
{
    (void)state;
    all_x2apic();
    assert_true(vlapic_write_msr(v, 0x830, 38ull << 32 | 0x40));
    assert_int_equal(requested(0x40), 1u << 19);
    assert_true(vlapic_write_msr(v, 0x830, 0xffull << 32 | 0x41)); /* no broadcast here */
    assert_int_equal(requested(0x41), 0);
    assert_true(vlapic_write_msr(v, 0x830, ~0ull << 32 | 0x42));
    assert_int_equal(requested(0x42), (1u << VCPUS) - 1);
    assert_true(vlapic_write_msr(v, 0x830, (1ull << 16 | 0x5) << 32 | 0x843)); /* cluster 1: ids 16 and 18 */
    assert_int_equal(requested(0x43), 1u << 8 | 1u << 9);
    assert_true(vlapic_write_msr(v, 0x830, 0xfffffffeull << 32 | 0x44));
    assert_int_equal(requested(0x44), 0);
}

static void test_start_up(void **state)
{
    (void)state;
    all_x2apic();
    assert_true(vlapic_write_msr(v, 0x830, 2ull << 32 | 0xc500)); /* INIT, level, assert */
    assert_true(arch[1].init_pending);
    assert_true(vlapic_write_msr(v, 0x830, 4ull << 32 | 0x8500)); /* de-assert */
    assert_false(arch[2].init_pending);
    assert_true(vlapic_write_msr(v, 0x830, 2ull << 32 | 0x69a));
    assert_true(arch[1].sipi_pending);
    assert_int_equal(arch[1].sipi_vector, 0x9a);
    assert_true(vlapic_write_msr(v, 0x830, 3u << 18 | 0x400)); /* NMI to all others */
    assert_true(arch[19].nmi_pending);
    assert_false(arch[0].nmi_pending);
    assert_true(kicks[19] > 0);
    vlapic_reset(&vcpus[1]);
    assert_int_equal(arch[1].apic_base & X2APIC, X2APIC);
}

static struct timer *timer_of_v;

/* The timer of v fires if it is due. */
static bool expire(void)
{
    timer_of_v = NULL;
    for (char *p = (char *)v->arch->vlapic; !timer_of_v; p += 8)
        if (((struct timer *)p)->arg == v)
            timer_of_v = (struct timer *)p;
    if (!timer_of_v->position || timer_of_v->expires > now)
        return false;
    timer_of_v->position = 0;
    timer_of_v->fn(timer_of_v, v);
    return true;
}

static void test_one_shot(void **state)
{
    (void)state;
    vlapic_write(v, LVTT, 0xec);
    vlapic_write(v, TDCR, 0xb);   /* divide by 1 */
    vlapic_write(v, TMICT, 1000); /* 10 us */
    now += 4000;
    assert_int_equal(vlapic_read(v, TMCCT), 600);
    assert_false(expire());
    now += 6000;
    assert_true(expire());
    assert_int_equal(vlapic_read(v, TMCCT), 0);
    assert_int_equal(vlapic_pending(v), 0xec);
    vlapic_accept(v, 0xec);
    vlapic_write(v, EOI, 0);
    vlapic_write(v, TDCR, 0x3); /* by 16; starts again */
    now += 159999;
    assert_false(expire());
    vlapic_write(v, LVTT, 0x100ec); /* masked: counts, but says nothing */
    now += 1;
    assert_true(expire());
    assert_int_equal(vlapic_pending(v), -1);
    vlapic_write(v, TMICT, 1000);
    vlapic_write(v, TMICT, 0);
    now += SECOND;
    assert_false(expire());
}

static void test_periodic(void **state)
{
    (void)state;
    vlapic_write(v, LVTT, 0x200ec);
    vlapic_write(v, TDCR, 0xb);
    vlapic_write(v, TMICT, 100000); /* 1 ms */
    ns_t start = now;
    now += MILLISECOND;
    assert_true(expire());
    now += 2 * MILLISECOND + 300000; /* two are lost, the phase is kept */
    assert_true(expire());
    assert_int_equal(timer_of_v->expires, start + 4 * MILLISECOND);
    vlapic_write(v, TMICT, 1); /* not faster than the hypervisor can bear */
    now += 49999;
    assert_false(expire());
    now += 1;
    assert_true(expire());
}

static void test_tsc_deadline(void **state)
{
    uint64_t value, tsc;
    (void)state;
    assert_true(vlapic_write_msr(v, 0x6e0, 12345)); /* another mode: ignored */
    assert_true(vlapic_read_msr(v, 0x6e0, &value));
    assert_int_equal(value, 0);
    vlapic_write(v, LVTT, 0x400ec);
    tsc = __builtin_ia32_rdtsc() + (1ull << 50);
    assert_true(vlapic_write_msr(v, 0x6e0, tsc));
    assert_true(vlapic_read_msr(v, 0x6e0, &value));
    assert_int_equal(value, tsc);
    assert_false(expire());
    assert_int_equal(vlapic_read(v, TMCCT), 0);
    vlapic_write(v, TMICT, 5); /* has no meaning now */
    now += 1ull << 51;
    assert_true(expire());
    assert_int_equal(vlapic_pending(v), 0xec);
    assert_true(vlapic_read_msr(v, 0x6e0, &value));
    assert_int_equal(value, 0);
    assert_true(vlapic_write_msr(v, 0x6e0, 1)); /* long past: at once */
    assert_true(expire());
    assert_true(vlapic_write_msr(v, 0x6e0, ~0ull));
    assert_false(expire());
    vlapic_write(v, LVTT, 0x000ec); /* another mode disarms it */
    now += 1ull << 62;
    assert_false(expire());
}

static void test_save_and_load(void **state)
{
    struct hvm_hw_lapic lapic;
    struct hvm_hw_lapic_regs regs;
    (void)state;
    all_x2apic();
    vlapic_set_irq(v, 0x80);
    vlapic_set_irq(v, 0x31);
    vlapic_accept(v, 0x80);
    assert_true(vlapic_write_msr(v, 0x832, 0x200ec));
    assert_true(vlapic_write_msr(v, 0x838, 1000000));
    vlapic_save(v, &lapic, &regs);
    assert_int_equal(lapic.apic_base_msr, v->arch->apic_base);
    struct vcpu *other = &vcpus[5];
    assert_int_equal(vlapic_check(&lapic), 0);
    vlapic_load(other, &lapic);
    vlapic_load_regs(other, &regs);
    assert_int_equal(vlapic_pending(other), -1);
    assert_true(vlapic_write_msr(other, 0x80b, 0));
    assert_int_equal(vlapic_pending(other), 0x31);
    uint64_t count;
    assert_true(vlapic_read_msr(other, 0x839, &count));
    assert_int_equal(count, 1000000);
    memset(&regs, 0xff, sizeof(regs)); /* whatever is loaded, no vector below 16 appears */
    vlapic_load_regs(other, &regs);
    vlapic_load_regs(other, &regs);
    lapic.apic_base_msr = ~0ull;
    assert_int_not_equal(vlapic_check(&lapic), 0);
}

/* Only the EOI of a level goes further, and what came last says which kind a vector is. */
static void test_levels(void **state)
{
    (void)state;
    vlapic_set_irq_level(v, 0x61);
    vlapic_set_irq(v, 0x71);
    vlapic_set_irq_level(v, 15); /* no legal vector */
    assert_int_equal(vlapic_read(v, TMR + 0x30), 1u << 1);
    vlapic_accept(v, 0x71);
    eois = 0;
    vlapic_write(v, EOI, 0);
    assert_int_equal(eois, 0);
    vlapic_accept(v, 0x61);
    vlapic_give_back(v, 0x61);
    assert_int_equal(vlapic_read(v, TMR + 0x30), 1u << 1);
    vlapic_accept(v, 0x61);
    vlapic_write(v, EOI, 0);
    assert_int_equal(eois, 1);
    assert_int_equal(eoi_vector, 0x61);
    vlapic_set_irq(v, 0x61);
    assert_int_equal(vlapic_read(v, TMR + 0x30), 0);
    vlapic_accept(v, 0x61);
    vlapic_write(v, EOI, 0);
    assert_int_equal(eois, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, gone)
    const struct CMUnitTest tests[] = {
        TEST(test_priorities), TEST(test_modes),        TEST(test_x2apic_registers), TEST(test_errors),
        TEST(test_ipi_xapic),  TEST(test_ipi_x2apic),   TEST(test_start_up),         TEST(test_one_shot),
        TEST(test_periodic),   TEST(test_tsc_deadline), TEST(test_save_and_load),    TEST(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
