/* sources: tests/unit/net_below.c tests/unit/net_front.c drivers/io/packet.c drivers/io/packet_offload.c drivers/io/bridge.c
 * drivers/io/nic.c drivers/pv/netback.c drivers/pv/netback_tx.c drivers/pv/netback_rx.c lib/number.c
 * lib/printf.c lib/why.c */
/* The network back end: packets both ways, and frontends that break every rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net_front.h"
#include <cmocka.h> /* its fail() is not lib/why.h's */

#define A 1
#define B 2

static struct net_front front_a, front_b;
static struct net_card card;
static uint8_t bytes[PACKET_MAX], got[PACKET_MAX + NET_PAGE];

static int fresh(void **state)
{
    (void)state;
    net_world_reset();
    netback_init();
    if (!card.nic.driver) {
        net_card_init(&card);
        nic_add(&card.nic);
    }
    net_front_keys(&front_a, A, 1);
    net_front_keys(&front_b, B, 1);
    return 0;
}

/* Whatever a test did, nothing may be left of it. */
static int nothing_left(void **state)
{
    (void)state;
    assert_int_equal(net_world.pinned, 0);
    assert_int_equal(net_world.mapped, 0);
    assert_int_equal(net_world.open, 0);
    assert_null(netback_all);
    assert_false(net_work());
    net_card_complete(&card);
    card.flushes = 0;
    card.nic.port.dropped = 0;
    return 0;
}

static void connect_both(void)
{
    net_front_connect(&front_a);
    net_front_connect(&front_b);
}

static void disconnect_both(void)
{
    net_front_disconnect(&front_a);
    net_front_disconnect(&front_b);
}

/* Sends what is in bytes from A, in pieces of at most a page. */
static void send_from_a(size_t size, uint16_t flags, uint16_t gso_size)
{
    size_t first = size < NET_PAGE - 100 ? size : NET_PAGE - 100;
    memcpy(net_page(FRONT_REF(&front_a, 0)) + 100, bytes, first);
    if (gso_size)
        flags |= NETTXF_extra_info;
    net_front_request(&front_a, 0, 100, (uint16_t)size, size > first ? flags | NETTXF_more_data : flags);
    if (gso_size)
        net_front_extra_gso(&front_a, gso_size, XEN_NETIF_GSO_TYPE_TCPV4, 0);
    unsigned page = 1;
    for (size_t at = first, now; at < size; at += now, page++) {
        now = size - at < NET_PAGE ? size - at : NET_PAGE;
        memcpy(net_page(FRONT_REF(&front_a, page)), bytes + at, now);
        net_front_request(&front_a, page, 0, (uint16_t)now, at + now < size ? NETTXF_more_data : 0);
    }
    net_front_send(&front_a);
}

static void small_packets_pass(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    connect_both();
    net_front_post(&front_b, 0, 10);
    size_t size = net_tcp(bytes, 4, 300);
    send_from_a(size, NETTXF_csum_blank | NETTXF_data_validated, 0);
    assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), size);
    assert_memory_equal(got, bytes, size);
    assert_int_equal(flags, NETRXF_csum_blank | NETRXF_data_validated);
    /* One copy in, one out; each was told once. */
    assert_int_equal(net_world.copies, 2);
    assert_int_equal(net_world.events[B * 8 + 1], 1);
    assert_int_equal(net_world.events[A * 8], 1);
    /* The card's copy went out as well, the address being unknown. */
    assert_int_equal(card.count, 1);
    disconnect_both();
}

static void bursts_are_one_copy_each_way(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    connect_both();
    net_front_post(&front_b, 0, 64);
    size_t size = net_tcp(bytes, 4, 300);
    memcpy(net_page(FRONT_REF(&front_a, 0)), bytes, size);
    for (unsigned i = 0; i < 20; i++)
        net_front_request(&front_a, 0, 0, (uint16_t)size, 0);
    net_front_send(&front_a);
    assert_int_equal(net_world.copies, 2);
    assert_int_equal(net_world.events[B * 8 + 1], 1);
    assert_int_equal(card.flushes, 1);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY);
        assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), size);
        assert_int_equal(flags, 0);
    }
    disconnect_both();
}

