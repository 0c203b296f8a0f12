/*
 * Panic, boot failures, and how the machine is left (hv/panic.h).
 *
 * The first CPU that gets here wins, the others stop. One that comes here a second time (a fault while it
 * prints) leaves without another word. No locks are taken: whoever holds the console's has been stopped.
 */
#include <hv/arch/time.h>
#include <hv/cmdline.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/printf.h>

static bool noreboot;
CMDLINE_BOOL("noreboot", noreboot);

static uint32_t stopping_cpu; /* number + 1 of the CPU that takes the machine down, 0: none */

bool machine_stopping(void)
{
    return READ_ONCE(stopping_cpu) != 0;
}

void cpu_stop_self(void)
{
    arch_stop_cpu();
}

static void finish(enum machine_shutdown how) __attribute__((noreturn));
static void finish(enum machine_shutdown how)
{
    console_synchronous(true);
    if (how != MACHINE_HALT && noreboot)
        printk(LOG_INFO "noreboot is set.\n");
    else if (how != MACHINE_HALT)
        arch_machine_shutdown(how);
    printk(LOG_INFO "The machine is halted: switch it off or reset it.\n");
    arch_stop_cpu();
}

/* Makes this the only CPU that runs. */
static void take_machine(void)
{
    uint32_t nobody = 0, self = this_cpu()->id + 1;
    if (!__atomic_compare_exchange_n(&stopping_cpu, &nobody, self, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        if (nobody != self)
            cpu_stop_self();
        finish(MACHINE_REBOOT);
    }
    arch_stop_other_cpus();
}

static void begin(const char *prefix, const char *format, va_list args)
{
    char text[256];
    take_machine();
    printk_everything(true);
    vsnprintf(text, sizeof text, format, args);
    printk(LOG_ERROR "%s%s\n", prefix, text);
}

void panic_begin(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin("PANIC: ", format, args);
    va_end(args);
}

/* Leaves some time to read the screen. */
void panic_end(void)
{
    if (tsc_khz && !noreboot) {
        printk(LOG_INFO "Reboot in 5 seconds.\n");
        console_synchronous(true);
        for (ns_t end = time_now() + 5 * SECOND; time_now() < end;)
            cpu_relax();
    }
    finish(MACHINE_REBOOT);
}

void panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin("PANIC: ", format, args);
    va_end(args);
    arch_backtrace();
    panic_end();
}

void boot_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin("Cannot start: ", format, args);
    va_end(args);
    finish(MACHINE_HALT); /* starting again would change nothing */
}

void machine_shutdown(enum machine_shutdown how)
{
    static const char *const verbs[] = {
        [MACHINE_POWEROFF] = "powering off",
        [MACHINE_REBOOT] = "rebooting",
        [MACHINE_HALT] = "halting",
    };
    take_machine();
    printk(LOG_INFO "Machine: %s\n", verbs[how]);
    finish(how);
}
