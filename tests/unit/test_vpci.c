/* sources: arch/x86_64/guest/vpci.c arch/x86_64/guest/vpci_function.c arch/x86_64/guest/vpci_msi.c
 * arch/x86_64/guest/vpci_msix.c tests/unit/fake/pci_world.c */
/* cflags: -Iarch/x86_64/include */
/* PCI configuration space as dom0 sees it, over functions made of bytes: both ways of access, MSI, MSI-X,
 * what is hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/pci.h>
#include <xen/errno.h>
#include "fake/pci_world.h"

#define MSI_ENABLE   0x0001u
#define MSIX_ENABLE  0x8000u
#define MSIX_MASK    0x4000u
#define MSIX_ENTRIES 5u
#define MESSAGE      0xfee00000u
#define BAR_AT       0xfe000000u
#define TABLE_AT     (BAR_AT + 0x2800u) /* in the middle of a page */

static int fresh(void **state)
{
    (void)state;
    pci_world_begin();
    return 0;
}

static int gone(void **state)
{
    (void)state;
    pci_world_end();
    return 0;
}

/* --- the domain's accesses ------------------------------------------------------------------------------ */

static gpa_t ecam(unsigned bus, unsigned device, unsigned function, unsigned offset)
{
    return GPA(WORLD_ECAM + (bus << 20 | device << 15 | function << 12 | offset));
}

