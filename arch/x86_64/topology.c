/* How processors are numbered by the APIC and by ACPI (hv/arch/vcpu.h). Reads what boot found; no locking. */
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <x86/acpi.h>
#include <x86/cpu.h>

void arch_cpu_ids(const struct cpu *cpu, uint32_t *apic_id, uint32_t *acpi_id)
{
    *apic_id = cpu->arch->apic_id;
    *acpi_id = cpu->id; /* a machine without MADT has the one CPU */
    for (uint32_t i = 0; i < acpi.cpus; i++)
        if (acpi.cpu[i].apic_id == *apic_id)
            *acpi_id = acpi.cpu[i].acpi_id;
}
