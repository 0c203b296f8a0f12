/* The virtual machine control block (APM vol. 2, appendix B) and its exit codes (appendix C). */
#ifndef X86_SVM_VMCB_H
#define X86_SVM_VMCB_H

#include <hv/types.h>

struct vmcb_segment {
    uint16_t selector, attributes;
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    uint16_t intercept_cr_read, intercept_cr_write;
    uint32_t intercept_dr; /* reads in the lower half, writes in the upper */
    uint32_t intercept_exceptions;
    uint32_t intercept1, intercept2, intercept3;
    uint8_t reserved0[0x3c - 0x18];
    uint16_t pause_filter_threshold, pause_filter_count;
    uint64_t iopm_base, msrpm_base;
    uint64_t tsc_offset;
    uint32_t asid;
    uint8_t tlb_control;
    uint8_t reserved1[3];
    uint64_t interrupt_control;
    uint64_t interrupt_shadow;
    uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
    uint64_t nested_control;
    uint64_t avic_bar, ghcb;
    uint64_t event_injection;
    uint64_t nested_cr3;
    uint64_t lbr_control;
    uint64_t clean;
    uint64_t next_rip;
    uint8_t fetched, instruction[15];
    uint8_t reserved2[0x400 - 0xe0];

    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved3[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved4;
    uint64_t efer;
    uint8_t reserved5[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved6[0x5d8 - 0x580];
    uint64_t rsp, s_cet, ssp, isst, rax;
    uint64_t star, lstar, cstar, syscall_mask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved7[0x668 - 0x648];
    uint64_t pat, debugctl;
    uint8_t reserved8[0x1000 - 0x678];
};
_Static_assert(offsetof(struct vmcb, pause_filter_threshold) == 0x03c, "APM B-1");
_Static_assert(offsetof(struct vmcb, asid) == 0x058, "APM B-1");
_Static_assert(offsetof(struct vmcb, interrupt_control) == 0x060, "APM B-1");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x070, "APM B-1");
_Static_assert(offsetof(struct vmcb, nested_control) == 0x090, "APM B-1");
_Static_assert(offsetof(struct vmcb, event_injection) == 0x0a8, "APM B-1");
_Static_assert(offsetof(struct vmcb, clean) == 0x0c0, "APM B-1");
_Static_assert(offsetof(struct vmcb, instruction) == 0x0d1, "APM B-1");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "APM B-2");
_Static_assert(offsetof(struct vmcb, tr) == 0x490, "APM B-2");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "APM B-2");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "APM B-2");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "APM B-2");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "APM B-2");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM B-2");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "APM B-2");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "APM B-2");
_Static_assert(sizeof(struct vmcb) == 0x1000, "one page");

/* intercept1 */
#define INTERCEPT_INTR     (1u << 0)
#define INTERCEPT_NMI      (1u << 1)
#define INTERCEPT_SMI      (1u << 2)
#define INTERCEPT_INIT     (1u << 3)
#define INTERCEPT_VINTR    (1u << 4)
#define INTERCEPT_RDPMC    (1u << 15)
#define INTERCEPT_CPUID    (1u << 18)
#define INTERCEPT_IRET     (1u << 20)
#define INTERCEPT_INVD     (1u << 22)
#define INTERCEPT_PAUSE    (1u << 23)
#define INTERCEPT_HLT      (1u << 24)
#define INTERCEPT_INVLPGA  (1u << 26)
#define INTERCEPT_IOIO     (1u << 27)
#define INTERCEPT_MSR      (1u << 28)
#define INTERCEPT_SHUTDOWN (1u << 31)
/* intercept2 */
#define INTERCEPT_VMRUN   (1u << 0)
#define INTERCEPT_VMMCALL (1u << 1)
#define INTERCEPT_VMLOAD  (1u << 2)
#define INTERCEPT_VMSAVE  (1u << 3)
#define INTERCEPT_STGI    (1u << 4)
#define INTERCEPT_CLGI    (1u << 5)
#define INTERCEPT_SKINIT  (1u << 6)
#define INTERCEPT_WBINVD  (1u << 9)
#define INTERCEPT_MONITOR (1u << 10)
#define INTERCEPT_MWAIT   (1u << 11)
#define INTERCEPT_XSETBV  (1u << 13)
#define INTERCEPT_RDPRU   (1u << 14)
/* intercept3 */
#define INTERCEPT_INVLPGB (1u << 0)
#define INTERCEPT_MCOMMIT (1u << 3)
#define INTERCEPT_TLBSYNC (1u << 4)

