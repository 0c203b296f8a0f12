/*
 * Boot protocols -> struct boot_info. boot_start() is where boot/entry.asm jumps to; it runs once, on the
 * boot CPU's first stack, with the first 4 GiB of memory mapped. No console yet: what is wrong is left for
 * hv_main() to say.
 */
#include <hv/init.h>
#include <lib/string.h>
#include <x86/security.h>
#include <xen/arch-x86/hvm/start_info.h>
#include "boot.h"

struct boot_info boot_info;

void boot_start(uint32_t protocol, uint32_t info) __attribute__((noreturn));

INIT_CODE const char *boot_text(const char *text)
{
    char *to = boot_info.text + boot_info.text_used;
    size_t room = BOOT_TEXT_SIZE - boot_info.text_used;
    size_t length = text ? strlcpy(to, text, room) : 0;
    if (!text)
        return "";
    if (length >= room) {
        boot_info.cut = true;
        return "";
    }
    boot_info.text_used += length + 1;
    return to;
}

INIT_CODE void boot_add_module(uint64_t start, uint64_t end, const char *cmdline)
{
    if (end <= start)
        return;
    if (boot_info.modules == BOOT_MAX_MODULES) {
        boot_info.cut = true;
        return;
    }
    boot_info.module[boot_info.modules++] =
        (struct boot_module){.start = MADDR(start), .size = end - start, .cmdline = boot_text(cmdline)};
}

/* Its own guard value changes while it runs. */
__attribute__((no_stack_protector)) INIT_CODE void boot_start(uint32_t protocol, uint32_t info)
{
    stack_guard_init();
    boot_info.cmdline = boot_info.loader = "";
    switch (protocol) {
    case MULTIBOOT1_BOOT_MAGIC:
        multiboot1_read(boot_pointer(info));
        break;
    case MULTIBOOT2_BOOT_MAGIC:
        multiboot2_read(boot_pointer(info));
        break;
    case XEN_HVM_START_MAGIC_VALUE:
        pvh_read(boot_pointer(info));
        break;
    }
    memory_map_finish();
    hv_main();
}
