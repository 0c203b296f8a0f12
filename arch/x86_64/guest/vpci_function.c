/*
 * The PCI functions that the domain has looked at: what capabilities they have, where their MSI-X tables are.
 *
 * A function is found out about when its configuration space is first accessed, and again when another one
 * answers in its place. Interface: vpci_internal.h. Locking: vpci_lock.
 */
#include <hv/frame.h>
#include <hv/printk.h>
#include <x86/acpi.h>
#include <x86/platform.h>
#include <xen/errno.h>
#include "exit.h"
#include "mmio.h"
#include "vpci_internal.h"

#define HEADER_KIND  0x7fu
#define UART_PORTS   8u
#define FIRST_OFFSET 0x40u
/* A list of capabilities that goes on for longer than there is room for them goes in circles. */
#define MOST_CAPABILITIES          ((0x100u - FIRST_OFFSET) / 4)
#define MOST_EXTENDED_CAPABILITIES ((PCI_CONFIG_SIZE - PCI_EXTENDED) / 8)

spinlock_t vpci_lock = SPINLOCK_INIT(LOCK_VDEVICE);
spinlock_t msi_lock = SPINLOCK_INIT(LOCK_MSI);
struct vpci_function *vpci_with_table;
static struct vpci_function *known[64];

static struct vpci_function **bucket_of(struct pci_address where)
{
    return &known[(where.bus * 8u + where.device + where.function * 8u) % ARRAY_SIZE(known)];
}

static bool same(struct pci_address a, struct pci_address b)
{
    return a.segment == b.segment && a.bus == b.bus && a.device == b.device && a.function == b.function;
}

void vpci_tell(struct vpci_function *f, const char *what)
{
    if (f->told)
        return;
    f->told = true;
    printk(LOG_WARNING "PCI %04x:%02x:%02x.%u: %s\n", f->where.segment, f->where.bus, f->where.device,
           f->where.function, what);
}

/* --- what there is -------------------------------------------------------------------------------------- */

/* The console's serial port, or an IOMMU of AMD's. */
static bool is_ours(const struct vpci_function *f)
{
    if (vpci_hardware_read(f, PCI_CLASS + 2, 2) == PCI_CLASS_IOMMU)
        return true;
    for (unsigned i = 0; i < f->bars; i++) {
        uint32_t bar = vpci_hardware_read(f, PCI_BAR(i), 4);
        if (bar & PCI_BAR_PORTS && uart_uses_ports(bar & ~3u, UART_PORTS))
            return true;
    }
    return false;
}

