/*
 * Domains and their vCPUs: the two objects that everything hangs on.
 *
 * Life: domain_create -> vcpu_create ... -> unpaused -> (shutdown) -> domain_kill, which works in steps ->
 * last reference dropped -> freed after an RCU grace period. domain_find() needs no lock and takes no
 * reference: the pointer is good until this CPU next enters a guest or idles. Keep it longer:
 * domain_get()/domain_put().
 */
#ifndef HV_DOMAIN_H
#define HV_DOMAIN_H

#include <hv/cpu.h>
#include <hv/list.h>
#include <hv/lock.h>
#include <hv/rcu.h>
#include <hv/timer.h>
#include <hv/types.h>
#include <xen/xen.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define MAX_VCPUS 128 /* per domain, as HVM_MAX_VCPUS of Xen */

struct arch_domain;
struct arch_vcpu;
struct evtchn_domain;
struct gnttab;

/* What XENMEM_memory_map hands out (E820, ACPI 15.2); the public headers name no type for it. */
struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __attribute__((packed));
#define MEMORY_MAP_MAX (PAGE_SIZE / sizeof(struct e820_entry)) /* entries; firmware gives tens */

struct vcpu {
    uint32_t id;
    struct domain *domain;
    struct arch_vcpu *arch;

    /* --- scheduling: LOCK_SCHED of cpu's run queue unless said otherwise ------------------------------- */
    struct cpu *cpu;       /* where it runs or would run next */
    volatile bool running; /* some CPU's current */
    bool queued;
    bool urgent;          /* it slept, and had less than its share before: goes ahead of those that compute */
    bool initialised;     /* has registers to start from: VCPUOP_initialise, HVM context, SIPI. LOCK_DOMAIN */
    uint32_t stopped;     /* VCPU_*, atomic */
    uint32_t pause_count; /* LOCK_DOMAIN of domain */
    struct list ready_link;
    uint64_t affinity;      /* CPUs it may run on, bit per CPU */
    uint64_t soft_affinity; /* CPUs it would rather run on */
    uint64_t pin;           /* SCHEDOP_pin_override: stands in for affinity while not 0 */
    uint64_t vtime;         /* ns that it ran, scaled by weight: the least goes first (hv/sched.c) */
    ns_t charged;           /* up to when vtime counts; while it runs */

    /* --- time and run state, changed by the scheduler on the CPU concerned ------------------------------- */
    struct vcpu_runstate_info runstate;
    gva_t runstate_area; /* the guest's copy, 0: none (VCPUOP_register_runstate_memory_area) */
    gva_t time_area; /* a second copy of vcpu_time_info, 0: none (VCPUOP_register_vcpu_time_memory_area) */
    struct timer singleshot; /* VCPUOP_set_singleshot_timer, set_timer_op */
    struct timer periodic;
    ns_t period;       /* of the periodic timer, 0: off; with ticked under LOCK_SCHED */
    ns_t ticked;       /* when it last fired */
    struct timer poll; /* SCHEDOP_poll's timeout */

    /* --- events ---------------------------------------------------------------------------------------------- */
    struct vcpu_info
        private_info;       /* info of vCPUs over LEGACY_MAX_VCPUS until they register one, and after death */
    struct vcpu_info *info; /* where the guest sees it: in shared_info or registered, hypervisor-mapped */
    mfn_t info_mfn;         /* the frame held for a registered info; INVALID_MFN: in shared_info */
    evtchn_port_t virq_port[NR_VIRQS]; /* 0: unbound. LOCK_EVTCHN */
    evtchn_port_t poll_port;           /* what SCHEDOP_poll waits for; 0: several ports */
    bool polling;                      /* atomic */
    struct evtchn_fifo_vcpu *fifo;
};

struct domain {
    domid_t id;
    bool privileged;  /* may use the control hypercalls: dom0 */
    bool first_of_id; /* no earlier domain had this id: free frames marked with it hold its own data */
    uint32_t refs;    /* atomic */
    struct rcu_head rcu;
    spinlock_t lock; /* LOCK_DOMAIN */
    xen_domain_handle_t handle;
    uint64_t unique_id; /* no other domain since boot has it */
    struct xen_domctl_createdomain *config; /* as it was created */

    struct vcpu **vcpu; /* [0 .. max_vcpus), NULL where not created */
    uint32_t max_vcpus;
    uint32_t pause_count;     /* LOCK_DOMAIN */
    uint32_t control_pauses;  /* DOMCTL_pausedomain; those that are in pause_count; LOCK_DOMCTL, or boot */
    bool shut_down;           /* LOCK_DOMAIN; VCPU_DOMAIN is set on all its vCPUs */
    uint8_t shutdown_code;    /* SHUTDOWN_*, valid when shut_down or fixed */
    bool shutdown_code_fixed; /* SCHEDOP_shutdown_code said beforehand what it will be; LOCK_DOMAIN */
    uint16_t sched_weight;    /* share of CPU time that its vCPUs get, each; hv/sched.h */
    uint32_t sched_cap; /* percent of a CPU that they get together; 0: any. LOCK_DOMCTL (hv/sched_cap.c) */
    ns_t cap_since;     /* when the cap was set */
    ns_t cap_until;     /* what they ran is allowed for by then; atomic */
    struct timer cap_timer; /* lets them run again; fn NULL: never had a cap */
    volatile uint8_t dying; /* enum domain_dying; only rises */
    uint32_t kill_step;     /* how far domain_kill has come; LOCK_DOMCTL */

