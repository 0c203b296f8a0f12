/*
 * What the domain that drives the hardware tells and asks: platform_op (wall clock, CPUs), physdev_op (PCI
 * devices) and xsm_op (no security module). xen/platform.h, xen/physdev.h.
 *
 * Locking: none here.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/pci.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <xen/physdev.h>
#include <xen/platform.h>

/* A wall clock that 64 bits of nanoseconds can hold for centuries to come. */
#define MAX_SECONDS (1ull << 33)

static int64_t set_wallclock(uint64_t seconds, uint32_t nanoseconds, uint64_t system_time)
{
    if (seconds >= MAX_SECONDS || nanoseconds >= SECOND)
        return -XEN_EINVAL;
    time_set_wallclock(seconds * SECOND + nanoseconds, system_time);
    for (struct domain *d = domain_next(0); d; d = domain_next((domid_t)(d->id + 1)))
        arch_update_wallclock(d);
    return 0;
}

static int64_t get_cpuinfo(struct xenpf_pcpuinfo *info)
{
    uint32_t id = info->xen_cpuid;

    info->max_present = cpu_count - 1;
    info->flags = XEN_PCPU_FLAGS_INVALID;
    if (id < cpu_count) {
        info->flags = XEN_PCPU_FLAGS_ONLINE;
        arch_cpu_ids(cpus[index_nospec(id, cpu_count)], &info->apic_id, &info->acpi_id);
    }
    return 0;
}

/* Firmware's tables of disks, displays and keyboards were not gathered at boot. */
static int64_t firmware_info(const struct xenpf_firmware_info *info)
{
    switch (info->type) {
    case XEN_FW_DISK_INFO:
    case XEN_FW_DISK_MBR_SIGNATURE:
    case XEN_FW_VBEDDC_INFO:
    case XEN_FW_KBD_SHIFT_FLAGS:
        return -XEN_ESRCH;
    case XEN_FW_EFI_INFO:
        return -XEN_ENOSYS;
    default:
        return -XEN_EINVAL;
    }
}

int64_t do_platform_op(uint64_t arg[6])
{
    struct xen_platform_op op;
    int64_t result;

    if (copy_from_guest(&op, GVA(arg[0]), sizeof op))
        return -XEN_EFAULT;
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return -XEN_EACCES;
    if (!current->domain->privileged)
        return -XEN_EPERM;
    switch (op.cmd) {
    case XENPF_settime32:
        return set_wallclock(op.u.settime32.secs, op.u.settime32.nsecs, op.u.settime32.system_time);
    case XENPF_settime64:
        if (op.u.settime64.mbz)
            return -XEN_EINVAL;
        return set_wallclock(op.u.settime64.secs, op.u.settime64.nsecs, op.u.settime64.system_time);
    case XENPF_firmware_info:
        return firmware_info(&op.u.firmware_info);
    case XENPF_get_cpuinfo:
        result = get_cpuinfo(&op.u.pcpu_info);
        return result ? result : copy_to_guest(GVA(arg[0]), &op, sizeof op);
    default:
        return -XEN_ENOSYS;
    }
}

int64_t do_physdev_op(uint64_t arg[6])
{
    union {
        struct physdev_pci_mmcfg_reserved mmcfg;
        struct physdev_pci_device_add add;
        struct physdev_pci_device remove;
    } op;

    if (!current->domain->privileged)
        return -XEN_ENOSYS;
    switch ((uint32_t)arg[0]) {
    case PHYSDEVOP_pci_mmcfg_reserved:
        if (copy_from_guest(&op.mmcfg, GVA(arg[1]), sizeof op.mmcfg))
            return -XEN_EFAULT;
        if (op.mmcfg.end_bus < op.mmcfg.start_bus)
            return -XEN_EINVAL;
        return arch_pci_ecam(op.mmcfg.address, op.mmcfg.segment, op.mmcfg.start_bus, op.mmcfg.end_bus);
    case PHYSDEVOP_pci_device_add: /* with or without what is optional in it */
        if (copy_from_guest(&op.add, GVA(arg[1]), offsetof(struct physdev_pci_device_add, optarr)))
            return -XEN_EFAULT;
        return arch_pci_added(current->domain, op.add.seg, op.add.bus, op.add.devfn);
    case PHYSDEVOP_pci_device_remove:
        if (copy_from_guest(&op.remove, GVA(arg[1]), sizeof op.remove))
            return -XEN_EFAULT;
        return arch_pci_removed(current->domain, op.remove.seg, op.remove.bus, op.remove.devfn);
    default:
        return -XEN_ENOSYS;
    }
}

int64_t do_xsm_op(uint64_t arg[6])
{
    (void)arg;
    return -XEN_ENOSYS;
}
