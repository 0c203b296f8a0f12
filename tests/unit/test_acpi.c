/* sources: arch/x86_64/acpi.c arch/x86_64/acpi_dom0.c arch/x86_64/guest/mmio.c lib/acpi.c */
/* cflags: -Iarch/x86_64/include */
/*
 * Firmware's tables: what is read of them, what dom0 is shown, and which addresses stay out of its map. The
 * machine's address of a table here is where it lies in this program, as the direct map would have it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/vcpu.h>
#include <hv/boot_info.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <lib/acpi.h>
#include <x86/acpi.h>
#include <x86/features.h>
#include <x86/ioapic.h>
#include <x86/paging.h>
#include <x86/platform.h>
#include <xen/errno.h>
#include "../../arch/x86_64/guest/exit.h"
#include "../../arch/x86_64/guest/mmio.h"
#include "../../arch/x86_64/guest/vpci.h"

#define VCPUS    3u
#define FAKE_RAM 0x102000u

/* --- the world around it -------------------------------------------------------------------------------- */

struct boot_info boot_info;
struct cpu_features cpu_features;
uint64_t image_shift;
struct frame *frame_table;
uint64_t frame_limit;
static struct domain domain = {.privileged = true};
static uint64_t tables_used, mapped_at;
static unsigned mapped_order, mapped, emulated_page;
static int map_error;

void printk(const char *format, ...)
{
    (void)format;
}
const void *map_firmware(maddr_t start, uint64_t size)
{
    return start.v < FAKE_RAM && size <= FAKE_RAM - start.v ? maddr_to_virt(start) : NULL;
}
bool ioapic_describe(unsigned index, struct ioapic_info *info)
{
    *info = (struct ioapic_info){
        .address = MADDR(0xfec00000 + 0x1000 * index), .id = 7 + index, .gsi_base = 24 * index};
    return index < 2;
}
static uint16_t levels;
uint16_t pic_levels(void)
{
    return levels;
}
unsigned guest_maxphysaddr(void)
{
    return 42;
}
uint64_t p2m_table_pages(const struct domain *d)
{
    (void)d;
    return tables_used;
}
int vpci_map(struct domain *d, gfn_t gfn, unsigned order)
{
    assert_ptr_equal(d, &domain);
    if (map_error)
        return map_error;
    if (emulated_page && emulated_page >> order == gfn.v >> order)
        return -XEN_EPERM;
    mapped_at = gfn.v;
    mapped_order = order;
    mapped++;
    return 0;
}

/* --- tables --------------------------------------------------------------------------------------------- */

struct table {
    struct acpi_header header;
    uint8_t body[220];
} __attribute__((packed));

#define TABLES 0x100000 /* above what is searched for an RSDP */
char fake_ram[FAKE_RAM] __attribute__((aligned(4096)));
static struct {
    struct table madt, fadt, dsdt, hpet, mcfg, ssdt, dmar, ivrs, srat, spcr;
    struct {
        struct acpi_header header;
        uint64_t entry[16];
    } __attribute__((packed)) xsdt;
} __attribute__((packed)) *const tables = (void *)&fake_ram[TABLES];

static uint64_t at(const void *table)
{
    return (uint64_t)table - DIRECTMAP_BASE;
}

static void put(struct table *table, const char *signature, const void *body, size_t size)
{
    memset(table, 0, sizeof(*table));
    memcpy(table->body, body, size);
    acpi_finish(&table->header, signature, 1, sizeof(table->header) + size);
    tables->xsdt.entry[(tables->xsdt.header.length - sizeof(tables->xsdt.header)) / 8] = at(table);
    tables->xsdt.header.length += 8;
}

