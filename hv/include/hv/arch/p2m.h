/*
 * The guest-physical map of a domain: EPT (SDM vol. 3, 29.3) or nested page tables (APM vol. 2, 15.25).
 *
 * Changes are made under the domain's LOCK_P2M, taken inside these functions. Look-ups take no lock: they
 * happen in guest mode (by the hardware) or between guest_access_begin() and guest_access_end(). An entry
 * that goes away or loses rights is followed by p2m_flush(), which returns when no CPU can use the old entry
 * any more; only then is the frame's reference dropped. Entries own one reference of each frame that they map
 * (not those of type P2M_DEVICE).
 */
#ifndef HV_ARCH_P2M_H
#define HV_ARCH_P2M_H

#include <hv/types.h>
#include <hv/cpu.h>

struct domain;

enum p2m_type {
    P2M_NONE,     /* nothing there */
    P2M_RAM,      /* the domain's own frame, all rights */
    P2M_RAM_RO,   /* own frame, writes refused */
    P2M_SHARED,   /* a page of the hypervisor's that the domain may see: shared info, grant table */
    P2M_FOREIGN,  /* another domain's frame, mapped by a privileged domain */
    P2M_GRANT_RW, /* another domain's frame, mapped through a grant */
    P2M_GRANT_RO,
    P2M_DEVICE, /* registers of a device, dom0 only; uncached */
};

struct p2m_entry {
    mfn_t mfn; /* of the very gfn that was asked for */
    enum p2m_type type;
    uint32_t order; /* size of the entry that maps it */
};

int p2m_domain_init(struct domain *d); /* 0 or -ENOMEM */
/* Removes entries and frees tables, a bounded number per call: HYPERCALL_RESTART until none is left, then 0.
 */
int64_t p2m_domain_kill(struct domain *d);
void p2m_domain_free(struct domain *d);

/* Needs guest_access_begin(d) or the caller's certainty that entries cannot go away (d is stopped). */
struct p2m_entry p2m_lookup(struct domain *d, gfn_t gfn);

/*
 * Maps 2^order frames at gfn. All of them must be P2M_NONE: -EEXIST. -ENOMEM, -EINVAL (gfn beyond the guest's
 * physical address width, misaligned). The caller's references pass to the entries on success only. Larger
 * orders use larger pages where alignment permits. No flush is needed.
 */
int p2m_add(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type);

/*
 * Takes the entry at gfn out, splitting a large page when need be, and flushes. *old receives what was there;
 * its reference now belongs to the caller (who does frame_put after it did what it wants). types: bits
 * P2M_BIT(type) of what may be taken. -ENOENT: P2M_NONE; -EBUSY: another type, *old says which; -ENOMEM.
 */
#define P2M_BIT(type) (1u << (type))
int p2m_remove(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old);
/* The same for many: no flush; the caller does p2m_flush(d) before it drops any of the references. */
int p2m_remove_noflush(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old);
void p2m_flush(struct domain *d);

/* Highest gfn that was ever mapped (XENMEM_maximum_gpfn). */
gfn_t p2m_max_gfn(const struct domain *d);
uint64_t p2m_table_pages(const struct domain *d);

/*
 * Between these, this CPU may follow entries of d's map without a lock. Bounded, no lock is taken inside,
 * nothing that waits, and no nesting. use_count lets p2m_flush() see that a section ended even if a new one
 * began.
 */
static inline void guest_access_begin(struct domain *d)
{
    struct cpu *cpu = this_cpu();
    (void)__atomic_exchange_n((struct domain **)&cpu->using_p2m, d, __ATOMIC_SEQ_CST);
}
static inline void guest_access_end(void)
{
    this_cpu_var(use_count)++;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    this_cpu_var(using_p2m) = NULL;
}

#endif
