/*
 * Interrupt vectors and who handles them (arch/x86_64/irq.c).
 *
 * Handlers run with interrupts off, in one of the two windows in which the hypervisor takes interrupts; they
 * raise a softirq and leave. The EOI is sent by the dispatcher after that, so that a level-triggered pin
 * which its handler masked does not interrupt again.
 */
#ifndef X86_IRQ_H
#define X86_IRQ_H

#include <hv/types.h>

#define VECTOR_LEGACY_FIRST 0x20 /* where the masked PIC would deliver spurious interrupts */
#define VECTOR_DYNAMIC      0x30 /* [0x30, 0xef]: devices, allocated by irq_alloc_vector() */
#define VECTOR_DYNAMIC_END  0xf0
#define VECTOR_TIMER        0xf0
#define VECTOR_KICK         0xf1 /* does nothing but end guest mode or HLT */
#define VECTOR_APIC_ERROR   0xfe
#define VECTOR_SPURIOUS     0xff

typedef void irq_fn(uint8_t vector, void *arg);

void irq_set_handler(uint8_t vector, irq_fn *fn, void *arg);
/* A vector of the dynamic range with that handler; 0 when none is left. */
uint8_t irq_alloc_vector(irq_fn *fn, void *arg);
/* Its source is silent, but an interrupt may still be on its way: that one is dropped, or goes to the
 * vector's next owner. */
void irq_free_vector(uint8_t vector);
/* Called by the stubs and by vendor code that took the vector from a VM exit. */
void irq_dispatch(uint8_t vector);

#endif
