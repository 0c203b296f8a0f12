/* sources: tests/unit/net_below.c drivers/io/packet.c drivers/io/packet_offload.c drivers/io/bridge.c drivers/io/nic.c lib/number.c lib/printf.c */
/* Bridges: who gets a packet, what is learned and forgotten, and what a card is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>
#include "net_below.h"
#include <cmocka.h> /* its fail() is not lib/why.h's */

#define SECOND 1000000000ull

/* A port that counts. */
struct counter {
    struct bridge_port port;
    unsigned got, flushed;
};

static void count(struct bridge_port *port, struct packet *packet)
{
    (void)packet;
    ((struct counter *)port)->got++;
}

static void count_flush(struct bridge_port *port)
{
    ((struct counter *)port)->flushed++;
}

static struct counter a, b, c;
static struct bridge *bridge;

static void attach(struct counter *counter)
{
    *counter = (struct counter){.port = {.output = count, .flush = count_flush}};
    bridge_attach(bridge, &counter->port);
}

static int internal_bridge(void **state)
{
    (void)state;
    net_world_reset();
    bridge = bridge_create("inside", NULL);
    attach(&a);
    attach(&b);
    attach(&c);
    return 0;
}

static int take_away(void **state)
{
    (void)state;
    bridge_detach(&a.port);
    bridge_detach(&b.port);
    bridge_detach(&c.port);
    assert_int_equal(bridge_destroy(bridge), 0);
    return 0;
}

/* A packet from one address to another, each given by its last byte; 0xff: broadcast. */
static void send(struct counter *from, uint8_t source, uint8_t to)
{
    uint8_t bytes[60] = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, source, 0x08, 0x06};
    if (to == 0xff)
        memset(bytes, 0xff, 6);
    struct packet *packet = net_packet(bytes, sizeof bytes);
    bridge_input(&from->port, packet);
    packet_put(packet);
}

static void addresses_are_learned(void **state)
{
    (void)state;
    send(&a, 1, 2);
    assert_int_equal(b.got + c.got, 2);
    assert_int_equal(a.got, 0);
    send(&b, 2, 1);
    assert_int_equal(a.got, 1);
    assert_int_equal(c.got, 1);
    send(&a, 1, 2);
    assert_int_equal(b.got, 2);
    assert_int_equal(c.got, 1);
    /* Someone who moved is found where he is now. */
    send(&c, 2, 1);
    send(&a, 1, 2);
    assert_int_equal(c.got, 2);
    assert_int_equal(b.got, 2);
    /* To the side it came from: nobody needs it. */
    send(&c, 3, 2);
    assert_int_equal(a.got + b.got + c.got, 2 + 2 + 2);
}

static void broadcasts_reach_all_others(void **state)
{
    (void)state;
    send(&a, 1, 0xff);
    assert_int_equal(a.got, 0);
    assert_int_equal(b.got, 1);
    assert_int_equal(c.got, 1);
    bridge_flush();
    bridge_flush();
    assert_int_equal(a.flushed, 0);
    assert_int_equal(b.flushed, 1);
}

static void old_addresses_are_forgotten(void **state)
{
    (void)state;
    send(&b, 2, 1);
    net_world.now += 299 * SECOND;
    c.got = 0;
    send(&a, 1, 2);
    assert_int_equal(c.got, 0);
    net_world.now += 2 * SECOND;
    send(&a, 1, 2);
    assert_int_equal(c.got, 1);
}

static void ports_that_go_are_forgotten(void **state)
{
    (void)state;
    send(&b, 2, 1);
    bridge_detach(&b.port);
    c.got = 0;
    send(&a, 1, 2);
    assert_int_equal(c.got, 1);
    bridge_attach(bridge, &b.port);
}

static void nonsense_is_dropped(void **state)
{
    (void)state;
    static const uint8_t bytes[4][14] = {
        {2, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 2},                /* from a group */
        {1, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 2},          /* pause */
        {1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 2},       /* link layer discovery */
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0}, /* cut off */
    };
    for (unsigned i = 0; i < 4; i++) {
        struct packet *packet = net_packet(bytes[i], i == 3 ? 13 : 14);
        bridge_input(&a.port, packet);
        packet_put(packet);
    }
    assert_int_equal(b.got, 0);
    assert_int_equal(a.port.dropped, 4);
}

