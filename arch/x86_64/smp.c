/*
 * The other CPUs: started one after the other by INIT and SIPI (SDM vol. 3, 9.4), checked, and held until the
 * boot CPU releases them; and the interrupts by which CPUs reach each other.
 *
 * Start-up is a dialogue of two CPUs over `stage` of the one being started. No locks.
 */
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/init.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <x86/acpi.h>
#include <x86/apic.h>
#include <x86/asm.h>
#include <x86/boot_memory.h>
#include <x86/clock.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/irq.h>
#include <x86/paging.h>
#include <x86/smp.h>
#include <x86/traps.h>
#include "guest/guest.h"

/* How far a CPU has come. Rises; the one being started and the boot CPU take turns. */
enum stage { STAGE_OFF, STAGE_ALIVE, STAGE_COMPARE, STAGE_COMPARED, STAGE_SETUP, STAGE_READY, STAGE_FAILED };

#define ALIVE_TIMEOUT_US 100000u
#define SIPI_WAIT_US     200u
#define STOP_TIMEOUT_US  100000u

extern const char trampoline_start[], trampoline_end[];

struct arch_cpu boot_cpu;
static maddr_t trampoline; /* the page below 1 MiB */
static volatile bool released;
static volatile uint64_t remote_tsc;

/* --- the CPU that is started ---------------------------------------------------------------------------- */

static void set_stage(struct arch_cpu *cpu, enum stage stage)
{
    __atomic_store_n(&cpu->stage, stage, __ATOMIC_SEQ_CST);
}

static void wait_stage(struct arch_cpu *cpu, enum stage stage)
{
    while (__atomic_load_n(&cpu->stage, __ATOMIC_SEQ_CST) < stage)
        cpu_relax();
}

/* On its own main stack. */
void smp_cpu_start(struct arch_cpu *cpu)
{
    descriptors_load(cpu);
    cpu_setup();
    set_stage(cpu, STAGE_ALIVE);
    wait_stage(cpu, STAGE_COMPARE);
    remote_tsc = rdtsc_ordered();
    set_stage(cpu, STAGE_COMPARED);
    wait_stage(cpu, STAGE_SETUP);
    if (!cpu_features_check()) {
        set_stage(cpu, STAGE_FAILED);
        arch_stop_cpu();
    }
    apic_cpu_init();
    time_cpu_init();
    guest_cpu_init();
    set_stage(cpu, STAGE_READY);
    while (!released)
        cpu_relax();
    write_cr3(paging_root()); /* translations of what was start-up code go */
    cpu_loop();
}

/* --- the boot CPU --------------------------------------------------------------------------------------- */

static INIT_CODE void fill_arch_cpu(struct arch_cpu *cpu, uint32_t id, uint32_t apic_id,
                                    const uint64_t tops[STACKS])
{
    cpu->cpu.arch = cpu;
    cpu->apic_id = apic_id;
    cpu->stack_top = tops[STACK_MAIN];
    for (unsigned i = STACK_DOUBLE_FAULT; i < STACKS; i++)
        cpu->tss.ist[i - 1] = tops[i];
    cpu_init(&cpu->cpu, id);
}

INIT_CODE void smp_reserve_trampoline(void)
{
    trampoline = boot_memory_low_page();
}

INIT_CODE void smp_boot_cpu_init(void)
{
    uint64_t tops[STACKS];
    if (!map_stacks(0, tops))
        boot_fail("too little memory for the first CPU's stacks");
    fill_arch_cpu(&boot_cpu, 0, boot_cpu.apic_id, tops);
    set_stage(&boot_cpu, STAGE_READY);
}

static INIT_CODE bool wait_alive(const struct arch_cpu *cpu, uint32_t us)
{
    uint64_t end = rdtsc() + (uint64_t)us * tsc_khz / 1000;
    while (__atomic_load_n(&cpu->stage, __ATOMIC_SEQ_CST) == STAGE_OFF) {
        if ((int64_t)(end - rdtsc()) < 0)
            return false;
        cpu_relax();
    }
    return true;
}

