/*
 * PCI in dom0: configuration space by ports and in memory, MSI and MSI-X. "devices": QEMU's edu (MSI), e1000e
 * (MSI-X) and virtio-rng (a table that shares its page) are there, and two vCPUs. An IOMMU of AMD's is
 * hidden, if there is one.
 */
#include "check.h"
#include <pvh/acpi.h>
#include <pvh/apic.h>
#include <xen/physdev.h>

#define ADDRESS 0xcf8
#define DATA    0xcfc

enum { ID = 0x00, COMMAND = 0x04, CLASS = 0x08, CAPABILITIES = 0x34 };
enum { COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_INTX = 0x400 };
enum { CAPABILITY_MSI = 5, CAPABILITY_MSIX = 0x11 };
#define BAR(n)      (0x10 + 4 * (n))
#define MSI_ENABLE  1u
#define MSIX_ENABLE 0x8000u
#define MSIX_MASK   0x4000u
#define MESSAGE(id) (0xfee00000u | (id) << 12)
#define A_WHILE     (3 * MILLISECOND) /* that no interrupt comes in */
#define SOON        (2 * SECOND)
#define ELSEWHERE   0xe0000000u /* room for a BAR in QEMU's q35 */

static volatile char *ecam; /* of bus 0; NULL: there is none */
static volatile unsigned count[256], on_cpu[2];
static volatile bool done;
static uint32_t ids[2];

static void on_interrupt(struct trap_frame *frame)
{
    __atomic_fetch_add(&count[frame->vector], 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&on_cpu[cpu_index() & 1], 1, __ATOMIC_SEQ_CST);
    apic_eoi();
}

static bool wait_for(unsigned vector, unsigned times, uint64_t limit)
{
    uint64_t end = pvh_time_ns() + limit;
    while (count[vector] < times && pvh_time_ns() < end)
        take_interrupts();
    return count[vector] >= times;
}

static void other_cpu(void *arg)
{
    (void)arg;
    while (!done)
        take_interrupts();
}

/* --- configuration space: where is bus << 8 | device << 3 | function ------------------------------------ */

static uint32_t port_read(unsigned where, unsigned offset, unsigned size)
{
    outl(ADDRESS, 0x80000000u | where << 8 | (offset & 0xfc));
    uint16_t port = (uint16_t)(DATA + (offset & 3));
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_write(unsigned where, unsigned offset, unsigned size, uint32_t value)
{
    outl(ADDRESS, 0x80000000u | where << 8 | (offset & 0xfc));
    uint16_t port = (uint16_t)(DATA + (offset & 3));
    if (size == 1)
        outb(port, (uint8_t)value);
    else if (size == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}

static volatile void *in_memory(unsigned where, unsigned offset)
{
    return ecam + (where << 12 | offset);
}

static void find_ecam(void)
{
    const struct acpi_table *mcfg = acpi_find("MCFG");
    uint64_t base;
    if (!mcfg)
        return;
    memcpy(&base, (const char *)mcfg + 44, sizeof base);
    ecam = (volatile char *)(uintptr_t)base;
}

static void test_both_ways(void)
{
    unsigned functions = 0;
    for (unsigned where = 0; where < 256; where++) {
        uint32_t id = port_read(where, ID, 4);
        functions += id != ~0u;
        EXPECT_EQ(port_read(where, ID, 2), id & 0xffff);
        EXPECT_EQ(port_read(where, ID + 3, 1), id >> 24);
        for (unsigned offset = 0; ecam && offset < 0x40; offset += 4)
            EXPECT_EQ(*(volatile uint32_t *)in_memory(where, offset), port_read(where, offset, 4));
        if (ecam)
            EXPECT_EQ(*(volatile uint64_t *)in_memory(where, 0),
                      port_read(where, 0, 4) | (uint64_t)port_read(where, 4, 4) << 32);
    }
    EXPECT(functions >= 2);
    pvh_printf("%u functions\n", functions);
}

static void test_wild(void)
{
    outl(ADDRESS, 0x00000000);
    EXPECT_EQ(inl(DATA), ~0u);
    outl(ADDRESS, 0x80000000);
    EXPECT_EQ(inl(ADDRESS), 0x80000000);
    EXPECT_EQ(inw(DATA + 1), 0xffff);
    EXPECT_EQ(inl(DATA + 2), ~0u);
    outw(ADDRESS, 0xffff);
    outb(ADDRESS + 3, 0);
    EXPECT_EQ(inl(ADDRESS), 0x80000000);
    outl(ADDRESS, 0x80fffffc);
    EXPECT_EQ(inl(DATA), ~0u);
    if (!ecam)
        return;
    EXPECT_EQ(*(volatile uint32_t *)in_memory(0, 1), ~0u); /* not aligned */
    EXPECT_EQ(*(volatile uint16_t *)in_memory(0, 3), 0xffff);
    EXPECT_EQ(*(volatile uint64_t *)in_memory(0, 4), ~0ull);
    *(volatile uint64_t *)in_memory(0, 0xffc) = 0;
    (void)*(volatile uint32_t *)in_memory(0, 0xffc);
    EXPECT_EQ(*(volatile uint32_t *)in_memory(0xfff8, 0), ~0u); /* the last bus, which is empty */
}

static void test_told(void)
{
    struct physdev_pci_device_add add = {.bus = 0xff, .devfn = 0xff};
    struct physdev_pci_device remove = {.bus = 0xff, .devfn = 0xff};
    struct physdev_pci_mmcfg_reserved area = {.address = 0x1000, .end_bus = 1};
    EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_device_add, &add), -XEN_ENODEV);
    EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_device_remove, &remove), -XEN_ENODEV);
    EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_device_add, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_mmcfg_reserved, &area), -XEN_ENODEV);
    area.start_bus = 2;
    EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_mmcfg_reserved, &area), -XEN_EINVAL);
    area.start_bus = 0;
    add.bus = add.devfn = 0;
    EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_device_add, &add), 0);
    area.address = (uintptr_t)ecam;
    area.end_bus = 0xff;
    if (ecam)
        EXPECT_EQ(OP(physdev_op, PHYSDEVOP_pci_mmcfg_reserved, &area), 0);
}

