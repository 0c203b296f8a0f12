/*
 * A network card, used as no guest should: every packet and every connection here is wrong in one way. After
 * each the back end must serve a well-behaved packet, or a well-behaved connection where it gave this one up.
 * What the neighbours get out of it, the runner looks at.
 *
 * Words on the command line: device=0 address=A.B.C.D target=A.B.C.D (who answers ARP), and die: ends with
 * packets under way.
 */
#include "check.h"
#include "packet.h"
#include <lib/printf.h>

static struct net net;
static struct net_frame in, out;
static uint32_t own, target;
static unsigned devid;

/* --- the well-behaved connection ------------------------------------------------------------------------ */

static bool connect(void)
{
    static const struct net_options options = {.queues = 1};
    return net_open(&net, devid, &options);
}

/* Who has the target's address? Asked a few times, as packets may be lost. */
static bool arp_is_answered(uint64_t patience)
{
    for (uint64_t end = pvh_time_ns() + patience; pvh_time_ns() < end;) {
        put_arp(&out, net.mac, own, 1, (const uint8_t *)"\0\0\0\0\0", target);
        net_send(&net, 0, &out);
        for (uint64_t retry = pvh_time_ns() + SECOND / 4; net_wait(&net, &in, retry);)
            if (get16(in.data + 12) == TYPE_ARP && get16(in.data + ETHERNET_HEAD + 6) == 2 &&
                get32(in.data + ETHERNET_HEAD + 14) == target)
                return true;
    }
    return false;
}

static void again(const char *after)
{
    if (!EXPECT(net_close(&net)) || !EXPECT(connect()))
        pvh_panic("after %s there is no new connection", after);
    if (!EXPECT(arp_is_answered(10 * SECOND)))
        pvh_printf("that was after %s\n", after);
}

static void is_well(const char *after)
{
    if (!arp_is_answered(SECOND))
        again(after);
}

/* --- packets that are wrong ----------------------------------------------------------------------------- */

/* The next request; a page of frame data lies behind its grant. */
static netif_tx_request_t *raw(void)
{
    netif_tx_request_t *request = RING_GET_REQUEST(&net.queue[0].tx, net.queue[0].tx.req_prod_pvt++);
    memset(request, 0, sizeof *request);
    request->gref = net.queue[0].tx_ref[0];
    request->id = 7;
    request->size = 100;
    return request;
}

static void raw_extra(uint8_t type, uint8_t flags, uint8_t gso_type, uint16_t gso_size)
{
    netif_extra_info_t *extra = (netif_extra_info_t *)raw();
    *extra =
        (netif_extra_info_t){.type = type, .flags = flags, .u.gso = {.size = gso_size, .type = gso_type}};
}

/*
 * Posts what was made, and waits a moment for whatever is answered. A good packet must go through after that.
 */
static void post(const char *what)
{
    struct net_queue *q = &net.queue[0];
    int more;
    RING_PUSH_REQUESTS(&q->tx);
    event_send(q->tx_port);
    for (uint64_t end = pvh_time_ns() + 200 * MILLISECOND; q->tx.rsp_cons != q->tx.req_prod_pvt;) {
        RING_FINAL_CHECK_FOR_RESPONSES(&q->tx, more);
        if (more)
            q->tx.rsp_cons++;
        else if (!front_sleep(&q->tx_port, 1, end))
            break;
    }
    if (q->tx.rsp_cons != q->tx.req_prod_pvt)
        again(what); /* it was not answered, so what follows would only be its rest */
    else
        is_well(what);
}

static void good_page(void)
{
    uint8_t *page = net.queue[0].tx_page[0];
    put_ethernet(&out, everybody, net.mac, TYPE_IP);
    put_ip(&out, PROTOCOL_TCP, own, target, 2000);
    memset(out.data + AT_PAYLOAD, 0, TCP_HEAD);
    out.data[AT_PAYLOAD + 12] = TCP_HEAD / 4 << 4;
    memcpy(page, out.data, PAGE_SIZE);
}

static void bad_grants(void)
{
    static const grant_ref_t refs[] = {3000, 0xffffff, 0x7fffffff, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++) {
        raw()->gref = refs[i];
        post("a bad grant reference");
        netif_tx_request_t *first = raw();
        first->size = 200;
        first->flags = NETTXF_more_data;
        raw()->gref = refs[i];
        post("a bad grant reference behind a good one");
    }
}

static void bad_sizes(void)
{
    static const struct {
        uint16_t offset, size;
    } cases[] = {{0, 0},     {0, 1},     {0, 13},    {0, 4097},      {0, 65535}, {4095, 2},
                 {4090, 60}, {4096, 60}, {65535, 1}, {65535, 65535}, {1, 4096},  {0, 14}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        netif_tx_request_t *request = raw();
        request->offset = cases[i].offset;
        request->size = cases[i].size;
        post("a size that is none");
    }
}

