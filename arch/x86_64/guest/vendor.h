/*
 * The seam between what all x86 guests need (arch/x86_64/guest) and the two ways processors run them
 * (vmx: Intel SDM vol. 3, chapters 24-30; svm: AMD APM vol. 2, chapter 15).
 *
 * One constant table, vendor, is chosen at boot. Each entry into the guest comes back with a struct
 * vmexit in neutral terms; guest/exit.c acts on it. Interrupts are off throughout.
 */
#ifndef X86_GUEST_VENDOR_H
#define X86_GUEST_VENDOR_H

#include <hv/types.h>

struct vcpu;
struct domain;
struct arch_vcpu;

/* What made the guest stop. */
enum exit_reason {
    EXIT_HANDLED,   /* the vendor code dealt with it (e.g. its own TLB or window bookkeeping): enter again */
    EXIT_INTERRUPT, /* an interrupt for the host waits: open the window (sti; nop; cli) */
    EXIT_NMI,       /* an NMI for the host (already delivered by the vendor code where hardware wants that) */
    EXIT_HYPERCALL, /* VMCALL or VMMCALL in 64-bit code at CPL 0 */
    EXIT_HYPERCALL_ODD, /* elsewhere: cpl; 0 is 32-bit code */
    EXIT_CPUID,
    EXIT_RDMSR,
    EXIT_WRMSR,
    EXIT_HLT,
    EXIT_IO,        /* io_* below */
    EXIT_P2M_FAULT, /* nested page fault or EPT violation/misconfiguration: gpa, access, gva */
    EXIT_CR_ACCESS, /* only if cr_* could be decoded by hardware; otherwise EXIT_EMULATE */
    EXIT_EMULATE,   /* look at the instruction itself (guest/emulate.c) */
    EXIT_EXCEPTION, /* intercepted exception: vector, error_code (#DB, #BP, #AC, #MC, #UD as configured) */
    EXIT_INTERRUPT_WINDOW, /* the guest can take the interrupt that waits */
    EXIT_TRIPLE_FAULT,
    EXIT_INIT_STATE, /* the hardware refused the guest's state: the domain is crashed */
    EXIT_XSETBV,
    EXIT_DR_ACCESS, /* the guest's first use of debug registers since it came onto this CPU: load them, run it
                       again */
    EXIT_INVALID_OP, /* an instruction that this guest does not have (VMX/SVM, MONITOR, INVD ...): inject #UD
                      */
    EXIT_WBINVD,
    EXIT_PAUSE,   /* the guest spins: let others run; RIP still shows the PAUSE */
    EXIT_RDTSC,   /* only when TSC is emulated; rdtscp says which */
    EXIT_UNKNOWN, /* code: the vendor's number, for the crash line */
};

struct vmexit {
    enum exit_reason reason;
    uint64_t code; /* the vendor's own exit number; right for EXIT_INIT_STATE and EXIT_UNKNOWN */
    /* Of the instruction that exited; right for EXIT_HYPERCALL(_ODD), CPUID, RDMSR, WRMSR, HLT, IO, XSETBV,
     * WBINVD, RDTSC, CR_ACCESS. */
    uint8_t instruction_length;
    uint8_t cpl; /* EXIT_HYPERCALL_ODD and EXIT_XSETBV only */
    uint8_t vector;
    bool has_error_code;
    uint32_t error_code;
    struct {
        gpa_t gpa;
        bool read, write, fetch;
        bool during_walk; /* the fault was on the guest's own page tables */
    } fault;
    struct {
        uint16_t port;
        uint8_t size; /* 1, 2, 4 */
        bool in, string, rep;
    } io;
    struct {
        uint8_t cr, gpr;
        bool write;
        bool clts, lmsw;
        uint16_t lmsw_value;
    } cr;
};

/* General registers, in the order that instruction encodings number them. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPRS };

enum segment_name { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_TR, SEG_LDTR, SEGMENTS };

/* access: the descriptor's access byte and flags as bits 0-7 type/S/DPL/P, 8-11 AVL/L/DB/G (APM's packed
 * form). */