static void a_flood_of_addresses_is_bounded(void **state)
{
    (void)state;
    uint8_t bytes[14] = {2, 0, 0, 0, 0, 9, 2};
    for (uint32_t i = 0; i < 20000; i++) {
        memcpy(bytes + 8, &i, sizeof i);
        struct packet *packet = net_packet(bytes, sizeof bytes);
        bridge_input(&a.port, packet);
        packet_put(packet);
        net_world.now++;
    }
    /* Who speaks after it is known again. */
    send(&b, 2, 1);
    c.got = 0;
    send(&a, 1, 2);
    assert_int_equal(c.got, 0);
}

/* --- with a card ---------------------------------------------------------------------------------------- */

/* Cards are for ever, so there is one for all tests. */
static struct net_card card;

static int with_card(void **state)
{
    (void)state;
    net_world_reset();
    if (!card.nic.driver) {
        net_card_init(&card);
        assert_true(nic_add(&card.nic));
    }
    bridge = bridge_at(0);
    attach(&a);
    return 0;
}

static int without_card(void **state)
{
    (void)state;
    net_card_complete(&card);
    card.nic.checksum_offload = card.nic.gso_v4 = card.nic.gso_v6 = card.nic.link = true;
    card.nic.max_fragments = PACKET_FRAGMENTS;
    card.nic.port.dropped = 0;
    card.room = 64;
    bridge_detach(&a.port);
    return 0;
}

static uint8_t bytes[PACKET_MAX];

static struct packet *tcp(unsigned version, size_t payload, bool large)
{
    struct packet *packet = net_packet(bytes, net_tcp(bytes, version, payload));
    if (large) {
        packet->gso = version == 4 ? GSO_TCPV4 : GSO_TCPV6;
        packet->gso_size = 1400;
    }
    assert_true(packet_find_checksum(packet));
    return packet;
}

static void give(struct packet *packet)
{
    bridge_input(&a.port, packet);
    packet_put(packet);
}

static void the_first_card_has_a_bridge(void **state)
{
    (void)state;
    assert_string_equal(bridge->name, "xenbr0");
    assert_string_equal(card.nic.name, "eth0");
    assert_ptr_equal(bridge->uplink, &card.nic);
    assert_ptr_equal(nic_at(0), &card.nic);
    assert_null(bridge_create("other", &card.nic));
    assert_null(bridge_create("xenbr0", NULL));
    assert_int_equal(bridge_destroy(bridge), XEN_EBUSY);
    nic_receive(&card.nic, net_packet("\2\0\0\0\0\1\2\0\0\0\0\3\0\0", 14));
    assert_int_equal(a.got, 1);
}

static void internal_bridges_leak_nothing(void **state)
{
    (void)state;
    struct bridge *inside = bridge_create("inside", NULL);
    static struct counter x, y;
    x = y = (struct counter){.port = {.output = count}};
    bridge_attach(inside, &x.port);
    bridge_attach(inside, &y.port);
    /* To everybody, to an unknown one, and to one that the other bridge knows. */
    send(&a, 7, 0xff);
    bridge_flush();
    card.flushes = 0;
    net_card_complete(&card);
    send(&x, 1, 0xff);
    send(&x, 1, 2);
    send(&x, 1, 7);
    bridge_flush();
    assert_int_equal(y.got, 3);
    assert_int_equal(a.got + card.count + card.flushes, 0);
    assert_int_equal(bridge_destroy(inside), XEN_EBUSY);
    bridge_detach(&x.port);
    bridge_detach(&y.port);
    assert_int_equal(bridge_destroy(inside), 0);
    assert_null(bridge_find("inside"));
}

static void a_card_without_a_bridge_gets_nothing_through(void **state)
{
    (void)state;
    bridge_detach(&a.port);
    assert_int_equal(bridge_destroy(bridge), 0);
    nic_receive(&card.nic, net_packet("\2\0\0\0\0\1\2\0\0\0\0\3\0\0", 14));
    bridge = bridge_create("xenbr0", &card.nic);
    assert_non_null(bridge);
    bridge_attach(bridge, &a.port);
}

static void a_card_with_offloads_gets_packets_whole(void **state)
{
    (void)state;
    give(tcp(4, 1000, false));
    give(tcp(4, 60000, true));
    give(tcp(6, 60000, true));
    assert_int_equal(card.count, 3);
    assert_true(card.sent[0]->checksum_blank);
    assert_int_equal(card.sent[2]->length, 60074);
}