static INIT_CODE bool start(struct arch_cpu *cpu)
{
    struct trampoline_data *data = (void *)((char *)maddr_to_virt(trampoline) + TRAMPOLINE_DATA);
    *data = (struct trampoline_data){.cr3 = paging_root(),
                                     .entry = (uint64_t)smp_cpu_start,
                                     .stack = cpu->stack_top,
                                     .cpu = (uint64_t)cpu,
                                     .efer = (uint32_t)(rdmsr(MSR_EFER) & (EFER_LME | EFER_NXE)),
                                     .cr4 = CR4_PAE};
    apic_send_init(cpu->apic_id);
    delay_us(10);
    apic_send_startup(cpu->apic_id, (uint8_t)(trampoline.v >> PAGE_SHIFT));
    if (wait_alive(cpu, SIPI_WAIT_US))
        return true;
    apic_send_startup(cpu->apic_id, (uint8_t)(trampoline.v >> PAGE_SHIFT));
    return wait_alive(cpu, ALIVE_TIMEOUT_US);
}

/* A message to the other CPU and back: its TSC has to lie between the two of ours. */
static INIT_CODE void compare_tsc(struct arch_cpu *cpu)
{
    uint64_t before = rdtsc_ordered();
    set_stage(cpu, STAGE_COMPARE);
    wait_stage(cpu, STAGE_COMPARED);
    uint64_t after = rdtsc_ordered();
    if (remote_tsc < before || remote_tsc > after)
        printk(LOG_WARNING "CPU %u: its TSC is %ld cycles off; guests will see time jump\n", cpu->cpu.id,
               (int64_t)(remote_tsc - (before + (after - before) / 2)));
}

/* False: the machine does not start this one; the next takes its number. */
static INIT_CODE bool bring_up(uint32_t apic_id)
{
    uint64_t tops[STACKS];
    uint32_t id = cpu_count;
    struct arch_cpu *cpu = heap_alloc(sizeof *cpu);
    if (!cpu || !map_stacks(id, tops)) {
        printk(LOG_WARNING "CPU with APIC id %u: too little memory to start it\n", apic_id);
        return false;
    }
    fill_arch_cpu(cpu, id, apic_id, tops);
    bool ok = start(cpu);
    if (ok) {
        compare_tsc(cpu);
        set_stage(cpu, STAGE_SETUP);
        wait_stage(cpu, STAGE_READY);
        ok = cpu->stage == STAGE_READY;
    } else {
        printk(LOG_WARNING "CPU with APIC id %u does not start\n", apic_id);
    }
    if (!ok)
        cpu_count = id; /* what it holds stays allocated: it may still wake up on it */
    return ok;
}

INIT_CODE void arch_cpus_init(void)
{
    if (acpi.cpus <= 1)
        return;
    if (!trampoline.v || !paging_map_trampoline(trampoline)) {
        printk(LOG_WARNING "No memory below 1 MiB to start the other CPUs from\n");
        return;
    }
    memcpy(maddr_to_virt(trampoline), trampoline_start, (size_t)(trampoline_end - trampoline_start));
    for (uint32_t i = 0; i < acpi.cpus; i++)
        if (acpi.cpu[i].apic_id != boot_cpu.apic_id)
            bring_up(acpi.cpu[i].apic_id);
    printk(LOG_INFO "CPUs: %u of %u\n", cpu_count, acpi.cpus);
}

static void __attribute__((noreturn, used)) leave_boot_stack(void)
{
    boot_cpu.on_boot_stack = false;
    paging_free_init();
    if (trampoline.v)
        frame_add_range(maddr_to_mfn(trampoline), 1);
    released = true;
    cpu_loop();
}

void arch_cpus_release(void)
{
    asm volatile("mov %0, %%rsp\n"
                 "xor %%ebp, %%ebp\n"
                 "push $0\n" /* where backtraces end */
                 "jmp leave_boot_stack"
                 :
                 : "r"(boot_cpu.stack_top)
                 : "memory");
    __builtin_unreachable();
}

/* --- reaching other CPUs -------------------------------------------------------------------------------- */

void arch_stop_cpu(void)
{
    this_arch_cpu()->stopped = true;
    for (;;)
        asm volatile("cli; hlt");
}

static bool all_stopped(void)
{
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpus[i] != this_cpu() && !cpus[i]->arch->stopped)
            return false;
    return true;
}

/* First kindly, so that a CPU that holds the console ends its line; then by NMI. */
void arch_stop_other_cpus(void)
{
    if (all_stopped())
        return;
    for (unsigned i = 0; i < cpu_count; i++)
        softirq_raise_on(cpus[i], SOFTIRQ_STOP);
    for (unsigned us = 0; us < STOP_TIMEOUT_US && !all_stopped(); us += 10)
        delay_us(10);
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpus[i] != this_cpu() && !cpus[i]->arch->stopped)
            apic_send_nmi(cpus[i]);
    for (unsigned us = 0; us < STOP_TIMEOUT_US && !all_stopped(); us += 10)
        delay_us(10);
}
