/*
 * ACPI tables for a PVH domain (lib/acpi.h). No state, no locking.
 *
 * The tables lie behind each other in one buffer; struct tables is its fixed part, the MADT's entries follow.
 */
#include <lib/acpi.h>
#include <lib/string.h>

#define PACKED __attribute__((packed))

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} PACKED;
_Static_assert(sizeof(struct rsdp) == ACPI_RSDP_SIZE, "RSDP");

struct generic_address {
    uint8_t space, bit_width, bit_offset, access_size;
    uint64_t address;
} PACKED;

/* ACPI 6.3 section 5.2.9; of the fields that hardware-reduced machines do not have only the room is there. */
struct fadt {
    struct acpi_header header;
    uint32_t firmware_control, dsdt;
    uint8_t fixed_hardware1[65]; /* reserved (44) .. month alarm (108) */
    uint16_t boot_architecture;
    uint8_t reserved;
    uint32_t flags;
    struct generic_address reset_register;
    uint8_t reset_value;
    uint16_t arm_boot_architecture;
    uint8_t minor_version;
    uint64_t x_firmware_control, x_dsdt;
    struct generic_address fixed_hardware2[8];
    struct generic_address sleep_control, sleep_status;
    uint64_t hypervisor_vendor;
} PACKED;
_Static_assert(sizeof(struct fadt) == 276, "FADT revision 6");
_Static_assert(offsetof(struct fadt, flags) == 112, "FADT flags");

#define FADT_WBINVD           (1u << 0)
#define FADT_NO_POWER_BUTTON  (1u << 4)
#define FADT_NO_SLEEP_BUTTON  (1u << 5)
#define FADT_HARDWARE_REDUCED (1u << 20)
#define BOOT_NO_VGA           (1u << 2)
#define BOOT_NO_MSI           (1u << 3)
#define BOOT_NO_ASPM          (1u << 4)
#define BOOT_NO_CMOS_RTC      (1u << 5)

struct madt {
    struct acpi_header header;
    uint32_t local_apic_address;
    uint32_t flags;
} PACKED;

struct madt_local_apic {
    uint8_t type, length, processor_id, apic_id;
    uint32_t flags;
} PACKED;

struct madt_x2apic {
    uint8_t type, length;
    uint16_t reserved;
    uint32_t apic_id, flags, processor_id;
} PACKED;

#define MADT_ENABLED        (1u << 0)
#define MADT_ONLINE_CAPABLE (1u << 1)
#define LOCAL_APIC_ADDRESS  0xfee00000u
/* 255 means broadcast in an 8-bit APIC id. */
#define LAST_XAPIC_ID 254u

struct tables {
    struct rsdp rsdp;
    uint8_t align[28]; /* the tables start at a multiple of 64 bytes */
    struct {
        struct acpi_header header;
        uint64_t entries[2];
    } PACKED xsdt;
    struct fadt fadt;
    /* A definition block without objects: its AML is empty. */
    struct acpi_header dsdt;
    struct madt madt;
} PACKED;
_Static_assert(offsetof(struct tables, xsdt) == 64, "alignment");

size_t acpi_size(unsigned vcpus)
{
    size_t size = sizeof(struct tables);
    for (unsigned i = 0; i < vcpus; i++)
        size += APIC_ID(i) <= LAST_XAPIC_ID ? sizeof(struct madt_local_apic) : sizeof(struct madt_x2apic);
    return size;
}

/* What must be added to the bytes to make their sum 0. */
static uint8_t checksum(const void *table, size_t length)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)table)[i]);
    return (uint8_t)-sum;
}

void acpi_finish(struct acpi_header *header, const char *signature, uint8_t revision, size_t length)
{
    memcpy(header->signature, signature, 4);
    header->length = (uint32_t)length;
    header->revision = revision;
    memcpy(header->oem_id, "HOSPES", 6);
    memcpy(header->oem_table_id, "PVH     ", 8);
    header->oem_revision = 1;
    memcpy(header->creator_id, "HSPS", 4);
    header->creator_revision = 1;
    header->checksum = checksum(header, length);
}

void acpi_write_rsdp(void *to, uint64_t xsdt)
{
    struct rsdp *rsdp = to;
    *rsdp = (struct rsdp){.revision = 2, .length = sizeof *rsdp, .xsdt_address = xsdt};
    memcpy(rsdp->signature, "RSD PTR ", 8);
    memcpy(rsdp->oem_id, "HOSPES", 6);
    rsdp->checksum = checksum(rsdp, 20);
    rsdp->extended_checksum = checksum(rsdp, sizeof *rsdp);
}

uint8_t *acpi_write_cpu(uint8_t *to, unsigned cpu, bool enabled)
{
    uint32_t flags = enabled ? MADT_ENABLED : MADT_ONLINE_CAPABLE;
    if (APIC_ID(cpu) <= LAST_XAPIC_ID) {
        struct madt_local_apic entry = {.type = 0,
                                        .length = sizeof entry,
                                        .processor_id = (uint8_t)cpu,
                                        .apic_id = (uint8_t)APIC_ID(cpu),
                                        .flags = flags};
        memcpy(to, &entry, sizeof entry);
        return to + sizeof entry;
    }
    struct madt_x2apic entry = {
        .type = 9, .length = sizeof entry, .apic_id = APIC_ID(cpu), .flags = flags, .processor_id = cpu};
    memcpy(to, &entry, sizeof entry);
    return to + sizeof entry;
}

void acpi_write(void *buf, uint64_t address, unsigned vcpus, unsigned max_vcpus)
{
    struct tables *t = buf;
    memset(t, 0, sizeof *t);

    uint8_t *end = (uint8_t *)(t + 1);
    for (unsigned i = 0; i < max_vcpus; i++)
        end = acpi_write_cpu(end, i, i < vcpus);
    t->madt.local_apic_address = LOCAL_APIC_ADDRESS;
    acpi_finish(&t->madt.header, "APIC", 5, (size_t)(end - (uint8_t *)&t->madt));

    acpi_finish(&t->dsdt, "DSDT", 2, sizeof t->dsdt);

    t->fadt.dsdt = (uint32_t)(address + offsetof(struct tables, dsdt));
    t->fadt.x_dsdt = address + offsetof(struct tables, dsdt);
    t->fadt.minor_version = 3;
    t->fadt.boot_architecture = BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_ASPM | BOOT_NO_CMOS_RTC;
    t->fadt.flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_HARDWARE_REDUCED;
    acpi_finish(&t->fadt.header, "FACP", 6, sizeof t->fadt);

    t->xsdt.entries[0] = address + offsetof(struct tables, fadt);
    t->xsdt.entries[1] = address + offsetof(struct tables, madt);
    acpi_finish(&t->xsdt.header, "XSDT", 1, sizeof t->xsdt);

    acpi_write_rsdp(&t->rsdp, address + offsetof(struct tables, xsdt));
}
