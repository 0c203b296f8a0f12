/*
 * Network back end (xen/io/netif.h): its life, as drivers/xenbus.h tells it.
 *
 * A port of the bridge that the store's "bridge" names exists from create() to destroy(), and passes packets
 * while the frontend is connected. disconnect() returns when no page of the guest's is in use by a card or
 * another guest; until then the rings stay mapped, for requests are answered there.
 */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/event.h>
#include "netback.h"

#define MILLISECOND 1000000ull
#define MICROSECOND 1000ull
/* When somebody who holds a guest's pages for so long is worth a line. */
#define LONG_TIME (5000 * MILLISECOND)

struct netback *netback_all;

/* --- events --------------------------------------------------------------------------------------------- */

static void tx_event(evtchn_port_t port, void *arg)
{
    (void)port;
    netback_tx_pass(arg);
}

static void rx_event(evtchn_port_t port, void *arg)
{
    (void)port;
    netback_rx_pass(arg);
}

static void both_event(evtchn_port_t port, void *arg)
{
    (void)port;
    netback_tx_pass(arg);
    netback_rx_pass(arg);
}

static void close_port(evtchn_port_t port)
{
    if (!port)
        return;
    event_handle(port, NULL, NULL);
    event_close(port);
}

static void close_events(struct netback_queue *queue)
{
    close_port(queue->tx_port);
    if (queue->rx_port != queue->tx_port)
        close_port(queue->rx_port);
    queue->tx_port = queue->rx_port = 0;
}

void netback_break(struct netback_queue *queue, const char *why)
{
    queue->broken = true;
    backend_complain(queue->vif->backend, "is not listened to any more: %s", why);
    work_cancel(&queue->tx_more);
    netback_rx_drop(queue, NULL);
}

/* --- queues --------------------------------------------------------------------------------------------- */

/* A key of a queue: of the device's own directory if there is one queue only. */
static bool read_queue_key(const struct netback_queue *queue, unsigned index, const char *key,
                           uint64_t *value)
{
    char path[48];
    const struct netback *vif = queue->vif;
    if (vif->queue_count == 1)
        return frontend_read_number(vif->backend, key, value);
    snprintf(path, sizeof path, "queue-%u/%s", index, key);
    return frontend_read_number(vif->backend, path, value);
}

static void *map_ring(struct netback_queue *queue, unsigned index, const char *key, grant_handle_t *handle,
                      struct why *why)
{
    uint64_t number;
    void *ring = NULL;
    if (!read_queue_key(queue, index, key, &number)) {
        fail(why, "the frontend wrote no %s for queue %u", key, index);
        return NULL;
    }
    grant_ref_t ref = (grant_ref_t)number;
    if (number == ref)
        ring = grant_map_ring(queue->vif->backend->domid, &ref, 1, handle);
    if (!ring)
        fail(why, "%s of queue %u, %llu, is not granted", key, index, (unsigned long long)number);
    return ring;
}

static bool map_rings(struct netback_queue *queue, unsigned index, struct why *why)
{
    netif_tx_sring_t *tx = map_ring(queue, index, "tx-ring-ref", &queue->tx_handle, why);
    if (!tx)
        return false;
    BACK_RING_INIT(&queue->tx, tx, NETBACK_PAGE);
    netif_rx_sring_t *rx = map_ring(queue, index, "rx-ring-ref", &queue->rx_handle, why);
    if (!rx)
        return false;
    BACK_RING_INIT(&queue->rx, rx, NETBACK_PAGE);
    return true;
}

static bool bind_port(struct netback_queue *queue, uint64_t remote, evtchn_port_t *port, struct why *why)
{
    long bound =
        remote <= UINT32_MAX ? event_bind_interdomain(queue->vif->backend->domid, (evtchn_port_t)remote) : -1;
    if (bound < 0)
        return fail(why, "event channel %llu of the frontend cannot be bound", (unsigned long long)remote);
    *port = (evtchn_port_t)bound;
    return true;
}

