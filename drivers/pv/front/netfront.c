/*
 * Network frontend (drivers/netfront.h, xen/io/netif.h): its connection, and the pages that stay granted for
 * as long as that lasts. What goes over the rings is in netfront_rings.c.
 */
#include <drivers/netfront.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/memory.h>

static void *zeroed_page(void)
{
    void *page = page_alloc(1);
    if (!page)
        pvh_panic("no memory for a network card");
    return memset(page, 0, PAGE_SIZE);
}

static evtchn_port_t channel(const struct net *net)
{
    long port = event_alloc_unbound(DOMID_SELF, net->device.backend_domid);
    if (port < 0)
        pvh_panic("no event channel: error %ld", port);
    return (evtchn_port_t)port;
}

static void queue_init(struct net *net, struct net_queue *q)
{
    domid_t to = net->device.backend_domid;
    netif_tx_sring_t *tx = zeroed_page();
    netif_rx_sring_t *rx = zeroed_page();
    SHARED_RING_INIT(tx);
    SHARED_RING_INIT(rx);
    FRONT_RING_INIT(&q->tx, tx, PAGE_SIZE);
    FRONT_RING_INIT(&q->rx, rx, PAGE_SIZE);
    q->tx_ring_ref = grant_offer(to, tx, false);
    q->rx_ring_ref = grant_offer(to, rx, false);
    q->tx_port = channel(net);
    q->rx_port = net->split_events ? channel(net) : q->tx_port;
    q->tx_free_count = NET_TX_PAGES;
    for (unsigned i = 0; i < NET_TX_PAGES; i++) {
        q->tx_free[i] = (uint16_t)i;
        q->tx_busy[i] = false;
        q->tx_page[i] = zeroed_page();
        q->tx_ref[i] = grant_offer(to, q->tx_page[i], true);
    }
    for (unsigned i = 0; i < NET_RING; i++) {
        q->rx_page[i] = zeroed_page();
        q->rx_ref[i] = grant_offer(to, q->rx_page[i], false);
        *RING_GET_REQUEST(&q->rx, i) = (netif_rx_request_t){.id = (uint16_t)i, .gref = q->rx_ref[i]};
    }
    q->rx.req_prod_pvt = NET_RING;
    RING_PUSH_REQUESTS(&q->rx);
}

static bool take_back(grant_ref_t ref, void *page)
{
    if (!grant_withdraw(ref))
        return false;
    page_free(page, 1);
    return true;
}

static bool queue_end(struct net_queue *q)
{
    bool good = true;
    event_close(q->tx_port);
    if (q->rx_port != q->tx_port)
        event_close(q->rx_port);
    for (unsigned i = 0; i < NET_TX_PAGES; i++)
        good &= take_back(q->tx_ref[i], q->tx_page[i]);
    for (unsigned i = 0; i < NET_RING; i++)
        good &= take_back(q->rx_ref[i], q->rx_page[i]);
    good &= take_back(q->tx_ring_ref, q->tx.sring);
    return take_back(q->rx_ring_ref, q->rx.sring) && good;
}

static void publish(struct net *net, const struct net_options *options)
{
    const struct front_device *d = &net->device;
    if (net->queue_count > 1)
        front_write(d, -1, "multi-queue-num-queues", net->queue_count);
    for (unsigned i = 0; i < net->queue_count; i++) {
        const struct net_queue *q = &net->queue[i];
        int directory = net->queue_count > 1 ? (int)i : -1;
        front_write(d, directory, "tx-ring-ref", q->tx_ring_ref);
        front_write(d, directory, "rx-ring-ref", q->rx_ring_ref);
        front_write(d, directory, net->split_events ? "event-channel-tx" : "event-channel", q->tx_port);
        if (net->split_events)
            front_write(d, directory, "event-channel-rx", q->rx_port);
    }
    front_write(d, -1, "request-rx-copy", 1);
    front_write(d, -1, "feature-rx-notify", 1);
    front_write(d, -1, "feature-sg", !options->no_sg);
    front_write(d, -1, "feature-gso-tcpv4", !options->no_gso && !options->no_sg);
    front_write(d, -1, "feature-gso-tcpv6", !options->no_gso && !options->no_sg);
    front_write(d, -1, "feature-no-csum-offload", options->no_checksum);
    front_write(d, -1, "feature-ipv6-csum-offload", !options->no_checksum);
}

/* What an earlier connection said, which may not hold for the next. */
static void unpublish(const struct net *net)
{
    static const char *const keys[] = {
        "multi-queue-num-queues", "tx-ring-ref", "rx-ring-ref", "event-channel", "event-channel-tx",
        "event-channel-rx",       "queue-0",     "queue-1",     "queue-2",       "queue-3"};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        front_rm(&net->device, keys[i]);
}

static unsigned hex_digit(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)(c | 0x20) - 'a' + 10) & 15;
}

/* "00:16:3e:01:02:03" */
static bool read_mac(struct net *net)
{
    char path[48], text[24];
    snprintf(path, sizeof path, "%s/mac", net->device.path);
    if (xs_read(path, text, sizeof text) || strlen(text) != 17)
        return false;
    for (unsigned i = 0; i < 6; i++)
        net->mac[i] = (uint8_t)(hex_digit(text[i * 3]) << 4 | hex_digit(text[i * 3 + 1]));
    return true;
}

bool net_open(struct net *net, unsigned devid, const struct net_options *options)
{
    memset(net, 0, sizeof *net);
    net->devid = devid;
    struct front_device *d = &net->device;
    if (!front_open(d, "vif", devid))
        return front_complain(&net->device, "no back end is ready");
    if (!read_mac(net))
        return front_complain(&net->device, "the card has no address");
    unpublish(net);
    uint64_t queues = front_number(d, "multi-queue-max-queues", 1);
    if (queues > options->queues)
        queues = options->queues ? options->queues : 1;
    net->queue_count = queues < NET_QUEUES ? (unsigned)queues : NET_QUEUES;
    net->split_events = options->split_events && front_number(d, "feature-split-event-channels", 0);
    net->sg = front_number(d, "feature-sg", 0);
    net->gso = front_number(d, "feature-gso-tcpv4", 0);
    net->checksum = !front_number(d, "feature-no-csum-offload", 0);
    for (unsigned i = 0; i < net->queue_count; i++)
        queue_init(net, &net->queue[i]);
    publish(net, options);
    front_set_state(d, XenbusStateConnected);
    return front_wait(d, XenbusStateConnected) ||
           front_complain(&net->device, "the back end does not connect");
}

bool net_close(struct net *net)
{
    bool good = front_close(&net->device);
    for (unsigned i = 0; i < net->queue_count; i++)
        good &= queue_end(&net->queue[i]);
    return good;
}
