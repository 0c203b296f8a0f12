/*
 * Interrupt vectors and their handlers (x86/irq.h). Handlers are set at boot or by the one who owns the
 * vector; entries are changed with the source masked, so the table needs no lock. Vectors are given out under
 * irq_lock.
 */
#include <hv/lock.h>
#include <hv/printk.h>
#include <x86/apic.h>
#include <x86/irq.h>

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

void irq_dispatch(uint8_t vector)
{
    if (vector < VECTOR_DYNAMIC || vector == VECTOR_SPURIOUS)
        return; /* spurious, from the masked PIC or the APIC: these want no EOI */
    apic_eoi();
    const struct handler *handler = &handlers[vector - VECTOR_DYNAMIC];
    if (handler->fn)
        handler->fn(vector, handler->arg);
    else
        printk(LOG_WARNING "Interrupt vector 0x%x has no handler\n", vector);
}
