/*
 * AMD's virtualization (APM vol. 2, chapter 15): detection, what each CPU and each vCPU needs, ASIDs.
 *
 * Interface: svm_ops. Locking: none; a VMCB is used by the CPU that runs its vCPU, or while the vCPU does not
 * run.
 *
 * ASIDs tag translations in the TLB. Each CPU hands them out by counting up; when they are used up a new
 * generation begins with an empty TLB. A vCPU keeps its ASID as long as it stays on the CPU and the
 * generation lasts; to flush its translations it simply takes a new one.
 */
#include "svm.h"
#include "../guest/exit.h"
#include "../guest/p2m_format.h"
#include <hv/frame.h>
#include <hv/panic.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/paging.h>
#include <x86/traps.h>
#include <xen/errno.h>

#define CPUID_SVM            0x8000000au
#define SVM_NESTED_PAGING    (1u << 0)
#define SVM_NEXT_RIP         (1u << 3)
#define SVM_PAUSE_FILTER     (1u << 10)
#define SVM_PAUSE_THRESHOLD  (1u << 12)
#define VM_CR_SVM_DISABLED   (1ull << 4)
#define MSR_PERMISSION_PAGES 2
#define MSR_PERMISSION_ORDER 1

bool svm_has_next_rip, svm_inject_virtually;
/*
 * A guest that comes past so many PAUSEs in one stay, with no more than so many cycles between two of them
 * where the processor can tell (15.14.4), waits for a vCPU which does not run, most likely. 0: the processor
 * does not count.
 */
static uint16_t pause_count, pause_gap;
static uint32_t asid_count;
static maddr_t msr_permissions;

/* Two bits per MSR (read, write; set: exits) for three ranges of 0x2000 MSRs each (15.11). */
static INIT_CODE void msr_permit(uint8_t *map, uint32_t index, bool read, bool write)
{
    uint32_t bit = (index & 0x1fff) * 2;
    if (index >= 0xc0010000)
        map += 0x1000;
    else if (index >= 0xc0000000)
        map += 0x800;
    if (read)
        map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
    if (write)
        map[bit / 8] &= (uint8_t) ~(2u << bit % 8);
}

/* What VMLOAD and VMSAVE switch is the guest's; TSC_AUX is loaded while it is on the CPU and nobody else
 * reads it. */
static INIT_CODE bool msr_permissions_init(void)
{
    static const uint32_t INIT_DATA switched[] = {
        MSR_FS_BASE, MSR_GS_BASE,      MSR_KERNEL_GS_BASE, MSR_STAR,         MSR_LSTAR,
        MSR_CSTAR,   MSR_SYSCALL_MASK, MSR_SYSENTER_CS,    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
    };
    uint8_t *map = page_alloc(MSR_PERMISSION_ORDER);
    if (!map)
        return false;
    memset(map, 0xff, MSR_PERMISSION_PAGES * PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(switched); i++)
        msr_permit(map, switched[i], true, true);
    if (cpu_features.ibpb)
        msr_permit(map, MSR_PRED_CMD, false, true);
    msr_permissions = virt_to_maddr(map);
    return true;
}

/* It keeps a guest's breakpoints armed after the exit, and delivers injected interrupts twice (7.2). */
static INIT_CODE bool is_qemu_tcg(void)
{
    struct cpuid r = cpuid(0x40000000u, 0);
    return cpu_features.hypervisor && r.ebx == 0x54474354 && r.ecx == 0x43544743 &&
           r.edx == 0x47435447; /* TCGTCGTCGTCG */
}

static INIT_CODE const char *svm_probe(void)
{
    uint64_t vm_cr;
    if (!cpu_features.svm)
        return "the processor has no SVM (AMD-V)";
    if (rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) && vm_cr & VM_CR_SVM_DISABLED)
        return "SVM (AMD-V) is switched off: enable it in the firmware's setup";
    struct cpuid features = cpuid(CPUID_SVM, 0);
    if (!(features.edx & SVM_NESTED_PAGING))
        return "the processor's SVM has no nested paging (NPT)";
    svm_has_next_rip = features.edx & SVM_NEXT_RIP;
    pause_count = features.edx & SVM_PAUSE_FILTER ? 3000 : 0;
    pause_gap = features.edx & SVM_PAUSE_THRESHOLD ? 128 : 0;
    asid_count = features.ebx;
    if (asid_count < 2)
        return "the processor's SVM has no ASIDs";
    debug_registers_stay = svm_inject_virtually = is_qemu_tcg();
    if (!msr_permissions_init())
        return "no memory for SVM's tables";
    p2m_set_format(&npt_format, cpu_features.page1g ? ORDER_1G : ORDER_2M, MIN(cpu_features.phys_bits, 48),
                   true);
    return NULL;
}

