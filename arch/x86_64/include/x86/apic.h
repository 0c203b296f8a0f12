/* The CPU's local APIC, in x2APIC mode where there is one (SDM vol. 3, chapter 11). */
#ifndef X86_APIC_H
#define X86_APIC_H

#include <hv/types.h>

struct cpu;

void apic_init(void);     /* boot CPU: chooses the mode, maps the registers */
void apic_cpu_init(void); /* each CPU */
uint32_t apic_id(void);
void apic_eoi(void);
void apic_send_ipi(const struct cpu *to, uint8_t vector);
void apic_send_ipi_others(uint8_t vector);
void apic_send_nmi(const struct cpu *to);
/* Real-mode start at page << 12 (INIT, SIPI, SIPI). */
void apic_start_cpu(uint32_t id, uint8_t page);
bool apic_x2apic(void);
/* TSC value at which the one-shot fires; 0 switches it off. */
void apic_timer_set(uint64_t tsc);
/* Finds the timer's rate against the calibrated TSC; each CPU's is the same. */
void apic_timer_calibrate(void);

/* MSI address and data for a vector on this CPU: 8-bit destination ids only. */
#define MSI_ADDRESS(apic_id) (0xfee00000u | (uint32_t)(apic_id) << 12)

#endif
