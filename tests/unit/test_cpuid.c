/* sources: arch/x86_64/guest/cpuid.c */
/* cflags: -Iarch/x86_64/include */
/* The CPUID policy over the leaves of the machine that runs the test: what a guest sees, and what it must not
 * see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/time.h>
#include <hv/frame.h>
#include <x86/asm.h>
#include <x86/features.h>
#include "../../arch/x86_64/guest/exit.h"
#include "../../arch/x86_64/guest/fpu.h"

/* --- what the policy asks of the rest ------------------------------------------------------------------- */

struct cpu_features cpu_features;
struct time_scale time_scale = {.mul = 0x80000000u, .shift = -1};
uint32_t tsc_khz = 2600000;

static uint64_t xcr0, guest_cr4;
static unsigned advanced;

uint64_t fpu_xcr0(void)
{
    return xcr0;
}
uint64_t fpu_current_xcr0(void)
{
    return xcr0;
}
uint32_t fpu_area_size(void)
{
    return 832;
}
void *heap_alloc(size_t size)
{
    return calloc(1, size);
}
void heap_free(void *p)
{
    free(p);
}
void advance_rip(struct vcpu *v, unsigned length)
{
    (void)v;
    advanced += length;
}
static uint64_t get_register(const struct vcpu *v, enum guest_register which)
{
    (void)v;
    return which == REG_CR4 ? guest_cr4 : 0;
}
static const struct vendor_ops ops = {.get_register = get_register};
const struct vendor_ops *vendor = &ops;

/* --- a domain ------------------------------------------------------------------------------------------- */

static struct arch_domain arch_domain;
static struct domain domain;
static struct arch_vcpu arch_vcpu;
static struct vcpu vcpu;

static void set_up(enum cpu_vendor kind, uint32_t vcpus, uint32_t id)
{
    cpu_features = (struct cpu_features){.vendor = kind,
                                         .max_leaf = cpuid(0, 0).eax,
                                         .max_extended_leaf = cpuid(0x80000000u, 0).eax,
                                         .phys_bits = 46,
                                         .rdtscp = true,
                                         .xsave = true,
                                         .spec_ctrl = true};
    xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    guest_cr4 = 0;
    domain = (struct domain){.id = 7, .max_vcpus = vcpus, .arch = &arch_domain};
    vcpu = (struct vcpu){.id = id, .domain = &domain, .arch = &arch_vcpu};
    cpuid_init();
    assert_int_equal(cpuid_domain_init(&domain), 0);
}

static struct cpuid ask(uint32_t leaf, uint32_t subleaf)
{
    const struct vmexit exit = {.reason = EXIT_CPUID, .instruction_length = 2};
    arch_vcpu.gpr[RAX] = 0xdead00000000ull | leaf; /* upper halves do not count, and are cleared */
    arch_vcpu.gpr[RCX] = 0xdead00000000ull | subleaf;
    exit_cpuid(&vcpu, &exit);
    const uint64_t *g = arch_vcpu.gpr;
    assert_false((g[RAX] | g[RBX] | g[RCX] | g[RDX]) >> 32);
    return (struct cpuid){(uint32_t)g[RAX], (uint32_t)g[RBX], (uint32_t)g[RCX], (uint32_t)g[RDX]};
}

