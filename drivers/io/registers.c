/*
 * Registers of real devices (registers.h). They are mapped uncached, so the processor itself keeps the order.
 */
#include "registers.h"

uint32_t register_read(const volatile void *base, uint32_t offset)
{
    uint32_t value = *(const volatile uint32_t *)((const volatile char *)base + offset);
    asm volatile("" : : : "memory");
    return value;
}

void register_write(volatile void *base, uint32_t offset, uint32_t value)
{
    asm volatile("" : : : "memory");
    *(volatile uint32_t *)((volatile char *)base + offset) = value;
}
