/*
 * What a disk request and a packet cost from the guest to the device and back, in time-stamp ticks of the
 * whole machine (see ops.c): the guest's front end, both ways through the hypervisor, the back end and the
 * driver in the first domain. Runs as a guest on Hospes and on Xen alike, with one CPU that is never idle
 * while something is under way, and prints lines "BENCH name ticks". Disk 51712 may be read; card 0 leads
 * nowhere; what leaves through card 1 comes in through card 2. Words on the command line: only=NAME does one
 * of them, with rounds=N (400), and says how many operations that were, for who counts exits from outside.
 */
#include <drivers/blkfront.h>
#include <drivers/netfront.h>
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>

#define DISK         51712u /* xvda */
#define SECTOR       512u
#define PAGE_SECTORS ((uint32_t)(PAGE_SIZE / SECTOR))
#define MIB_PAGES    256u
#define DEPTH        32u
#define PATIENCE     (60 * 1000000000ull)
#define IP_HEAD      34u /* Ethernet and IPv4 */
#define TCP_HEAD     20u
#define SEGMENT      1448u
#define WIRE_MAX     1514u
#define WINDOW       16u /* packets on their way at a time */

static unsigned rounds = 400; /* measured; as many before them warm up */
static char only[32];

static bool wanted(const char *name)
{
    return !*only || !strcmp(only, name);
}

/* Ticks of count operations; as many warmed up. */
static uint64_t report(const char *name, uint64_t ticks, unsigned count)
{
    if (*only)
        pvh_printf("BENCH %s %lu operations=%u\n", name, ticks / count, 2 * count);
    else
        pvh_printf("BENCH %s %lu\n", name, ticks / count);
    return ticks / count;
}

/* --- disk ----------------------------------------------------------------------------------------------- */

static struct blk blk;
static struct blkif_request_segment segments[MIB_PAGES];
static struct blk_io io[DEPTH];

static void wait_done(const struct blk_io *one)
{
    while (!one->done)
        if (!blk_wait(&blk, pvh_time_ns() + PATIENCE))
            pvh_panic("a read got no answer");
    if (one->status != BLKIF_RSP_OKAY)
        pvh_panic("a read failed: %d", one->status);
}

static void submit(struct blk_io *one, uint64_t sector, unsigned first_page, unsigned pages)
{
    *one = (struct blk_io){.operation = BLKIF_OP_READ,
                           .sector = sector,
                           .segments = segments + first_page,
                           .segment_count = pages};
    while (!blk_submit(&blk, 0, one))
        blk_wait(&blk, pvh_time_ns() + PATIENCE);
}

/* Any but the next sector: a linear congruential sequence over the disk's pages. */
static uint64_t random_sector(void)
{
    static uint64_t state = 12345;
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % (blk.sectors / PAGE_SECTORS) * PAGE_SECTORS;
}

static void read_at_depth(const char *name, unsigned depth)
{
    uint64_t start = 0;
    for (unsigned i = 0; i < 2 * rounds; i++) { /* the first half warms up */
        if (i == rounds)
            start = rdtsc_ordered();
        if (i >= depth)
            wait_done(&io[i % depth]);
        submit(&io[i % depth], random_sector(), i % depth, 1);
    }
    uint64_t ticks = rdtsc_ordered() - start;
    for (unsigned i = 0; i < depth; i++)
        wait_done(&io[i]);
    report(name, ticks, rounds);
}

/* In requests as large as the back end takes. */
static void read_mib(void)
{
    unsigned size = blk.max_segments < MIB_PAGES / 4 ? blk.max_segments : MIB_PAGES / 4;
    uint64_t start = 0;
    unsigned times = rounds / 20;
    for (unsigned i = 0; i < 2 * times; i++) {
        unsigned count = 0;
        if (i == times)
            start = rdtsc_ordered();
        for (unsigned page = 0; page < MIB_PAGES; page += size, count++) {
            if (count >= DEPTH)
                wait_done(&io[count % DEPTH]);
            submit(&io[count % DEPTH], (uint64_t)(i * MIB_PAGES + page) * PAGE_SECTORS % blk.sectors, page,
                   page + size > MIB_PAGES ? MIB_PAGES - page : size);
        }
        for (unsigned j = 0; j < count && j < DEPTH; j++)
            wait_done(&io[j]);
    }
    report("read_1m", rdtsc_ordered() - start, times);
}

static void bench_disk(void)
{
    if (!blk_open(&blk, DISK, &(struct blk_options){.queues = 1, .indirect = true}))
        pvh_panic("no disk");
    uint8_t *data = page_alloc(MIB_PAGES);
    if (!data)
        pvh_panic("no memory");
    for (unsigned i = 0; i < MIB_PAGES; i++)
        segments[i] = (struct blkif_request_segment){
            .gref = grant_offer(blk.device.backend_domid, data + i * PAGE_SIZE, false),
            .last_sect = PAGE_SECTORS - 1};
    if (wanted("read_4k"))
        read_at_depth("read_4k", 1);
    if (wanted("read_4k_of_32"))
        read_at_depth("read_4k_of_32", DEPTH);
    if (wanted("read_1m"))
        read_mib();
    if (!blk_close(&blk))
        pvh_panic("the disk was not closed");
}

/* --- network -------------------------------------------------------------------------------------------- */

