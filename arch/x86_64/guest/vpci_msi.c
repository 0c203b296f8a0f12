/*
 * MSI of a function (PCI Local Bus 3.0, 6.8.1): the domain's message is a route, the hardware's raises a host
 * vector.
 *
 * One message is offered, whatever the function has: without interrupt remapping, several would have to go to
 * one CPU as neighbouring vectors. The enable bit is the hardware's own; it is set when the vector is bound,
 * so that a domain that reads it back sees whether it was, and a function that was reset shows it off.
 *
 * Interface: vpci_internal.h. Locking: vpci_lock; msi_lock for what hwirq's operations touch.
 */
#include "vpci_internal.h"

#define CONTROL_ENABLE   0x0001u
#define CONTROL_MULTIPLE 0x007eu /* messages that it has and those that it may use */
#define CONTROL_WIDE     0x0080u
#define CONTROL_MASKABLE 0x0100u

enum msi_register { CONTROL, ADDRESS, ADDRESS_HIGH, DATA, MASK, PENDING };

/* What the dword at that index is. */
static enum msi_register register_of(const struct vpci_msi *m, unsigned index)
{
    return index >= ADDRESS_HIGH && !m->wide ? index + 1 : index;
}

static uint32_t offset_of(const struct vpci_msi *m, enum msi_register r)
{
    return m->at + 4u * (r > ADDRESS_HIGH && !m->wide ? r - 1 : r);
}

unsigned vpci_msi_size(const struct vpci_function *f)
{
    return offset_of(&f->msi, f->msi.maskable ? PENDING : DATA) + 4 - f->msi.at;
}

static uint32_t control(const struct vpci_function *f)
{
    return vpci_hardware_read(f, f->msi.at + 2u, 2);
}

static void set_enable(const struct vpci_function *f, bool on)
{
    uint32_t value = control(f) & ~(CONTROL_ENABLE | CONTROL_MULTIPLE);

    vpci_hardware_write(f, f->msi.at + 2u, 2, value | (on ? CONTROL_ENABLE : 0));
}

/* --- hwirq's side --------------------------------------------------------------------------------------- */

static void write_mask_locked(const struct vpci_function *f)
{
    const struct vpci_msi *m = &f->msi;

    if (m->maskable)
        vpci_hardware_write(f, offset_of(m, MASK), 4, m->mask | m->throttled);
}

static void write_message_locked(const struct vpci_function *f)
{
    const struct vpci_msi *m = &f->msi;

    vpci_hardware_write(f, offset_of(m, DATA), 2, m->host_data);
    if (m->wide)
        vpci_hardware_write(f, offset_of(m, ADDRESS_HIGH), 4, 0);
    vpci_hardware_write(f, offset_of(m, ADDRESS), 4, m->host_address);
}

/* While it is enabled only the CPU changes, which is one write. */
static void program(struct hwirq *irq, uint32_t host_apic_id, uint8_t host_vector)
{
    struct vpci_function *f = container_of(irq, struct vpci_function, msi.irq);
    struct vpci_msi *m = &f->msi;

    spin_lock(&msi_lock);
    if (m->host_data != host_vector) {
        m->host_data = host_vector;
        m->host_address = HOST_MESSAGE(host_apic_id);
        write_message_locked(f);
    } else if (m->host_address != HOST_MESSAGE(host_apic_id)) {
        m->host_address = HOST_MESSAGE(host_apic_id);
        vpci_hardware_write(f, offset_of(m, ADDRESS), 4, m->host_address);
    }
    spin_unlock(&msi_lock);
}

static void throttle(struct hwirq *irq, bool masked)
{
    struct vpci_function *f = container_of(irq, struct vpci_function, msi.irq);

    spin_lock(&msi_lock);
    f->msi.throttled = masked;
    write_mask_locked(f);
    spin_unlock(&msi_lock);
}

static const struct hwirq_operations plain = {.program = program};
static const struct hwirq_operations maskable = {.program = program, .mask = throttle};

/* --- the domain's side ---------------------------------------------------------------------------------- */

static bool bind(struct vpci_function *f)
{
    struct vpci_msi *m = &f->msi;
    struct hwirq_route route;

    if (!hwirq_route_of_message(m->address, m->data, &route))
        return false;
    if (m->irq.host_vector)
        return hwirq_set_route(&m->irq, &route) == 0;
    return hwirq_bind(f->domain, &m->irq, &route) == 0;
}

/* Also for a function that was reset and so forgot what it was told. */
static void enable(struct vpci_function *f)
{
    if (!bind(f)) {
        vpci_tell(f, "no vector for its MSI, or no message that could be one");
        vpci_msi_off_locked(f, true);
        return;
    }
    spin_lock(&msi_lock);
    write_message_locked(f);
    write_mask_locked(f);
    spin_unlock(&msi_lock);
    set_enable(f, true);
}

void vpci_msi_off_locked(struct vpci_function *f, bool touch)
{
    if (!f->msi.at)
        return;
    if (touch)
        set_enable(f, false);
    if (f->msi.irq.host_vector)
        hwirq_unbind(&f->msi.irq);
}

static void write_control(struct vpci_function *f, uint32_t value)
{
    if (!(value & CONTROL_ENABLE))
        vpci_msi_off_locked(f, true);
    else if (!(control(f) & CONTROL_ENABLE))
        enable(f);
}

uint32_t vpci_msi_read_locked(const struct vpci_function *f, unsigned index)
{
    const struct vpci_msi *m = &f->msi;

    switch (register_of(m, index)) {
    case CONTROL:
        return vpci_hardware_read(f, m->at, 4) & ~(CONTROL_MULTIPLE << 16);
    case ADDRESS:
        return (uint32_t)m->address;
    case ADDRESS_HIGH:
        return (uint32_t)(m->address >> 32);
    case DATA:
        return m->data;
    case MASK:
        return m->mask;
    default:
        return vpci_hardware_read(f, offset_of(m, PENDING), 4);
    }
}

void vpci_msi_write_locked(struct vpci_function *f, unsigned index, uint32_t value)
{
    struct vpci_msi *m = &f->msi;

    switch (register_of(m, index)) {
    case CONTROL:
        write_control(f, value >> 16);
        return;
    case ADDRESS:
        m->address = (m->address & ~0xffffffffull) | (value & ~3u);
        break;
    case ADDRESS_HIGH:
        m->address = (uint32_t)m->address | (uint64_t)value << 32;
        break;
    case DATA:
        m->data = (uint16_t)value;
        break;
    case MASK:
        spin_lock(&msi_lock);
        m->mask = value;
        write_mask_locked(f);
        spin_unlock(&msi_lock);
        return;
    default: /* pending bits are read-only */
        return;
    }
    if (m->irq.host_vector) /* between two writes it may be aimed at nothing: then it stays where it was */
        bind(f);
}

void vpci_msi_init(struct vpci_function *f, uint16_t at)
{
    struct vpci_msi *m = &f->msi;

    m->at = at;
    uint32_t value = control(f);
    m->wide = value & CONTROL_WIDE;
    m->maskable = value & CONTROL_MASKABLE;
    m->irq.operations = m->maskable ? &maskable : &plain;
    if (value & CONTROL_ENABLE) /* firmware's */
        set_enable(f, false);
}
