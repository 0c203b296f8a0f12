/* sources: tests/unit/net_below.c drivers/io/packet.c drivers/io/packet_offload.c drivers/io/bridge.c drivers/io/nic.c
 * drivers/io/e1000.c drivers/io/e1000_receive.c drivers/io/e1000_transmit.c lib/number.c lib/printf.c */
/* Rings of Intel's gigabit cards: a pretended card reads and writes descriptors as the manuals say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../drivers/io/drivers.h"
#include "../../drivers/io/e1000.h"
#include "net_below.h"
#include <cmocka.h> /* its fail() is not lib/why.h's */

static const struct e1000_kind kind = {0x10d3, "e1000e", "test", true};
static struct e1000 card;
static uint32_t registers[E1000_SIZE / 4];
static uint8_t bytes[PACKET_MAX];
static unsigned came, came_bytes;
static bool came_good;

uint32_t register_read(const volatile void *base, uint32_t offset)
{
    assert_ptr_equal(base, registers);
    return registers[offset / 4];
}

void register_write(volatile void *base, uint32_t offset, uint32_t value)
{
    assert_ptr_equal(base, registers);
    registers[offset / 4] = value;
}

static void arrived(struct bridge_port *port, struct packet *packet)
{
    (void)port;
    came++;
    came_bytes = packet->length;
    came_good = packet->checksum_good;
}

static struct bridge_port listener = {.output = arrived};

static int start(void **state)
{
    (void)state;
    net_world_reset();
    if (!card.registers) {
        card = (struct e1000){.kind = &kind, .registers = registers};
        card.nic = (struct nic){.mtu = 1500,
                                .link = true,
                                .checksum_offload = true,
                                .gso_v4 = true,
                                .gso_v6 = true,
                                .max_fragments = PACKET_FRAGMENTS,
                                .transmit = e1000_transmit,
                                .flush = e1000_transmit_flush,
                                .driver_data = &card};
        assert_true(nic_add(&card.nic) && e1000_receive_init(&card) && e1000_transmit_init(&card));
        bridge_attach(bridge_at(0), &listener);
    }
    came = 0;
    card.nic.port.dropped = 0;
    assert_true(e1000_receive_start(&card));
    e1000_transmit_start(&card);
    card.running = true;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    card.running = false;
    e1000_transmit_stop(&card);
    e1000_receive_stop(&card);
    assert_int_equal(net_world.pinned, 0);
    assert_int_equal(card.sent_count, 0);
    work_cancel(&card.watch);
    return 0;
}

/* --- receiving ------------------------------------------------------------------------------------------ */

/* The card writes a packet to its head. */
static void comes(uint16_t length, uint8_t status, uint8_t errors)
{
    uint32_t head = registers[E1000_RDH / 4];
    assert_int_not_equal(head, registers[E1000_RDT / 4]);
    volatile struct e1000_receive_descriptor *d = &card.receive[head];
    memcpy((void *)d->address, bytes, length < E1000_BUFFER ? length : E1000_BUFFER);
    d->length = length;
    d->status = status;
    d->errors = errors;
    registers[E1000_RDH / 4] = (head + 1) % E1000_RING;
}

static void packets_arrive(void **state)
{
    (void)state;
    size_t size = net_tcp(bytes, 4, 200);
    comes((uint16_t)size, 0x23, 0);
    assert_false(e1000_receive(&card));
    assert_int_equal(came, 1);
    assert_int_equal(came_bytes, size);
    assert_true(came_good);
    comes((uint16_t)size, 0x27, 0);
    e1000_receive(&card);
    assert_false(came_good);
    comes((uint16_t)size, 0x23, 0x20);
    e1000_receive(&card);
    assert_int_equal(came, 3);
    assert_false(came_good);
}

static void a_flood_is_taken_in_shares(void **state)
{
    (void)state;
    uint16_t size = (uint16_t)net_tcp(bytes, 4, 20);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < E1000_RING - 1; i++)
            comes(size, 3, 0);
        assert_int_equal(registers[E1000_RDH / 4], registers[E1000_RDT / 4]);
        assert_false(e1000_receive(&card));
        assert_int_equal(came, (round + 1) * (E1000_RING - 1));
    }
}

