/* PVH: xen/arch-x86/hvm/start_info.h, as QEMU's -kernel and other hypervisors hand it over. Boot only. */
#include <lib/string.h>
#include "boot.h"
#include <xen/arch-x86/hvm/start_info.h>

INIT_CODE void pvh_read(const void *from)
{
    const struct hvm_start_info *info = from;
    if (info->magic != XEN_HVM_START_MAGIC_VALUE)
        return;
    boot_info.protocol = "PVH";
    if (info->cmdline_paddr)
        boot_info.cmdline = boot_text(boot_pointer(info->cmdline_paddr));
    if (info->rsdp_paddr)
        memcpy(boot_info.rsdp, boot_pointer(info->rsdp_paddr), sizeof boot_info.rsdp);
    const struct hvm_modlist_entry *module = boot_pointer(info->modlist_paddr);
    for (uint32_t i = 0; i < info->nr_modules; i++)
        boot_add_module(module[i].paddr, module[i].paddr + module[i].size,
                        module[i].cmdline_paddr ? boot_pointer(module[i].cmdline_paddr) : NULL);
    if (info->version < 1)
        return;
    const struct hvm_memmap_table_entry *entry = boot_pointer(info->memmap_paddr);
    for (uint32_t i = 0; i < info->memmap_entries; i++)
        memory_map_add(entry[i].addr, entry[i].size, entry[i].type);
}
