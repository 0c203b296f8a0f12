/*
 * Emulated IO-APICs over the machine's own. Interface: vioapic.h.
 *
 * The domain's redirection entries are kept as it wrote them. A pin that it unmasks is bound to the real pin
 * (hwirq.h), which gets the entry's trigger and polarity, and a vector and destination of the host's. Bound
 * it stays: masking is frequent.
 *
 * Edges are passed on as they come. A level is passed on once; the real pin is masked until the domain's EOI,
 * which is told by its local APIC or written to the EOI register. If the line is still up then, the real
 * IO-APIC interrupts again: nothing has to be looked up, and a line that never falls costs no more than the
 * domain's own handling of it.
 *
 * Locking: vioapic_lock (LOCK_VDEVICE) for all that the domain writes. Interrupts arrive under hwirq's lock
 * and touch only the real pins' masks, which drivers/platform/ioapic.c guards.
 */
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/lock.h>
#include <hv/printk.h>
#include <x86/acpi.h>
#include <x86/ioapic.h>
#include <xen/errno.h>
#include "guest.h"
#include "hwirq.h"
#include "vioapic.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };
enum { REGISTER_ID = 0, REGISTER_VERSION = 1, REGISTER_ARBITRATION = 2, REGISTER_ENTRIES = 0x10 };
#define VERSION_WITH_EOI 0x20u
#define ID_SHIFT         24
#define ID_MASK          0xfu

#define ENTRY_VECTOR      0xffull
#define ENTRY_DELIVERY(e) ((uint8_t)((e) >> 8 & 7))
#define ENTRY_LOGICAL     (1ull << 11)
#define ENTRY_LOW         (1ull << 13)
#define ENTRY_REMOTE_IRR  (1ull << 14)
#define ENTRY_LEVEL       (1ull << 15)
#define ENTRY_MASKED      (1ull << 16)
#define ENTRY_WRITABLE    (0xff00000000000000ull | ENTRY_MASKED | ENTRY_LEVEL | ENTRY_LOW | 0xfffull)
#define ENTRY_DESTINATION 56

struct pin {
    struct hwirq irq; /* first: operations get from it to the pin */
    uint32_t gsi;
    bool refused; /* said once: no vector was left */
    uint64_t entry;
};

struct vioapic {
    struct ioapic_info info;
    uint32_t id, index;
    struct pin *pin;
};

static struct vioapic vioapics[ACPI_MAX_IOAPICS];
static unsigned vioapic_count;
static struct domain *owner;
static spinlock_t vioapic_lock = SPINLOCK_INIT(LOCK_VDEVICE);

/* --- the real pins -------------------------------------------------------------------------------------- */

static struct pin *pin_of(struct hwirq *irq)
{
    return (struct pin *)irq;
}

static void pin_program(struct hwirq *irq, uint32_t host_apic_id, uint8_t host_vector)
{
    uint64_t entry = READ_ONCE(pin_of(irq)->entry);
    struct ioapic_route route = {
        .vector = host_vector,
        .apic_id = host_apic_id,
        .level = entry & ENTRY_LEVEL,
        .low = entry & ENTRY_LOW,
    };
    ioapic_aim(pin_of(irq)->gsi, &route);
}

static void pin_mask(struct hwirq *irq, bool masked)
{
    if (masked)
        ioapic_mask(pin_of(irq)->gsi, IOAPIC_MASK_STORM);
    else
        ioapic_unmask(pin_of(irq)->gsi, IOAPIC_MASK_STORM);
}

/* An edge that came before the domain masked the pin is in flight, as it would be on the machine. */
static bool pin_arrived(struct hwirq *irq)
{
    return !irq->route.level || ioapic_hold(pin_of(irq)->gsi);
}

static const struct hwirq_operations pin_operations = {.program = pin_program, .mask = pin_mask};

/* --- redirection entries -------------------------------------------------------------------------------- */

/* 0, or why the pin cannot interrupt: NMI, SMI, INIT and ExtINT reach no domain through pins, and vectors may
 * be reserved. */
static int connect_locked(struct pin *pin)
{
    struct hwirq_route route = {
        .destination = (uint32_t)(pin->entry >> ENTRY_DESTINATION),
        .logical = pin->entry & ENTRY_LOGICAL,
        .level = pin->entry & ENTRY_LEVEL,
        .delivery = ENTRY_DELIVERY(pin->entry),
        .vector = (uint8_t)(pin->entry & ENTRY_VECTOR),
    };
    return pin->irq.host_vector ? hwirq_set_route(&pin->irq, &route) : hwirq_bind(owner, &pin->irq, &route);
}

static void write_entry_locked(struct pin *pin, unsigned half, uint32_t value)
{
    uint64_t mask = 0xffffffffull << 32 * half;
    uint64_t entry = (pin->entry & ~mask) | ((uint64_t)value << 32 * half & mask);

    WRITE_ONCE(pin->entry, entry & ENTRY_WRITABLE);
    if (ioapic_kept(pin->gsi))
        return;
    if (!(entry & ENTRY_LEVEL))
        ioapic_unmask(pin->gsi, IOAPIC_MASK_SERVICE);
    int error = entry & ENTRY_MASKED ? -XEN_EINVAL : connect_locked(pin);
    if (!error)
        ioapic_unmask(pin->gsi, IOAPIC_MASK_DOMAIN);
    else
        ioapic_mask(pin->gsi, IOAPIC_MASK_DOMAIN);
    if (error == -XEN_ENOSPC && !pin->refused) {
        pin->refused = true;
        guest_printk(owner, "no interrupt vector is left for GSI %u", pin->gsi);
    }
}

