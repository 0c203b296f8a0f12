/* sources: tests/unit/virtio_world.c tests/unit/net_below.c drivers/io/virtio_ring.c drivers/io/virtio_watch.c drivers/io/virtio_net.c
 * drivers/io/packet.c lib/printf.c lib/number.c */
/* Virtio network cards: headers both ways, packets in several buffers, and devices that lie or stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include "../../drivers/io/drivers.h"
#include "net_below.h"
#include "virtio_world.h"
#include <cmocka.h>

#define SECOND   1000000000ull
#define OFFLOADS (1ull << 0 | 1ull << 1 | 1ull << 7 | 1ull << 8 | 1ull << 11 | 1ull << 12)
#define MAC      (1ull << 5)
#define MERGE    (1ull << 15)
#define STATUS   (1ull << 16)
#define CONTROL  (3ull << 17)
#define ALL      (OFFLOADS | MAC | MERGE | STATUS | CONTROL | VIRTIO_INDIRECT | VIRTIO_EVENT_INDEX)

#define TCP_START 34
#define HEADERS   54

struct header {
    uint8_t flags, gso;
    uint16_t header_size, gso_size, checksum_start, checksum_offset, buffers;
};

static struct pci_function function = {.device_id = VIRTIO_ID_NET};

static struct nic *found(uint64_t features)
{
    virtio_world_reset(features);
    memcpy(virtio_world.config, "\2\0\0\0\0\5\1", 7);
    assert_true(virtio_net_driver.probe(&function));
    assert_non_null(virtio_world.nic);
    return virtio_world.nic;
}

/* The device fills the next receive buffer; bytes counts the header. */
static void fill(const void *from, uint32_t bytes)
{
    struct chain chain;
    assert_true(virtio_take(0, &chain));
    assert_int_equal(chain.count, 1);
    assert_true(chain.buffer[0].writable);
    memcpy(chain.buffer[0].data, from, bytes < chain.buffer[0].bytes ? bytes : chain.buffer[0].bytes);
    virtio_use(0, chain.head, bytes);
}

/* The same with a header and whatever was in the buffer. */
static void fill_any(uint16_t buffers, uint32_t bytes)
{
    struct chain chain;
    struct header header = {.buffers = buffers};
    assert_true(virtio_take(0, &chain));
    memcpy(chain.buffer[0].data, &header, sizeof header);
    virtio_use(0, chain.head, bytes);
}

/* A TCP packet behind a header, in one buffer; returns how many bytes both have. */
static uint32_t frame(uint8_t *to, const struct header *header, size_t payload)
{
    memcpy(to, header, sizeof *header);
    return (uint32_t)(sizeof *header + net_tcp(to + sizeof *header, 4, payload));
}

static void describes_itself(void **state)
{
    (void)state;
    const struct nic *nic = found(ALL);
    assert_memory_equal(nic->mac, "\2\0\0\0\0\5", 6);
    assert_true(nic->link && nic->checksum_offload && nic->gso_v4 && nic->gso_v6);
    assert_int_equal(nic->max_fragments, PACKET_FRAGMENTS);
    nic = found(MAC);
    assert_false(nic->checksum_offload || nic->gso_v4 || nic->gso_v6);
    assert_true(nic->link);
    virtio_world_reset(0);
    assert_false(virtio_net_driver.probe(&function));
}

static void wants_all_packets(void **state)
{
    (void)state;
    struct chain chain;
    found(ALL);
    assert_true(virtio_take(2, &chain));
    assert_int_equal(chain.count, 3);
    assert_memory_equal(chain.buffer[0].data, "\0\0", 2);
    assert_int_equal(chain.buffer[1].data[0], 1);
    *chain.buffer[2].data = 1;
    virtio_use(2, chain.head, 1);
    virtio_interrupt();
    assert_non_null(strstr(net_world.said, "refuses"));
}

static unsigned released;
static void count_release(struct packet *packet)
{
    (void)packet;
    released++;
}

