/*
 * The table of debug keys (hv/debugkeys.h). Filled at boot by those who have something to show; handlers run
 * on the boot CPU only, so there is no lock.
 */
#include <hv/arch/time.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/debugkeys.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/gnttab.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <hv/sched.h>

static struct {
    void (*handler)(void);
    const char *description;
} keys[128];

void debugkey_register(char key, void (*handler)(void), const char *description)
{
    unsigned char index = (unsigned char)key;
    if (index >= ARRAY_SIZE(keys))
        return;
    keys[index].handler = handler;
    keys[index].description = description;
}

void debugkey_press(char key)
{
    unsigned char index = (unsigned char)key;
    printk_everything(true);
    console_synchronous(true);
    if (index < ARRAY_SIZE(keys) && keys[index].handler) {
        printk(LOG_INFO "'%c' pressed: %s\n", key, keys[index].description);
        keys[index].handler();
    } else if (key >= ' ') {
        printk(LOG_INFO "'%c' is no debug key; h lists them\n", key);
    }
    console_synchronous(false);
    printk_everything(false);
}

static void show_help(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].handler)
            printk(LOG_INFO "  %c  %s\n", (char)i, keys[i].description);
}

static void show_memory(void)
{
    printk(LOG_INFO "  %lu MiB of RAM, %lu KiB free, hypervisor %lu KiB\n", frames_total() >> 8,
           frames_free() << 2, frames_hypervisor() << 2);
}

static void show_time(void)
{
    ns_t now = time_now();
    printk(LOG_INFO "  up %lu.%09lu s, TSC %u.%03u MHz\n", now / SECOND, now % SECOND, tsc_khz / 1000,
           tsc_khz % 1000);
    for (unsigned i = 0; i < cpu_count; i++)
        printk(LOG_INFO "  CPU %u: %u timers, next at %lu\n", i, cpus[i]->timers.count,
               cpus[i]->timers.programmed);
}

static void reboot(void)
{
    machine_shutdown(MACHINE_REBOOT);
}

INIT_CODE void debugkeys_init(void)
{
    debugkey_register('h', show_help, "list the debug keys");
    debugkey_register('m', show_memory, "memory");
    debugkey_register('t', show_time, "clock and timers");
    debugkey_register('d', arch_dump_cpus, "registers and stacks of all CPUs");
    debugkey_register('p', perfc_dump, "performance counters");
    debugkey_register('P', perfc_reset, "performance counters set to zero");
    debugkey_register('e', evtchn_dump, "event channels");
    debugkey_register('g', gnttab_dump, "grants in use");
    debugkey_register('q', domain_dump, "domains and vCPUs");
    debugkey_register('r', sched_dump, "run queues and vCPUs");
    debugkey_register('R', reboot, "reboot the machine");
}
