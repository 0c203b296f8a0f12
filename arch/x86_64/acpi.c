/*
 * ACPI's fixed tables: RSDP -> XSDT or RSDT -> MADT, FADT, HPET, MCFG, DMAR, IVRS (ACPI 5.2). AML is not
 * interpreted but for the bytes of \_S5 (power.c). Everything is read once at boot and kept in struct
 * acpi_info; no locking.
 */
#include <hv/boot_info.h>
#include <hv/init.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/acpi.h>
#include <lib/string.h>
#include <x86/acpi.h>
#include <x86/paging.h>

#define BIOS_AREA     0xe0000ull
#define BIOS_AREA_END 0x100000ull
#define EBDA_POINTER  0x40eull /* real-mode segment of the extended BIOS data area */
#define DEFAULT_LAPIC 0xfee00000ull

struct acpi_info acpi;
static maddr_t xsdt INIT_DATA, rsdt INIT_DATA; /* 0: none */

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt;
    /* revision 2 on */
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

#define RSDP_1_SIZE 20

static INIT_CODE bool checksum_right(const void *p, size_t size)
{
    uint8_t sum = 0;
    for (const uint8_t *b = p; size--; b++)
        sum = (uint8_t)(sum + *b);
    return sum == 0;
}

/* --- finding tables ------------------------------------------------------------------------------------- */

static INIT_CODE bool rsdp_good(const struct rsdp *r)
{
    return !memcmp(r->signature, "RSD PTR ", 8) && checksum_right(r, RSDP_1_SIZE) &&
           (r->revision < 2 || checksum_right(r, sizeof *r));
}

static INIT_CODE const struct rsdp *search(uint64_t start, uint64_t size)
{
    const char *area = map_firmware(MADDR(start), size);
    for (uint64_t at = 0; area && at + sizeof(struct rsdp) <= size; at += 16) {
        const struct rsdp *r = (const struct rsdp *)(area + at);
        if (rsdp_good(r)) {
            return r;
        }
    }
    return NULL;
}

static INIT_CODE const struct rsdp *find_rsdp(void)
{
    if (boot_info.rsdp[0]) {
        const struct rsdp *given = (const struct rsdp *)boot_info.rsdp;
        if (rsdp_good(given))
            return given;
    }
    const uint16_t *ebda = map_firmware(MADDR(EBDA_POINTER), sizeof *ebda);
    const struct rsdp *found = ebda && *ebda ? search((uint64_t)*ebda << 4, 1024) : NULL;
    return found ? found : search(BIOS_AREA, BIOS_AREA_END - BIOS_AREA);
}

/* The table at that address, mapped as a whole; NULL when its length or checksum is wrong. */
static INIT_CODE const struct acpi_header *table_at(maddr_t where)
{
    const struct acpi_header *table = where.v ? map_firmware(where, sizeof *table) : NULL;
    if (!table || table->length < sizeof *table || table->length > 1u << 24)
        return NULL;
    if (!map_firmware(where, table->length) || !checksum_right(table, table->length))
        return NULL;
    return table;
}

INIT_CODE const struct acpi_header *acpi_listed(unsigned index)
{
    const struct acpi_header *directory = table_at(xsdt.v ? xsdt : rsdt);
    size_t entry_size = xsdt.v ? 8 : 4;
    if (!directory || index >= (directory->length - sizeof *directory) / entry_size)
        return NULL;
    uint64_t address = 0;
    memcpy(&address, (const char *)(directory + 1) + index * entry_size, entry_size);
    return map_firmware(MADDR(address), sizeof(struct acpi_header));
}

/* The first table with that signature that is whole. */
static INIT_CODE const struct acpi_header *find_table(const char *signature)
{
    const struct acpi_header *table;
    for (unsigned i = 0; (table = acpi_listed(i)); i++)
        if (!memcmp(table->signature, signature, 4) && (table = table_at(virt_to_maddr(table))))
            return table;
    return NULL;
}

/* --- MADT (ACPI 5.2.12) --------------------------------------------------------------------------------- */