static void sends(void **state)
{
    (void)state;
    struct chain chain;
    struct header header;
    uint8_t bytes[HEADERS + 3000];
    struct nic *nic = found(ALL);
    struct packet *packet = net_packet(bytes, net_tcp(bytes, 4, 3000));
    packet->checksum_blank = true;
    packet->checksum_start = TCP_START;
    packet->checksum_offset = 16;
    packet->gso = GSO_TCPV4;
    packet->gso_size = 1448;
    packet->header_size = HEADERS;
    packet->release = count_release;
    released = 0;
    assert_true(packet_pin(packet));
    assert_true(nic->transmit(nic, packet));
    packet_put(packet);
    nic->flush(nic);
    assert_true(virtio_take(1, &chain));
    assert_int_equal(chain.count, 2);
    memcpy(&header, chain.buffer[0].data, sizeof header);
    assert_int_equal(chain.buffer[0].bytes, sizeof header);
    assert_true(header.flags == 1 && header.gso == 1 && header.gso_size == 1448 &&
                header.header_size == HEADERS);
    assert_true(header.checksum_start == TCP_START && header.checksum_offset == 16);
    assert_memory_equal(chain.buffer[1].data, bytes, sizeof bytes);
    assert_int_equal(released, 0);
    virtio_use(1, chain.head, 0);
    virtio_interrupt();
    assert_int_equal(released, 1);
}

static void a_full_ring_says_so(void **state)
{
    (void)state;
    struct chain chain;
    unsigned sent = 0;
    struct nic *nic = found(ALL);
    struct packet *packet = net_packet("0123456789abcdef", 16);
    while (nic->transmit(nic, packet))
        sent++;
    assert_int_equal(sent, 64);
    assert_int_equal(packet->users, 65);
    while (virtio_take(1, &chain))
        virtio_use(1, chain.head, 0);
    virtio_interrupt();
    assert_int_equal(packet->users, 1);
    packet_put(packet);
}

static void receives(void **state)
{
    (void)state;
    uint8_t bytes[2000];
    uint32_t size = frame(bytes, &(struct header){.flags = 2, .buffers = 1}, 100);
    found(ALL);
    for (unsigned i = 0; i < 200; i++) {
        fill(bytes, size);
        virtio_interrupt();
        assert_int_equal(virtio_world.received, i + 1);
    }
    const struct packet *packet = virtio_world.last_received;
    assert_int_equal(packet->length, size - 12);
    assert_memory_equal(packet->fragment[0].data, bytes + 12, size - 12);
    assert_true(packet->checksum_good && !packet->checksum_blank && packet->gso == GSO_NONE);
    assert_true(virtio_world.flushes >= 200);
}

/* 64 KiB, in as many buffers as it takes. */
static void receives_large_ones(void **state)
{
    (void)state;
    static uint8_t bytes[12 + PACKET_MAX];
    const struct header header = {.flags = 1,
                                  .gso = 1,
                                  .gso_size = 1448,
                                  .checksum_start = TCP_START,
                                  .checksum_offset = 16,
                                  .buffers = 22};
    uint32_t size = frame(bytes, &header, PACKET_MAX - HEADERS);
    struct packet *packet;
    uint8_t *copy = malloc(PACKET_MAX);
    found(ALL);
    for (uint32_t at = 0; at < size; at += PACKET_INLINE)
        fill(bytes + at, size - at < PACKET_INLINE ? size - at : PACKET_INLINE);
    virtio_interrupt();
    assert_int_equal(virtio_world.received, 1);
    packet = virtio_world.last_received;
    assert_int_equal(packet->length, PACKET_MAX);
    assert_int_equal(packet->fragment_count, 22);
    assert_true(packet->gso == GSO_TCPV4 && packet->gso_size == 1448 && packet->header_size == HEADERS);
    assert_true(packet_read(packet, 0, copy, PACKET_MAX));
    assert_memory_equal(copy, bytes + 12, PACKET_MAX);
    free(copy);
}

/* --- devices that lie or fail --------------------------------------------------------------------------- */

static void lying_headers_drop_the_packet(void **state)
{
    (void)state;
    static const struct header lies[] = {
        {.flags = 1, .checksum_start = 65535, .checksum_offset = 65535, .buffers = 1},
        {.flags = 1, .checksum_start = 150, .checksum_offset = 4, .buffers = 1},
        {.flags = 1, .gso = 1, .checksum_start = TCP_START, .checksum_offset = 16, .buffers = 1},
        {.flags = 0,
         .gso = 1,
         .gso_size = 1000,
         .checksum_start = TCP_START,
         .checksum_offset = 16,
         .buffers = 1},
        {.flags = 1,
         .gso = 3,
         .gso_size = 1000,
         .checksum_start = TCP_START,
         .checksum_offset = 16,
         .buffers = 1},
        {.flags = 1,
         .gso = 4,
         .gso_size = 1000,
         .checksum_start = TCP_START,
         .checksum_offset = 6,
         .buffers = 1},
        {.flags = 1, .gso = 1, .gso_size = 1000, .checksum_start = 134, .checksum_offset = 16, .buffers = 1},
    };
    uint8_t bytes[200];
    found(ALL);
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        memset(bytes, 0xff, sizeof bytes);
        fill(bytes, frame(bytes, &lies[i], 100));
        virtio_interrupt();
        assert_int_equal(virtio_world.received, 0);
        assert_int_equal(virtio_world.nic->port.dropped, i + 1);
    }
    /* Too short for Ethernet; headers that come in pieces. */
    fill_any(1, 12 + 13);
    fill_any(2, 12 + 20);
    fill(bytes, 200);
    virtio_interrupt();
    assert_int_equal(virtio_world.received, 0);
    assert_int_equal(virtio_world.resets, 0);
    fill(bytes, frame(bytes, &(struct header){.buffers = 1}, 100));
    virtio_interrupt();
    assert_int_equal(virtio_world.received, 1);
}

