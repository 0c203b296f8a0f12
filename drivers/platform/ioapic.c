/*
 * IO-APICs (82093AA; x86/ioapic.h). The registers of one are reached through an index and a data window, so
 * each access takes ioapic_lock.
 */
#include <hv/lock.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/ioapic.h>
#include <x86/paging.h>

#define IOREGSEL            0x00
#define IOWIN               0x10
#define REGISTER_VERSION    0x01
#define REGISTER_ENTRY(pin) (0x10 + 2 * (pin))
#define ENTRY_LOW           (1u << 13)
#define ENTRY_LEVEL         (1u << 15)
#define ENTRY_MASKED        (1u << 16)

struct ioapic {
    char *registers;
    uint32_t gsi_base, pins;
};

static struct ioapic ioapics[ACPI_MAX_IOAPICS];
static uint32_t ioapic_count;
static spinlock_t ioapic_lock = SPINLOCK_INIT(LOCK_DEVICE);

static uint32_t read(const struct ioapic *io, uint32_t r)
{
    mmio_write32(io->registers + IOREGSEL, r);
    return mmio_read32(io->registers + IOWIN);
}

static void write(const struct ioapic *io, uint32_t r, uint32_t value)
{
    mmio_write32(io->registers + IOREGSEL, r);
    mmio_write32(io->registers + IOWIN, value);
}

static const struct ioapic *find(uint32_t gsi, uint32_t *pin)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        *pin = gsi - ioapics[i].gsi_base;
        if (gsi >= ioapics[i].gsi_base && *pin < ioapics[i].pins)
            return &ioapics[i];
    }
    return NULL;
}

INIT_CODE void ioapic_init(void)
{
    for (uint32_t i = 0; i < acpi.ioapics; i++) {
        struct ioapic *io = &ioapics[ioapic_count];
        io->registers = map_device(acpi.ioapic[i].address, PAGE_SIZE);
        if (!io->registers)
            boot_fail("too little memory to map an IO-APIC");
        uint32_t version = read(io, REGISTER_VERSION);
        if (version == UINT32_MAX) {
            printk(LOG_WARNING "IO-APIC %u does not answer\n", acpi.ioapic[i].id);
            continue;
        }
        io->pins = (version >> 16 & 0xff) + 1;
        io->gsi_base = acpi.ioapic[i].gsi_base;
        for (uint32_t pin = 0; pin < io->pins; pin++)
            write(io, REGISTER_ENTRY(pin), ENTRY_MASKED);
        ioapic_count++;
    }
}

bool ioapic_route(uint32_t gsi, const struct ioapic_route *route)
{
    uint32_t pin;
    const struct ioapic *io = find(gsi, &pin);
    if (!io)
        return false;
    uint32_t low = route->vector | (route->low ? ENTRY_LOW : 0) | (route->level ? ENTRY_LEVEL : 0);
    spin_lock(&ioapic_lock);
    write(io, REGISTER_ENTRY(pin), low | ENTRY_MASKED); /* never half of the old and half of the new */
    write(io, REGISTER_ENTRY(pin) + 1, route->apic_id << 24);
    write(io, REGISTER_ENTRY(pin), low);
    spin_unlock(&ioapic_lock);
    return true;
}
