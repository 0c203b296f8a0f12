/*
 * I/O ports: a PVH guest has none, dom0 has the machine's.
 *
 * dom0's bitmap lets through all ports but those of what Hospes itself drives: interrupt controllers, timer, its serial
 * line and PCI's configuration ports. At ports where nothing is, reads give all ones and writes go nowhere.
 * Port 0xE9 takes text from any guest, as in Bochs and QEMU.
 *
 * Locking: none. The bitmaps are written before the domain's first vCPU exists.
 */
#include <hv/console.h>
#include <hv/frame.h>
#include <lib/string.h>
#include <x86/pci.h>
#include <x86/msr.h>
#include <xen/errno.h>
#include "exit.h"
#include "guest_access.h"

#define BITMAP_ORDER 2 /* SVM reads three pages, VMX two */
#define BITMAP_SIZE  (PAGE_SIZE << BITMAP_ORDER)

#define PORT_TEXT          0xe9
#define PORT_PIT_FIRST     0x40
#define PORT_PIT_LAST      0x42
#define PORT_PCI_ADDRESS   0xcf8
#define PORT_PCI_DATA      0xcfc
#define PCI_ADDRESS_ENABLE 0x80000000u

/* A string instruction moves at most so many items per exit; with some left, RIP stays. */
#define STRING_ITEMS 64u

static uint64_t *trap_all;

static const struct port_range {
    uint16_t first, last;
} kept[] = {
    {0x20, 0x21},
    {0xa0, 0xa1},
    {0x4d0, 0x4d1},                      /* 8259 */
    {PORT_PIT_FIRST, PORT_PIT_LAST + 1}, /* 8254 */
    {PORT_TEXT, PORT_TEXT},
    {0x3f8, 0x3ff}, /* com1 */
    {PORT_PCI_ADDRESS, PORT_PCI_DATA + 3},
};

INIT_CODE void io_init(void)
{
    trap_all = page_alloc(BITMAP_ORDER);
    if (trap_all)
        memset(trap_all, 0xff, BITMAP_SIZE);
}

int io_domain_init(struct domain *d)
{
    d->arch->io_bitmap = trap_all;
    if (!d->privileged)
        return trap_all ? 0 : -XEN_ENOMEM;
    uint64_t *bitmap = page_alloc(BITMAP_ORDER);
    if (!bitmap)
        return -XEN_ENOMEM;
    memset((char *)bitmap + 0x10000 / 8, 0xff, BITMAP_SIZE - 0x10000 / 8); /* accesses that wrap around */
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        for (uint32_t port = kept[i].first; port <= kept[i].last; port++)
            bitmap[port / 64] |= 1ull << port % 64;
    }
    d->arch->io_bitmap = bitmap;
    return 0;
}

void io_domain_free(struct domain *d)
{
    if (d->arch->io_bitmap != trap_all)
        page_free(d->arch->io_bitmap, BITMAP_ORDER);
}

/* --- PCI configuration, dom0 only ----------------------------------------------------------------------------- */

/* False: the address names nothing. */
static bool pci_target(const struct domain *d, uint16_t port, struct pci_address *where, uint16_t *offset)
{
    uint32_t address = d->arch->pci_address;
    *where = (struct pci_address){.bus = (uint8_t)(address >> 16),
                                  .device = (uint8_t)(address >> 11 & 0x1f),
                                  .function = (uint8_t)(address >> 8 & 7)};
    *offset = (uint16_t)((address & 0xfc) | (port & 3));
    return address & PCI_ADDRESS_ENABLE;
}

static uint32_t pci_in(const struct domain *d, uint16_t port, unsigned size)
{
    struct pci_address where;
    uint16_t offset;
    if (port == PORT_PCI_ADDRESS && size == 4)
        return d->arch->pci_address;
    if (port < PORT_PCI_DATA || (port & (size - 1)) || !pci_target(d, port, &where, &offset))
        return ~0u;
    return pci_config_read(where, offset, size);
}