/* interrupt_control */
#define V_IRQ          (1ull << 8)
#define V_PRIORITY_MAX (15ull << 16)
#define V_IGNORE_TPR   (1ull << 20)
#define V_INTR_MASKING (1ull << 24)
#define V_VECTOR_SHIFT 32
#define V_VECTOR(n)    ((uint64_t)(n) << V_VECTOR_SHIFT)

#define TLB_FLUSH_NONE 0
#define TLB_FLUSH_ALL  1

/* event_injection and exit_int_info */
#define EVENT_VALID         (1ull << 31)
#define EVENT_HAS_ERROR     (1ull << 11)
#define EVENT_VECTOR(event) ((uint8_t)(event))
#define EVENT_TYPE(event)   ((unsigned)((event) >> 8) & 7)

#define NESTED_PAGING 1ull

/* clean: what the processor may keep from the last exit */
#define CLEAN_INTERCEPTS (1u << 0)
#define CLEAN_MAPS       (1u << 1)
#define CLEAN_ASID       (1u << 2)
#define CLEAN_INTERRUPT  (1u << 3)
#define CLEAN_NESTED     (1u << 4)
#define CLEAN_CR         (1u << 5)
#define CLEAN_DR         (1u << 6)
#define CLEAN_TABLES     (1u << 7)
#define CLEAN_SEGMENTS   (1u << 8)
#define CLEAN_CR2        (1u << 9)
#define CLEAN_ALL        0xffffffffull

enum svm_exit {
    SVM_EXIT_CR_READ = 0x000,
    SVM_EXIT_CR_WRITE = 0x010,
    SVM_EXIT_DR_READ = 0x020,
    SVM_EXIT_DR_LAST = 0x03f,
    SVM_EXIT_EXCEPTION = 0x040,
    SVM_EXIT_EXCEPTION_LAST = 0x05f,
    SVM_EXIT_INTR = 0x060,
    SVM_EXIT_NMI = 0x061,
    SVM_EXIT_SMI = 0x062,
    SVM_EXIT_INIT = 0x063,
    SVM_EXIT_VINTR = 0x064,
    SVM_EXIT_RDPMC = 0x06f,
    SVM_EXIT_CPUID = 0x072,
    SVM_EXIT_IRET = 0x074,
    SVM_EXIT_INVD = 0x076,
    SVM_EXIT_PAUSE = 0x077,
    SVM_EXIT_HLT = 0x078,
    SVM_EXIT_INVLPGA = 0x07a,
    SVM_EXIT_IOIO = 0x07b,
    SVM_EXIT_MSR = 0x07c,
    SVM_EXIT_SHUTDOWN = 0x07f,
    SVM_EXIT_VMRUN = 0x080,
    SVM_EXIT_VMMCALL = 0x081,
    SVM_EXIT_VMLOAD = 0x082,
    SVM_EXIT_SKINIT = 0x086,
    SVM_EXIT_WBINVD = 0x089,
    SVM_EXIT_MONITOR = 0x08a,
    SVM_EXIT_MWAIT_CONDITIONAL = 0x08c,
    SVM_EXIT_XSETBV = 0x08d,
    SVM_EXIT_RDPRU = 0x08e,
    SVM_EXIT_INVLPGB = 0x0a0,
    SVM_EXIT_TLBSYNC = 0x0a4,
    SVM_EXIT_NPF = 0x400,
};
#define SVM_EXIT_INVALID (~0ull)

#endif
