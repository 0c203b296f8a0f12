/*
 * Accesses of the domain that drives the machine to PCI configuration space, by ports and in ECAM, and to
 * MSI-X tables.
 *
 * Interface: vpci.h. Locking: vpci_lock, for the whole of an access.
 */
#include <hv/arch/pci.h>
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/paging.h>
#include <xen/errno.h>
#include "guest.h"
#include "vpci_internal.h"

#define PORT_ADDRESS   PORT_PCI_FIRST
#define PORT_DATA      0xcfcu
#define PORT_RESET     0xcf9 /* between the two, in chipsets: the machine's reset, which this domain may do */
#define ADDRESS_ENABLE 0x80000000u
#define BUS_SHIFT      20u /* of ECAM: 32 devices, 8 functions, 4 KiB each */
#define SRIOV_SIZE     0x40u
#define NOTHING        (~0u) /* as a bus reads where nobody answers */

/* --- a register ----------------------------------------------------------------------------------------- */

static bool within(uint32_t offset, uint32_t start, uint32_t size)
{
    return start && offset - start < size;
}

enum owner { HARDWARE, MSI, MSIX, EMPTY, SRIOV };

/* Who answers for the dword at offset. */
static enum owner owner_of(const struct vpci_function *f, uint32_t offset)
{
    if (offset >= PCI_EXTENDED) /* no matter what stands at the end of the space below it */
        return within(offset, f->sriov, SRIOV_SIZE) ? SRIOV : HARDWARE;
    if (within(offset, f->msi.at, vpci_msi_size(f)))
        return MSI;
    if (within(offset, f->msix.at, VPCI_MSIX_SIZE))
        return MSIX;
    return within(offset, f->empty, VPCI_MSIX_SIZE) ? EMPTY : HARDWARE;
}

static uint32_t read_dword_locked(const struct vpci_function *f, uint32_t offset, enum owner owner)
{
    uint32_t value = owner == MSI ? 0 : vpci_hardware_read(f, offset, 4);

    switch (owner) {
    case MSI:
        return vpci_msi_read_locked(f, (offset - f->msi.at) / 4);
    case EMPTY: /* an id that means none, and the link to the next one */
        return offset == f->empty ? value & 0xff00 : 0;
    case SRIOV:
        return offset == f->sriov ? value & 0xffff0000 : 0;
    default:
        return value;
    }
}

static void write_dword_locked(struct vpci_function *f, uint32_t offset, enum owner owner, uint32_t value)
{
    if (owner == MSI)
        vpci_msi_write_locked(f, (offset - f->msi.at) / 4, value);
    else if (owner == MSIX && offset == f->msix.at)
        vpci_msix_write_locked(f, value);
}

/* Whoever looks who is there may be looking for another one than we know. */
static struct vpci_function *look_again_locked(struct domain *d, struct vpci_function *f)
{
    struct pci_address where = f->where;
    uint32_t id = vpci_hardware_read(f, PCI_ID, 4);

    if (id == f->id || (id & 0xffff) == 0xffff)
        return f;
    vpci_forget_locked(f);
    return vpci_find_locked(d, where);
}

/* size 1, 2 or 4, offset aligned to it and < 4096. */
static uint32_t config_read(struct domain *d, struct pci_address where, uint32_t offset, unsigned size)
{
    uint32_t value = NOTHING;

    spin_lock(&vpci_lock);
    struct vpci_function *f = vpci_find_locked(d, where);
    if (f && offset < 4)
        f = look_again_locked(d, f);
    if (f && !f->hidden) {
        enum owner owner = owner_of(f, offset & ~3u);
        value = owner == HARDWARE ? vpci_hardware_read(f, offset, size)
                                  : read_dword_locked(f, offset & ~3u, owner) >> 8 * (offset & 3);
    }
    spin_unlock(&vpci_lock);
    return value;
}

static void write_locked(struct vpci_function *f, uint32_t offset, unsigned size, uint32_t value)
{
    uint32_t dword = offset & ~3u, shift = 8 * (offset & 3), mask = (size == 4 ? ~0u : (1u << 8 * size) - 1);
    enum owner owner = owner_of(f, dword);

    if (owner != HARDWARE) {
        uint32_t rest = read_dword_locked(f, dword, owner) & ~(mask << shift);
        write_dword_locked(f, dword, owner, rest | (value & mask) << shift);
        return;
    }
    vpci_hardware_write(f, offset, size, value);
    if (dword == PCI_COMMAND || (dword >= PCI_BAR(0) && dword < PCI_BAR(f->bars)))
        vpci_place_locked(f);
}

