/*
 * What guests send (drivers/pv/netback.h).
 *
 * A pass takes the packets that are on the ring when it begins. Of each the first bytes are copied, of a
 * small one all; one GNTTABOP_copy serves a batch of packets. What is not copied stays in the guest's pages:
 * the packet's requests are answered when its last user is done. All that a packet's requests say is checked
 * before the copy, and what its headers say after it, on the copy.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <pvh/event.h>
#include "netback.h"

#define BATCH_PACKETS 32u
#define BATCH_PIECES  128u
/* Smaller ones no path asks for: they would make hundreds of packets of one. */
#define GSO_SIZE_MIN 48u

/* A packet as its requests describe it. */
struct chain {
    struct netback_request *request;
    struct netif_tx_request slot[NETBACK_SLOTS];
    unsigned slots;
    enum packet_gso gso;
    uint16_t gso_size;
    uint8_t multicast; /* XEN_NETIF_EXTRA_TYPE_MCAST_...; 0: a packet */
    uint8_t address[MAC_SIZE];
    const char *wrong; /* NULL: nothing */
};

/* Passes do not nest: a bridge only puts what it gets into backlogs and cards' rings. */
static struct {
    struct gnttab_copy piece[BATCH_PIECES];
    unsigned pieces, packets;
    struct {
        struct packet *packet;
        struct netback_request *request;
        uint16_t flags;
        unsigned first_piece, pieces;
    } taken[BATCH_PACKETS];
} batch;

/* --- answers -------------------------------------------------------------------------------------------- */

static void respond(struct netback_queue *queue, uint16_t id, int16_t status)
{
    netif_tx_response_t *response = RING_GET_RESPONSE(&queue->tx, queue->tx.rsp_prod_pvt);
    response->id = id;
    response->status = status;
    queue->tx.rsp_prod_pvt++;
}

static void push(struct netback_queue *queue)
{
    bool notify;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&queue->tx, notify);
    if (notify)
        event_send(queue->tx_port);
}

/* Answers a packet's requests; what was extra information gets an empty answer each. */
static void complete(struct netback_request *request)
{
    struct netback_queue *queue = request->queue;
    for (unsigned i = 0; i < request->slots; i++)
        respond(queue, request->ids[i], request->status);
    for (unsigned i = 0; i < request->extras; i++)
        respond(queue, 0, NETIF_RSP_NULL);
    request->next = queue->free_request;
    queue->free_request = request;
}

static void released(struct packet *packet)
{
    struct netback_request *request = packet->owner;
    struct netback_queue *queue = request->queue;
    complete(request);
    queue->held--;
    push(queue);
}

bool netback_tx_is_from(const struct packet *packet, const struct netback *vif)
{
    return packet->release == released && ((struct netback_request *)packet->owner)->queue->vif == vif;
}

/* --- reading the ring ----------------------------------------------------------------------------------- */

static void read_gso(struct chain *chain, const struct netif_extra_info *extra)
{
    chain->gso_size = extra->u.gso.size;
    if (extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4)
        chain->gso = GSO_TCPV4;
    else if (extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV6)
        chain->gso = GSO_TCPV6;
    else
        chain->wrong = "a kind of segmentation that there is not";
    if (chain->gso_size < GSO_SIZE_MIN)
        chain->wrong = "segments too small to be sent";
}

