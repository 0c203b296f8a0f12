/*
 * What CPUID shows a guest: what the host has and a guest may use, the guest's own topology, and the
 * hypervisor's leaves (xen/arch-x86/cpuid.h).
 *
 * Answers are worked out once per domain; an exit is a look-up and, for a few leaves, the vCPU's own bits.
 * What is not named here a guest does not see: a feature is added when its state is known to be switched or
 * to have none.
 *
 * Locking: none. A domain's table is written before its first vCPU runs.
 */
#include <hv/arch/time.h>
#include <hv/frame.h>
#include <x86/asm.h>
#include <x86/features.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/errno.h>
#include <xen/version.h>
#include "exit.h"
#include "fpu.h"

#define BIT(n) (1u << (n))

/* Leaf 1, ECX */
#define F1C_PCID        BIT(17)
#define F1C_X2APIC      BIT(21)
#define F1C_XSAVE       BIT(26)
#define F1C_OSXSAVE     BIT(27)
#define F1C_HYPERVISOR  BIT(31)
#define F1C_NEEDS_XSAVE (F1C_XSAVE | BIT(12) | BIT(28) | BIT(29)) /* FMA, AVX, F16C */
#define F1C_SHOWN                                                                                            \
    (BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | F1C_PCID | BIT(19) | BIT(20) | BIT(22) | BIT(23) |       \
     BIT(24) | BIT(25) | F1C_XSAVE | BIT(28) | BIT(29) | BIT(30))
/* Leaf 1, EDX: FPU to CX8, APIC, SEP to PSE36, CLFLUSH, MMX, FXSR, SSE, SSE2 */
#define F1D_APIC  BIT(9)
#define F1D_HTT   BIT(28)
#define F1D_SHOWN (0x000001ffu | F1D_APIC | 0x0003f800u | BIT(19) | 0x07800000u)
/* Leaf 7, EBX */
#define F7B_FSGSBASE   BIT(0)
#define F7B_TSC_ADJUST BIT(1)
#define F7B_SMEP       BIT(7)
#define F7B_INVPCID    BIT(10)
#define F7B_SMAP       BIT(20)
#define F7B_AVX2       BIT(5)
#define F7B_AVX512     (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define F7B_SHOWN                                                                                            \
    (F7B_FSGSBASE | BIT(3) | F7B_AVX2 | BIT(6) | F7B_SMEP | BIT(8) | BIT(9) | F7B_INVPCID | BIT(13) |        \
     BIT(18) | BIT(19) | F7B_SMAP | BIT(23) | BIT(24) | BIT(29) | F7B_AVX512)
/* Leaf 7, ECX */
#define F7C_UMIP   BIT(2)
#define F7C_PKU    BIT(3)
#define F7C_OSPKE  BIT(4)
#define F7C_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define F7C_AVX    (BIT(9) | BIT(10))
#define F7C_RDPID  BIT(22)
#define F7C_SHOWN                                                                                            \
    (F7C_UMIP | F7C_PKU | BIT(8) | F7C_AVX512 | F7C_AVX | F7C_RDPID | BIT(25) | BIT(27) | BIT(28))
