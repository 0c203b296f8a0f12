/* From a configuration to a plan of the domain (plan.h). Asks the hypervisor for its free memory, and dom0
 * for its disks and bridges; no locking. */
#include <lib/string.h>

#include <lib/acpi.h>
#include "devices.h"
#include "format.h"
#include "plan.h"
#include "share.h"
#include "xen.h"

/* ACPI tables, start info, special and grant pages, and what the hypervisor keeps for a domain. */
#define OVERHEAD (1ull << 20)

static bool find_file(const struct guest_config *config, const char *key, const char *path, struct file *file,
                      struct why *why)
{
    if (!file_find(path, file))
        return config_fail(config, key, why, "no such file in the archive");
    if (!file->size)
        return config_fail(config, key, why, "the file is empty");
    return true;
}

static bool find_devices(const struct guest_config *config, struct why *why)
{
    struct why reason;
    for (const struct disk_config *disk = config->disks; disk; disk = disk->next)
        if (!disk_possible(disk, &reason))
            return config_fail(config, "disk", why, "%s", reason.text);
    for (const struct vif_config *vif = config->vifs; vif; vif = vif->next)
        if (!vif_possible(vif, &reason))
            return config_fail(config, "vif", why, "%s", reason.text);
    return true;
}

/* As libxl reckons it: 1 MiB for each CPU, and a page for each MiB of memory. */
static uint64_t paging_pool(const struct guest_config *config)
{
    return ((uint64_t)config->max_vcpus << 20) + (config->max_memory >> 20) * PAGE_SIZE;
}

bool plan_make(const struct guest_config *config, struct plan *plan, struct why *why)
{
    struct why reason;
    *plan = (struct plan){.config = config};
    const char *key = cfg_find(&config->cfg, "kernel") ? "kernel" : "firmware";
    if (!find_file(config, key, config->kernel, &plan->kernel, why))
        return false;
    if (config->ramdisk && !find_file(config, "ramdisk", config->ramdisk, &plan->ramdisk, why))
        return false;
    if (!elf_parse(plan->kernel.data, plan->kernel.size, &plan->image, &reason))
        return config_fail(config, "kernel", why, "%s", reason.text);
    if (!find_devices(config, why) || !share_check(config, why))
        return false;

    plan->request = (struct layout_request){.memory = config->memory,
                                            .kernel_start = plan->image.start,
                                            .kernel_end = plan->image.end,
                                            .ramdisk_size = plan->ramdisk.size,
                                            .acpi_size = acpi_size(config->vcpus, config->max_vcpus),
                                            .command_line = config->command_line};
    if (!layout_plan(&plan->request, &plan->layout, &reason))
        return config_fail(config, "memory", why, "%s", reason.text);
    plan->paging_pool = paging_pool(config);
    plan->needed = config->memory + plan->paging_pool + OVERHEAD;
    return true;
}

bool plan_affordable(const struct plan *plan, struct why *why)
{
    char free_text[SIZE_TEXT], total_text[SIZE_TEXT], needed_text[SIZE_TEXT];
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    long rc = sysctl(XEN_SYSCTL_physinfo, &op);
    if (rc)
        return fail(why, "the hypervisor does not say how much memory is free: %s", error_text(rc));
    const struct xen_sysctl_physinfo *info = &op.u.physinfo;
    uint64_t free_pages =
        info->free_pages > info->outstanding_pages ? info->free_pages - info->outstanding_pages : 0;
    if (plan->needed <= free_pages << PAGE_SHIFT)
        return true;
    format_size(free_text, free_pages << PAGE_SHIFT);
    format_size(total_text, info->total_pages << PAGE_SHIFT);
    if (plan->config->memory > free_pages << PAGE_SHIFT)
        return config_fail(plan->config, "memory", why, "%s free of %s", free_text, total_text);
    return config_fail(plan->config, "memory", why, "%s needed with its page tables, %s free of %s",
                       format_size(needed_text, plan->needed), free_text, total_text);
}

static const char *region_name(uint32_t type)
{
    switch (type) {
    case XEN_HVM_MEMMAP_TYPE_RAM:
        return "RAM";
    case XEN_HVM_MEMMAP_TYPE_ACPI:
        return "ACPI tables";
    default:
        return "rings, reserved";
    }
}

static void print_range(const char *what, uint64_t start, uint64_t size, const char *of)
{
    char text[SIZE_TEXT];
    print("  %-10s 0x%09llx - 0x%09llx  %-8s %s\n", what, (unsigned long long)start,
          (unsigned long long)(start + size - 1), format_size(text, size), of);
}

void plan_print(const struct plan *plan)
{
    const struct guest_config *config = plan->config;
    char text[SIZE_TEXT], uuid[UUID_TEXT], needed[SIZE_TEXT], mac[MAC_TEXT];
    print("%s  (uuid %s)\n", config->name, format_uuid(uuid, config->uuid));
    print("  type       pvh, %u-bit kernel, entry 0x%llx\n", plan->image.bits,
          (unsigned long long)plan->image.entry);
    print("  vcpus      %u of %u\n", config->vcpus, config->max_vcpus);
    print("  memory     %s, %s with what it takes to run it\n", format_size(text, config->memory),
          format_size(needed, plan->needed));
    print("  cmdline    %s\n", config->command_line);
    for (const struct disk_config *disk = config->disks; disk; disk = disk->next)
        print("  disk       %s = %s, %s\n", disk->vdev, disk->target, disk->writable ? "rw" : "ro");
    for (const struct vif_config *vif = config->vifs; vif; vif = vif->next)
        print("  vif        %u = %s on %s\n", vif->devid, mac_format(mac, vif->mac), vif->bridge);
    print("  on_poweroff %s, on_reboot %s, on_crash %s, on_watchdog %s\n",
          action_name(config->on[SHUTDOWN_poweroff]), action_name(config->on[SHUTDOWN_reboot]),
          action_name(config->on[SHUTDOWN_crash]), action_name(config->on[SHUTDOWN_watchdog]));
    for (unsigned i = 0; i < plan->image.segment_count; i++)
        print_range("kernel", plan->image.segments[i].address, plan->image.segments[i].memory_size,
                    plan->kernel.name);
    if (plan->layout.ramdisk)
        print_range("ramdisk", plan->layout.ramdisk, plan->ramdisk.size, plan->ramdisk.name);
    print_range("start info", plan->layout.start_info, plan->layout.start_info_size, "");
    for (unsigned i = 0; i < plan->layout.map_count; i++)
        print_range("map", plan->layout.map[i].addr, plan->layout.map[i].size,
                    region_name(plan->layout.map[i].type));
}
