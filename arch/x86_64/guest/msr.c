/*
 * Model-specific registers as a guest sees them (SDM vol. 4, APM vol. 2 appendix A).
 *
 * Interface: msr_read(), msr_write(), for the current vCPU; false: #GP. What hardware switches is the vendor
 * code's; the local APIC's is guest/vlapic.c's. Registers that guests merely look at read as "nothing there".
 * An unknown one is #GP and a line for whoever debugs the guest.
 *
 * Locking: none; the current vCPU's state.
 */
#include <hv/arch/guest_access.h>
#include <hv/frame.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/features.h>
#include "exit.h"
#include "vlapic.h"

#define MSR_PLATFORM_INFO    0x000000ceu
#define MSR_LAST_BRANCH_FROM 0x000001dbu
#define MSR_LAST_BRANCH_TO   0x000001dcu
#define MSR_MC_FIRST         MSR_MC_CTL(0)
#define MSR_MC_LAST          (MSR_MC_CTL(32) - 1)
#define MSR_AMD_PERF_FIRST   0xc0010000u
#define MSR_AMD_PERF_LAST    0xc0010007u
#define MSR_AMD_HWCR         0xc0010015u
#define MSR_AMD_NB_CFG       0xc001001fu
#define MSR_AMD_INT_PENDING  0xc0010055u
#define MSR_AMD_MMIO_CONFIG  0xc0010058u
#define MSR_AMD_LS_CFG       0xc0011020u
#define MSR_AMD_IC_CFG       0xc0011021u
#define MSR_AMD_DC_CFG       0xc0011022u
#define MSR_AMD_TW_CFG       0xc0011023u
#define MSR_AMD_FP_CFG       0xc0011028u

#define HWCR_TSC_FREQ_P0         (1ull << 24)
#define DE_CFG_LFENCE            (1ull << 1)
#define FEATURE_LOCKED           1ull
#define MISC_ENABLE_FAST_STRINGS 1ull
#define SPEC_CTRL_VALID          7ull /* IBRS, STIBP, SSBD */

#define MTRR_VARIABLE       8u
#define MTRR_CAP            (MTRR_VARIABLE | 1u << 8 | 1u << 10) /* fixed ranges, WC */
#define MTRR_DEF_ENABLED_WB 0x806ull
#define MTRR_PHYSMASK_VALID (1ull << 11)
#define PAT_RESET           0x0007040600070406ull

#define HYPERCALL_STUB_SIZE 32u

void msr_vcpu_init(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    a->pat = PAT_RESET;
    vendor->set_register(v, REG_PAT, PAT_RESET);
    a->mtrr_def_type = MTRR_DEF_ENABLED_WB; /* firmware would have set it so */
    a->misc_enable = MISC_ENABLE_FAST_STRINGS;
    a->spec_ctrl = 0;
}

/* --- memory types --------------------------------------------------------------------------------------- */

/* UC, WC, WT, WP, WB; PAT has UC- too. */
static bool memory_type_valid(uint8_t type)
{
    return type <= 6 && type != 2 && type != 3;
}

bool pat_valid(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++, pat >>= 8) {
        if (!memory_type_valid((uint8_t)pat) && (uint8_t)pat != 7)
            return false;
    }
    return true;
}

/* Where the register is kept, NULL: not an MTRR. */
static uint64_t *mtrr_register(struct arch_vcpu *a, uint32_t index)
{
    if (index == MSR_MTRR_DEF_TYPE)
        return &a->mtrr_def_type;
    if (index - MSR_MTRR_PHYSBASE(0) < 2 * MTRR_VARIABLE)
        return &a->mtrr_variable[index - MSR_MTRR_PHYSBASE(0)];
    if (index == MSR_MTRR_FIX64K)
        return &a->mtrr_fixed[0];
    if (index == MSR_MTRR_FIX16K_80000 || index == MSR_MTRR_FIX16K_A0000)
        return &a->mtrr_fixed[1 + index - MSR_MTRR_FIX16K_80000];
    if (index - MSR_MTRR_FIX4K(0) < 8)
        return &a->mtrr_fixed[3 + index - MSR_MTRR_FIX4K(0)];
    return NULL;
}

