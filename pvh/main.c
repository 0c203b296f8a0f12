/*
 * The C side of the entry, the command line and modules, the end of the domain (pvh/pvh.h).
 */
#include <lib/printf.h>
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/hypercall.h>
#include <xen/sched.h>
#include "internal.h"

const struct hvm_start_info *pvh_start_info;
uint64_t __stack_chk_guard = 0x5ad0c0de7ac3b100;
_Noreturn void __stack_chk_fail(void);
_Noreturn void pvh_main(const struct hvm_start_info *start_info);

_Noreturn void pvh_main(const struct hvm_start_info *start_info)
{
    pvh_start_info = start_info;
    trap_init();
    if (start_info->magic != XEN_HVM_START_MAGIC_VALUE)
        pvh_panic("no PVH start info: start this kernel as a PVH domain");
    memory_init();
    pvh_shutdown(main() ? SHUTDOWN_crash : SHUTDOWN_poweroff);
}

_Noreturn void __stack_chk_fail(void)
{
    pvh_panic("stack overwritten, seen at return to %p", __builtin_return_address(0));
}

bool pvh_is_dom0(void)
{
    return pvh_start_info->flags & SIF_INITDOMAIN;
}

const char *pvh_cmdline(void)
{
    return pvh_start_info->cmdline_paddr ? (const char *)pvh_start_info->cmdline_paddr : "";
}

bool pvh_option(const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    const char *word = pvh_cmdline();
    for (;;) {
        while (*word == ' ')
            word++;
        if (!*word)
            return false;
        const char *end = strchr(word, ' ');
        if (!end)
            end = word + strlen(word);
        if (!strncmp(word, name, length) && (word + length == end || word[length] == '=')) {
            const char *from = word + length + (word + length != end);
            size_t n = (size_t)(end - from);
            strlcpy(value, from, n + 1 < size ? n + 1 : size);
            return true;
        }
        word = end;
    }
}

bool pvh_module(unsigned index, struct hvm_modlist_entry *module)
{
    if (index >= pvh_start_info->nr_modules)
        return false;
    *module = ((const struct hvm_modlist_entry *)pvh_start_info->modlist_paddr)[index];
    return true;
}

_Noreturn void pvh_shutdown(unsigned reason)
{
    struct sched_shutdown shutdown = {.reason = reason};
    hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uint64_t)&shutdown, 0, 0, 0);
    for (;;)
        asm volatile("cli; hlt");
}

_Noreturn void pvh_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pvh_printf("panic: ");
    pvh_vprintf(format, args);
    pvh_printf("\n");
    va_end(args);
    pvh_shutdown(SHUTDOWN_crash);
}
