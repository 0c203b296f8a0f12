/*
 * Interrupts of PCI functions (drivers/pci.h): MSI-X (PCI 3.0, 6.8.2), MSI (6.8.1), or the pin.
 */
#include <dom0/below.h>
#include "pci_internal.h"

#define MSI_CONTROL      2
#define MSI_ADDRESS      4
#define MSI_ADDRESS_HIGH 8
#define MSI_DATA_32      8
#define MSI_DATA_64      12
#define MSI_MASK_32      12
#define MSI_MASK_64      16
#define MSI_ENABLE       (1u << 0)
#define MSI_COUNT_MASK   (7u << 4)
#define MSI_IS_64        (1u << 7)
#define MSI_CAN_MASK     (1u << 8)

#define MSIX_CONTROL    2
#define MSIX_TABLE      4
#define MSIX_COUNT_MASK 0x7ffu /* the last entry's number */
#define MSIX_MASK_ALL   (1u << 14)
#define MSIX_ENABLE     (1u << 15)
#define MSIX_BAR_MASK   7u

/* Words of an entry of the MSI-X table. */
enum { ENTRY_ADDRESS, ENTRY_ADDRESS_HIGH, ENTRY_DATA, ENTRY_CONTROL, ENTRY_WORDS };
#define ENTRY_MASKED 1u

unsigned pci_msix_count(const struct pci_function *f)
{
    return f->msix ? (pci_read16(f, f->msix + MSIX_CONTROL) & MSIX_COUNT_MASK) + 1 : 0;
}

static void change_command(struct pci_function *f, uint16_t clear, uint16_t set)
{
    pci_write16(f, PCI_COMMAND, (uint16_t)((pci_read16(f, PCI_COMMAND) & ~clear) | set));
}

static unsigned alloc_vectors(struct pci_function *f, unsigned count, irq_handler handler, void *const *arg)
{
    unsigned i = 0;
    for (; i < count && i < PCI_VECTORS; i++) {
        f->vector[i] = irq_alloc(handler, arg[i]);
        if (!f->vector[i])
            break;
    }
    return f->vectors = i;
}

static bool map_msix_table(struct pci_function *f)
{
    if (!f->msix_table) {
        uint32_t table = pci_read32(f, f->msix + MSIX_TABLE);
        f->msix_table = pci_bar_map(f, table & MSIX_BAR_MASK, table & ~MSIX_BAR_MASK,
                                    pci_msix_count(f) * ENTRY_WORDS * sizeof(uint32_t));
    }
    return f->msix_table;
}

static unsigned use_msix(struct pci_function *f, unsigned count, irq_handler handler, void *const *arg)
{
    unsigned entries = pci_msix_count(f);
    if (!entries || !map_msix_table(f))
        return 0;
    if (!alloc_vectors(f, count < entries ? count : entries, handler, arg))
        return 0;
    change_command(f, 0, COMMAND_MEMORY | COMMAND_INTX_OFF);
    uint16_t control = pci_read16(f, f->msix + MSIX_CONTROL) | MSIX_ENABLE;
    pci_write16(f, f->msix + MSIX_CONTROL, control | MSIX_MASK_ALL);
    for (unsigned i = 0; i < entries; i++) {
        volatile uint32_t *entry = f->msix_table + i * ENTRY_WORDS;
        if (i >= f->vectors) {
            entry[ENTRY_CONTROL] = ENTRY_MASKED;
            continue;
        }
        entry[ENTRY_ADDRESS] = (uint32_t)irq_message_address();
        entry[ENTRY_ADDRESS_HIGH] = (uint32_t)(irq_message_address() >> 32);
        entry[ENTRY_DATA] = irq_message_data(f->vector[i]);
        entry[ENTRY_CONTROL] = 0;
    }
    pci_write16(f, f->msix + MSIX_CONTROL, control & (uint16_t)~MSIX_MASK_ALL);
    return f->vectors;
}

static unsigned use_msi(struct pci_function *f, irq_handler handler, void *const *arg)
{
    if (!f->msi || !alloc_vectors(f, 1, handler, arg))
        return 0;
    uint16_t control = pci_read16(f, f->msi + MSI_CONTROL) & (uint16_t) ~(MSI_COUNT_MASK | MSI_ENABLE);
    bool is_64 = control & MSI_IS_64;
    pci_write16(f, f->msi + MSI_CONTROL, control);
    change_command(f, 0, COMMAND_INTX_OFF);
    pci_write32(f, f->msi + MSI_ADDRESS, (uint32_t)irq_message_address());
    if (is_64)
        pci_write32(f, f->msi + MSI_ADDRESS_HIGH, (uint32_t)(irq_message_address() >> 32));
    pci_write16(f, f->msi + (is_64 ? MSI_DATA_64 : MSI_DATA_32), (uint16_t)irq_message_data(f->vector[0]));
    if (control & MSI_CAN_MASK)
        pci_write32(f, f->msi + (is_64 ? MSI_MASK_64 : MSI_MASK_32), 0);
    pci_write16(f, f->msi + MSI_CONTROL, control | MSI_ENABLE);
    return 1;
}

static unsigned use_pin(struct pci_function *f, irq_handler handler, void *const *arg)
{
    bool level, low;
    if (!f->interrupt_pin || !f->interrupt_line || f->interrupt_line == 0xff)
        return 0;
    uint32_t gsi = irq_of_line(f->interrupt_line, &level, &low);
    if (!irq_route_pin(gsi, level, low, handler, arg[0]))
        return 0;
    f->pin_handler = handler;
    f->pin_arg = arg[0];
    change_command(f, COMMAND_INTX_OFF, 0);
    return 1;
}

unsigned pci_interrupts(struct pci_function *f, unsigned count, irq_handler handler, void *const *arg)
{
    unsigned got = use_msix(f, count, handler, arg);
    f->interrupt_kind = PCI_MSIX;
    if (!got) {
        got = use_msi(f, handler, arg);
        f->interrupt_kind = PCI_MSI;
    }
    if (!got) {
        got = use_pin(f, handler, arg);
        f->interrupt_kind = got ? PCI_PIN : PCI_NO_INTERRUPT;
    }
    return got;
}

void pci_interrupts_off(struct pci_function *f)
{
    bool level, low;
    change_command(f, 0, COMMAND_INTX_OFF);
    if (f->msix)
        pci_write16(f, f->msix + MSIX_CONTROL,
                    pci_read16(f, f->msix + MSIX_CONTROL) & (uint16_t)~MSIX_ENABLE);
    if (f->msi)
        pci_write16(f, f->msi + MSI_CONTROL, pci_read16(f, f->msi + MSI_CONTROL) & (uint16_t)~MSI_ENABLE);
    if (f->interrupt_kind == PCI_PIN)
        irq_unroute_pin(irq_of_line(f->interrupt_line, &level, &low), f->pin_handler, f->pin_arg);
    f->interrupt_kind = PCI_NO_INTERRUPT;
    for (; f->vectors; f->vectors--)
        irq_free(f->vector[f->vectors - 1]);
}
