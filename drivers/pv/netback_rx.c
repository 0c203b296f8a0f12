/*
 * What guests get (drivers/pv/netback.h).
 *
 * A bridge's packets wait in the backlog of one queue, chosen by their flow, until the burst is over or the
 * guest posts buffers; then one GNTTABOP_copy fills the buffers of a batch of packets, from dom0's memory or
 * from the sender's granted pages. Responses stand in the places of the requests that they answer, which is
 * what Linux relies on. A guest that posts no buffers for a while loses what waits, so that it holds neither
 * dom0's memory nor other guests' pages.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <pvh/event.h>
#include "netback.h"

#define STALL_NS     2000000000ull
#define BATCH_PIECES 192u
#define BATCH_SLOTS  96u
/*
 * A packet has at most 17 slots, each with one piece for each fragment in it, and one for each page that the
 * fragments cross.
 */
#define PACKET_SLOTS_MAX  ((PACKET_MAX + NETBACK_PAGE - 1) / NETBACK_PAGE)
#define PACKET_PIECES_MAX (2 * PACKET_SLOTS_MAX + 2 * PACKET_FRAGMENTS)

static struct {
    struct gnttab_copy piece[BATCH_PIECES];
    struct {
        uint16_t id, flags, bytes, pieces;
    } slot[BATCH_SLOTS];
    struct packet *packet[BATCH_SLOTS];
    struct {
        unsigned slots;
        bool extra;
    } shape[BATCH_SLOTS];
    unsigned pieces, slots, packets;
} batch;

/* --- planning the copy of a packet ---------------------------------------------------------------------- */

/* Where in a packet's fragments the next byte is. */
struct place {
    const struct packet_fragment *fragment;
    uint32_t offset;
};

static void add_piece(struct place *from, domid_t domid, grant_ref_t ref, uint32_t at, uint32_t *bytes)
{
    const struct packet_fragment *f = from->fragment;
    struct gnttab_copy *piece = &batch.piece[batch.pieces++];
    uint32_t now = *bytes < f->bytes - from->offset ? *bytes : f->bytes - from->offset;
    *piece = (struct gnttab_copy){.dest = {.u.ref = ref, .domid = domid, .offset = (uint16_t)at},
                                  .flags = GNTCOPY_dest_gref};
    if (f->data) {
        uint64_t address = (uint64_t)f->data + from->offset;
        uint32_t in_page = NETBACK_PAGE - (uint32_t)(address % NETBACK_PAGE);
        now = now < in_page ? now : in_page;
        piece->source.u.gmfn = address / NETBACK_PAGE;
        piece->source.domid = DOMID_SELF;
        piece->source.offset = (uint16_t)(address % NETBACK_PAGE);
    } else {
        piece->source.u.ref = f->ref;
        piece->source.domid = f->domid;
        piece->source.offset = (uint16_t)(f->ref_offset + from->offset);
        piece->flags |= GNTCOPY_source_gref;
    }
    piece->len = (uint16_t)now;
    *bytes -= now;
    from->offset += now;
    if (from->offset == f->bytes) {
        from->fragment++;
        from->offset = 0;
    }
}

static uint16_t first_flags(const struct packet *packet)
{
    uint16_t flags = packet->gso == GSO_NONE ? 0 : NETRXF_extra_info;
    if (packet->checksum_blank)
        return flags | NETRXF_csum_blank | NETRXF_data_validated;
    return packet->checksum_good ? flags | NETRXF_data_validated : flags;
}

static unsigned data_slots(const struct packet *packet)
{
    return (packet->length + NETBACK_PAGE - 1) / NETBACK_PAGE;
}

static unsigned slots_of(const struct packet *packet)
{
    return data_slots(packet) + (packet->gso != GSO_NONE);
}

/* Takes the packet's requests off the ring. The caller's reference passes to the batch. */
static void plan(struct netback_queue *queue, struct packet *packet)
{
    struct place from = {.fragment = packet->fragment};
    uint16_t flags = first_flags(packet);
    uint32_t left = packet->length;
    batch.packet[batch.packets] = packet;
    batch.shape[batch.packets].slots = data_slots(packet);
    batch.shape[batch.packets++].extra = packet->gso != GSO_NONE;
    for (bool first = true; left; first = false) {
        netif_rx_request_t request;
        RING_COPY_REQUEST(&queue->rx, queue->rx.req_cons++, &request);
        if (first && packet->gso != GSO_NONE)
            queue->rx.req_cons++; /* its place becomes the extra information */
        uint32_t bytes = left < NETBACK_PAGE ? left : NETBACK_PAGE, missing = bytes;
        unsigned before = batch.pieces;
        while (missing)
            add_piece(&from, queue->vif->backend->domid, request.gref, bytes - missing, &missing);
        left -= bytes;
        batch.slot[batch.slots].id = request.id;
        batch.slot[batch.slots].flags = left ? flags | NETRXF_more_data : flags;
        batch.slot[batch.slots].bytes = (uint16_t)bytes;
        batch.slot[batch.slots++].pieces = (uint16_t)(batch.pieces - before);
        flags = 0;
    }
}