bool mtrr_valid(uint32_t index, uint64_t value)
{
    uint64_t address = ((1ull << guest_maxphysaddr()) - 1) & PAGE_MASK;
    if (index == MSR_MTRR_DEF_TYPE)
        return !(value & ~0xcffull) && memory_type_valid((uint8_t)value);
    if (index - MSR_MTRR_PHYSBASE(0) < 2 * MTRR_VARIABLE) {
        if (index & 1)
            return !(value & ~(address | MTRR_PHYSMASK_VALID));
        return !(value & ~(address | 0xff)) && memory_type_valid((uint8_t)value);
    }
    for (unsigned i = 0; i < 8; i++, value >>= 8) {
        if (!memory_type_valid((uint8_t)value))
            return false;
    }
    return true;
}

/* --- single registers ----------------------------------------------------------------------------------- */

static bool write_efer(struct vcpu *v, uint64_t value)
{
    uint64_t old = vendor->get_register(v, REG_EFER);
    bool paging = vendor->get_register(v, REG_CR0) & CR0_PG;
    if (!efer_valid(value) || (paging && (value ^ old) & EFER_LME))
        return false;
    value = (value & ~EFER_LMA) | (old & EFER_LMA);
    vendor->set_register(v, REG_EFER, value);
    if ((value ^ old) & EFER_NXE)
        vendor->flush_tlb(v);
    return true;
}

static bool write_tsc_adjust(struct vcpu *v, uint64_t value)
{
    vcpu_set_tsc_offset(v, v->arch->tsc_offset + (value - v->arch->tsc_adjust));
    v->arch->tsc_adjust = value;
    return true;
}

/* Stubs of 32 bytes, by hypercall number: mov eax, number; vmcall or vmmcall; ret. */
static void hypercall_page_fill(uint8_t *page)
{
    memset(page, 0xcc, PAGE_SIZE);
    for (uint32_t number = 0; number < PAGE_SIZE / HYPERCALL_STUB_SIZE; number++) {
        uint8_t stub[] = {0xb8, (uint8_t)number, 0, 0, 0, 0x0f, 0x01, vendor == &vmx_ops ? 0xc1 : 0xd9, 0xc3};
        memcpy(page + number * HYPERCALL_STUB_SIZE, stub, sizeof(stub));
    }
}

static bool write_hypercall_page(struct vcpu *v, uint64_t value)
{
    if (value & ~PAGE_MASK)
        return false; /* there is only page 0 */
    uint8_t *page = map_guest_frame(v->domain, GFN(value >> PAGE_SHIFT), true);
    if (!page)
        return false;
    hypercall_page_fill(page);
    frame_put(virt_to_mfn(page));
    return true;
}

bool spec_ctrl_valid(uint64_t value)
{
    return cpu_features.spec_ctrl && !(value & ~SPEC_CTRL_VALID);
}

static bool write_spec_ctrl(struct vcpu *v, uint64_t value)
{
    if (!spec_ctrl_valid(value))
        return false;
    v->arch->spec_ctrl = value;
    return true;
}

static bool write_pred_cmd(uint64_t value)
{
    if (!cpu_features.ibpb || value & ~1ull)
        return false;
    if (value)
        wrmsr(MSR_PRED_CMD, value);
    return true;
}

static bool write_tsc_aux(struct vcpu *v, uint64_t value)
{
    if (!cpu_features.rdtscp || value >> 32)
        return false;
    v->arch->tsc_aux = value;
    wrmsr(MSR_TSC_AUX, value);
    return true;
}

bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool holds_address(uint32_t index)
{
    switch (index) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        return true;
    default:
        return false;
    }
}

/* --- those that a guest only looks at ------------------------------------------------------------------- */

static bool read_amd(uint32_t index, uint64_t *value)
{
    *value = 0;
    switch (index) {
    case MSR_AMD_PERF_FIRST ... MSR_AMD_PERF_LAST:
    case MSR_AMD_SYSCFG:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PENDING:
    case MSR_AMD_MMIO_CONFIG:
    case MSR_AMD_LS_CFG ... MSR_AMD_TW_CFG:
    case MSR_AMD_FP_CFG:
        return true;
    case MSR_AMD_HWCR:
        *value = HWCR_TSC_FREQ_P0;
        return true;
    case MSR_AMD_DE_CFG:
        *value = DE_CFG_LFENCE;
        return true;
    default:
        return false;
    }
}