struct madt {
    struct acpi_header header;
    uint32_t lapic, flags;
} __attribute__((packed));

struct madt_entry {
    uint8_t type, length;
    union {
        struct {
            uint8_t acpi_id, apic_id;
            uint32_t flags;
        } __attribute__((packed)) lapic;
        struct {
            uint8_t id, reserved;
            uint32_t address, gsi_base;
        } __attribute__((packed)) ioapic;
        struct {
            uint8_t bus, source;
            uint32_t gsi;
            uint16_t flags;
        } __attribute__((packed)) override;
        struct {
            uint16_t reserved;
            uint64_t address;
        } __attribute__((packed)) lapic_address;
        struct {
            uint16_t reserved;
            uint32_t apic_id, flags, acpi_id;
        } __attribute__((packed)) x2apic;
    };
} __attribute__((packed));

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_ADDRESS = 5, MADT_X2APIC = 9 };
#define MADT_CPU_ENABLED 1u

static INIT_CODE void add_cpu(uint32_t apic_id, uint32_t acpi_id, uint32_t flags)
{
    if (!(flags & MADT_CPU_ENABLED))
        return;
    if (acpi.cpus == MAX_CPUS) {
        acpi.cpus_ignored++;
        return;
    }
    acpi.cpu[acpi.cpus].apic_id = apic_id;
    acpi.cpu[acpi.cpus++].acpi_id = acpi_id;
}

static INIT_CODE void read_madt_entry(const struct madt_entry *e)
{
    switch (e->type) {
    case MADT_LAPIC:
        add_cpu(e->lapic.apic_id, e->lapic.acpi_id, e->lapic.flags);
        break;
    case MADT_X2APIC:
        add_cpu(e->x2apic.apic_id, e->x2apic.acpi_id, e->x2apic.flags);
        break;
    case MADT_IOAPIC:
        if (acpi.ioapics == ACPI_MAX_IOAPICS)
            break;
        acpi.ioapic[acpi.ioapics].id = e->ioapic.id;
        acpi.ioapic[acpi.ioapics].gsi_base = e->ioapic.gsi_base;
        acpi.ioapic[acpi.ioapics++].address = MADDR(e->ioapic.address);
        break;
    case MADT_OVERRIDE:
        if (acpi.overrides == ACPI_MAX_OVERRIDES)
            break;
        acpi.override[acpi.overrides].irq = e->override.source;
        acpi.override[acpi.overrides].gsi = e->override.gsi;
        acpi.override[acpi.overrides++].flags = e->override.flags;
        break;
    case MADT_LAPIC_ADDRESS:
        acpi.lapic = MADDR(e->lapic_address.address);
        break;
    }
}

static INIT_CODE void read_madt(void)
{
    const struct madt *madt = (const struct madt *)find_table("APIC");
    acpi.lapic = MADDR(madt ? madt->lapic : DEFAULT_LAPIC);
    if (!madt) {
        printk(LOG_WARNING "ACPI: no MADT: one CPU, no IO-APIC\n");
        return;
    }
    const char *end = (const char *)madt + madt->header.length;
    for (const char *p = (const char *)(madt + 1); p + 2 <= end;) {
        const struct madt_entry *e = (const struct madt_entry *)p;
        if (e->length < 2 || p + e->length > end)
            break;
        read_madt_entry(e);
        p += e->length;
    }
}

#define POLARITY_LOW  3u /* of flags & 3 */
#define TRIGGER_LEVEL 3u /* of flags >> 2 & 3 */

struct acpi_gsi acpi_isa_gsi(uint8_t irq)
{
    for (uint32_t i = 0; i < acpi.overrides; i++)
        if (acpi.override[i].irq == irq)
            return (struct acpi_gsi){.gsi = acpi.override[i].gsi,
                                     .level = (acpi.override[i].flags >> 2 & 3) == TRIGGER_LEVEL,
                                     .low = (acpi.override[i].flags & 3) == POLARITY_LOW};
    return (struct acpi_gsi){.gsi = irq};
}

/* --- FADT (5.2.9), HPET, MCFG --------------------------------------------------------------------------- */