static void config_write(struct domain *d, struct pci_address where, uint32_t offset, unsigned size,
                         uint32_t value)
{
    spin_lock(&vpci_lock);
    struct vpci_function *f = vpci_find_locked(d, where);
    if (f && !f->hidden)
        write_locked(f, offset, size, value);
    spin_unlock(&vpci_lock);
}

/* --- by ports ------------------------------------------------------------------------------------------- */

/* An aligned access to the data port while the address port names a register. */
static bool port_target(const struct domain *d, uint16_t port, unsigned size, struct pci_address *where,
                        uint32_t *offset)
{
    uint32_t address = READ_ONCE(d->arch->pci_address);

    *where = (struct pci_address){.bus = (uint8_t)(address >> 16),
                                  .device = (uint8_t)(address >> 11 & 0x1f),
                                  .function = (uint8_t)(address >> 8 & 7)};
    *offset = (address & 0xfc) | (port & 3);
    return port >= PORT_DATA && !(port & (size - 1)) && address & ADDRESS_ENABLE;
}

uint32_t vpci_in(struct domain *d, uint16_t port, unsigned size)
{
    struct pci_address where;
    uint32_t offset;

    if (port == PORT_ADDRESS && size == 4)
        return READ_ONCE(d->arch->pci_address);
    if (port == PORT_RESET && size == 1)
        return inb(PORT_RESET);
    return port_target(d, port, size, &where, &offset) ? config_read(d, where, offset, size) : NOTHING;
}

void vpci_out(struct domain *d, uint16_t port, unsigned size, uint32_t value)
{
    struct pci_address where;
    uint32_t offset;

    if (port == PORT_ADDRESS && size == 4)
        WRITE_ONCE(d->arch->pci_address, value);
    else if (port == PORT_RESET && size == 1)
        outb(PORT_RESET, (uint8_t)value);
    else if (port_target(d, port, size, &where, &offset))
        config_write(d, where, offset, size, value);
}

/* --- in memory ------------------------------------------------------------------------------------------ */

static bool ecam_target(gpa_t gpa, struct pci_address *where, uint32_t *offset)
{
    for (uint32_t i = 0; i < acpi.mcfgs; i++) {
        uint64_t at = gpa.v - acpi.mcfg[i].base.v, bus = at >> BUS_SHIFT;
        if (gpa.v < acpi.mcfg[i].base.v || bus < acpi.mcfg[i].first_bus || bus > acpi.mcfg[i].last_bus)
            continue;
        *where = (struct pci_address){.segment = acpi.mcfg[i].segment,
                                      .bus = (uint8_t)bus,
                                      .device = (uint8_t)(at >> 15 & 0x1f),
                                      .function = (uint8_t)(at >> 12 & 7)};
        *offset = (uint32_t)at & (PCI_CONFIG_SIZE - 1);
        return true;
    }
    return false;
}

/* A function whose table has a byte in [start, end). */
static struct vpci_function *table_in_locked(uint64_t start, uint64_t end)
{
    struct vpci_function *f = vpci_with_table;

    while (f && !(f->msix.table && start < f->msix.table + vpci_msix_table_size(f) && f->msix.table < end))
        f = f->next_with_table;
    return f;
}

static bool page_has_table_locked(uint64_t page)
{
    return table_in_locked(page << PAGE_SHIFT, (page + 1) << PAGE_SHIFT);
}

/*
 * An access to a page that has an MSI-X table: to f's table at that offset, or (f NULL) to what stands beside
 * it, which is the device's to answer. Aligned, it is never to both, as tables are multiples of 8 bytes
 * everywhere. False: it is not aligned, or to something that is no longer there.
 */
static bool table_target_locked(gpa_t gpa, unsigned size, struct vpci_function **f, uint64_t *offset)
{
    if (gpa.v & (size - 1))
        return false;
    *f = table_in_locked(gpa.v, gpa.v + size);
    if (!*f)
        return page_has_table_locked(gpa.v >> PAGE_SHIFT);
    *offset = gpa.v - (*f)->msix.table;
    return true;
}

static uint64_t device_read(gpa_t gpa, unsigned size)
{
    volatile void *at = map_device_window(MADDR(gpa.v));

    if (!at)
        return ~0ull;
    return size == 1   ? *(volatile uint8_t *)at
           : size == 2 ? *(volatile uint16_t *)at
           : size == 4 ? mmio_read32(at)
                       : *(volatile uint64_t *)at;
}

