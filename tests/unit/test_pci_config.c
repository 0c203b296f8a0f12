/* sources: drivers/io/pci_config.c */
/* Configuration space in memory, and what the ACPI tables say of windows and root buses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <pvh/acpi.h>
#include <pvh/memory.h>
#include "../../drivers/io/pci_internal.h"
#include <cmocka.h>

static uint8_t mcfg[128], fadt[148], dsdt[256];
static bool no_room;

const struct acpi_table *acpi_find(const char signature[4])
{
    const uint8_t *table = !memcmp(signature, "MCFG", 4) ? mcfg : !memcmp(signature, "FACP", 4) ? fadt : NULL;
    assert_non_null(table);
    return table[4] ? (const struct acpi_table *)table : NULL;
}

bool page_map_identity(uint64_t start, uint64_t size)
{
    (void)start;
    (void)size;
    return !no_room;
}

static void put(uint8_t *to, uint64_t value, unsigned size)
{
    memcpy(to, &value, size);
}

static void add_window(unsigned n, uint64_t base, uint16_t segment, uint8_t first, uint8_t last)
{
    uint8_t *entry = mcfg + 44 + 16 * n;
    put(mcfg + 4, 44 + 16 * (n + 1), 4);
    put(entry, base, 8);
    put(entry + 8, segment, 2);
    entry[10] = first;
    entry[11] = last;
}

/* A DSDT of those bytes behind its header. */
static void write_dsdt(const void *aml, size_t size)
{
    memset(dsdt, 0, sizeof dsdt);
    put(dsdt + 4, 36 + size, 4);
    memcpy(dsdt + 36, aml, size);
    put(fadt + 4, sizeof fadt, 4);
    put(fadt + 140, (uint64_t)dsdt, 8);
}

static int reset(void **state)
{
    (void)state;
    memset(mcfg, 0, sizeof mcfg);
    memset(fadt, 0, sizeof fadt);
    no_room = false;
    return 0;
}

static void windows(void **state)
{
    (void)state;
    struct pci_window window;
    assert_false(pci_window(0, &window));
    add_window(0, 0xb0000000, 0, 0, 255);
    add_window(1, 0x4000000000, 3, 16, 31);
    assert_true(pci_window(0, &window));
    assert_true(window.base == 0xb0000000 && !window.segment && !window.first_bus && window.last_bus == 255);
    assert_true(pci_window(1, &window));
    assert_true(window.base == 0x4000000000 && window.segment == 3 && window.first_bus == 16 &&
                window.last_bus == 31);
    assert_false(pci_window(2, &window));
    put(mcfg + 4, 44 + 31, 4); /* cut in the second */
    assert_false(pci_window(1, &window));
    no_room = true;
    assert_false(pci_window(0, &window));
}

static void accesses_in_memory(void **state)
{
    (void)state;
    uint8_t *area = calloc(2, 1 << 20);
    struct pci_function f = {.window_base = (uint64_t)area, .bus = 1, .device = 3, .function = 5};
    uint8_t *config = area + (1 << 20) + (3 << 15) + (5 << 12);
    put(config + 0x100, 0x11223344, 4);
    assert_int_equal(pci_read32(&f, 0x100), 0x11223344);
    assert_int_equal(pci_read16(&f, 0x102), 0x1122);
    assert_int_equal(pci_read8(&f, 0x101), 0x33);
    pci_write32(&f, 0xffc, 0xdeadbeef);
    pci_write16(&f, 0x10, 0xabcd);
    pci_write8(&f, 0x13, 0x77);
    assert_memory_equal(config + 0xffc, "\xef\xbe\xad\xde", 4);
    assert_memory_equal(config + 0x10, "\xcd\xab\0\x77", 4);
    free(area);
}

static void beyond_the_ports(void **state)
{
    (void)state;
    const struct pci_function far = {.segment = 1}, f = {.bus = 1};
    assert_int_equal(pci_read32(&far, 0), 0xffffffff);
    assert_int_equal(pci_read16(&f, 0x100), 0xffff);
    pci_write8(&f, 0x100, 1);
}

static void root_buses(void **state)
{
    (void)state;
    static const char aml[] =
        "\x08_BBN\0"
        "xx\x08_UID\x0a\x05"
        "\x08_BBN\x0a\x40yy"
        "\x14\x08_BBN\0" /* a method of eight bytes looks like a 0, which does no harm */
        "\x08_BBN\x0b\x80\0"
        "\x08_BBN\x70z"
        "\x08_BBN\x01";
    uint8_t bus = 0xee;
    assert_false(pci_root_bus(0, &bus));
    write_dsdt(aml, sizeof aml);
    static const uint8_t want[] = {0, 0x40, 0, 0x80, 1};
    for (unsigned i = 0; i < sizeof want; i++) {
        assert_true(pci_root_bus(i, &bus));
        assert_int_equal(bus, want[i]);
    }
    assert_false(pci_root_bus(sizeof want, &bus));
}

static void tables_that_end_early(void **state)
{
    (void)state;
    uint8_t bus;
    write_dsdt("\x08_BBN\x0a\x40", 7);
    assert_true(pci_root_bus(0, &bus));
    for (unsigned size = 0; size < 7; size++) {
        put(dsdt + 4, 36 + size, 4);
        assert_false(pci_root_bus(0, &bus));
    }
    put(dsdt + 4, 3, 4);
    assert_false(pci_root_bus(0, &bus));
    put(dsdt + 4, 36 + 7, 4);
    put(fadt + 4, 40, 4);
    assert_false(pci_root_bus(0, &bus));
    put(fadt + 4, sizeof fadt, 4);
    no_room = true;
    assert_false(pci_root_bus(0, &bus));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(windows, reset),
        cmocka_unit_test_setup(accesses_in_memory, reset),
        cmocka_unit_test_setup(beyond_the_ports, reset),
        cmocka_unit_test_setup(root_buses, reset),
        cmocka_unit_test_setup(tables_that_end_early, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
