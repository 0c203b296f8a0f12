/*
 * Device memory for the domain that drives the machine. Interface: mmio.h.
 *
 * What is no RAM may be device registers, and no table says where all of them are: so every other address
 * that the processor has becomes part of the domain's map, uncached and not executable, when it is first
 * touched. Exempt are the registers of what the hypervisor drives itself, interrupt messages, and what is
 * emulated. Firmware's areas are no RAM either: the domain reads ACPI's tables where they lie.
 *
 * Locking: none.
 */
#include <hv/boot_info.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <x86/acpi.h>
#include <x86/features.h>
#include <xen/errno.h>
#include "exit.h"
#include "mmio.h"
#include "vpci.h"

#define HPET_SIZE          0x400u
#define BUS_SIZE           0x100000ull   /* of ECAM */
#define MESSAGES           0xfee00000ull /* a write here is an interrupt; the local APIC is here, too */
#define MESSAGES_SIZE      0x100000u
#define HYPERTRANSPORT     0xfd00000000ull /* AMD: not memory, whatever is written there (APM vol. 2, 2.2) */
#define HYPERTRANSPORT_END 0x10000000000ull

/* What all of it costs in tables: 16 MiB, enough for 4 TiB in large pages, beside those for its RAM. */
#define MOST_TABLES 4096u
#define RAM_TABLES  256u /* frames of RAM that may cost a table, however scattered they are */

static struct kept {
    uint64_t first, last; /* pages */
} kept[ACPI_MAX_IOAPICS + ACPI_MAX_IOMMUS + ACPI_MAX_SEGMENTS + 4];
static unsigned kept_count;

static INIT_CODE void keep(maddr_t start, uint64_t size)
{
    if (start.v)
        kept[kept_count++] = (struct kept){start.v >> PAGE_SHIFT, (start.v + size - 1) >> PAGE_SHIFT};
}

INIT_CODE void mmio_init(void)
{
    keep(MADDR(MESSAGES), MESSAGES_SIZE);
    keep(acpi.lapic, PAGE_SIZE);
    keep(acpi.hpet, HPET_SIZE);
    if (cpu_features.vendor == CPU_AMD)
        keep(MADDR(HYPERTRANSPORT), HYPERTRANSPORT_END - HYPERTRANSPORT);
    for (uint32_t i = 0; i < acpi.ioapics; i++)
        keep(acpi.ioapic[i].address, PAGE_SIZE);
    for (uint32_t i = 0; i < acpi.mcfgs; i++)
        keep(MADDR(acpi.mcfg[i].base.v + acpi.mcfg[i].first_bus * BUS_SIZE),
             (acpi.mcfg[i].last_bus - acpi.mcfg[i].first_bus + 1ull) * BUS_SIZE);
    for (uint32_t i = 0; i < acpi.iommus; i++)
        keep(acpi.iommu[i].start, acpi.iommu[i].size);
}

/* RAM as firmware tells it, whoever has it now. The BIOS's data in the first page is nobody's and may be
 * looked at. */
static bool is_ram(uint64_t page)
{
    if (mfn_is_ram(MFN(page)))
        return true;
    for (unsigned i = 0; page && i < boot_info.regions; i++) {
        const struct memory_region *r = &boot_info.region[i];
        if (r->type == MEMORY_RAM && page >= r->start >> PAGE_SHIFT &&
            page <= (r->start + r->size - 1) >> PAGE_SHIFT)
            return true;
    }
    return false;
}

bool mmio_reachable(uint64_t page)
{
    for (unsigned i = 0; i < kept_count; i++)
        if (page >= kept[i].first && page <= kept[i].last)
            return false;
    return !is_ram(page);
}

static bool all_reachable(uint64_t first, unsigned order)
{
    for (uint64_t i = 0; i < 1ull << order; i++)
        if (!mmio_reachable(first + i))
            return false;
    return true;
}

static int map(struct domain *d, uint64_t page, unsigned order)
{
    uint64_t first = page & ~((1ull << order) - 1);

    if (!all_reachable(first, order))
        return -XEN_EPERM;
    return vpci_map(d, GFN(first), order);
}

bool mmio_map(struct domain *d, gpa_t gpa)
{
    uint64_t page = gpa.v >> PAGE_SHIFT;

    if (!d->privileged || gpa.v >> guest_maxphysaddr())
        return false;
    if (p2m_table_pages(d) > MOST_TABLES + READ_ONCE(d->total_pages) / RAM_TABLES)
        return false;
    if (!map(d, page, ORDER_2M))
        return true;
    int error = map(d, page, ORDER_4K);
    return !error || error == -XEN_EEXIST; /* another vCPU was faster */
}
