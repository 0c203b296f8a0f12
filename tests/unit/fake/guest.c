/* Fake guests: domains, their memory and what the processor would do for them (fake.h). */
#include <stdlib.h>
#include <string.h>
#include <hv/arch/guest_access.h>
#include <hv/arch/vcpu.h>
#include <hv/console.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/gnttab.h>
#include <hv/hypercall.h>
#include <hv/panic.h>
#include <xen/domctl.h>
#include "fake.h"

__attribute__((aligned(4096))) char fake_guest[FAKE_GUEST_SIZE];

/* --- guest memory --------------------------------------------------------------------------------------- */

static char *in_guest(gva_t address, size_t size)
{
    uint64_t offset = address.v - (uint64_t)(uintptr_t)fake_guest;
    return size <= FAKE_GUEST_SIZE && offset <= FAKE_GUEST_SIZE - size ? fake_guest + offset : NULL;
}

int copy_from_guest(void *to, gva_t from, size_t size)
{
    const char *p = in_guest(from, size);
    if (!p)
        return size ? -XEN_EFAULT : 0;
    memcpy(to, p, size);
    return 0;
}

int copy_to_guest(gva_t to, const void *from, size_t size)
{
    char *p = in_guest(to, size);
    if (!p)
        return size ? -XEN_EFAULT : 0;
    memcpy(p, from, size);
    return 0;
}

int clear_guest(gva_t to, size_t size)
{
    char *p = in_guest(to, size);
    if (!p)
        return size ? -XEN_EFAULT : 0;
    memset(p, 0, size);
    return 0;
}

static char *in_gpa(struct domain *d, gpa_t gpa, size_t *size, bool writable)
{
    size_t rest = PAGE_SIZE - gpa.v % PAGE_SIZE;
    *size = *size < rest ? *size : rest;
    struct p2m_entry entry = p2m_lookup(d, gpa_to_gfn(gpa));
    bool ok = entry.type == P2M_RAM || (entry.type == P2M_RAM_RO && !writable);
    return ok ? (char *)mfn_to_virt(entry.mfn) + gpa.v % PAGE_SIZE : NULL;
}

int copy_from_gpa(struct domain *d, void *to, gpa_t from, size_t size)
{
    for (size_t n; size; size -= n, from.v += n, to = (char *)to + n) {
        n = size;
        const char *p = in_gpa(d, from, &n, false);
        if (!p)
            return -XEN_EFAULT;
        memcpy(to, p, n);
    }
    return 0;
}

int copy_to_gpa(struct domain *d, gpa_t to, const void *from, size_t size)
{
    for (size_t n; size; size -= n, to.v += n, from = (const char *)from + n) {
        n = size;
        char *p = in_gpa(d, to, &n, true);
        if (!p)
            return -XEN_EFAULT;
        memcpy(p, from, n);
    }
    return 0;
}

void *guest_page(struct domain *d, gfn_t gfn, bool writable)
{
    struct p2m_entry entry = p2m_lookup(d, gfn);
    bool ok = entry.type == P2M_RAM || (entry.type == P2M_RAM_RO && !writable);
    return ok ? mfn_to_virt(entry.mfn) : NULL;
}

void *map_guest_frame(struct domain *d, gfn_t gfn, bool writable)
{
    void *page = guest_page(d, gfn, writable);
    return page && frame_get(virt_to_mfn(page), d->id) ? page : NULL;
}

/* --- guest-physical map --------------------------------------------------------------------------------- */

struct p2m_entry p2m_lookup(struct domain *d, gfn_t gfn)
{
    return gfn.v < FAKE_MAX_GFN ? d->arch->map[gfn.v] : (struct p2m_entry){.mfn = INVALID_MFN};
}

int p2m_add(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
    uint64_t count = 1ull << order;
    if (gfn.v % count || gfn.v >= FAKE_MAX_GFN || count > FAKE_MAX_GFN - gfn.v)
        return -XEN_EINVAL;
    for (uint64_t i = 0; i < count; i++)
        if (d->arch->map[gfn.v + i].type != P2M_NONE)
            return -XEN_EEXIST;
    for (uint64_t i = 0; i < count; i++)
        d->arch->map[gfn.v + i] = (struct p2m_entry){.mfn = mfn_plus(mfn, i), .type = type};
    if (type == P2M_RAM) /* a processor that does not tell what it writes to */
        frames_dirty(mfn, count);
    return 0;
}

int p2m_remove_noflush(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old)
{
    if (gfn.v >= FAKE_MAX_GFN || d->arch->map[gfn.v].type == P2M_NONE)
        return -XEN_ENOENT;
    *old = d->arch->map[gfn.v];
    if (!(types & P2M_BIT(old->type)))
        return -XEN_EBUSY;
    d->arch->map[gfn.v] = (struct p2m_entry){.mfn = INVALID_MFN};
    return 0;
}

int p2m_remove(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old)
{
    return p2m_remove_noflush(d, gfn, types, old);
}

