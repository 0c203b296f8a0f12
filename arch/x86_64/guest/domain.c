/*
 * What domains and vCPUs have on x86: creation, release, dump (hv/arch/vcpu.h).
 *
 * Locking: creation and release are the portable core's; nobody else sees the object then.
 */
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/debugkeys.h>
#include <hv/frame.h>
#include <hv/printk.h>
#include <hv/sched.h>
#include <x86/msr.h>
#include <xen/domctl.h>
#include <xen/errno.h>
#include "exit.h"
#include "fpu.h"
#include "vioapic.h"
#include "vlapic.h"

int arch_domain_check(const struct xen_domctl_createdomain *config)
{
    const uint32_t needed = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
    const uint32_t harmless = XEN_DOMCTL_CDF_oos_off | XEN_DOMCTL_CDF_xs_domain;
    if ((config->flags & needed) != needed || config->flags & ~(needed | harmless))
        return -XEN_EOPNOTSUPP;
    if (config->arch.emulation_flags != XEN_X86_EMU_LAPIC)
        return -XEN_EOPNOTSUPP;
    return config->arch.misc_flags & ~(uint32_t)XEN_X86_MSR_RELAXED ? -XEN_EINVAL : 0;
}

int arch_domain_create(struct domain *d)
{
    d->arch = heap_alloc(sizeof(*d->arch));
    if (!d->arch)
        return -XEN_ENOMEM;
    d->hvm_param[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;

    int error = p2m_domain_init(d);
    if (error)
        goto no_p2m;
    error = cpuid_domain_init(d);
    if (error)
        goto no_cpuid;
    error = io_domain_init(d);
    if (error)
        goto no_io;
    error = d->privileged ? vioapic_create(d) : 0;
    if (error)
        goto no_vioapic;
    arch_update_wallclock(d);
    return 0;

no_vioapic:
    io_domain_free(d);
no_io:
    cpuid_domain_free(d);
no_cpuid:
    p2m_domain_free(d);
no_p2m:
    heap_free(d->arch);
    return error;
}

void arch_domain_free(struct domain *d)
{
    io_domain_free(d);
    cpuid_domain_free(d);
    p2m_domain_free(d);
    heap_free(d->arch);
}

int arch_vcpu_create(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch = page_alloc(0); /* fpu_vcpu_create uses its end, too */
    if (!a)
        return -XEN_ENOMEM;
    a->vcpu = v;

    int error = vendor->vcpu_create(v);
    if (error)
        goto no_vendor;
    error = fpu_vcpu_create(v);
    if (error)
        goto no_fpu;
    error = vlapic_create(v);
    if (error)
        goto no_vlapic;
    msr_vcpu_init(v);
    vcpu_reset(v);
    a->wait_for_sipi = true;
    vcpu_set_tsc_offset(v, v->domain->arch->tsc_base);
    return 0;

no_vlapic:
    fpu_vcpu_free(v);
no_fpu:
    vendor->vcpu_free(v);
no_vendor:
    page_free(a, 0);
    return error;
}

void arch_vcpu_free(struct vcpu *v)
{
    run_forget(v);
    vlapic_free(v);
    fpu_vcpu_free(v);
    vendor->vcpu_free(v);
    page_free(v->arch, 0);
}

uint64_t arch_vcpu_rip(const struct vcpu *v)
{
    return v->arch->rip;
}

void arch_vcpu_dump(struct vcpu *v)
{
    const struct arch_vcpu *a = v->arch;
    const uint64_t *g = a->gpr;
    struct segment cs, ss;
    vendor->get_segment(v, SEG_CS, &cs);
    vendor->get_segment(v, SEG_SS, &ss);
    printk(LOG_INFO "d%uv%u rip %04x:%016lx rflags %08lx\n", v->domain->id, v->id, cs.selector, a->rip,
           a->rflags);
    printk(LOG_INFO "  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", g[RAX], g[RBX], g[RCX], g[RDX]);
    printk(LOG_INFO "  rsi %016lx rdi %016lx rbp %016lx rsp %04x:%016lx\n", g[RSI], g[RDI], g[RBP],
           ss.selector, g[RSP]);
    printk(LOG_INFO "  r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", g[R8], g[R9], g[R10], g[R11]);
    printk(LOG_INFO "  r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", g[R12], g[R13], g[R14], g[R15]);
    printk(LOG_INFO "  cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx efer %04lx\n",
           vendor->get_register(v, REG_CR0), vendor->get_register(v, REG_CR2),
           vendor->get_register(v, REG_CR3), vendor->get_register(v, REG_CR4),
           vendor->get_register(v, REG_EFER));
    printk(LOG_INFO "  upcall %u vector %#x, apic %d%s%s\n", v->info->evtchn_upcall_pending,
           a->upcall_vector ? a->upcall_vector : v->domain->arch->callback_vector, vlapic_pending(v),
           a->event_queued ? ", event queued" : "", a->window_wanted ? ", window wanted" : "");
}

static void dump_all(void)
{
    for (struct domain *d = domain_next(0); d; d = domain_next((domid_t)(d->id + 1))) {
        for (uint32_t i = 0; i < d->max_vcpus; i++) {
            struct vcpu *v = domain_vcpu(d, i);
            if (!v)
                continue;
            if (vcpu_is_running(v) && v != current)
                printk(LOG_INFO "d%uv%u runs; its registers were:\n", d->id, i);
            arch_vcpu_dump(v);
        }
    }
}

INIT_CODE void domain_debugkeys_init(void)
{
    debugkey_register('v', dump_all, "registers of all vCPUs");
}
