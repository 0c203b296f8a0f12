/*
 * Intel's gigabit cards (e1000.h): found, started, watched, and started anew when they hang.
 *
 * A card that has something to send and sends nothing for two seconds, or has lost its link, is cut off from
 * memory, which ends its DMA; then what it had is dropped, and it is reset and set up as at the beginning.
 * All packets are received, as most are for guests.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <drivers/pci.h>
#include <lib/string.h>
#include "drivers.h"
#include "e1000.h"

#define VENDOR_INTEL  0x8086
#define MILLISECOND   1000000ull
#define RESET_TIME    (10 * MILLISECOND) /* until the card has read its EEPROM */
#define EEPROM_TIME   (10 * MILLISECOND)
#define WATCH_TIME    (2000 * MILLISECOND)
#define RETRY_TIME    (1000 * MILLISECOND)
#define INTERRUPT_GAP 195u        /* between interrupts, in 256 ns: at most 20000 a second */
#define VECTORS       0x80088888u /* all causes are the first MSI-X vector's */
#define EERD_OLD_DONE (1u << 4)
#define EERD_OLD_WORD 8 /* shift */
#define EERD_DONE     (1u << 1)
#define EERD_WORD     2
#define EERD_DATA     16

static const struct e1000_kind kinds[] = {
    {0x100e, "e1000", "82540EM", false}, {0x100f, "e1000", "82545EM", false},
    {0x1026, "e1000", "82545GM", false}, {0x1010, "e1000", "82546EB", false},
    {0x1079, "e1000", "82546GB", false}, {0x105e, "e1000e", "82571EB", true},
    {0x10b9, "e1000e", "82572EI", true}, {0x109a, "e1000e", "82573L", true},
    {0x10d3, "e1000e", "82574L", true},  {0x150c, "e1000e", "82583V", true},
};

/* --- starting and stopping ------------------------------------------------------------------------------ */

static bool link_is_up(const struct e1000 *e)
{
    return register_read(e->registers, E1000_STATUS) & STATUS_LINK;
}

static void reset(struct e1000 *e)
{
    register_write(e->registers, E1000_IMC, ~0u);
    register_write(e->registers, E1000_RCTL, 0);
    register_write(e->registers, E1000_TCTL, 0);
    register_write(e->registers, E1000_CTRL, register_read(e->registers, E1000_CTRL) | CTRL_RESET);
}

/* After reset() and its time. False: no memory for the buffers. */
static bool start(struct e1000 *e)
{
    volatile void *r = e->registers;
    register_write(r, E1000_IMC, ~0u);
    register_read(r, E1000_ICR);
    register_write(r, E1000_CTRL, (register_read(r, E1000_CTRL) & ~CTRL_RESET) | CTRL_LINK_UP | CTRL_AUTO);
    if (!e1000_receive_start(e))
        return false;
    e1000_transmit_start(e);
    pci_enable(e->pci);
    e->running = true;
    register_write(r, E1000_TCTL, TCTL_ENABLE | TCTL_PAD | TCTL_COLLISION);
    register_write(r, E1000_RCTL,
                   RCTL_ENABLE | RCTL_UNICAST | RCTL_MULTICAST | RCTL_BROADCAST | RCTL_STRIP_CRC);
    register_write(r, E1000_ITR, INTERRUPT_GAP);
    if (pci_msix_count(e->pci)) {
        register_write(r, E1000_CTRL_EXT, register_read(r, E1000_CTRL_EXT) | CTRL_EXT_PBA);
        register_write(r, E1000_IVAR, VECTORS);
        register_write(r, E1000_EIAC, CAUSES_MSIX);
    }
    register_write(r, E1000_IMS, pci_msix_count(e->pci) ? CAUSES | CAUSES_MSIX : CAUSES);
    return true;
}

/* Ends the device's DMA, then drops what it had, and begins anew when the reset is over. */
static void stop(struct e1000 *e)
{
    e->running = false;
    pci_disable(e->pci);
    reset(e);
    e1000_transmit_stop(e);
    e1000_receive_stop(e);
    work_cancel(&e->more);
    work_cancel(&e->watch);
    work_at(&e->restart, time_ns() + RESET_TIME);
}

static void restart(struct work *work)
{
    struct e1000 *e = work->owner;
    if (start(e))
        nic_link_changed(&e->nic, link_is_up(e));
    else
        work_at(&e->restart, time_ns() + RETRY_TIME);
}

/* --- interrupts ----------------------------------------------------------------------------------------- */

static void receive(struct e1000 *e)
{
    if (e1000_receive(e))
        work_later(&e->more);
}

static void more(struct work *work)
{
    receive(work->owner);
}

static void link_changed(struct e1000 *e)
{
    bool link = link_is_up(e);
    nic_link_changed(&e->nic, link);
    if (!link && e->sent_count)
        stop(e);
}

