/* sources: tests/unit/net_below.c drivers/io/packet.c drivers/io/packet_offload.c drivers/io/bridge.c drivers/io/nic.c
 * drivers/io/e1000_receive.c drivers/io/e1000_transmit.c lib/number.c lib/printf.c */
/*
 * A gigabit card that writes whatever comes into its descriptors, and packets of any content in between; what
 * arrives is read whole, and sent again through the same card. When it is stopped, no packet is left.
 */
#include <stdlib.h>
#include <string.h>
#include "../../drivers/io/e1000.h"
#include "../unit/net_below.h"

static const struct e1000_kind kind = {0x10d3, "e1000e", "fuzzed", true};
static struct e1000 card;
static uint32_t registers[E1000_SIZE / 4];
static const uint8_t *input;
static size_t left;

uint32_t register_read(const volatile void *base, uint32_t offset)
{
    (void)base;
    return registers[offset / 4];
}

void register_write(volatile void *base, uint32_t offset, uint32_t value)
{
    (void)base;
    registers[offset / 4] = value;
}

static uint32_t number(unsigned bytes)
{
    uint32_t value = 0;
    for (; bytes; bytes--, left -= left > 0)
        value = value << 8 | (left ? *input++ : 0);
    return value;
}

static void arrived(struct bridge_port *port, struct packet *packet)
{
    static uint8_t bytes[E1000_BUFFER];
    if (packet->length > sizeof bytes || !packet_read(packet, 0, bytes, packet->length))
        abort();
    struct packet *copy = net_packet(bytes, packet->length);
    copy->gso = (enum packet_gso)(number(1) % 3);
    copy->gso_size = (uint16_t)number(2);
    packet_flow(copy);
    if (copy->gso == GSO_NONE || packet_find_checksum(copy))
        bridge_input(port, copy);
    packet_put(copy);
}

static struct bridge_port listener = {.output = arrived};

static void receive_some(void)
{
    uint32_t index = number(1);
    volatile struct e1000_receive_descriptor *d = &card.receive[number(1) & 1 ? card.receive_next : index];
    d->length = (uint16_t)(number(1) < 200 ? number(1) * 8 : number(2));
    d->errors = (uint8_t)(number(1) & number(1));
    uint8_t *data = card.buffer[card.receive_next]->fragment[0].data;
    if (number(1) & 1)
        net_tcp(data, 4, 500);
    data[number(1)] ^= (uint8_t)number(1);
    d->status = (uint8_t)(number(1) | 1);
    e1000_receive(&card);
    bridge_flush();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    net_world_reset();
    if (!card.registers) {
        card = (struct e1000){.kind = &kind, .registers = registers};
        card.nic = (struct nic){.mtu = 1500,
                                .link = true,
                                .checksum_offload = true,
                                .gso_v4 = true,
                                .max_fragments = PACKET_FRAGMENTS,
                                .transmit = e1000_transmit,
                                .flush = e1000_transmit_flush,
                                .driver_data = &card};
        if (!nic_add(&card.nic) || !e1000_receive_init(&card) || !e1000_transmit_init(&card))
            abort();
        bridge_attach(bridge_at(0), &listener);
    }
    if (!e1000_receive_start(&card))
        abort();
    e1000_transmit_start(&card);
    card.running = true;
    while (left) {
        if (number(1) < 220) {
            receive_some();
        } else {
            card.transmit[number(1)].status |= number(1) & 1;
            e1000_transmit_done(&card);
        }
    }
    card.running = false;
    e1000_transmit_stop(&card);
    e1000_receive_stop(&card);
    if (card.sent_count)
        abort();
    return 0;
}