static void bad_frames_are_dropped(void **state)
{
    (void)state;
    static const struct {
        uint16_t length;
        uint8_t status, errors;
    } cases[] = {{100, 3, 0x01}, {100, 3, 0x80}, {0, 3, 0}, {13, 3, 0}, {2049, 3, 0}, {65535, 3, 0}};
    net_tcp(bytes, 4, 100);
    for (unsigned i = 0; i < 6; i++) {
        comes(cases[i].length, cases[i].status, cases[i].errors);
        e1000_receive(&card);
        assert_int_equal(came, 0);
        assert_int_equal(card.nic.port.dropped, i + 1);
    }
    /* In pieces: all of them. */
    comes(2048, 1, 0);
    comes(2048, 1, 0);
    comes(100, 3, 0);
    comes(100, 3, 0);
    e1000_receive(&card);
    assert_int_equal(came, 1);
}

static void without_memory_the_ring_stays_whole(void **state)
{
    (void)state;
    /* Packets that were kept for reuse are taken away first. */
    struct packet *taken[600];
    unsigned count = 0;
    net_world.no_memory = true;
    while (count < 600 && (taken[count] = packet_alloc(60)))
        count++;
    uint16_t size = (uint16_t)net_tcp(bytes, 4, 20);
    for (unsigned i = 0; i < 600; i++) {
        comes(size, 3, 0);
        e1000_receive(&card);
    }
    assert_int_equal(came, 0);
    net_world.no_memory = false;
    while (count)
        packet_put(taken[--count]);
    comes(size, 3, 0);
    e1000_receive(&card);
    assert_int_equal(came, 1);
}

/* --- sending -------------------------------------------------------------------------------------------- */

#define EXTENDED(type) ((uint64_t)(type) << 20 | 1ull << 29)

/* The card sends all up to the tail; returns how many descriptors that was. */
static unsigned goes(void)
{
    uint32_t head = registers[E1000_TDH / 4], count = 0;
    for (; head != registers[E1000_TDT / 4]; head = (head + 1) % E1000_RING, count++)
        if (card.transmit[head].command & 1u << 27)
            card.transmit[head].status |= 1;
    registers[E1000_TDH / 4] = head;
    return count;
}

static struct packet *tcp(unsigned version, size_t payload, uint16_t gso_size)
{
    struct packet *packet = packet_alloc(net_tcp(bytes, version, payload));
    memcpy(packet->fragment[0].data, bytes, packet->length);
    packet->gso = !gso_size ? GSO_NONE : version == 4 ? GSO_TCPV4 : GSO_TCPV6;
    packet->gso_size = gso_size;
    assert_true(packet_find_checksum(packet));
    return packet;
}

static void plain_packets_need_one_descriptor(void **state)
{
    (void)state;
    struct packet *packet = tcp(4, 100, 0);
    packet->checksum_blank = false;
    assert_true(e1000_transmit(&card.nic, packet));
    assert_int_equal(registers[E1000_TDT / 4], 0);
    e1000_transmit_flush(&card.nic);
    assert_int_equal(registers[E1000_TDT / 4], 1);
    volatile struct e1000_transmit_descriptor *d = &card.transmit[0];
    assert_int_equal(d->address, packet->fragment[0].bus);
    /* length, data, end, CRC, report, extended */
    assert_int_equal(d->command, 154 | EXTENDED(1) | 1 << 24 | 1 << 25 | 1 << 27);
    assert_int_equal(d->status, 0);
    assert_int_equal(packet->users, 2);
    e1000_transmit_done(&card);
    assert_int_equal(packet->users, 2);
    goes();
    e1000_transmit_done(&card);
    assert_int_equal(packet->users, 1);
    packet_put(packet);
}

