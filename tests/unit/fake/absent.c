/* What tests may leave out: weak, so that the real one takes its place when the list of sources names it. */
#include <string.h>
#include <hv/arch/pci.h>
#include <hv/boot_info.h>
#include <hv/cmdline.h>
#include <hv/console.h>
#include <hv/evtchn.h>
#include <hv/gnttab.h>
#include <hv/hypercall.h>

__attribute__((weak)) struct boot_info boot_info;

#define ABSENT(name)                                                                                         \
    __attribute__((weak)) int64_t name(uint64_t arg[6])                                                      \
    {                                                                                                        \
        (void)arg;                                                                                           \
        return -XEN_ENOSYS;                                                                                  \
    }

ABSENT(do_platform_op)
ABSENT(do_memory_op)
ABSENT(do_multicall)
ABSENT(do_xen_version)
ABSENT(do_console_io)
ABSENT(do_grant_table_op)
ABSENT(do_vcpu_op)
ABSENT(do_vm_assist)
ABSENT(do_xsm_op)
ABSENT(do_sched_op)
ABSENT(do_event_channel_op)
ABSENT(do_physdev_op)
ABSENT(do_hvm_op)
ABSENT(do_sysctl)
ABSENT(do_domctl)

__attribute__((weak)) int arch_pci_added(struct domain *d, uint16_t segment, uint8_t bus, uint8_t devfn)
{
    (void)d, (void)segment, (void)bus, (void)devfn;
    return 0;
}

__attribute__((weak)) int arch_pci_removed(struct domain *d, uint16_t segment, uint8_t bus, uint8_t devfn)
{
    (void)d, (void)segment, (void)bus, (void)devfn;
    return 0;
}

__attribute__((weak)) int arch_pci_ecam(uint64_t address, uint16_t segment, uint8_t first_bus,
                                        uint8_t last_bus)
{
    (void)address, (void)segment, (void)first_bus, (void)last_bus;
    return 0;
}

__attribute__((weak)) const char *cmdline_text(void)
{
    return "";
}

__attribute__((weak)) void console_write_guest(struct domain *d, const char *text, size_t length)
{
    (void)d, (void)text, (void)length;
}

__attribute__((weak)) size_t console_read(char *to, size_t size)
{
    memset(to, 0, size);
    return 0;
}

__attribute__((weak)) int gnttab_init(struct domain *d, int32_t max_frames, int32_t max_maptrack,
                                      uint32_t version)
{
    (void)d, (void)max_frames, (void)max_maptrack, (void)version;
    return 0;
}

__attribute__((weak)) int64_t gnttab_kill(struct domain *d)
{
    (void)d;
    return 0;
}

__attribute__((weak)) void gnttab_free(struct domain *d)
{
    (void)d;
}
