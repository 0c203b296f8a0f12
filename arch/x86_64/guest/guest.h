/*
 * The x86 state of domains and vCPUs, shared by everything under arch/x86_64/guest and by vmx/ and svm/.
 *
 * A vCPU's state is touched only by the CPU that runs it, or while it is not running (vcpu_is_running() is
 * false), but for what is marked atomic.
 */
#ifndef X86_GUEST_GUEST_H
#define X86_GUEST_GUEST_H

#include <hv/arch/p2m.h>
#include <hv/domain.h>
#include "p2m_format.h"
#include "vendor.h"

struct vmcb;
struct vlapic;
struct xsave_area;
struct cpuid_table;
/* A guest-physical page, of its own domain or another, that v used of late. Good in epoch, and as long as its
 * entry in the p2m stays the same. */
struct gfn_cache_entry {
    uint64_t map; /* p2m_serial of the domain; 0: empty */
    uint64_t gfn;
    uint64_t epoch;
    struct p2m_slot slot;
    char *page;
    bool writable;
    bool own; /* RAM of the domain's */
};
#define GFN_CACHE_SIZE     8
#define FOREIGN_CACHE_SIZE 4

/* A page of the guest's linear memory and the way through its page tables that leads there
 * (guest/known_page.h). */
#define KNOWN_PAGE_LEVELS 4
struct known_page {
    uint64_t page;       /* linear address >> 12 */
    uint64_t cr3, epoch; /* epoch 0: none */
    uint64_t entries;    /* arch_vcpu's when it was last compared */
    const uint64_t *entry[KNOWN_PAGE_LEVELS];
    uint64_t value[KNOWN_PAGE_LEVELS];
    struct p2m_slot backing[KNOWN_PAGE_LEVELS + 1]; /* of the page and its tables */
    char *data;
    bool writable; /* by a kernel, and marked dirty already */
};
#define KNOWN_PAGES 8

struct arch_vcpu {
    /* Registers; the entry stubs reach them by generated offsets. */
    uint64_t gpr[GPRS]; /* RSP and RAX too: the vendor code moves them in and out */
    uint64_t rip, rflags;
    struct vcpu *vcpu;

    /* Vendor's own. */
    union {
        struct {
            struct vmcb *vmcb;
            maddr_t vmcb_maddr;
            uint64_t asid_generation; /* of asid_cpu's counter; 0: needs a new ASID */
            struct cpu *asid_cpu;
            uint64_t exit_rip;      /* RIP of the last exit, to see that software moved it */
            struct known_page code; /* that exited last */
            uint64_t real_control;  /* of the VMCB, while a virtual interrupt takes their place */
            uint32_t real_intercepts;
            bool nmi_masked; /* from an NMI's injection to the guest's IRET */
        } svm;
        struct {
            void *vmcs;
            maddr_t vmcs_maddr;
            struct cpu *loaded_on; /* the CPU on which the VMCS is current; NULL: it lies in memory */
            struct cpu *last_cpu;  /* whose host state is in it */
            uint64_t host_rsp;     /* HOST_RSP in it */
            uint8_t work;          /* VMX_*: what the next entry has to do first */
            uint32_t controls;     /* primary, as in the VMCS */
            uint32_t entry_event, entry_error;        /* for the next entry; 0: none */
            uint64_t exit_rip, exit_rflags, exit_rsp; /* as in the VMCS since the last exit */
            uint64_t cr0, cr4, efer; /* what the guest believes; of CR0 and CR4 the masked bits count */
            uint64_t cr2, dr6;       /* while they are not in the CPU */
            uint64_t msr[5];         /* likewise (vmx_live_msr) */
        } vmx;
    };
    uint64_t hypercall_arg[6]; /* of the hypercall that is being carried out */
    uint64_t tlb_seen;  /* domain's tlb_epoch when this vCPU's hardware translations were last flushed */
    bool event_queued;  /* the next entry injects something already */
    bool window_wanted; /* vendor->want_window() */

    /* Vendor-neutral state that the hardware does not hold. */
    uint64_t dr[4];
    bool dr_loaded; /* DR0-3 are in the registers; otherwise in dr[], and the guest's use of them exits */
    bool dr_armed;  /* while not loaded: DR7 has breakpoints on */
    uint64_t xcr0;
    struct xsave_area *xsave_area; /* FPU state while not loaded */
    struct cpu *fpu_cpu; /* whose registers may still hold it, if that CPU's fpu_owner is this vCPU */
    uint64_t tsc_offset, tsc_adjust, tsc_aux;
    uint64_t spec_ctrl;
    uint64_t pat, mtrr_def_type, mtrr_fixed[11], mtrr_variable[16];
    uint64_t apic_base, misc_enable;
    uint8_t upcall_vector; /* HVMOP_set_evtchn_upcall_vector, 0: none */
    union {
        struct {
            union {
                struct {
                    volatile bool init_pending, sipi_pending; /* atomic: set by other vCPUs' ICR writes */
                    bool wait_for_sipi;                       /* after INIT: only a SIPI starts it */
                    bool nmi_pending;
                };
                volatile uint32_t start_flags; /* nonzero: any of these */
            };
            /* A bit for each of the eight words of the local APIC's IRR that may be nonzero; set after the
             * word, so that the vCPU that sees it finds the vector. Atomic. */
            uint32_t irr_words;
        };
        volatile uint64_t attention; /* nonzero: any of these */
    };
    volatile uint8_t sipi_vector;
    struct vlapic *vlapic;

    /* Translations used by guest memory accesses. */
    uint64_t
        entries; /* into the guest. Until the next, what was seen of its page tables counts: as in a TLB */
    struct gfn_cache_entry gfn_cache[GFN_CACHE_SIZE];
    struct gfn_cache_entry foreign_cache[FOREIGN_CACHE_SIZE]; /* pages of other domains, by grants */
    struct known_page known[KNOWN_PAGES];                     /* where hypercall arguments were of late */
};

struct arch_domain {
    /* p2m: guest/p2m.c */
    spinlock_t p2m_lock; /* LOCK_P2M */
    void *p2m_root;
    uint64_t p2m_root_entry; /* EPTP or nCR3 */
    uint64_t p2m_tables;     /* pages in use */
    gfn_t p2m_highest;       /* that was ever mapped */
    gfn_t p2m_last;          /* that was ever to be mapped: behind it there are no tables */
    uint64_t p2m_serial;     /* from 1; no other map since boot has it */
    gfn_t p2m_kill_next;
    volatile uint64_t tlb_epoch; /* rises when an entry went away; starts at 1 */

    uint8_t callback_vector; /* HVM_PARAM_CALLBACK_IRQ, 0: none */
    bool x2apic;
    /* Bit per port, set: traps. Four pages; dom0's own, or the common one that traps all. */
    uint64_t *io_bitmap;
    struct cpuid_table *cpuid; /* guest/cpuid.c */
    uint32_t pci_address;      /* port CF8 as dom0 left it */
    uint64_t tsc_base;         /* tsc offset of all vCPUs */
};

/* guest/init.c: on every CPU. */
void guest_cpu_init(void);

#endif
