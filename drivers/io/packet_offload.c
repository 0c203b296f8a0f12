/*
 * What a card with offloads would do with a packet: find the headers, fill in checksums, cut large ones into
 * pieces (drivers/nic.h).
 *
 * Headers are a guest's and are believed only as far as they agree with the packet's length; multi-byte
 * fields are big-endian. Checksums are RFC 1071's, summed in the machine's byte order, which comes out the
 * same.
 */
#include <drivers/nic.h>
#include <lib/string.h>

#define TYPE_IPV4        0x0800
#define TYPE_IPV6        0x86dd
#define TYPE_VLAN        0x8100
#define TYPE_SERVICE_TAG 0x88a8

#define IPV6_HEADER 40
#define TCP_HEADER  20
#define UDP_HEADER  8

enum protocol { HOP_BY_HOP = 0, TCP = 6, UDP = 17, ROUTING = 43, FRAGMENT = 44, DESTINATION_OPTIONS = 60 };

#define TCP_SEQUENCE 4
#define TCP_LENGTH   12 /* upper half of the byte: in words */
#define TCP_FLAGS    13
#define TCP_CHECKSUM 16
#define UDP_CHECKSUM 6
#define TCP_FIN      0x01
#define TCP_PSH      0x08
#define TCP_CWR      0x80

/* No path has so small segments that a packet needs more of them. */
#define PIECES_MAX 1400

struct headers {
    unsigned version;       /* 4 or 6; 0: not IP */
    uint32_t ip, transport; /* offsets */
    uint32_t end;           /* of the IP packet */
    uint8_t protocol;
    bool fragment; /* of an IP packet that was cut: the transport's header may be elsewhere */
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value);
}

/* --- headers -------------------------------------------------------------------------------------------- */

static bool parse_ipv4(const uint8_t *data, uint32_t size, uint32_t length, struct headers *h)
{
    const uint8_t *ip = data + h->ip;
    if (h->ip + 20 > size || ip[0] >> 4 != 4)
        return false;
    uint32_t header = (ip[0] & 15u) * 4, total = get16(ip + 2);
    h->version = 4;
    h->transport = h->ip + header;
    h->end = h->ip + total;
    h->protocol = ip[9];
    h->fragment = get16(ip + 6) & 0x3fff;
    return header >= 20 && h->transport <= size && total >= header && h->end <= length;
}

static bool parse_ipv6(const uint8_t *data, uint32_t size, uint32_t length, struct headers *h)
{
    const uint8_t *ip = data + h->ip;
    if (h->ip + IPV6_HEADER > size || ip[0] >> 4 != 6)
        return false;
    h->version = 6;
    h->transport = h->ip + IPV6_HEADER;
    h->end = h->transport + get16(ip + 4);
    h->protocol = ip[6];
    h->fragment = false;
    while (h->protocol == HOP_BY_HOP || h->protocol == ROUTING || h->protocol == DESTINATION_OPTIONS ||
           h->protocol == FRAGMENT) {
        if (h->transport + 8 > size)
            return false;
        const uint8_t *extension = data + h->transport;
        h->fragment |= h->protocol == FRAGMENT;
        h->transport += h->protocol == FRAGMENT ? 8 : (extension[1] + 1u) * 8;
        h->protocol = extension[0];
    }
    return h->transport <= size && h->transport <= h->end && h->end <= length;
}

/* size: bytes that can be read at data; length: of the packet. */
static bool parse(const uint8_t *data, uint32_t size, uint32_t length, struct headers *h)
{
    uint32_t type_at = 12;
    if (size > length)
        size = length;
    while (type_at + 2 <= size &&
           (get16(data + type_at) == TYPE_VLAN || get16(data + type_at) == TYPE_SERVICE_TAG))
        type_at += VLAN_TAG;
    if (type_at + 2 > size)
        return false;
    h->ip = type_at + 2;
    switch (get16(data + type_at)) {
    case TYPE_IPV4:
        return parse_ipv4(data, size, length, h);
    case TYPE_IPV6:
        return parse_ipv6(data, size, length, h);
    default:
        return false;
    }
}

/* Size of the TCP header; 0: it lies. */
static uint32_t tcp_header(const uint8_t *data, uint32_t size, const struct headers *h)
{
    if (h->protocol != TCP || h->fragment || h->transport + TCP_HEADER > size)
        return 0;
    uint32_t header = (data[h->transport + TCP_LENGTH] >> 4) * 4u;
    return header >= TCP_HEADER && h->transport + header <= h->end ? header : 0;
}

/* --- sums ----------------------------------------------------------------------------------------------- */

