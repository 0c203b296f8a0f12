/*
 * dom0's ACPI tables (hv/arch/vcpu.h): an RSDP and XSDT of its own, which list the machine's tables where
 * they lie, and a MADT with dom0's vCPUs and the IO-APICs as they are emulated.
 *
 * Only tables that describe devices, their configuration and power are passed on. Timers, IOMMUs, affinity,
 * the console's serial line and error reporting are the hypervisor's or describe processors and memory that
 * dom0 does not see. On a machine without ACPI, dom0 gets the tables of any PVH domain. Boot only; no
 * locking.
 */
#include <hv/arch/vcpu.h>
#include <hv/init.h>
#include <lib/acpi.h>
#include <lib/string.h>
#include <x86/acpi.h>
#include <x86/ioapic.h>
#include <x86/paging.h>
#include <x86/platform.h>

#define XSDT_OFFSET 64u /* the RSDP before it, and tables at multiples of 64 bytes as firmware has them */
#define MAX_TABLES  64u

static const char passed_on[][5] INIT_DATA = {
    "FACP", "SSDT", "PSDT", "MCFG", "ECDT", "SBST", "FPDT",
    "BGRT", "WSMT", "SLIC", "MSDM", "TCPA", "TPM2", "UEFI",
};

struct xsdt {
    struct acpi_header header;
    uint64_t table[MAX_TABLES + 1]; /* dom0's MADT is the first */
} __attribute__((packed));

struct madt {
    struct acpi_header header;
    uint32_t lapic, flags; /* no 8259s: PCAT_COMPAT is not set */
} __attribute__((packed));

struct madt_ioapic {
    uint8_t type, length, id, reserved;
    uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_override {
    uint8_t type, length, bus, source;
    uint32_t gsi;
    uint16_t flags;
} __attribute__((packed));

enum { MADT_IOAPIC = 1, MADT_OVERRIDE = 2 };
#define LAPIC_ADDRESS  0xfee00000u
#define ISA_INTERRUPTS 16u
#define LEVEL_LOW      0xfu /* flags of an override */

static INIT_CODE bool wanted(const struct acpi_header *table)
{
    for (unsigned i = 0; i < ARRAY_SIZE(passed_on); i++)
        if (!memcmp(table->signature, passed_on[i], 4))
            return true;
    return false;
}

/* The machine's tables for dom0; returns how many, and whether a FADT is there, without which the others mean
 * nothing. */
static INIT_CODE unsigned collect(struct xsdt *xsdt, bool *fadt)
{
    const struct acpi_header *listed;
    unsigned count = 0;
    *fadt = false;
    for (unsigned i = 0; (listed = acpi_listed(i)) && count < MAX_TABLES; i++) {
        if (!wanted(listed))
            continue;
        xsdt->table[++count] = virt_to_maddr(listed).v;
        *fadt |= !memcmp(listed->signature, "FACP", 4);
    }
    return count;
}

static INIT_CODE uint8_t *write_override(uint8_t *end, uint8_t source, uint32_t gsi, uint16_t flags)
{
    struct madt_override entry = {
        .type = MADT_OVERRIDE, .length = sizeof entry, .source = source, .gsi = gsi, .flags = flags};
    memcpy(end, &entry, sizeof entry);
    return end + sizeof entry;
}

/*
 * Linux holds an ISA interrupt that no override names to be an edge, and where it finds no 8259s it does not
 * change its mind when a PCI device has it. Those that firmware made levels are PCI's, and active low; where
 * there are such, Linux may route PCI to 10 and 11, too, as it likes these best.
 */
static INIT_CODE uint8_t *write_isa_levels(uint8_t *end)
{
    uint16_t levels = pic_levels();
    if (levels)
        levels |= 1u << 10 | 1u << 11;
    for (uint32_t i = 0; i < acpi.overrides; i++) {
        levels &= (uint16_t) ~(1u << (acpi.override[i].irq % ISA_INTERRUPTS));
        if (acpi.override[i].gsi < ISA_INTERRUPTS)
            levels &= (uint16_t) ~(1u << acpi.override[i].gsi);
    }
    for (uint8_t irq = 0; irq < ISA_INTERRUPTS; irq++)
        if (levels >> irq & 1)
            end = write_override(end, irq, irq, LEVEL_LOW);
    return end;
}

static INIT_CODE void write_madt(struct madt *madt, uint32_t vcpus)
{
    uint8_t *end = (uint8_t *)(madt + 1);
    struct ioapic_info info;

    *madt = (struct madt){.lapic = LAPIC_ADDRESS};
    for (uint32_t i = 0; i < vcpus; i++)
        end = acpi_write_cpu(end, i, true);
    for (unsigned i = 0; ioapic_describe(i, &info); i++) {
        struct madt_ioapic entry = {.type = MADT_IOAPIC,
                                    .length = sizeof entry,
                                    .id = (uint8_t)info.id,
                                    .address = (uint32_t)info.address.v,
                                    .gsi_base = info.gsi_base};
        memcpy(end, &entry, sizeof entry);
        end += sizeof entry;
    }
    for (uint32_t i = 0; i < acpi.overrides; i++)
        end = write_override(end, acpi.override[i].irq, acpi.override[i].gsi, acpi.override[i].flags);
    end = write_isa_levels(end);
    acpi_finish(&madt->header, "APIC", 5, (size_t)(end - (uint8_t *)madt));
}

INIT_CODE size_t arch_dom0_acpi_size(uint32_t vcpus)
{
    size_t own = XSDT_OFFSET + sizeof(struct xsdt) + sizeof(struct madt) + vcpus * ACPI_CPU_SIZE +
                 ACPI_MAX_IOAPICS * sizeof(struct madt_ioapic) +
                 (ACPI_MAX_OVERRIDES + ISA_INTERRUPTS) * sizeof(struct madt_override);
    return MAX(own, acpi_size(vcpus, vcpus));
}

INIT_CODE void arch_dom0_acpi_write(void *buf, uint64_t address, uint32_t vcpus)
{
    char *start = buf;
    struct xsdt *xsdt = (struct xsdt *)(start + XSDT_OFFSET);
    bool fadt;
    unsigned count = collect(xsdt, &fadt);

    if (!fadt) {
        acpi_write(buf, address, vcpus, vcpus);
        return;
    }
    size_t length = offsetof(struct xsdt, table) + (count + 1) * sizeof xsdt->table[0];
    xsdt->table[0] = address + XSDT_OFFSET + length;
    write_madt((struct madt *)((char *)xsdt + length), vcpus);
    acpi_finish(&xsdt->header, "XSDT", 1, length);
    acpi_write_rsdp(start, address + XSDT_OFFSET);
}