static void large_packets_pass_by_grant(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    connect_both();
    net_front_post(&front_b, 0, 18);
    card.room = 0;
    size_t size = net_tcp(bytes, 4, 60000);
    send_from_a(size, NETTXF_csum_blank | NETTXF_data_validated, 1448);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), size);
    assert_memory_equal(got, bytes, size);
    assert_int_equal(gso_size, 1448);
    assert_int_equal(flags, NETRXF_csum_blank | NETRXF_data_validated | NETRXF_extra_info | NETRXF_more_data);
    /* The head, and then everything from page to page. */
    assert_int_equal(net_world.copies, 2);
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY);
    assert_int_equal(net_front_answer(&front_a), NETIF_RSP_NULL);
    card.room = 64;
    disconnect_both();
}

static void a_card_holds_pages_until_it_is_done(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    size_t size = net_tcp(bytes, 4, 60000);
    send_from_a(size, NETTXF_csum_blank, 1448);
    assert_int_equal(card.count, 1);
    assert_int_equal(net_world.pinned, 15);
    assert_int_equal(net_front_answer(&front_a), -100);
    net_card_complete(&card);
    assert_int_equal(net_world.pinned, 0);
    assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY);
    net_front_disconnect(&front_a);
}

static unsigned naps;
static void done_after_naps(void)
{
    if (!--naps)
        net_card_complete(&card);
}

static void a_dead_guests_pages_are_waited_for(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    send_from_a(net_tcp(bytes, 4, 60000), NETTXF_csum_blank, 1448);
    naps = 6000;
    net_world.slept = done_after_naps;
    net_front_disconnect(&front_a);
    assert_int_equal(naps, 0);
    assert_string_equal(net_world.said, "vif1.0: a card holds 1 packets of the guest's\n");
}

static void a_dead_guests_packets_leave_others_backlogs(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    card.room = 0;
    connect_both();
    send_from_a(net_tcp(bytes, 4, 60000), NETTXF_csum_blank, 1448);
    send_from_a(net_tcp(bytes, 4, 60), NETTXF_csum_blank, 0);
    net_front_disconnect(&front_a);
    /* The small one was a copy. */
    net_front_post(&front_b, 0, 30);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 14 + 40 + 60);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 0);
    net_front_disconnect(&front_b);
    card.room = 64;
}

static void packets_wait_for_buffers(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    connect_both();
    size_t size = net_tcp(bytes, 4, 5000);
    send_from_a(size, NETTXF_csum_blank, 1448);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 0);
    net_front_post(&front_b, 0, 2);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 0);
    net_front_post(&front_b, 0, 1);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), size);
    assert_memory_equal(got, bytes, size);
    net_card_complete(&card);
    disconnect_both();
}

static void a_guest_that_takes_nothing_holds_nothing(void **state)
{
    (void)state;
    card.room = 0;
    connect_both();
    for (unsigned i = 0; i < 10; i++)
        send_from_a(net_tcp(bytes, 4, 60000), NETTXF_csum_blank, 1448);
    assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY); /* beyond the backlog's bytes */
    net_world.now += 3000000000u;
    assert_true(net_work());
    unsigned answers = 1;
    while (net_front_answer(&front_a) != -100)
        answers++;
    assert_int_equal(answers, 10 * 16);
    /* Until it has buffers again nothing is kept for it. */
    send_from_a(net_tcp(bytes, 4, 60000), NETTXF_csum_blank, 1448);
    assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY);
    net_front_post(&front_b, 0, 40);
    send_from_a(net_tcp(bytes, 4, 100), NETTXF_csum_blank, 0);
    uint16_t flags, gso_size;
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 154);
    card.room = 64;
    disconnect_both();
}

