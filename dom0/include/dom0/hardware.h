/*
 * What device drivers and back ends need of the built-in dom0's kernel, beside dom0/below.h and
 * dom0/thread.h: memory that devices reach, their registers, their interrupts.
 *
 * dom0's memory is one to one, so a pointer to dom0's own memory is also the address that a device is told.
 */
#ifndef DOM0_HARDWARE_H
#define DOM0_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count contiguous zeroed pages of dom0's own, page aligned. NULL when there are none. */
void *dma_alloc(size_t count);
void dma_free(void *pages, size_t count);
/* The bus address of dom0's own memory. */
static inline uint64_t dma_address(const volatile void *p)
{
    return (uint64_t)p;
}

/* Registers of a device, uncached. Stays mapped. NULL when that cannot be. */
volatile void *registers_map(uint64_t address, uint64_t size);

/*
 * Interrupts. A handler runs where the scheduler looks for work (as event handlers do): not in the interrupt
 * itself, with nothing else running, and it must not switch threads. It was acknowledged before. One vector
 * stands for one source.
 */
typedef void (*irq_handler)(void *arg);
/* A vector with that handler, or 0 when none is left. */
uint8_t irq_alloc(irq_handler handler, void *arg);
void irq_free(uint8_t vector);
/* What a device writes, and where, to raise the vector (SDM vol. 3, 11.11). */
uint64_t irq_message_address(void);
uint32_t irq_message_data(uint8_t vector);
/*
 * Routes a pin of an IO-APIC: gsi as ACPI numbers them. Level-triggered pins may be shared: then several
 * handlers hang on one vector and each is called. False: no such pin, or no vector.
 */
bool irq_route_pin(uint32_t gsi, bool level, bool low, irq_handler handler, void *arg);
void irq_unroute_pin(uint32_t gsi, irq_handler handler, void *arg);
/*
 * The GSI that stands for an interrupt line of the old PICs, as PCI configuration space names it, and how a
 * PCI pin is wired to it.
 */
uint32_t irq_of_line(uint8_t line, bool *level, bool *low);

/*
 * Finds the machine's devices and starts their drivers, each of which says in one line what it found. Bounded
 * in time. May switch.
 */
void hardware_init(void);

#endif