static void a_card_without_gets_pieces(void **state)
{
    (void)state;
    card.nic.checksum_offload = card.nic.gso_v4 = false;
    give(tcp(4, 1000, false));
    give(tcp(4, 2801, true));
    assert_int_equal(card.count, 1 + 3);
    for (unsigned i = 0; i < card.count; i++)
        assert_true(net_checksums_right(card.sent[i]->fragment[0].data, card.sent[i]->length));
    give(tcp(6, 2801, true));
    assert_int_equal(card.count, 1 + 3 + 1);
}

static void what_is_too_long_is_dropped(void **state)
{
    (void)state;
    give(tcp(4, 1460, false));
    assert_int_equal(card.count, 1);
    give(tcp(4, 1461, false));
    assert_int_equal(card.count, 1);
    assert_int_equal(card.nic.port.dropped, 1);
    struct packet *packet = tcp(4, 60000, true);
    packet->gso_size = 1461;
    give(packet);
    assert_int_equal(card.count, 1);
    assert_int_equal(card.nic.port.dropped, 2);
}

static void no_link_and_no_room_drop(void **state)
{
    (void)state;
    nic_link_changed(&card.nic, false);
    assert_string_equal(net_world.said, "eth0: link down\n");
    give(tcp(4, 100, false));
    nic_link_changed(&card.nic, true);
    card.room = 0;
    give(tcp(4, 100, false));
    assert_int_equal(card.nic.port.dropped, 2);
    assert_int_equal(card.count, 0);
}

static void guests_pages_are_pinned_until_sent(void **state)
{
    (void)state;
    struct packet *packet = tcp(4, 200, false);
    net_page(5);
    packet->fragment[packet->fragment_count++] = (struct packet_fragment){.bytes = 500, .domid = 1, .ref = 5};
    packet->length += 500;
    packet_get(packet);
    give(packet);
    assert_int_equal(net_world.pinned, 1);
    packet_put(packet);
    assert_int_equal(net_world.pinned, 1);
    net_card_complete(&card);
    assert_int_equal(net_world.pinned, 0);

    /* Pages that the card takes no more of are copied. */
    packet = tcp(4, 200, false);
    packet->fragment[packet->fragment_count++] = (struct packet_fragment){.bytes = 500, .domid = 1, .ref = 5};
    packet->length += 500;
    card.nic.max_fragments = 1;
    give(packet);
    assert_int_equal(net_world.pinned, 0);
    assert_int_equal(card.sent[0]->fragment_count, 1);

    /* One that is not granted any more. */
    packet = tcp(4, 200, false);
    packet->fragment[packet->fragment_count++] = (struct packet_fragment){.bytes = 500, .domid = 1, .ref = 5};
    packet->length += 500;
    net_revoke(5);
    card.nic.max_fragments = PACKET_FRAGMENTS;
    give(packet);
    assert_int_equal(card.count, 1);
    assert_int_equal(card.nic.port.dropped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_are_learned, internal_bridge, take_away),
        cmocka_unit_test_setup_teardown(broadcasts_reach_all_others, internal_bridge, take_away),
        cmocka_unit_test_setup_teardown(old_addresses_are_forgotten, internal_bridge, take_away),
        cmocka_unit_test_setup_teardown(ports_that_go_are_forgotten, internal_bridge, take_away),
        cmocka_unit_test_setup_teardown(nonsense_is_dropped, internal_bridge, take_away),
        cmocka_unit_test_setup_teardown(a_flood_of_addresses_is_bounded, internal_bridge, take_away),
        cmocka_unit_test_setup_teardown(the_first_card_has_a_bridge, with_card, without_card),
        cmocka_unit_test_setup_teardown(internal_bridges_leak_nothing, with_card, without_card),
        cmocka_unit_test_setup_teardown(a_card_without_a_bridge_gets_nothing_through, with_card,
                                        without_card),
        cmocka_unit_test_setup_teardown(a_card_with_offloads_gets_packets_whole, with_card, without_card),
        cmocka_unit_test_setup_teardown(a_card_without_gets_pieces, with_card, without_card),
        cmocka_unit_test_setup_teardown(what_is_too_long_is_dropped, with_card, without_card),
        cmocka_unit_test_setup_teardown(no_link_and_no_room_drop, with_card, without_card),
        cmocka_unit_test_setup_teardown(guests_pages_are_pinned_until_sent, with_card, without_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
