/*
 * Intel's virtualization (SDM vol. 3, chapters 24-30): what each CPU and each vCPU needs, and moving between
 * CPUs.
 *
 * Interface: vmx_ops. Locking: none; a VMCS is used by the CPU that runs its vCPU, or while the vCPU does not
 * run.
 *
 * A CPU keeps parts of its current VMCS in itself. It is written back (VMCLEAR) whenever the vCPU leaves the
 * CPU, so that a vCPU that does not run has its VMCS in memory, where any CPU may take it up.
 *
 * Translations are tagged with the VPID and the EPT root, so that the vCPU's number will do for a VPID; and a
 * vCPU that comes to another CPU flushes what that CPU may have kept of its domain.
 */
#include "vmx.h"
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

#define FEATURE_CONTROL_LOCKED 1ull
#define FEATURE_CONTROL_VMX    4ull

const uint32_t vmx_live_msr[VMX_LIVE_MSRS] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
                                              MSR_KERNEL_GS_BASE};
_Static_assert(ARRAY_SIZE(((struct arch_cpu *)0)->live_msr) == VMX_LIVE_MSRS, "one each");

static maddr_t msr_bitmap;

void vmcs_access_failed(uint64_t field)
{
    panic("no access to field %#lx of the current VMCS", field);
}

/* --- boot ----------------------------------------------------------------------------------------------- */

/* A set bit makes the access exit: reads of low MSRs and of those from C0000000, then writes, 1024 bytes each
 * (25.6.9). */
