/*
 * Finds PCI functions, bridge by bridge, and offers them to drivers (drivers/pci.h). Functions stay known for
 * ever.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include "pci_internal.h"

#define DEVICES           32
#define FUNCTIONS         8
#define BUSES             256
#define NO_DEVICE         0xffff
#define MULTIFUNCTION     0x80
#define HEADER_BRIDGE     1
#define CLASS_STORAGE     0x01
#define CLASS_NETWORK     0x02
#define MOST_CAPABILITIES 48 /* as many as fit behind the header */
#define FIRST_CAPABILITY  0x40

#define BAR_PORT        1u
#define BAR_TYPE        6u
#define BAR_TYPE_64     4u
#define BAR_PORT_MASK   (~3u)
#define BAR_MEMORY_MASK (~15u)

struct pci_function *pci_functions;

const char *pci_name(const struct pci_function *f, char buf[PCI_NAME])
{
    if (f->segment)
        snprintf(buf, PCI_NAME, "%04x:%02x:%02x.%x", f->segment, f->bus, f->device, f->function);
    else
        snprintf(buf, PCI_NAME, "%02x:%02x.%x", f->bus, f->device, f->function);
    return buf;
}

uint16_t pci_capability(const struct pci_function *f, uint8_t id, uint16_t after)
{
    if (!(pci_read16(f, PCI_STATUS) & STATUS_CAPABILITIES))
        return 0;
    uint16_t at = after ? after + 1 : PCI_CAPABILITIES;
    for (unsigned i = 0; i < MOST_CAPABILITIES; i++, at++) {
        at = pci_read8(f, at) & 0xfc;
        if (at < FIRST_CAPABILITY)
            return 0;
        if (pci_read8(f, at) == id)
            return at;
    }
    return 0;
}

/* --- base address registers ----------------------------------------------------------------------------- */

/* What stays of all ones: the writable bits. The old value is put back. */
static uint32_t probe_register(const struct pci_function *f, uint16_t offset, uint32_t *old)
{
    *old = pci_read32(f, offset);
    pci_write32(f, offset, ~0u);
    uint32_t writable = pci_read32(f, offset);
    pci_write32(f, offset, *old);
    return writable;
}

/* Reads and sizes BAR n; returns how many registers it uses. */
static unsigned read_bar(struct pci_function *f, unsigned n)
{
    struct pci_bar *bar = &f->bar[n];
    uint32_t low, high = 0;
    uint32_t writable = probe_register(f, PCI_BAR(n), &low);
    if (low & BAR_PORT) {
        /* The upper half may be hard-wired to 0. */
        uint32_t mask = writable & BAR_PORT_MASK & 0xffff;
        *bar = (struct pci_bar){.address = low & BAR_PORT_MASK, .size = mask & -mask, .port = true};
        return 1;
    }
    uint64_t mask = writable & BAR_MEMORY_MASK;
    unsigned registers = (low & BAR_TYPE) == BAR_TYPE_64 && n < 5 ? 2 : 1;
    if (registers == 2)
        mask |= (uint64_t)probe_register(f, PCI_BAR(n + 1), &high) << 32;
    *bar = (struct pci_bar){.address = (low & BAR_MEMORY_MASK) | (uint64_t)high << 32, .size = mask & -mask};
    return registers;
}

static void read_bars(struct pci_function *f)
{
    uint16_t command = pci_read16(f, PCI_COMMAND);
    /* Half-written addresses must not be decoded. */
    pci_write16(f, PCI_COMMAND, command & (uint16_t) ~(COMMAND_PORTS | COMMAND_MEMORY));
    for (unsigned n = 0; n < 6;)
        n += read_bar(f, n);
    pci_write16(f, PCI_COMMAND, command);
}

volatile void *pci_bar_map(const struct pci_function *f, unsigned bar, uint64_t offset, uint64_t size)
{
    if (bar >= 6 || f->bar[bar].port || size > f->bar[bar].size || offset > f->bar[bar].size - size)
        return NULL;
    if (!f->bar[bar].address) {
        char name[PCI_NAME];
        print("%s: the firmware gave BAR %u no address\n", pci_name(f, name), bar);
        return NULL;
    }
    return registers_map(f->bar[bar].address + offset, size);
}

void pci_enable(struct pci_function *f)
{
    uint16_t command = pci_read16(f, PCI_COMMAND);
    pci_write16(f, PCI_COMMAND, command | COMMAND_PORTS | COMMAND_MEMORY | COMMAND_MASTER);
}

