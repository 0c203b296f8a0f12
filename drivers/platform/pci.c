/*
 * PCI configuration space (x86/pci.h). A segment's ECAM area is mapped bus by bus when the bus is first
 * looked at, so that page tables are spent on buses that exist only. port_lock keeps the two port accesses
 * together and guards the mapping.
 */
#include <hv/lock.h>
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/paging.h>
#include <x86/pci.h>

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define BUS_SIZE       0x100000u /* of ECAM: 32 devices, 8 functions, 4 KiB each */

static spinlock_t port_lock = SPINLOCK_INIT(LOCK_PCI);
static char *ecam_bus[ACPI_MAX_SEGMENTS][256];

/* Where the function's registers are in memory; NULL: ports only. port_lock is held. */
static char *ecam_locked(struct pci_address where)
{
    for (uint32_t i = 0; i < acpi.mcfgs; i++) {
        if (where.segment != acpi.mcfg[i].segment || where.bus < acpi.mcfg[i].first_bus ||
            where.bus > acpi.mcfg[i].last_bus)
            continue;
        char **bus = &ecam_bus[i][where.bus];
        if (!*bus)
            *bus = map_device(MADDR(acpi.mcfg[i].base.v + (uint64_t)where.bus * BUS_SIZE), BUS_SIZE);
        return *bus ? *bus + (where.device << 15 | where.function << 12) : NULL;
    }
    return NULL;
}

static bool select_port(struct pci_address where, uint16_t offset)
{
    if (where.segment || offset >= 256)
        return false;
    outl(CONFIG_ADDRESS, 1u << 31 | (uint32_t)where.bus << 16 | (uint32_t)where.device << 11 |
                             (uint32_t)where.function << 8 | (offset & 0xfcu));
    return true;
}

uint32_t pci_config_read(struct pci_address where, uint16_t offset, unsigned size)
{
    uint32_t value = ~0u;
    spin_lock(&port_lock);
    char *base = ecam_locked(where);
    uint16_t port = CONFIG_DATA + (offset & 3);
    if (base && size == 1)
        value = *(volatile uint8_t *)(base + offset);
    else if (base && size == 2)
        value = *(volatile uint16_t *)(base + offset);
    else if (base)
        value = mmio_read32(base + offset);
    else if (select_port(where, offset))
        value = size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
    spin_unlock(&port_lock);
    return value;
}

void pci_config_write(struct pci_address where, uint16_t offset, unsigned size, uint32_t value)
{
    spin_lock(&port_lock);
    char *base = ecam_locked(where);
    uint16_t port = CONFIG_DATA + (offset & 3);
    if (base && size == 1)
        *(volatile uint8_t *)(base + offset) = (uint8_t)value;
    else if (base && size == 2)
        *(volatile uint16_t *)(base + offset) = (uint16_t)value;
    else if (base)
        mmio_write32(base + offset, value);
    else if (!select_port(where, offset))
        ;
    else if (size == 1)
        outb(port, (uint8_t)value);
    else if (size == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
    spin_unlock(&port_lock);
}
