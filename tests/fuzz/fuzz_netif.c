/* sources: tests/unit/net_below.c tests/unit/net_front.c drivers/io/packet.c drivers/io/packet_offload.c drivers/io/bridge.c
 * drivers/io/nic.c drivers/pv/netback.c drivers/pv/netback_tx.c drivers/pv/netback_rx.c lib/number.c
 * lib/printf.c lib/why.c */
/*
 * Two guests whose rings, indexes and pages hold whatever comes, on one bridge with a card. When both are
 * gone, nothing is mapped, pinned or bound, and no packet is left.
 */
#include <stdlib.h>
#include <string.h>
#include "../unit/net_front.h"

static const uint8_t *input;
static size_t left;
static struct net_front front[2];
static struct net_card card;

static uint32_t number(unsigned bytes)
{
    uint32_t value = 0;
    for (; bytes; bytes--, left -= left > 0)
        value = value << 8 | (left ? *input++ : 0);
    return value;
}

/* Most of the time what leads on, as random requests end at the first check. */
static uint16_t likely_size(void)
{
    static const uint16_t sizes[] = {14, 60, 100, 192, 193, 1514, 3072, 3073, 4096, 65535};
    uint32_t choice = number(1);
    return choice < 200 ? sizes[choice % 10] : (uint16_t)number(2);
}

static void put_request(struct net_front *f)
{
    uint32_t choice = number(1);
    if (choice < 40) {
        net_front_extra_gso(f, (uint16_t)number(2), (uint8_t)(choice & 3), choice & 1);
        ((struct netif_extra_info *)RING_GET_REQUEST(&f->tx[0], f->tx[0].req_prod_pvt - 1))->type =
            (uint8_t)(number(1) % 5);
        return;
    }
    uint16_t offset = choice < 220 ? (uint16_t)(number(1) * 4) : (uint16_t)number(2);
    net_front_request(f, choice % 8, offset, likely_size(),
                      (uint16_t)(choice < 128 ? number(1) & 3 : number(1) & 15));
}

/* A large packet as it should be, with one byte of its headers wrong, or none. */
static void put_large(struct net_front *f)
{
    static uint8_t bytes[8192];
    unsigned version = number(1) & 1 ? 4 : 6;
    size_t size = net_tcp(bytes, version, 4500 + number(1));
    bytes[number(1) % 100] ^= (uint8_t)(number(1) & number(1));
    memcpy(net_page(FRONT_REF(f, 0)), bytes, 1000);
    net_front_request(f, 0, 0, (uint16_t)size, NETTXF_csum_blank | NETTXF_extra_info | NETTXF_more_data);
    net_front_extra_gso(f, (uint16_t)(number(1) * 8), version == 4 ? 1 : 2, 0);
    net_front_request(f, 1, 0, 4000, NETTXF_more_data);
    net_front_request(f, 2, 0, (uint16_t)(size - 5000), 0);
}

static void scribble(struct net_front *f)
{
    netif_tx_sring_t *tx = f->tx[0].sring;
    netif_rx_sring_t *rx = f->rx[0].sring;
    RING_IDX *const indexes[] = {&tx->req_prod, &tx->req_event, &tx->rsp_prod, &tx->rsp_event,
                                 &rx->req_prod, &rx->req_event, &rx->rsp_prod, &rx->rsp_event};
    *indexes[number(1) % 8] += (int8_t)number(1);
    net_ring(f->backend.domid * 8u + (number(1) & 1));
}

static void post(struct net_front *f)
{
    net_front_post(f, 0, number(1) % 40);
    if (number(1) > 250)
        net_revoke(FRONT_REF(f, number(1)));
}

static void from_the_wire(void)
{
    uint8_t bytes[2000];
    size_t size = number(1) & 1 ? net_tcp(bytes, 4, number(1) * 5) : 1 + number(1) * 4;
    if (size > 60)
        bytes[number(1) % 60] ^= (uint8_t)number(1);
    nic_receive(&card.nic, net_packet(bytes, size));
    bridge_flush();
}

static void step(void)
{
    struct net_front *f = &front[number(1) & 1];
    switch (number(1) % 12) {
    case 0:
        scribble(f);
        break;
    case 1:
        post(f);
        break;
    case 2:
        from_the_wire();
        break;
    case 3:
        net_card_complete(&card);
        break;
    case 4:
        net_world.now += (uint64_t)number(2) * 100000;
        net_work();
        break;
    case 5:
        put_large(f);
        net_front_send(f);
        break;
    case 6:
        net_front_send(f);
        break;
    default:
        put_request(f);
    }
}

static void card_is_done(void)
{
    net_card_complete(&card);
}

static void expect(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    net_world_reset();
    net_world.slept = card_is_done;
    netback_init();
    if (!card.nic.driver) {
        net_card_init(&card);
        nic_add(&card.nic);
    }
    uint32_t offloads = number(1);
    card.nic.checksum_offload = offloads & 1;
    card.nic.gso_v4 = offloads & 2;
    card.nic.max_fragments = offloads & 4 ? PACKET_FRAGMENTS : 3;
    for (unsigned i = 0; i < 2; i++) {
        net_front_keys(&front[i], (domid_t)(i + 1), 1);
        for (unsigned page = 0; page < 6; page++)
            memset(net_page(FRONT_REF(&front[i], page)), 0, NET_PAGE);
        if (offloads & 8)
            net_front_key((domid_t)(i + 1), "feature-gso-tcpv4", NULL);
        if (offloads & 16)
            net_front_key((domid_t)(i + 1), "feature-sg", NULL);
        if (offloads & 32)
            net_front_key((domid_t)(i + 1), "feature-no-csum-offload", "1");
        net_front_connect(&front[i]);
    }
    while (left)
        step();
    net_front_disconnect(&front[0]);
    net_front_disconnect(&front[1]);
    net_card_complete(&card);
    expect(!net_world.mapped && !net_world.pinned && !net_world.open && !netback_all);
    while (net_work())
        abort();
    return 0;
}
