/*
 * Bridges (drivers/nic.h): learning switches as IEEE 802.1D has them, without a spanning tree.
 *
 * A bridge knows at most TABLE_SIZE addresses. The place of an address is one of the WAYS that its hash
 * gives; when all are taken, the one not heard of for longest goes. So a guest that makes addresses up can
 * make others' packets be flooded, and no more.
 */
#include <dom0/below.h>
#include <drivers/nic.h>
#include <lib/string.h>
#include <xen/errno.h>

#define TABLE_SIZE 1024u
#define WAYS       4u
#define AGE_NS     (300 * 1000000000ull)

struct learned {
    uint64_t address;         /* address_of() */
    struct bridge_port *port; /* NULL: nothing here */
    uint64_t heard;
};

static struct bridge *bridges;

struct bridge *bridge_at(size_t index)
{
    struct bridge *bridge = bridges;
    while (bridge && index--)
        bridge = bridge->next;
    return bridge;
}

struct bridge *bridge_find(const char *name)
{
    for (struct bridge *bridge = bridges; bridge; bridge = bridge->next)
        if (!strcmp(bridge->name, name))
            return bridge;
    return NULL;
}

struct bridge *bridge_create(const char *name, struct nic *uplink)
{
    struct bridge **link = &bridges;
    if (bridge_find(name) || (uplink && uplink->port.bridge))
        return NULL;
    struct bridge *bridge = mem_alloc(sizeof *bridge);
    struct learned *table = mem_alloc(TABLE_SIZE * sizeof *table);
    if (!bridge || !table) {
        mem_free(bridge);
        mem_free(table);
        return NULL;
    }
    strlcpy(bridge->name, name, sizeof bridge->name);
    bridge->table = table;
    bridge->uplink = uplink;
    if (uplink)
        bridge_attach(bridge, &uplink->port);
    while (*link)
        link = &(*link)->next;
    *link = bridge;
    return bridge;
}

int bridge_destroy(struct bridge *bridge)
{
    struct bridge **link = &bridges;
    for (struct bridge_port *port = bridge->ports; port; port = port->next)
        if (!bridge->uplink || port != &bridge->uplink->port)
            return XEN_EBUSY;
    if (bridge->uplink)
        bridge_detach(&bridge->uplink->port);
    while (*link != bridge)
        link = &(*link)->next;
    *link = bridge->next;
    mem_free(bridge->table);
    mem_free(bridge);
    return 0;
}

void bridge_attach(struct bridge *bridge, struct bridge_port *port)
{
    struct bridge_port **link = &bridge->ports;
    while (*link)
        link = &(*link)->next;
    port->bridge = bridge;
    port->to_flush = false;
    port->next = NULL;
    *link = port;
}

void bridge_detach(struct bridge_port *port)
{
    struct bridge *bridge = port->bridge;
    struct learned *table = bridge->table;
    struct bridge_port **link = &bridge->ports;
    while (*link != port)
        link = &(*link)->next;
    *link = port->next;
    port->bridge = NULL;
    for (unsigned i = 0; i < TABLE_SIZE; i++)
        if (table[i].port == port)
            table[i].port = NULL;
}

/* --- addresses ------------------------------------------------------------------------------------------ */

/* As a number, which is compared at once. */
static uint64_t address_of(const uint8_t *mac)
{
    uint32_t first = mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24;
    return first | (uint64_t)(mac[4] | (uint32_t)mac[5] << 8) << 32;
}

static struct learned *ways_of(const struct bridge *bridge, uint64_t address)
{
    uint32_t set = (uint32_t)(address * 0x9e3779b97f4a7c15ull >> 40) % (TABLE_SIZE / WAYS);
    return (struct learned *)bridge->table + set * WAYS;
}

static struct learned *look_up(const struct bridge *bridge, uint64_t address)
{
    struct learned *ways = ways_of(bridge, address);
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].port && ways[i].address == address)
            return &ways[i];
    return NULL;
}

static void learn(struct bridge_port *port, uint64_t address, uint64_t now)
{
    struct learned *entry = look_up(port->bridge, address);
    if (!entry) {
        struct learned *ways = ways_of(port->bridge, address);
        entry = ways;
        for (unsigned i = 1; i < WAYS && entry->port; i++)
            if (!ways[i].port || ways[i].heard < entry->heard)
                entry = &ways[i];
        entry->address = address;
    }
    entry->port = port;
    entry->heard = now;
}

/*
 * Pause frames and their like are between two ends of one wire (802.1D, table 7-10); spanning trees' own pass
 * through.
 */
static bool stays_on_the_wire(const uint8_t *mac)
{
    static const uint8_t reserved[MAC_SIZE - 1] = {0x01, 0x80, 0xc2, 0x00, 0x00};
    return !memcmp(mac, reserved, sizeof reserved) && mac[5] >= 1 && mac[5] <= 0x0f;
}

/* --- packets -------------------------------------------------------------------------------------------- */

static void deliver(struct bridge_port *port, struct packet *packet)
{
    port->output(port, packet);
    port->to_flush = true;
}

void bridge_input(struct bridge_port *port, struct packet *packet)
{
    struct bridge *bridge = port->bridge;
    const uint8_t *to = packet->fragment[0].data, *from = to + MAC_SIZE;
    uint64_t now = time_ns();
    if (packet->length < ETHERNET_HEADER || (from[0] & 1) || stays_on_the_wire(to)) {
        port->dropped++;
        return;
    }
    port->received++;
    port->received_bytes += packet->length;
    learn(port, address_of(from), now);

    struct learned *entry = to[0] & 1 ? NULL : look_up(bridge, address_of(to));
    if (entry && now - entry->heard < AGE_NS) {
        if (entry->port != port)
            deliver(entry->port, packet);
        return;
    }
    for (struct bridge_port *other = bridge->ports; other; other = other->next)
        if (other != port)
            deliver(other, packet);
}

void bridge_flush(void)
{
    for (struct bridge *bridge = bridges; bridge; bridge = bridge->next)
        for (struct bridge_port *port = bridge->ports; port; port = port->next) {
            if (!port->to_flush)
                continue;
            port->to_flush = false;
            if (port->flush)
                port->flush(port);
        }
}
