/*
 * Virtio network cards (drivers/nic.h, virtio.h; Virtio 1.2, section 5.1). Handler context but for probe().
 *
 * Receive buffers are packets; one that comes in several buffers keeps the others until it is released
 * itself. Sums that were not computed and segments that were not cut pass through in both directions.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <drivers/nic.h>
#include "drivers.h"
#include "virtio.h"

#define MILLISECOND   1000000ull
#define TRANSMIT_TIME (5000 * MILLISECOND)
#define REFILL_TIME   (10 * MILLISECOND)
#define RING_MAX      256
#define RING_MIN      4
#define DEFAULT_MTU   1500

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_CONTROL };

#define FEATURE_CHECKSUM       (1ull << 0)
#define FEATURE_GUEST_CHECKSUM (1ull << 1)
#define FEATURE_MAC            (1ull << 5)
#define FEATURE_GUEST_TSO4     (1ull << 7)
#define FEATURE_GUEST_TSO6     (1ull << 8)
#define FEATURE_HOST_TSO4      (1ull << 11)
#define FEATURE_HOST_TSO6      (1ull << 12)
#define FEATURE_MERGE          (1ull << 15)
#define FEATURE_STATUS         (1ull << 16)
#define FEATURE_CONTROL        (1ull << 17)
#define FEATURE_CONTROL_FILTER (1ull << 18)
#define FEATURES_GUEST_TSO     (FEATURE_GUEST_TSO4 | FEATURE_GUEST_TSO6)
#define FEATURES                                                                                             \
    (FEATURE_CHECKSUM | FEATURE_GUEST_CHECKSUM | FEATURE_MAC | FEATURES_GUEST_TSO | FEATURE_HOST_TSO4 |      \
     FEATURE_HOST_TSO6 | FEATURE_MERGE | FEATURE_STATUS | FEATURE_CONTROL | FEATURE_CONTROL_FILTER)

/* The device's configuration. */
struct config {
    uint8_t mac[MAC_SIZE];
    uint16_t status;
};
#define STATUS_LINK_UP 1u

/* In front of each packet. */
struct header {
    uint8_t flags, gso;
    uint16_t header_size, gso_size, checksum_start, checksum_offset, buffers;
};
_Static_assert(sizeof(struct header) == 12, "struct virtio_net_hdr_mrg_rxbuf");
#define HEADER_CHECKSUM_BLANK 1u
#define HEADER_CHECKSUM_GOOD  2u
enum { HEADER_GSO_NONE = 0, HEADER_GSO_TCPV4 = 1, HEADER_GSO_TCPV6 = 4 };

#define TCP_CHECKSUM_OFFSET 16
#define TCP_LENGTH_OFFSET   12

/* The one command that is sent: all packets are wanted, as most are for guests behind the bridge. */
struct control {
    uint8_t class, command, on, answer;
};
enum { CLASS_RECEIVE = 0, COMMAND_PROMISCUOUS = 0, ANSWER_OK = 0, ANSWER_NONE = 0xff };

struct virtio_nic {
    struct virtio virtio;
    struct nic nic;
    uint64_t wanted;
    struct virtio_ring receive, transmit, control_ring;
    struct header *headers; /* one for each slot of the transmit ring */
    struct control *control;
    struct work refill;
    uint64_t progress; /* when the device last sent something, or got something to send while idle */

    struct packet *arriving; /* NULL: a first buffer comes next, unless some are to be skipped */
    struct packet *last;     /* of its buffers */
    struct header arriving_header;
    unsigned buffers_left;
};

static struct virtio_nic *nic_of(struct virtio *v)
{
    return (struct virtio_nic *)((char *)v - offsetof(struct virtio_nic, virtio));
}

/* --- receiving ------------------------------------------------------------------------------------------ */

/*
 * Fills the ring with buffers. Without memory it stays as full as it is; an empty one is looked at again
 * soon.
 */
static void give_buffers(struct virtio_nic *n)
{
    while (ring_begin(&n->receive, 1)) {
        struct packet *packet = packet_alloc(PACKET_INLINE);
        if (!packet)
            break;
        ring_buffer(&n->receive, packet->fragment[0].bus, PACKET_INLINE, true);
        ring_end(&n->receive, packet);
    }
    ring_notify(&n->receive);
    if (!n->receive.chains)
        work_at(&n->refill, time_ns() + REFILL_TIME);
}

static void refill(struct work *work)
{
    struct virtio_nic *n = work->owner;
    if (n->virtio.state == VIRTIO_READY)
        give_buffers(n);
}

static void put_buffers(struct packet *packet)
{
    for (struct packet *buffer = packet->owner, *next; buffer; buffer = next) {
        next = buffer->owner;
        packet_put(buffer);
    }
}

