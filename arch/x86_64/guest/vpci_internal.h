/*
 * What vpci.c (access), vpci_function.c (what there is), vpci_msi.c and vpci_msix.c share.
 *
 * vpci_lock guards everything here but what stands under msi_lock. That one (LOCK_MSI) is for what hwirq's
 * operations touch, which come on any CPU at any time: the messages in the hardware and the masks of their
 * vectors.
 */
#ifndef X86_GUEST_VPCI_INTERNAL_H
#define X86_GUEST_VPCI_INTERNAL_H

#include <hv/domain.h>
#include <x86/pci.h>
#include "hwirq.h"
#include "vpci.h"

#define PCI_ID                   0x00 /* vendor and device */
#define PCI_COMMAND              0x04
#define PCI_COMMAND_MEMORY       0x0002u
#define PCI_STATUS               0x06
#define PCI_STATUS_CAPABILITIES  0x0010u
#define PCI_CLASS                0x08
#define PCI_HEADER_TYPE          0x0e
#define PCI_BAR(n)               ((uint16_t)(0x10 + 4 * (n)))
#define PCI_BARS                 6u
#define PCI_BAR_PORTS            0x1u
#define PCI_BAR_KIND             0x6u
#define PCI_BAR_64               0x4u
#define PCI_BAR_FLAGS            0xfu
#define PCI_CAPABILITIES         0x34
#define PCI_CAPABILITIES_CARDBUS 0x14
#define PCI_CAPABILITY_MSI       0x05
#define PCI_CAPABILITY_MSIX      0x11
#define PCI_EXTENDED             0x100
#define PCI_EXTENDED_SRIOV       0x0010
#define PCI_CONFIG_SIZE          0x1000u
#define PCI_CLASS_IOMMU          0x0806u

/* A message as it is in the hardware: physical destination, fixed, edge (SDM vol. 3, 11.11). */
#define HOST_MESSAGE(apic_id) (0xfee00000u | ((apic_id)&0xff) << 12)

struct vpci_msi {
    struct hwirq irq;
    uint16_t at; /* offset of the capability, 0: none */
    bool wide, maskable;
    /* as the domain wrote it */
    uint64_t address;
    uint16_t data;
    uint32_t mask; /* msi_lock as well, for changes */
    /* msi_lock */
    uint32_t host_address;
    uint8_t host_data;
    bool throttled;
};

struct vpci_msix_entry {
    struct hwirq irq;
    struct vpci_function *function;
    /* as the domain wrote it */
    uint64_t address;
    uint32_t data;
    bool masked;
    /* msi_lock */
    bool open; /* the domain wants its interrupts, and they are bound */
    bool throttled;
    uint8_t host_data;
    uint32_t host_address;
};

struct vpci_msix {
    uint16_t at; /* offset of the capability, 0: none */
    uint16_t count;
    uint8_t bar;
    bool enabled;
    uint32_t offset; /* of the table in the BAR */
    struct vpci_msix_entry *entry;
    uint64_t table; /* where it is now, 0: not in memory. msi_lock as well, for changes */
    bool missed;    /* something should have been written to it when it was not there. msi_lock */
};

struct vpci_function {
    struct vpci_function *next;            /* with the same hash */
    struct vpci_function *next_with_table; /* of those that have MSI-X */
    struct domain *domain;
    struct pci_address where;
    uint32_t id;
    uint8_t bars; /* how many registers */
    bool hidden;
    bool told;      /* once is enough about what it cannot have */
    uint16_t empty; /* an MSI-X capability that is shown as an empty one, 0: none */
    uint16_t sriov; /* likewise, an extended one */
    struct vpci_msi msi;
    struct vpci_msix msix;
};

extern spinlock_t vpci_lock;
extern struct vpci_function *vpci_with_table;
extern spinlock_t msi_lock;

/* --- vpci_function.c ------------------------------------------------------------------------------------ */
/* The function as d sees it, found out about when it is first asked for; NULL: nothing is there. */
struct vpci_function *vpci_find_locked(struct domain *d, struct pci_address where);
/* It is known already, or NULL. */
struct vpci_function *vpci_known_locked(struct pci_address where);
/* It is gone, or another one: all of its interrupts end. Frees f. */
void vpci_forget_locked(struct vpci_function *f);
/* BARs or memory decoding changed: the MSI-X table may be elsewhere. */
void vpci_place_locked(struct vpci_function *f);
/* To the log, once for each function. */
void vpci_tell(struct vpci_function *f, const char *what);

static inline uint32_t vpci_hardware_read(const struct vpci_function *f, uint32_t offset, unsigned size)
{
    return pci_config_read(f->where, (uint16_t)offset, size);
}
static inline void vpci_hardware_write(const struct vpci_function *f, uint32_t offset, unsigned size,
                                       uint32_t value)
{
    pci_config_write(f->where, (uint16_t)offset, size, value);
}

/* --- vpci_msi.c: the capability's registers, dword by dword; index counts from its start ---------------- */
void vpci_msi_init(struct vpci_function *f, uint16_t at);
unsigned vpci_msi_size(const struct vpci_function *f); /* in bytes */
uint32_t vpci_msi_read_locked(const struct vpci_function *f, unsigned index);
void vpci_msi_write_locked(struct vpci_function *f, unsigned index, uint32_t value);
/* Off, and unbound. touch: the hardware is there to be told. */
void vpci_msi_off_locked(struct vpci_function *f, bool touch);

#define VPCI_MSIX_SIZE 12u /* of the capability */

/* --- vpci_msix.c ---------------------------------------------------------------------------------------- */
/* False: the capability is of no use. */
bool vpci_msix_init(struct vpci_function *f, uint16_t at);
void vpci_msix_free(struct vpci_function *f);
/* The capability's first dword; the others are read-only. */
void vpci_msix_write_locked(struct vpci_function *f, uint32_t value);
void vpci_msix_off_locked(struct vpci_function *f, bool touch);
/* Its table is there, or gone (0). */
void vpci_msix_place_locked(struct vpci_function *f, uint64_t table);
static inline uint64_t vpci_msix_table_size(const struct vpci_function *f)
{
    return (uint64_t)f->msix.count * 16;
}
/* Accesses to the table, aligned and within it. */
uint64_t vpci_table_read_locked(const struct vpci_function *f, uint64_t offset, unsigned size);
void vpci_table_write_locked(struct vpci_function *f, uint64_t offset, unsigned size, uint64_t value);

#endif
