/*
 * Interrupt vectors and their handlers (x86/irq.h). Handlers are set at boot or by the one who owns the
 * vector; entries are changed with the source masked, so the table needs no lock. Vectors are given out and
 * taken back under irq_lock.
 */
#include <hv/cpu.h>
#include <hv/lock.h>
#include <hv/printk.h>
#include <x86/apic.h>
#include <x86/irq.h>

#define UNEXPECTED_TOLD 16u

struct handler {
    irq_fn *fn;
    void *arg;
};

static struct handler handlers[256 - VECTOR_DYNAMIC];
static spinlock_t irq_lock = SPINLOCK_INIT(LOCK_DEVICE);

void irq_set_handler(uint8_t vector, irq_fn *fn, void *arg)
{
    struct handler *handler = &handlers[vector - VECTOR_DYNAMIC];
    handler->arg = arg;
    WRITE_ONCE(handler->fn, fn);
}

uint8_t irq_alloc_vector(irq_fn *fn, void *arg)
{
    uint8_t found = 0;
    spin_lock(&irq_lock);
    for (unsigned vector = VECTOR_DYNAMIC; vector < VECTOR_DYNAMIC_END && !found; vector++)
        if (!handlers[vector - VECTOR_DYNAMIC].fn)
            found = (uint8_t)vector;
    if (found)
        irq_set_handler(found, fn, arg);
    spin_unlock(&irq_lock);
    return found;
}

void irq_free_vector(uint8_t vector)
{
    spin_lock(&irq_lock);
    irq_set_handler(vector, NULL, NULL);
    spin_unlock(&irq_lock);
}

/* Nobody waits for these; a device that goes on may send any number. */
static void unexpected(uint8_t vector)
{
    static uint32_t told;
    if (__atomic_fetch_add(&told, 1, __ATOMIC_RELAXED) < UNEXPECTED_TOLD)
        printk(LOG_WARNING "Interrupt vector 0x%x has no handler\n", vector);
}

void irq_dispatch(uint8_t vector)
{
    if (vector < VECTOR_DYNAMIC || vector == VECTOR_SPURIOUS)
        return; /* spurious, from the masked PIC or the APIC: these want no EOI */
    perfc_incr(interrupts);
    const struct handler *handler = &handlers[vector - VECTOR_DYNAMIC];
    irq_fn *fn = READ_ONCE(handler->fn);
    if (fn)
        fn(vector, handler->arg);
    else
        unexpected(vector);
    apic_eoi();
}