static uint64_t add(uint64_t sum, const uint8_t *data, size_t size)
{
    for (; size >= 4; data += 4, size -= 4) {
        uint32_t word;
        __builtin_memcpy(&word, data, sizeof word);
        sum += word;
    }
    for (; size >= 2; data += 2, size -= 2)
        sum += (uint32_t)(data[1] << 8 | data[0]);
    return size ? sum + data[0] : sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void store_sum(uint8_t *at, uint16_t sum)
{
    at[0] = (uint8_t)sum;
    at[1] = (uint8_t)(sum >> 8);
}

/* Of both addresses, protocol and length; bytes: from the transport's header to the end. */
static uint64_t pseudo_header(const uint8_t *data, const struct headers *h, uint32_t bytes)
{
    uint8_t tail[4] = {0, h->protocol};
    put16(tail + 2, bytes);
    uint64_t sum = add(0, tail, sizeof tail);
    return h->version == 4 ? add(sum, data + h->ip + 12, 8) : add(sum, data + h->ip + 8, 32);
}

/* A sum of 0 is written as all ones, which is the same number, as UDP takes 0 for "none". */
static void fill_in(uint8_t *data, uint32_t length, uint32_t start, uint32_t offset)
{
    uint16_t sum = (uint16_t)~fold(add(0, data + start, length - start));
    store_sum(data + start + offset, sum ? sum : 0xffff);
}

bool packet_find_checksum(struct packet *packet)
{
    struct headers h;
    uint8_t *data = packet->fragment[0].data;
    uint32_t size = packet->fragment[0].bytes;
    if (!parse(data, size, packet->length, &h) || h.fragment)
        return false;
    if (packet->gso != GSO_NONE) {
        uint32_t header = tcp_header(data, size, &h);
        packet->header_size = (uint16_t)(h.transport + header);
        if (!header || h.version != (packet->gso == GSO_TCPV4 ? 4u : 6u) || h.end != packet->length ||
            packet->header_size > PACKET_HEAD || packet->header_size > size ||
            packet->header_size == packet->length)
            return false;
    }
    bool tcp = h.protocol == TCP;
    if (!tcp && h.protocol != UDP)
        return false;
    uint32_t minimum = tcp ? TCP_HEADER : UDP_HEADER;
    if (h.transport + minimum > size || h.transport + minimum > h.end)
        return false;
    packet->checksum_blank = true;
    packet->checksum_start = (uint16_t)h.transport;
    packet->checksum_offset = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
    store_sum(data + h.transport + packet->checksum_offset,
              fold(pseudo_header(data, &h, h.end - h.transport)));
    return true;
}

uint32_t packet_flow(const struct packet *packet)
{
    struct headers h;
    const uint8_t *data = packet->fragment[0].data;
    uint32_t size = packet->fragment[0].bytes;
    if (!parse(data, size, packet->length, &h))
        return 0;
    uint64_t sum =
        h.version == 4 ? add(h.protocol, data + h.ip + 12, 8) : add(h.protocol, data + h.ip + 8, 32);
    if (!h.fragment && (h.protocol == TCP || h.protocol == UDP) && h.transport + 4 <= size)
        sum += (uint64_t)get32(data + h.transport) << 13;
    return (uint32_t)(sum * 0x9e3779b97f4a7c15ull >> 32);
}

/* --- cutting -------------------------------------------------------------------------------------------- */

static struct packet *flatten_one(struct packet *packet)
{
    struct packet *copy = packet_alloc(packet->length);
    if (!copy)
        return NULL;
    uint32_t start = packet->checksum_start, offset = packet->checksum_offset;
    bool fits = !packet->checksum_blank || start + offset + 2 <= packet->length;
    if (!fits || !packet_read(packet, 0, copy->fragment[0].data, packet->length)) {
        packet_put(copy);
        return NULL;
    }
    if (packet->checksum_blank)
        fill_in(copy->fragment[0].data, packet->length, start, offset);
    copy->checksum_good = packet->checksum_good || packet->checksum_blank;
    return copy;
}

static void put_list(struct packet *list)
{
    for (struct packet *next; list; list = next) {
        next = list->next;
        packet_put(list);
    }
}

/* Piece number index, whose payload stands at offset in whole. */
static struct packet *make_piece(const uint8_t *whole, const struct headers *h, uint32_t header,
                                 uint32_t offset, uint32_t bytes, uint32_t index, bool last)
{
    struct packet *piece = packet_alloc(header + bytes);
    if (!piece)
        return NULL;
    uint8_t *data = piece->fragment[0].data, *ip = data + h->ip, *tcp = data + h->transport;
    memcpy(data, whole, header);
    memcpy(data + header, whole + offset, bytes);
    if (h->version == 4) {
        put16(ip + 2, piece->length - h->ip);
        put16(ip + 4, get16(ip + 4) + index);
        put16(ip + 10, 0);
        store_sum(ip + 10, (uint16_t)~fold(add(0, ip, h->transport - h->ip)));
    } else {
        put16(ip + 4, piece->length - h->ip - IPV6_HEADER);
    }
    put32(tcp + TCP_SEQUENCE, get32(tcp + TCP_SEQUENCE) + (offset - header));
    if (!last)
        tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (index)
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    store_sum(tcp + TCP_CHECKSUM, fold(pseudo_header(data, h, piece->length - h->transport)));
    fill_in(data, piece->length, h->transport, TCP_CHECKSUM);
    piece->checksum_good = true;
    return piece;
}

static struct packet *segment(struct packet *packet, uint32_t mtu)
{
    static uint8_t whole[PACKET_MAX];
    struct headers h;
    uint32_t length = packet->length, size = packet->gso_size;
    if (!size || length > sizeof whole || !packet_read(packet, 0, whole, length) ||
        !parse(whole, length, length, &h))
        return NULL;
    uint32_t tcp = tcp_header(whole, length, &h), header = h.transport + tcp;
    if (!tcp || h.end != length || h.version != (packet->gso == GSO_TCPV4 ? 4u : 6u) || header == length)
        return NULL;
    if (header + size - h.ip > mtu || (length - header) / size >= PIECES_MAX)
        return NULL;
    struct packet *list = NULL, **link = &list;
    for (uint32_t at = header, index = 0; at < length; at += size, index++) {
        bool last = length - at <= size;
        *link = make_piece(whole, &h, header, at, last ? length - at : size, index, last);
        if (!*link) {
            put_list(list);
            return NULL;
        }
        link = &(*link)->next;
    }
    return list;
}

struct packet *packet_flatten(struct packet *packet, uint32_t mtu)
{
    return packet->gso == GSO_NONE ? flatten_one(packet) : segment(packet, mtu);
}
