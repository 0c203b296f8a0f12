/*
 * ACPI tables for a PVH domain (lib/acpi.h). No state, no locking.
 *
 * The tables lie behind each other in one buffer; struct tables is its fixed part, the MADT's entries and the
 * DSDT follow.
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
    struct madt madt;
} PACKED;
_Static_assert(offsetof(struct tables, xsdt) == 64, "alignment");

/*
 * The DSDT in AML (ACPI 6.3, section 20.2): a device for each CPU that may come online later. Its _MAT is the
 * CPU's MADT entry as it will then be: without it Linux learns no APIC id of a CPU that was off at boot.
 */
#define AML_NAME(text)                                                                                       \
    {                                                                                                        \
        0x08, text[0], text[1], text[2], text[3]                                                             \
    }
#define AML_BYTE   0x0a
#define AML_STRING 0x0d
#define STA_USABLE 0x0f /* present, enabled, shown, working */

struct aml_cpu {
    uint8_t device_op[2], length; /* without device_op */
    char name[4];
    uint8_t hid[5], hid_type;
    char hid_value[9];
    uint8_t uid[5], uid_type, uid_value;
    uint8_t sta[5], sta_type, sta_value;
    uint8_t mat[5], mat_op, mat_length, mat_type, mat_size;
    struct madt_local_apic mat_value;
} PACKED;
#define AML_CPU_LENGTH (sizeof(struct aml_cpu) - offsetof(struct aml_cpu, length))
#define AML_MAT_LENGTH (sizeof(struct aml_cpu) - offsetof(struct aml_cpu, mat_length))
_Static_assert(AML_CPU_LENGTH < 64, "a package length of one byte");

struct dsdt {
    struct acpi_header header;
    uint8_t scope_op, scope_length[3], scope[5];
    struct aml_cpu cpu[];
} PACKED;

/* How many of the CPUs have a device. */
static unsigned spare_cpus(unsigned vcpus, unsigned max_vcpus)
{
    unsigned end = max_vcpus < LAST_XAPIC_ID / 2 + 1 ? max_vcpus : LAST_XAPIC_ID / 2 + 1;
    return end > vcpus ? end - vcpus : 0;
}

static size_t dsdt_size(unsigned vcpus, unsigned max_vcpus)
{
    return sizeof(struct dsdt) + spare_cpus(vcpus, max_vcpus) * sizeof(struct aml_cpu);
}

size_t acpi_size(unsigned vcpus, unsigned max_vcpus)
{
    size_t size = sizeof(struct tables) + dsdt_size(vcpus, max_vcpus);
    for (unsigned i = 0; i < max_vcpus; i++)
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

static struct madt_local_apic local_apic(unsigned cpu, uint32_t flags)
{
    return (struct madt_local_apic){.type = 0,
                                    .length = sizeof(struct madt_local_apic),
                                    .processor_id = (uint8_t)cpu,
                                    .apic_id = (uint8_t)APIC_ID(cpu),
                                    .flags = flags};
}

uint8_t *acpi_write_cpu(uint8_t *to, unsigned cpu, bool enabled)
{
    uint32_t flags = enabled ? MADT_ENABLED : MADT_ONLINE_CAPABLE;
    if (APIC_ID(cpu) <= LAST_XAPIC_ID) {
        struct madt_local_apic entry = local_apic(cpu, flags);
        memcpy(to, &entry, sizeof entry);
        return to + sizeof entry;
    }
    struct madt_x2apic entry = {
        .type = 9, .length = sizeof entry, .apic_id = APIC_ID(cpu), .flags = flags, .processor_id = cpu};
    memcpy(to, &entry, sizeof entry);
    return to + sizeof entry;
}

static void write_aml_cpu(struct aml_cpu *to, unsigned cpu)
{
    static const char digits[] = "0123456789ABCDEF";
    *to = (struct aml_cpu){
        .device_op = {0x5b, 0x82},
        .length = AML_CPU_LENGTH,
        .name = {'C', '0', digits[cpu >> 4 & 15], digits[cpu & 15]},
        .hid = AML_NAME("_HID"),
        .hid_type = AML_STRING,
        .hid_value = "ACPI0007",
        .uid = AML_NAME("_UID"),
        .uid_type = AML_BYTE,
        .uid_value = (uint8_t)cpu,
        .sta = AML_NAME("_STA"),
        .sta_type = AML_BYTE,
        .sta_value = STA_USABLE,
        .mat = AML_NAME("_MAT"),
        .mat_op = 0x11,
        .mat_length = AML_MAT_LENGTH,
        .mat_type = AML_BYTE,
        .mat_size = sizeof to->mat_value,
        .mat_value = local_apic(cpu, MADT_ENABLED),
    };
}

static void write_dsdt(struct dsdt *t, unsigned vcpus, unsigned max_vcpus)
{
    size_t size = dsdt_size(vcpus, max_vcpus), scope = size - offsetof(struct dsdt, scope_length);
    memset(t, 0, sizeof *t);
    t->scope_op = 0x10;
    t->scope_length[0] = (uint8_t)(2 << 6 | (scope & 15));
    t->scope_length[1] = (uint8_t)(scope >> 4);
    t->scope_length[2] = (uint8_t)(scope >> 12);
    memcpy(t->scope, "\\_SB_", sizeof t->scope);
    for (unsigned i = 0; i < spare_cpus(vcpus, max_vcpus); i++)
        write_aml_cpu(&t->cpu[i], vcpus + i);
    acpi_finish(&t->header, "DSDT", 2, size);
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

    write_dsdt((struct dsdt *)end, vcpus, max_vcpus);
    t->fadt.x_dsdt = address + (uint64_t)(end - (uint8_t *)buf);
    t->fadt.dsdt = (uint32_t)t->fadt.x_dsdt;
    t->fadt.minor_version = 3;
    t->fadt.boot_architecture = BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_ASPM | BOOT_NO_CMOS_RTC;
    t->fadt.flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_HARDWARE_REDUCED;
    acpi_finish(&t->fadt.header, "FACP", 6, sizeof t->fadt);

    t->xsdt.entries[0] = address + offsetof(struct tables, fadt);
    t->xsdt.entries[1] = address + offsetof(struct tables, madt);
    acpi_finish(&t->xsdt.header, "XSDT", 1, sizeof t->xsdt);

    acpi_write_rsdp(&t->rsdp, address + offsetof(struct tables, xsdt));
}
