/*
 * The transmit ring of Intel's gigabit cards (e1000.h; 8254x manual, section 3.3).
 *
 * A packet is a context descriptor, if the card is to fill in checksums or to cut, and a data descriptor for
 * each fragment. Of one that is cut the headers are copied first, for the card wants lengths and the IP
 * checksum to be 0 there. The last descriptor reports when all is sent.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/string.h>
#include "e1000.h"

#define COMMAND_END      (1u << 24)
#define COMMAND_CRC      (1u << 25)
#define COMMAND_CUT      (1u << 26)
#define COMMAND_REPORT   (1u << 27)
#define COMMAND_EXTENDED (1u << 29)
#define COMMAND_DATA     (1u << 20)
#define CONTEXT_TCP      (1u << 24)
#define CONTEXT_IPV4     (1u << 25)
#define STATUS_DONE      (1u << 0)
#define OPTION_IP_SUM    (1u << 8)
#define OPTION_SUM       (1u << 9)

#define TCP_CHECKSUM 16
#define WATCH_TIME   2000000000ull
#define RING_PAGES   1
#define HEADER_PAGES (E1000_RING * PACKET_HEAD / 4096)

bool e1000_transmit_init(struct e1000 *e)
{
    e->transmit = dma_alloc(RING_PAGES);
    e->headers = dma_alloc(HEADER_PAGES);
    return e->transmit && e->headers;
}

void e1000_transmit_start(struct e1000 *e)
{
    uint64_t ring = dma_address(e->transmit);
    e->transmit_next = 0;
    e->transmit_free = E1000_RING - 1;
    register_write(e->registers, E1000_TDBAL, (uint32_t)ring);
    register_write(e->registers, E1000_TDBAH, (uint32_t)(ring >> 32));
    register_write(e->registers, E1000_TDLEN, E1000_RING * sizeof *e->transmit);
    register_write(e->registers, E1000_TDH, 0);
    register_write(e->registers, E1000_TDT, 0);
    register_write(e->registers, E1000_TIPG, TIPG_COPPER);
    if (e->kind->express)
        register_write(e->registers, E1000_TXDCTL, TXDCTL_WHOLE | TXDCTL_COUNT);
}

/* --- filling in ----------------------------------------------------------------------------------------- */

static void put(struct e1000 *e, uint64_t address, uint32_t command, uint32_t status)
{
    volatile struct e1000_transmit_descriptor *descriptor = &e->transmit[e->transmit_next];
    descriptor->address = address;
    descriptor->command = command;
    descriptor->status = status;
    e->transmit_next = (e->transmit_next + 1) % E1000_RING;
    e->transmit_free--;
}

/* Where IP begins: behind a tag, if there is one. */
static uint32_t ip_offset(const uint8_t *data)
{
    return data[12] == 0x81 && data[13] == 0 ? ETHERNET_HEADER + VLAN_TAG : ETHERNET_HEADER;
}

static void put_context(struct e1000 *e, const struct packet *packet)
{
    uint32_t ip = ip_offset(packet->fragment[0].data), sum = packet->checksum_start;
    uint32_t command = COMMAND_EXTENDED | (packet->checksum_offset == TCP_CHECKSUM ? CONTEXT_TCP : 0),
             status = 0;
    /* Of each checksum: where to begin, where it goes, where to end (0: with the packet). */
    uint32_t ip_part = ip | (ip + 10) << 8 | (sum - 1) << 16;
    uint32_t sum_part = sum | (sum + packet->checksum_offset) << 8;
    if (packet->gso != GSO_NONE) {
        command |= COMMAND_CUT | (packet->length - packet->header_size);
        status = (uint32_t)packet->header_size << 8 | (uint32_t)packet->gso_size << 16;
    }
    if (packet->gso == GSO_TCPV4)
        command |= CONTEXT_IPV4;
    put(e, ip_part | (uint64_t)sum_part << 32, command, status);
}

static void clear16(uint8_t *at)
{
    at[0] = at[1] = 0;
}

