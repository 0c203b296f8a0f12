/*
 * What the host's processor has (arch/x86_64/cpufeature.c). The boot CPU's answer counts for all; a CPU that
 * has less is not brought up.
 */
#ifndef X86_FEATURES_H
#define X86_FEATURES_H

#include <hv/types.h>

enum cpu_vendor { CPU_OTHER, CPU_INTEL, CPU_AMD }; /* Hygon counts as AMD */

struct cpu_features {
    enum cpu_vendor vendor;
    char vendor_name[13], brand[49];
    uint32_t family, model, stepping;
    uint32_t max_leaf, max_extended_leaf;
    uint8_t phys_bits;

    bool nx, page1g, pat, mtrr, mce, mca;
    bool x2apic, tsc_deadline, invariant_tsc, rdtscp;
    bool xsave, xsaveopt, fsgsbase, smep, smap, umip, invpcid;
    bool vmx, svm, hypervisor;

    /* What the guest side can use against leaks between guests (mitigations=off clears them all). */
    bool spec_ctrl;          /* MSR_SPEC_CTRL exists: the guest's value is switched */
    uint64_t spec_ctrl_host; /* what the hypervisor itself runs with (eIBRS, SSBD never) */
    bool ibpb;               /* MSR_PRED_CMD bit 0: when another vCPU comes onto the CPU */
    bool l1d_flush;          /* MSR_FLUSH_CMD bit 0: wanted before entering a guest (L1TF, Intel) */
    bool verw_clear;         /* VERW empties the buffers: wanted before entering a guest (MDS, TAA, MMIO) */
    bool rsb_fill;           /* return predictor is stuffed after exit */
    bool leaks;              /* any of spec_ctrl, l1d_flush, verw_clear: entries have something to do */
    uint64_t arch_capabilities;
    bool auto_ibrs;
};

extern struct cpu_features cpu_features;

void cpu_features_detect(void);
/* On every other CPU: false, with a message, when it lacks what the boot CPU has. */
bool cpu_features_check(void);
/* Control registers and MSRs that each CPU needs before it does anything else. */
void cpu_setup(void);

#endif