static struct net sink, out, in;
static struct net_frame frame, received;

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* A TCP segment from one card to another, or to nobody; its sums are the card's work. */
static void make_frame(const uint8_t from[6], const uint8_t to[6], uint32_t length)
{
    uint32_t bytes = length - IP_HEAD;
    uint8_t *ip = frame.data + 14, *tcp = frame.data + IP_HEAD;
    memset(frame.data, 0, length);
    memcpy(frame.data, to, 6);
    memcpy(frame.data + 6, from, 6);
    put16(frame.data + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, bytes + 20);
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x63", 8);
    uint32_t sum = 0x4500 + bytes + 20 + 0x4006 + 0x0a00 + 0x020f + 0x0a00 + 0x0263;
    put16(ip + 10, ~((sum & 0xffff) + (sum >> 16)));
    put16(tcp, 5001);
    put16(tcp + 2, 5001);
    tcp[12] = 5 << 4;
    tcp[13] = 0x10;
    sum = 6 + bytes + 0x0a00 + 0x020f + 0x0a00 + 0x0263; /* the pseudo header's */
    put16(tcp + 16, (sum & 0xffff) + (sum >> 16));
    frame.length = length;
    frame.checksum_blank = true;
    frame.gso_type = length > WIRE_MAX ? XEN_NETIF_GSO_TYPE_TCPV4 : 0;
    frame.gso_size = frame.gso_type ? SEGMENT : 0;
}

static void send(struct net *net)
{
    uint64_t end = pvh_time_ns() + PATIENCE;
    while (!net_send(net, 0, &frame)) {
        if (pvh_time_ns() > end)
            pvh_panic("a frame of %u bytes was not taken", frame.length);
        front_sleep(&net->queue[0].tx_port, 1, end);
        net_reap(net);
    }
}

/* What this guest's own copying of as many frames of that length takes. */
static uint64_t copying(uint32_t length)
{
    static uint8_t copy[NET_FRAME_MAX];
    uint64_t start = rdtsc_ordered();
    for (unsigned i = 0; i < rounds; i++)
        memcpy(copy, frame.data, length);
    return rdtsc_ordered() - start;
}

/* Lengths are multiples of 8, which are copied by eights. Less the copying into the card's pages. Returns the
 * ticks of one. */
static uint64_t send_many(const char *name, uint32_t length)
{
    uint64_t start = 0;
    make_frame(sink.mac, (const uint8_t *)"\x52\x54\x00\xff\xff\xfe", length);
    for (unsigned i = 0; i < 2 * rounds; i++) {
        if (i == rounds)
            start = rdtsc_ordered();
        send(&sink);
    }
    return report(name, rdtsc_ordered() - start - copying(length), rounds);
}

/* How many bytes of TCP's are in it: QEMU before 8.0 makes IP fragments of what its card should cut. */
static uint32_t payload(const struct net_frame *f)
{
    bool later_fragment = (f->data[20] & 0x1f) || f->data[21];
    return f->length - IP_HEAD - (later_fragment ? 0 : TCP_HEAD);
}

/* Waits until so many of them have come in. */
static void take(uint32_t bytes)
{
    uint64_t end = pvh_time_ns() + PATIENCE;
    for (uint32_t had = 0; had < bytes;) {
        if (!net_wait(&in, &received, end))
            pvh_panic("%u of %u bytes came in", had, bytes);
        if (!memcmp(received.data, in.mac, 6)) /* for us, and not dom0's own */
            had += payload(&received);
    }
}

/* Out through one card and in through the other, so many at a time; less what sending takes, and copying. */
static void receive_many(const char *name, uint32_t length, unsigned window, uint64_t sending)
{
    uint32_t bytes = length - IP_HEAD - TCP_HEAD;
    uint64_t start = 0;
    make_frame(out.mac, in.mac, length);
    for (unsigned i = 0; i < 2 * rounds; i += window) {
        if (i == rounds)
            start = rdtsc_ordered();
        for (unsigned k = 0; k < window; k++)
            send(&out);
        take(bytes * window);
    }
    uint64_t ticks = rdtsc_ordered() - start - 2 * copying(length);
    report(name, ticks - rounds * sending, rounds);
}

static void bench_network(void)
{
    const struct net_options options = {.queues = 1};
    if (!net_open(&sink, 0, &options) || !net_open(&out, 1, &options) || !net_open(&in, 2, &options))
        pvh_panic("no card");
    uint64_t small = 0, large = 0;
    if (wanted("send_1500"))
        small = send_many("send_1500", 1512);
    if (wanted("send_64k") && sink.gso)
        large = send_many("send_64k", 65528);
    if (wanted("receive_1500"))
        receive_many("receive_1500", 1512, WINDOW, small);
    if (wanted("receive_64k") && out.gso)
        receive_many("receive_64k", 65528, 1, large);
    if (!net_close(&sink) || !net_close(&out) || !net_close(&in))
        pvh_panic("a card was not closed");
}

int main(void)
{
    char text[8];
    front_init();
    pvh_option("only", only, sizeof only);
    if (pvh_option("rounds", text, sizeof text)) {
        rounds = 0;
        for (const char *c = text; *c >= '0' && *c <= '9'; c++)
            rounds = rounds * 10 + (unsigned)(*c - '0');
    }
    bench_disk();
    bench_network();
    pvh_printf("BENCH end\n");
    return 0;
}
