/*
 * A network card, used well. Words on the command line (defaults): device=0 queues=1, split (two event
 * channels), no-checksum, no-gso, no-sg, address=A.B.C.D (by DHCP), and mode=
 *   ping      asks target=10.0.2.2 count=5 times, with packets of several sizes (the default)
 *   answer    answers ARP and pings, until a q is typed
 *   stream    with peer=A.B.C.D, and send, receive, or both: a stream of bytes that both sides know, as TCP
 *             segments, in large packets where the back end takes such; seconds=5, large=65535 (the largest
 *             packet), seed=1. What is lost is sent again, what is wrong is a failure.
 */
#include "check.h"
#include "packet.h"

#define PORT      5001u
#define SEGMENT   1448u         /* a multiple of 8, as all positions in the stream are */
#define WINDOW    (256u << 10)  /* bytes under way */
#define ACK_EVERY (32u << 10)   /* bytes */
#define RESEND    (SECOND / 2)  /* after so long without progress */
#define LINGER    (2 * SECOND)  /* to answer a peer whose end's answer was lost */
#define SILENCE   (20 * SECOND) /* then the other side is given up */
enum { FIN = 0x01, PUSH = 0x08, ACK = 0x10 };

static struct net net;
static struct net_frame in, out;
static uint32_t own, peer;
static uint8_t peer_mac[6];
static uint64_t seed;

static void transmit(void)
{
    for (uint64_t end = pvh_time_ns() + FRONT_PATIENCE; !net_send(&net, 0, &out);) {
        if (pvh_time_ns() > end)
            pvh_panic("a frame of %u bytes cannot be sent", out.length);
        front_sleep(&net.queue[0].tx_port, 1, pvh_time_ns() + MILLISECOND);
    }
}

/* --- what every station does ---------------------------------------------------------------------------- */

static void answer_arp(void)
{
    const uint8_t *arp = in.data + ETHERNET_HEAD;
    if (get16(arp + 6) == 1 && get32(arp + 24) == own) {
        put_arp(&out, net.mac, own, 2, arp + 8, get32(arp + 14));
        transmit();
    } else if (get16(arp + 6) == 2 && get32(arp + 14) == peer) {
        memcpy(peer_mac, arp + 8, 6);
    }
}

static void answer_ping(void)
{
    memcpy(&out, &in, offsetof(struct net_frame, data) + in.length);
    put_ethernet(&out, in.data + 6, net.mac, TYPE_IP);
    put_ip(&out, PROTOCOL_ICMP, own, get32(in.data + AT_IP + 12), in.length - AT_PAYLOAD);
    uint8_t *icmp = out.data + AT_PAYLOAD;
    icmp[0] = 0;
    put16(icmp + 2, 0);
    put16(icmp + 2, (uint16_t)~sum16(icmp, out.length - AT_PAYLOAD, 0));
    transmit();
}

/* True: a frame is in `in` that the caller may be interested in. */
static bool receive(uint64_t deadline)
{
    if (!net_wait(&net, &in, deadline))
        return false;
    if (in.length >= ETHERNET_HEAD + 28 && get16(in.data + 12) == TYPE_ARP)
        answer_arp();
    else if (is_for_us(&in, PROTOCOL_ICMP, own) && in.data[AT_PAYLOAD] == 8)
        answer_ping();
    return true;
}

static bool peer_is_known(void)
{
    return memcmp(peer_mac, "\0\0\0\0\0", 6);
}

static bool resolve(void)
{
    for (uint64_t end = pvh_time_ns() + FRONT_PATIENCE; pvh_time_ns() < end && !peer_is_known();) {
        put_arp(&out, net.mac, own, 1, peer_mac, peer);
        transmit();
        for (uint64_t again = pvh_time_ns() + SECOND / 4; !peer_is_known() && receive(again);)
            ;
    }
    return peer_is_known();
}

/* --- DHCP (RFC 2131), as much as gets an address -------------------------------------------------------- */

enum { DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_ACK = 5 };
#define DHCP_FIXED 240u /* up to the options */

static void dhcp_send(uint8_t type, uint32_t wanted, uint32_t server)
{
    uint8_t *udp = out.data + AT_PAYLOAD, *dhcp = udp + UDP_HEAD, *option = dhcp + DHCP_FIXED;
    memset(dhcp, 0, 300);
    dhcp[0] = 1;
    dhcp[1] = 1;
    dhcp[2] = 6;
    put32(dhcp + 4, (uint32_t)seed);
    put16(dhcp + 10, 0x8000); /* answer to everybody */
    memcpy(dhcp + 28, net.mac, 6);
    put32(dhcp + 236, 0x63825363);
    *option++ = 53;
    *option++ = 1;
    *option++ = type;
    if (type == DHCP_REQUEST) {
        *option++ = 50;
        *option++ = 4;
        put32(option, wanted);
        option[4] = 54;
        option[5] = 4;
        put32(option + 6, server);
        option += 10;
    }
    *option = 255;
    put_ethernet(&out, everybody, net.mac, TYPE_IP);
    put_ip(&out, PROTOCOL_UDP, 0, ~0u, UDP_HEAD + 300);
    put16(udp, 68);
    put16(udp + 2, 67);
    put16(udp + 4, UDP_HEAD + 300);
    put_checksum(&out, 6, net.checksum);
    transmit();
}

