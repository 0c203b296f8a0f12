/* sources: drivers/io/pci.c drivers/io/pci_msi.c lib/printf.c */
/* The PCI scan, capabilities and interrupts over a pretended configuration space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include "../../drivers/io/pci_internal.h"
#include <cmocka.h>

#define MODELS 8
#define DECODE (COMMAND_PORTS | COMMAND_MEMORY)

static struct model {
    bool there;
    uint8_t bus, device, function;
    uint8_t config[256];
    uint32_t bar_mask[6];
    bool sized_while_decoding;
} models[MODELS];
static unsigned model_count;
static char said[256];
static uint8_t table[4096]; /* stands for whatever is mapped */
static uint64_t mapped, mapped_size;
static unsigned vectors_left, vectors_used;
static bool pins;
static uint32_t routed;

/* --- the world ------------------------------------------------------------------------------------------ */

static struct model *find(const struct pci_function *f)
{
    for (unsigned i = 0; i < model_count; i++)
        if (models[i].bus == f->bus && models[i].device == f->device && models[i].function == f->function)
            return &models[i];
    return NULL;
}

static uint32_t read_config(const struct pci_function *f, uint16_t offset, unsigned size)
{
    uint32_t value = ~0u;
    const struct model *m = find(f);
    assert_true(offset + size <= 256 && offset % size == 0);
    if (m) {
        value = 0;
        memcpy(&value, m->config + offset, size);
    }
    return value;
}

static void write_config(const struct pci_function *f, uint16_t offset, unsigned size, uint32_t value)
{
    struct model *m = find(f);
    assert_non_null(m);
    assert_true(offset + size <= 256 && offset % size == 0);
    if (offset >= 0x10 && offset < 0x28) {
        unsigned n = (offset - 0x10u) / 4;
        uint32_t old;
        memcpy(&old, m->config + offset, 4);
        assert_int_equal(size, 4);
        m->sized_while_decoding |= m->config[PCI_COMMAND] & DECODE;
        uint32_t fixed =
            n && m->bar_mask[n - 1] && (m->config[offset - 4] & 7) == 4 ? 0 : old & (old & 1 ? 3 : 15);
        value = (value & m->bar_mask[n]) | fixed;
    }
    memcpy(m->config + offset, &value, size);
}