static void small_packets_pass_where_large_ones_wait_for_ever(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    card.room = 0;
    connect_both();
    net_front_post(&front_b, 0, 5);
    send_from_a(net_tcp(bytes, 4, 60000), NETTXF_csum_blank, 1448);
    send_from_a(net_tcp(bytes, 4, 100), NETTXF_csum_blank, 0);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 0);
    net_world.now += 3000000000u;
    assert_true(net_work());
    send_from_a(net_tcp(bytes, 4, 60000), NETTXF_csum_blank, 1448);
    send_from_a(net_tcp(bytes, 4, 100), NETTXF_csum_blank, 0);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 154);
    card.room = 64;
    disconnect_both();
}

static void frontends_get_only_what_they_take(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    net_front_key(B, "feature-gso-tcpv4", NULL);
    net_front_key(B, "feature-no-csum-offload", "1");
    net_front_key(B, "feature-sg", NULL);
    connect_both();
    net_front_post(&front_b, 0, 60);
    send_from_a(net_tcp(bytes, 4, 5000), NETTXF_csum_blank, 1448);
    for (int left = 5000, size; left; left -= size - 54) {
        size = net_front_receive(&front_b, 0, got, &flags, &gso_size);
        assert_true(size > 54 && size <= 1502);
        assert_int_equal(flags, NETRXF_data_validated);
        assert_true(net_checksums_right(got, (size_t)size));
    }
    send_from_a(net_tcp(bytes, 4, 5000), 0, 0);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 0);
    net_card_complete(&card);
    disconnect_both();
}

static void each_feature_counts(void **state)
{
    (void)state;
    static const char *const lacking[] = {"feature-gso-tcpv4", "feature-gso-tcpv6"};
    uint16_t flags, gso_size;
    for (unsigned i = 0; i < 2; i++) {
        net_front_keys(&front_b, B, 1);
        net_front_key(B, lacking[i], NULL);
        net_front_connect(&front_b);
        net_front_post(&front_b, 0, 60);
        struct packet *packet = net_packet(bytes, net_tcp(bytes, i ? 6 : 4, 5000));
        packet->gso = i ? GSO_TCPV6 : GSO_TCPV4;
        packet->gso_size = 1400;
        assert_true(packet_find_checksum(packet));
        nic_receive(&card.nic, packet);
        bridge_flush();
        assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 1400 + (i ? 74 : 54));
        assert_int_equal(gso_size, 0);
        net_front_disconnect(&front_b);
    }
}

static void the_toolstack_names_the_port(void **state)
{
    (void)state;
    net_back_key(A, "vifname", "web");
    net_front_connect(&front_a);
    assert_string_equal(netback_all->port.name, "web");
    net_front_disconnect(&front_a);
}

static void several_queues_share_the_flows(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    unsigned used = 0;
    net_front_keys(&front_b, B, 4);
    connect_both();
    for (unsigned queue = 0; queue < 4; queue++)
        net_front_post(&front_b, queue, 100);
    size_t size = net_tcp(bytes, 4, 10);
    for (unsigned i = 0; i < 32; i++) {
        bytes[35] = (uint8_t)i;
        send_from_a(size, 0, 0);
        net_card_complete(&card);
    }
    for (unsigned queue = 0, total = 0; queue < 4; queue++) {
        unsigned before = total;
        while (net_front_receive(&front_b, queue, got, &flags, &gso_size))
            total++;
        used += total > before;
        assert_true(queue < 3 || total == 32);
    }
    assert_true(used >= 3);
    disconnect_both();
}