static void skip_arriving(struct virtio_nic *n)
{
    if (n->arriving)
        packet_put(n->arriving);
    n->arriving = NULL;
}

/* What the header says of checksum and segments, checked against the packet. False: it lies. */
static bool apply_header(struct packet *packet, const struct header *header, uint64_t features)
{
    const struct packet_fragment *head = &packet->fragment[0];
    if (!(features & FEATURE_GUEST_CHECKSUM))
        return true;
    packet->checksum_good = header->flags & HEADER_CHECKSUM_GOOD;
    packet->checksum_blank = header->flags & HEADER_CHECKSUM_BLANK;
    packet->checksum_start = header->checksum_start;
    packet->checksum_offset = header->checksum_offset;
    if (packet->checksum_blank &&
        (uint32_t)header->checksum_start + header->checksum_offset + 2 > head->bytes)
        return false;
    if (header->gso == HEADER_GSO_NONE)
        return true;
    if (header->gso != HEADER_GSO_TCPV4 && header->gso != HEADER_GSO_TCPV6)
        return false;
    if (!packet->checksum_blank || header->checksum_offset != TCP_CHECKSUM_OFFSET || !header->gso_size)
        return false;
    uint8_t tcp_words = ((const uint8_t *)head->data)[header->checksum_start + TCP_LENGTH_OFFSET] >> 4;
    uint32_t headers = header->checksum_start + tcp_words * 4u;
    packet->gso = header->gso == HEADER_GSO_TCPV4 ? GSO_TCPV4 : GSO_TCPV6;
    packet->gso_size = header->gso_size;
    packet->header_size = (uint16_t)headers;
    return headers <= PACKET_HEAD && headers < packet->length;
}

static void deliver(struct virtio_nic *n)
{
    struct packet *packet = n->arriving;
    uint32_t head = packet->length < PACKET_HEAD ? packet->length : PACKET_HEAD;
    n->arriving = NULL;
    if (packet->length < ETHERNET_HEADER || packet->length > PACKET_MAX || packet->fragment[0].bytes < head ||
        !apply_header(packet, &n->arriving_header, n->virtio.features)) {
        n->nic.port.dropped++;
        packet_put(packet);
        return;
    }
    nic_receive(&n->nic, packet);
}

static void first_buffer(struct virtio_nic *n, struct packet *packet, uint32_t bytes)
{
    struct packet_fragment *fragment = &packet->fragment[0];
    /* Once: what the device changes in it later does not count. */
    memcpy(&n->arriving_header, fragment->data, sizeof n->arriving_header);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    n->buffers_left = n->virtio.features & FEATURE_MERGE ? n->arriving_header.buffers : 1;
    if (bytes <= sizeof(struct header) || !n->buffers_left || n->buffers_left > PACKET_FRAGMENTS) {
        virtio_fail(&n->virtio, "the device handed over a packet without sense");
        packet_put(packet);
        return;
    }
    fragment->data = (char *)fragment->data + sizeof(struct header);
    fragment->bus += sizeof(struct header);
    fragment->bytes = packet->length = bytes - (uint32_t)sizeof(struct header);
    packet->release = put_buffers;
    packet->owner = NULL;
    n->arriving = n->last = packet;
}

static void next_buffer(struct virtio_nic *n, struct packet *buffer, uint32_t bytes)
{
    struct packet *packet = n->arriving;
    struct packet_fragment *fragment = &packet->fragment[packet->fragment_count++];
    *fragment = buffer->fragment[0];
    fragment->bytes = bytes;
    packet->length += bytes;
    buffer->owner = NULL;
    n->last->owner = buffer;
    n->last = buffer;
}

static void receive(struct virtio_nic *n)
{
    struct ring_done done;
    for (uint16_t i = 0;
         i < n->receive.size && n->virtio.state == VIRTIO_READY && ring_take(&n->receive, &done); i++) {
        if (!n->arriving)
            first_buffer(n, done.token, done.bytes);
        else
            next_buffer(n, done.token, done.bytes);
        if (n->arriving && !--n->buffers_left)
            deliver(n);
    }
    bridge_flush();
}

/* --- sending -------------------------------------------------------------------------------------------- */

static void take_sent(struct virtio_nic *n)
{
    struct ring_done done;
    bool any = false;
    for (; ring_take(&n->transmit, &done); any = true)
        packet_put(done.token);
    if (any)
        n->progress = time_ns();
}