#define ACCESSORS(bits)                                                                                      \
    uint##bits##_t pci_read##bits(const struct pci_function *f, uint16_t offset)                             \
    {                                                                                                        \
        return (uint##bits##_t)read_config(f, offset, bits / 8);                                             \
    }                                                                                                        \
    void pci_write##bits(const struct pci_function *f, uint16_t offset, uint##bits##_t value)                \
    {                                                                                                        \
        write_config(f, offset, bits / 8, value);                                                            \
    }
ACCESSORS(8)
ACCESSORS(16)
ACCESSORS(32)

bool pci_window(unsigned index, struct pci_window *window)
{
    (void)index;
    (void)window;
    return false;
}

bool pci_root_bus(unsigned index, uint8_t *bus)
{
    static const uint8_t roots[] = {0, 64};
    if (index >= sizeof roots)
        return false;
    *bus = roots[index];
    return true;
}

const struct pci_driver *const pci_drivers[] = {NULL};
const size_t pci_driver_count = 0;

void *mem_alloc(size_t size)
{
    return calloc(1, size);
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
}

volatile void *registers_map(uint64_t address, uint64_t size)
{
    assert_true(size <= sizeof table);
    mapped = address;
    mapped_size = size;
    return table;
}

uint8_t irq_alloc(irq_handler handler, void *arg)
{
    (void)handler;
    (void)arg;
    if (!vectors_left)
        return 0;
    vectors_left--;
    return (uint8_t)(0x40 + vectors_used++);
}

void irq_free(uint8_t vector)
{
    assert_in_range(vector, 0x40, 0x40 + vectors_used);
    vectors_left++;
}

uint64_t irq_message_address(void)
{
    return 0xfee01000;
}

uint32_t irq_message_data(uint8_t vector)
{
    return vector;
}

uint32_t irq_of_line(uint8_t line, bool *level, bool *low)
{
    *level = *low = true;
    return line + 100u;
}

bool irq_route_pin(uint32_t gsi, bool level, bool low, irq_handler handler, void *arg)
{
    (void)handler;
    (void)arg;
    if (pins && level && low)
        routed = gsi;
    return pins;
}

void irq_unroute_pin(uint32_t gsi, irq_handler handler, void *arg)
{
    (void)handler;
    (void)arg;
    assert_int_equal(gsi, routed);
    routed = 0;
}

static void put(struct model *m, unsigned offset, uint32_t value, unsigned size)
{
    memcpy(m->config + offset, &value, size);
}

static struct model *add(uint8_t bus, uint8_t device, uint8_t function, uint32_t id)
{
    struct model *m = &models[model_count++];
    *m = (struct model){.bus = bus, .device = device, .function = function};
    put(m, 0, id, 4);
    put(m, PCI_COMMAND, COMMAND_MEMORY, 2);
    put(m, PCI_STATUS, STATUS_CAPABILITIES, 2);
    m->config[0x0b] = 2;
    return m;
}

static void add_bar(struct model *m, unsigned n, uint32_t value, uint32_t mask)
{
    put(m, 0x10 + 4 * n, value, 4);
    m->bar_mask[n] = mask;
}

static void make_bridge(struct model *m, uint8_t secondary)
{
    m->config[PCI_HEADER_TYPE] |= 1;
    m->config[0x0b] = 6;
    m->config[PCI_SECONDARY_BUS] = secondary;
}

static int reset(void **state)
{
    (void)state;
    for (struct pci_function *f = pci_functions, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    pci_functions = NULL;
    model_count = 0;
    said[0] = '\0';
    memset(table, 0xff, sizeof table);
    vectors_left = 10;
    vectors_used = 0;
    pins = true;
    return 0;
}

static struct pci_function *scan(void)
{
    pci_scan();
    return pci_functions;
}

static struct pci_function *at(uint8_t bus, uint8_t device, uint8_t function)
{
    struct pci_function *f = pci_functions;
    while (f && (f->bus != bus || f->device != device || f->function != function))
        f = f->next;
    return f;
}

/* --- the scan ------------------------------------------------------------------------------------------- */

static void functions_of_one_device(void **state)
{
    (void)state;
    add(0, 3, 0, 0x10001af4)->config[PCI_HEADER_TYPE] = 0x80;
    add(0, 3, 5, 0x10011af4);
    add(0, 31, 0, 0x10021af4);
    add(0, 31, 3, 0x10031af4); /* hidden: 31.0 does not say that there are more */
    scan();
    assert_int_equal(at(0, 3, 5)->device_id, 0x1001);
    assert_int_equal(at(0, 31, 0)->vendor_id, 0x1af4);
    assert_null(at(0, 31, 3));
}

static void buses_behind_bridges(void **state)
{
    (void)state;
    make_bridge(add(0, 1, 0, 0x00011b36), 4);
    make_bridge(add(4, 2, 0, 0x00011b36), 9);
    add(9, 7, 0, 0x10411af4);
    make_bridge(add(9, 8, 0, 0x00011b36), 4); /* leads back */
    make_bridge(add(9, 9, 0, 0x00011b36), 0); /* the firmware did not set it up */
    scan();
    assert_non_null(at(9, 7, 0));
    unsigned count = 0;
    for (struct pci_function *f = pci_functions; f; f = f->next)
        count++;
    assert_int_equal(count, 5);
}

static void buses_of_other_host_bridges(void **state)
{
    (void)state;
    add(64, 0, 0, 0x00001b36);
    make_bridge(add(64, 3, 0, 0x00011b36), 65);
    add(65, 0, 0, 0x10411af4);
    add(32, 0, 0, 0x10411af4);
    scan();
    assert_non_null(at(65, 0, 0));
    assert_null(at(32, 0, 0));
}

static void bars_are_sized(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x10411af4);
    add_bar(m, 0, 0xc001, 0xffe0);         /* 32 ports, upper half fixed */
    add_bar(m, 1, 0xfeb00000, 0xfffff000); /* 4 KiB */
    add_bar(m, 2, 0x0000000c, 0xffffc000); /* 16 KiB beyond 4 GiB */
    add_bar(m, 3, 0x00000380, 0xffffffff);
    add_bar(m, 4, 0x0000000c, 0x00000000); /* 8 GiB */
    add_bar(m, 5, 0x00000042, 0xfffffffe);
    const struct pci_function *f = scan();
    assert_true(f->bar[0].port && f->bar[0].address == 0xc000 && f->bar[0].size == 32);
    assert_true(!f->bar[1].port && f->bar[1].address == 0xfeb00000 && f->bar[1].size == 4096);
    assert_true(f->bar[2].address == 0x38000000000 && f->bar[2].size == 16384 && !f->bar[3].size);
    assert_true(f->bar[4].address == 0x4200000000 && f->bar[4].size == 0x200000000 && !f->bar[5].size);
    assert_false(m->sized_while_decoding);
    assert_int_equal(m->config[PCI_COMMAND], COMMAND_MEMORY);
    uint32_t back;
    memcpy(&back, m->config + 0x1c, 4);
    assert_int_equal(back, 0x380);
}

static void other_classes_are_left_alone(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x11111234);
    m->config[0x0b] = 3;
    add_bar(m, 0, 0xfd000008, 0xff000000);
    const struct pci_function *f = scan();
    assert_int_equal(f->class_code, 3);
    assert_int_equal(f->bar[0].size, 0);
    assert_false(m->sized_while_decoding);
}