/* The value of an option in the answer that is in `in`, or NULL. */
static const uint8_t *dhcp_option(uint8_t wanted, uint8_t size)
{
    const uint8_t *end = in.data + in.length, *option = in.data + AT_PAYLOAD + UDP_HEAD + DHCP_FIXED;
    while (option + 2 <= end && *option != 255) {
        if (*option == 0) {
            option++;
            continue;
        }
        if (option[0] == wanted && option[1] >= size && option + 2 + size <= end)
            return option + 2;
        option += 2 + option[1];
    }
    return NULL;
}

/* Asks again every second until an answer of that type is in `in`. */
static bool dhcp_ask(uint8_t type, uint32_t wanted, uint32_t server, uint8_t expected)
{
    for (unsigned tries = 0; tries < 20; tries++) {
        dhcp_send(type, wanted, server);
        for (uint64_t again = pvh_time_ns() + SECOND; receive(again);) {
            const uint8_t *dhcp = in.data + AT_PAYLOAD + UDP_HEAD, *kind;
            if (in.length > AT_PAYLOAD + UDP_HEAD + DHCP_FIXED && get16(in.data + 12) == TYPE_IP &&
                in.data[AT_IP + 9] == PROTOCOL_UDP && get16(in.data + AT_PAYLOAD + 2) == 68 &&
                get32(dhcp + 4) == (uint32_t)seed && (kind = dhcp_option(53, 1)) && *kind == expected)
                return true;
        }
    }
    return false;
}

static bool dhcp(void)
{
    const uint8_t *dhcp = in.data + AT_PAYLOAD + UDP_HEAD, *server;
    if (!EXPECT(dhcp_ask(DHCP_DISCOVER, 0, 0, DHCP_OFFER)) || !EXPECT(server = dhcp_option(54, 4)))
        return false;
    uint32_t offered = get32(dhcp + 16);
    if (!EXPECT(dhcp_ask(DHCP_REQUEST, offered, get32(server), DHCP_ACK)))
        return false;
    own = get32(dhcp + 16);
    return true;
}

/* --- ping ----------------------------------------------------------------------------------------------- */

static void ping_send(uint16_t number, uint32_t bytes)
{
    uint8_t *icmp = out.data + AT_PAYLOAD;
    put_ethernet(&out, peer_mac, net.mac, TYPE_IP);
    put_ip(&out, PROTOCOL_ICMP, own, peer, ICMP_HEAD + bytes);
    memset(icmp, 0, ICMP_HEAD);
    icmp[0] = 8;
    put16(icmp + 4, (uint32_t)seed);
    put16(icmp + 6, number);
    for (uint32_t i = 0; i < bytes; i++)
        icmp[ICMP_HEAD + i] = (uint8_t)(i * 7 + number);
    put16(icmp + 2, (uint16_t)~sum16(icmp, ICMP_HEAD + bytes, 0));
    transmit();
}

static bool ping_is_answered(uint16_t number, uint32_t bytes)
{
    for (uint64_t end = pvh_time_ns() + 2 * SECOND; receive(end);) {
        const uint8_t *icmp = in.data + AT_PAYLOAD;
        if (!is_for_us(&in, PROTOCOL_ICMP, own) || icmp[0] != 0 || get16(icmp + 6) != number)
            continue;
        EXPECT_EQ(get16(in.data + AT_IP + 2), IP_HEAD + ICMP_HEAD + bytes);
        EXPECT_EQ(sum16(icmp, ICMP_HEAD + bytes, 0), 0xffff);
        uint32_t good = 0;
        while (good < bytes && icmp[ICMP_HEAD + good] == (uint8_t)(good * 7 + number))
            good++;
        return EXPECT_EQ(good, bytes);
    }
    return false;
}

static void ping(void)
{
    static const uint32_t sizes[] = {56, 0, 1, 1000, 1472};
    uint64_t count = option_number("count", 5), answers = 0;
    if (!EXPECT(resolve()))
        return;
    for (uint16_t i = 0; i < count; i++) {
        uint32_t bytes = sizes[i % ARRAY_SIZE(sizes)];
        ping_send(i, bytes);
        answers += ping_is_answered(i, bytes);
    }
    pvh_printf("ping: %lu of %lu answered\n", answers, count);
    EXPECT_EQ(answers, count);
}