static void checksums_have_a_context(void **state)
{
    (void)state;
    struct packet *packet = tcp(6, 100, 0);
    e1000_transmit(&card.nic, packet);
    e1000_transmit_flush(&card.nic);
    assert_int_equal(registers[E1000_TDT / 4], 2);
    assert_int_equal(card.transmit[0].address >> 32, 54 | (54 + 16) << 8);
    assert_int_equal(card.transmit[0].command, EXTENDED(0) | 1 << 24);
    assert_int_equal(card.transmit[1].status, 2 << 8);
    packet_put(packet);
}

static void large_packets_are_prepared(void **state)
{
    (void)state;
    struct packet *packet = tcp(4, 2500, 1448);
    const uint8_t *data = packet->fragment[0].data;
    uint8_t before[54];
    memcpy(before, data, 54);
    e1000_transmit(&card.nic, packet);
    e1000_transmit_flush(&card.nic);
    assert_int_equal(registers[E1000_TDT / 4], 3);
    volatile struct e1000_transmit_descriptor *d = card.transmit;
    assert_int_equal((uint32_t)d[0].address, 14 | 24 << 8 | 33 << 16);
    assert_int_equal(d[0].address >> 32, 34 | 50 << 8);
    /* payload, TCP, IPv4, to be cut */
    assert_int_equal(d[0].command, 2500 | EXTENDED(0) | 1 << 24 | 1 << 25 | 1 << 26);
    assert_int_equal(d[0].status, 54 << 8 | 1448 << 16);
    assert_int_equal(d[1].command & 0xfffff, 54);
    assert_int_equal(d[2].command & 0xfffff, 2500);
    assert_int_equal(d[2].address, packet->fragment[0].bus + 54);
    assert_int_equal(d[1].status, 3 << 8);
    assert_false(d[1].command & 1 << 24);
    assert_true(d[2].command & 1 << 24);
    /* The packet itself is as it was; the card's copy has no lengths, in the pseudo header neither. */
    assert_memory_equal(data, before, 54);
    const uint8_t *copy = (const uint8_t *)d[1].address;
    assert_int_equal(copy[16] | copy[17] | copy[24] | copy[25], 0);
    uint32_t sum = (uint32_t)(copy[50] << 8 | copy[51]) + 2520,
             old = (uint32_t)(before[50] << 8 | before[51]);
    assert_int_equal((sum & 0xffff) + (sum >> 16), old);
    packet_put(packet);
}

static void the_ring_fills_and_empties(void **state)
{
    (void)state;
    struct packet *packet = tcp(4, 2500, 1448);
    for (unsigned round = 0; round < 4; round++) {
        unsigned sent = 0;
        for (; e1000_transmit(&card.nic, packet); sent++)
            ;
        assert_in_range(sent, (E1000_RING - 4) / 3, E1000_RING / 3);
        assert_int_equal(packet->users, 1 + sent);
        e1000_transmit_flush(&card.nic);
        assert_int_equal(goes(), 3 * sent);
        e1000_transmit_done(&card);
        assert_int_equal(packet->users, 1);
        assert_int_equal(card.transmit_free, E1000_RING - 1);
    }
    packet_put(packet);
}

static void what_has_no_place_in_a_context_is_refused(void **state)
{
    (void)state;
    struct packet *packet = tcp(4, 100, 0);
    packet->checksum_start = 250;
    assert_false(e1000_transmit(&card.nic, packet));
    packet_put(packet);
    packet = tcp(4, 2500, 1448);
    packet->header_size = 3000;
    assert_false(e1000_transmit(&card.nic, packet));
    card.running = false;
    packet->header_size = 54;
    assert_false(e1000_transmit(&card.nic, packet));
    packet_put(packet);
}

/* --- a whole card --------------------------------------------------------------------------------------- */

static struct pci_function function = {.vendor_id = 0x8086, .device_id = 0x10d3};
static bool may_do_dma;
static irq_handler handler;
static void *handler_arg;

const char *pci_name(const struct pci_function *f, char buf[PCI_NAME])
{
    (void)f;
    return strcpy(buf, "00:03.0");
}

void pci_enable(struct pci_function *f)
{
    (void)f;
    may_do_dma = true;
}