void pci_disable(struct pci_function *f)
{
    pci_write16(f, PCI_COMMAND, pci_read16(f, PCI_COMMAND) & (uint16_t)~COMMAND_MASTER);
    pci_read16(f, PCI_COMMAND); /* pushes what the device wrote before in front of it */
}

/* --- the scan ------------------------------------------------------------------------------------------- */

struct scan {
    struct pci_function **tail;
    struct pci_window window; /* base 0: ports */
    uint8_t seen[BUSES / 8];  /* buses that were looked at, so that bridges that lie make no loops */
    uint8_t waiting[BUSES];   /* buses that bridges lead to */
    unsigned waiting_count;
};

static void read_function(struct pci_function *f, uint8_t header_type)
{
    uint32_t class = pci_read32(f, PCI_REVISION);
    f->revision = (uint8_t) class;
    f->interface = (uint8_t)(class >> 8);
    f->subclass = (uint8_t)(class >> 16);
    f->class_code = (uint8_t)(class >> 24);
    /* The rest stays as the firmware left it: taking its addresses away for a moment may do harm. */
    if (header_type || (f->class_code != CLASS_STORAGE && f->class_code != CLASS_NETWORK))
        return;
    uint32_t subsystem = pci_read32(f, PCI_SUBSYSTEM_VENDOR);
    f->subsystem_vendor_id = (uint16_t)subsystem;
    f->subsystem_id = (uint16_t)(subsystem >> 16);
    uint16_t interrupt = pci_read16(f, PCI_INTERRUPT_LINE);
    f->interrupt_line = (uint8_t)interrupt;
    f->interrupt_pin = (uint8_t)(interrupt >> 8);
    f->msi = pci_capability(f, CAPABILITY_MSI, 0);
    f->msix = pci_capability(f, CAPABILITY_MSIX, 0);
    read_bars(f);
}

static void add_waiting(struct scan *scan, uint8_t bus)
{
    uint8_t bit = (uint8_t)(1 << bus % 8);
    if (bus < scan->window.first_bus || bus > scan->window.last_bus || scan->seen[bus / 8] & bit)
        return;
    scan->seen[bus / 8] |= bit;
    scan->waiting[scan->waiting_count++] = bus;
}

/* Returns the header type, or all ones where nothing answers. */
static uint8_t scan_function(struct scan *scan, uint8_t bus, uint8_t device, uint8_t function)
{
    struct pci_function here = {.window_base = scan->window.base,
                                .segment = scan->window.segment,
                                .bus = bus,
                                .device = device,
                                .function = function};
    uint32_t id = pci_read32(&here, PCI_VENDOR_ID);
    if ((uint16_t)id == NO_DEVICE)
        return 0xff;
    uint8_t header = pci_read8(&here, PCI_HEADER_TYPE);
    here.vendor_id = (uint16_t)id;
    here.device_id = (uint16_t)(id >> 16);
    read_function(&here, header & (uint8_t)~MULTIFUNCTION);
    if ((header & (uint8_t)~MULTIFUNCTION) == HEADER_BRIDGE)
        add_waiting(scan, pci_read8(&here, PCI_SECONDARY_BUS));
    struct pci_function *f = mem_alloc(sizeof *f);
    if (f) {
        *f = here;
        *scan->tail = f;
        scan->tail = &f->next;
    }
    return header;
}

static void scan_bus(struct scan *scan, uint8_t bus)
{
    for (uint8_t device = 0; device < DEVICES; device++) {
        uint8_t header = scan_function(scan, bus, device, 0);
        if (header == 0xff || !(header & MULTIFUNCTION))
            continue;
        for (uint8_t function = 1; function < FUNCTIONS; function++)
            scan_function(scan, bus, device, function);
    }
}

static void scan_window(const struct pci_window *window)
{
    struct scan scan = {.tail = &pci_functions, .window = *window};
    while (*scan.tail)
        scan.tail = &(*scan.tail)->next;
    add_waiting(&scan, window->first_bus);
    uint8_t root;
    for (unsigned i = 0; !window->segment && pci_root_bus(i, &root); i++)
        add_waiting(&scan, root);
    for (unsigned i = 0; i < scan.waiting_count; i++)
        scan_bus(&scan, scan.waiting[i]);
}

void pci_scan(void)
{
    struct pci_window window;
    unsigned windows = 0;
    for (; pci_window(windows, &window); windows++)
        scan_window(&window);
    if (!windows)
        scan_window(&(struct pci_window){.last_bus = BUSES - 1});
}

void pci_probe(void)
{
    for (struct pci_function *f = pci_functions; f; f = f->next)
        for (size_t i = 0; i < pci_driver_count && !f->driver; i++)
            if (pci_drivers[i]->probe(f))
                f->driver = pci_drivers[i];
}
