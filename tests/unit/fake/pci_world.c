/* Interface: pci_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/pci.h>
#include <hv/frame.h>
#include <hv/printk.h>
#include <x86/acpi.h>
#include <x86/paging.h>
#include <x86/pci.h>
#include <x86/platform.h>
#include <xen/errno.h>
#include "../../../arch/x86_64/guest/mmio.h"
#include "pci_world.h"

#define MOST_FUNCTIONS 4u
#define MOST_PAGES     64u

struct domain world_domain;
struct vcpu world_vcpu;
struct acpi_info acpi;
uint8_t world_device[WORLD_DEVICE_SIZE];
uint64_t world_device_at;
bool world_anywhere;
unsigned world_vectors, world_bound, world_removed, world_flushed;
struct hwirq *world_irq;
static struct arch_domain arch;
static struct fake_function *functions[MOST_FUNCTIONS];
static unsigned function_count, allocated;
static struct hwirq *bound[256];
static uint64_t mapped[MOST_PAGES];
static unsigned mapped_count;

void pci_world_begin(void)
{
    world_domain = (struct domain){.privileged = true, .arch = &arch};
    world_vcpu = (struct vcpu){.domain = &world_domain};
    acpi = (struct acpi_info){.mcfgs = 1};
    acpi.mcfg[0].base = MADDR(WORLD_ECAM);
    acpi.mcfg[0].last_bus = WORLD_BUSES - 1;
    arch.pci_address = 0;
    memset(world_device, 0, sizeof world_device);
    world_device_at = 0;
    world_anywhere = false;
    world_vectors = 256 - WORLD_FIRST_VECTOR;
    world_bound = world_removed = world_flushed = mapped_count = function_count = 0;
}

void pci_world_end(void)
{
    for (unsigned i = 0; i < function_count; i++) {
        struct fake_function *f = functions[i];
        arch_pci_removed(&world_domain, 0, f->bus, (uint8_t)(f->device << 3 | f->function));
    }
    while (function_count)
        free(functions[--function_count]);
    assert_int_equal(world_bound, 0);
    assert_int_equal(allocated, 0);
}

/* --- functions ------------------------------------------------------------------------------------------ */

struct fake_function *fake_function(unsigned bus, unsigned device, unsigned function)
{
    struct fake_function *f = calloc(1, sizeof *f);

    assert_true(function_count < MOST_FUNCTIONS);
    functions[function_count++] = f;
    f->bus = (uint8_t)bus;
    f->device = (uint8_t)device;
    f->function = (uint8_t)function;
    f->present = true;
    fake_set(f, 0, 4, 0x12340000 | (0x8000 + function_count));
    return f;
}

void fake_set(struct fake_function *f, unsigned offset, unsigned size, uint32_t value)
{
    memcpy(&f->config[offset], &value, size);
}

uint32_t fake_get(const struct fake_function *f, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, &f->config[offset], size);
    return value;
}

void fake_set_writable(struct fake_function *f, unsigned offset, unsigned size, uint32_t bits)
{
    memcpy(&f->writable[offset], &bits, size);
}

void fake_capability(struct fake_function *f, unsigned offset, uint8_t id, uint8_t next)
{
    if (!f->config[0x34])
        f->config[0x34] = (uint8_t)offset;
    f->config[0x06] |= 0x10;
    f->config[offset] = id;
    f->config[offset + 1] = next;
}

static struct fake_function *find(struct pci_address where)
{
    for (unsigned i = 0; i < function_count; i++)
        if (functions[i]->present && !where.segment && functions[i]->bus == where.bus &&
            functions[i]->device == where.device && functions[i]->function == where.function)
            return functions[i];
    return NULL;
}

static void check(uint16_t offset, unsigned size)
{
    assert_true(size == 1 || size == 2 || size == 4);
    assert_true(offset < 4096 && !(offset & (size - 1)));
}

uint32_t pci_config_read(struct pci_address where, uint16_t offset, unsigned size)
{
    struct fake_function *f = find(where);

    check(offset, size);
    return f ? fake_get(f, offset, size) : ~0u;
}

void pci_config_write(struct pci_address where, uint16_t offset, unsigned size, uint32_t value)
{
    struct fake_function *f = find(where);

    check(offset, size);
    for (unsigned i = 0; f && i < size; i++) {
        uint8_t mask = f->writable[offset + i];
        f->config[offset + i] = (uint8_t)((f->config[offset + i] & ~mask) | (value >> 8 * i & mask));
    }
}

