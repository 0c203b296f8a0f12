/*
 * Virtio's PCI transport, modern interface (virtio.h; Virtio 1.2, section 4.1). Handler context, but
 * virtio_open() may switch.
 */
#include <dom0/below.h>
#include "virtio.h"

#define VENDOR_VIRTIO     0x1af4
#define DEVICE_MODERN     0x1040 /* and the device's id */
#define DEVICE_TRANSITION 0x1000 /* to 0x103f; the device's id is the subsystem's */
#define CAPABILITY_VENDOR 0x09
#define CONFIG_TRIES      100
#define ISR_QUEUE         1u
#define ISR_CONFIG        2u
#define MILLISECOND       1000000ull

/* A vendor capability (4.1.4), offsets in it. */
#define CAP_TYPE       3
#define CAP_BAR        4
#define CAP_OFFSET     8
#define CAP_LENGTH     12
#define CAP_MULTIPLIER 16
enum { TYPE_COMMON = 1, TYPE_NOTIFY, TYPE_ISR, TYPE_DEVICE };

/* Registers of the common configuration (4.1.4.3). */
#define DEVICE_FEATURE_SELECT 0x00
#define DEVICE_FEATURE        0x04
#define DRIVER_FEATURE_SELECT 0x08
#define DRIVER_FEATURE        0x0c
#define CONFIG_INTERRUPT      0x10
#define DEVICE_STATUS         0x14
#define CONFIG_GENERATION     0x15
#define QUEUE_SELECT          0x16
#define QUEUE_SIZE            0x18
#define QUEUE_INTERRUPT       0x1a
#define QUEUE_ENABLE          0x1c
#define QUEUE_NOTIFY_OFFSET   0x1e
#define QUEUE_DESCRIPTORS     0x20
#define QUEUE_AVAILABLE       0x28
#define QUEUE_USED            0x30
#define COMMON_SIZE           0x38

#define STATUS_ACKNOWLEDGE 0x01
#define STATUS_DRIVER      0x02
#define STATUS_DRIVER_OK   0x04
#define STATUS_FEATURES_OK 0x08
#define STATUS_NEEDS_RESET 0x40
#define STATUS_GONE        0xff

static uint8_t read8(const struct virtio *v, unsigned r)
{
    return *(volatile uint8_t *)(v->common + r);
}

static void write8(struct virtio *v, unsigned r, uint8_t value)
{
    *(volatile uint8_t *)(v->common + r) = value;
}

static uint16_t read16(const struct virtio *v, unsigned r)
{
    return *(volatile uint16_t *)(v->common + r);
}

static void write16(struct virtio *v, unsigned r, uint16_t value)
{
    *(volatile uint16_t *)(v->common + r) = value;
}

static uint32_t read32(const struct virtio *v, unsigned r)
{
    return *(volatile uint32_t *)(v->common + r);
}

static void write32(struct virtio *v, unsigned r, uint32_t value)
{
    *(volatile uint32_t *)(v->common + r) = value;
}

static void write64(struct virtio *v, unsigned r, uint64_t value)
{
    write32(v, r, (uint32_t)value);
    write32(v, r + 4, (uint32_t)(value >> 32));
}

/* --- reset and features --------------------------------------------------------------------------------- */

void virtio_reset_begin(struct virtio *v)
{
    write8(v, DEVICE_STATUS, 0);
}

bool virtio_reset_is_done(struct virtio *v)
{
    return read8(v, DEVICE_STATUS) == 0;
}

bool virtio_is_broken(struct virtio *v)
{
    uint8_t status = read8(v, DEVICE_STATUS);
    return status == STATUS_GONE || status & STATUS_NEEDS_RESET;
}

uint64_t virtio_offers(struct virtio *v)
{
    write32(v, DEVICE_FEATURE_SELECT, 0);
    uint64_t low = read32(v, DEVICE_FEATURE);
    write32(v, DEVICE_FEATURE_SELECT, 1);
    return low | (uint64_t)read32(v, DEVICE_FEATURE) << 32;
}

/* Writes the number of an MSI-X vector, which the device takes or does not. */
static bool set_interrupt(struct virtio *v, unsigned r, unsigned interrupt)
{
    if (v->pci->interrupt_kind != PCI_MSIX)
        return true;
    write16(v, r, (uint16_t)interrupt);
    return read16(v, r) == interrupt;
}

bool virtio_negotiate(struct virtio *v, uint64_t wanted)
{
    wanted |= VIRTIO_VERSION_1 | VIRTIO_INDIRECT | VIRTIO_EVENT_INDEX | VIRTIO_ACCESS_PLATFORM |
              VIRTIO_ORDER_PLATFORM;
    write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE);
    write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    v->features = virtio_offers(v) & wanted;
    if (!(v->features & VIRTIO_VERSION_1))
        return false;
    write32(v, DRIVER_FEATURE_SELECT, 0);
    write32(v, DRIVER_FEATURE, (uint32_t)v->features);
    write32(v, DRIVER_FEATURE_SELECT, 1);
    write32(v, DRIVER_FEATURE, (uint32_t)(v->features >> 32));
    write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    return read8(v, DEVICE_STATUS) == (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK) &&
           set_interrupt(v, CONFIG_INTERRUPT, v->interrupts - 1);
}