static void device_write(gpa_t gpa, unsigned size, uint64_t value)
{
    volatile void *at = map_device_window(MADDR(gpa.v));

    if (!at)
        return;
    if (size == 1)
        *(volatile uint8_t *)at = (uint8_t)value;
    else if (size == 2)
        *(volatile uint16_t *)at = (uint16_t)value;
    else if (size == 4)
        mmio_write32(at, (uint32_t)value);
    else
        *(volatile uint64_t *)at = value;
}

static uint64_t table_read(gpa_t gpa, unsigned size)
{
    struct vpci_function *f;
    uint64_t offset, value = ~0ull;

    spin_lock(&vpci_lock);
    if (table_target_locked(gpa, size, &f, &offset))
        value = f ? vpci_table_read_locked(f, offset, size) : device_read(gpa, size);
    spin_unlock(&vpci_lock);
    return value;
}

static void table_write(gpa_t gpa, unsigned size, uint64_t value)
{
    struct vpci_function *f;
    uint64_t offset;

    spin_lock(&vpci_lock);
    if (table_target_locked(gpa, size, &f, &offset)) {
        if (f)
            vpci_table_write_locked(f, offset, size, value);
        else
            device_write(gpa, size, value);
    }
    spin_unlock(&vpci_lock);
}

bool vpci_covers(const struct vcpu *v, gpa_t gpa)
{
    struct pci_address where;
    uint32_t offset;

    if (!v->domain->privileged)
        return false;
    if (ecam_target(gpa, &where, &offset))
        return true;
    spin_lock(&vpci_lock);
    bool covers = page_has_table_locked(gpa.v >> PAGE_SHIFT);
    spin_unlock(&vpci_lock);
    return covers;
}

/* 8 bytes of configuration space are two registers, as for a bridge that has no wider access. */
uint64_t vpci_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    struct domain *d = v->domain;
    struct pci_address where;
    uint32_t offset;

    if (!ecam_target(gpa, &where, &offset))
        return table_read(gpa, size);
    if (offset & (size - 1))
        return ~0ull;
    uint64_t value = config_read(d, where, offset, MIN(size, 4u));
    return size == 8 ? value | (uint64_t)config_read(d, where, offset + 4, 4) << 32 : value;
}

void vpci_write(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value)
{
    struct domain *d = v->domain;
    struct pci_address where;
    uint32_t offset;

    if (!ecam_target(gpa, &where, &offset)) {
        table_write(gpa, size, value);
        return;
    }
    if (offset & (size - 1))
        return;
    config_write(d, where, offset, MIN(size, 4u), (uint32_t)value);
    if (size == 8)
        config_write(d, where, offset + 4, 4, (uint32_t)(value >> 32));
}

int vpci_map(struct domain *d, gfn_t first, unsigned order)
{
    int error = -XEN_EPERM;

    spin_lock(&vpci_lock);
    if (!table_in_locked(first.v << PAGE_SHIFT, (first.v + (1ull << order)) << PAGE_SHIFT))
        error = p2m_add(d, first, MFN(first.v), order, P2M_DEVICE);
    spin_unlock(&vpci_lock);
    return error;
}

/* --- what the domain tells ------------------------------------------------------------------------------ */

static struct pci_address address_of(uint16_t segment, uint8_t bus, uint8_t devfn)
{
    return (struct pci_address){.segment = segment, .bus = bus, .device = devfn >> 3, .function = devfn & 7};
}

int arch_pci_added(struct domain *d, uint16_t segment, uint8_t bus, uint8_t devfn)
{
    spin_lock(&vpci_lock);
    bool there = vpci_find_locked(d, address_of(segment, bus, devfn));
    spin_unlock(&vpci_lock);
    return there ? 0 : -XEN_ENODEV;
}

int arch_pci_removed(struct domain *d, uint16_t segment, uint8_t bus, uint8_t devfn)
{
    (void)d;
    spin_lock(&vpci_lock);
    struct vpci_function *f = vpci_known_locked(address_of(segment, bus, devfn));
    if (f)
        vpci_forget_locked(f);
    spin_unlock(&vpci_lock);
    return f ? 0 : -XEN_ENODEV;
}

int arch_pci_ecam(uint64_t address, uint16_t segment, uint8_t first_bus, uint8_t last_bus)
{
    for (uint32_t i = 0; i < acpi.mcfgs; i++)
        if (acpi.mcfg[i].base.v == address && acpi.mcfg[i].segment == segment &&
            acpi.mcfg[i].first_bus <= first_bus && acpi.mcfg[i].last_bus >= last_bus)
            return 0;
    return -XEN_ENODEV;
}
