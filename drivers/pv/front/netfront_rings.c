/*
 * What goes over the rings of the network frontend (drivers/netfront.h, xen/io/netif.h): a frame is cut into
 * pages, with what is to know of its offloads in a slot behind the first; received ones come in the same
 * form, and give their pages back to the ring at once.
 */
#include <drivers/netfront.h>
#include <lib/string.h>
#include <pvh/memory.h>

/* --- sending -------------------------------------------------------------------------------------------- */

static void reap(struct net *net, struct net_queue *q)
{
    int more;
    do {
        RING_IDX end = q->tx.sring->rsp_prod;
        xen_rmb();
        for (; q->tx.rsp_cons != end; q->tx.rsp_cons++) {
            netif_tx_response_t response = *RING_GET_RESPONSE(&q->tx, q->tx.rsp_cons);
            if (response.status == NETIF_RSP_NULL)
                continue;
            if (response.id >= NET_TX_PAGES || !q->tx_busy[response.id]) {
                net->strange++;
                continue;
            }
            net->tx_errors += response.status != NETIF_RSP_OKAY;
            q->tx_busy[response.id] = false;
            q->tx_free[q->tx_free_count++] = response.id;
        }
        RING_FINAL_CHECK_FOR_RESPONSES(&q->tx, more);
    } while (more);
}

void net_reap(struct net *net)
{
    for (unsigned i = 0; i < net->queue_count; i++)
        reap(net, &net->queue[i]);
}

static void put_page(struct net_queue *q, const uint8_t *data, uint16_t bytes, uint16_t size, uint16_t flags)
{
    uint16_t id = q->tx_free[--q->tx_free_count];
    q->tx_busy[id] = true;
    memcpy(q->tx_page[id], data, bytes);
    *RING_GET_REQUEST(&q->tx, q->tx.req_prod_pvt) =
        (netif_tx_request_t){.gref = q->tx_ref[id], .flags = flags, .id = id, .size = size};
    q->tx.req_prod_pvt++;
}

static void put_gso(struct net_queue *q, const struct net_frame *frame)
{
    netif_extra_info_t *extra = (netif_extra_info_t *)RING_GET_REQUEST(&q->tx, q->tx.req_prod_pvt);
    *extra = (netif_extra_info_t){.type = XEN_NETIF_EXTRA_TYPE_GSO,
                                  .u.gso = {.size = frame->gso_size, .type = frame->gso_type}};
    q->tx.req_prod_pvt++;
}

bool net_send(struct net *net, unsigned queue, const struct net_frame *frame)
{
    struct net_queue *q = &net->queue[queue];
    unsigned pages = (frame->length + PAGE_SIZE - 1) / PAGE_SIZE, slots = pages + (frame->gso_type != 0);
    if (!frame->length || frame->length > UINT16_MAX || (pages > 1 && !net->sg) ||
        (frame->gso_type && !net->gso) || (frame->checksum_blank && !net->checksum))
        return false;
    reap(net, q);
    if (q->tx_free_count < pages || RING_FREE_REQUESTS(&q->tx) < slots)
        return false;
    /* The first request has the size of the whole, each further one its own. */
    for (uint32_t done = 0; done < frame->length;) {
        uint32_t bytes = frame->length - done < PAGE_SIZE ? frame->length - done : PAGE_SIZE;
        uint16_t flags = done + bytes < frame->length ? NETTXF_more_data : 0;
        if (!done && frame->checksum_blank)
            flags |= NETTXF_csum_blank | NETTXF_data_validated;
        if (!done && frame->gso_type)
            flags |= NETTXF_extra_info;
        put_page(q, frame->data + done, (uint16_t)bytes, (uint16_t)(done ? bytes : frame->length), flags);
        if (!done && frame->gso_type)
            put_gso(q, frame);
        done += bytes;
    }
    int notify;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->tx, notify);
    if (notify)
        event_send(q->tx_port);
    return true;
}

/* --- receiving ------------------------------------------------------------------------------------------ */

static void give_back(struct net_queue *q, uint16_t id)
{
    *RING_GET_REQUEST(&q->rx, q->rx.req_prod_pvt) = (netif_rx_request_t){.id = id, .gref = q->rx_ref[id]};
    q->rx.req_prod_pvt++;
}

/* Waits for a slot of a frame that has begun. */
static bool slot_is_there(struct net_queue *q)
{
    bool there = q->rx.rsp_cons != q->rx.sring->rsp_prod;
    xen_rmb();
    return there;
}

static void take_extra(struct net_queue *q, struct net_frame *frame)
{
    bool more;
    do {
        netif_extra_info_t extra;
        memcpy(&extra, RING_GET_RESPONSE(&q->rx, q->rx.rsp_cons), sizeof extra);
        if (extra.type == XEN_NETIF_EXTRA_TYPE_GSO) {
            frame->gso_type = extra.u.gso.type;
            frame->gso_size = extra.u.gso.size;
        }
        more = extra.flags & XEN_NETIF_EXTRA_FLAG_MORE;
        /* The slot's request is that of the same place in the ring. */
        give_back(q, (uint16_t)(q->rx.rsp_cons % NET_RING));
        q->rx.rsp_cons++;
    } while (more && slot_is_there(q));
}

static bool take_frame(struct net *net, struct net_queue *q, struct net_frame *frame)
{
    bool good = true, first = true, more = true;
    frame->length = 0;
    frame->gso_type = 0;
    for (; more; first = false) {
        if (!slot_is_there(q)) {
            net->strange++;
            return false;
        }
        netif_rx_response_t response = *RING_GET_RESPONSE(&q->rx, q->rx.rsp_cons);
        q->rx.rsp_cons++;
        if (first) {
            frame->checksum_blank = response.flags & NETRXF_csum_blank;
            frame->checksum_good = response.flags & NETRXF_data_validated;
        }
        if (response.id >= NET_RING || response.status < 0 ||
            response.offset + response.status > (int)PAGE_SIZE ||
            frame->length + (unsigned)response.status > NET_FRAME_MAX) {
            net->rx_errors++;
            good = false;
        } else if (good) {
            memcpy(frame->data + frame->length, q->rx_page[response.id] + response.offset,
                   (size_t)response.status);
            frame->length += (uint32_t)response.status;
        }
        more = response.flags & NETRXF_more_data;
        give_back(q,
                  response.id % NET_RING); /* in the order of the slots, so that each page keeps its place */
        if (first && response.flags & NETRXF_extra_info && slot_is_there(q))
            take_extra(q, frame);
    }
    return good;
}

bool net_receive(struct net *net, struct net_frame *frame)
{
    for (unsigned i = 0; i < net->queue_count; i++) {
        struct net_queue *q = &net->queue[i];
        int more, notify;
        RING_FINAL_CHECK_FOR_RESPONSES(&q->rx, more);
        if (!more)
            continue;
        bool good = take_frame(net, q, frame);
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->rx, notify);
        if (notify)
            event_send(q->rx_port);
        if (good)
            return true;
    }
    return false;
}

bool net_wait(struct net *net, struct net_frame *frame, uint64_t deadline)
{
    evtchn_port_t ports[2 * NET_QUEUES];
    unsigned count = 0;
    for (unsigned i = 0; i < net->queue_count; i++) {
        ports[count++] = net->queue[i].rx_port;
        if (net->split_events)
            ports[count++] = net->queue[i].tx_port;
    }
    for (;;) {
        net_reap(net);
        if (net_receive(net, frame))
            return true;
        if (!front_sleep(ports, count, deadline))
            return false;
    }
}
