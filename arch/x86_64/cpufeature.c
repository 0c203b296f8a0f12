/*
 * What the processor can do (x86/features.h), and the registers that every CPU needs set before it does
 * anything. cpu_features is written once by the boot CPU; no locking.
 */
#include <hv/cmdline.h>
#include <hv/cpu.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/features.h>
#include <x86/traps.h>

struct cpu_features cpu_features;

static bool mitigations = true;
CMDLINE_BOOL("mitigations", mitigations);

#define BIT(n) (1u << (n))

#define ARCH_CAP_RDCL_NO  (1ull << 0) /* neither Meltdown nor L1TF */
#define ARCH_CAP_EIBRS    (1ull << 1)
#define ARCH_CAP_SKIP_L1D (1ull << 3) /* the hypervisor below flushes L1D itself */
#define ARCH_CAP_MDS_NO   (1ull << 5)
#define ARCH_CAP_TAA_NO   (1ull << 8)
#define ARCH_CAP_FB_CLEAR (1ull << 17)
#define SPEC_CTRL_IBRS    (1ull << 0)
#define EFER_AUTO_IBRS    (1ull << 21)

/* PAT entries 0-3 as after reset (WB, WT, UC-, UC), 4-7: WB, WP, UC-, WC. */
#define PAT_VALUE 0x0107050600070406ull

static INIT_CODE void detect_identity(struct cpu_features *f)
{
    struct cpuid r = cpuid(0, 0);
    f->max_leaf = r.eax;
    memcpy(f->vendor_name, &r.ebx, 4);
    memcpy(f->vendor_name + 4, &r.edx, 4);
    memcpy(f->vendor_name + 8, &r.ecx, 4);
    if (!strcmp(f->vendor_name, "GenuineIntel"))
        f->vendor = CPU_INTEL;
    else if (!strcmp(f->vendor_name, "AuthenticAMD") || !strcmp(f->vendor_name, "HygonGenuine"))
        f->vendor = CPU_AMD;

    uint32_t signature = cpuid(1, 0).eax;
    f->family = signature >> 8 & 15;
    f->model = signature >> 4 & 15;
    f->stepping = signature & 15;
    if (f->family == 6 || f->family == 15)
        f->model |= signature >> 12 & 0xf0;
    if (f->family == 15)
        f->family += signature >> 20 & 0xff;

    f->max_extended_leaf = cpuid(0x80000000, 0).eax;
    for (uint32_t i = 0; f->max_extended_leaf >= 0x80000004 && i < 3; i++) {
        r = cpuid(0x80000002 + i, 0);
        memcpy(f->brand + 16 * i, &r, 16);
    }
    f->phys_bits = f->max_extended_leaf >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;
}

static INIT_CODE void detect_basic(struct cpu_features *f)
{
    struct cpuid r = cpuid(1, 0);
    f->vmx = r.ecx & BIT(5);
    f->x2apic = r.ecx & BIT(21);
    f->tsc_deadline = r.ecx & BIT(24);
    f->xsave = r.ecx & BIT(26);
    f->hypervisor = r.ecx & BIT(31);
    f->mce = r.edx & BIT(7);
    f->mtrr = r.edx & BIT(12);
    f->mca = r.edx & BIT(14);
    f->pat = r.edx & BIT(16);

    r = cpuid(0x80000001, 0);
    f->svm = r.ecx & BIT(2);
    f->nx = r.edx & BIT(20);
    f->page1g = r.edx & BIT(26);
    f->rdtscp = r.edx & BIT(27);
    if (f->max_extended_leaf >= 0x80000007)
        f->invariant_tsc = cpuid(0x80000007, 0).edx & BIT(8);
    if (f->xsave && f->max_leaf >= 13)
        f->xsaveopt = cpuid(13, 1).eax & BIT(0);
    if (f->max_leaf >= 7) {
        r = cpuid(7, 0);
        f->fsgsbase = r.ebx & BIT(0);
        f->smep = r.ebx & BIT(7);
        f->invpcid = r.ebx & BIT(10);
        f->smap = r.ebx & BIT(20);
        f->umip = r.ecx & BIT(2);
    }
}