static void multicast_is_filtered_when_asked(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    net_front_key(B, "request-multicast-control", "1");
    connect_both();
    net_front_post(&front_b, 0, 60);
    size_t size = net_tcp(bytes, 4, 10);
    memcpy(bytes, "\x01\x00\x5e\x00\x00\x05", 6);
    send_from_a(size, 0, 0);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 0);
    for (uint8_t type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD; type <= XEN_NETIF_EXTRA_TYPE_MCAST_DEL; type++) {
        net_front_request(&front_b, 0, 0, 0, NETTXF_extra_info);
        net_front_extra_gso(&front_b, 0, 0, 0);
        struct netif_extra_info *extra =
            (void *)RING_GET_REQUEST(&front_b.tx[0], front_b.tx[0].req_prod_pvt - 1);
        extra->type = type;
        memcpy(extra->u.mcast.addr, bytes, 6);
        net_front_send(&front_b);
        assert_int_equal(net_front_answer(&front_b), NETIF_RSP_OKAY);
        assert_int_equal(net_front_answer(&front_b), NETIF_RSP_NULL);
        send_from_a(size, 0, 0);
        assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size),
                         type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD ? size : 0);
    }
    memset(bytes, 0xff, 6);
    send_from_a(size, 0, 0);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), size);
    net_card_complete(&card);
    disconnect_both();
}

static void a_rate_is_kept(void **state)
{
    (void)state;
    net_back_key(A, "rate", "10000,50000");
    net_front_connect(&front_a);
    size_t size = net_tcp(bytes, 4, 946);
    memcpy(net_page(FRONT_REF(&front_a, 0)), bytes, size);
    for (unsigned i = 0; i < 60; i++)
        net_front_request(&front_a, 0, 0, (uint16_t)size, 0);
    net_front_send(&front_a);
    for (unsigned passes = 1; passes <= 5; passes++) {
        assert_int_equal(card.count, 10 * passes);
        assert_false(net_work());
        net_world.now += 50000000;
        while (net_work())
            ;
    }
    net_card_complete(&card);
    net_front_disconnect(&front_a);
}

/* --- hostile -------------------------------------------------------------------------------------------- */

/* The packet that was put on the ring is answered with an error, and the next one passes. */
static void refused(unsigned answers)
{
    unsigned complaints = net_world.complaints;
    net_front_send(&front_a);
    unsigned sent = card.count;
    for (unsigned i = 0; i < answers; i++) {
        int answer = net_front_answer(&front_a);
        assert_true(answer == NETIF_RSP_ERROR || answer == NETIF_RSP_NULL);
    }
    assert_int_equal(net_front_answer(&front_a), -100);
    assert_int_equal(net_world.complaints, complaints + 1);
    send_from_a(net_tcp(bytes, 4, 10), 0, 0);
    assert_int_equal(net_front_answer(&front_a), NETIF_RSP_OKAY);
    assert_int_equal(card.count, sent + 1);
    net_card_complete(&card);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    net_page(FRONT_REF(&front_a, 0));
    net_front_request(&front_a, 0, 0, 0, 0);
    refused(1);
    net_front_request(&front_a, 0, 0, 13, 0);
    refused(1);
    net_front_request(&front_a, 0, 0, 65535, 0);
    refused(1);
    net_front_request(&front_a, 0, 4000, 97, 0);
    refused(1);
    net_front_request(&front_a, 0, 65535, 100, 0);
    refused(1);
    net_front_request(&front_a, 0, 0, 100, NETTXF_more_data); /* less than the sum of its pieces */
    net_front_request(&front_a, 0, 0, 87, 0);
    refused(2);
    net_front_request(&front_a, 0, 0, 100, NETTXF_more_data);
    net_front_request(&front_a, 0, 0, 0, 0);
    refused(2);
    net_front_disconnect(&front_a);
}

static void long_chains_are_refused(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    for (unsigned count = 19; count < 256; count += 79) {
        net_front_request(&front_a, 0, 0, 4000, NETTXF_more_data);
        for (unsigned i = 1; i < count; i++)
            net_front_request(&front_a, 0, 0, 10, i + 1 < count ? NETTXF_more_data : 0);
        refused(count);
    }
    net_front_disconnect(&front_a);
}