static uint64_t read_at(struct fake_function *f, unsigned offset, unsigned size)
{
    uint64_t value = vpci_read(&world_vcpu, ecam(f->bus, f->device, f->function, offset), size);
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

static void write_at(struct fake_function *f, unsigned offset, unsigned size, uint64_t value)
{
    vpci_write(&world_vcpu, ecam(f->bus, f->device, f->function, offset), size, value);
}

static uint64_t table_read(unsigned offset, unsigned size)
{
    return vpci_read(&world_vcpu, GPA(TABLE_AT + offset), size);
}

static void table_write(unsigned offset, unsigned size, uint64_t value)
{
    vpci_write(&world_vcpu, GPA(TABLE_AT + offset), size, value);
}

static uint32_t in(uint16_t port, unsigned size)
{
    uint32_t value = vpci_in(&world_domain, port, size);
    return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
    vpci_out(&world_domain, port, size, value);
}

/* --- access --------------------------------------------------------------------------------------------- */

static void test_ports(void **state)
{
    (void)state;
    struct fake_function *f = fake_function(0, 3, 1);
    f->config[0x41] = 0xab;
    memset(f->writable + 0x50, 0xff, 4);

    out(0xcf8, 4, 0x80001940);
    assert_int_equal(in(0xcf8, 4), 0x80001940);
    assert_int_equal(in(0xcf8, 1), 0xff); /* the register is four bytes wide, or nothing */
    assert_int_equal(in(0xcfa, 2), 0xffff);
    out(0xcf8, 2, 0x1234);
    out(0xcfb, 1, 0);
    assert_int_equal(in(0xcf8, 4), 0x80001940);

    assert_int_equal(in(0xcfc, 4), 0xab00);
    assert_int_equal(in(0xcfd, 1), 0xab);
    assert_int_equal(in(0xcfc, 2), 0xab00);
    assert_int_equal(in(0xcfd, 2), 0xffff); /* not aligned */
    assert_int_equal(in(0xcfe, 4), 0xffffffff);
    out(0xcf8, 4, 0x80001950);
    out(0xcfc, 4, 0x11223344);
    out(0xcfe, 2, 0x5566);
    out(0xcff, 1, 0x77);
    out(0xcfd, 2, 0xffff);
    assert_int_equal(in(0xcfc, 4), 0x77663344);

    out(0xcf8, 4, 0x00001950); /* not enabled */
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
    out(0xcfc, 4, 0);
    assert_int_equal(f->config[0x50], 0x44);
    for (unsigned i = 0; i < 0x10000; i += 0x100) { /* a whole bus, with one function on it */
        out(0xcf8, 4, 0x80000000 + i);
        assert_int_equal(in(0xcfc, 4) != ~0u, i == 0x1900);
        out(0xcfc, 4, 0);
    }
}

static void test_ecam(void **state)
{
    (void)state;
    struct fake_function *f = fake_function(1, 31, 7);
    memset(f->writable + 0x800, 0xff, 16);

    write_at(f, 0x800, 8, 0x1122334455667788);
    assert_int_equal(read_at(f, 0x800, 8), 0x1122334455667788);
    assert_int_equal(read_at(f, 0x804, 4), 0x11223344);
    assert_int_equal(read_at(f, 0x802, 2), 0x5566);
    assert_int_equal(read_at(f, 0x807, 1), 0x11);
    write_at(f, 0x803, 1, 0xaa);
    write_at(f, 0x806, 2, 0xbbcc);
    assert_int_equal(read_at(f, 0x800, 8), 0xbbcc3344aa667788);
    /* Not aligned, past the last function's end, nobody there, no such bus. */
    write_at(f, 0x801, 4, 0);
    write_at(f, 0x804, 8, 0);
    assert_int_equal(read_at(f, 0x800, 8), 0xbbcc3344aa667788);
    assert_int_equal(read_at(f, 0x801, 2), 0xffff);
    assert_int_equal(read_at(f, 0x804, 8), ~0ull);
    assert_int_equal(read_at(f, 0xffe, 4), 0xffffffff);
    assert_int_equal(vpci_read(&world_vcpu, ecam(1, 30, 7, 0), 4), 0xffffffff);
    assert_false(vpci_covers(&world_vcpu, GPA(WORLD_ECAM - 1)));
    assert_false(vpci_covers(&world_vcpu, ecam(WORLD_BUSES, 0, 0, 0)));
    assert_true(vpci_covers(&world_vcpu, ecam(WORLD_BUSES - 1, 31, 7, 4095)));
    world_domain.privileged = false;
    assert_false(vpci_covers(&world_vcpu, ecam(1, 31, 7, 0)));
    world_domain.privileged = true;
}

static void test_told(void **state)
{
    (void)state;
    fake_function(0, 3, 0);
    assert_int_equal(arch_pci_added(&world_domain, 0, 0, 3 << 3), 0);
    assert_int_equal(arch_pci_added(&world_domain, 0, 0, 3 << 3 | 1), -XEN_ENODEV);
    assert_int_equal(arch_pci_added(&world_domain, 7, 0, 3 << 3), -XEN_ENODEV);
    assert_int_equal(arch_pci_removed(&world_domain, 0, 0, 3 << 3), 0);
    assert_int_equal(arch_pci_removed(&world_domain, 0, 0, 3 << 3), -XEN_ENODEV);
    assert_int_equal(arch_pci_ecam(WORLD_ECAM, 0, 0, WORLD_BUSES - 1), 0);
    assert_int_equal(arch_pci_ecam(WORLD_ECAM, 0, 0, WORLD_BUSES), -XEN_ENODEV);
    assert_int_equal(arch_pci_ecam(WORLD_ECAM, 1, 0, 0), -XEN_ENODEV);
    assert_int_equal(arch_pci_ecam(WORLD_ECAM + 0x1000, 0, 0, 0), -XEN_ENODEV);
}

/* --- what is hidden ------------------------------------------------------------------------------------- */

static void test_hidden(void **state)
{
    (void)state;
    struct fake_function *iommu = fake_function(0, 2, 0), *uart = fake_function(0, 4, 0),
                         *other = fake_function(0, 5, 0);
    fake_set(iommu, 0x08, 4, 0x08060000);
    fake_set(uart, 0x10, 4, WORLD_UART | 1);
    fake_set(other, 0x10, 4, (WORLD_UART + 8) | 1);
    for (unsigned offset = 0; offset < 0x100; offset += 4) {
        assert_int_equal(read_at(iommu, offset, 4), 0xffffffff);
        assert_int_equal(read_at(uart, offset, 4), 0xffffffff);
    }
    memset(uart->writable, 0xff, sizeof uart->writable);
    write_at(uart, 0x10, 4, 0);
    assert_int_equal(uart->config[0x10], (WORLD_UART | 1) & 0xff);
    assert_int_equal(read_at(other, 0, 4), other->config[0] | other->config[1] << 8 | 0x12340000);
}

static void test_sriov(void **state)
{
    (void)state;
    struct fake_function *f = fake_function(0, 2, 0);
    fake_set(f, 0x100, 4, 0x14010001); /* AER, then SR-IOV at 0x140, then something at 0x180 */
    fake_set(f, 0x140, 4, 0x18010010);
    fake_set(f, 0x14c, 4, 0x00400040);
    fake_set(f, 0x180, 4, 0x0001000e);
    memset(f->writable + 0x144, 0xff, 0x3c);
    assert_int_equal(read_at(f, 0x140, 4), 0x18010000); /* an empty one that leads on */
    assert_int_equal(read_at(f, 0x14c, 4), 0);
    assert_int_equal(read_at(f, 0x180, 4), 0x0001000e);
    write_at(f, 0x148, 2, 1); /* VF enable */
    assert_int_equal(f->config[0x148], 0);
}

static void test_lists_in_circles(void **state)
{
    (void)state;
    struct fake_function *f = fake_function(0, 2, 0), *g = fake_function(0, 3, 0),
                         *h = fake_function(0, 4, 0);
    fake_capability(f, 0x40, 0x01, 0x44);
    fake_capability(f, 0x44, 0x01, 0x40);
    fake_set(f, 0x100, 4, 0x10010001); /* and the extended ones */
    assert_int_equal(read_at(f, 0x40, 1), 1);
    fake_capability(g, 0xfc, 0x05, 0xfc); /* its registers would go on behind the first 256 bytes */
    fake_set(g, 0x100, 4, 0x0001000e);
    assert_int_equal(read_at(g, 0xfc, 2), 0xfc05);
    assert_int_equal(read_at(g, 0x100, 4), 0x0001000e);
    fake_set(h, 0x34, 1, 0x10); /* into the header */
    h->config[0x06] = 0x10;
    assert_int_equal(read_at(h, 0x34, 1), 0x10);
}

/* --- MSI ------------------------------------------------------------------------------------------------ */

/* A function with MSI at 0x50 that has 32 messages, wide and maskable or neither. */
static struct fake_function *msi_function(bool full)
{
    struct fake_function *f = fake_function(0, 2, 0);
    fake_capability(f, 0x50, 0x05, 0);
    fake_set(f, 0x52, 2, 0x000a | (full ? 0x180 : 0));
    fake_set_writable(f, 0x52, 2, 0x0071);
    fake_set_writable(f, 0x54, 4, ~3u);
    fake_set_writable(f, 0x58, 4, ~0u);
    fake_set_writable(f, 0x5c, 4, full ? 0xffff : ~0u);
    fake_set_writable(f, 0x60, 4, full ? ~0u : 0);
    return f;
}

static void test_msi_plain(void **state)
{
    (void)state;
    struct fake_function *f = msi_function(false);
    assert_int_equal(read_at(f, 0x52, 2), 0); /* one message */
    write_at(f, 0x54, 4, MESSAGE | 2 << 12 | 3);
    write_at(f, 0x58, 2, 0x41);
    write_at(f, 0x5c, 4, 0x12345678); /* behind the capability: the device's own */
    assert_int_equal(fake_get(f, 0x5c, 4), 0x12345678);
    assert_int_equal(read_at(f, 0x54, 4), MESSAGE | 2 << 12);
    assert_int_equal(read_at(f, 0x58, 4), 0x41);
    assert_int_equal(fake_get(f, 0x54, 4), 0); /* nothing reached the hardware yet */
    assert_int_equal(world_bound, 0);

    write_at(f, 0x52, 2, MSI_ENABLE | 0x50);
    assert_int_equal(world_bound, 1);
    assert_int_equal(world_irq->route.destination, 2);
    assert_int_equal(world_irq->route.vector, 0x41);
    assert_int_equal(fake_get(f, 0x52, 2), MSI_ENABLE | 0x0a); /* of the many only one */
    assert_int_equal(read_at(f, 0x52, 2), MSI_ENABLE);
    assert_int_equal(fake_get(f, 0x54, 4), MESSAGE | WORLD_APIC_ID << 12);
    assert_int_equal(fake_get(f, 0x58, 2), world_irq->host_vector);
    assert_null(world_irq->operations->mask);

    /* To another vCPU, in two steps, the first of which is no message. */
    write_at(f, 0x54, 4, 0xdead0000);
    assert_int_equal(world_irq->route.destination, 2);
    write_at(f, 0x54, 4, MESSAGE | 4 << 12);
    write_at(f, 0x58, 1, 0x52);
    assert_int_equal(world_irq->route.destination, 4);
    assert_int_equal(world_irq->route.vector, 0x52);
    world_move(9);
    assert_int_equal(fake_get(f, 0x54, 4), MESSAGE | 9 << 12);
    assert_int_equal(read_at(f, 0x54, 4), MESSAGE | 4 << 12);

    write_at(f, 0x53, 1, 0); /* not the byte with the bit in it */
    assert_int_equal(world_bound, 1);
    write_at(f, 0x52, 1, 0);
    assert_int_equal(world_bound, 0);
    assert_int_equal(fake_get(f, 0x52, 2), 0x0a);
}

static void test_msi_full(void **state)
{
    (void)state;
    struct fake_function *f = msi_function(true);
    fake_set(f, 0x64, 4, 0x1); /* pending */
    write_at(f, 0x54, 4, MESSAGE);
    write_at(f, 0x58, 4, 1); /* beyond 4 GiB is no interrupt */
    write_at(f, 0x5c, 4, 0x31);
    write_at(f, 0x60, 4, 1);
    assert_int_equal(read_at(f, 0x60, 8), 0x100000001);
    assert_int_equal(fake_get(f, 0x60, 4), 1);
    write_at(f, 0x52, 2, MSI_ENABLE);
    assert_int_equal(world_bound, 0);
    assert_int_equal(read_at(f, 0x52, 2), 0x180); /* it says so */
    write_at(f, 0x58, 4, 0);
    write_at(f, 0x52, 2, MSI_ENABLE);
    assert_int_equal(world_bound, 1);
    assert_int_equal(fake_get(f, 0x5c, 2), world_irq->host_vector);

    /* A storm's mask is not the domain's. */
    write_at(f, 0x60, 4, 0);
    assert_int_equal(fake_get(f, 0x60, 4), 0);
    world_irq->operations->mask(world_irq, true);
    assert_int_equal(fake_get(f, 0x60, 4), 1);
    assert_int_equal(read_at(f, 0x60, 4), 0);
    write_at(f, 0x60, 4, 0);
    assert_int_equal(fake_get(f, 0x60, 4), 1);
    world_irq->operations->mask(world_irq, false);
    assert_int_equal(fake_get(f, 0x60, 4), 0);

    /* Reset behind our back: off, and what is written when it is switched on again is all there. */
    write_at(f, 0x60, 4, 1);
    fake_set(f, 0x60, 4, 0);
    fake_set(f, 0x52, 2, 0x18a);
    fake_set(f, 0x54, 4, 0);
    fake_set(f, 0x5c, 4, 0);
    assert_int_equal(read_at(f, 0x52, 2), 0x180);
    write_at(f, 0x52, 2, MSI_ENABLE);
    assert_int_equal(world_bound, 1);
    assert_int_equal(fake_get(f, 0x54, 4), MESSAGE | WORLD_APIC_ID << 12);
    assert_int_equal(fake_get(f, 0x5c, 2), world_irq->host_vector);
    assert_int_equal(fake_get(f, 0x60, 4), 1);
    assert_true(fake_get(f, 0x52, 2) & MSI_ENABLE);

    write_at(f, 0x64, 4, 0); /* read-only */
    assert_int_equal(fake_get(f, 0x64, 4), 1);
}

static void test_msi_no_vector(void **state)
{
    (void)state;
    struct fake_function *f = msi_function(false);
    world_vectors = 0;
    write_at(f, 0x54, 4, MESSAGE);
    write_at(f, 0x58, 2, 0x41);
    write_at(f, 0x52, 2, MSI_ENABLE);
    assert_int_equal(read_at(f, 0x52, 2) & MSI_ENABLE, 0);
    world_vectors = 1;
    write_at(f, 0x52, 2, MSI_ENABLE);
    assert_int_equal(read_at(f, 0x52, 2) & MSI_ENABLE, MSI_ENABLE);
    assert_int_equal(world_bound, 1);
}

static void test_left_on_by_firmware(void **state)
{
    (void)state;
    struct fake_function *f = msi_function(false);
    fake_set(f, 0x52, 2, 0x000a | MSI_ENABLE);
    assert_int_equal(read_at(f, 0x52, 2), 0);
    assert_int_equal(fake_get(f, 0x52, 2), 0x000a);
}

/* --- MSI-X ---------------------------------------------------------------------------------------------- */

/* A function with MSI-X at 0x70 whose BAR 2 has 64 bits and 16 KiB. */
static struct fake_function *msix_function(unsigned entries)
{
    struct fake_function *f = fake_function(0, 2, 0);
    fake_capability(f, 0x60, 0x01, 0x70);
    fake_capability(f, 0x70, 0x11, 0x80);
    fake_capability(f, 0x80, 0x10, 0);
    fake_set(f, 0x72, 2, entries - 1);
    fake_set_writable(f, 0x72, 2, MSIX_ENABLE | MSIX_MASK);
    fake_set(f, 0x74, 4, 0x2800 | 2);
    fake_set(f, 0x78, 4, 0x3000 | 2);
    fake_set(f, 0x18, 4, BAR_AT | 0xc);
    fake_set_writable(f, 0x18, 4, ~0x3fffu);
    fake_set_writable(f, 0x1c, 4, ~0u);
    fake_set_writable(f, 0x04, 2, 7);
    fake_set(f, 0x04, 2, 2);
    world_device_at = BAR_AT;
    return f;
}

static uint32_t hardware(unsigned offset)
{
    uint32_t value;
    memcpy(&value, world_device + 0x2800 + offset, 4);
    return value;
}

static void enable(struct fake_function *f)
{
    write_at(f, 0x72, 2, MSIX_ENABLE);
    assert_int_equal(read_at(f, 0x72, 2) & (MSIX_ENABLE | MSIX_MASK), MSIX_ENABLE);
}

static void test_msix(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    world_device[0x2800 + 16 + 12] = 0; /* unmasked by nobody knows whom */
    assert_int_equal(read_at(f, 0x70, 4), 0x8011 | (MSIX_ENTRIES - 1) << 16);
    assert_true(vpci_covers(&world_vcpu, GPA(TABLE_AT)));
    assert_true(vpci_covers(&world_vcpu, GPA(BAR_AT + 0x2000)));
    assert_false(vpci_covers(&world_vcpu, GPA(BAR_AT + 0x3000)));
    for (unsigned i = 0; i < MSIX_ENTRIES; i++)
        assert_int_equal(table_read(16 * i + 12, 4), 1); /* masked */

    table_write(16, 4, MESSAGE | 2 << 12);
    table_write(20, 4, 0);
    table_write(24, 8, 0x45);
    assert_int_equal(table_read(16, 8), MESSAGE | 2 << 12);
    assert_int_equal(table_read(24, 8), 0x45);
    assert_int_equal(world_bound, 0);
    enable(f);
    assert_int_equal(world_bound, 1);
    assert_int_equal(world_irq->route.vector, 0x45);
    assert_int_equal(hardware(16), MESSAGE | WORLD_APIC_ID << 12);
    assert_int_equal(hardware(24), world_irq->host_vector);
    assert_int_equal(hardware(28), 0);
    assert_int_equal(hardware(12), 1);
    assert_int_equal(hardware(44), 1);

    /* Masked: aimed elsewhere, the hardware hears of it when the mask goes away. */
    table_write(28, 4, 1);
    assert_int_equal(hardware(28), 1);
    table_write(16, 8, MESSAGE | 6 << 12);
    table_write(24, 4, 0x46);
    table_write(28, 4, 0xfffffffe); /* reserved bits */
    assert_int_equal(table_read(28, 4), 0);
    assert_int_equal(world_irq->route.destination, 6);
    assert_int_equal(world_irq->route.vector, 0x46);
    assert_int_equal(hardware(28), 0);
    assert_int_equal(world_bound, 1);
    world_move(11);
    assert_int_equal(hardware(16), MESSAGE | 11 << 12);
    assert_int_equal(hardware(28), 0);

    /* The function's own mask goes through, and storms are held back without the domain seeing it. */
    write_at(f, 0x73, 1, 0xc0);
    assert_int_equal(fake_get(f, 0x72, 2), MSIX_ENABLE | MSIX_MASK | (MSIX_ENTRIES - 1));
    assert_int_equal(world_bound, 1);
    write_at(f, 0x73, 1, 0x80);
    world_irq->operations->mask(world_irq, true);
    assert_int_equal(hardware(28), 1);
    assert_int_equal(table_read(28, 4), 0);
    table_write(28, 4, 1);
    table_write(28, 4, 0);
    assert_int_equal(hardware(28), 1);
    world_irq->operations->mask(world_irq, false);
    assert_int_equal(hardware(28), 0);

    table_write(12, 4, 0); /* an entry that is no message */
    assert_int_equal(world_bound, 1);
    assert_int_equal(hardware(12), 1);
    write_at(f, 0x72, 2, 0);
    assert_int_equal(world_bound, 0);
    assert_int_equal(hardware(28), 1);
    assert_int_equal(table_read(24, 8), 0x46); /* it keeps what it wrote */
}

static void test_msix_reset(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    read_at(f, 0, 4);
    for (unsigned i = 0; i < MSIX_ENTRIES; i++) {
        table_write(16 * i, 8, MESSAGE);
        table_write(16 * i + 8, 8, 0x50 + i);
    }
    enable(f);
    assert_int_equal(world_bound, MSIX_ENTRIES);
    memset(world_device, 0, WORLD_DEVICE_SIZE);
    fake_set(f, 0x72, 2, MSIX_ENTRIES - 1);
    fake_set(f, 0x04, 2, 0);
    assert_int_equal(read_at(f, 0x72, 2), MSIX_ENTRIES - 1);
    write_at(f, 0x04, 2, 2);
    enable(f);
    assert_int_equal(world_bound, MSIX_ENTRIES);
    for (unsigned i = 0; i < MSIX_ENTRIES; i++) {
        assert_int_equal(hardware(16 * i), MESSAGE | WORLD_APIC_ID << 12);
        assert_true(hardware(16 * i + 8) >= WORLD_FIRST_VECTOR);
        assert_int_equal(hardware(16 * i + 12), 0);
    }
}

static void test_msix_beside(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    read_at(f, 0, 4);
    for (unsigned size = 1; size <= 8; size *= 2) {
        table_write(-16u, size, 0x1122334455667788);
        assert_int_equal(vpci_read(&world_vcpu, GPA(TABLE_AT - 16), size),
                         size == 8 ? 0x1122334455667788 : 0x1122334455667788 & ((1ull << 8 * size) - 1));
    }
    assert_int_equal(table_read(16 * MSIX_ENTRIES, 4), 0); /* the first behind it */
    assert_int_equal(table_read(16 * MSIX_ENTRIES - 4, 8), ~0ull);
    assert_int_equal(table_read(-4u, 8), ~0ull); /* half in, half out */
    assert_int_equal(vpci_read(&world_vcpu, GPA(BAR_AT + 0x2ffc), 8), ~0ull);
    table_write(-4u, 8, 0);
    table_write(16 * MSIX_ENTRIES - 4, 8, 0);
    vpci_write(&world_vcpu, GPA(BAR_AT + 0x2ffc), 8, ~0ull);
    assert_int_equal(table_read(16 * MSIX_ENTRIES - 4, 4), 1);
    /* Of the table only whole registers. */
    assert_int_equal(table_read(12, 1), ~0ull);
    assert_int_equal(table_read(12, 2), ~0ull);
    assert_int_equal(table_read(10, 4), ~0ull);
    table_write(12, 1, 0);
    table_write(12, 2, 0);
    table_write(10, 4, 0);
    assert_int_equal(table_read(12, 4), 1);
    /* No table there at all. */
    assert_int_equal(vpci_read(&world_vcpu, GPA(BAR_AT + 0x8000), 4), ~0ull);
    vpci_write(&world_vcpu, GPA(BAR_AT + 0x8000), 4, 0);
}

static void test_msix_moves(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    fake_set(f, 0x04, 2, 0);
    read_at(f, 0, 4);
    assert_false(vpci_covers(&world_vcpu, GPA(TABLE_AT))); /* decoding is off */
    assert_int_equal(vpci_map(&world_domain, GFN(TABLE_AT >> 12), 0), 0);
    write_at(f, 0x04, 2, 2);
    assert_true(vpci_covers(&world_vcpu, GPA(TABLE_AT)));
    assert_int_equal(world_removed, 1); /* from the map */
    assert_int_equal(world_flushed, 1);
    assert_int_equal(vpci_map(&world_domain, GFN(TABLE_AT >> 12), 0), -XEN_EPERM);
    assert_int_equal(vpci_map(&world_domain, GFN((TABLE_AT & ~0x1fffffu) >> 12), 9), -XEN_EPERM);
    assert_int_equal(vpci_map(&world_domain, GFN((TABLE_AT >> 12) + 1), 0), 0);

    table_write(0, 8, MESSAGE);
    table_write(8, 8, 0x61);
    enable(f);
    /* Above 4 GiB, as it is moved: off, both halves, on. */
    write_at(f, 0x04, 2, 0);
    assert_false(vpci_covers(&world_vcpu, GPA(TABLE_AT)));
    world_move(5); /* while nobody can tell the hardware */
    write_at(f, 0x18, 4, 0x10000000);
    write_at(f, 0x1c, 4, 0x8);
    world_device_at = 0x810000000;
    memset(world_device, 0, WORLD_DEVICE_SIZE);
    write_at(f, 0x04, 1, 2);
    assert_false(vpci_covers(&world_vcpu, GPA(TABLE_AT)));
    assert_true(vpci_covers(&world_vcpu, GPA(0x810002800)));
    assert_int_equal(hardware(0), MESSAGE | 5 << 12);
    assert_int_equal(hardware(12), 0);
    assert_int_equal(vpci_read(&world_vcpu, GPA(0x810002808), 4), 0x61);

    /* With decoding on, one half at a time; where RAM is, no table can be. */
    write_at(f, 0x1c, 4, 0);
    assert_false(vpci_covers(&world_vcpu, GPA(0x810002800)));
    write_at(f, 0x18, 4, WORLD_RAM);
    assert_false(vpci_covers(&world_vcpu, GPA(WORLD_RAM + 0x2800)));
    write_at(f, 0x1c, 4, ~0u);
    write_at(f, 0x18, 4, ~0u);
    write_at(f, 0x18, 4, 0);
    write_at(f, 0x1c, 4, 0);
    assert_false(vpci_covers(&world_vcpu, GPA(0x2800)));
}

/* --- capabilities that cannot be ------------------------------------------------------------------------ */

static void expect_no_msix(struct fake_function *f)
{
    assert_int_equal(read_at(f, 0x70, 4), 0x8000); /* an empty one that leads on */
    assert_int_equal(read_at(f, 0x74, 4), 0);
    write_at(f, 0x72, 2, MSIX_ENABLE);
    assert_int_equal(fake_get(f, 0x72, 2) & MSIX_ENABLE, 0);
    assert_false(vpci_covers(&world_vcpu, GPA(TABLE_AT)));
    assert_int_equal(fake_get(f, 0x18, 4), BAR_AT | 0xc); /* as it was before its size was asked for */
    assert_int_equal(fake_get(f, 0x04, 2), 2);
}

static void test_msix_beyond_bar(void **state)
{
    (void)state;
    expect_no_msix(msix_function(0x181)); /* one entry too many for what is left of 16 KiB */
}

static void test_msix_bad_bar(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    fake_set(f, 0x74, 4, 0x2800 | 7);
    expect_no_msix(f);
}

static void test_msix_port_bar(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    fake_set(f, 0x74, 4, 0x2800 | 0);
    fake_set(f, 0x10, 4, 0xe001);
    expect_no_msix(f);
}

static void test_msix_half_bar(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    fake_set(f, 0x74, 4, 0x2800 | 5);
    fake_set(f, 0x24, 4, 0xfd00000c); /* 64 bits wide, and the last */
    expect_no_msix(f);
}

static void test_msix_fits(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(0x180);
    assert_int_equal(read_at(f, 0x70, 1), 0x11);
    assert_true(vpci_covers(&world_vcpu, GPA(BAR_AT + 0x3fff)));
    table_write(16 * 0x17f, 8, MESSAGE);
    table_write(16 * 0x17f + 8, 8, 0x77);
    enable(f);
    assert_int_equal(world_irq->route.vector, 0x77);
    world_vectors = 0;
    table_write(16 * 0x17e, 8, MESSAGE);
    table_write(16 * 0x17e + 8, 8, 0x78);
    assert_int_equal(hardware(16 * 0x17e + 12), 1); /* no vector: masked it stays */
    assert_int_equal(world_bound, 1);
}

/* --- functions that go, and others that come ------------------------------------------------------------ */

static void test_gone(void **state)
{
    (void)state;
    struct fake_function *f = msix_function(MSIX_ENTRIES);
    read_at(f, 0, 4);
    table_write(0, 8, MESSAGE);
    table_write(8, 8, 0x61);
    enable(f);
    assert_int_equal(world_bound, 1);
    /* For a moment it does not answer, as in a reset. */
    f->present = false;
    assert_int_equal(read_at(f, 0, 4), 0xffffffff);
    assert_int_equal(world_bound, 1);
    f->present = true;
    assert_int_equal(read_at(f, 0, 2), f->config[0] | f->config[1] << 8);
    assert_int_equal(world_bound, 1);
    /* Another one, of another kind. */
    fake_set(f, 0x00, 4, 0x56781af4);
    fake_set(f, 0x72, 2, MSIX_ENTRIES - 1);
    assert_int_equal(read_at(f, 0, 4), 0x56781af4);
    assert_int_equal(world_bound, 0);
    assert_int_equal(table_read(8, 8), 1ull << 32);
    table_write(0, 8, MESSAGE);
    table_write(8, 8, 0x61);
    enable(f);
    /* Told that it is gone, while it is there: off. */
    assert_int_equal(arch_pci_removed(&world_domain, 0, 0, 2 << 3), 0);
    assert_int_equal(world_bound, 0);
    assert_int_equal(fake_get(f, 0x72, 2) & MSIX_ENABLE, 0);
    assert_false(vpci_covers(&world_vcpu, GPA(TABLE_AT)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, gone)
        TEST(test_ports),
        TEST(test_ecam),
        TEST(test_told),
        TEST(test_hidden),
        TEST(test_sriov),
        TEST(test_lists_in_circles),
        TEST(test_msi_plain),
        TEST(test_msi_full),
        TEST(test_msi_no_vector),
        TEST(test_left_on_by_firmware),
        TEST(test_msix),
        TEST(test_msix_reset),
        TEST(test_msix_beside),
        TEST(test_msix_moves),
        TEST(test_msix_beyond_bar),
        TEST(test_msix_bad_bar),
        TEST(test_msix_port_bar),
        TEST(test_msix_half_bar),
        TEST(test_msix_fits),
        TEST(test_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