static bool bind_events(struct netback_queue *queue, unsigned index, struct why *why)
{
    uint64_t tx, rx;
    if (read_queue_key(queue, index, "event-channel-tx", &tx) &&
        read_queue_key(queue, index, "event-channel-rx", &rx))
        return bind_port(queue, tx, &queue->tx_port, why) && bind_port(queue, rx, &queue->rx_port, why);
    if (!read_queue_key(queue, index, "event-channel", &tx))
        return fail(why, "the frontend wrote no event-channel for queue %u", index);
    if (!bind_port(queue, tx, &queue->tx_port, why))
        return false;
    queue->rx_port = queue->tx_port;
    return true;
}

static bool open_queue(struct netback *vif, unsigned index, struct why *why)
{
    struct netback_queue *queue = mem_alloc(sizeof *queue);
    if (!queue)
        return fail(why, "no memory for queue %u", index);
    vif->queue[index] = queue;
    queue->vif = vif;
    netback_rx_init(queue);
    if (!netback_tx_init(queue))
        return fail(why, "no memory for queue %u", index);
    return map_rings(queue, index, why) && bind_events(queue, index, why);
}

static void start_queue(struct netback_queue *queue)
{
    bool split = queue->rx_port != queue->tx_port;
    event_handle(queue->tx_port, split ? tx_event : both_event, queue);
    if (split)
        event_handle(queue->rx_port, rx_event, queue);
    /* What came before the channel was bound rang nobody. */
    netback_tx_pass(queue);
}

/* No event, turn, or packet for it comes any more. What the guest sent may still be in use. */
static void stop_queue(struct netback_queue *queue)
{
    close_events(queue);
    netback_rx_drop(queue, NULL);
    work_cancel(&queue->tx_more);
    work_cancel(&queue->rx_stall);
    for (struct netback *other = netback_all; other; other = other->next)
        for (unsigned i = 0; i < NETBACK_QUEUES; i++)
            if (other->queue[i])
                netback_rx_drop(other->queue[i], queue->vif);
}

static void wait_for_held(const struct netback_queue *queue)
{
    uint64_t start = time_ns();
    for (bool said = false; queue->held; thread_sleep(MILLISECOND)) {
        if (!said && time_ns() - start > LONG_TIME) {
            print("%s: a card holds %u packets of the guest's\n", queue->vif->port.name, queue->held);
            said = true;
        }
    }
}

static void free_queue(struct netback_queue *queue)
{
    if (queue->tx.sring)
        grant_unmap_ring(queue->tx.sring, 1, &queue->tx_handle);
    if (queue->rx.sring)
        grant_unmap_ring(queue->rx.sring, 1, &queue->rx_handle);
    mem_free(queue->requests);
    mem_free(queue);
}

/* --- features ------------------------------------------------------------------------------------------- */

static bool write_features(struct backend *backend)
{
    static const char *const features[] = {"feature-sg",
                                           "feature-gso-tcpv4",
                                           "feature-gso-tcpv6",
                                           "feature-ipv6-csum-offload",
                                           "feature-rx-copy",
                                           "feature-multicast-control",
                                           "feature-split-event-channels"};
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        if (backend_write(backend, features[i], "1"))
            return false;
    return !backend_write(backend, "feature-rx-flip", "0") &&
           !backend_write(backend, "multi-queue-max-queues", "%u", NETBACK_QUEUES) &&
           !backend_write(backend, "hotplug-status", "connected");
}

static bool frontend_flag(const struct backend *backend, const char *key)
{
    uint64_t value;
    return frontend_read_number(backend, key, &value) && value;
}

static bool read_features(struct netback *vif, struct why *why)
{
    const struct backend *backend = vif->backend;
    uint64_t queues;
    if (!frontend_flag(backend, "request-rx-copy"))
        return fail(
            why,
            "the frontend wants pages to be flipped, which ended in 2008; it should write request-rx-copy");
    vif->sg = frontend_flag(backend, "feature-sg");
    vif->gso_v4 = frontend_flag(backend, "feature-gso-tcpv4");
    vif->gso_v6 = frontend_flag(backend, "feature-gso-tcpv6");
    vif->checksum_v4 = !frontend_flag(backend, "feature-no-csum-offload");
    vif->checksum_v6 = frontend_flag(backend, "feature-ipv6-csum-offload");
    vif->rx_notify = frontend_flag(backend, "feature-rx-notify");
    vif->multicast_control = frontend_flag(backend, "request-multicast-control");
    vif->multicast_count = 0;
    if (!frontend_read_number(backend, "multi-queue-num-queues", &queues))
        queues = 1;
    if (!queues || queues > NETBACK_QUEUES)
        return fail(why, "the frontend wants %llu queues; 1 to %u can be", (unsigned long long)queues,
                    NETBACK_QUEUES);
    vif->queue_count = (unsigned)queues;
    return true;
}

