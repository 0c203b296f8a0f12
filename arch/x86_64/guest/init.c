/*
 * Boot: which kind of virtualization this machine has, and switching it on (hv/init.h).
 *
 * Locking: none; runs on each CPU before it runs guests.
 */
#include <hv/cpu.h>
#include <hv/init.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <x86/features.h>
#include "exit.h"
#include "hwirq.h"
#include "mmio.h"

const struct vendor_ops *vendor;

INIT_CODE void arch_virt_init(void)
{
    vendor = cpu_features.vendor == CPU_INTEL ? &vmx_ops : &svm_ops;
    const char *missing = vendor->probe();
    if (missing)
        boot_fail("this machine cannot run guests: %s", missing);
    cpuid_init();
    io_init();
    hwirq_init();
    mmio_init();
    run_init();
    domain_debugkeys_init();
    guest_cpu_init();
    printk(LOG_INFO "%s with %s, %u-bit guest-physical addresses\n", vendor->name,
           vendor == &svm_ops ? "NPT" : "EPT", guest_maxphysaddr());
}

void guest_cpu_init(void)
{
    fpu_cpu_init();
    vendor->cpu_enable();
}