/* --- handing over --------------------------------------------------------------------------------------- */

static void write_extra(struct netback_queue *queue, const struct packet *packet)
{
    struct netif_extra_info *extra = (void *)RING_GET_RESPONSE(&queue->rx, queue->rx.rsp_prod_pvt);
    *extra = (struct netif_extra_info){.type = XEN_NETIF_EXTRA_TYPE_GSO};
    extra->u.gso.size = packet->gso_size;
    extra->u.gso.type = packet->gso == GSO_TCPV4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
    queue->rx.rsp_prod_pvt++;
}

/*
 * Answers one packet's requests; slot and piece are the batch's next ones. False: some of it could not be
 * copied.
 */
static bool answer(struct netback_queue *queue, unsigned index, unsigned *slot, unsigned *piece)
{
    bool good = true;
    for (unsigned i = 0; i < batch.shape[index].slots; i++, (*slot)++) {
        netif_rx_response_t *response = RING_GET_RESPONSE(&queue->rx, queue->rx.rsp_prod_pvt);
        int16_t status = (int16_t)batch.slot[*slot].bytes;
        for (unsigned n = 0; n < batch.slot[*slot].pieces; n++)
            if (batch.piece[(*piece)++].status != GNTST_okay)
                status = NETIF_RSP_ERROR;
        response->offset = 0;
        response->flags = batch.slot[*slot].flags;
        response->status = status;
        response->id = batch.slot[*slot].id;
        queue->rx.rsp_prod_pvt++;
        if (i == 0 && batch.shape[index].extra)
            write_extra(queue, batch.packet[index]);
        good &= status > 0;
    }
    return good;
}

static void copy_batch(struct netback_queue *queue)
{
    struct bridge_port *port = &queue->vif->port;
    unsigned slot = 0, piece = 0;
    if (batch.pieces)
        grant_copy(batch.piece, batch.pieces);
    for (unsigned i = 0; i < batch.packets; i++) {
        if (answer(queue, i, &slot, &piece)) {
            port->sent++;
            port->sent_bytes += batch.packet[i]->length;
        } else {
            port->dropped++;
            backend_complain(queue->vif->backend,
                             "posted buffers that are not granted, or was sent a page that is not");
        }
    }
    for (unsigned i = 0; i < batch.packets; i++)
        packet_put(batch.packet[i]);
    batch.pieces = batch.slots = batch.packets = 0;
}

/* --- the backlog ---------------------------------------------------------------------------------------- */

static struct packet *backlog_first(const struct netback_queue *queue)
{
    return queue->backlog_count ? queue->backlog[queue->backlog_head] : NULL;
}

static struct packet *backlog_take(struct netback_queue *queue)
{
    struct packet *packet = queue->backlog[queue->backlog_head];
    queue->backlog_head = (queue->backlog_head + 1) % NETBACK_BACKLOG;
    queue->backlog_count--;
    queue->backlog_bytes -= packet->length;
    return packet;
}

static void backlog_add(struct netback_queue *queue, struct packet *packet)
{
    queue->backlog[(queue->backlog_head + queue->backlog_count++) % NETBACK_BACKLOG] = packet_get(packet);
    queue->backlog_bytes += packet->length;
}

void netback_rx_drop(struct netback_queue *queue, const struct netback *from)
{
    for (unsigned left = queue->backlog_count; left; left--) {
        struct packet *packet = backlog_take(queue);
        if (from && !netback_tx_is_from(packet, from))
            backlog_add(queue, packet);
        else
            queue->vif->port.dropped++;
        packet_put(packet);
    }
    if (!queue->backlog_count)
        work_cancel(&queue->rx_stall);
}

static void give_up(struct work *work)
{
    struct netback_queue *queue = work->owner;
    queue->stalled = true;
    netback_rx_drop(queue, NULL);
}

/* Asks to be told when there are buffers for the first packet. True: there are already. */
static bool wait_for_buffers(struct netback_queue *queue)
{
    unsigned slots = slots_of(backlog_first(queue));
    queue->rx.sring->req_event = queue->rx.req_cons + slots;
    xen_mb();
    return __atomic_load_n(&queue->rx.sring->req_prod, __ATOMIC_ACQUIRE) - queue->rx.req_cons >= slots;
}