static void senseless_packets_reset_it(void **state)
{
    (void)state;
    static const struct {
        uint16_t buffers;
        uint32_t bytes;
    } cases[] = {{0, 100}, {PACKET_FRAGMENTS + 1, 100}, {65535, 100}, {1, 12},
                 {1, 0},   {1, PACKET_INLINE + 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chain chain;
        found(ALL);
        fill_any(cases[i].buffers, cases[i].bytes);
        virtio_interrupt();
        assert_int_equal(virtio_world.resets, 1);
        virtio_pass(5000000);
        assert_int_equal(virtio_world.starts, 2);
        assert_true(virtio_take(0, &chain));
        assert_int_equal(virtio_world.received, 0);
    }
}

static void a_stuck_transmission_resets_it(void **state)
{
    (void)state;
    struct chain chain;
    struct nic *nic = found(ALL);
    struct packet *packet = net_packet("0123456789abcdef", 16);
    assert_true(nic->transmit(nic, packet));
    fill_any(3, 112); /* and one that is half there */
    virtio_interrupt();
    virtio_pass(4 * SECOND);
    assert_int_equal(virtio_world.resets, 0);
    virtio_pass(3 * SECOND);
    assert_int_equal(virtio_world.resets, 1);
    assert_int_equal(packet->users, 1);
    assert_int_equal(virtio_world.starts, 2);
    fill_any(1, 112);
    virtio_interrupt();
    assert_int_equal(virtio_world.received, 1);
    assert_true(nic->transmit(nic, packet));
    assert_true(virtio_take(1, &chain));
    virtio_use(1, chain.head, 0);
    virtio_interrupt();
    assert_int_equal(packet->users, 1);
    packet_put(packet);
}

static void one_without_reset_is_given_up(void **state)
{
    (void)state;
    struct nic *nic = found(ALL);
    struct packet *packet = net_packet("0123456789abcdef", 16);
    virtio_world.stuck = true;
    assert_true(nic->transmit(nic, packet));
    virtio_pass(7 * SECOND);
    /* It may still read the packet. */
    assert_int_equal(packet->users, 2);
    assert_false(nic->transmit(nic, packet));
    virtio_pass(2 * SECOND);
    assert_int_equal(virtio_world.closes, 1);
    assert_int_equal(packet->users, 1);
    assert_false(nic->link);
    assert_false(nic->transmit(nic, packet));
    packet_put(packet);
}

static void goes_on_when_memory_is_back(void **state)
{
    (void)state;
    struct packet *kept[64];
    unsigned count = 0;
    found(ALL);
    net_world.no_memory = true;
    /* Its buffers leave it one by one, until it has none. */
    for (; count < 64; count++) {
        fill_any(1, 112);
        virtio_interrupt();
        kept[count] = packet_get(virtio_world.last_received);
    }
    assert_int_equal(virtio_world.received, 64);
    net_world.no_memory = false;
    virtio_pass(20000000);
    fill_any(1, 112);
    virtio_interrupt();
    assert_int_equal(virtio_world.received, 65);
    while (count)
        packet_put(kept[--count]);
}

static void the_link_comes_and_goes(void **state)
{
    (void)state;
    struct nic *nic = found(ALL);
    virtio_world.config[6] = 0;
    virtio_config_interrupt();
    assert_false(nic->link);
    virtio_world.config[6] = 1;
    virtio_config_interrupt();
    assert_true(nic->link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(wants_all_packets),
        cmocka_unit_test(sends),
        cmocka_unit_test(a_full_ring_says_so),
        cmocka_unit_test(receives),
        cmocka_unit_test(receives_large_ones),
        cmocka_unit_test(lying_headers_drop_the_packet),
        cmocka_unit_test(senseless_packets_reset_it),
        cmocka_unit_test(a_stuck_transmission_resets_it),
        cmocka_unit_test(one_without_reset_is_given_up),
        cmocka_unit_test(goes_on_when_memory_is_back),
        cmocka_unit_test(the_link_comes_and_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
