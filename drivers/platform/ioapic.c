/*
 * IO-APICs (82093AA; x86/ioapic.h). The registers of one are reached through an index and a data window, so
 * each access takes ioapic_lock, which also guards what is remembered of the pins.
 */
#include <hv/frame.h>
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
    struct ioapic_info info;
    struct pin *pin;
};

struct pin {
    const struct ioapic *io;
    uint32_t low; /* of its entry, without the mask */
    uint32_t high;
    uint8_t number;
    uint8_t masked; /* bits of enum ioapic_mask */
    bool kept;
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

static struct pin *find(uint32_t gsi)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        uint32_t number = gsi - ioapics[i].info.gsi_base;
        if (gsi >= ioapics[i].info.gsi_base && number < ioapics[i].info.pins)
            return &ioapics[i].pin[number];
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
        io->info = (struct ioapic_info){
            .address = acpi.ioapic[i].address,
            .id = acpi.ioapic[i].id,
            .gsi_base = acpi.ioapic[i].gsi_base,
            .pins = (version >> 16 & 0xff) + 1,
            .version = (uint8_t)version,
        };
        io->pin = heap_alloc(io->info.pins * sizeof io->pin[0]);
        if (!io->pin)
            boot_fail("too little memory for an IO-APIC");
        for (uint32_t pin = 0; pin < io->info.pins; pin++) {
            io->pin[pin] = (struct pin){.io = io, .number = (uint8_t)pin, .masked = IOAPIC_MASK_DOMAIN};
            write(io, REGISTER_ENTRY(pin), ENTRY_MASKED);
        }
        ioapic_count++;
    }
}

bool ioapic_describe(unsigned index, struct ioapic_info *info)
{
    if (index >= ioapic_count)
        return false;
    *info = ioapics[index].info;
    return true;
}

/* --- entries -------------------------------------------------------------------------------------------- */

static void write_low_locked(const struct pin *pin)
{
    write(pin->io, REGISTER_ENTRY(pin->number), pin->low | (pin->masked ? ENTRY_MASKED : 0));
}

static void aim_locked(struct pin *pin, const struct ioapic_route *route)
{
    uint32_t low = route->vector | (route->low ? ENTRY_LOW : 0) | (route->level ? ENTRY_LEVEL : 0);
    uint32_t high = route->apic_id << 24;
    bool changes = low != pin->low;
    if (changes) /* never half of the old and half of the new */
        write(pin->io, REGISTER_ENTRY(pin->number), low | ENTRY_MASKED);
    if (changes || high != pin->high)
        write(pin->io, REGISTER_ENTRY(pin->number) + 1, high);
    pin->low = low;
    pin->high = high;
    if (changes && !pin->masked)
        write_low_locked(pin);
}

bool ioapic_route(uint32_t gsi, const struct ioapic_route *route)
{
    struct pin *pin = find(gsi);
    if (!pin)
        return false;
    spin_lock(&ioapic_lock);
    pin->kept = true;
    pin->masked = 0;
    aim_locked(pin, route);
    spin_unlock(&ioapic_lock);
    return true;
}

void ioapic_aim(uint32_t gsi, const struct ioapic_route *route)
{
    spin_lock(&ioapic_lock);
    aim_locked(find(gsi), route);
    spin_unlock(&ioapic_lock);
}

/* --- masks ---------------------------------------------------------------------------------------------- */

bool ioapic_kept(uint32_t gsi)
{
    return find(gsi)->kept;
}

static void set_masked_locked(struct pin *pin, uint8_t masked)
{
    bool changes = !pin->masked != !masked;
    pin->masked = masked;
    if (changes)
        write_low_locked(pin);
}

void ioapic_mask(uint32_t gsi, enum ioapic_mask why)
{
    struct pin *pin = find(gsi);
    spin_lock(&ioapic_lock);
    set_masked_locked(pin, pin->masked | (uint8_t)why);
    spin_unlock(&ioapic_lock);
}

void ioapic_unmask(uint32_t gsi, enum ioapic_mask why)
{
    struct pin *pin = find(gsi);
    spin_lock(&ioapic_lock);
    set_masked_locked(pin, pin->masked & (uint8_t)~why);
    spin_unlock(&ioapic_lock);
}

bool ioapic_hold(uint32_t gsi)
{
    struct pin *pin = find(gsi);
    spin_lock(&ioapic_lock);
    bool deliver = !(pin->masked & (IOAPIC_MASK_DOMAIN | IOAPIC_MASK_SERVICE));
    if (deliver)
        set_masked_locked(pin, pin->masked | IOAPIC_MASK_SERVICE);
    spin_unlock(&ioapic_lock);
    return deliver;
}

bool ioapic_in_service(uint32_t gsi)
{
    return READ_ONCE(find(gsi)->masked) & IOAPIC_MASK_SERVICE;
}