/* Fills the buffers that there are. False: the ring is broken. */
static bool fill_buffers(struct netback_queue *queue)
{
    RING_IDX end = __atomic_load_n(&queue->rx.sring->req_prod, __ATOMIC_ACQUIRE);
    if (RING_REQUEST_PROD_OVERFLOW(&queue->rx, end))
        return false;
    if (end != queue->rx.req_cons)
        queue->stalled = false;
    for (struct packet *packet;
         (packet = backlog_first(queue)) && end - queue->rx.req_cons >= slots_of(packet);) {
        plan(queue, backlog_take(queue));
        if (batch.pieces > BATCH_PIECES - PACKET_PIECES_MAX || batch.slots > BATCH_SLOTS - PACKET_SLOTS_MAX)
            copy_batch(queue);
    }
    copy_batch(queue);
    return true;
}

void netback_rx_pass(struct netback_queue *queue)
{
    bool notify;
    RING_IDX before = queue->rx.req_cons;
    if (queue->broken)
        return;
    do {
        if (!fill_buffers(queue)) {
            netback_break(queue, "its receive ring has more requests than places");
            return;
        }
    } while (queue->backlog_count && wait_for_buffers(queue));
    if (queue->rx.req_cons != before) {
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&queue->rx, notify);
        if (notify)
            event_send(queue->rx_port);
        work_cancel(&queue->rx_stall);
    }
    if (queue->backlog_count && !queue->vif->rx_notify)
        netback_rx_drop(queue, NULL);
    else if (queue->backlog_count)
        work_at(&queue->rx_stall, time_ns() + STALL_NS);
}

void netback_rx_init(struct netback_queue *queue)
{
    queue->rx_stall.run = give_up;
    queue->rx_stall.owner = queue;
}

/* --- the port ------------------------------------------------------------------------------------------- */

static bool is_ipv6(const struct packet *packet)
{
    const uint8_t *type = (const uint8_t *)packet->fragment[0].data + 12;
    return type[0] == 0x86 && type[1] == 0xdd;
}

/* The frontend did not say that it takes such packets. */
static bool needs_software(const struct netback *vif, const struct packet *packet)
{
    if (packet->gso == GSO_TCPV4)
        return !vif->gso_v4 || !vif->sg || !vif->checksum_v4;
    if (packet->gso == GSO_TCPV6)
        return !vif->gso_v6 || !vif->sg || !vif->checksum_v6;
    return packet->checksum_blank && !(is_ipv6(packet) ? vif->checksum_v6 : vif->checksum_v4);
}

static bool filtered(const struct netback *vif, const uint8_t *to)
{
    static const uint8_t broadcast[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (!vif->multicast_control || !(to[0] & 1) || !memcmp(to, broadcast, MAC_SIZE))
        return false;
    for (unsigned i = 0; i < vif->multicast_count; i++)
        if (!memcmp(to, vif->multicast[i], MAC_SIZE))
            return false;
    return true;
}

/* A guest that was given up takes what fits the buffers that it left. */
static bool is_given_up(const struct netback_queue *queue, const struct packet *packet)
{
    RING_IDX end = __atomic_load_n(&queue->rx.sring->req_prod, __ATOMIC_RELAXED);
    return queue->stalled && end - queue->rx.req_cons < slots_of(packet);
}

static void enqueue(struct netback *vif, struct packet *packet)
{
    unsigned index = vif->queue_count > 1 ? packet_flow(packet) % vif->queue_count : 0;
    struct netback_queue *queue = vif->queue[index];
    bool fits = vif->sg || packet->length <= NETBACK_PAGE;
    bool room = queue->backlog_count < NETBACK_BACKLOG && queue->backlog_bytes < NETBACK_BACKLOG_BYTES;
    if (!fits || !room || queue->broken || is_given_up(queue, packet))
        vif->port.dropped++;
    else
        backlog_add(queue, packet);
}

void netback_output(struct bridge_port *port, struct packet *packet)
{
    struct netback *vif = port->owner;
    if (!vif->connected || filtered(vif, packet->fragment[0].data)) {
        port->dropped += !vif->connected;
        return;
    }
    if (!needs_software(vif, packet)) {
        enqueue(vif, packet);
        return;
    }
    struct packet *list =
        packet_flatten(packet, vif->sg ? PACKET_MAX : NETBACK_PAGE - ETHERNET_HEADER - VLAN_TAG);
    if (!list)
        port->dropped++;
    for (struct packet *next; list; list = next) {
        next = list->next;
        enqueue(vif, list);
        packet_put(list);
    }
}

void netback_flush(struct bridge_port *port)
{
    struct netback *vif = port->owner;
    for (unsigned i = 0; vif->connected && i < vif->queue_count; i++)
        if (vif->queue[i]->backlog_count)
            netback_rx_pass(vif->queue[i]);
}
