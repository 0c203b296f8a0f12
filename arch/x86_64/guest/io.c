/*
 * I/O ports: a PVH guest has none, dom0 has the machine's.
 *
 * dom0's bitmap lets through all ports but those of what Hospes itself drives: interrupt controllers, timer,
 * its serial line and PCI's configuration ports. At ports where nothing is, reads give all ones and writes go
 * nowhere. ACPI's power management control (PM1, ACPI 4.8.3.2) passes through, too, but for the bit that puts
 * the machine to sleep: that is an orderly end, or nothing. Port 0xE9 takes text from any guest, as in Bochs
 * and QEMU.
 *
 * Locking: none. The bitmaps are written before the domain's first vCPU exists.
 */
#include <hv/console.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/printk.h>
#include <lib/string.h>
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/msr.h>
#include <xen/errno.h>
#include "exit.h"
#include "guest_access.h"
#include "vpci.h"

#define BITMAP_ORDER 2 /* SVM reads three pages, VMX two */
#define BITMAP_SIZE  (PAGE_SIZE << BITMAP_ORDER)

#define PORT_TEXT      0xe9
#define PORT_PIT_FIRST 0x40
#define PORT_PIT_LAST  0x42

/* A string instruction moves at most so many items per exit; with some left, RIP stays. */
#define STRING_ITEMS 64u

#define PM1_SIZE         2u
#define PM1_SLEEP_ENABLE 0x20u /* both of the register's second byte */
#define PM1_SLEEP_TYPE   0x1cu

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
    {PORT_PCI_FIRST, PORT_PCI_LAST},
};

INIT_CODE void io_init(void)
{
    trap_all = page_alloc(BITMAP_ORDER);
    if (trap_all)
        memset(trap_all, 0xff, BITMAP_SIZE);
}

static void trap(uint64_t *bitmap, uint32_t first, uint32_t last)
{
    for (uint32_t port = first; port <= last; port++)
        bitmap[port / 64] |= 1ull << port % 64;
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
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
        trap(bitmap, kept[i].first, kept[i].last);
    if (acpi.pm1a_control)
        trap(bitmap, acpi.pm1a_control, acpi.pm1a_control + PM1_SIZE - 1);
    if (acpi.pm1b_control)
        trap(bitmap, acpi.pm1b_control, acpi.pm1b_control + PM1_SIZE - 1);
    d->arch->io_bitmap = bitmap;
    return 0;
}

void io_domain_free(struct domain *d)
{
    if (d->arch->io_bitmap != trap_all)
        page_free(d->arch->io_bitmap, BITMAP_ORDER);
}

static bool is_pci(const struct domain *d, uint16_t port)
{
    return d->privileged && port >= PORT_PCI_FIRST && port <= PORT_PCI_LAST;
}

/* --- ACPI's power management, dom0 only ----------------------------------------------------------------- */

static bool touches(uint16_t port, unsigned size, uint16_t reg)
{
    return reg && port < reg + PM1_SIZE && reg < port + size;
}

static bool is_pm1(const struct domain *d, uint16_t port, unsigned size)
{
    return d->privileged &&
           (touches(port, size, acpi.pm1a_control) || touches(port, size, acpi.pm1b_control));
}

/* Power off, if value would put the machine to sleep by the register at reg. Returns what may be written. */
static uint32_t without_sleep(struct domain *d, uint16_t port, unsigned size, uint32_t value, uint16_t reg,
                              uint8_t s5_type)
{
    uint32_t upper = (uint32_t)(reg + 1 - port);
    if (!touches(port, size, reg) || upper >= size || !(value >> 8 * upper & PM1_SLEEP_ENABLE))
        return value;
    uint32_t type = (value >> 8 * upper & PM1_SLEEP_TYPE) >> 2;
    if (!acpi.has_s5 || type == s5_type)
        domain_shutdown(d, SHUTDOWN_poweroff);
    else
        guest_printk(d, "a sleep of type %u was asked for; the machine stays awake", type);
    return value & ~(PM1_SLEEP_ENABLE << 8 * upper);
}

static void pm1_out(struct domain *d, uint16_t port, unsigned size, uint32_t value)
{
    value = without_sleep(d, port, size, value, acpi.pm1a_control, acpi.s5_type_a);
    value = without_sleep(d, port, size, value, acpi.pm1b_control, acpi.s5_type_b);
    if (size == 1)
        outb(port, (uint8_t)value);
    else if (size == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}

static uint32_t pm1_in(uint16_t port, unsigned size)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

/* --- ports ---------------------------------------------------------------------------------------------- */

static uint32_t port_in(struct domain *d, uint16_t port, unsigned size)
{
    if (is_pci(d, port))
        return vpci_in(d, port, size);
    if (is_pm1(d, port, size))
        return pm1_in(port, size);
    if (port >= PORT_PIT_FIRST && port <= PORT_PIT_LAST)
        return 0; /* Linux tries to calibrate by these counters, and gives up fastest on one that stands at
                     zero */
    return port == PORT_TEXT ? PORT_TEXT : ~0u; /* reading its own number tells that it is there */
}

static void port_out(struct domain *d, uint16_t port, unsigned size, uint32_t value)
{
    char c = (char)value;
    if (is_pci(d, port))
        vpci_out(d, port, size, value);
    else if (is_pm1(d, port, size))
        pm1_out(d, port, size, value);
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