struct generic_address {
    uint8_t space, width, offset, access;
    uint64_t address;
} __attribute__((packed));

struct fadt {
    struct acpi_header header;
    uint32_t facs, dsdt;
    uint8_t model, profile;
    uint16_t sci_irq;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t lengths[8];
    uint8_t latencies[8], duty[2], rtc[3];
    uint16_t iapc_boot;
    uint8_t reserved;
    uint32_t flags;
    struct generic_address reset;
    uint8_t reset_value, arm_boot[2], minor;
    uint64_t x_facs, x_dsdt;
} __attribute__((packed));
_Static_assert(offsetof(struct fadt, reset) == 116 && offsetof(struct fadt, x_dsdt) == 140, "ACPI 5.2.9");
#define FADT_1_SIZE          116u
#define FADT_RESET_SUPPORTED (1u << 10)
#define FADT_TIMER_32BIT     (1u << 8)

static INIT_CODE void read_fadt(void)
{
    struct fadt f = {0};
    const struct acpi_header *table = find_table("FACP");
    if (!table || table->length < FADT_1_SIZE) {
        printk(LOG_WARNING "ACPI: no FADT: no power-off, no PM timer\n");
        return;
    }
    memcpy(&f, table, MIN(table->length, sizeof f));
    acpi.smi_command = f.smi_command;
    acpi.acpi_enable = f.acpi_enable;
    acpi.pm1a_control = (uint16_t)f.pm1a_control;
    acpi.pm1b_control = (uint16_t)f.pm1b_control;
    acpi.pm_timer = (uint16_t)f.pm_timer;
    acpi.pm_timer_32bit = f.flags & FADT_TIMER_32BIT;
    acpi.reset_supported = f.flags & FADT_RESET_SUPPORTED && table->length >= offsetof(struct fadt, arm_boot);
    acpi.reset.space = f.reset.space;
    acpi.reset.address = f.reset.address;
    acpi.reset.value = f.reset_value;
    acpi.dsdt = MADDR(f.x_dsdt ? f.x_dsdt : f.dsdt);
}

/*
 * \_S5 is Name(_S5, Package { type A, type B, ... }): in AML 08 [5c] "_S5_" 12 length count, then numbers,
 * each either 0a xx or the opcodes 00 and 01 (ACPI 20.2). Nothing else in a DSDT looks like that.
 */
#define S5_LENGTH 11 /* name, opcode, one byte each of length and count, two numbers */

static INIT_CODE void read_s5(void)
{
    const struct acpi_header *dsdt = table_at(acpi.dsdt);
    if (!dsdt)
        return;
    const uint8_t *p = (const uint8_t *)(dsdt + 1), *end = (const uint8_t *)dsdt + dsdt->length;
    for (; p + S5_LENGTH <= end; p++) {
        if (memcmp(p, "_S5_", 4) || p[4] != 0x12)
            continue;
        const uint8_t *value = p + 5;
        value += (*value >> 6) + 2; /* package length, element count */
        uint8_t type[2];
        for (unsigned i = 0; i < 2; i++) {
            value += *value == 0x0a;
            type[i] = *value++ & 7;
        }
        acpi.has_s5 = true;
        acpi.s5_type_a = type[0];
        acpi.s5_type_b = type[1];
        return;
    }
}

struct hpet_table {
    struct acpi_header header;
    uint32_t id;
    struct generic_address base;
} __attribute__((packed));

struct mcfg_entry {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
} __attribute__((packed));