void pci_disable(struct pci_function *f)
{
    (void)f;
    may_do_dma = false;
}

volatile void *pci_bar_map(const struct pci_function *f, unsigned bar, uint64_t offset, uint64_t size)
{
    (void)f;
    assert_int_equal(bar + offset, 0);
    assert_int_equal(size, sizeof registers);
    return registers;
}

unsigned pci_interrupts(struct pci_function *f, unsigned count, irq_handler called, void *const *arg)
{
    (void)f;
    handler = called;
    handler_arg = arg[0];
    return count;
}

void pci_interrupts_off(struct pci_function *f)
{
    (void)f;
    handler = NULL;
}

unsigned pci_msix_count(const struct pci_function *f)
{
    (void)f;
    return 5;
}

static void nothing(void)
{
}

static void end_of_dma(struct packet *packet)
{
    (void)packet;
    assert_false(may_do_dma);
    came++;
}

static void a_card_that_hangs_is_reset(void **state)
{
    (void)state;
    memset(registers, 0, sizeof registers);
    net_world.slept = nothing;
    registers[E1000_RAL / 4] = 0x12005452;
    registers[E1000_RAH / 4] = RAH_VALID | 0x5634;
    registers[E1000_STATUS / 4] = STATUS_LINK;
    assert_true(e1000_driver.probe(&function));
    assert_string_equal(net_world.said, "eth1: e1000e 00:03.0 (82574L), 52:54:00:12:34:56, link up\n");
    struct nic *nic = nic_at(1);

    net_page(9);
    struct packet *packet = tcp(4, 100, 0);
    packet->fragment[packet->fragment_count++] = (struct packet_fragment){.bytes = 50, .domid = 1, .ref = 9};
    packet->length += 50;
    packet->release = end_of_dma;
    assert_true(packet_pin(packet) && nic->transmit(nic, packet));
    packet_put(packet);
    nic->flush(nic);
    net_world.now += 1900000000;
    net_work();
    assert_int_equal(net_world.pinned, 1);
    net_world.now += 200000000;
    assert_true(net_work());
    assert_string_equal(net_world.said, "eth1: a packet was not sent in time; the card is reset\n");
    assert_int_equal(net_world.pinned, 0);
    assert_int_equal(came, 1);
    assert_int_equal(registers[E1000_RCTL / 4] | registers[E1000_TCTL / 4], 0);
    assert_true(registers[E1000_CTRL / 4] & CTRL_RESET);
    /* Interrupts that come late find nothing, and nothing can be sent. */
    handler(handler_arg);
    packet = tcp(4, 100, 0);
    assert_false(nic->transmit(nic, packet));
    packet_put(packet);

    net_world.now += 20000000;
    assert_true(net_work());
    assert_true(may_do_dma);
    assert_true(registers[E1000_RCTL / 4] & RCTL_ENABLE);
    assert_int_equal(registers[E1000_RDT / 4], E1000_RING - 1);
    packet = tcp(4, 100, 0);
    assert_true(nic->transmit(nic, packet));
    packet_put(packet);

    /* The link goes, and with it what waits to be sent. */
    registers[E1000_STATUS / 4] = 0;
    registers[E1000_ICR / 4] = CAUSE_LINK;
    handler(handler_arg);
    assert_string_equal(net_world.said, "eth1: link down\n");
    assert_false(may_do_dma);
    registers[E1000_STATUS / 4] = STATUS_LINK;
    net_world.now += 20000000;
    assert_true(net_work());
    assert_string_equal(net_world.said, "eth1: link up\n");
    assert_true(may_do_dma);
    e1000_receive_stop(handler_arg);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(packets_arrive),
        TEST(a_flood_is_taken_in_shares),
        TEST(bad_frames_are_dropped),
        TEST(without_memory_the_ring_stays_whole),
        TEST(plain_packets_need_one_descriptor),
        TEST(checksums_have_a_context),
        TEST(large_packets_are_prepared),
        TEST(the_ring_fills_and_empties),
        TEST(what_has_no_place_in_a_context_is_refused),
        TEST(a_card_that_hangs_is_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
