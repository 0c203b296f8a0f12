/*
 * Ethernet, ARP, IPv4, ICMP, UDP and TCP headers for test guests: written and looked at byte by byte, as they
 * go over the wire. Addresses are numbers: 10.0.2.2 is 0x0a000202.
 */
#ifndef TESTS_GUEST_PACKET_H
#define TESTS_GUEST_PACKET_H

#include <drivers/netfront.h>
#include <lib/string.h>

#define ETHERNET_HEAD 14u
#define IP_HEAD       20u
#define TCP_HEAD      20u
#define UDP_HEAD      8u
#define ICMP_HEAD     8u
#define AT_IP         ETHERNET_HEAD
#define AT_PAYLOAD    (ETHERNET_HEAD + IP_HEAD) /* of IP */

enum { TYPE_IP = 0x0800, TYPE_ARP = 0x0806 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value);
}

/* The ones' complement sum (RFC 1071) of bytes, on from a sum. */
static inline uint16_t sum16(const uint8_t *p, uint32_t bytes, uint32_t sum)
{
    for (; bytes > 1; p += 2, bytes -= 2) {
        sum += get16(p);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if (bytes)
        sum += (uint32_t)p[0] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static inline bool parse_address(const char *text, uint32_t *address)
{
    uint32_t value = 0, part = 0, parts = 1, digits = 0;
    for (; *text; text++) {
        if (*text == '.' && digits) {
            value = value << 8 | part;
            part = digits = 0;
            parts++;
        } else if (*text >= '0' && *text <= '9' && part < 256) {
            part = part * 10 + (uint32_t)(*text - '0');
            digits++;
        } else {
            return false;
        }
    }
    *address = value << 8 | part;
    return parts == 4 && digits && part < 256;
}

#define ADDRESS_FORMAT   "%u.%u.%u.%u"
#define ADDRESS_PARTS(a) (a) >> 24, (a) >> 16 & 255, (a) >> 8 & 255, (a)&255

static inline void put_ethernet(struct net_frame *frame, const uint8_t *to, const uint8_t *from,
                                uint16_t type)
{
    memcpy(frame->data, to, 6);
    memcpy(frame->data + 6, from, 6);
    put16(frame->data + 12, type);
    frame->checksum_blank = false;
    frame->gso_type = 0;
    frame->gso_size = 0;
}

/* IP's header for so many bytes of payload; the frame is that long then. */
static inline void put_ip(struct net_frame *frame, uint8_t protocol, uint32_t from, uint32_t to,
                          uint32_t payload)
{
    uint8_t *ip = frame->data + AT_IP;
    memset(ip, 0, IP_HEAD);
    ip[0] = 0x45;
    put16(ip + 2, IP_HEAD + payload);
    ip[6] = 0x40; /* not to be cut */
    ip[8] = 64;
    ip[9] = protocol;
    put32(ip + 12, from);
    put32(ip + 16, to);
    put16(ip + 10, (uint16_t)~sum16(ip, IP_HEAD, 0));
    frame->length = AT_PAYLOAD + payload;
}

/* The sum over what TCP and UDP take of IP's header. */
static inline uint16_t pseudo_sum(const struct net_frame *frame)
{
    const uint8_t *ip = frame->data + AT_IP;
    return sum16(ip + 12, 8, ip[9] + (uint32_t)get16(ip + 2) - IP_HEAD);
}

/*
 * TCP's or UDP's sum, at that offset in its header; blank: the pseudo header's only, the rest is the card's.
 */
static inline void put_checksum(struct net_frame *frame, uint32_t offset, bool blank)
{
    uint8_t *payload = frame->data + AT_PAYLOAD;
    uint16_t sum = pseudo_sum(frame);
    put16(payload + offset, 0);
    if (!blank)
        sum = (uint16_t)~sum16(payload, frame->length - AT_PAYLOAD, sum);
    put16(payload + offset, sum);
    frame->checksum_blank = blank;
}

static inline bool checksum_holds(const struct net_frame *frame)
{
    return sum16(frame->data + AT_PAYLOAD, get16(frame->data + AT_IP + 2) - IP_HEAD, pseudo_sum(frame)) ==
           0xffff;
}

static inline void put_arp(struct net_frame *frame, const uint8_t *own_mac, uint32_t own, uint16_t operation,
                           const uint8_t *to_mac, uint32_t to)
{
    uint8_t *arp = frame->data + ETHERNET_HEAD;
    put_ethernet(frame, operation == 1 ? everybody : to_mac, own_mac, TYPE_ARP);
    put16(arp, 1);
    put16(arp + 2, TYPE_IP);
    arp[4] = 6;
    arp[5] = 4;
    put16(arp + 6, operation);
    memcpy(arp + 8, own_mac, 6);
    put32(arp + 14, own);
    memcpy(arp + 18, to_mac, 6);
    put32(arp + 24, to);
    frame->length = ETHERNET_HEAD + 28;
}

/* An IPv4 packet of that protocol for us, whole and with no options, as all that are sent here. */
static inline bool is_for_us(const struct net_frame *frame, uint8_t protocol, uint32_t own)
{
    const uint8_t *ip = frame->data + AT_IP;
    return frame->length >= AT_PAYLOAD + ICMP_HEAD && get16(frame->data + 12) == TYPE_IP && ip[0] == 0x45 &&
           ip[9] == protocol && get32(ip + 16) == own && get16(ip + 2) >= IP_HEAD + ICMP_HEAD &&
           get16(ip + 2) <= frame->length - AT_IP;
}

#endif
