/* The architecture's steps of start-up, as hv_main() calls them (hv/init.h). Boot CPU only. */
#include <hv/init.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <x86/acpi.h>
#include <x86/apic.h>
#include <x86/boot_memory.h>
#include <x86/clock.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/ioapic.h>
#include <x86/paging.h>
#include <x86/platform.h>
#include <x86/smp.h>

#define FIRST_TABLES_REACH (1ull << 32) /* what boot/entry.asm mapped */
#define LEAST_MEMORY       (64ul << 20)

/* For exceptions before the stacks with guard pages are there. */
static char early_ist_stack[PAGE_SIZE] INIT_BSS __attribute__((aligned(16)));

INIT_CODE void arch_early_init(void)
{
    boot_cpu.cpu.self = &boot_cpu.cpu;
    boot_cpu.cpu.arch = &boot_cpu;
    boot_cpu.on_boot_stack = true;
    for (unsigned i = 0; i < STACKS - 1; i++)
        boot_cpu.tss.ist[i] = (uint64_t)early_ist_stack + sizeof early_ist_stack;
    idt_init();
    descriptors_load(&boot_cpu);
    cpu_features_detect();
    cpu_setup();
}

INIT_CODE void arch_console_init(void)
{
    uart_register();
    vga_register();
}

INIT_CODE void arch_memory_init(void)
{
    const struct cpu_features *f = &cpu_features;
    printk(LOG_INFO "CPU: %s, family 0x%x model 0x%x stepping %u\n", f->brand[0] ? f->brand : f->vendor_name,
           f->family, f->model, f->stepping);
    if (!f->nx)
        boot_fail("this CPU cannot forbid execution of data pages (NX); switch it on in the firmware setup");
    uint64_t total = boot_memory_total();
    printk(LOG_INFO "Memory: %lu MiB\n", total >> 20);
    if (total < LEAST_MEMORY)
        boot_fail("%lu MiB of memory are too little; at least %lu MiB are needed", total >> 20,
                  LEAST_MEMORY >> 20);
    boot_memory_init(FIRST_TABLES_REACH);
    boot_memory_move_modules();
    paging_init(boot_memory_image_place());
    boot_memory_image_moved();
    boot_memory_set_limit(~0ull);
    smp_reserve_trampoline();
    boot_memory_finish();
    paging_use_frames();
    smp_boot_cpu_init();
}

INIT_CODE void arch_platform_init(void)
{
    acpi_init();
    pic_disable();
    apic_init();
    ioapic_init();
    time_init();
}