static void rubbish_in_extras_is_refused(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    static const struct {
        uint16_t size;
        uint8_t type;
    } cases[] = {{0, 1}, {1, 1}, {1448, 0}, {1448, 3}, {1448, 255}};
    for (unsigned i = 0; i < 5; i++) {
        net_front_request(&front_a, 0, 0, 100, NETTXF_extra_info);
        net_front_extra_gso(&front_a, cases[i].size, cases[i].type, 0);
        refused(2);
    }
    net_front_request(&front_a, 0, 0, 100, NETTXF_extra_info);
    for (unsigned i = 0; i < 200; i++)
        net_front_extra_gso(&front_a, 1448, 7, i < 199);
    refused(201);
    net_front_request(&front_a, 0, 0, 100, NETTXF_extra_info);
    net_front_extra_gso(&front_a, 0, 0, 0);
    ((struct netif_extra_info *)RING_GET_REQUEST(&front_a.tx[0], front_a.tx[0].req_prod_pvt - 1))->type = 4;
    refused(2);
    net_front_disconnect(&front_a);
}

static void bad_grants_are_refused(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    net_page(FRONT_REF(&front_a, 0));
    net_front_request(&front_a, 50, 0, 100, 0);
    refused(1);
    net_front_request(&front_a, 0, 0, 400, NETTXF_more_data);
    net_front_request(&front_a, 50, 0, 100, 0);
    refused(2);
    /* A page that is not granted behind the head is found when the card should have it. */
    size_t size = net_tcp(bytes, 4, 8000);
    net_revoke(FRONT_REF(&front_a, 1));
    send_from_a(size, NETTXF_csum_blank, 1448);
    assert_int_equal(card.count, 0);
    assert_int_equal(card.nic.port.dropped, 1);
    net_front_disconnect(&front_a);
}

static void lying_headers_are_refused(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    size_t size = net_tcp(bytes, 4, 8000);
    bytes[16] ^= 0xff;
    memcpy(net_page(FRONT_REF(&front_a, 0)), bytes, 100);
    net_page(FRONT_REF(&front_a, 1));
    net_front_request(&front_a, 0, 0, (uint16_t)size, NETTXF_extra_info | NETTXF_more_data);
    net_front_extra_gso(&front_a, 1448, XEN_NETIF_GSO_TYPE_TCPV4, 0);
    net_front_request(&front_a, 1, 0, 4096, NETTXF_more_data);
    net_front_request(&front_a, 1, 0, (uint16_t)(size - 4096 - 100), 0);
    refused(4);
    net_front_request(&front_a, 0, 0, 100, NETTXF_csum_blank);
    refused(1);
    net_front_disconnect(&front_a);
}

static void a_broken_ring_is_left_alone(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    connect_both();
    front_a.tx[0].sring->req_prod = 257;
    net_ring(A * 8);
    net_ring(A * 8);
    assert_int_equal(net_world.complaints, 1);
    /* The other one is served. */
    net_front_post(&front_b, 0, 4);
    nic_receive(&card.nic, net_packet(bytes, net_tcp(bytes, 4, 10)));
    bridge_flush();
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 64);
    front_b.rx[0].sring->req_prod += 300;
    nic_receive(&card.nic, net_packet(bytes, net_tcp(bytes, 4, 10)));
    bridge_flush();
    assert_int_equal(net_world.complaints, 2);
    disconnect_both();

    net_front_keys(&front_a, A, 1);
    net_front_connect(&front_a);
    net_front_request(&front_a, 0, 0, 100, NETTXF_more_data);
    net_front_send(&front_a);
    assert_int_equal(net_world.complaints, 3);
    net_front_disconnect(&front_a);
}