static INIT_CODE void msr_permit(uint8_t *map, uint32_t index, bool read, bool write)
{
    uint32_t bit = index & 0x1fff, high = index >= 0xc0000000 ? 1024 : 0;

    if (read)
        map[high + bit / 8] &= (uint8_t) ~(1u << bit % 8);
    if (write)
        map[2048 + high + bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

static INIT_CODE bool msr_bitmap_init(void)
{
    static const uint32_t INIT_DATA switched[] = {MSR_FS_BASE, MSR_GS_BASE, MSR_SYSENTER_CS, MSR_SYSENTER_ESP,
                                                  MSR_SYSENTER_EIP};
    uint8_t *map = page_alloc(0);

    if (!map)
        return false;
    memset(map, 0xff, PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(switched); i++)
        msr_permit(map, switched[i], true, true);
    for (unsigned i = 0; i < VMX_LIVE_MSRS; i++)
        msr_permit(map, vmx_live_msr[i], true, true);
    if (cpu_features.ibpb)
        msr_permit(map, MSR_PRED_CMD, false, true);
    msr_bitmap = virt_to_maddr(map);
    return true;
}

static INIT_CODE const char *vmx_probe(void)
{
    const char *missing = vmx_controls_probe();

    if (!missing && !msr_bitmap_init())
        missing = "no memory for VMX's tables";
    return missing;
}

static void vmx_cpu_enable(void)
{
    struct arch_cpu *cpu = this_arch_cpu();
    uint32_t *region = page_alloc(0);
    uint64_t control = rdmsr(MSR_FEATURE_CONTROL);
    bool failed;

    if (!region)
        panic("no memory for VMX on CPU %u", cpu->cpu.id);
    cpu->vendor_page = region;
    *region = vmx_controls.revision;
    if (!(control & FEATURE_CONTROL_LOCKED))
        wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX);
    write_cr0(read_cr0() | vmx_controls.cr0_one);
    write_cr4(read_cr4() | vmx_controls.cr4_one);
    maddr_t address = virt_to_maddr(region);
    asm volatile("vmxon %1" : "=@ccbe"(failed) : "m"(address.v) : "memory");
    if (failed)
        panic("VMXON failed on CPU %u: is VMX switched off for it?", cpu->cpu.id);
    for (unsigned i = 0; i < VMX_LIVE_MSRS; i++)
        cpu->live_msr[i] = rdmsr(vmx_live_msr[i]);
}

/* --- which VMCS is current ------------------------------------------------------------------------------ */

static void make_current(const struct vcpu *v)
{
    if (!vmx_load(v->arch->vmx.vmcs_maddr))
        panic("VMPTRLD refused the VMCS of d%uv%u", v->domain->id, v->id);
}

static void write_back(const struct vcpu *v)
{
    if (!vmx_clear(v->arch->vmx.vmcs_maddr))
        panic("VMCLEAR refused the VMCS of d%uv%u", v->domain->id, v->id);
}

bool vmcs_borrow(const struct vcpu *v)
{
    if (likely(vmcs_is_current(v)))
        return false;
    make_current(v);
    return true;
}

void vmcs_return(const struct vcpu *v, bool borrowed)
{
    if (likely(!borrowed))
        return;
    write_back(v);
    const struct vcpu *here = this_arch_cpu()->loaded_vmcs;
    if (here)
        make_current(here);
}

/* --- vCPUs ---------------------------------------------------------------------------------------------- */

/* A new VMCS holds anything. What is set elsewhere before the first entry is not named here. */
static void write_zeros(void)
{
    static const uint16_t zero[] = {
        VMCS_HOST_ES,
        VMCS_HOST_DS,
        VMCS_HOST_FS,
        VMCS_HOST_GS,
        VMCS_HOST_FS_BASE,
        VMCS_HOST_SYSENTER_CS,
        VMCS_HOST_SYSENTER_ESP,
        VMCS_HOST_SYSENTER_EIP,
        VMCS_PAGE_FAULT_MASK,
        VMCS_PAGE_FAULT_MATCH,
        VMCS_CR3_TARGETS,
        VMCS_EXIT_MSRS_STORED,
        VMCS_EXIT_MSRS_LOADED,
        VMCS_ENTRY_MSRS_LOADED,
        VMCS_ENTRY_EVENT,
        VMCS_ENTRY_LENGTH,
        VMCS_GUEST_ACTIVITY,
        VMCS_GUEST_SMBASE,
        VMCS_INTERRUPTIBILITY,
        VMCS_GUEST_PENDING_DEBUG,
        VMCS_GUEST_SYSENTER_CS,
        VMCS_GUEST_SYSENTER_ESP,
        VMCS_GUEST_SYSENTER_EIP,
        VMCS_GUEST_DEBUGCTL,
        VMCS_GUEST_RIP,
        VMCS_GUEST_RFLAGS,
        VMCS_GUEST_RSP,
        VMCS_TSC_OFFSET,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(zero); i++)
        vmcs_write(zero[i], 0);
}

/*
 * Some 10 ms in ticks of the preemption timer, which starts with each entry. Bochs 2.7 needs it: a guest that
 * is entered with RFLAGS.IF clear and leaves it so is not left for external interrupts there, and could keep
 * the processor for ever.
 */
#define LONGEST_STAY (1u << 20)

/*
 * A loop of PAUSEs with less than the gap between two of them (ticks of the TSC) that goes on for longer than
 * the window waits for a vCPU which does not run, most likely (25.1.3): most locks are held for less.
 */
#define PAUSE_GAP    128
#define PAUSE_WINDOW 4096

static void write_controls(const struct vcpu *v)
{
    const struct domain *d = v->domain;
    uint64_t io_bitmap = virt_to_maddr(d->arch->io_bitmap).v;

    vmcs_write(VMCS_PIN_CONTROLS, vmx_controls.pin);
    if (vmx_controls.pin & PIN_PREEMPTION_TIMER)
        vmcs_write(VMCS_PREEMPTION_TIMER, LONGEST_STAY);
    vmcs_write(VMCS_PRIMARY_CONTROLS, vmx_controls.primary);
    vmcs_write(VMCS_SECONDARY_CONTROLS, vmx_controls.secondary & ~(d->privileged ? SECONDARY_WBINVD : 0));
    if (vmx_controls.secondary & SECONDARY_PAUSE_LOOP) {
        vmcs_write(VMCS_PAUSE_GAP, PAUSE_GAP);
        vmcs_write(VMCS_PAUSE_WINDOW, PAUSE_WINDOW);
    }
    vmcs_write(VMCS_EXIT_CONTROLS, vmx_controls.exit);
    vmcs_write(VMCS_ENTRY_CONTROLS, vmx_controls.entry);
    /* #DB and #AC could otherwise raise themselves for ever without an instruction boundary. */
    vmcs_write(VMCS_EXCEPTIONS, 1u << TRAP_DB | 1u << TRAP_AC | 1u << TRAP_MC);
    vmcs_write(VMCS_IO_BITMAP_A, io_bitmap);
    vmcs_write(VMCS_IO_BITMAP_B, io_bitmap + PAGE_SIZE);
    vmcs_write(VMCS_MSR_BITMAP, msr_bitmap.v);
    vmcs_write(VMCS_EPTP, d->arch->p2m_root_entry);
    vmcs_write(VMCS_VPID, v->id + 1);
    vmcs_write(VMCS_CR0_MASK, vmx_cr0_mask());
    vmcs_write(VMCS_CR4_MASK, vmx_cr4_mask());
    vmcs_write(VMCS_LINK, ~0ull);
}

/* What is the same on all CPUs. */
static void write_host_state(void)
{
    vmcs_write(VMCS_HOST_CS, SELECTOR_CODE);
    vmcs_write(VMCS_HOST_SS, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_TR, SELECTOR_TSS);
    vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmcs_write(VMCS_HOST_CR0, read_cr0());
    vmcs_write(VMCS_HOST_CR3, paging_root());
    vmcs_write(VMCS_HOST_CR4, read_cr4());
    vmcs_write(VMCS_HOST_IDTR_BASE, idt_base());
    vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit);
}