static bool read_intel(uint32_t index, uint64_t *value)
{
    *value = 0;
    switch (index) {
    case MSR_PLATFORM_ID:
    case MSR_PLATFORM_INFO:
        return true;
    case MSR_FEATURE_CONTROL:
        *value = FEATURE_LOCKED;
        return true;
    case MSR_ARCH_CAPABILITIES:
        *value = cpu_features.arch_capabilities &
                 0x1ff; /* what the CPU is not affected by, and RSBA; no controls */
        return *value != 0;
    default:
        return false;
    }
}

static bool reads_zero(uint32_t index)
{
    switch (index) {
    case MSR_BIOS_SIGN_ID:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    case MSR_DEBUGCTL:
    case MSR_LAST_BRANCH_FROM:
    case MSR_LAST_BRANCH_TO:
    case MSR_MC_FIRST ... MSR_MC_LAST:
        return true;
    default:
        return false;
    }
}

static bool informative(uint32_t index, uint64_t *value)
{
    if (reads_zero(index)) {
        *value = 0;
        return true;
    }
    return cpu_features.vendor == CPU_INTEL ? read_intel(index, value) : read_amd(index, value);
}

/* --- all ------------------------------------------------------------------------------------------------ */

static bool is_apic(uint32_t index)
{
    return index == MSR_TSC_DEADLINE || index - MSR_X2APIC_BASE < 0x100;
}

bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value)
{
    struct arch_vcpu *a = v->arch;
    if (is_apic(index))
        return vlapic_read_msr(v, index, value);
    switch (index) {
    case MSR_EFER:
        *value = vendor->get_register(v, REG_EFER);
        return true;
    case MSR_TSC:
        *value = rdtsc() + a->tsc_offset;
        return true;
    case MSR_TSC_ADJUST:
        *value = a->tsc_adjust;
        return true;
    case MSR_APIC_BASE:
        *value = a->apic_base;
        return true;
    case MSR_MISC_ENABLE:
        *value = a->misc_enable;
        return true;
    case MSR_PAT:
        *value = a->pat;
        return true;
    case MSR_MTRR_CAP:
        *value = MTRR_CAP;
        return true;
    case MSR_SPEC_CTRL:
        *value = a->spec_ctrl;
        return cpu_features.spec_ctrl;
    case MSR_TSC_AUX:
        *value = a->tsc_aux;
        return cpu_features.rdtscp;
    default:
        break;
    }
    const uint64_t *mtrr = mtrr_register(a, index);
    if (mtrr) {
        *value = *mtrr;
        return true;
    }
    if (vendor->get_msr(v, index, value) || informative(index, value))
        return true;
    guest_printk(v->domain, "vCPU %u reads unknown MSR %#x at %#lx", v->id, index, a->rip);
    return false;
}

bool msr_write(struct vcpu *v, uint32_t index, uint64_t value)
{
    struct arch_vcpu *a = v->arch;
    uint64_t current_value;
    if (is_apic(index))
        return vlapic_write_msr(v, index, value);
    switch (index) {
    case MSR_EFER:
        return write_efer(v, value);
    case MSR_TSC:
        return write_tsc_adjust(v, a->tsc_adjust + (value - (rdtsc() + a->tsc_offset)));
    case MSR_TSC_ADJUST:
        return write_tsc_adjust(v, value);
    case MSR_APIC_BASE:
        return vlapic_write_base(v, value);
    case MSR_SPEC_CTRL:
        return write_spec_ctrl(v, value);
    case MSR_PRED_CMD:
        return write_pred_cmd(value);
    case MSR_TSC_AUX:
        return write_tsc_aux(v, value);
    case MSR_HYPERCALL_PAGE:
        return write_hypercall_page(v, value);
    case MSR_MISC_ENABLE:
        return true;
    case MSR_PAT:
        if (!pat_valid(value))
            return false;
        a->pat = value;
        vendor->set_register(v, REG_PAT, value);
        return true;
    default:
        break;
    }
    uint64_t *mtrr = mtrr_register(a, index);
    if (mtrr) {
        if (!mtrr_valid(index, value))
            return false;
        *mtrr = value;
        return true;
    }
    if (holds_address(index) && !canonical(value))
        return false;
    if (vendor->set_msr(v, index, value))
        return true;
    if (index != MSR_ARCH_CAPABILITIES && index != MSR_PLATFORM_INFO && informative(index, &current_value))
        return true;
    guest_printk(v->domain, "vCPU %u writes %#lx to unknown MSR %#x at %#lx", v->id, value, index, a->rip);
    return false;
}