/* Leaf 7, EDX: FSRM, MD_CLEAR, SERIALIZE, IBRS/IBPB, STIBP, ARCH_CAPABILITIES, SSBD */
#define F7D_AVX512 (BIT(2) | BIT(3) | BIT(8))
#define F7D_SPEC   (BIT(26) | BIT(27) | BIT(31))
#define F7D_SHOWN  (BIT(4) | F7D_AVX512 | BIT(10) | BIT(14) | F7D_SPEC | BIT(29))
/* Leaf 7.1, EAX: AVX-VNNI, AVX512-BF16, fast short REP */
#define F71A_AVX    BIT(4)
#define F71A_AVX512 BIT(5)
#define F71A_SHOWN  (F71A_AVX | F71A_AVX512 | BIT(10) | BIT(11) | BIT(12))
/* Leaf 0xd.1, EAX: XSAVEOPT, XSAVEC, XGETBV(1); XSAVES would need XSS switched */
#define FD1A_SHOWN (BIT(0) | BIT(1) | BIT(2))
/* Leaf 0x80000001, ECX and EDX */
#define FE1C_CMP_LEGACY  BIT(1)
#define FE1C_NEEDS_XSAVE (BIT(11) | BIT(16)) /* XOP, FMA4 */
#define FE1C_SHOWN       (BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
#define FE1D_COMMON      0x0183f3ffu /* on AMD the same bits as in leaf 1, EDX */
#define FE1D_APIC        BIT(9)
#define FE1D_NX          BIT(20)
#define FE1D_FFXSR       BIT(25)
#define FE1D_RDTSCP      BIT(27)
#define FE1D_SHOWN                                                                                           \
    (BIT(11) | FE1D_NX | BIT(22) | FE1D_FFXSR | BIT(26) | FE1D_RDTSCP | BIT(29) | BIT(30) | BIT(31))
#define FE7D_INVARIANT_TSC BIT(8)
/* Leaf 0x80000008, EBX: CLZERO, RSTR_FP_ERR_PTRS, speculation controls */
#define FE8B_SPEC  (BIT(12) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(18) | BIT(24) | BIT(26) | BIT(28))
#define FE8B_SHOWN (BIT(0) | BIT(2) | FE8B_SPEC)

#define BASIC_LEAVES    0xeu
#define EXTENDED_LEAVES 9u
#define CACHE_LEAVES    4u
#define XSTATE_LEAVES   10u /* components up to PKRU */
#define XEN_LEAVES      (XEN_CPUID_MAX_NUM_LEAVES + 1u)

struct cpuid_table {
    struct cpuid basic[BASIC_LEAVES];
    struct cpuid extended[EXTENDED_LEAVES];
    struct cpuid xen[XEN_LEAVES];
    struct cpuid cache[CACHE_LEAVES]; /* leaf 4 */
    struct cpuid features7_1;
    struct cpuid topology[2];           /* leaf 0xb */
    struct cpuid xstate[XSTATE_LEAVES]; /* leaf 0xd */
};

static uint64_t cr4_shown, efer_shown;

/* --- making the table ----------------------------------------------------------------------------------- */

static void make_features(struct cpuid_table *t, uint32_t vcpus)
{
    uint64_t xcr0 = fpu_xcr0();
    struct cpuid *f1 = &t->basic[1], *f7 = &t->basic[7];

    f1->ebx = (f1->ebx & 0x0000ff00) | (MIN(2 * vcpus, 255u) << 16);
    f1->ecx = (f1->ecx & F1C_SHOWN) | F1C_X2APIC | F1C_HYPERVISOR;
    f1->edx = (f1->edx & F1D_SHOWN) | F1D_APIC | (vcpus > 1 ? F1D_HTT : 0);

    f7->eax = MIN(f7->eax, 1u);
    f7->ebx = (f7->ebx & F7B_SHOWN) | F7B_TSC_ADJUST;
    f7->ecx &= F7C_SHOWN;
    f7->edx &= F7D_SHOWN;
    t->features7_1.eax &= F71A_SHOWN;
    t->features7_1.ebx = t->features7_1.ecx = t->features7_1.edx = 0;
    if (f7->eax == 0)
        t->features7_1.eax = 0;

    if (!xcr0)
        f1->ecx &= ~F1C_NEEDS_XSAVE;
    if (!(xcr0 & XCR0_AVX)) {
        f1->ecx &= ~(F1C_NEEDS_XSAVE & ~F1C_XSAVE);
        f7->ebx &= ~F7B_AVX2;
        f7->ecx &= ~F7C_AVX;
        t->features7_1.eax &= ~F71A_AVX;
    }
    if (!(xcr0 & XCR0_AVX512)) {
        f7->ebx &= ~F7B_AVX512;
        f7->ecx &= ~F7C_AVX512;
        f7->edx &= ~F7D_AVX512;
        t->features7_1.eax &= ~F71A_AVX512;
    }
    if (!(xcr0 & XCR0_PKRU))
        f7->ecx &= ~F7C_PKU;
    if (!cpu_features.rdtscp)
        f7->ecx &= ~F7C_RDPID;
    if (!cpu_features.spec_ctrl)
        f7->edx &= ~F7D_SPEC;
    if (cpu_features.vendor != CPU_INTEL)
        f7->edx &= ~BIT(29);
}