static void pci_out(struct domain *d, uint16_t port, unsigned size, uint32_t value)
{
    struct pci_address where;
    uint16_t offset;
    if (port == PORT_PCI_ADDRESS && size == 4)
        d->arch->pci_address = value;
    else if (port >= PORT_PCI_DATA && !(port & (size - 1)) && pci_target(d, port, &where, &offset))
        pci_config_write(where, offset, size, value);
}

static bool is_pci(const struct domain *d, uint16_t port)
{
    return d->privileged && port >= PORT_PCI_ADDRESS && port <= PORT_PCI_DATA + 3;
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

static uint32_t port_in(struct domain *d, uint16_t port, unsigned size)
{
    if (is_pci(d, port))
        return pci_in(d, port, size);
    if (port >= PORT_PIT_FIRST && port <= PORT_PIT_LAST)
        return 0; /* Linux tries to calibrate by these counters, and gives up fastest on one that stands at zero */
    return port == PORT_TEXT ? PORT_TEXT : ~0u; /* reading its own number tells that it is there */
}

static void port_out(struct domain *d, uint16_t port, unsigned size, uint32_t value)
{
    char c = (char)value;
    if (is_pci(d, port))
        pci_out(d, port, size, value);
    else if (port == PORT_TEXT)
        console_write_guest(d, &c, 1);
}

/* INS and OUTS, in 64-bit mode or with flat segments as every guest has them: bases count, limits do not. */
static void string_io(struct vcpu *v, const struct vmexit *exit)
{
    uint64_t *gpr = v->arch->gpr;
    uint64_t *pointer = &gpr[exit->io.in ? RDI : RSI];
    struct segment cs, data;
    vendor->get_segment(v, SEG_CS, &cs);
    vendor->get_segment(v, exit->io.in ? SEG_ES : SEG_DS, &data);
    bool code64 = cs.access & SEGMENT_L;
    uint64_t mask = code64 ? ~0ull : 0xffffffffull, base = code64 ? 0 : data.base;
    uint64_t count = exit->io.rep ? gpr[RCX] & mask : 1;
    uint64_t step = v->arch->rflags & RFLAGS_DF ? -(uint64_t)exit->io.size : exit->io.size;

    for (unsigned done = 0; count && done < STRING_ITEMS; done++, count--) {
        uint32_t value = exit->io.in ? port_in(v->domain, exit->io.port, exit->io.size) : 0, error_code;
        gva_t at = GVA((base + *pointer) & mask), fault;
        enum walk_result result = guest_linear_access(
            v, at, &value, exit->io.size, exit->io.in ? ACCESS_WRITE : ACCESS_READ, &error_code, &fault);
        if (result == WALK_FAULT) {
            inject_page_fault(v, fault.v, error_code);
            return;
        }
        if (!exit->io.in && result == WALK_OK)
            port_out(v->domain, exit->io.port, exit->io.size, value);
        *pointer = (*pointer + step) & mask;
        if (exit->io.rep)
            gpr[RCX] = (gpr[RCX] & ~mask) | (count - 1);
    }
    if (!count)
        advance_rip(v, exit->instruction_length);
}

void exit_io(struct vcpu *v, const struct vmexit *exit)
{
    uint64_t *rax = &v->arch->gpr[RAX];
    if (unlikely(exit->io.string)) {
        string_io(v, exit);
        return;
    }
    uint64_t mask = exit->io.size == 4 ? 0xffffffffull : (1ull << 8 * exit->io.size) - 1;
    if (!exit->io.in)
        port_out(v->domain, exit->io.port, exit->io.size, (uint32_t)(*rax & mask));
    else
        *rax = (exit->io.size == 4 ? 0 : *rax & ~mask) |
               (port_in(v->domain, exit->io.port, exit->io.size) & mask);
    advance_rip(v, exit->instruction_length);
}