/* What the guest side is to do against leaks between guests. */
static INIT_CODE void detect_mitigations(struct cpu_features *f)
{
    struct cpuid leaf7 = f->max_leaf >= 7 ? cpuid(7, 0) : (struct cpuid){0};
    uint32_t amd = f->max_extended_leaf >= 0x80000008 ? cpuid(0x80000008, 0).ebx : 0;
    if (leaf7.edx & BIT(29))
        f->arch_capabilities = rdmsr(MSR_ARCH_CAPABILITIES);
    if (!mitigations)
        return;
    f->spec_ctrl = leaf7.edx & (BIT(26) | BIT(27) | BIT(31)) || amd & (BIT(14) | BIT(15) | BIT(24));
    f->ibpb = leaf7.edx & BIT(26) || amd & BIT(12);
    f->rsb_fill = true;
    f->auto_ibrs = f->max_extended_leaf >= 0x80000021 && cpuid(0x80000021, 0).eax & BIT(8);
    if (f->vendor == CPU_INTEL) {
        uint64_t caps = f->arch_capabilities;
        f->l1d_flush = leaf7.edx & BIT(28) && !(caps & (ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1D));
        bool leaks = !(caps & ARCH_CAP_MDS_NO) || !(caps & ARCH_CAP_TAA_NO) || caps & ARCH_CAP_FB_CLEAR;
        f->verw_clear = leaf7.edx & BIT(10) && leaks;
        if (f->spec_ctrl && caps & ARCH_CAP_EIBRS)
            f->spec_ctrl_host = SPEC_CTRL_IBRS;
    }
    f->leaks = f->spec_ctrl || f->l1d_flush || f->verw_clear;
}

INIT_CODE void cpu_features_detect(void)
{
    struct cpu_features *f = &cpu_features;
    detect_identity(f);
    detect_basic(f);
    detect_mitigations(f);
}

/* CR4 and EFER of the hypervisor are the same on all CPUs. */
void cpu_setup(void)
{
    const struct cpu_features *f = &cpu_features;
    uint64_t cr4 = CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cr4 |= (f->mce ? CR4_MCE : 0) | (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0);
    cr4 |= (f->xsave ? CR4_OSXSAVE : 0) | (f->fsgsbase ? CR4_FSGSBASE : 0) | (f->umip ? CR4_UMIP : 0);
    write_cr4(cr4);
    write_cr0(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
    wrmsr(MSR_EFER, EFER_LME | EFER_LMA | (f->nx ? EFER_NXE : 0) | (f->auto_ibrs ? EFER_AUTO_IBRS : 0));
    if (f->pat)
        wrmsr(MSR_PAT, PAT_VALUE);
    if (f->spec_ctrl)
        wrmsr_safe(MSR_SPEC_CTRL, f->spec_ctrl_host);
    if (f->vendor == CPU_AMD) {
        uint64_t value; /* LFENCE as a barrier for RDTSC and speculation (APM vol. 2, 7.4.1) */
        if (rdmsr_safe(MSR_AMD_DE_CFG, &value) && !(value & 2))
            wrmsr_safe(MSR_AMD_DE_CFG, value | 2);
    }
    if (f->mca) {
        unsigned banks = rdmsr(MSR_MCG_CAP) & 0xff;
        for (unsigned i = 0; i < banks; i++) {
            wrmsr_safe(MSR_MC_CTL(i), ~0ull);
            wrmsr_safe(MSR_MC_STATUS(i), 0);
        }
    }
}

bool cpu_features_check(void)
{
    struct cpuid r = cpuid(1, 0), e = cpuid(0x80000001, 0);
    bool lacks_virtualization =
        (cpu_features.vmx && !(r.ecx & BIT(5))) || (cpu_features.svm && !(e.ecx & BIT(2)));
    bool lacks_base = (cpu_features.nx && !(e.edx & BIT(20))) || (cpu_features.xsave && !(r.ecx & BIT(26))) ||
                      (cpu_features.x2apic && !(r.ecx & BIT(21)));
    if (lacks_virtualization || lacks_base)
        printk(LOG_WARNING "CPU %u lacks what the boot CPU has, and stays unused\n", this_cpu()->id);
    return !lacks_virtualization && !lacks_base;
}