/* "bytes,microseconds", as the toolstack writes it: so many in each such time. */
static bool read_rate(struct netback *vif, struct why *why)
{
    char text[48];
    uint64_t bytes, microseconds;
    if (!backend_read(vif->backend, "rate", text, sizeof text))
        return true;
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '\0';
    if (!comma || !parse_number(text, &bytes) || !parse_number(comma + 1, &microseconds) || !bytes ||
        bytes > INT64_MAX / 2 || !microseconds || microseconds > UINT32_MAX)
        return fail(why, "rate is to be BYTES,MICROSECONDS");
    vif->rate_bytes = bytes;
    vif->rate_ns = microseconds * MICROSECOND;
    return true;
}

/* --- life ----------------------------------------------------------------------------------------------- */

static bool find_bridge(struct netback *vif, struct bridge **bridge, struct why *why)
{
    char name[128];
    bool named = backend_read(vif->backend, "bridge", name, sizeof name) && name[0];
    *bridge = named ? bridge_find(name) : bridge_at(0);
    if (*bridge)
        return true;
    if (named)
        return fail(why, "there is no bridge %s; bridge-list shows those that are", name);
    return fail(why, "there is no bridge, as dom0 found no network card; name one in vif = [ 'bridge=...' ]");
}

static bool create(struct backend *backend, struct why *why)
{
    struct bridge *bridge;
    struct netback *vif = mem_alloc(sizeof *vif);
    if (!vif)
        return fail(why, "no memory");
    vif->backend = backend;
    if (!find_bridge(vif, &bridge, why) || !read_rate(vif, why)) {
        mem_free(vif);
        return false;
    }
    if (!write_features(backend)) {
        mem_free(vif);
        return fail(why, "the features cannot be written to the store");
    }
    if (!backend_read(backend, "vifname", vif->port.name, sizeof vif->port.name) || !vif->port.name[0])
        snprintf(vif->port.name, sizeof vif->port.name, "vif%u.%u", backend->domid, backend->devid);
    vif->port.output = netback_output;
    vif->port.flush = netback_flush;
    vif->port.owner = vif;
    bridge_attach(bridge, &vif->port);
    vif->next = netback_all;
    netback_all = vif;
    backend->driver_data = vif;
    return true;
}

static void disconnect(struct backend *backend)
{
    struct netback *vif = backend->driver_data;
    vif->connected = false;
    for (unsigned i = 0; i < NETBACK_QUEUES; i++)
        if (vif->queue[i])
            stop_queue(vif->queue[i]);
    for (unsigned i = 0; i < NETBACK_QUEUES; i++) {
        struct netback_queue *queue = vif->queue[i];
        if (!queue)
            continue;
        wait_for_held(queue);
        vif->queue[i] = NULL;
        free_queue(queue);
    }
    vif->queue_count = 0;
}

static bool connect(struct backend *backend, struct why *why)
{
    struct netback *vif = backend->driver_data;
    bool good = read_features(vif, why);
    for (unsigned i = 0; good && i < vif->queue_count; i++)
        good = open_queue(vif, i, why);
    if (!good) {
        disconnect(backend);
        return false;
    }
    vif->credit = 0;
    vif->window_end = 0;
    vif->connected = true;
    for (unsigned i = 0; i < vif->queue_count; i++)
        start_queue(vif->queue[i]);
    return true;
}

static void destroy(struct backend *backend)
{
    struct netback *vif = backend->driver_data, **link = &netback_all;
    bridge_detach(&vif->port);
    while (*link != vif)
        link = &(*link)->next;
    *link = vif->next;
    mem_free(vif);
}

static const struct backend_type type = {
    .name = "vif", .create = create, .connect = connect, .disconnect = disconnect, .destroy = destroy};

bool netback_init(void)
{
    return backend_register(&type);
}