static unsigned log2_up(uint32_t n)
{
    unsigned bits = 0;
    while (1u << bits < n)
        bits++;
    return bits;
}

static void make_extended(struct cpuid_table *t, uint32_t vcpus)
{
    bool amd = cpu_features.vendor == CPU_AMD;
    struct cpuid *e1 = &t->extended[1], *e8 = &t->extended[8];
    uint32_t common = amd ? t->basic[1].edx & FE1D_COMMON : 0;

    e1->ecx &= FE1C_SHOWN;
    if (!(fpu_xcr0() & XCR0_AVX))
        e1->ecx &= ~FE1C_NEEDS_XSAVE;
    if (amd && vcpus > 1)
        e1->ecx |= FE1C_CMP_LEGACY;
    e1->edx = (e1->edx & FE1D_SHOWN) | common;
    if (!cpu_features.rdtscp)
        e1->edx &= ~FE1D_RDTSCP;

    t->extended[7] = (struct cpuid){.edx = FE7D_INVARIANT_TSC};
    e8->eax = guest_maxphysaddr() | (e8->eax & 0xff00);
    e8->ebx &= FE8B_SHOWN;
    if (!cpu_features.spec_ctrl)
        e8->ebx &= ~FE8B_SPEC;
    e8->ecx = amd ? (2 * vcpus - 1) | log2_up(2 * vcpus) << 12 : 0;
    e8->edx = 0;
}

/* APIC ids are even: one thread per core, all cores in one package, the lowest bit of the id unused. */
static void make_topology(struct cpuid_table *t, uint32_t vcpus)
{
    for (unsigned i = 0; i < CACHE_LEAVES; i++) {
        struct cpuid *c = &t->cache[i];
        unsigned type = c->eax & 0x1f, level = c->eax >> 5 & 7;
        if (!type)
            continue;
        uint32_t sharing = level >= 3 ? (1u << log2_up(2 * vcpus)) - 1 : 1;
        uint32_t cores = MIN((1u << log2_up(2 * vcpus)) - 1, 63u);
        c->eax = (c->eax & 0x3fff) | sharing << 14 | cores << 26;
    }
    t->topology[0] = (struct cpuid){.eax = 1, .ebx = 1, .ecx = 1u << 8};
    t->topology[1] = (struct cpuid){.eax = log2_up(2 * vcpus), .ebx = vcpus, .ecx = 2u << 8 | 1};
}

static void make_xstate(struct cpuid_table *t)
{
    uint64_t xcr0 = fpu_xcr0();
    t->xstate[0] =
        (struct cpuid){.eax = (uint32_t)xcr0, .ecx = fpu_area_size(), .edx = (uint32_t)(xcr0 >> 32)};
    t->xstate[1] = (struct cpuid){.eax = t->xstate[1].eax & FD1A_SHOWN};
    for (unsigned i = 2; i < XSTATE_LEAVES; i++) {
        if (!(xcr0 >> i & 1))
            t->xstate[i] = (struct cpuid){0};
    }
}

static void make_xen(struct cpuid_table *t, domid_t id)
{
    t->xen[0] = (struct cpuid){.eax = XEN_CPUID_LEAF(XEN_CPUID_MAX_NUM_LEAVES),
                               .ebx = XEN_CPUID_SIGNATURE_EBX,
                               .ecx = XEN_CPUID_SIGNATURE_ECX,
                               .edx = XEN_CPUID_SIGNATURE_EDX};
    t->xen[1].eax = 4 << 16 | 17;
    t->xen[2] = (struct cpuid){.eax = 1, .ebx = MSR_HYPERCALL_PAGE};
    t->xen[4] = (struct cpuid){.eax = XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT |
                                      XEN_HVM_CPUID_UPCALL_VECTOR,
                               .ecx = id};
}