static void bars_are_mapped_within_their_size(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x10411af4);
    add_bar(m, 0, 0xc001, 0xffe0);
    add_bar(m, 1, 0xfeb00000, 0xfffff000);
    add_bar(m, 2, 0, 0xfffff000);
    const struct pci_function *f = scan();
    assert_non_null(pci_bar_map(f, 1, 0x800, 0x800));
    assert_int_equal(mapped, 0xfeb00800);
    assert_null(pci_bar_map(f, 1, 0x801, 0x800));
    assert_null(pci_bar_map(f, 1, ~0ull, 0x800));
    assert_null(pci_bar_map(f, 0, 0, 4));
    assert_null(pci_bar_map(f, 6, 0, 4));
    assert_null(pci_bar_map(f, 3, 0, 4));
    assert_null(pci_bar_map(f, 2, 0, 4));
    assert_non_null(strstr(said, "00:03.0"));
}

static void capabilities_end(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x10411af4);
    m->config[PCI_CAPABILITIES] = 0x40;
    put(m, 0x40, 0x5009, 2);
    put(m, 0x50, 0x6009, 2);
    put(m, 0x60, 0x4001, 2); /* round and round */
    const struct pci_function *f = scan();
    assert_int_equal(pci_capability(f, 9, 0), 0x40);
    assert_int_equal(pci_capability(f, 9, 0x40), 0x50);
    assert_int_equal(pci_capability(f, 0x11, 0), 0);
    put(m, PCI_STATUS, 0, 2);
    assert_int_equal(pci_capability(f, 9, 0), 0);
    /* Into the header. */
    put(m, PCI_STATUS, STATUS_CAPABILITIES, 2);
    m->config[PCI_CAPABILITIES] = 0x10;
    assert_int_equal(pci_capability(f, 9, 0), 0);
}

/* --- interrupts ----------------------------------------------------------------------------------------- */

static void handler(void *arg)
{
    (void)arg;
}

static void *const args[3];

static uint32_t entry(unsigned n, unsigned word)
{
    uint32_t value;
    memcpy(&value, table + 16 * n + 4 * word, sizeof value);
    return value;
}

static struct pci_function *with_msix(struct model *m, unsigned entries)
{
    m->config[PCI_CAPABILITIES] = 0x40;
    put(m, 0x40, 0x11 | (entries - 1) << 16, 4);
    put(m, 0x44, 0x801, 4); /* in BAR 1, from 0x800 on */
    add_bar(m, 1, 0xfeb00000, 0xfffff000);
    return scan();
}

static void msix_comes_first(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x10411af4);
    struct pci_function *f = with_msix(m, 4);
    assert_int_equal(pci_msix_count(f), 4);
    assert_int_equal(pci_interrupts(f, 3, handler, args), 3);
    assert_int_equal(f->interrupt_kind, PCI_MSIX);
    assert_int_equal(mapped, 0xfeb00800);
    assert_int_equal(mapped_size, 64);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(entry(i, 0) == 0xfee01000 && !entry(i, 1) && entry(i, 2) == 0x40 + i && !entry(i, 3));
    }
    assert_int_equal(entry(3, 3) & 1, 1);
    assert_int_equal(m->config[0x43] & 0xc0, 0x80);
    assert_int_equal(m->config[PCI_COMMAND + 1] & 4, 4);
    pci_interrupts_off(f);
    assert_int_equal(m->config[0x43] & 0xc0, 0);
    assert_int_equal(vectors_left, 10);
}