static void bad_buffers_are_answered(void **state)
{
    (void)state;
    uint16_t flags, gso_size;
    net_front_connect(&front_b);
    net_front_post(&front_b, 0, 3);
    net_revoke(FRONT_REF(&front_b, FRONT_RX_PAGES + 1));
    for (unsigned i = 0; i < 3; i++)
        nic_receive(&card.nic, net_packet(bytes, net_tcp(bytes, 4, 10)));
    bridge_flush();
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 64);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), -1);
    assert_int_equal(net_front_receive(&front_b, 0, got, &flags, &gso_size), 64);
    assert_int_equal(net_world.complaints, 1);
    net_front_disconnect(&front_b);
}

static void refuses(const char *key, const char *value, const char *says)
{
    struct why why = {""};
    struct backend *backend = &front_a.backend;
    net_front_key(A, key, value);
    assert_true(net_world.type->create(backend, &why));
    assert_false(net_world.type->connect(backend, &why));
    assert_non_null(strstr(why.text, says));
    net_world.type->disconnect(backend);
    net_world.type->destroy(backend);
    net_front_keys(&front_a, A, 1);
    net_front_key(A, "multi-queue-num-queues", NULL);
}

static void bad_keys_are_refused(void **state)
{
    (void)state;
    struct why why = {""};
    refuses("request-rx-copy", NULL, "request-rx-copy");
    refuses("multi-queue-num-queues", "0", "0 queues");
    refuses("multi-queue-num-queues", "5", "5 queues");
    refuses("multi-queue-num-queues", "2", "tx-ring-ref for queue 0");
    refuses("tx-ring-ref", "4294967296", "not granted");
    refuses("rx-ring-ref", "2000", "not granted");
    refuses("rx-ring-ref", NULL, "no rx-ring-ref");
    refuses("event-channel-rx", "9999", "9999");
    refuses("event-channel-tx", NULL, "no event-channel");
    net_back_key(A, "bridge", "nowhere");
    assert_false(net_world.type->create(&front_a.backend, &why));
    assert_non_null(strstr(why.text, "no bridge nowhere"));
    net_back_key(A, "bridge", NULL);
    net_back_key(A, "rate", "5");
    assert_false(net_world.type->create(&front_a.backend, &why));
    assert_non_null(strstr(why.text, "rate"));
}

static void features_are_offered(void **state)
{
    (void)state;
    net_front_connect(&front_a);
    assert_string_equal(net_back_value(A, "feature-sg"), "1");
    assert_string_equal(net_back_value(A, "feature-rx-copy"), "1");
    assert_string_equal(net_back_value(A, "multi-queue-max-queues"), "4");
    net_front_disconnect(&front_a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, nothing_left)
    const struct CMUnitTest tests[] = {
        TEST(small_packets_pass),
        TEST(bursts_are_one_copy_each_way),
        TEST(large_packets_pass_by_grant),
        TEST(a_card_holds_pages_until_it_is_done),
        TEST(a_dead_guests_pages_are_waited_for),
        TEST(a_dead_guests_packets_leave_others_backlogs),
        TEST(packets_wait_for_buffers),
        TEST(a_guest_that_takes_nothing_holds_nothing),
        TEST(small_packets_pass_where_large_ones_wait_for_ever),
        TEST(frontends_get_only_what_they_take),
        TEST(each_feature_counts),
        TEST(the_toolstack_names_the_port),
        TEST(several_queues_share_the_flows),
        TEST(multicast_is_filtered_when_asked),
        TEST(a_rate_is_kept),
        TEST(bad_sizes_are_refused),
        TEST(long_chains_are_refused),
        TEST(rubbish_in_extras_is_refused),
        TEST(bad_grants_are_refused),
        TEST(lying_headers_are_refused),
        TEST(a_broken_ring_is_left_alone),
        TEST(bad_buffers_are_answered),
        TEST(bad_keys_are_refused),
        TEST(features_are_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