    /* --- memory ------------------------------------------------------------------------------------------------ */
    uint32_t total_pages;            /* frames owned, atomic */
    uint32_t max_pages;              /* limit of total_pages */
    uint32_t claimed_pages;          /* free frames kept for it (frames_claim); LOCK_FRAME */
    struct shared_info *shared_info; /* page_alloc_shared */
    gfn_t shared_info_gfn;           /* where the guest put it, INVALID_GFN: nowhere; LOCK_DOMAIN */
    struct e820_entry *memory_map;   /* XENMEM_set_memory_map; heap_alloc; LOCK_DOMAIN */
    uint32_t memory_map_entries;

    struct evtchn_domain *evtchn;
    struct gnttab *gnttab;
    uint64_t hvm_param[HVM_NR_PARAMS]; /* LOCK_DOMAIN for changes */
    struct timer watchdog[2];
    uint32_t watchdog_in_use; /* bit per watchdog; LOCK_DOMAIN */
    uint64_t mempool_size; /* DOMCTL_set_paging_mempool_size: noted; page tables are bounded by max_pages */
    int64_t time_offset;   /* seconds added to the wall clock */
    uint64_t vm_assist;
    struct arch_domain *arch;

    /* text written to port 0xE9 or console_io by an unprivileged guest, until its newline */
    char console_line[128];
    uint32_t console_length;
};

enum domain_dying { DOMAIN_ALIVE, DOMAIN_DYING, DOMAIN_DEAD };

extern struct domain *dom0;

static inline bool vcpu_is_idle(const struct vcpu *v)
{
    return v->domain == &idle_domain;
}

/* The domain with that id, DOMID_SELF included; NULL. */
struct domain *domain_find(domid_t id);
/* Whom an operation names: the current domain, or for a privileged one any other. 0, -ESRCH, -EPERM. */
int domain_find_target(domid_t id, struct domain **out);
/* The next domain with id >= first, NULL past the last. RCU as domain_find. */
struct domain *domain_next(domid_t first);
/*
 * The least id of those whose domain came, shut down or went since this was last said of it; DOMID_INVALID:
 * none. The domain may be gone, or another by now. Of all but a coming dom0 hears VIRQ_DOM_EXC after it is
 * noted.
 */
domid_t domain_take_changed(void);
/* One more reference; false when the domain is already being freed. */
bool domain_get(struct domain *d);
void domain_put(struct domain *d);

/* What a toolstack pauses it also unpauses: -EINVAL when it did not. -EOVERFLOW: too often. LOCK_DOMCTL, or
 * boot. */
int domain_control_pause(struct domain *d);
int domain_control_unpause(struct domain *d);

/* id DOMID_INVALID: the next free one. *out is paused once by the control side. 0, -ENOMEM, -EEXIST, -EINVAL.
 */
struct xen_domctl_createdomain;
int domain_create(domid_t id, const struct xen_domctl_createdomain *config, bool privileged,
                  struct domain **out);
/* 0, -EEXIST, -EINVAL, -ENOMEM. */
int vcpu_create(struct domain *d, uint32_t id);

/* The guest asked, or crashed: all its vCPUs stop, dom0 hears VIRQ_DOM_EXC; dom0's own takes the machine
 * along. */
void domain_shutdown(struct domain *d, uint8_t code);
/* DOMCTL_resumedomain: a domain that shut down (suspended) goes on. */
void domain_resume(struct domain *d);
/* From a guest's impossible act: one line with vCPU, rip and why, then SHUTDOWN_crash. */
void domain_crash(struct domain *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A bounded step of destruction; HYPERCALL_RESTART until it is done, then 0. LOCK_DOMCTL held. */
int64_t domain_kill(struct domain *d);

/* Prints one line per domain and vCPU (debug key q). */
void domain_dump(void);

/*
 * vcpu_info where the guest can find it: moves a vCPU's info into gfn at offset (VCPUOP_register_vcpu_info).
 * v is current or down. -ENXIO: bad offset; -EINVAL: registered before, v runs, or no writable RAM there.
 */
int vcpu_register_info(struct vcpu *v, gfn_t gfn, uint32_t offset);
/* Back to the info that nobody sees, when the domain is dead and no CPU can still write to the old one. */
void vcpu_release_info(struct vcpu *v);
/* With the domain, after its last reference. */
void vcpu_free(struct vcpu *v);

/* True when v has an upcall that is to be injected. */
static inline bool vcpu_upcall_pending(const struct vcpu *v)
{
    return READ_ONCE(v->info->evtchn_upcall_pending);
}

static inline struct vcpu *domain_vcpu(const struct domain *d, uint32_t id)
{
    return id < d->max_vcpus ? __atomic_load_n(&d->vcpu[index_nospec(id, d->max_vcpus)], __ATOMIC_ACQUIRE)
                             : NULL;
}

#endif