/* --- memory --------------------------------------------------------------------------------------------- */

volatile void *map_device_window(maddr_t at)
{
    assert_true(mmio_reachable(at.v >> PAGE_SHIFT));
    if (!world_anywhere)
        assert_in_range(at.v, world_device_at, world_device_at + WORLD_DEVICE_SIZE - 1);
    return world_device + (at.v - world_device_at) % WORLD_DEVICE_SIZE;
}

bool mmio_reachable(uint64_t page)
{
    return page << PAGE_SHIFT < WORLD_RAM || page << PAGE_SHIFT >= WORLD_RAM + 0x100000;
}

bool uart_uses_ports(uint32_t first, uint32_t count)
{
    return first < WORLD_UART + 8 && WORLD_UART < first + count;
}

void *heap_alloc(size_t size)
{
    assert_true(size <= 4096);
    allocated++;
    return calloc(1, size);
}

void heap_free(void *p)
{
    allocated--;
    free(p);
}

void *page_alloc(unsigned order)
{
    allocated++;
    return calloc(1, PAGE_SIZE << order);
}

void page_free(void *p, unsigned order)
{
    (void)order;
    allocated--;
    free(p);
}

int p2m_add(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
    assert_ptr_equal(d, &world_domain);
    assert_int_equal(gfn.v, mfn.v);
    assert_int_equal(type, P2M_DEVICE);
    assert_true(mapped_count < MOST_PAGES && order == 0);
    mapped[mapped_count++] = gfn.v;
    return 0;
}

int p2m_remove_noflush(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old)
{
    assert_ptr_equal(d, &world_domain);
    assert_int_equal(types, P2M_BIT(P2M_DEVICE));
    for (unsigned i = 0; i < mapped_count; i++) {
        if (mapped[i] != gfn.v)
            continue;
        mapped[i] = mapped[--mapped_count];
        old->type = P2M_DEVICE;
        world_removed++;
        return 0;
    }
    return -XEN_ENOENT;
}

void p2m_flush(struct domain *d)
{
    (void)d;
    world_flushed = world_removed;
}

/* --- interrupts ----------------------------------------------------------------------------------------- */

static void program(struct hwirq *irq, uint32_t apic_id)
{
    irq->host_apic_id = apic_id;
    irq->operations->program(irq, apic_id, irq->host_vector);
}

int hwirq_bind(struct domain *d, struct hwirq *irq, const struct hwirq_route *route)
{
    unsigned vector = WORLD_FIRST_VECTOR;

    assert_int_equal(irq->host_vector, 0);
    while (vector < 256 && bound[vector])
        vector++;
    if (!world_vectors || vector == 256)
        return -XEN_ENOSPC;
    world_vectors--;
    world_bound++;
    world_irq = bound[vector] = irq;
    irq->domain = d;
    irq->host_vector = (uint8_t)vector;
    irq->route = *route;
    program(irq, WORLD_APIC_ID);
    return 0;
}

int hwirq_set_route(struct hwirq *irq, const struct hwirq_route *route)
{
    assert_ptr_equal(bound[irq->host_vector], irq);
    irq->route = *route;
    program(irq, irq->host_apic_id);
    return 0;
}

void hwirq_unbind(struct hwirq *irq)
{
    assert_ptr_equal(bound[irq->host_vector], irq);
    bound[irq->host_vector] = NULL;
    irq->host_vector = 0;
    world_vectors++;
    world_bound--;
}

bool hwirq_route_of_message(uint64_t address, uint32_t data, struct hwirq_route *route)
{
    *route = (struct hwirq_route){.destination = (uint32_t)address >> 12 & 0xff, .vector = (uint8_t)data};
    return (address >> 20 == 0xfee || world_anywhere) && (data & 0xff) >= 16;
}

void world_move(uint32_t apic_id)
{
    for (unsigned vector = 0; vector < 256; vector++)
        if (bound[vector])
            program(bound[vector], apic_id);
}

void world_storm(bool storms)
{
    for (unsigned vector = 0; vector < 256; vector++)
        if (bound[vector] && bound[vector]->operations->mask)
            bound[vector]->operations->mask(bound[vector], storms);
}

/* --- the rest ------------------------------------------------------------------------------------------- */

void spin_lock(spinlock_t *lock)
{
    assert_int_equal(lock->word, 0); /* not twice */
    lock->word = 1;
}

void spin_unlock(spinlock_t *lock)
{
    assert_int_equal(lock->word, 1);
    lock->word = 0;
}

void printk(const char *format, ...)
{
    (void)format;
}