static int tear_down(void **state)
{
    (void)state;
    cpuid_domain_free(&domain);
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void test_xen_leaves(void **state)
{
    (void)state;
    set_up(CPU_AMD, 4, 3);
    advanced = 0;
    struct cpuid r = ask(0x40000000, 0);
    assert_int_equal(advanced, 2);
    assert_int_equal(r.eax, 0x40000005);
    assert_memory_equal(&r.ebx, "XenV", 4);
    assert_memory_equal(&r.ecx, "MMXe", 4);
    assert_memory_equal(&r.edx, "nVMM", 4);
    assert_int_equal(ask(0x40000001, 0).eax, 4 << 16 | 17);
    r = ask(0x40000002, 0);
    assert_int_equal(r.eax, 1);
    assert_int_equal(r.ebx, 0x40000000);
    assert_int_equal(ask(0x40000003, 0).ecx, 2600000);
    assert_int_equal(ask(0x40000003, 1).ecx, 0x80000000u);
    assert_int_equal(ask(0x40000003, 1).edx, 0xffffffffu);
    r = ask(0x40000004, 0);
    assert_int_equal(r.eax, 1u << 3 | 1u << 4 | 1u << 6);
    assert_int_equal(r.ebx, 3);
    assert_int_equal(r.ecx, 7);
    assert_int_equal(ask(0x40000006, 0).eax, 0);
    assert_int_equal(ask(0x40000100, 0).eax, 0);
}

static void test_hidden(void **state)
{
    (void)state;
    set_up(CPU_INTEL, 1, 0);
    struct cpuid r = ask(1, 0);
    assert_false(r.ecx & (1u << 3 | 1u << 5 | 1u << 6)); /* MONITOR, VMX, SMX */
    assert_true(r.ecx & 1u << 31);                       /* a hypervisor is there */
    assert_true(r.ecx & 1u << 21);                       /* x2APIC */
    assert_false(ask(0x80000001u, 0).ecx & 1u << 2);     /* SVM */
    assert_false(ask(7, 0).ebx & (1u << 4 | 1u << 11));  /* TSX */
    assert_false(ask(7, 0).ebx & (1u << 2 | 1u << 25));  /* SGX, processor trace */
    assert_int_equal(ask(5, 0).eax | ask(0xa, 0).eax | ask(6, 0).eax, 0);
    assert_true(ask(0x80000007u, 0).edx & 1u << 8); /* invariant TSC */
    assert_int_equal(ask(0, 0).eax, 0xd);
    assert_int_equal(ask(0x80000000u, 0).eax, 0x80000008u);
    assert_int_equal(ask(0xe, 0).eax | ask(0x80000009u, 0).eax | ask(0xffffffffu, 0).eax, 0);
    assert_int_equal(ask(0x80000008u, 0).eax & 0xff, 46);
}

static void test_topology(void **state)
{
    (void)state;
    set_up(CPU_AMD, 6, 5);
    assert_int_equal(ask(1, 0).ebx >> 24, 10);
    assert_int_equal(ask(1, 0).ebx >> 16 & 0xff, 12);
    assert_true(ask(1, 0).edx & 1u << 28);
    struct cpuid thread = ask(0xb, 0), core = ask(0xb, 1), end = ask(0xb, 2);
    assert_int_equal(thread.edx, 10);
    assert_int_equal(core.edx, 10);
    assert_int_equal(thread.eax, 1);
    assert_int_equal(core.eax, 4); /* ids below 16 */
    assert_int_equal(core.ebx, 6);
    assert_int_equal(core.ecx, 0x201);
    assert_int_equal(end.ebx, 0);
    assert_int_equal(end.ecx, 2);
    assert_int_equal(ask(0x80000008u, 0).ecx, 4u << 12 | 11);
}

static void test_dynamic(void **state)
{
    (void)state;
    set_up(CPU_AMD, 1, 0);
    assert_false(ask(1, 0).ecx & 1u << 27);
    guest_cr4 = CR4_OSXSAVE | CR4_PKE;
    assert_true(ask(1, 0).ecx & 1u << 27);
    assert_true(ask(7, 0).ecx & 1u << 4);
    assert_int_equal(ask(0xd, 0).eax, 7);
    assert_int_equal(ask(0xd, 0).ecx, 832);
    assert_int_equal(ask(0xd, 10).eax | ask(0xd, 63).eax | ask(0xd, 0xffffffffu).eax, 0);
    xcr0 = XCR0_X87;
    assert_int_equal(ask(0xd, 0).ebx, 576);
}

/* No XSAVE on the host: nothing of it is shown, nor what needs it. */
static void test_without_xsave(void **state)
{
    (void)state;
    set_up(CPU_AMD, 1, 0);
    cpuid_domain_free(&domain);
    xcr0 = 0;
    cpu_features.xsave = false;
    cpuid_init();
    assert_int_equal(cpuid_domain_init(&domain), 0);
    assert_false(ask(1, 0).ecx & (1u << 12 | 1u << 26 | 1u << 28 | 1u << 29));
    assert_false(ask(7, 0).ebx & (1u << 5 | 1u << 16));
    assert_int_equal(ask(0xd, 0).eax | ask(0xd, 0).ecx, 0);
    assert_false(guest_cr4_valid() & CR4_OSXSAVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_xen_leaves, tear_down),
        cmocka_unit_test_teardown(test_hidden, tear_down),
        cmocka_unit_test_teardown(test_topology, tear_down),
        cmocka_unit_test_teardown(test_dynamic, tear_down),
        cmocka_unit_test_teardown(test_without_xsave, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