struct segment {
    uint16_t selector;
    uint16_t access;
    uint32_t limit;
    uint64_t base;
};
#define SEGMENT_CONFORMING 0x004 /* of code; runs at the caller's CPL */
#define SEGMENT_DPL        0x060
#define SEGMENT_P          0x080
#define SEGMENT_L          0x200
#define SEGMENT_DB         0x400

enum table_name { TABLE_GDTR, TABLE_IDTR };

/* How an event enters the guest (the encoding that both vendors share). */
enum event_type {
    EVENT_INTERRUPT = 0,
    EVENT_NONE = 1, /* what waits for the next entry is forgotten, NMIs are unblocked (INIT) */
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,
    EVENT_SOFTWARE_INT = 4,
};

/* What the guest believes it has; the vendor code adds what the hardware needs (NE, VMXE, SVME, PG shadows).
 */
enum guest_register { REG_CR0, REG_CR2, REG_CR3, REG_CR4, REG_EFER, REG_DR6, REG_DR7, REG_PAT };

#define NO_ROOT (~0ull) /* no CR3 is */

struct vendor_ops {
    const char *name; /* "VMX" or "SVM" */

    /* NULL: usable; otherwise what is missing, for the boot message. Boot CPU only. */
    const char *(*probe)(void);
    void (*cpu_enable)(void); /* on each CPU */

    int (*vcpu_create)(struct vcpu *v); /* 0 or -ENOMEM; registers as after INIT */
    void (*vcpu_free)(struct vcpu *v);
    void (*switch_in)(struct vcpu *v); /* load VMCS / per-CPU VMCB state, TLB bookkeeping for a new CPU */
    void (*switch_out)(struct vcpu *v);

    /* Runs v until this CPU has softirqs pending: guest/loop.h around one entry and exit, before and after
     * which v->arch's gpr, rip, rflags are exact. */
    void (*run)(struct vcpu *v);

    void (*get_segment)(const struct vcpu *v, enum segment_name which, struct segment *segment);
    void (*set_segment)(struct vcpu *v, enum segment_name which, const struct segment *segment);
    void (*get_table)(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit);
    void (*set_table)(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit);
    uint64_t (*get_register)(const struct vcpu *v, enum guest_register which);
    /* CR3 of the current vCPU, in short; NO_ROOT when it is not in long mode. */
    uint64_t (*long_mode_root)(const struct vcpu *v);
    void (*set_register)(struct vcpu *v, enum guest_register which,
                         uint64_t value); /* value already checked */
    /* MSRs that the hardware switches with the guest (SYSENTER, STAR.., FS/GS base, KERNEL_GS_BASE,
     * DEBUGCTL): false: not one. */
    bool (*get_msr)(const struct vcpu *v, uint32_t index, uint64_t *value);
    bool (*set_msr)(struct vcpu *v, uint32_t index, uint64_t value);

    /*
     * The event enters at the next run(). At most one per entry: v->arch->event_queued is set here, and by
     * run() when it will itself inject again what the exit interrupted; run() clears it on entry.
     */
    void (*inject)(struct vcpu *v, enum event_type type, uint8_t vector, bool has_error_code,
                   uint32_t error_code);
    /* RFLAGS.IF (for an NMI: no NMI is being handled) and no STI/MOV SS shadow. A shadow ends when software
     * moved RIP. */
    bool (*interruptible)(const struct vcpu *v, bool nmi);
    /* Exit (EXIT_INTERRUPT_WINDOW) as soon as it is interruptible; v->arch->window_wanted tells what was
     * asked for last. */
    void (*want_window)(struct vcpu *v, bool on);

    void (*flush_tlb)(
        struct vcpu *v); /* all of v's guest translations, at its next entry (guest's CR3, PCID ...) */
    void (*set_tsc_offset)(struct vcpu *v, uint64_t offset);
};

extern const struct vendor_ops *vendor; /* chosen by arch_virt_init() */
extern const struct vendor_ops vmx_ops, svm_ops;

#endif