static void write_header(struct header *header, const struct packet *packet)
{
    *header = (struct header){.gso = HEADER_GSO_NONE};
    if (packet->checksum_blank) {
        header->flags = HEADER_CHECKSUM_BLANK;
        header->checksum_start = packet->checksum_start;
        header->checksum_offset = packet->checksum_offset;
    }
    if (packet->gso != GSO_NONE) {
        header->gso = packet->gso == GSO_TCPV4 ? HEADER_GSO_TCPV4 : HEADER_GSO_TCPV6;
        header->gso_size = packet->gso_size;
        header->header_size = packet->header_size;
    }
}

static bool transmit(struct nic *nic, struct packet *packet)
{
    struct virtio_nic *n = nic->driver_data;
    struct virtio_ring *ring = &n->transmit;
    if (n->virtio.state != VIRTIO_READY)
        return false;
    if (!ring_begin(ring, 1 + packet->fragment_count)) {
        ring_notify(ring);
        return false;
    }
    if (!ring->chains)
        n->progress = time_ns();
    struct header *header = &n->headers[ring->head];
    write_header(header, packet);
    ring_buffer(ring, dma_address(header), sizeof *header, false);
    for (unsigned i = 0; i < packet->fragment_count; i++)
        ring_buffer(ring, packet->fragment[i].bus, packet->fragment[i].bytes, false);
    ring_end(ring, packet_get(packet));
    virtio_watch(&n->virtio);
    return true;
}

static void flush(struct nic *nic)
{
    struct virtio_nic *n = nic->driver_data;
    if (n->virtio.state == VIRTIO_READY)
        ring_notify(&n->transmit);
}

/* --- what the device tells ------------------------------------------------------------------------------ */

static void on_queues(struct virtio *v)
{
    struct virtio_nic *n = nic_of(v);
    struct ring_done done;
    take_sent(n);
    receive(n);
    if (v->state != VIRTIO_READY)
        return;
    give_buffers(n);
    if (n->control_ring.chains && ring_take(&n->control_ring, &done) &&
        *(volatile uint8_t *)&n->control->answer != ANSWER_OK)
        print("%s: the card receives nothing that is for guests: it refuses to take all packets\n", v->name);
    bool more = ring_arm(&n->receive);
    if (ring_arm(&n->transmit) || more)
        virtio_again(v);
    if (n->receive.broken || n->transmit.broken || n->control_ring.broken)
        virtio_fail(v, "the device answered what it was not asked");
}

static bool link_is_up(struct virtio_nic *n)
{
    uint16_t status;
    virtio_config(&n->virtio, offsetof(struct config, status), &status, sizeof status);
    return !(n->virtio.features & FEATURE_STATUS) || status & STATUS_LINK_UP;
}

static void on_config(struct virtio *v)
{
    struct virtio_nic *n = nic_of(v);
    nic_link_changed(&n->nic, link_is_up(n));
}

static const char *check(struct virtio *v, bool *busy)
{
    struct virtio_nic *n = nic_of(v);
    *busy = n->transmit.chains;
    if (!*busy)
        return NULL;
    if (time_ns() - n->progress >= TRANSMIT_TIME)
        return "a packet was not sent in time";
    return virtio_is_broken(v) ? "the device has failed or is gone" : NULL;
}

/* --- starting and stopping ------------------------------------------------------------------------------ */

static void take_all_packets(struct virtio_nic *n)
{
    struct virtio_ring *ring = &n->control_ring;
    if (!ring->size || !ring_begin(ring, 3))
        return;
    *n->control = (struct control){CLASS_RECEIVE, COMMAND_PROMISCUOUS, 1, ANSWER_NONE};
    ring_buffer(ring, dma_address(&n->control->class), 2, false);
    ring_buffer(ring, dma_address(&n->control->on), 1, false);
    ring_buffer(ring, dma_address(&n->control->answer), 1, true);
    ring_end(ring, n->control);
    ring_notify(ring);
}

static bool start(struct virtio_nic *n)
{
    struct virtio *v = &n->virtio;
    ring_clear(&n->receive, v->features);
    ring_clear(&n->transmit, v->features);
    if (n->control_ring.size)
        ring_clear(&n->control_ring, v->features);
    if (!virtio_queue_start(v, QUEUE_RECEIVE, &n->receive) ||
        !virtio_queue_start(v, QUEUE_TRANSMIT, &n->transmit) ||
        (n->control_ring.size && !virtio_queue_start(v, QUEUE_CONTROL, &n->control_ring)))
        return false;
    virtio_start(v);
    give_buffers(n);
    take_all_packets(n);
    return true;
}

static bool stopped(struct virtio *v, bool usable)
{
    struct virtio_nic *n = nic_of(v);
    uint64_t features = v->features;
    struct packet *packet;
    skip_arriving(n);
    while ((packet = ring_reclaim(&n->receive)) || (packet = ring_reclaim(&n->transmit)))
        packet_put(packet);
    ring_reclaim(&n->control_ring);
    if (!usable) {
        work_cancel(&n->refill);
        nic_link_changed(&n->nic, false);
        return true;
    }
    if (!virtio_negotiate(v, n->wanted) || v->features != features || !start(n))
        return false;
    nic_link_changed(&n->nic, link_is_up(n));
    return true;
}

