/* sources: tests/unit/net_below.c drivers/io/packet.c drivers/io/packet_offload.c lib/number.c */
/* Packets: references, granted fragments, checksums and cutting in software. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net_below.h"
#include <cmocka.h> /* its fail() is not lib/why.h's */

static uint8_t bytes[PACKET_MAX];

static int fresh(void **state)
{
    (void)state;
    net_world_reset();
    return 0;
}

static unsigned released;
static void on_release(struct packet *packet)
{
    (void)packet;
    released++;
}

static void the_last_user_releases(void **state)
{
    (void)state;
    struct packet *packet = packet_alloc(100);
    packet->release = on_release;
    released = 0;
    packet_put(packet_get(packet));
    assert_int_equal(released, 0);
    packet_put(packet);
    assert_int_equal(released, 1);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct packet *list = NULL, *next;
    unsigned count = 0;
    for (; (next = packet_alloc(60)); list = next, count++)
        next->next = list;
    assert_true(count >= 4096 && count <= 65536);
    for (; list; list = next) {
        next = list->next;
        packet_put(list);
    }
    assert_null(packet_alloc(PACKET_MAX + 1));
    net_world.no_memory = true;
    assert_null(packet_alloc(20000));
}

/* A head of dom0's and two granted pieces, the first of which does not begin its page. */
static struct packet *granted_packet(size_t size)
{
    struct packet *packet = net_packet(bytes, PACKET_HEAD);
    size_t at = PACKET_HEAD;
    grant_ref_t ref = 8;
    for (uint16_t offset = 1000; at < size; offset = 0, ref++) {
        uint32_t now = (uint32_t)(size - at < NET_PAGE - offset ? size - at : NET_PAGE - offset);
        memcpy(net_page(ref) + offset, bytes + at, now);
        packet->fragment[packet->fragment_count++] =
            (struct packet_fragment){.bytes = now, .domid = 3, .ref = ref, .ref_offset = offset};
        at += now;
    }
    packet->length = (uint32_t)size;
    return packet;
}

static void granted_pieces_are_read(void **state)
{
    (void)state;
    static uint8_t copy[9000];
    for (size_t i = 0; i < sizeof copy; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    struct packet *packet = granted_packet(sizeof copy);
    assert_true(packet_read(packet, 0, copy, sizeof copy));
    assert_memory_equal(copy, bytes, sizeof copy);
    assert_int_equal(net_world.copies, 1);
    assert_true(packet_read(packet, 100, copy, 7000));
    assert_memory_equal(copy, bytes + 100, 7000);
    assert_false(packet_read(packet, 100, copy, sizeof copy));
    net_revoke(9);
    assert_false(packet_read(packet, 0, copy, sizeof copy));
    packet_put(packet);
}

static void pins_end_with_the_packet(void **state)
{
    (void)state;
    struct packet *packet = granted_packet(9000);
    assert_true(packet_pin(packet));
    assert_int_equal(net_world.pinned, packet->fragment_count - 1);
    assert_ptr_equal(packet->fragment[1].bus, net_page(8) + 1000);
    assert_true(packet_pin(packet));
    assert_int_equal(net_world.pinned, packet->fragment_count - 1);
    packet_put(packet);
    assert_int_equal(net_world.pinned, 0);
}

static void a_bad_grant_pins_nothing(void **state)
{
    (void)state;
    struct packet *packet = granted_packet(9000);
    net_revoke(9);
    assert_false(packet_pin(packet));
    assert_int_equal(net_world.pinned, 0);
    packet_put(packet);
}

/* RFC 1071's example: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2. */
static void known_sum(void **state)
{
    (void)state;
    static const uint8_t text[] = {0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0};
    struct packet *packet = net_packet(text, sizeof text);
    packet->checksum_blank = true;
    packet->checksum_offset = 8;
    struct packet *flat = packet_flatten(packet, 1500);
    assert_non_null(flat);
    const uint8_t *data = flat->fragment[0].data;
    assert_int_equal(data[8] << 8 | data[9], (uint16_t)~0xddf2);
    packet_put(flat);
    packet->checksum_offset = 9;
    assert_null(packet_flatten(packet, 1500));
    packet->checksum_start = 0xffff;
    packet->checksum_offset = 0xffff;
    assert_null(packet_flatten(packet, 1500));
    packet_put(packet);
}

static void checksums_are_found_and_filled_in(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2)
        for (size_t payload = 0; payload < 70; payload++) {
            size_t size = net_tcp(bytes, version, payload);
            struct packet *packet = net_packet(bytes, size);
            assert_true(packet_find_checksum(packet));
            /* The test's own pseudo header comes out the same. */
            assert_memory_equal(packet->fragment[0].data, bytes, size);
            struct packet *flat = packet_flatten(packet, 1500);
            assert_true(net_checksums_right(flat->fragment[0].data, flat->length));
            assert_int_equal(flat->length, size);
            assert_true(flat->checksum_good);
            assert_false(flat->checksum_blank);
            packet_put(flat);
            packet_put(packet);
        }
}

static void udp_is_found_behind_a_tag(void **state)
{
    (void)state;
    size_t size = net_tcp(bytes, 4, 40);
    memmove(bytes + 16, bytes + 12, size - 12);
    memcpy(bytes + 12, "\x81\x00\x00\x05", 4);
    bytes[18 + 9] = 17;
    struct packet *packet = net_packet(bytes, size + 4);
    assert_true(packet_find_checksum(packet));
    assert_int_equal(packet->checksum_start, 18 + 20);
    assert_int_equal(packet->checksum_offset, 6);
    packet_put(packet);
}