int cpuid_domain_init(struct domain *d)
{
    struct cpuid_table *t = d->arch->cpuid = heap_alloc(sizeof(*t));
    if (!t)
        return -XEN_ENOMEM;
    uint32_t last = MIN(cpu_features.max_leaf, BASIC_LEAVES - 1);
    uint32_t last_extended = MIN(cpu_features.max_extended_leaf & 0xffff, EXTENDED_LEAVES - 1);
    for (uint32_t i = 0; i <= last; i++)
        t->basic[i] = cpuid(i, 0);
    for (uint32_t i = 0; i <= last_extended; i++)
        t->extended[i] = cpuid(0x80000000u + i, 0);
    t->basic[0].eax = BASIC_LEAVES - 1;
    t->extended[0].eax = 0x80000000u + EXTENDED_LEAVES - 1;

    /* Monitor, power, performance counters, direct cache access: not for guests. */
    static const uint8_t hidden[] = {3, 5, 6, 8, 9, 0xa, 0xb, 0xc, 0xd};
    for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++)
        t->basic[hidden[i]] = (struct cpuid){0};
    for (uint32_t i = 0; last >= 4 && cpu_features.vendor == CPU_INTEL && i < CACHE_LEAVES; i++)
        t->cache[i] = cpuid(4, i);
    if (last >= 7)
        t->features7_1 = cpuid(7, 1);
    for (uint32_t i = 0; last >= 0xd && i < XSTATE_LEAVES; i++)
        t->xstate[i] = cpuid(0xd, i);

    make_features(t, d->max_vcpus);
    make_extended(t, d->max_vcpus);
    make_topology(t, d->max_vcpus);
    make_xstate(t);
    make_xen(t, d->id);
    return 0;
}

void cpuid_domain_free(struct domain *d)
{
    heap_free(d->arch->cpuid);
}

/* --- what the features allow ---------------------------------------------------------------------------- */

INIT_CODE void cpuid_init(void)
{
    struct cpuid f1 = cpuid(1, 0), f7 = cpu_features.max_leaf >= 7 ? cpuid(7, 0) : (struct cpuid){0};
    struct cpuid e1 = cpuid(0x80000001u, 0);

    cr4_shown = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
                CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (f1.ecx & F1C_PCID)
        cr4_shown |= CR4_PCIDE;
    if (cpu_features.xsave)
        cr4_shown |= CR4_OSXSAVE;
    if (f7.ebx & F7B_FSGSBASE)
        cr4_shown |= CR4_FSGSBASE;
    if (f7.ebx & F7B_SMEP)
        cr4_shown |= CR4_SMEP;
    if (f7.ebx & F7B_SMAP)
        cr4_shown |= CR4_SMAP;
    if (f7.ecx & F7C_UMIP)
        cr4_shown |= CR4_UMIP;
    if (f7.ecx & F7C_PKU && cpu_features.xsave)
        cr4_shown |= CR4_PKE;
    efer_shown = EFER_SCE | EFER_LME | EFER_LMA;
    if (e1.edx & FE1D_NX)
        efer_shown |= EFER_NXE;
    if (e1.edx & FE1D_FFXSR && cpu_features.vendor == CPU_AMD)
        efer_shown |= EFER_FFXSR;
}

uint64_t guest_cr4_valid(void)
{
    return cr4_shown;
}

uint64_t guest_efer_valid(void)
{
    return efer_shown;
}

unsigned guest_maxphysaddr(void)
{
    return MIN(cpu_features.phys_bits, 48);
}

/* --- answering ------------------------------------------------------------------------------------------ */

