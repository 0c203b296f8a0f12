/*
 * Network cards (drivers/nic.h): their names, and the port through which a bridge sends to the wire.
 *
 * What a card cannot do is done here in software: checksums, cutting, and fragments that it cannot take so
 * many of.
 */
#include <dom0/below.h>
#include <drivers/nic.h>
#include <lib/printf.h>
#include <lib/string.h>

static struct nic *nics;

struct nic *nic_at(size_t index)
{
    struct nic *nic = nics;
    while (nic && index--)
        nic = nic->next;
    return nic;
}

static bool needs_software(const struct nic *nic, const struct packet *packet)
{
    if (packet->fragment_count > nic->max_fragments)
        return true;
    switch (packet->gso) {
    case GSO_TCPV4:
        return !nic->gso_v4;
    case GSO_TCPV6:
        return !nic->gso_v6;
    default:
        return packet->checksum_blank && !nic->checksum_offload;
    }
}

static void send_one(struct nic *nic, struct packet *packet)
{
    struct bridge_port *port = &nic->port;
    if (!packet_pin(packet) || !nic->transmit(nic, packet)) {
        port->dropped++;
        return;
    }
    port->sent++;
    port->sent_bytes += packet->length;
}

static void send_in_software(struct nic *nic, struct packet *packet)
{
    struct packet *list = packet_flatten(packet, nic->mtu);
    if (!list)
        nic->port.dropped++;
    for (struct packet *next; list; list = next) {
        next = list->next;
        send_one(nic, list);
        packet_put(list);
    }
}

/* What goes over the wire in one piece fits the card's MTU: a tag does not count. */
static bool too_long(const struct nic *nic, const struct packet *packet)
{
    uint32_t headers = packet->gso == GSO_NONE ? ETHERNET_HEADER : packet->header_size;
    uint32_t payload = packet->gso == GSO_NONE ? packet->length - headers : packet->gso_size;
    const uint8_t *type = (const uint8_t *)packet->fragment[0].data + 12;
    uint32_t tag = type[0] == 0x81 && type[1] == 0 ? VLAN_TAG : 0;
    return headers + payload > nic->mtu + ETHERNET_HEADER + tag;
}

static void output(struct bridge_port *port, struct packet *packet)
{
    struct nic *nic = port->owner;
    if (!nic->link || too_long(nic, packet))
        port->dropped++;
    else if (needs_software(nic, packet))
        send_in_software(nic, packet);
    else
        send_one(nic, packet);
}

static void flush(struct bridge_port *port)
{
    struct nic *nic = port->owner;
    nic->flush(nic);
}

bool nic_add(struct nic *nic)
{
    unsigned index = 0;
    struct nic **link = &nics;
    for (; *link; link = &(*link)->next)
        index++;
    snprintf(nic->name, sizeof nic->name, "eth%u", index);
    strlcpy(nic->port.name, nic->name, sizeof nic->port.name);
    nic->port.output = output;
    nic->port.flush = flush;
    nic->port.owner = nic;
    nic->next = NULL;

    char name[24];
    snprintf(name, sizeof name, "xenbr%u", index);
    if (!bridge_create(name, nic))
        return false;
    *link = nic;
    return true;
}

void nic_link_changed(struct nic *nic, bool link)
{
    if (nic->link == link)
        return;
    nic->link = link;
    print("%s: link %s\n", nic->name, link ? "up" : "down");
}

void nic_receive(struct nic *nic, struct packet *packet)
{
    if (nic->port.bridge)
        bridge_input(&nic->port, packet);
    packet_put(packet);
}
