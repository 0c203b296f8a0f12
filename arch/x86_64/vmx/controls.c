/*
 * What this processor's VMX can do, and the controls that Hospes wants from it (SDM vol. 3, appendix A).
 *
 * Interface: vmx_controls_probe(), at boot. No locking.
 */
#include "vmx.h"
#include "../guest/p2m_format.h"
#include <x86/asm.h>
#include <x86/features.h>
#include <x86/traps.h>

#define MSR_VMX_BASIC        0x480u
#define MSR_VMX_CR0_FIXED0   0x486u
#define MSR_VMX_CR4_FIXED0   0x488u
#define MSR_VMX_SECONDARY    0x48bu
#define MSR_VMX_EPT_VPID     0x48cu
#define MSR_VMX_TRUE_PIN     0x48du
#define MSR_VMX_TRUE_PRIMARY 0x48eu
#define MSR_VMX_TRUE_EXIT    0x48fu
#define MSR_VMX_TRUE_ENTRY   0x490u

#define BASIC_TRUE_CONTROLS (1ull << 55)
#define EPT_4_LEVELS        (1ull << 6)
#define EPT_WRITE_BACK      (1ull << 14)
#define EPT_2M              (1ull << 16)
#define EPT_1G              (1ull << 17)
#define EPT_TRACKS_DIRTY    (1ull << 21)
#define EPT_INVEPT_SINGLE   (1ull << 20 | 1ull << 25)
#define EPT_NEEDED          (EPT_4_LEVELS | EPT_WRITE_BACK | EPT_2M | EPT_INVEPT_SINGLE)

#define FEATURE_CONTROL_LOCKED 1ull
#define FEATURE_CONTROL_VMX    4ull

struct vmx_controls vmx_controls;

/*
 * The low half of a capability MSR holds the bits that must be one, the high half those that may be. False:
 * one of wanted may not be, or one of unwanted must.
 */
static INIT_CODE bool choose(uint32_t msr, uint32_t wanted, uint32_t unwanted, uint32_t *controls)
{
    uint64_t capability = rdmsr(msr);
    uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);

    *controls = wanted | must;
    return !(wanted & ~may) && !(must & unwanted);
}

static INIT_CODE const char *choose_secondary(void)
{
    static const struct {
        uint32_t bit;
        const char *missing;
    } needed[] = {
        {SECONDARY_EPT, "the processor's VMX has no extended page tables (EPT)"},
        {SECONDARY_VPID, "the processor's VMX has no VPIDs"},
        {SECONDARY_UNRESTRICTED, "the processor's VMX has no unrestricted guest mode"},
    };
    uint32_t may = (uint32_t)(rdmsr(MSR_VMX_SECONDARY) >> 32);
    uint32_t wanted = SECONDARY_EPT | SECONDARY_VPID | SECONDARY_UNRESTRICTED | SECONDARY_WBINVD;

    for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!(may & needed[i].bit))
            return needed[i].missing;
    wanted |= may & SECONDARY_PAUSE_LOOP;
    wanted |= cpu_features.rdtscp ? SECONDARY_RDTSCP : 0;
    wanted |= cpu_features.invpcid ? SECONDARY_INVPCID : 0;
    return choose(MSR_VMX_SECONDARY, wanted, 0, &vmx_controls.secondary)
               ? NULL
               : "the processor's VMX cannot give guests RDTSCP, INVPCID or WBINVD as CPUID promises";
}

static INIT_CODE const char *enabled_by_firmware(void)
{
    uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

    if (!(control & FEATURE_CONTROL_LOCKED) || control & FEATURE_CONTROL_VMX)
        return NULL;
    return "VMX (Intel VT-x) is switched off: enable it in the firmware's setup";
}

INIT_CODE const char *vmx_controls_probe(void)
{
    struct vmx_controls *c = &vmx_controls;
    const uint32_t pin = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI;
    const uint32_t primary = PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_RDPMC |
                             PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_MOV_DR | PRIMARY_IO_BITMAPS |
                             PRIMARY_MSR_BITMAPS | PRIMARY_MONITOR | PRIMARY_SECONDARY;
    const uint32_t exit =
        EXIT_CONTROL_SAVE_DEBUG | EXIT_CONTROL_HOST64 | EXIT_CONTROL_LOAD_PAT | EXIT_CONTROL_LOAD_EFER;
    const uint32_t entry = ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER;

    if (!cpu_features.vmx)
        return "the processor has no VMX (Intel VT-x)";
    const char *missing = enabled_by_firmware();
    if (missing)
        return missing;
    uint64_t basic = rdmsr(MSR_VMX_BASIC);
    if (!(basic & BASIC_TRUE_CONTROLS))
        return "the processor's VMX is of the first generation (no true controls, no EPT)";
    c->revision = (uint32_t)basic & 0x7fffffff;
    if (!choose(MSR_VMX_TRUE_PRIMARY, primary, PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE, &c->primary))
        return "the processor's VMX lacks execution controls that come with EPT";
    missing = choose_secondary();
    if (missing)
        return missing;
    if (!choose(MSR_VMX_TRUE_PIN, pin, 0, &c->pin))
        return "the processor's VMX has no virtual NMIs";
    c->pin |= (uint32_t)(rdmsr(MSR_VMX_TRUE_PIN) >> 32) & PIN_PREEMPTION_TIMER;
    if (!choose(MSR_VMX_TRUE_EXIT, exit, 0, &c->exit) || !choose(MSR_VMX_TRUE_ENTRY, entry, 0, &c->entry))
        return "the processor's VMX does not switch PAT and EFER";
    uint64_t ept = rdmsr(MSR_VMX_EPT_VPID);
    if ((ept & EPT_NEEDED) != EPT_NEEDED)
        return "the processor's EPT has no 2 MiB pages, no write-back tables or no INVEPT";
    c->cr0_one =
        rdmsr(MSR_VMX_CR0_FIXED0) & ~(CR0_PE | CR0_PG); /* these two are free in an unrestricted guest */
    c->cr4_one = rdmsr(MSR_VMX_CR4_FIXED0);
    p2m_set_format(&ept_format, ept & EPT_1G ? ORDER_1G : ORDER_2M, cpu_features.phys_bits,
                   ept & EPT_TRACKS_DIRTY);
    return NULL;
}