void p2m_flush(struct domain *d)
{
    (void)d;
}

gfn_t p2m_max_gfn(const struct domain *d)
{
    uint64_t gfn = FAKE_MAX_GFN - 1;
    while (gfn && d->arch->map[gfn].type == P2M_NONE)
        gfn--;
    return GFN(gfn);
}

uint64_t p2m_table_pages(const struct domain *d)
{
    (void)d;
    return 0;
}

int64_t p2m_domain_kill(struct domain *d)
{
    struct p2m_entry old;
    for (uint64_t gfn = 0; gfn < FAKE_MAX_GFN; gfn++)
        if (!p2m_remove(d, GFN(gfn), ~0u, &old) && old.type != P2M_DEVICE)
            frame_put(old.mfn);
    return 0;
}

/* --- the processor's side of domains and vCPUs ---------------------------------------------------------- */

int arch_domain_check(const struct xen_domctl_createdomain *config)
{
    (void)config;
    return 0;
}

int arch_domain_create(struct domain *d)
{
    d->arch = calloc(1, sizeof(*d->arch));
    for (uint64_t gfn = 0; gfn < FAKE_MAX_GFN; gfn++)
        d->arch->map[gfn].mfn = INVALID_MFN;
    return 0;
}

void arch_domain_free(struct domain *d)
{
    free(d->arch);
    d->arch = NULL;
}

int arch_vcpu_create(struct vcpu *v)
{
    v->arch = calloc(1, sizeof(*v->arch));
    return 0;
}

void arch_vcpu_free(struct vcpu *v)
{
    free(v->arch);
}

int arch_vcpu_initialise(struct vcpu *v, const struct vcpu_hvm_context *context)
{
    (void)v, (void)context;
    return 0;
}

void arch_send_nmi(struct vcpu *v)
{
    v->arch->nmis++;
}

void arch_switch_in(struct vcpu *v)
{
    v->arch->switches++;
}

void arch_switch_out(struct vcpu *v)
{
    (void)v;
}

void arch_upcall(struct vcpu *v)
{
    __atomic_fetch_add(&v->arch->upcalls, 1, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
}

__attribute__((weak)) int arch_set_upcall_vector(struct vcpu *v, uint32_t vector)
{
    (void)v;
    return vector < 16 || vector > 255 ? -XEN_EINVAL : 0;
}

__attribute__((weak)) int arch_set_callback_via(struct domain *d, uint64_t via)
{
    (void)d, (void)via;
    return 0;
}

bool arch_event_pending(const struct vcpu *v)
{
    return !v->arch->interrupts_off && vcpu_upcall_pending(v);
}

void arch_update_time_info(struct vcpu *v)
{
    (void)v;
}

void arch_update_wallclock(struct domain *d)
{
    (void)d;
}

uint64_t arch_vcpu_rip(const struct vcpu *v)
{
    (void)v;
    return 0;
}

void arch_vcpu_dump(struct vcpu *v)
{
    (void)v;
}

const char *arch_capabilities(void)
{
    return "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_64";
}

/* --- for tests ------------------------------------------------------------------------------------------ */

struct domain *fake_domain(unsigned vcpus, bool privileged)
{
    struct xen_domctl_createdomain config = {
        .max_vcpus = vcpus,
        .max_evtchn_port = UINT32_MAX,
        .max_grant_frames = 4,
        .max_maptrack_frames = 4,
        .grant_opts = 1,
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
    };
    struct domain *d = NULL;
    if (domain_create(privileged && !dom0 ? 0 : DOMID_INVALID, &config, privileged, &d))
        panic("no domain");
    d->max_pages = UINT32_MAX;
    if (privileged && !dom0)
        dom0 = d;
    for (unsigned i = 0; i < vcpus; i++) {
        if (vcpu_create(d, i))
            panic("no vCPU");
        d->vcpu[i]->initialised = true;
        vcpu_wake(d->vcpu[i], VCPU_DOWN);
    }
    domain_control_unpause(d);
    return d;
}

void fake_destroy(struct domain *d)
{
    bool first = d == dom0;
    while (domain_kill(d) == HYPERCALL_RESTART)
        fake_settle();
    if (first)
        dom0 = NULL;
    fake_settle();
}

void *fake_page(struct domain *d, uint64_t gfn)
{
    mfn_t mfn = frame_alloc(d, 0, ALLOC_ANY);
    if (!mfn_valid_value(mfn) || p2m_add(d, GFN(gfn), mfn, 0, P2M_RAM))
        panic("no page at gfn %lu", gfn);
    return mfn_to_virt(mfn);
}

int64_t fake_hypercall(struct vcpu *v, unsigned number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    uint64_t arg[6] = {a0, a1, a2, a3};
    for (;;) {
        struct cpu *cpu = this_cpu();
        struct vcpu *was = cpu->current_vcpu;
        cpu->current_vcpu = v;
        int64_t result = hypercall(number, arg);
        cpu->current_vcpu = was;
        if (result != HYPERCALL_RESTART)
            return result;
    }
}