static void msix_with_few_vectors(void **state)
{
    (void)state;
    struct pci_function *f = with_msix(add(0, 3, 0, 0x10411af4), 2);
    assert_int_equal(pci_interrupts(f, 3, handler, args), 2);
    pci_interrupts_off(f);
    vectors_left = 1;
    assert_int_equal(pci_interrupts(f, 2, handler, args), 1);
    pci_interrupts_off(f);
    assert_int_equal(vectors_left, 1);
}

static void msi_comes_next(void **state)
{
    (void)state;
    for (unsigned is64 = 0; is64 < 2; is64++) {
        reset(NULL);
        struct model *m = add(0, 3, 0, 0x10411af4);
        m->config[PCI_CAPABILITIES] = 0x40;
        put(m, 0x40, 0x01760005 | is64 << 23, 4); /* offers 8, masks; the firmware left some on */
        struct pci_function *f = scan();
        assert_int_equal(pci_interrupts(f, 3, handler, args), 1);
        assert_int_equal(f->interrupt_kind, PCI_MSI);
        assert_int_equal(m->config[0x42] & 0x71, 1);
        assert_int_equal(pci_read32(f, 0x44), 0xfee01000);
        assert_int_equal(pci_read16(f, is64 ? 0x4c : 0x48), 0x40);
        pci_interrupts_off(f);
        assert_int_equal(m->config[0x42] & 1, 0);
        assert_int_equal(vectors_left, 10);
    }
}

static void the_pin_comes_last(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x10411af4);
    struct pci_function *f = scan();
    assert_int_equal(pci_interrupts(f, 1, handler, args), 0);
    assert_int_equal(f->interrupt_kind, PCI_NO_INTERRUPT);
    reset(NULL);
    m = add(0, 3, 0, 0x10411af4);
    m->config[PCI_INTERRUPT_LINE] = 11;
    m->config[PCI_INTERRUPT_LINE + 1] = 1;
    put(m, PCI_COMMAND, COMMAND_INTX_OFF, 2);
    f = scan();
    assert_int_equal(pci_interrupts(f, 4, handler, args), 1);
    assert_int_equal(f->interrupt_kind, PCI_PIN);
    assert_int_equal(routed, 111);
    assert_int_equal(m->config[PCI_COMMAND + 1] & 4, 0);
    pci_interrupts_off(f);
    assert_int_equal(routed, 0);
    assert_int_equal(m->config[PCI_COMMAND + 1] & 4, 4);
    pins = false;
    assert_int_equal(pci_interrupts(f, 1, handler, args), 0);
    f->interrupt_line = 255; /* the firmware routed nothing */
    pins = true;
    assert_int_equal(pci_interrupts(f, 1, handler, args), 0);
}

static void enabling_and_disabling(void **state)
{
    (void)state;
    struct model *m = add(0, 3, 0, 0x10411af4);
    struct pci_function *f = scan();
    pci_enable(f);
    assert_int_equal(m->config[PCI_COMMAND], 7);
    pci_disable(f);
    assert_int_equal(m->config[PCI_COMMAND], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(functions_of_one_device, reset),
        cmocka_unit_test_setup(buses_behind_bridges, reset),
        cmocka_unit_test_setup(buses_of_other_host_bridges, reset),
        cmocka_unit_test_setup(bars_are_sized, reset),
        cmocka_unit_test_setup(other_classes_are_left_alone, reset),
        cmocka_unit_test_setup(bars_are_mapped_within_their_size, reset),
        cmocka_unit_test_setup(capabilities_end, reset),
        cmocka_unit_test_setup(msix_comes_first, reset),
        cmocka_unit_test_setup(msix_with_few_vectors, reset),
        cmocka_unit_test_setup(msi_comes_next, reset),
        cmocka_unit_test_setup(the_pin_comes_last, reset),
        cmocka_unit_test_setup(enabling_and_disabling, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