static void answer(void)
{
    pvh_printf("answering\n");
    while (pvh_getchar() != 'q')
        receive(pvh_time_ns() + 20 * MILLISECOND);
}

/* --- stream --------------------------------------------------------------------------------------------- */

static struct {
    bool sends, receives;
    uint64_t acked, next, end; /* what we send: positions in the stream; end is known when the time is up */
    bool time_is_up, end_acked;
    uint64_t expected, said; /* what we get; what of it we have acknowledged */
    bool end_seen;
    uint64_t progress; /* when anything moved last */
    uint64_t packets, large, blank, again;
} stream;

static uint64_t stream_word(uint64_t position)
{
    uint64_t word = (position / 8 + 1) * 0x9e3779b97f4a7c15ull ^ seed * 0xbf58476d1ce4e5b9ull;
    return word ^ word >> 31;
}

/* A position from the 32 bits of it that a segment has, near one that is known. */
static uint64_t unwrap(uint32_t low, uint64_t near)
{
    return near + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)near);
}

static void send_segment(uint64_t position, uint32_t bytes, uint8_t flags)
{
    uint8_t *tcp = out.data + AT_PAYLOAD;
    put_ethernet(&out, peer_mac, net.mac, TYPE_IP);
    put_ip(&out, PROTOCOL_TCP, own, peer, TCP_HEAD + bytes);
    memset(tcp, 0, TCP_HEAD);
    put16(tcp, PORT);
    put16(tcp + 2, PORT);
    put32(tcp + 4, (uint32_t)position);
    put32(tcp + 8, (uint32_t)(stream.expected + stream.end_seen));
    tcp[12] = TCP_HEAD / 4 << 4;
    tcp[13] = flags | ACK;
    put16(tcp + 14, 0xffff);
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t word = stream_word(position + i);
        memcpy(tcp + TCP_HEAD + i, &word, 8);
    }
    put_checksum(&out, 16, net.checksum);
    if (bytes > SEGMENT) {
        out.gso_type = XEN_NETIF_GSO_TYPE_TCPV4;
        out.gso_size = SEGMENT;
    }
    transmit();
    stream.said = stream.expected;
}

static void take_data(uint64_t position, const uint8_t *data, uint32_t bytes)
{
    if (position > stream.expected || position + bytes <= stream.expected)
        return; /* a hole is before it, or it was here already */
    for (uint32_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        if (word != stream_word(position + i) && check_failures++ < 5)
            pvh_printf("byte %lu of the stream is wrong: %#lx\n", position + i, word);
    }
    stream.expected = position + bytes;
    stream.progress = pvh_time_ns();
}

static void take_segment(void)
{
    const uint8_t *tcp = in.data + AT_PAYLOAD;
    if (!is_for_us(&in, PROTOCOL_TCP, own) || get16(tcp + 2) != PORT || in.length < AT_PAYLOAD + TCP_HEAD)
        return;
    uint32_t bytes = get16(in.data + AT_IP + 2) - IP_HEAD - TCP_HEAD;
    stream.packets++;
    stream.large += in.gso_type != 0;
    stream.blank += in.checksum_blank;
    if (!in.checksum_blank)
        EXPECT(checksum_holds(&in));
    uint64_t acked = unwrap(get32(tcp + 8), stream.acked);
    if (stream.time_is_up && acked == stream.end + 1)
        stream.end_acked = true;
    else if (acked > stream.acked && acked <= stream.next) {
        stream.acked = acked;
        stream.progress = pvh_time_ns();
    }
    uint64_t position = unwrap(get32(tcp + 4), stream.expected);
    if (bytes)
        take_data(position, tcp + TCP_HEAD, bytes);
    if (tcp[13] & FIN && position + bytes == stream.expected) {
        stream.end_seen = true;
        stream.progress = pvh_time_ns();
    }
    if (bytes && (stream.expected - stream.said >= ACK_EVERY || position != stream.expected - bytes))
        send_segment(stream.next, 0, 0);
    else if (tcp[13] & FIN)
        send_segment(stream.next, 0, 0);
}

/* Sends what the window lets it; says the end when all before it has arrived. */
static void push(uint32_t largest)
{
    while (stream.sends && !stream.time_is_up && stream.next - stream.acked + largest <= WINDOW) {
        send_segment(stream.next, largest, PUSH);
        stream.next += largest;
    }
    if (stream.time_is_up && stream.sends && stream.acked == stream.end && !stream.end_acked)
        send_segment(stream.end, 0, FIN);
}

