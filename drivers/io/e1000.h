/*
 * Intel's gigabit cards of the 8254x family (Software Developer's Manual 317453) and of the PCI Express
 * family around the 82574 (Datasheet 317694): e1000.c finds, starts and watches them, e1000_receive.c and
 * e1000_transmit.c have the rings. Handler context but for probe().
 *
 * Both families take legacy receive descriptors and extended transmit descriptors, which is all that is used.
 */
#ifndef DRIVERS_IO_E1000_H
#define DRIVERS_IO_E1000_H

#include <drivers/nic.h>
#include <drivers/pci.h>
#include <drivers/work.h>
#include "registers.h"

#define E1000_CTRL     0x0000
#define CTRL_AUTO      (1u << 5) /* speed by negotiation */
#define CTRL_LINK_UP   (1u << 6)
#define CTRL_RESET     (1u << 26)
#define E1000_STATUS   0x0008
#define STATUS_LINK    (1u << 1)
#define E1000_EERD     0x0014
#define EERD_START     (1u << 0)
#define E1000_CTRL_EXT 0x0018
#define CTRL_EXT_PBA   (1u << 31) /* needed for MSI-X */
#define E1000_ICR      0x00c0
#define E1000_ITR      0x00c4
#define E1000_IMS      0x00d0
#define E1000_IMC      0x00d8
#define E1000_EIAC     0x00dc
#define E1000_IVAR     0x00e4
#define E1000_RCTL     0x0100
#define RCTL_ENABLE    (1u << 1)
#define RCTL_UNICAST   (1u << 3) /* everybody's */
#define RCTL_MULTICAST (1u << 4)
#define RCTL_BROADCAST (1u << 15)
#define RCTL_STRIP_CRC (1u << 26)
#define E1000_TCTL     0x0400
#define TCTL_ENABLE    (1u << 1)
#define TCTL_PAD       (1u << 3)
#define TCTL_COLLISION (0x0fu << 4 | 0x40u << 12) /* threshold and distance for full duplex */
#define E1000_TIPG     0x0410
#define TIPG_COPPER    (8u | 8u << 10 | 6u << 20)
#define E1000_RDBAL    0x2800
#define E1000_RDBAH    0x2804
#define E1000_RDLEN    0x2808
#define E1000_RDH      0x2810
#define E1000_RDT      0x2818
#define E1000_TDBAL    0x3800
#define E1000_TDBAH    0x3804
#define E1000_TDLEN    0x3808
#define E1000_TDH      0x3810
#define E1000_TDT      0x3818
#define E1000_TXDCTL   0x3828
#define TXDCTL_COUNT   (1u << 22)            /* thresholds in descriptors; always set on the 82574 */
#define TXDCTL_WHOLE   (1u << 24 | 1u << 16) /* each one is written back when it is done */
#define E1000_RXCSUM   0x5000
#define RXCSUM_IP      (1u << 8)
#define RXCSUM_TCP_UDP (1u << 9)
#define E1000_RAL      0x5400
#define E1000_RAH      0x5404
#define RAH_VALID      (1u << 31)
#define E1000_SIZE     0x6000 /* of the registers that are used */

#define CAUSE_TRANSMITTED (1u << 0)
#define CAUSE_LINK        (1u << 2)
#define CAUSE_FEW_BUFFERS (1u << 4)
#define CAUSE_OVERRUN     (1u << 6)
#define CAUSE_RECEIVED    (1u << 7)
#define CAUSES_RECEIVE    (CAUSE_FEW_BUFFERS | CAUSE_OVERRUN | CAUSE_RECEIVED)
#define CAUSES            (CAUSE_TRANSMITTED | CAUSE_LINK | CAUSES_RECEIVE)
/* As MSI-X counts them: the first queues, and the rest. */
#define CAUSES_MSIX (1u << 20 | 1u << 22 | 1u << 24)

#define E1000_RING   256u
#define E1000_BUFFER 2048u

struct e1000_receive_descriptor {
    uint64_t address;
    uint16_t length, checksum;
    uint8_t status, errors;
    uint16_t special;
};

/* Of data; that of a context is made of the same three fields. */
struct e1000_transmit_descriptor {
    uint64_t address;
    uint32_t command; /* and length */
    uint32_t status;  /* and options */
};

struct e1000_kind {
    uint16_t device;
    const char *driver, *model;
    bool express;
};

struct e1000 {
    struct pci_function *pci;
    const struct e1000_kind *kind;
    volatile void *registers;
    struct nic nic;
    bool running;      /* the device may do DMA */
    struct work more;  /* received packets beyond a pass' share */
    struct work watch; /* does it still send? */
    struct work restart;

    volatile struct e1000_receive_descriptor *receive;
    struct packet *buffer[E1000_RING];
    uint32_t receive_next;
    bool skipping; /* the rest of a packet that was too long */

    volatile struct e1000_transmit_descriptor *transmit;
    uint8_t (*headers)[PACKET_HEAD]; /* one for each place: what the card changes in the headers of packets
                                        that it cuts */
    uint32_t transmit_next, transmit_free;
    /* What is being sent, oldest first. */
    struct {
        struct packet *packet;
        uint32_t last; /* its last descriptor */
    } sent[E1000_RING];
    uint32_t sent_first, sent_count;
    uint64_t progress; /* when the card last sent something, or got something to send while idle */
};

/* --- e1000_receive.c */
bool e1000_receive_init(struct e1000 *e);
/* The registers of the ring, and its buffers; the receiver is off. False: no memory. */
bool e1000_receive_start(struct e1000 *e);
/* A pass: at most a ring full. True: there may be more. */
bool e1000_receive(struct e1000 *e);
/* The device does no DMA any more: forgets what it had. */
void e1000_receive_stop(struct e1000 *e);

/* --- e1000_transmit.c */
bool e1000_transmit_init(struct e1000 *e);
void e1000_transmit_start(struct e1000 *e);
/* The card's functions of drivers/nic.h. */
bool e1000_transmit(struct nic *nic, struct packet *packet);
void e1000_transmit_flush(struct nic *nic);
/* Drops what was sent. */
void e1000_transmit_done(struct e1000 *e);
void e1000_transmit_stop(struct e1000 *e);

#endif