static INIT_CODE void read_hpet_and_mcfg(void)
{
    const struct hpet_table *hpet = (const struct hpet_table *)find_table("HPET");
    if (hpet && hpet->header.length >= sizeof *hpet && hpet->base.space == 0)
        acpi.hpet = MADDR(hpet->base.address);

    const struct acpi_header *mcfg = find_table("MCFG");
    const struct mcfg_entry *entry = (const struct mcfg_entry *)((const char *)mcfg + sizeof *mcfg + 8);
    for (; mcfg && (const char *)(entry + 1) <= (const char *)mcfg + mcfg->length; entry++) {
        if (acpi.mcfgs == ACPI_MAX_SEGMENTS) {
            printk(LOG_WARNING "ACPI: PCI devices are beyond the %u areas that are watched\n",
                   ACPI_MAX_SEGMENTS);
            break;
        }
        if (entry->first_bus > entry->last_bus)
            continue;
        acpi.mcfg[acpi.mcfgs].base = MADDR(entry->base);
        acpi.mcfg[acpi.mcfgs].segment = entry->segment;
        acpi.mcfg[acpi.mcfgs].first_bus = entry->first_bus;
        acpi.mcfg[acpi.mcfgs++].last_bus = entry->last_bus;
    }
}

/*
 * IOMMUs: their registers only. DMAR (Intel VT-d 8.3: DRHD is type 0, 2^n pages large) and IVRS (AMD
 * IOMMU 5.2.2: types 10h, 11h and 40h) both have 48 bytes before the first structure, and the address of
 * registers at its byte 8.
 */
#define IOMMU_STRUCTURES 48u
#define IVHD_SIZE        0x4000u

static INIT_CODE void add_iommu(uint64_t start, uint64_t size)
{
    for (uint32_t i = 0; i < acpi.iommus; i++)
        if (acpi.iommu[i].start.v == start)
            return;
    if (acpi.iommus == ACPI_MAX_IOMMUS)
        return;
    acpi.iommu[acpi.iommus].start = MADDR(start);
    acpi.iommu[acpi.iommus++].size = size;
}

static INIT_CODE void read_dmar(void)
{
    const struct acpi_header *dmar = find_table("DMAR");
    const uint8_t *p = (const uint8_t *)dmar + IOMMU_STRUCTURES, *end = (const uint8_t *)dmar;
    for (end += dmar ? dmar->length : 0; p + 16 <= end;) {
        uint16_t type, length;
        uint64_t base;
        memcpy(&type, p, sizeof type);
        memcpy(&length, p + 2, sizeof length);
        memcpy(&base, p + 8, sizeof base);
        if (type == 0)
            add_iommu(base, PAGE_SIZE << (p[5] & 0xf));
        p += MAX(length, 16u);
    }
}

static INIT_CODE void read_ivrs(void)
{
    const struct acpi_header *ivrs = find_table("IVRS");
    const uint8_t *p = (const uint8_t *)ivrs + IOMMU_STRUCTURES, *end = (const uint8_t *)ivrs;
    for (end += ivrs ? ivrs->length : 0; p + 16 <= end;) {
        uint16_t length;
        uint64_t base;
        memcpy(&length, p + 2, sizeof length);
        memcpy(&base, p + 8, sizeof base);
        if (p[0] == 0x10 || p[0] == 0x11 || p[0] == 0x40)
            add_iommu(base, IVHD_SIZE);
        p += MAX(length, 16u);
    }
}

INIT_CODE void acpi_init(void)
{
    const struct rsdp *rsdp = find_rsdp();
    if (rsdp) {
        rsdt = MADDR(rsdp->rsdt);
        xsdt = MADDR(rsdp->revision >= 2 ? rsdp->xsdt : 0);
        if (xsdt.v && !table_at(xsdt))
            xsdt = MADDR(0);
    } else {
        printk(LOG_WARNING "ACPI: no RSDP found\n");
    }
    read_madt();
    read_fadt();
    read_s5();
    read_hpet_and_mcfg();
    read_dmar();
    read_ivrs();
    printk(LOG_INFO "ACPI: %u CPUs, %u IO-APICs, HPET %s, PM timer %s, ECAM %s\n", acpi.cpus, acpi.ioapics,
           acpi.hpet.v ? "yes" : "no", acpi.pm_timer ? "yes" : "no", acpi.mcfgs ? "yes" : "no");
    if (acpi.cpus_ignored)
        printk(LOG_WARNING "ACPI: %u CPUs are beyond the %u that are supported\n", acpi.cpus_ignored,
               MAX_CPUS);
}