static int vmx_vcpu_create(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    uint32_t *vmcs = page_alloc(0);

    if (!vmcs)
        return -XEN_ENOMEM;
    *vmcs = vmx_controls.revision;
    a->vmx.vmcs = vmcs;
    a->vmx.vmcs_maddr = virt_to_maddr(vmcs);
    a->vmx.controls = vmx_controls.primary;
    write_back(v);
    bool borrowed = vmcs_borrow(v);
    write_zeros();
    write_controls(v);
    write_host_state();
    vmcs_return(v, borrowed);
    return 0;
}

static void vmx_vcpu_free(struct vcpu *v)
{
    page_free(v->arch->vmx.vmcs, 0);
    v->arch->vmx.vmcs = NULL;
}

static void come_to_this_cpu(struct vcpu *v)
{
    struct arch_cpu *cpu = this_arch_cpu();

    vmcs_write(VMCS_HOST_GS_BASE, (uint64_t)&cpu->cpu);
    vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)&cpu->tss);
    vmcs_write(VMCS_HOST_GDTR_BASE, (uint64_t)cpu->gdt);
    v->arch->vmx.last_cpu = &cpu->cpu;
    v->arch->vmx.work |= VMX_FLUSH;
}

static void vmx_switch_in(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;

    make_current(v);
    this_arch_cpu()->loaded_vmcs = v;
    a->vmx.loaded_on = this_cpu();
    a->vmx.work |= VMX_LAUNCH;
    if (a->vmx.last_cpu != this_cpu())
        come_to_this_cpu(v);
    write_cr2(a->vmx.cr2);
    const uint64_t *live = this_arch_cpu()->live_msr;
#pragma GCC unroll 5
    for (unsigned i = 0; i < VMX_LIVE_MSRS; i++)
        if (a->vmx.msr[i] != live[i])
            wrmsr(vmx_live_msr[i], a->vmx.msr[i]);
}

static void vmx_switch_out(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;

    a->vmx.cr2 = read_cr2();
    uint64_t *live = this_arch_cpu()->live_msr;
#pragma GCC unroll 5
    for (unsigned i = 0; i < VMX_LIVE_MSRS; i++)
        live[i] = a->vmx.msr[i] = rdmsr(vmx_live_msr[i]);
    write_back(v);
    a->vmx.loaded_on = NULL;
    this_arch_cpu()->loaded_vmcs = NULL;
}

static void vmx_flush_tlb(struct vcpu *v)
{
    v->arch->vmx.work |= VMX_FLUSH;
}

static void vmx_set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    bool borrowed = vmcs_borrow(v);

    vmcs_write(VMCS_TSC_OFFSET, offset);
    vmcs_return(v, borrowed);
}

const struct vendor_ops vmx_ops = {
    .name = "VMX",
    .probe = vmx_probe,
    .cpu_enable = vmx_cpu_enable,
    .vcpu_create = vmx_vcpu_create,
    .vcpu_free = vmx_vcpu_free,
    .switch_in = vmx_switch_in,
    .switch_out = vmx_switch_out,
    .run = vmx_run,
    .get_segment = vmx_get_segment,
    .set_segment = vmx_set_segment,
    .get_table = vmx_get_table,
    .set_table = vmx_set_table,
    .get_register = vmx_get_register,
    .long_mode_root = vmx_long_mode_root,
    .set_register = vmx_set_register,
    .get_msr = vmx_get_msr,
    .set_msr = vmx_set_msr,
    .inject = vmx_inject,
    .interruptible = vmx_interruptible,
    .want_window = vmx_want_window,
    .flush_tlb = vmx_flush_tlb,
    .set_tsc_offset = vmx_set_tsc_offset,
};
