/*
 * Registers of the local APIC, real and virtual, and their bits (Intel SDM volume 3, chapter "APIC").
 *
 * A register's number is its offset in the xAPIC page divided by 16, and its MSR minus that of the first in
 * x2APIC mode. ISR, TMR and IRR are eight registers each.
 */
#ifndef LIB_APIC_H
#define LIB_APIC_H

enum apic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_APR = 0x09,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_RRD = 0x0c,
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_ICR_HIGH = 0x31,
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PERF = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_TIMER_INITIAL = 0x38,
    APIC_TIMER_CURRENT = 0x39,
    APIC_TIMER_DIVIDE = 0x3e,
    APIC_SELF_IPI = 0x3f,
    APIC_REGISTERS = 0x40,
};

#define APIC_SVR_ENABLE  0x100u
#define APIC_DIVIDE_BY_1 0xbu /* APIC_TIMER_DIVIDE */

#define APIC_LVT_NMI          0x00400u
#define APIC_LVT_MASKED       0x10000u
#define APIC_LVT_ONE_SHOT     0x00000u
#define APIC_LVT_PERIODIC     0x20000u
#define APIC_LVT_TSC_DEADLINE 0x40000u
#define APIC_LVT_TIMER_MODE   0x60000u /* which of the three */

#define APIC_ICR_NMI     0x0400u
#define APIC_ICR_INIT    0x0500u
#define APIC_ICR_STARTUP 0x0600u
#define APIC_ICR_LOGICAL 0x0800u
#define APIC_ICR_BUSY    0x1000u
#define APIC_ICR_ASSERT  0x4000u
#define APIC_ICR_LEVEL   0x8000u

#endif
