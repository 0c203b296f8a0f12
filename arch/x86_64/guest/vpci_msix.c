/*
 * MSI-X of a function (PCI Local Bus 3.0, 6.8.2). The pages of its table are trapped: the domain sees the
 * entries that it wrote, the hardware's raise host vectors. An entry is bound when it is first unmasked and
 * stays so until MSI-X is switched off; masks go through, so that pending bits work as in the hardware.
 *
 * Enable and function mask are the hardware's own bits. Enabling writes the whole table, as a function that
 * was reset meanwhile, by whatever means, has lost it.
 *
 * Interface: vpci_internal.h. Locking: vpci_lock; msi_lock for what hwirq's operations touch.
 */
#include <hv/frame.h>
#include <x86/asm.h>
#include <x86/paging.h>
#include "vpci_internal.h"

#define CONTROL_COUNT  0x07ffu
#define CONTROL_MASK   0x4000u
#define CONTROL_ENABLE 0x8000u

/* An entry of the table. */
enum { ENTRY_ADDRESS = 0, ENTRY_ADDRESS_HIGH = 4, ENTRY_DATA = 8, ENTRY_CONTROL = 12, ENTRY_SIZE = 16 };
#define ENTRY_MASKED 1u

static uint32_t control(const struct vpci_function *f)
{
    return vpci_hardware_read(f, f->msix.at + 2u, 2);
}

static void set_control(const struct vpci_function *f, uint32_t bits)
{
    uint32_t rest = control(f) & ~(CONTROL_ENABLE | CONTROL_MASK);

    vpci_hardware_write(f, f->msix.at + 2u, 2, rest | bits);
}

/* --- hwirq's side --------------------------------------------------------------------------------------- */

/* An entry may cross a page, so each register is reached by itself. */
static void write_register_locked(const struct vpci_msix_entry *e, uint32_t offset, uint32_t value)
{
    struct vpci_msix *m = &e->function->msix;
    uint64_t at = m->table + (uint64_t)(e - m->entry) * ENTRY_SIZE + offset;
    volatile void *window = m->table ? map_device_window(MADDR(at)) : NULL;

    if (window)
        mmio_write32(window, value);
    else
        m->missed = true;
}

static void write_control_locked(const struct vpci_msix_entry *e)
{
    write_register_locked(e, ENTRY_CONTROL, e->open && !e->throttled ? 0 : ENTRY_MASKED);
}

/* Masked meanwhile, so that no message goes out that is half of the old and half of the new. */
static void write_entry_locked(const struct vpci_msix_entry *e)
{
    write_register_locked(e, ENTRY_CONTROL, ENTRY_MASKED);
    write_register_locked(e, ENTRY_ADDRESS, e->host_address);
    write_register_locked(e, ENTRY_ADDRESS_HIGH, 0);
    write_register_locked(e, ENTRY_DATA, e->host_data);
    write_control_locked(e);
}

static void program(struct hwirq *irq, uint32_t host_apic_id, uint8_t host_vector)
{
    struct vpci_msix_entry *e = container_of(irq, struct vpci_msix_entry, irq);

    spin_lock(&msi_lock);
    if (e->host_address != HOST_MESSAGE(host_apic_id) || e->host_data != host_vector) {
        e->host_address = HOST_MESSAGE(host_apic_id);
        e->host_data = host_vector;
        write_entry_locked(e);
    }
    spin_unlock(&msi_lock);
}

static void throttle(struct hwirq *irq, bool masked)
{
    struct vpci_msix_entry *e = container_of(irq, struct vpci_msix_entry, irq);

    spin_lock(&msi_lock);
    e->throttled = masked;
    write_control_locked(e);
    spin_unlock(&msi_lock);
}

static const struct hwirq_operations operations = {.program = program, .mask = throttle};

/* --- entries -------------------------------------------------------------------------------------------- */

static void set_open(struct vpci_msix_entry *e, bool open)
{
    spin_lock(&msi_lock);
    if (e->open != open) {
        e->open = open;
        write_control_locked(e);
    }
    spin_unlock(&msi_lock);
}

static bool bind(struct vpci_msix_entry *e)
{
    struct hwirq_route route;

    if (!hwirq_route_of_message(e->address, e->data, &route))
        return false;
    if (e->irq.host_vector)
        return hwirq_set_route(&e->irq, &route) == 0;
    return hwirq_bind(e->function->domain, &e->irq, &route) == 0;
}

/* What the domain wrote takes effect. */
static void update(struct vpci_msix_entry *e)
{
    bool wanted = e->function->msix.enabled && !e->masked, bound = wanted && bind(e);

    if (wanted && !bound)
        vpci_tell(e->function, "no vector for its MSI-X, or no message that could be one");
    set_open(e, bound);
}

static void write_table_locked(struct vpci_function *f)
{
    f->msix.missed = false;
    for (unsigned i = 0; i < f->msix.count; i++)
        write_entry_locked(&f->msix.entry[i]);
}

uint64_t vpci_table_read_locked(const struct vpci_function *f, uint64_t offset, unsigned size)
{
    const struct vpci_msix_entry *e = &f->msix.entry[index_nospec(offset / ENTRY_SIZE, f->msix.count)];

    if (size < 4) /* 6.8.2: nothing else is defined */
        return ~0ull;
    uint64_t half = offset & 8 ? e->data | (uint64_t)e->masked << 32 : e->address;
    return size == 8 ? half : (uint32_t)(half >> 8 * (offset & 4));
}