static int fresh(void **state)
{
    static const uint8_t madt_body[] = {
        0, 0,   0xe0, 0xfe, 1, 0, 0,    0,                               /* local APICs, flags */
        0, 8,   0,    0,    1, 0, 0,    0,    0,   8, 1, 2,  0, 0, 0, 0, /* two CPUs, one of which is off */
        1, 12,  7,    0,    0, 0, 0xc0, 0xfe, 0,   0, 0, 0,              /* IO-APIC */
        2, 10,  0,    9,    9, 0, 0,    0,    0xd, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, /* overrides */
        9, 200, /* longer than the table */
    };
    uint8_t fadt_body[208] = {0}, hpet_body[20] = {[8] = 0, 0, 0xd0, 0xfe};
    uint8_t mcfg_body[24] = {[11] = 0xb0, [19] = 0xff};
    uint8_t dmar_body[44] = {[14] = 16, [17] = 1, [28] = 1, [30] = 16}; /* DRHD of two pages, RMRR */
    uint8_t ivrs_body[36] = {[12] = 0x10, [14] = 24};
    uint64_t drhd = 0xfed90000, ivhd = 0xfeb80000;
    uint64_t dsdt_address = at(&tables->dsdt);
    (void)state;
    memset(&acpi, 0, sizeof(acpi));
    memset(tables, 0, sizeof(*tables));
    memcpy(&dmar_body[20], &drhd, 8);
    memcpy(&ivrs_body[20], &ivhd, 8);
    memcpy(&fadt_body[104], &dsdt_address, 8);
    fadt_body[28] = 4, fadt_body[29] = 6; /* PM1a control */
    tables->xsdt.header.length = sizeof(tables->xsdt.header);
    put(&tables->madt, "APIC", madt_body, sizeof(madt_body));
    put(&tables->fadt, "FACP", fadt_body, sizeof(fadt_body));
    put(&tables->hpet, "HPET", hpet_body, sizeof(hpet_body));
    put(&tables->mcfg, "MCFG", mcfg_body, sizeof(mcfg_body));
    put(&tables->ssdt, "SSDT", "", 0);
    put(&tables->dmar, "DMAR", dmar_body, sizeof(dmar_body));
    put(&tables->ivrs, "IVRS", ivrs_body, sizeof(ivrs_body));
    put(&tables->srat, "SRAT", "", 0);
    put(&tables->spcr, "SPCR", "", 0);
    acpi_finish(&tables->xsdt.header, "XSDT", 1, tables->xsdt.header.length);
    acpi_write_rsdp(boot_info.rsdp, at(&tables->xsdt));
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void test_read(void **state)
{
    (void)state;
    acpi_init();
    assert_int_equal(acpi.cpus, 1);
    assert_int_equal(acpi.ioapics, 1);
    assert_int_equal(acpi.overrides, 2);
    assert_int_equal(acpi.hpet.v, 0xfed00000);
    assert_int_equal(acpi.mcfgs, 1);
    assert_int_equal(acpi.mcfg[0].base.v, 0xb0000000);
    assert_int_equal(acpi.iommus, 2);
    assert_int_equal(acpi.iommu[0].start.v, 0xfed90000);
    assert_int_equal(acpi.iommu[0].size, 2 * PAGE_SIZE);
    assert_int_equal(acpi.iommu[1].start.v, 0xfeb80000);
    assert_int_equal(acpi.pm1a_control, 0x604);
}

/* Lengths that lie must neither be believed nor waited for. */
static void test_broken(void **state)
{
    (void)state;
    for (unsigned length = 0; length <= tables->dmar.header.length; length++) {
        struct table *both[] = {&tables->dmar, &tables->ivrs};
        for (unsigned i = 0; i < 2; i++) {
            uint8_t save[2];
            memcpy(save, &both[i]->body[14], 2);
            both[i]->body[14] = (uint8_t)length;
            acpi_finish(&both[i]->header, i ? "IVRS" : "DMAR", 1, both[i]->header.length);
            memset(&acpi, 0, sizeof(acpi));
            acpi_init();
            memcpy(&both[i]->body[14], save, 2);
        }
    }
    tables->ivrs.header.checksum++;
    memset(&acpi, 0, sizeof(acpi));
    acpi_init();
    assert_true(acpi.iommus <= 1);
}

static const struct acpi_header *shown(const uint8_t *buf, const char *signature, unsigned *count)
{
    uint64_t directory, entry;
    memcpy(&directory, buf + 24, 8);
    const struct acpi_header *list = (const void *)(buf + directory);
    const struct acpi_header *found = NULL;
    *count = (unsigned)(list->length - sizeof(*list)) / 8;
    for (unsigned i = 0; i < *count; i++) {
        memcpy(&entry, (const char *)(list + 1) + 8 * i, 8);
        const struct acpi_header *table =
            entry < 65536 ? (const void *)(buf + entry) : maddr_to_virt(MADDR(entry));
        if (!memcmp(table->signature, signature, 4))
            found = table;
    }
    return found;
}

static void test_shown_to_dom0(void **state)
{
    static _Alignas(64) uint8_t buf[8192];
    unsigned count;
    (void)state;
    acpi_init();
    levels = 1u << 9 | 1u << 2;
    size_t size = arch_dom0_acpi_size(VCPUS);
    assert_true(size <= sizeof(buf));
    memset(buf, 0xa5, sizeof(buf));
    arch_dom0_acpi_write(buf, 0, VCPUS);
    for (size_t i = size; i < sizeof(buf); i++)
        assert_int_equal(buf[i], 0xa5);
    assert_ptr_equal(shown(buf, "FACP", &count), &tables->fadt);
    assert_ptr_equal(shown(buf, "MCFG", &count), &tables->mcfg);
    assert_ptr_equal(shown(buf, "SSDT", &count), &tables->ssdt);
    assert_int_equal(count, 4);
    const uint8_t *own = (const uint8_t *)shown(buf, "APIC", &count);
    /* The last two are as the ELCR has levels at all; 9 and 2 are in overrides of their own. */
    static const uint8_t expected[] = {
        0, 0,    0xe0, 0xfe, 0,  0,  0, 0,  0,  8,  0, 0, 1,   0, 0,    0,    0,   8,  1,  2,  1, 0,  0,   0,
        0, 8,    2,    4,    1,  0,  0, 0,  1,  12, 7, 0, 0,   0, 0xc0, 0xfe, 0,   0,  0,  0,  1, 12, 8,   0,
        0, 0x10, 0xc0, 0xfe, 24, 0,  0, 0,  2,  10, 0, 9, 9,   0, 0,    0,    0xd, 0,  2,  10, 0, 0,  2,   0,
        0, 0,    0,    0,    2,  10, 0, 10, 10, 0,  0, 0, 0xf, 0, 2,    10,   0,   11, 11, 0,  0, 0,  0xf, 0};
    assert_memory_equal(own + sizeof(struct acpi_header), expected, sizeof(expected));
    uint8_t sum = 0;
    for (unsigned i = 0; i < sizeof(struct acpi_header) + sizeof(expected); i++)
        sum = (uint8_t)(sum + own[i]);
    assert_int_equal(sum, 0);
}

/* Without a FADT the machine's tables would mean nothing: those of any domain. */
static void test_without_acpi(void **state)
{
    static _Alignas(64) uint8_t buf[8192];
    unsigned count;
    (void)state;
    memcpy(tables->fadt.header.signature, "OEMx", 4);
    acpi_init();
    arch_dom0_acpi_write(buf, 0, VCPUS);
    const struct acpi_header *own = shown(buf, "FACP", &count);
    assert_non_null(own);
    assert_ptr_not_equal(own, &tables->fadt);
    assert_null(shown(buf, "MCFG", &count));
}

static bool maps(uint64_t address)
{
    mapped = 0;
    bool done = mmio_map(&domain, (gpa_t){address});
    assert_int_equal(done, mapped == 1);
    assert_true(!done || (mapped_at <= address >> PAGE_SHIFT &&
                          address >> PAGE_SHIFT < mapped_at + (1ull << mapped_order)));
    return done;
}

static void test_device_memory(void **state)
{
    (void)state;
    boot_info.region[0] = (struct memory_region){0, 0x9f000, MEMORY_RAM};
    boot_info.region[1] = (struct memory_region){0x100000, 0x3ff00000, MEMORY_RAM};
    boot_info.region[2] = (struct memory_region){0x40000000, 0x10000, MEMORY_ACPI};
    boot_info.regions = 3;
    cpu_features.vendor = CPU_AMD;
    acpi_init();
    mmio_init();
    static const uint64_t kept[] = {0x1000,          0x9e000,         0x100000,   0x3fffffff, 0xfee00000,
                                    0xfee01000,      0xfeefffff,      0xfec00000, 0xfed00000, 0xfed91fff,
                                    0xfeb80000,      0xfeb83fff,      0xb0000000, 0xbfffffff, 1ull << 42,
                                    0xfd00000000ull, 0xffffffffffull, ~0ull};
    static const uint64_t open[] = {0,          0x9f000,    0xb8000,          0xfffff,
                                    0x40000000, 0xfebf0000, 0xfed92000,       0xfeb84000,
                                    0xfffffff0, 1ull << 32, 0x10000000000ull, (1ull << 42) - 1};
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
        assert_false(maps(kept[i]));
    for (unsigned i = 0; i < ARRAY_SIZE(open); i++)
        assert_true(maps(open[i]));
    assert_true(maps(0xc0000000) && mapped_order == ORDER_2M); /* large where nothing else is */
    emulated_page = 0xc0010;
    assert_true(maps(0xc0000000) && mapped_order == ORDER_4K);
    assert_false(maps(0xc0010000));
    emulated_page = 0;

    map_error = -XEN_EEXIST; /* another vCPU was faster */
    assert_true(mmio_map(&domain, (gpa_t){0xc0000000}));
    map_error = -XEN_ENOMEM;
    assert_false(mmio_map(&domain, (gpa_t){0xc0000000}));
    map_error = 0;
    tables_used = 5000;
    assert_false(maps(0xc0000000));
    tables_used = 0;
    domain.privileged = false;
    assert_false(maps(0xc0000000));
    domain.privileged = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_read, fresh),          cmocka_unit_test_setup(test_broken, fresh),
        cmocka_unit_test_setup(test_shown_to_dom0, fresh), cmocka_unit_test_setup(test_without_acpi, fresh),
        cmocka_unit_test_setup(test_device_memory, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