void virtio_start(struct virtio *v)
{
    write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

void virtio_config(struct virtio *v, uint32_t offset, void *to, size_t size)
{
    /* The device may change it between two reads. */
    for (unsigned i = 0; i < CONFIG_TRIES; i++) {
        uint8_t generation = read8(v, CONFIG_GENERATION);
        for (size_t n = 0; n < size; n++)
            ((uint8_t *)to)[n] = offset + n < v->config_size ? (uint8_t)v->config[offset + n] : 0;
        if (read8(v, CONFIG_GENERATION) == generation)
            break;
    }
}

/* --- queues and interrupts ------------------------------------------------------------------------------ */

uint16_t virtio_queue_size(struct virtio *v, uint16_t queue)
{
    write16(v, QUEUE_SELECT, queue);
    return read16(v, QUEUE_SIZE);
}

bool virtio_queue_start(struct virtio *v, uint16_t queue, struct virtio_ring *ring)
{
    if (virtio_queue_size(v, queue) < ring->size)
        return false;
    write16(v, QUEUE_SIZE, ring->size);
    write64(v, QUEUE_DESCRIPTORS, dma_address(ring->descriptors));
    write64(v, QUEUE_AVAILABLE, dma_address(ring->available));
    write64(v, QUEUE_USED, dma_address(ring->used));
    uint64_t notify = (uint64_t)read16(v, QUEUE_NOTIFY_OFFSET) * v->notify_multiplier;
    if (notify > v->notify_size - sizeof *ring->notify || !set_interrupt(v, QUEUE_INTERRUPT, 0))
        return false;
    ring->notify = (volatile uint16_t *)(v->notify + notify);
    ring->notify_value = queue;
    write16(v, QUEUE_ENABLE, 1);
    return true;
}

/* One interrupt serves all queues, as dom0 has one CPU; another the configuration, which is slow to read. */
static void interrupt(void *arg)
{
    const struct virtio_interrupt *i = arg;
    struct virtio *v = i->device;
    bool queues = !i->config, config = i->config || v->interrupts == 1;
    if (v->pci->interrupt_kind != PCI_MSIX) {
        /* Reading acknowledges it. */
        uint8_t isr = *(volatile uint8_t *)v->isr;
        queues = isr & ISR_QUEUE;
        config = isr & ISR_CONFIG;
    }
    if (queues && v->state == VIRTIO_READY)
        v->driver->queues(v);
    if (!config || v->state != VIRTIO_READY)
        return;
    if (virtio_is_broken(v))
        virtio_fail(v, "the device asks for it");
    else
        v->driver->config(v);
}

static bool prepare_interrupts(struct virtio *v)
{
    v->interrupt[0] = (struct virtio_interrupt){.device = v, .config = false};
    v->interrupt[1] = (struct virtio_interrupt){.device = v, .config = true};
    void *const args[] = {&v->interrupt[0], &v->interrupt[1]};
    v->interrupts = pci_interrupts(v->pci, 2, interrupt, args);
    return v->interrupts;
}

/* --- from the PCI function to the device ---------------------------------------------------------------- */

bool virtio_is(const struct pci_function *f, unsigned id)
{
    if (f->vendor_id != VENDOR_VIRTIO)
        return false;
    return f->device_id == DEVICE_MODERN + id ||
           (f->device_id >= DEVICE_TRANSITION && f->device_id < DEVICE_MODERN && f->subsystem_id == id);
}

/*
 * Maps what the first capability of that type names that can be mapped; least: how many bytes there must be.
 */
static volatile char *map_part(struct pci_function *f, unsigned type, uint64_t least, uint64_t *size,
                               uint16_t *where)
{
    for (uint16_t at = 0; (at = pci_capability(f, CAPABILITY_VENDOR, at));) {
        if (pci_read8(f, at + CAP_TYPE) != type)
            continue;
        uint32_t length = pci_read32(f, at + CAP_LENGTH), offset = pci_read32(f, at + CAP_OFFSET);
        volatile char *part =
            length < least ? NULL : pci_bar_map(f, pci_read8(f, at + CAP_BAR), offset, length);
        if (!part)
            continue;
        *size = length;
        *where = at;
        return part;
    }
    return NULL;
}

static bool map_registers(struct virtio *v)
{
    uint64_t size;
    uint16_t at;
    v->config = map_part(v->pci, TYPE_DEVICE, 1, &v->config_size, &at);
    v->isr = map_part(v->pci, TYPE_ISR, 1, &size, &at);
    v->common = map_part(v->pci, TYPE_COMMON, COMMON_SIZE, &size, &at);
    v->notify = map_part(v->pci, TYPE_NOTIFY, sizeof(uint16_t), &v->notify_size, &at);
    if (v->notify)
        v->notify_multiplier = pci_read32(v->pci, at + CAP_MULTIPLIER);
    return v->config && v->isr && v->common && v->notify;
}

static bool reset_and_wait(struct virtio *v)
{
    uint64_t deadline = time_ns() + VIRTIO_RESET_TIME;
    virtio_reset_begin(v);
    while (!virtio_reset_is_done(v)) {
        if (time_ns() >= deadline)
            return false;
        thread_sleep(MILLISECOND);
    }
    return true;
}

bool virtio_open(struct virtio *v, struct pci_function *f, const struct virtio_driver *driver)
{
    const char *why = NULL;
    char name[PCI_NAME];
    *v = (struct virtio){.pci = f, .driver = driver};
    pci_enable(f);
    if (!map_registers(v))
        why = "a virtio device without the registers of virtio 1.0; QEMU: leave out disable-modern=on";
    else if (!reset_and_wait(v))
        why = "the virtio device does not come out of its reset";
    else if (!prepare_interrupts(v))
        why = "no interrupt for the virtio device: neither MSI-X nor a pin that the firmware routed";
    if (!why)
        return true;
    print("%s: %s\n", pci_name(f, name), why);
    pci_disable(f);
    return false;
}

void virtio_close(struct virtio *v)
{
    virtio_reset_begin(v);
    pci_disable(v->pci);
    pci_interrupts_off(v->pci);
}