static void find_capabilities(struct vpci_function *f, bool cardbus)
{
    if (!(vpci_hardware_read(f, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
        return;
    uint32_t at = vpci_hardware_read(f, cardbus ? PCI_CAPABILITIES_CARDBUS : PCI_CAPABILITIES, 1) & ~3u;
    for (unsigned i = 0; at >= FIRST_OFFSET && i < MOST_CAPABILITIES; i++) {
        uint32_t header = vpci_hardware_read(f, at, 2);
        if ((header & 0xff) == PCI_CAPABILITY_MSI && !f->msi.at)
            vpci_msi_init(f, (uint16_t)at);
        if ((header & 0xff) == PCI_CAPABILITY_MSIX && !f->msix.at && !f->empty &&
            !vpci_msix_init(f, (uint16_t)at))
            f->empty = (uint16_t)at;
        at = header >> 8 & ~3u;
    }
}

static void find_extended_capabilities(struct vpci_function *f)
{
    uint32_t at = PCI_EXTENDED, header;

    for (unsigned i = 0; at >= PCI_EXTENDED && i < MOST_EXTENDED_CAPABILITIES; i++) {
        header = vpci_hardware_read(f, at, 4);
        if (!header || header == ~0u)
            return;
        if ((header & 0xffff) == PCI_EXTENDED_SRIOV)
            f->sriov = (uint16_t)at;
        at = header >> 20 & ~3u;
    }
}

static struct vpci_function *find_out(struct domain *d, struct pci_address where)
{
    static const uint8_t bars[] = {PCI_BARS, 2, 1}; /* of devices, bridges, CardBus bridges */
    uint32_t id = pci_config_read(where, PCI_ID, 4), kind;

    if ((id & 0xffff) == 0xffff)
        return NULL;
    struct vpci_function *f = heap_alloc(sizeof *f);
    if (!f)
        return NULL;
    f->domain = d;
    f->where = where;
    f->id = id;
    kind = vpci_hardware_read(f, PCI_HEADER_TYPE, 1) & HEADER_KIND;
    f->bars = kind < ARRAY_SIZE(bars) ? bars[kind] : 0;
    f->hidden = is_ours(f);
    if (!f->hidden) {
        find_capabilities(f, kind == 2);
        find_extended_capabilities(f);
    }

    struct vpci_function **bucket = bucket_of(where);
    f->next = *bucket;
    *bucket = f;
    if (f->msix.at) {
        f->next_with_table = vpci_with_table;
        vpci_with_table = f;
    }
    vpci_place_locked(f);
    return f;
}

void vpci_forget_locked(struct vpci_function *f)
{
    struct vpci_function **link = bucket_of(f->where);
    bool there = vpci_hardware_read(f, PCI_ID, 4) == f->id;

    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    for (link = &vpci_with_table; *link; link = &(*link)->next_with_table) {
        if (*link == f) {
            *link = f->next_with_table;
            break;
        }
    }
    vpci_msi_off_locked(f, there);
    if (!there && f->msix.at)
        vpci_msix_place_locked(f, 0);
    vpci_msix_off_locked(f, there);
    vpci_msix_free(f);
    heap_free(f);
}

struct vpci_function *vpci_known_locked(struct pci_address where)
{
    struct vpci_function *f = *bucket_of(where);

    while (f && !same(f->where, where))
        f = f->next;
    return f;
}

struct vpci_function *vpci_find_locked(struct domain *d, struct pci_address where)
{
    struct vpci_function *f = vpci_known_locked(where);

    return f ? f : find_out(d, where);
}

/* --- where its table is --------------------------------------------------------------------------------- */

/* 0: decoding is off, or the BAR leads where no device can be. */
static uint64_t table_address(const struct vpci_function *f)
{
    const struct vpci_msix *m = &f->msix;
    uint64_t size = vpci_msix_table_size(f);

    if (!(vpci_hardware_read(f, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
        return 0;
    uint64_t address = vpci_hardware_read(f, PCI_BAR(m->bar), 4);
    if ((address & PCI_BAR_KIND) == PCI_BAR_64)
        address |= (uint64_t)vpci_hardware_read(f, PCI_BAR(m->bar + 1), 4) << 32;
    address &= ~(uint64_t)PCI_BAR_FLAGS;
    if (!address || address + m->offset + size < address)
        return 0;
    address += m->offset;
    for (uint64_t page = address >> PAGE_SHIFT; page <= (address + size - 1) >> PAGE_SHIFT; page++)
        if (!mmio_reachable(page))
            return 0;
    return address;
}

/* Takes its pages out of the domain's map. False: some cannot be, and the domain would reach the table past
 * us. */
static bool trap_pages(const struct vpci_function *f, uint64_t table)
{
    struct p2m_entry old;
    bool removed = false, done = true;

    for (uint64_t page = table >> PAGE_SHIFT; page <= (table + vpci_msix_table_size(f) - 1) >> PAGE_SHIFT;
         page++) {
        int error = p2m_remove_noflush(f->domain, GFN(page), P2M_BIT(P2M_DEVICE), &old);
        removed |= !error;
        done &= !error || error == -XEN_ENOENT;
    }
    if (removed)
        p2m_flush(f->domain);
    return done;
}

void vpci_place_locked(struct vpci_function *f)
{
    if (!f->msix.at)
        return;
    uint64_t table = table_address(f);
    if (table == f->msix.table)
        return;
    if (table && !trap_pages(f, table)) {
        vpci_tell(f, "no memory to keep its MSI-X table apart");
        table = 0;
    }
    vpci_msix_place_locked(f, table);
}