static uint32_t read_entry(const struct pin *pin, unsigned half)
{
    uint64_t entry = pin->entry;

    if (!ioapic_kept(pin->gsi) && ioapic_in_service(pin->gsi))
        entry |= ENTRY_REMOTE_IRR;
    return (uint32_t)(entry >> 32 * half);
}

static void eoi_locked(struct vioapic *io, uint8_t vector)
{
    for (uint32_t i = 0; i < io->info.pins; i++) {
        struct pin *pin = &io->pin[i];
        if ((pin->entry & (ENTRY_LEVEL | ENTRY_VECTOR)) == (ENTRY_LEVEL | vector) && pin->irq.host_vector)
            ioapic_unmask(pin->gsi, IOAPIC_MASK_SERVICE);
    }
}

void vioapic_eoi(struct domain *d, uint8_t vector)
{
    if (!d->privileged)
        return;
    spin_lock(&vioapic_lock);
    for (unsigned i = 0; i < vioapic_count; i++)
        eoi_locked(&vioapics[i], vector);
    spin_unlock(&vioapic_lock);
}

/* --- registers ------------------------------------------------------------------------------------------ */

static struct vioapic *find(gpa_t gpa)
{
    for (unsigned i = 0; i < vioapic_count; i++)
        if ((vioapics[i].info.address.v ^ gpa.v) >> PAGE_SHIFT == 0)
            return &vioapics[i];
    return NULL;
}

/* The pin whose entry the index names; NULL: it names something else. */
static struct pin *indexed_pin(struct vioapic *io)
{
    uint32_t pin = (io->index - REGISTER_ENTRIES) / 2;

    return io->index >= REGISTER_ENTRIES && pin < io->info.pins ? &io->pin[index_nospec(pin, io->info.pins)]
                                                                : NULL;
}

static uint32_t read_window(struct vioapic *io)
{
    const struct pin *pin = indexed_pin(io);

    if (pin)
        return read_entry(pin, io->index & 1);
    switch (io->index) {
    case REGISTER_ID:
    case REGISTER_ARBITRATION:
        return io->id << ID_SHIFT;
    case REGISTER_VERSION:
        return (io->info.pins - 1) << 16 | io->info.version;
    default:
        return 0;
    }
}

static void write_window_locked(struct vioapic *io, uint32_t value)
{
    struct pin *pin = indexed_pin(io);

    if (pin)
        write_entry_locked(pin, io->index & 1, value);
    else if (io->index == REGISTER_ID)
        io->id = value >> ID_SHIFT & ID_MASK;
}

bool vioapic_covers(const struct vcpu *v, gpa_t gpa)
{
    return v->domain->privileged && find(gpa);
}

/* Registers are 32 bits wide; what else software tries reads as zero and writes nothing. */
uint64_t vioapic_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    struct vioapic *io = find(gpa);
    uint32_t offset = (uint32_t)(gpa.v - io->info.address.v), value = 0;

    (void)v;
    if (size < 4)
        return 0;
    spin_lock(&vioapic_lock);
    if (offset == IOREGSEL)
        value = io->index;
    else if (offset == IOWIN)
        value = read_window(io);
    spin_unlock(&vioapic_lock);
    return value;
}

void vioapic_write(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value)
{
    struct vioapic *io = find(gpa);
    uint32_t offset = (uint32_t)(gpa.v - io->info.address.v);

    (void)v;
    if (size < 4)
        return;
    spin_lock(&vioapic_lock);
    if (offset == IOREGSEL)
        io->index = value & 0xff;
    else if (offset == IOWIN)
        write_window_locked(io, (uint32_t)value);
    else if (offset == IOEOI && io->info.version >= VERSION_WITH_EOI)
        eoi_locked(io, (uint8_t)value);
    spin_unlock(&vioapic_lock);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static unsigned order_of(size_t size)
{
    unsigned order = 0;

    while (PAGE_SIZE << order < size)
        order++;
    return order;
}

INIT_CODE int vioapic_create(struct domain *d)
{
    struct ioapic_info info;

    owner = d;
    for (; ioapic_describe(vioapic_count, &info); vioapic_count++) {
        struct vioapic *io = &vioapics[vioapic_count];
        *io = (struct vioapic){.info = info, .id = info.id & ID_MASK};
        io->pin = page_alloc(order_of(info.pins * sizeof io->pin[0]));
        if (!io->pin)
            return -XEN_ENOMEM;
        for (uint32_t i = 0; i < info.pins; i++)
            io->pin[i] = (struct pin){
                .irq = {.operations = &pin_operations, .arrived = pin_arrived},
                .gsi = info.gsi_base + i,
                .entry = ENTRY_MASKED,
            };
    }
    return 0;
}
