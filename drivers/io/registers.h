/*
 * Access to 32-bit registers of a device, and what makes it testable: unit tests link a device of their own
 * in registers.c's place.
 *
 * Stores to memory that stand before a write in the source are seen by the device before it; loads behind a
 * read come after it.
 */
#ifndef DRIVERS_IO_REGISTERS_H
#define DRIVERS_IO_REGISTERS_H

#include <stdint.h>

uint32_t register_read(const volatile void *base, uint32_t offset);
void register_write(volatile void *base, uint32_t offset, uint32_t value);

#endif