static void svm_cpu_enable(void)
{
    struct arch_cpu *cpu = this_arch_cpu();
    cpu->vendor_page = page_alloc(0);
    void *host_vmcb = page_alloc(0);
    if (!cpu->vendor_page || !host_vmcb)
        panic("no memory for SVM's pages of CPU %u", cpu->cpu.id);
    cpu->host_vmcb = virt_to_maddr(host_vmcb);
    cpu->asid_generation = 1;
    cpu->asid_next = 1;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_AMD_VM_HSAVE_PA, virt_to_maddr(cpu->vendor_page).v);
    /* The host's FS, GS, TR, LDTR and system call MSRs never change: saved once, loaded after each exit. */
    asm volatile("vmsave" : : "a"(cpu->host_vmcb.v) : "memory");
}

static void intercepts_init(const struct vcpu *v, struct vmcb *vmcb)
{
    vmcb->intercept_cr_read = 1u << 8;
    vmcb->intercept_cr_write = 1u << 8;
    vmcb->intercept_dr = ~0u;
    /* #DB and #AC could otherwise raise themselves for ever without an instruction boundary. */
    vmcb->intercept_exceptions = 1u << TRAP_DB | 1u << TRAP_AC | 1u << TRAP_MC;
    vmcb->intercept1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT | INTERCEPT_RDPMC |
                       INTERCEPT_CPUID | INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO |
                       INTERCEPT_MSR | INTERCEPT_SHUTDOWN;
    if (pause_count)
        vmcb->intercept1 |= INTERCEPT_PAUSE; /* without a count each PAUSE would exit */
    vmcb->pause_filter_count = pause_count;
    vmcb->pause_filter_threshold = pause_gap;
    vmcb->intercept2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
                       INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_MONITOR |
                       INTERCEPT_MWAIT | INTERCEPT_XSETBV | INTERCEPT_RDPRU;
    if (!v->domain->privileged)
        vmcb->intercept2 |= INTERCEPT_WBINVD;
    vmcb->intercept3 = INTERCEPT_INVLPGB | INTERCEPT_MCOMMIT | INTERCEPT_TLBSYNC;
}

static int svm_vcpu_create(struct vcpu *v)
{
    struct vmcb *vmcb = page_alloc(0);
    if (!vmcb)
        return -XEN_ENOMEM;
    struct arch_vcpu *a = v->arch;
    a->svm.vmcb = vmcb;
    a->svm.vmcb_maddr = virt_to_maddr(vmcb);
    intercepts_init(v, vmcb);
    vmcb->iopm_base = virt_to_maddr(v->domain->arch->io_bitmap).v;
    vmcb->msrpm_base = msr_permissions.v;
    vmcb->interrupt_control = V_INTR_MASKING | V_IGNORE_TPR;
    vmcb->nested_control = NESTED_PAGING;
    vmcb->nested_cr3 = v->domain->arch->p2m_root_entry;
    vmcb->efer = EFER_SVME;
    return 0;
}

static void svm_vcpu_free(struct vcpu *v)
{
    page_free(v->arch->svm.vmcb, 0);
    v->arch->svm.vmcb = NULL;
}

static void svm_switch_in(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    if (a->svm.asid_cpu != this_cpu()) {
        a->svm.asid_cpu = this_cpu();
        a->svm.asid_generation = 0;
        a->svm.vmcb->clean = 0; /* this CPU may have an older state of the same VMCB */
    }
}

static void svm_switch_out(struct vcpu *v)
{
    (void)v;
}

static void svm_flush_tlb(struct vcpu *v)
{
    v->arch->svm.asid_generation = 0;
}

void svm_new_asid(struct vcpu *v)
{
    struct arch_cpu *cpu = this_arch_cpu();
    struct vmcb *vmcb = vmcb_of(v);
    if (cpu->asid_next == asid_count) {
        cpu->asid_next = 1;
        cpu->asid_generation++;
        vmcb->tlb_control = TLB_FLUSH_ALL;
    }
    vmcb->asid = cpu->asid_next++;
    vmcb->clean &= ~(uint64_t)CLEAN_ASID;
    v->arch->svm.asid_generation = cpu->asid_generation;
}

static void svm_set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    vmcb_of(v)->tsc_offset = offset;
    vmcb_of(v)->clean &= ~(uint64_t)CLEAN_INTERCEPTS;
}

const struct vendor_ops svm_ops = {
    .name = "SVM",
    .probe = svm_probe,
    .cpu_enable = svm_cpu_enable,
    .vcpu_create = svm_vcpu_create,
    .vcpu_free = svm_vcpu_free,
    .switch_in = svm_switch_in,
    .switch_out = svm_switch_out,
    .run = svm_run,
    .get_segment = svm_get_segment,
    .set_segment = svm_set_segment,
    .get_table = svm_get_table,
    .set_table = svm_set_table,
    .get_register = svm_get_register,
    .long_mode_root = svm_long_mode_root,
    .set_register = svm_set_register,
    .get_msr = svm_get_msr,
    .set_msr = svm_set_msr,
    .inject = svm_inject,
    .interruptible = svm_interruptible,
    .want_window = svm_want_window,
    .flush_tlb = svm_flush_tlb,
    .set_tsc_offset = svm_set_tsc_offset,
};