static void test_hidden(void)
{
    for (unsigned where = 0; where < 256; where++)
        EXPECT(port_read(where, CLASS + 2, 2) != 0x0806);
}

/* --- devices -------------------------------------------------------------------------------------------- */

/* Of the function on bus 0 with that id; memory decoding and bus mastering on, INTx off. 0: not there. */
static unsigned find_device(uint32_t id)
{
    for (unsigned where = 1; where < 256; where++) {
        if (port_read(where, ID, 4) != id)
            continue;
        port_write(where, COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
        return where;
    }
    pvh_printf("no device %08x\n", id);
    return 0;
}

static unsigned find_capability(unsigned where, unsigned id)
{
    unsigned at = port_read(where, CAPABILITIES, 1);
    while (at && port_read(where, at, 1) != id)
        at = port_read(where, at + 1, 1);
    return at;
}

static volatile char *bar(unsigned where, unsigned number)
{
    return (volatile char *)(uintptr_t)(port_read(where, BAR(number), 4) & ~0xfu);
}

static void put(volatile char *at, uint32_t value)
{
    *(volatile uint32_t *)at = value;
}
static uint32_t get(volatile char *at)
{
    return *(volatile uint32_t *)at;
}

/* edu: 0x60 raises its interrupt, 0x64 takes it back. */
static void edu_fire(volatile char *edu)
{
    put(edu + 0x60, 1);
    put(edu + 0x64, 1);
}

static void test_msi(void)
{
    unsigned where = find_device(0x11e81234), at = where ? find_capability(where, CAPABILITY_MSI) : 0;
    if (!EXPECT(at))
        return;
    volatile char *edu = bar(where, 0);
    EXPECT_EQ(get(edu) & 0xff, 0xed);
    EXPECT_EQ(port_read(where, at + 2, 2) & 0x7f, 0); /* off, one message */

    port_write(where, at + 2, 2, MSI_ENABLE); /* with no message yet */
    EXPECT_EQ(port_read(where, at + 2, 2) & MSI_ENABLE, 0);
    port_write(where, at + 4, 4, MESSAGE(ids[0]));
    port_write(where, at + 8, 4, 0);
    port_write(where, at + 12, 2, 0x51);
    edu_fire(edu);
    EXPECT(!wait_for(0x51, 1, A_WHILE));
    port_write(where, at + 2, 2, MSI_ENABLE | 0x70);
    EXPECT_EQ(port_read(where, at + 2, 2) & 0x7f, MSI_ENABLE);
    EXPECT_EQ(port_read(where, at + 4, 4), MESSAGE(ids[0]));
    EXPECT_EQ(port_read(where, at + 12, 2), 0x51);
    for (unsigned times = 1; times <= 3; times++) {
        edu_fire(edu);
        EXPECT(wait_for(0x51, times, SOON));
    }

    /* To the other vCPU, with another vector; the first of the writes alone is still the old one. */
    unsigned before = on_cpu[1];
    port_write(where, at + 4, 4, MESSAGE(ids[1]));
    port_write(where, at + 12, 2, 0x52);
    edu_fire(edu);
    EXPECT(wait_for(0x52, 1, SOON));
    EXPECT_EQ(on_cpu[1], before + 1);
    EXPECT_EQ(count[0x51], 3);

    port_write(where, at + 2, 2, 0);
    edu_fire(edu);
    EXPECT(!wait_for(0x52, 2, A_WHILE));
}

/* --- MSI-X ---------------------------------------------------------------------------------------------- */

/* e1000e: the interrupt of its first receive queue goes to the entry that IVAR names. No two come within 128
 * us of each other. */
enum { E1000_ICR = 0xc0, E1000_ICS = 0xc8, E1000_IMS = 0xd0, E1000_IVAR = 0xe4 };
#define CAUSE_RECEIVE 0x00100000u
#define ENTRY_VALID   8u
#define PENDING       0x2000

static volatile char *card, *table;
static unsigned card_at, msix_at;

static void card_fire(void)
{
    put(card + E1000_ICR, ~0u); /* nothing of before is left, or it would be the same interrupt still */
    put(card + E1000_ICS, CAUSE_RECEIVE);
}

static void write_entry(unsigned number, uint32_t id, uint32_t vector)
{
    put(table + 16 * number, MESSAGE(id));
    put(table + 16 * number + 4, 0);
    put(table + 16 * number + 8, vector);
}

static void mask(unsigned number, bool masked)
{
    put(table + 16 * number + 12, masked);
}

static void msix_control(uint32_t value)
{
    port_write(card_at, msix_at + 2, 2, value);
}

static void test_table(void)
{
    unsigned entries = (port_read(card_at, msix_at + 2, 2) & 0x7ff) + 1;
    EXPECT_EQ(entries, 5);
    for (unsigned i = 0; i < entries; i++)
        EXPECT_EQ(get(table + 16 * i + 12) & 1, 1);
    *(volatile uint64_t *)(table + 16) = 0x123456789abcdef0;
    EXPECT_EQ(get(table + 16), 0x9abcdef0);
    EXPECT_EQ(get(table + 20), 0x12345678);
    *(volatile uint8_t *)(table + 16) = 0; /* no register is that small */
    *(volatile uint16_t *)(table + 12) = 0;
    EXPECT_EQ(*(volatile uint64_t *)(table + 16), 0x123456789abcdef0);
    EXPECT_EQ(get(table + 12) & 1, 1);
    EXPECT_EQ(*(volatile uint32_t *)(table + 14), ~0u); /* not aligned */
    EXPECT_EQ(*(volatile uint64_t *)(table + 4), ~0ull);
    *(volatile uint64_t *)(table + 12) = 0;
    EXPECT_EQ(get(table + 12) & 1, 1);
    for (unsigned offset = 16 * entries; offset < 4096; offset += 508) /* behind it, in the same page */
        put(table + offset, get(table + offset));
    *(volatile uint64_t *)(table + 4092) = 0;
}

static void test_delivery(void)
{
    put(card + E1000_IVAR, ENTRY_VALID | 2);
    put(card + E1000_IMS, CAUSE_RECEIVE);
    msix_control(MSIX_ENABLE | MSIX_MASK);
    write_entry(2, ids[0], 0x61);
    mask(2, false);
    card_fire();
    EXPECT(!wait_for(0x61, 1, A_WHILE)); /* the whole function is masked */
    EXPECT_EQ(get(table + PENDING), 1u << 2);
    msix_control(MSIX_ENABLE);
    EXPECT(wait_for(0x61, 1, SOON));
    EXPECT_EQ(get(table + PENDING), 0);
    card_fire();
    EXPECT(wait_for(0x61, 2, SOON));

    /* One entry masked, changed meanwhile: what was pending comes to the new place. */
    mask(2, true);
    card_fire();
    EXPECT(!wait_for(0x61, 3, A_WHILE));
    EXPECT_EQ(get(table + PENDING), 1u << 2);
    unsigned before = on_cpu[1];
    write_entry(2, ids[1], 0x62);
    EXPECT_EQ(get(table + 40), 0x62);
    mask(2, false);
    EXPECT(wait_for(0x62, 1, SOON));
    EXPECT_EQ(on_cpu[1], before + 1);
    EXPECT_EQ(count[0x61], 2);

    put(table + 40, 5); /* no vector */
    card_fire();
    EXPECT(!wait_for(0x62, 2, A_WHILE));
    mask(2, true);
    write_entry(2, ids[0], 0x63);
    mask(2, false);
    EXPECT(wait_for(0x63, 1, SOON)); /* it was only held back */
}

/* As an operating system moves it: decoding off, both places looked at, on again. */
static void test_move(void)
{
    volatile char *old = table;
    port_write(card_at, COMMAND, 2, COMMAND_MASTER | COMMAND_NO_INTX);
    (void)get(old); /* which puts it into the map */
    port_write(card_at, BAR(3), 4, ELSEWHERE);
    table = bar(card_at, 3);
    EXPECT_EQ((uintptr_t)table, ELSEWHERE);
    (void)get(table);
    port_write(card_at, COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
    EXPECT_EQ(get(table + 40), 0x63);
    EXPECT(get(old + 40) != 0x63);
    card_fire();
    EXPECT(wait_for(0x63, 2, SOON));
    mask(2, true);
    card_fire();
    EXPECT(!wait_for(0x63, 3, A_WHILE));
    msix_control(0);
    mask(2, false);
    EXPECT(!wait_for(0x63, 3, A_WHILE));
    msix_control(MSIX_ENABLE);
    card_fire();
    EXPECT(wait_for(0x63, 3, SOON));
    EXPECT(!wait_for(0x63, 4, A_WHILE)); /* switched off within those 128 us, this card brings QEMU down */
    msix_control(0);
}

static void test_msix(void)
{
    card_at = find_device(0x10d38086);
    msix_at = card_at ? find_capability(card_at, CAPABILITY_MSIX) : 0;
    if (!EXPECT(msix_at))
        return;
    card = bar(card_at, 0);
    table = bar(card_at, 3);
    test_table();
    test_delivery();
    test_move();
}

/* virtio-rng: pending bits in the page of the table, which are the device's to answer. */
static void test_shared_page(void)
{
    unsigned where = find_device(0x10051af4), at = where ? find_capability(where, CAPABILITY_MSIX) : 0;
    if (!EXPECT(at))
        return;
    uint32_t entries = port_read(where, at + 4, 4), pending = port_read(where, at + 8, 4);
    volatile char *registers = bar(where, entries & 7);
    EXPECT_EQ(pending & 7, entries & 7);
    EXPECT_EQ((pending ^ entries) >> 12, 0);
    EXPECT_EQ(get(registers + (entries & ~7u) + 12), 1);
    EXPECT_EQ(get(registers + (pending & ~7u)), 0);
    EXPECT_EQ(*(volatile uint64_t *)(registers + (pending & ~7u)), 0);
}

int main(void)
{
    char value[2];
    EXPECT_EQ(event_init(), 0);
    apic_init();
    find_ecam();
    test_both_ways();
    test_wild();
    test_told();
    test_hidden();
    if (pvh_option("devices", value, sizeof value)) {
        for (unsigned vector = 0x51; vector <= 0x63; vector++)
            interrupt_set(vector, on_interrupt);
        EXPECT_EQ(cpu_apic_ids(ids, 2), 2);
        EXPECT(smp_start(ids[1], other_cpu, NULL));
        test_msi();
        test_msix();
        test_shared_page();
        done = true;
    }
    return verdict("pci");
}