/* One's complement: what was added is taken out by adding its complement. */
static void take_out_length(uint8_t *sum_at, uint32_t length)
{
    uint32_t sum = (uint32_t)(sum_at[0] << 8 | sum_at[1]) + (~length & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum_at[0] = (uint8_t)(sum >> 8);
    sum_at[1] = (uint8_t)sum;
}

/*
 * The headers as the card wants them of a packet that it cuts: no lengths, no IP checksum, and none of the
 * length in the pseudo header's sum.
 */
static uint64_t copy_headers(struct e1000 *e, const struct packet *packet)
{
    uint8_t *headers = e->headers[e->transmit_next];
    memcpy(headers, packet->fragment[0].data, packet->header_size);
    uint8_t *ip = headers + ip_offset(headers);
    if (packet->gso == GSO_TCPV4) {
        clear16(ip + 2);
        clear16(ip + 10);
    } else {
        clear16(ip + 4);
    }
    take_out_length(headers + packet->checksum_start + packet->checksum_offset,
                    packet->length - packet->checksum_start);
    return dma_address(headers);
}

static void put_packet(struct e1000 *e, const struct packet *packet)
{
    bool cut = packet->gso != GSO_NONE;
    uint32_t command = COMMAND_EXTENDED | COMMAND_DATA | COMMAND_CRC | (cut ? COMMAND_CUT : 0), skip = 0;
    uint32_t options = packet->checksum_blank ? OPTION_SUM : 0;
    if (packet->gso == GSO_TCPV4)
        options |= OPTION_IP_SUM;
    if (packet->checksum_blank)
        put_context(e, packet);
    if (cut) {
        put(e, copy_headers(e, packet), command | packet->header_size, options);
        skip = packet->header_size;
    }
    for (unsigned i = 0; i < packet->fragment_count; i++, skip = 0) {
        const struct packet_fragment *f = &packet->fragment[i];
        bool last = i + 1 == packet->fragment_count;
        if (f->bytes > skip)
            put(e, f->bus + skip, command | (f->bytes - skip) | (last ? COMMAND_END | COMMAND_REPORT : 0),
                options);
    }
}

/* --- sending -------------------------------------------------------------------------------------------- */

/* What the fields of a context have room for, and what the headers that are to be copied are really there. */
static bool fits(const struct packet *packet)
{
    if (!packet->checksum_blank)
        return true;
    if (packet->checksum_start <= ETHERNET_HEADER ||
        packet->checksum_start + packet->checksum_offset > UINT8_MAX)
        return false;
    return packet->gso == GSO_NONE ||
           (packet->header_size <= PACKET_HEAD && packet->header_size <= packet->fragment[0].bytes &&
            (packet->header_size < packet->fragment[0].bytes || packet->fragment_count > 1) &&
            packet->checksum_start + packet->checksum_offset + 2 <= packet->header_size);
}

bool e1000_transmit(struct nic *nic, struct packet *packet)
{
    struct e1000 *e = nic->driver_data;
    uint32_t needed = packet->fragment_count + 2;
    if (!e->running || !fits(packet))
        return false;
    if (e->transmit_free < needed)
        e1000_transmit_done(e);
    if (e->transmit_free < needed)
        return false;
    if (!e->sent_count) {
        e->progress = time_ns();
        work_at(&e->watch, e->progress + WATCH_TIME);
    }
    put_packet(e, packet);
    uint32_t at = (e->sent_first + e->sent_count++) % E1000_RING;
    e->sent[at].packet = packet_get(packet);
    e->sent[at].last = (e->transmit_next + E1000_RING - 1) % E1000_RING;
    return true;
}

void e1000_transmit_flush(struct nic *nic)
{
    struct e1000 *e = nic->driver_data;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (e->running)
        register_write(e->registers, E1000_TDT, e->transmit_next);
}

static void drop_first(struct e1000 *e)
{
    struct packet *packet = e->sent[e->sent_first].packet;
    e->sent_first = (e->sent_first + 1) % E1000_RING;
    e->sent_count--;
    packet_put(packet);
}

void e1000_transmit_done(struct e1000 *e)
{
    while (e->sent_count && e->transmit[e->sent[e->sent_first].last].status & STATUS_DONE) {
        e->progress = time_ns();
        /* Free is all but one between what comes next and the end of what is done. */
        e->transmit_free = (e->sent[e->sent_first].last + E1000_RING - e->transmit_next) % E1000_RING;
        drop_first(e);
    }
}

void e1000_transmit_stop(struct e1000 *e)
{
    while (e->sent_count)
        drop_first(e);
}
