/*
 * The receive ring of Intel's gigabit cards (e1000.h; 8254x manual, section 3.2).
 *
 * The card owns the descriptors from its head up to, but not with, the tail. Each has a packet of its own,
 * which goes to the bridge and is replaced; without memory it stays and what came in it is dropped. So a
 * flood from the wire costs no memory: the card drops what does not fit the ring.
 */
#include <dom0/hardware.h>
#include "e1000.h"

#define STATUS_DONE       (1u << 0)
#define STATUS_END        (1u << 1)
#define STATUS_NO_SUMS    (1u << 2)
#define STATUS_TCP_SUM    (1u << 5)
#define ERRORS_SUMS       (1u << 5 | 1u << 6)
#define ERRORS_OF_A_FRAME (0x97u) /* CRC, symbol, sequence, carrier, data */

bool e1000_receive_init(struct e1000 *e)
{
    e->receive = dma_alloc(1);
    return e->receive;
}

static void give(struct e1000 *e, uint32_t index)
{
    e->receive[index].address = e->buffer[index]->fragment[0].bus;
    e->receive[index].status = 0;
}

void e1000_receive_stop(struct e1000 *e)
{
    for (uint32_t i = 0; i < E1000_RING; i++)
        if (e->buffer[i]) {
            packet_put(e->buffer[i]);
            e->buffer[i] = NULL;
        }
}

bool e1000_receive_start(struct e1000 *e)
{
    uint64_t ring = dma_address(e->receive);
    e->receive_next = 0;
    e->skipping = false;
    for (uint32_t i = 0; i < E1000_RING; i++) {
        e->buffer[i] = packet_alloc(E1000_BUFFER);
        if (!e->buffer[i]) {
            e1000_receive_stop(e);
            return false;
        }
        give(e, i);
    }
    register_write(e->registers, E1000_RDBAL, (uint32_t)ring);
    register_write(e->registers, E1000_RDBAH, (uint32_t)(ring >> 32));
    register_write(e->registers, E1000_RDLEN, E1000_RING * sizeof *e->receive);
    register_write(e->registers, E1000_RDH, 0);
    register_write(e->registers, E1000_RDT, E1000_RING - 1);
    register_write(e->registers, E1000_RXCSUM, RXCSUM_IP | RXCSUM_TCP_UDP);
    return true;
}

/* True when what the descriptor says is a packet of its own. */
static bool is_packet(struct e1000 *e, uint8_t status, uint8_t errors, uint32_t length)
{
    bool rest = e->skipping;
    e->skipping = !(status & STATUS_END);
    return !rest && !e->skipping && !(errors & ERRORS_OF_A_FRAME) && length >= ETHERNET_HEADER &&
           length <= E1000_BUFFER;
}

/* Takes the packet out of its place if there is another one to put there. */
static void take(struct e1000 *e, uint32_t index)
{
    uint8_t status = e->receive[index].status, errors = e->receive[index].errors;
    uint32_t length = e->receive[index].length;
    struct packet *packet = e->buffer[index], *fresh = NULL;
    if (is_packet(e, status, errors, length))
        fresh = packet_alloc(E1000_BUFFER);
    if (!fresh) {
        e->nic.port.dropped++;
        return;
    }
    e->buffer[index] = fresh;
    packet->length = packet->fragment[0].bytes = length;
    packet->checksum_good =
        (status & (STATUS_NO_SUMS | STATUS_TCP_SUM)) == STATUS_TCP_SUM && !(errors & ERRORS_SUMS);
    nic_receive(&e->nic, packet);
}

bool e1000_receive(struct e1000 *e)
{
    uint32_t taken = 0;
    for (; taken < E1000_RING && e->receive[e->receive_next].status & STATUS_DONE; taken++) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        take(e, e->receive_next);
        give(e, e->receive_next);
        e->receive_next = (e->receive_next + 1) % E1000_RING;
    }
    if (taken) {
        register_write(e->registers, E1000_RDT, (e->receive_next + E1000_RING - 1) % E1000_RING);
        bridge_flush();
    }
    return taken == E1000_RING;
}