static void resend(uint32_t largest)
{
    stream.again++;
    for (uint64_t at = stream.acked; at < stream.next; at += largest)
        send_segment(at, stream.next - at < largest ? (uint32_t)(stream.next - at) : largest, PUSH);
}

static bool stream_goes_on(void)
{
    return (stream.sends && !stream.end_acked) || (stream.receives && !stream.end_seen);
}

/* The largest payload of a packet: as much as the ABI's 16 bits leave room for, in whole segments. */
static uint32_t largest_payload(void)
{
    uint64_t large = option_number("large", 65535);
    uint32_t room = (uint32_t)(large < 65535 ? large : 65535) - AT_PAYLOAD - TCP_HEAD;
    return net.gso && large > 1500 ? room / SEGMENT * SEGMENT : SEGMENT;
}

static void run_stream(void)
{
    char value[4];
    uint32_t largest = largest_payload();
    stream.sends = pvh_option("send", value, sizeof value);
    stream.receives = pvh_option("receive", value, sizeof value);
    if (!EXPECT(stream.sends || stream.receives) || !EXPECT(resolve()))
        return;
    uint64_t begin = pvh_time_ns(), end = begin + option_number("seconds", 5) * SECOND, retry = RESEND;
    for (stream.progress = begin; stream_goes_on();) {
        uint64_t now = pvh_time_ns();
        if (now >= end && !stream.time_is_up && stream.sends) {
            stream.time_is_up = true;
            stream.end = stream.next;
        }
        push(largest);
        if (receive(now + 50 * MILLISECOND)) {
            take_segment();
            while (net_receive(&net, &in))
                take_segment();
        } else if (stream.expected != stream.said) {
            send_segment(stream.next, 0, 0);
        }
        uint64_t silence = pvh_time_ns() - stream.progress;
        if (silence < RESEND)
            retry = RESEND;
        if (stream.sends && stream.acked < stream.next && silence > retry) {
            resend(largest);
            retry += RESEND;
        }
        if (!EXPECT(silence < SILENCE || pvh_time_ns() < end))
            return;
    }
    uint64_t milliseconds = (pvh_time_ns() - begin) / MILLISECOND + 1;
    for (uint64_t until = pvh_time_ns() + LINGER; receive(until);)
        take_segment();
    pvh_printf("stream: sent %lu KiB, got %lu KiB, %lu KiB/s; %lu packets in, %lu large, %lu unsummed; %lu "
               "times again\n",
               stream.acked >> 10, stream.expected >> 10,
               ((stream.acked + stream.expected) >> 10) * 1000 / milliseconds, stream.packets, stream.large,
               stream.blank, stream.again);
}

/* --- */

static void act(const char *mode)
{
    if (!strcmp(mode, "ping"))
        ping();
    else if (!strcmp(mode, "answer"))
        answer();
    else if (!strcmp(mode, "stream"))
        run_stream();
    else {
        pvh_printf("net: there is no mode=%s\n", mode);
        check_failures++;
    }
}

static bool get_addresses(void)
{
    char text[24];
    if (!pvh_option("address", text, sizeof text)) {
        if (!dhcp())
            return false;
    } else if (!EXPECT(parse_address(text, &own))) {
        return false;
    }
    pvh_printf("net: address " ADDRESS_FORMAT "\n", ADDRESS_PARTS(own));
    peer = 0x0a000202;
    if (pvh_option("peer", text, sizeof text) || pvh_option("target", text, sizeof text))
        return EXPECT(parse_address(text, &peer));
    return true;
}

static bool has_option(const char *name)
{
    char value[4];
    return pvh_option(name, value, sizeof value);
}

int main(void)
{
    char mode[16] = "ping";
    struct net_options options = {.queues = (unsigned)option_number("queues", 1),
                                  .split_events = has_option("split"),
                                  .no_checksum = has_option("no-checksum"),
                                  .no_gso = has_option("no-gso"),
                                  .no_sg = has_option("no-sg")};
    pvh_option("mode", mode, sizeof mode);
    front_init();
    seed = option_number("seed", 1);
    if (EXPECT(net_open(&net, (unsigned)option_number("device", 0), &options))) {
        net.checksum &= !options.no_checksum;
        net.gso &= !options.no_gso;
        pvh_printf("net: %u queues%s%s%s%s\n", net.queue_count, net.split_events ? ", split events" : "",
                   net.checksum ? ", checksums" : "", net.gso ? ", GSO" : "", net.sg ? ", scatter" : "");
        if (get_addresses())
            act(mode);
        EXPECT_EQ(net.strange, 0);
        EXPECT_EQ(net.rx_errors, 0);
        EXPECT(net_close(&net));
    }
    return verdict("net");
}