/* False: the ring ends before the packet does. */
static bool read_extras(struct netback_queue *queue, RING_IDX end, struct chain *chain)
{
    struct netif_extra_info extra;
    do {
        if (queue->tx.req_cons == end)
            return false;
        const volatile struct netif_extra_info *shared =
            (const volatile void *)RING_GET_REQUEST(&queue->tx, queue->tx.req_cons++);
        extra = *shared;
        /* It answers what an unsigned char can count, for a ring has not more. */
        chain->request->extras++;
        if (extra.type == XEN_NETIF_EXTRA_TYPE_GSO) {
            read_gso(chain, &extra);
        } else if (extra.type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD ||
                   extra.type == XEN_NETIF_EXTRA_TYPE_MCAST_DEL) {
            chain->multicast = extra.type;
            memcpy(chain->address, extra.u.mcast.addr, MAC_SIZE);
        } else {
            chain->wrong = "extra information of an unknown kind";
        }
    } while (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
    return true;
}

static bool read_slots(struct netback_queue *queue, RING_IDX end, struct chain *chain)
{
    uint16_t flags = chain->slot[0].flags;
    while (flags & NETTXF_more_data) {
        struct netif_tx_request slot;
        if (queue->tx.req_cons == end)
            return false;
        RING_COPY_REQUEST(&queue->tx, queue->tx.req_cons++, &slot);
        flags = slot.flags;
        if (chain->slots < NETBACK_SLOTS) {
            chain->request->ids[chain->slots] = slot.id;
            chain->slot[chain->slots++] = slot;
        } else {
            respond(queue, slot.id, NETIF_RSP_ERROR);
            chain->wrong = "more pieces than a packet may have";
        }
    }
    return true;
}

/* The first slot's size is the whole packet's: makes it the slot's own. */
static void check_sizes(struct chain *chain)
{
    uint32_t others = 0;
    for (unsigned i = 1; i < chain->slots; i++)
        others += chain->slot[i].size;
    if (others + ETHERNET_HEADER > chain->slot[0].size) {
        chain->wrong = "pieces larger than the packet, or no room for its header";
        return;
    }
    chain->slot[0].size = (uint16_t)(chain->slot[0].size - others);
    for (unsigned i = 0; i < chain->slots; i++)
        if (!chain->slot[i].size || chain->slot[i].offset + chain->slot[i].size > NETBACK_PAGE)
            chain->wrong = "an empty piece, or one that leaves its page";
}

/* False: the ring is broken. */
static bool read_chain(struct netback_queue *queue, RING_IDX end, struct chain *chain)
{
    struct netback_request *request = queue->free_request;
    queue->free_request = request->next;
    *request = (struct netback_request){.queue = queue};
    chain->request = request;
    chain->slots = 1;
    chain->gso = GSO_NONE;
    chain->multicast = 0;
    chain->wrong = NULL;

    RING_COPY_REQUEST(&queue->tx, queue->tx.req_cons++, &chain->slot[0]);
    request->ids[0] = chain->slot[0].id;
    bool whole = (!(chain->slot[0].flags & NETTXF_extra_info) || read_extras(queue, end, chain)) &&
                 read_slots(queue, end, chain);
    request->slots = (uint8_t)chain->slots;
    if (whole && !chain->wrong && !chain->multicast)
        check_sizes(chain);
    return whole;
}

/* --- copying -------------------------------------------------------------------------------------------- */

static void copy_slot(struct packet *packet, uint32_t at, domid_t domid, const struct netif_tx_request *slot,
                      uint32_t bytes)
{
    uint64_t to = (uint64_t)packet->fragment[0].data + at;
    batch.piece[batch.pieces++] = (struct gnttab_copy){
        .source = {.u.ref = slot->gref, .domid = domid, .offset = slot->offset},
        .dest = {.u.gmfn = to / NETBACK_PAGE, .domid = DOMID_SELF, .offset = (uint16_t)(to % NETBACK_PAGE)},
        .len = (uint16_t)bytes,
        .flags = GNTCOPY_source_gref};
}

/* Plans the copy of the packet's first bytes and makes fragments of the rest. */
static struct packet *make_packet(const struct netback_queue *queue, const struct chain *chain)
{
    domid_t domid = queue->vif->backend->domid;
    uint32_t length = 0, copied = 0;
    for (unsigned i = 0; i < chain->slots; i++)
        length += chain->slot[i].size;
    uint32_t head = length <= PACKET_INLINE ? length : PACKET_HEAD;
    struct packet *packet = packet_alloc(head);
    if (!packet)
        return NULL;
    packet->length = length;
    for (unsigned i = 0; i < chain->slots; i++) {
        const struct netif_tx_request *slot = &chain->slot[i];
        uint32_t now = slot->size < head - copied ? slot->size : head - copied;
        if (now)
            copy_slot(packet, copied, domid, slot, now);
        copied += now;
        if (now < slot->size)
            packet->fragment[packet->fragment_count++] =
                (struct packet_fragment){.bytes = slot->size - now,
                                         .domid = domid,
                                         .ref = slot->gref,
                                         .ref_offset = (uint16_t)(slot->offset + now)};
    }
    packet->gso = chain->gso;
    packet->gso_size = chain->gso_size;
    return packet;
}

/* True when the packet may be sent on. */
static bool look_at_headers(struct packet *packet, uint16_t flags)
{
    if (packet->gso == GSO_NONE && !(flags & NETTXF_csum_blank)) {
        packet->checksum_good = flags & NETTXF_data_validated;
        return true;
    }
    packet->checksum_good = true;
    return packet_find_checksum(packet);
}

static void send_on(struct netback_queue *queue, struct packet *packet, struct netback_request *request,
                    uint16_t flags)
{
    bool good = look_at_headers(packet, flags);
    request->status = good ? NETIF_RSP_OKAY : NETIF_RSP_ERROR;
    if (packet->fragment_count > 1) {
        packet->release = released;
        packet->owner = request;
        queue->held++;
    } else {
        complete(request);
    }
    if (good) {
        bridge_input(&queue->vif->port, packet);
    } else {
        queue->vif->port.dropped++;
        backend_complain(queue->vif->backend, "sent headers that do not fit their packet");
    }
    packet_put(packet);
}

static void copy_batch(struct netback_queue *queue)
{
    bool all = !batch.pieces || grant_copy(batch.piece, batch.pieces);
    for (unsigned i = 0; i < batch.packets; i++) {
        struct packet *packet = batch.taken[i].packet;
        const struct gnttab_copy *piece = batch.piece + batch.taken[i].first_piece;
        bool good = true;
        for (unsigned n = 0; !all && n < batch.taken[i].pieces; n++)
            good &= piece[n].status == GNTST_okay;
        if (good) {
            send_on(queue, packet, batch.taken[i].request, batch.taken[i].flags);
            continue;
        }
        packet_put(packet);
        batch.taken[i].request->status = NETIF_RSP_ERROR;
        complete(batch.taken[i].request);
        queue->vif->port.dropped++;
        backend_complain(queue->vif->backend, "sent pages that are not granted");
    }
    batch.packets = batch.pieces = 0;
}

/* --- a pass --------------------------------------------------------------------------------------------- */

static bool change_multicast(struct netback *vif, const struct chain *chain)
{
    unsigned at = 0;
    while (at < vif->multicast_count && memcmp(vif->multicast[at], chain->address, MAC_SIZE))
        at++;
    bool known = at < vif->multicast_count;
    if (chain->multicast == XEN_NETIF_EXTRA_TYPE_MCAST_ADD) {
        if (known || vif->multicast_count == NETBACK_MULTICASTS)
            return known;
        memcpy(vif->multicast[vif->multicast_count++], chain->address, MAC_SIZE);
    } else if (known) {
        memcpy(vif->multicast[at], vif->multicast[--vif->multicast_count], MAC_SIZE);
    }
    return true;
}

static void answer_at_once(struct chain *chain, bool good)
{
    chain->request->status = good ? NETIF_RSP_OKAY : NETIF_RSP_ERROR;
    complete(chain->request);
}

static void take_chain(struct netback_queue *queue, struct chain *chain)
{
    struct netback *vif = queue->vif;
    struct packet *packet = NULL;
    if (chain->wrong) {
        backend_complain(vif->backend, "sent a packet with %s", chain->wrong);
    } else if (chain->multicast) {
        answer_at_once(chain, change_multicast(vif, chain));
        return;
    } else {
        unsigned first = batch.pieces;
        packet = make_packet(queue, chain);
        if (packet) {
            batch.taken[batch.packets].packet = packet;
            batch.taken[batch.packets].request = chain->request;
            batch.taken[batch.packets].flags = chain->slot[0].flags;
            batch.taken[batch.packets].first_piece = first;
            batch.taken[batch.packets++].pieces = batch.pieces - first;
            vif->credit -= packet->length;
        }
    }
    if (!packet) {
        vif->port.dropped++;
        answer_at_once(chain, false);
    }
}

/*
 * False: the guest has sent what it may for now; the pass is called again when it may more. What a packet is
 * over the limit it pays back later.
 */
static bool has_credit(struct netback_queue *queue)
{
    struct netback *vif = queue->vif;
    if (!vif->rate_bytes || vif->credit > 0)
        return true;
    uint64_t now = time_ns();
    if (now >= vif->window_end) {
        vif->credit += (int64_t)vif->rate_bytes;
        vif->window_end = now + vif->rate_ns;
    }
    if (vif->credit > 0)
        return true;
    work_at(&queue->tx_more, vif->window_end);
    return false;
}

void netback_tx_pass(struct netback_queue *queue)
{
    if (queue->broken)
        return;
    RING_IDX end = __atomic_load_n(&queue->tx.sring->req_prod, __ATOMIC_ACQUIRE);
    if (RING_REQUEST_PROD_OVERFLOW(&queue->tx, end)) {
        netback_break(queue, "its transmit ring has more requests than places");
        return;
    }
    struct chain chain;
    bool whole = true, credit = true;
    while (queue->tx.req_cons != end && (credit = has_credit(queue))) {
        if (!(whole = read_chain(queue, end, &chain)))
            break;
        take_chain(queue, &chain);
        if (batch.packets == BATCH_PACKETS || batch.pieces > BATCH_PIECES - NETBACK_SLOTS)
            copy_batch(queue);
    }
    copy_batch(queue);
    push(queue);
    bridge_flush();
    if (!whole) {
        netback_break(queue, "its transmit ring ends in the middle of a packet");
        return;
    }
    queue->tx.sring->req_event = queue->tx.req_cons + 1;
    xen_mb();
    if (credit && __atomic_load_n(&queue->tx.sring->req_prod, __ATOMIC_RELAXED) != queue->tx.req_cons)
        work_later(&queue->tx_more);
}

static void run_more(struct work *work)
{
    netback_tx_pass(work->owner);
}

bool netback_tx_init(struct netback_queue *queue)
{
    queue->tx_more.run = run_more;
    queue->tx_more.owner = queue;
    queue->requests = mem_alloc(NETBACK_RING * sizeof *queue->requests);
    if (!queue->requests)
        return false;
    for (unsigned i = 0; i < NETBACK_RING; i++) {
        queue->requests[i].next = queue->free_request;
        queue->free_request = &queue->requests[i];
    }
    return true;
}