/* The first request has the size of the whole. */
static void lying_sizes(void)
{
    static const struct {
        uint16_t whole, rest;
    } cases[] = {{100, 200}, {100, 100}, {0, 100}, {65535, 1}, {10000, 50}, {50, 4096}, {4096, 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        netif_tx_request_t *first = raw();
        first->size = cases[i].whole;
        first->flags = NETTXF_more_data;
        raw()->size = cases[i].rest;
        post("sizes that do not add up");
    }
}

static void bad_chains(void)
{
    static const unsigned lengths[] = {1, 19, 40, 200};
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        for (unsigned j = 0; j < lengths[i]; j++) {
            netif_tx_request_t *request = raw();
            request->flags = NETTXF_more_data; /* and there is no more */
            request->size = j ? 10 : 2000;
        }
        post("a chain without an end");
        for (unsigned j = 0; j < lengths[i]; j++)
            raw()->flags = NETTXF_extra_info | (j + 1 < lengths[i] ? NETTXF_more_data : 0);
        post("a chain of odd flags");
    }
}

static void bad_extras(void)
{
    static const uint8_t types[] = {XEN_NETIF_EXTRA_TYPE_NONE, XEN_NETIF_EXTRA_TYPE_MAX,      99, 255,
                                    XEN_NETIF_EXTRA_TYPE_HASH, XEN_NETIF_EXTRA_TYPE_MCAST_DEL};
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        raw()->flags = NETTXF_extra_info;
        raw_extra(types[i], 0, 0, 0);
        post("extra information of no known kind");
    }
    raw()->flags = NETTXF_extra_info;
    for (unsigned i = 0; i < 30; i++)
        raw_extra(XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, XEN_NETIF_GSO_TYPE_TCPV4, 1448);
    post("extra information without an end");
    raw()->flags = NETTXF_extra_info;
    post("extra information that is not there");
}

static void bad_gso(void)
{
    static const struct {
        uint8_t type;
        uint16_t size;
        uint8_t at, value; /* a byte of the headers that is made wrong */
    } cases[] = {
        {XEN_NETIF_GSO_TYPE_TCPV4, 0, AT_IP, 0x45},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1, AT_IP, 0x45},
        {XEN_NETIF_GSO_TYPE_TCPV4, 65535, AT_IP, 0x45},
        {9, 1448, AT_IP, 0x45},
        {XEN_NETIF_GSO_TYPE_TCPV6, 1448, AT_IP, 0x45},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, AT_IP, 0x4f},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, AT_IP, 0x41},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, AT_IP + 9, 17},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, AT_IP + 2, 0xff},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, 12, 0x86},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, AT_PAYLOAD + 12, 0xf0},
        {XEN_NETIF_GSO_TYPE_TCPV4, 1448, AT_PAYLOAD + 12, 0},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        good_page();
        net.queue[0].tx_page[0][cases[i].at] = cases[i].value;
        netif_tx_request_t *request = raw();
        request->flags = NETTXF_extra_info | NETTXF_csum_blank | NETTXF_data_validated;
        request->size = AT_PAYLOAD + 2000;
        raw_extra(XEN_NETIF_EXTRA_TYPE_GSO, 0, cases[i].type, cases[i].size);
        post("a large packet with wrong headers");
        good_page();
        net.queue[0].tx_page[0][cases[i].at] = cases[i].value;
        request = raw();
        request->flags = NETTXF_csum_blank | NETTXF_data_validated;
        request->size = (uint16_t)(20 + i * 4); /* cut off somewhere in the headers */
        post("a packet to be summed with wrong headers");
    }
}

/* --- rings ---------------------------------------------------------------------------------------------- */

static void wild_indexes(void)
{
    static const RING_IDX steps[] = {257, 1000, 0x7fffffff, 0x80000000, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        net.queue[0].tx.sring->req_prod += steps[i];
        event_send(net.queue[0].tx_port);
        front_sleep(NULL, 0, pvh_time_ns() + 20 * MILLISECOND);
        again("a wild index of sent packets");
        net.queue[0].rx.sring->req_prod += steps[i];
        event_send(net.queue[0].rx_port);
        arp_is_answered(SECOND / 4);
        again("a wild index of buffers");
    }
}

