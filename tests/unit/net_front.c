/* See net_front.h. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "net_front.h"

#define FIRST_REF(front) ((front)->backend.domid * 256u)

static void number_key(domid_t domid, const char *key, unsigned value)
{
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    net_front_key(domid, key, text);
}

void net_front_keys(struct net_front *front, domid_t domid, unsigned queues)
{
    static const char *const yes[] = {"request-rx-copy",   "feature-rx-notify", "feature-sg",
                                      "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload"};
    static const char *const names[] = {"tx-ring-ref", "rx-ring-ref", "event-channel-tx", "event-channel-rx"};
    memset(front, 0, sizeof *front);
    front->backend = (struct backend){.type = net_world.type, .domid = domid};
    front->queues = queues;
    for (unsigned i = 0; i < sizeof yes / sizeof yes[0]; i++)
        net_front_key(domid, yes[i], "1");
    if (queues > 1)
        number_key(domid, "multi-queue-num-queues", queues);
    for (unsigned q = 0; q < queues; q++) {
        netif_tx_sring_t *tx = (void *)net_page(FIRST_REF(front) + 2 * q);
        netif_rx_sring_t *rx = (void *)net_page(FIRST_REF(front) + 2 * q + 1);
        SHARED_RING_INIT(tx);
        SHARED_RING_INIT(rx);
        FRONT_RING_INIT(&front->tx[q], tx, NET_PAGE);
        FRONT_RING_INIT(&front->rx[q], rx, NET_PAGE);
        for (unsigned i = 0; i < 4; i++) {
            char key[40];
            if (queues > 1)
                snprintf(key, sizeof key, "queue-%u/%s", q, names[i]);
            else
                snprintf(key, sizeof key, "%s", names[i]);
            number_key(domid, key, i < 2 ? FIRST_REF(front) + 2 * q + i : domid * 8u + 2 * q + i - 2);
        }
    }
}

void net_front_connect(struct net_front *front)
{
    struct why why = {""};
    if (!net_world.type->create(&front->backend, &why) || !net_world.type->connect(&front->backend, &why)) {
        fprintf(stderr, "%s\n", why.text);
        assert(false);
    }
}

void net_front_disconnect(struct net_front *front)
{
    net_world.type->disconnect(&front->backend);
    net_world.type->destroy(&front->backend);
}

void net_front_request(struct net_front *front, unsigned page, uint16_t offset, uint16_t size, uint16_t flags)
{
    netif_tx_front_ring_t *ring = &front->tx[0];
    netif_tx_request_t *request = RING_GET_REQUEST(ring, ring->req_prod_pvt);
    *request = (netif_tx_request_t){.gref = FRONT_REF(front, page),
                                    .offset = offset,
                                    .size = size,
                                    .flags = flags,
                                    .id = (uint16_t)ring->req_prod_pvt};
    ring->req_prod_pvt++;
}

void net_front_extra_gso(struct net_front *front, uint16_t size, uint8_t type, uint8_t flags)
{
    netif_tx_front_ring_t *ring = &front->tx[0];
    struct netif_extra_info *extra = (void *)RING_GET_REQUEST(ring, ring->req_prod_pvt);
    *extra = (struct netif_extra_info){.type = XEN_NETIF_EXTRA_TYPE_GSO, .flags = flags};
    extra->u.gso.size = size;
    extra->u.gso.type = type;
    ring->req_prod_pvt++;
}

void net_front_send(struct net_front *front)
{
    bool notify;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&front->tx[0], notify);
    if (notify)
        net_ring(front->backend.domid * 8u);
}

int net_front_answer(struct net_front *front)
{
    netif_tx_front_ring_t *ring = &front->tx[0];
    if (ring->rsp_cons == ring->sring->rsp_prod)
        return -100;
    return RING_GET_RESPONSE(ring, ring->rsp_cons++)->status;
}

void net_front_post(struct net_front *front, unsigned queue, unsigned count)
{
    netif_rx_front_ring_t *ring = &front->rx[queue];
    bool notify;
    for (; count; count--, ring->req_prod_pvt++) {
        uint16_t id = ring->req_prod_pvt % 128;
        net_page(FRONT_REF(front, FRONT_RX_PAGES + id));
        *RING_GET_REQUEST(ring, ring->req_prod_pvt) =
            (netif_rx_request_t){.id = id, .gref = FRONT_REF(front, FRONT_RX_PAGES + id)};
    }
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(ring, notify);
    if (notify)
        net_ring(front->backend.domid * 8u + 2 * queue + 1);
}

int net_front_receive(struct net_front *front, unsigned queue, uint8_t *to, uint16_t *flags,
                      uint16_t *gso_size)
{
    netif_rx_front_ring_t *ring = &front->rx[queue];
    int size = 0, error = 0;
    *gso_size = 0;
    if (ring->rsp_cons == ring->sring->rsp_prod)
        return 0;
    netif_rx_response_t response;
    do {
        assert(ring->rsp_cons != ring->sring->rsp_prod);
        RING_COPY_RESPONSE(ring, ring->rsp_cons, &response);
        /* Linux goes by the place, so the id is what was posted there. */
        assert(response.id == ring->rsp_cons % 128 && response.offset == 0);
        if (!size)
            *flags = response.flags;
        if (response.status <= 0) {
            error = -1;
        } else {
            memcpy(to + size, net_page(FRONT_REF(front, FRONT_RX_PAGES + response.id)),
                   (size_t)response.status);
            size += response.status;
        }
        ring->rsp_cons++;
        if (response.flags & NETRXF_extra_info) {
            const struct netif_extra_info *extra = (void *)RING_GET_RESPONSE(ring, ring->rsp_cons++);
            assert(extra->type == XEN_NETIF_EXTRA_TYPE_GSO && !extra->flags);
            *gso_size = extra->u.gso.size;
        }
    } while (response.flags & NETRXF_more_data);
    return error ? error : size;
}