static void interrupt(void *arg)
{
    struct e1000 *e = arg;
    bool msix = pci_msix_count(e->pci);
    uint32_t causes = e->running ? register_read(e->registers, E1000_ICR) : 0;
    /* With MSI-X the causes of a message are taken back, and masked, when it is sent. */
    if (!e->running || (!causes && !msix))
        return;
    register_write(e->registers, E1000_ICR, causes);
    e1000_transmit_done(e);
    receive(e);
    if (causes & CAUSE_LINK)
        link_changed(e);
    if (msix && e->running)
        register_write(e->registers, E1000_IMS, CAUSES_MSIX);
}

static void watch(struct work *work)
{
    struct e1000 *e = work->owner;
    e1000_transmit_done(e);
    if (!e->sent_count)
        return;
    if (time_ns() - e->progress < WATCH_TIME) {
        work_at(&e->watch, e->progress + WATCH_TIME);
        return;
    }
    print("%s: a packet was not sent in time; the card is reset\n", e->nic.name);
    stop(e);
}

/* --- finding one ---------------------------------------------------------------------------------------- */

/* A word of the EEPROM; all ones when it does not answer. */
static uint16_t read_eeprom(struct e1000 *e, uint32_t word)
{
    uint32_t done = e->kind->express ? EERD_DONE : EERD_OLD_DONE, value;
    uint64_t deadline = time_ns() + EEPROM_TIME;
    register_write(e->registers, E1000_EERD,
                   EERD_START | word << (e->kind->express ? EERD_WORD : EERD_OLD_WORD));
    while (!((value = register_read(e->registers, E1000_EERD)) & done))
        if (time_ns() > deadline)
            return 0xffff;
    return (uint16_t)(value >> EERD_DATA);
}

/* The card has it from its EEPROM after a reset, or else it is read there. */
static bool read_mac(struct e1000 *e)
{
    uint32_t high = register_read(e->registers, E1000_RAH);
    uint32_t words[3] = {register_read(e->registers, E1000_RAL), 0, high};
    words[1] = words[0] >> 16;
    for (uint32_t i = 0; i < 3; i++) {
        uint16_t word = high & RAH_VALID ? (uint16_t)words[i] : read_eeprom(e, i);
        e->nic.mac[2 * i] = (uint8_t)word;
        e->nic.mac[2 * i + 1] = (uint8_t)(word >> 8);
    }
    return !(e->nic.mac[0] & 1);
}

static const struct e1000_kind *kind_of(const struct pci_function *f)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (f->vendor_id == VENDOR_INTEL && f->device_id == kinds[i].device)
            return &kinds[i];
    return NULL;
}

static void describe(struct e1000 *e)
{
    e->nic.driver = e->kind->driver;
    e->nic.mtu = 1500;
    e->nic.checksum_offload = e->nic.gso_v4 = true;
    /* The 82574 of QEMU 7.2 cuts large packets of IPv6 and leaves their lengths 0. */
    e->nic.gso_v6 = !e->kind->express;
    e->nic.max_fragments = PACKET_FRAGMENTS;
    e->nic.transmit = e1000_transmit;
    e->nic.flush = e1000_transmit_flush;
    e->nic.driver_data = e;
    e->more = (struct work){.run = more, .owner = e};
    e->watch = (struct work){.run = watch, .owner = e};
    e->restart = (struct work){.run = restart, .owner = e};
}

static const char *set_up(struct e1000 *e)
{
    void *arg[] = {e};
    e->registers = pci_bar_map(e->pci, 0, 0, E1000_SIZE);
    if (!e->registers)
        return "has no registers";
    if (!e1000_receive_init(e) || !e1000_transmit_init(e))
        return "finds no memory: raise dom0_mem";
    reset(e);
    thread_sleep(RESET_TIME);
    if (!read_mac(e))
        return "has no address of its own";
    if (!pci_interrupts(e->pci, 1, interrupt, arg))
        return "gets no interrupt";
    return start(e) ? NULL : "finds no memory: raise dom0_mem";
}

static bool probe(struct pci_function *f)
{
    char name[PCI_NAME];
    const struct e1000_kind *kind = kind_of(f);
    struct e1000 *e = kind ? mem_alloc(sizeof *e) : NULL;
    if (!e)
        return false;
    e->pci = f;
    e->kind = kind;
    describe(e);
    pci_enable(f);
    const char *problem = set_up(e);
    if (!problem && !nic_add(&e->nic))
        problem = "finds no memory: raise dom0_mem";
    if (problem) {
        /* What it took of memory is not worth the code that gives it back. */
        print("%s: network card %s %s\n", pci_name(f, name), kind->model, problem);
        pci_interrupts_off(f);
        pci_disable(f);
        return false;
    }
    e->nic.link = link_is_up(e);
    f->driver_data = e;
    const uint8_t *m = e->nic.mac;
    print("%s: %s %s (%s), %02x:%02x:%02x:%02x:%02x:%02x, link %s\n", e->nic.name, kind->driver,
          pci_name(f, name), kind->model, m[0], m[1], m[2], m[3], m[4], m[5], e->nic.link ? "up" : "down");
    return true;
}

const struct pci_driver e1000_driver = {.name = "e1000", .probe = probe};