static void bad_buffers(void)
{
    static const grant_ref_t refs[] = {3000, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++) {
        for (unsigned j = 0; j < NET_RING; j++)
            RING_GET_REQUEST(&net.queue[0].rx, j)->gref = refs[i];
        arp_is_answered(SECOND / 2);
        again("buffers that are none");
    }
    volatile netif_rx_sring_t *shared = net.queue[0].rx.sring;
    shared->req_prod = shared->rsp_prod; /* takes all buffers back */
    arp_is_answered(SECOND / 2);
    again("buffers that are taken back");
}

static void changed_requests(void)
{
    for (unsigned round = 0; round < 50; round++) {
        volatile netif_tx_request_t *request = raw();
        RING_PUSH_REQUESTS(&net.queue[0].tx);
        event_send(net.queue[0].tx_port);
        for (unsigned i = 0; i < 200; i++) {
            request->size = (uint16_t)(i * 331);
            request->offset = (uint16_t)(i * 37);
            request->flags = (uint16_t)(i % 16);
            request->gref = i & 1 ? net.queue[0].tx_ref[0] : 0xffffff;
        }
    }
    again("requests that changed");
}

static void flood(void)
{
    for (unsigned i = 0; i < 20000; i++)
        event_send(net.queue[0].tx_port);
    for (unsigned i = 0; i < 2000; i++) {
        put_arp(&out, net.mac, own, 1, everybody, own);
        net_send(&net, 0, &out);
    }
    is_well("a flood");
}

/* --- connections that are wrong ------------------------------------------------------------------------- */

static void bad_connections(void)
{
    static const char *const keys[][2] = {
        {"tx-ring-ref", "99999999"},     {"rx-ring-ref", "99999999"},
        {"tx-ring-ref", "-1"},           {"rx-ring-ref", "page"},
        {"event-channel", "0"},          {"event-channel", "77777777"},
        {"multi-queue-num-queues", "0"}, {"multi-queue-num-queues", "100000"},
        {"multi-queue-num-queues", "3"}, {"request-rx-copy", "0"}};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        struct front_device *d = &net.device;
        char path[64];
        EXPECT(net_close(&net));
        if (!EXPECT(front_open(d, "vif", devid)))
            return;
        uint8_t *pages = page_alloc(2);
        memset(pages, 0, 2 * PAGE_SIZE);
        grant_ref_t tx = grant_offer(d->backend_domid, pages, false);
        grant_ref_t rx = grant_offer(d->backend_domid, pages + PAGE_SIZE, false);
        evtchn_port_t port = (evtchn_port_t)event_alloc_unbound(DOMID_SELF, d->backend_domid);
        front_write(d, -1, "tx-ring-ref", tx);
        front_write(d, -1, "rx-ring-ref", rx);
        front_write(d, -1, "event-channel", port);
        snprintf(path, sizeof path, "%s/%s", d->path, keys[i][0]);
        EXPECT_EQ(xs_write(path, "%s", keys[i][1]), 0);
        front_set_state(d, XenbusStateConnected);
        front_sleep(NULL, 0, pvh_time_ns() + 50 * MILLISECOND);
        if (!EXPECT(front_state(d) != XenbusStateConnected))
            pvh_printf("with %s=%s\n", keys[i][0], keys[i][1]);
        EXPECT(front_close(d));
        event_close(port);
        EXPECT(grant_withdraw(tx) & grant_withdraw(rx));
        page_free(pages, 2);
        front_rm(d, keys[i][0]);
        if (!EXPECT(connect()))
            pvh_panic("after %s=%s there is no new connection", keys[i][0], keys[i][1]);
        if (!EXPECT(arp_is_answered(10 * SECOND)))
            pvh_printf("that was after %s=%s\n", keys[i][0], keys[i][1]);
    }
}

static void die(void)
{
    for (unsigned i = 0; i < 100; i++) {
        put_arp(&out, net.mac, own, 1, everybody, target);
        net_send(&net, 0, &out);
    }
    pvh_printf("dying\n");
    pvh_shutdown(SHUTDOWN_crash);
}

int main(void)
{
    char address[24] = "", other[24] = "", value[4];
    front_init();
    devid = (unsigned)option_number("device", 0);
    pvh_option("address", address, sizeof address);
    pvh_option("target", other, sizeof other);
    if (EXPECT(parse_address(address, &own)) && EXPECT(parse_address(other, &target)) && EXPECT(connect())) {
        EXPECT(arp_is_answered(10 * SECOND));
        if (pvh_option("die", value, sizeof value))
            die();
        bad_grants();
        bad_sizes();
        lying_sizes();
        bad_chains();
        bad_extras();
        bad_gso();
        flood();
        changed_requests();
        bad_buffers();
        wild_indexes();
        bad_connections();
        EXPECT(net_close(&net));
    }
    return verdict("netbad");
}