static void cut(unsigned version, size_t payload, uint16_t mss, bool by_grant)
{
    size_t size = net_tcp(bytes, version, payload), header = version == 4 ? 54 : 74, at = 0, index = 0;
    struct packet *packet = by_grant ? granted_packet(size) : net_packet(bytes, size);
    packet->gso = version == 4 ? GSO_TCPV4 : GSO_TCPV6;
    packet->gso_size = mss;
    assert_true(packet_find_checksum(packet));
    assert_int_equal(packet->header_size, header);
    struct packet *next, *piece = packet_flatten(packet, 1500);
    assert_non_null(piece);
    for (; piece; piece = next, index++) {
        const uint8_t *data = piece->fragment[0].data, *tcp = data + header - 20;
        size_t part = piece->length - header;
        bool last = at + part == payload;
        next = piece->next;
        assert_true(net_checksums_right(data, piece->length));
        assert_true(last ? part <= mss : part == mss);
        assert_memory_equal(data + header, bytes + header + at, part);
        uint32_t sequence = (uint32_t)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
        assert_int_equal(sequence, 0xffffff00u + (uint32_t)at);
        /* ACK always, PSH and FIN in the last, CWR in the first. */
        assert_int_equal(tcp[13], 0x10 | (last ? 0x09 : 0) | (index ? 0 : 0x80));
        if (version == 4)
            assert_int_equal(data[18] << 8 | data[19], 0x1234 + index);
        at += part;
        packet_put(piece);
    }
    assert_int_equal(at, payload);
    packet_put(packet);
}

static void large_packets_are_cut(void **state)
{
    (void)state;
    cut(4, 65000, 1448, false);
    cut(6, 65000, 1428, false);
    cut(4, 65000, 1448, true);
    cut(6, 5000, 500, true);
    cut(4, 1448, 1448, false);
    cut(4, 1449, 1448, false);
}

static bool lies(size_t size, unsigned at, uint8_t value)
{
    struct packet *packet = net_packet(bytes, size);
    ((uint8_t *)packet->fragment[0].data)[at] = value;
    packet->gso = GSO_TCPV4;
    packet->gso_size = 1448;
    packet->checksum_blank = true;
    bool refused = !packet_find_checksum(packet) && !packet_flatten(packet, 1500);
    packet_put(packet);
    return refused;
}

static void lying_headers_are_refused(void **state)
{
    (void)state;
    size_t size = net_tcp(bytes, 4, 2000);
    assert_false(lies(size, 100, 1));
    assert_true(lies(size, 12, 0x07));      /* no IP */
    assert_true(lies(size, 12, 0x86));      /* no IPv6 */
    assert_true(lies(size, 14, 0x44));      /* IP header of 16 bytes */
    assert_true(lies(size, 14, 0x65));      /* version */
    assert_true(lies(size, 16, 0xff));      /* longer than the packet */
    assert_true(lies(size, 16, 0x00));      /* shorter */
    assert_true(lies(size, 20, 0x20));      /* more fragments */
    assert_true(lies(size, 23, 47));        /* protocol */
    assert_true(lies(size, 34 + 12, 0x40)); /* TCP header of 16 bytes */
    size = net_tcp(bytes, 4, 0);
    assert_true(lies(size, 100 % size, 0)); /* nothing to cut */
    assert_true(lies(size, 34 + 12, 0xf0)); /* TCP header behind the end */
    net_tcp(bytes, 4, 2000);
    for (size = 14; size < 54; size++)
        assert_true(lies(size, 0, 0));
}

static void pieces_fit_the_mtu(void **state)
{
    (void)state;
    size_t size = net_tcp(bytes, 4, 5000);
    struct packet *packet = net_packet(bytes, size);
    packet->gso = GSO_TCPV4;
    packet->gso_size = 1461;
    assert_null(packet_flatten(packet, 1500));
    packet->gso_size = 0;
    assert_null(packet_flatten(packet, 1500));
    packet->gso_size = 1;
    assert_null(packet_flatten(packet, 1500));
    packet_put(packet);
}

static void loops_of_extension_headers_end(void **state)
{
    (void)state;
    size_t size = net_tcp(bytes, 6, 200);
    bytes[14 + 6] = 0;
    memset(bytes + 54, 0, 100); /* hop-by-hop after hop-by-hop, 8 bytes each */
    struct packet *packet = net_packet(bytes, size);
    assert_false(packet_find_checksum(packet));
    packet_flow(packet);
    packet_put(packet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_last_user_releases, fresh),
        cmocka_unit_test_setup(memory_is_bounded, fresh),
        cmocka_unit_test_setup(granted_pieces_are_read, fresh),
        cmocka_unit_test_setup(pins_end_with_the_packet, fresh),
        cmocka_unit_test_setup(a_bad_grant_pins_nothing, fresh),
        cmocka_unit_test_setup(known_sum, fresh),
        cmocka_unit_test_setup(checksums_are_found_and_filled_in, fresh),
        cmocka_unit_test_setup(udp_is_found_behind_a_tag, fresh),
        cmocka_unit_test_setup(large_packets_are_cut, fresh),
        cmocka_unit_test_setup(lying_headers_are_refused, fresh),
        cmocka_unit_test_setup(pieces_fit_the_mtu, fresh),
        cmocka_unit_test_setup(loops_of_extension_headers_end, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