static const struct virtio_driver driver = {
    .queues = on_queues, .config = on_config, .check = check, .stopped = stopped};

/* --- finding one ---------------------------------------------------------------------------------------- */

static bool create_ring(struct virtio_nic *n, uint16_t queue, struct virtio_ring *ring, uint16_t chain_limit)
{
    uint16_t size = virtio_queue_size(&n->virtio, queue);
    if (size > RING_MAX)
        size = RING_MAX;
    return size >= RING_MIN && !(size & (size - 1)) && ring_create(ring, size, chain_limit);
}

static bool create_rings(struct virtio_nic *n)
{
    if (!create_ring(n, QUEUE_RECEIVE, &n->receive, 1) ||
        !create_ring(n, QUEUE_TRANSMIT, &n->transmit, 1 + PACKET_FRAGMENTS))
        return false;
    if (n->virtio.features & FEATURE_CONTROL_FILTER && !create_ring(n, QUEUE_CONTROL, &n->control_ring, 3))
        return false;
    /* Headers, and behind them the command. */
    size_t header_bytes = n->transmit.size * sizeof *n->headers;
    n->headers = dma_alloc((header_bytes + sizeof *n->control + 4095) / 4096);
    n->control = (struct control *)((char *)n->headers + header_bytes);
    return n->headers;
}

static void describe(struct virtio_nic *n)
{
    uint64_t features = n->virtio.features;
    unsigned ring_room = n->transmit.size / 2u;
    struct nic *nic = &n->nic;
    nic->driver = "virtio-net";
    nic->driver_data = n;
    nic->transmit = transmit;
    nic->flush = flush;
    nic->mtu = DEFAULT_MTU;
    nic->checksum_offload = features & FEATURE_CHECKSUM;
    nic->gso_v4 = features & FEATURE_HOST_TSO4;
    nic->gso_v6 = features & FEATURE_HOST_TSO6;
    nic->max_fragments =
        features & VIRTIO_INDIRECT || ring_room > PACKET_FRAGMENTS ? PACKET_FRAGMENTS : ring_room - 1;
    virtio_config(&n->virtio, offsetof(struct config, mac), nic->mac, MAC_SIZE);
    n->refill = (struct work){.run = refill, .owner = n};
}

static void announce(const struct virtio_nic *n)
{
    char name[PCI_NAME];
    const uint8_t *m = n->nic.mac;
    print("%s: virtio-net %s, %02x:%02x:%02x:%02x:%02x:%02x, link %s%s%s%s\n", n->nic.name,
          pci_name(n->virtio.pci, name), m[0], m[1], m[2], m[3], m[4], m[5], n->nic.link ? "up" : "down",
          n->nic.checksum_offload ? ", checksums" : "", n->nic.gso_v4 ? ", GSO" : "",
          n->virtio.features & FEATURES_GUEST_TSO ? ", large receive" : "");
}

static bool set_up(struct virtio_nic *n)
{
    struct virtio *v = &n->virtio;
    uint64_t offered = virtio_offers(v);
    /* Large packets come in several buffers only. */
    n->wanted = offered & FEATURE_MERGE ? FEATURES : FEATURES & ~FEATURES_GUEST_TSO;
    if (!(offered & FEATURE_CONTROL))
        n->wanted &= ~FEATURE_CONTROL_FILTER;
    return virtio_negotiate(v, n->wanted) && v->features & FEATURE_MAC && create_rings(n);
}

static bool probe(struct pci_function *f)
{
    char name[PCI_NAME];
    if (!virtio_is(f, VIRTIO_ID_NET))
        return false;
    struct virtio_nic *n = mem_alloc(sizeof *n);
    if (!n || !virtio_open(&n->virtio, f, &driver)) {
        mem_free(n);
        return false;
    }
    bool works = set_up(n);
    if (works) {
        describe(n);
        n->virtio.name = n->nic.name;
        works = start(n) && nic_add(&n->nic);
    }
    /* What a card that fails here took of memory is not worth the code that gives it back. */
    if (!works) {
        print("%s: the virtio network card cannot be set up: it refuses features or queues, or memory is "
              "short\n",
              pci_name(f, name));
        virtio_close(&n->virtio);
        return false;
    }
    n->nic.link = link_is_up(n);
    f->driver_data = n;
    announce(n);
    return true;
}

const struct pci_driver virtio_net_driver = {.name = "virtio-net", .probe = probe};
