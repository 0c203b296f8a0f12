/*
 * PCI devices as dom0's drivers see them (PCI Local Bus 3.0; PCI Express Base 4.0, chapter 7).
 *
 * pci_scan() walks the buses and bridges once; then each driver is offered the functions that nobody took.
 */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dom0/hardware.h>

struct pci_bar {
    uint64_t address, size; /* size 0: there is none */
    bool port;              /* I/O ports, not memory */
};

#define PCI_VECTORS 16 /* the most that a function gets */

enum pci_interrupt_kind { PCI_NO_INTERRUPT, PCI_PIN, PCI_MSI, PCI_MSIX };

struct pci_function {
    struct pci_function *next;
    uint16_t segment;
    uint8_t bus, device, function;
    uint16_t vendor_id, device_id;
    uint8_t class_code, subclass, interface, revision;
    /* The following are known of storage (class 1) and network (class 2) only. */
    uint16_t subsystem_vendor_id, subsystem_id;
    uint8_t interrupt_line, interrupt_pin; /* pin 0: none, 1: INTA# */
    struct pci_bar bar[6];                 /* a 64-bit one uses two entries; the second has size 0 */
    const struct pci_driver *driver;       /* NULL: nobody's */
    void *driver_data;
    enum pci_interrupt_kind interrupt_kind; /* what pci_interrupts() found */

    /* The PCI code's own. */
    uint64_t window_base; /* of its configuration space in memory; 0: ports */
    uint16_t msix, msi;   /* capability offsets, 0: none */
    volatile uint32_t *msix_table;
    unsigned vectors;
    uint8_t vector[PCI_VECTORS];
    irq_handler pin_handler;
    void *pin_arg;
};

struct pci_driver {
    const char *name;
    /*
     * Takes the function (true) or leaves it. Prints what it found, or what is wrong. Bounded in time; may
     * switch.
     */
    bool (*probe)(struct pci_function *function);
};
/* Drivers are listed in drivers/io/drivers.c. */
extern const struct pci_driver *const pci_drivers[];
extern const size_t pci_driver_count;

extern struct pci_function *pci_functions;
void pci_scan(void);
/* Offers every function without a driver to every driver. */
void pci_probe(void);

uint8_t pci_read8(const struct pci_function *f, uint16_t offset);
uint16_t pci_read16(const struct pci_function *f, uint16_t offset);
uint32_t pci_read32(const struct pci_function *f, uint16_t offset);
void pci_write8(const struct pci_function *f, uint16_t offset, uint8_t value);
void pci_write16(const struct pci_function *f, uint16_t offset, uint16_t value);
void pci_write32(const struct pci_function *f, uint16_t offset, uint32_t value);

/* "00:03.0", in buf. */
#define PCI_NAME 16
const char *pci_name(const struct pci_function *f, char buf[PCI_NAME]);

/* Offset of a capability by its id, the first behind after (0: from the start); 0: none. Ends on loops. */
uint16_t pci_capability(const struct pci_function *f, uint8_t id, uint16_t after);
/* Memory and port decoding and bus mastering on; INTx off when MSI or MSI-X is used later. */
void pci_enable(struct pci_function *f);
/* Bus mastering off: no DMA of the device's comes after that. */
void pci_disable(struct pci_function *f);
/* Registers behind a BAR from offset on; NULL: no such BAR, too small, or ports. */
volatile void *pci_bar_map(const struct pci_function *f, unsigned bar, uint64_t offset, uint64_t size);

/*
 * Interrupts: as many of count as there can be, by MSI-X, else one by MSI, else one by the pin as the
 * firmware routed it (interrupt line, for machines whose line is the GSI: it holds for ISA-style routing;
 * then the handler may be called for others' interrupts). handler(arg[i]) serves the i-th. Returns how many
 * were set up, 0: none.
 */
unsigned pci_interrupts(struct pci_function *f, unsigned count, irq_handler handler, void *const *arg);
void pci_interrupts_off(struct pci_function *f);
/* How many MSI-X vectors the function has; 0: no MSI-X. */
unsigned pci_msix_count(const struct pci_function *f);

#endif