/* Bytes that XSAVE needs for the components in mask, in the standard or the compacted format. */
static uint32_t xstate_size(const struct cpuid_table *t, uint64_t mask, bool compacted)
{
    uint32_t size = sizeof(struct xsave_area);
    for (unsigned i = 2; i < XSTATE_LEAVES; i++) {
        const struct cpuid *component = &t->xstate[i];
        if (!(mask >> i & 1))
            continue;
        if (!compacted) {
            size = MAX(size, component->ebx + component->eax);
            continue;
        }
        if (component->ecx & BIT(1))
            size = (size + 63) & ~63u;
        size += component->eax;
    }
    return size;
}

static struct cpuid xstate_leaf(const struct cpuid_table *t, uint32_t subleaf)
{
    if (subleaf >= XSTATE_LEAVES || !fpu_xcr0())
        return (struct cpuid){0};
    struct cpuid r = t->xstate[subleaf];
    if (subleaf <= 1)
        r.ebx = xstate_size(t, fpu_current_xcr0(), subleaf == 1);
    return r;
}

static struct cpuid time_leaf(uint32_t subleaf)
{
    switch (subleaf) {
    case 0: /* native TSC, safe to use across CPUs */
        return (struct cpuid){.eax = BIT(1) | (cpu_features.rdtscp ? BIT(2) : 0), .ecx = tsc_khz};
    case 1:
        return (struct cpuid){.ecx = time_scale.mul, .edx = (uint32_t)(int32_t)time_scale.shift};
    case 2:
        return (struct cpuid){.eax = tsc_khz};
    default:
        return (struct cpuid){0};
    }
}

/* Leaves that depend on the subleaf, the vCPU or its registers. */
static struct cpuid basic_leaf(const struct vcpu *v, const struct cpuid_table *t, uint32_t leaf,
                               uint32_t subleaf)
{
    uint32_t apic_id = 2 * v->id;
    struct cpuid r = t->basic[leaf];
    switch (leaf) {
    case 1:
        r.ebx |= apic_id << 24;
        if (vendor->get_register(v, REG_CR4) & CR4_OSXSAVE)
            r.ecx |= F1C_OSXSAVE;
        return r;
    case 4:
        return subleaf < CACHE_LEAVES ? t->cache[subleaf] : (struct cpuid){0};
    case 7:
        if (subleaf)
            return subleaf == 1 ? t->features7_1 : (struct cpuid){0};
        if (vendor->get_register(v, REG_CR4) & CR4_PKE)
            r.ecx |= F7C_OSPKE;
        return r;
    case 0xb:
        r = subleaf < ARRAY_SIZE(t->topology) ? t->topology[subleaf] : (struct cpuid){.ecx = subleaf & 0xff};
        r.edx = apic_id;
        return r;
    case 0xd:
        return xstate_leaf(t, subleaf);
    default:
        return r;
    }
}

static struct cpuid xen_leaf(const struct vcpu *v, const struct cpuid_table *t, uint32_t leaf,
                             uint32_t subleaf)
{
    if (leaf == 3)
        return time_leaf(subleaf);
    if (leaf == 4 && subleaf)
        return (struct cpuid){0};
    struct cpuid r = t->xen[leaf];
    if (leaf == 4)
        r.ebx = v->id;
    return r;
}

void exit_cpuid(struct vcpu *v, const struct vmexit *exit)
{
    const struct cpuid_table *t = v->domain->arch->cpuid;
    uint64_t *gpr = v->arch->gpr;
    uint32_t leaf = (uint32_t)gpr[RAX], subleaf = (uint32_t)gpr[RCX];
    struct cpuid r;

    if (leaf < BASIC_LEAVES)
        r = basic_leaf(v, t, leaf, subleaf);
    else if (leaf - XEN_CPUID_FIRST_LEAF < XEN_LEAVES)
        r = xen_leaf(v, t, leaf - XEN_CPUID_FIRST_LEAF, subleaf);
    else if (leaf - 0x80000000u < EXTENDED_LEAVES)
        r = t->extended[leaf - 0x80000000u];
    else
        r = (struct cpuid){0};
    gpr[RAX] = r.eax;
    gpr[RBX] = r.ebx;
    gpr[RCX] = r.ecx;
    gpr[RDX] = r.edx;
    advance_rip(v, exit->instruction_length);
}