void vpci_table_write_locked(struct vpci_function *f, uint64_t offset, unsigned size, uint64_t value)
{
    struct vpci_msix_entry *e = &f->msix.entry[index_nospec(offset / ENTRY_SIZE, f->msix.count)];

    if (size < 4)
        return;
    bool low = !(offset & 4), high = size == 8 || !low;
    uint32_t first = (uint32_t)value, second = size == 8 ? (uint32_t)(value >> 32) : first;
    if (offset & 8) {
        e->data = low ? first : e->data;
        e->masked = high ? second & ENTRY_MASKED : e->masked;
    } else {
        uint64_t upper = high ? second : e->address >> 32, lower = low ? first & ~3u : (uint32_t)e->address;
        e->address = upper << 32 | lower;
    }
    if (f->msix.enabled)
        update(e);
}

/* --- the capability ------------------------------------------------------------------------------------- */

void vpci_msix_off_locked(struct vpci_function *f, bool touch)
{
    struct vpci_msix *m = &f->msix;

    if (!m->at)
        return;
    if (touch)
        set_control(f, 0);
    m->enabled = false;
    for (unsigned i = 0; i < m->count; i++) {
        set_open(&m->entry[i], false);
        if (m->entry[i].irq.host_vector)
            hwirq_unbind(&m->entry[i].irq);
    }
}

/* Everything is held back while the table is written. */
static void enable(struct vpci_function *f)
{
    set_control(f, CONTROL_ENABLE | CONTROL_MASK);
    f->msix.enabled = true;
    for (unsigned i = 0; i < f->msix.count; i++)
        update(&f->msix.entry[i]);
    spin_lock(&msi_lock);
    write_table_locked(f);
    spin_unlock(&msi_lock);
}

void vpci_msix_write_locked(struct vpci_function *f, uint32_t value)
{
    uint32_t wanted = value >> 16 & (CONTROL_ENABLE | CONTROL_MASK);

    if (!(wanted & CONTROL_ENABLE))
        vpci_msix_off_locked(f, true);
    else if (!f->msix.enabled || !(control(f) & CONTROL_ENABLE))
        enable(f);
    set_control(f, wanted);
}

/* What stands in it moves along, but what could not be written has to be now. */
void vpci_msix_place_locked(struct vpci_function *f, uint64_t table)
{
    spin_lock(&msi_lock);
    f->msix.table = table;
    if (table && f->msix.enabled && f->msix.missed)
        write_table_locked(f);
    spin_unlock(&msi_lock);
}

/* How far the BAR reaches, found by writing ones to it with decoding off (PCI Local Bus 3.0, 6.2.5.1). 0: no
 * memory. */
static uint64_t bar_size(const struct vpci_function *f, unsigned bar)
{
    uint32_t low = vpci_hardware_read(f, PCI_BAR(bar), 4), command = vpci_hardware_read(f, PCI_COMMAND, 2);
    bool wide = (low & PCI_BAR_KIND) == PCI_BAR_64;
    uint64_t mask = ~0xffffffffull;

    if (low & PCI_BAR_PORTS || (wide && bar + 1 >= f->bars))
        return 0;
    vpci_hardware_write(f, PCI_COMMAND, 2, command & ~PCI_COMMAND_MEMORY);
    vpci_hardware_write(f, PCI_BAR(bar), 4, ~0u);
    mask |= vpci_hardware_read(f, PCI_BAR(bar), 4) & ~PCI_BAR_FLAGS;
    vpci_hardware_write(f, PCI_BAR(bar), 4, low);
    if (wide) {
        uint32_t high = vpci_hardware_read(f, PCI_BAR(bar + 1), 4);
        vpci_hardware_write(f, PCI_BAR(bar + 1), 4, ~0u);
        mask = (uint32_t)mask | (uint64_t)vpci_hardware_read(f, PCI_BAR(bar + 1), 4) << 32;
        vpci_hardware_write(f, PCI_BAR(bar + 1), 4, high);
    }
    vpci_hardware_write(f, PCI_COMMAND, 2, command);
    return (uint32_t)mask || wide ? -mask : 0;
}

static unsigned entries_order(unsigned count)
{
    unsigned order = 0;

    while (PAGE_SIZE << order < count * sizeof(struct vpci_msix_entry))
        order++;
    return order;
}

bool vpci_msix_init(struct vpci_function *f, uint16_t at)
{
    struct vpci_msix *m = &f->msix;

    m->at = at;
    uint32_t value = control(f), where = vpci_hardware_read(f, at + 4u, 4);
    if (value & (CONTROL_ENABLE | CONTROL_MASK)) /* firmware's */
        set_control(f, 0);
    m->count = (uint16_t)((value & CONTROL_COUNT) + 1);
    m->bar = where & 7;
    m->offset = where & ~7u;
    m->at = 0;
    if (m->bar >= f->bars || m->offset + vpci_msix_table_size(f) > bar_size(f, m->bar)) {
        vpci_tell(f, "its MSI-X table is not where a BAR leads");
        return false;
    }
    m->entry = page_alloc(entries_order(m->count));
    if (!m->entry) {
        vpci_tell(f, "no memory for its MSI-X");
        return false;
    }
    for (unsigned i = 0; i < m->count; i++) {
        m->entry[i].irq.operations = &operations;
        m->entry[i].function = f;
        m->entry[i].masked = true;
    }
    m->at = at;
    return true;
}

void vpci_msix_free(struct vpci_function *f)
{
    if (f->msix.entry)
        page_free(f->msix.entry, entries_order(f->msix.count));
}
