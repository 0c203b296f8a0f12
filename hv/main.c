/* hv_main(): the start of the hypervisor, as a table of contents. Runs once, on the boot CPU, on the boot
 * stack. */
#include <hv/cmdline.h>
#include <hv/console.h>
#include <hv/debugkeys.h>
#include <hv/dom0.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/init.h>
#include <hv/panic.h>
#include <hv/printk.h>

static INIT_CODE void greet(void)
{
    printk(LOG_INFO "Hospes %s, started by %s%s%s\n", HOSPES_VERSION, boot_info.loader,
           *boot_info.loader ? ", " : "", boot_info.protocol ? boot_info.protocol : "an unknown protocol");
    printk(LOG_INFO "Command line: %s\n", boot_info.cmdline);
}

static INIT_CODE void check_boot_info(void)
{
    if (!boot_info.protocol)
        boot_fail("not started by multiboot, multiboot 2 or PVH; start it with GRUB's multiboot2 command");
    if (!boot_info.regions)
        boot_fail("the boot loader gave no memory map; start with a loader that does, such as GRUB");
    if (boot_info.cut)
        boot_fail("more than %u modules, %u memory regions or %u bytes of command lines; give it less",
                  BOOT_MAX_MODULES, BOOT_MAX_REGIONS, BOOT_TEXT_SIZE);
    if (!boot_info.modules)
        boot_fail("no boot module: the first one has to be dom0's kernel; add -initrd build/dom0,ARCHIVE "
                  "(QEMU) or a module2 line (GRUB)");
}

INIT_CODE void hv_main(void)
{
    arch_early_init();
    cmdline_parse(boot_info.cmdline);
    arch_console_init();
    console_init();
    greet();
    check_boot_info();

    arch_memory_init();
    debugkeys_init();
    arch_platform_init();
    arch_virt_init();
    arch_cpus_init();

    dom0_build(&boot_info);
    console_start_input();
    domain_control_unpause(dom0);
    arch_cpus_release();
}
