/*
 * One connection (store.h): a request is put together from what the transport brings, its reply and the watch
 * events go out as the transport takes them. The next request is looked at only when the reply of the last is
 * gone, so a client that does not read cannot make the server keep more than one; events beyond LIMIT_EVENTS
 * are lost to it.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "store.h"

struct client *clients;

bool client_is_privileged(const struct client *client)
{
    return client->domid == 0;
}

struct client *client_find(domid_t domid)
{
    struct client *client = clients;
    while (client && client->domid != domid)
        client = client->next;
    return client;
}

struct client *client_new(domid_t domid)
{
    struct client *client = client_find(domid) || !tree_usage(domid) ? NULL : mem_alloc(sizeof *client);
    if (!client)
        return NULL;
    client->domid = domid;
    client->events_tail = &client->events;
    client->next = clients;
    clients = client;
    return client;
}

static struct client *kicked, **kicked_tail = &kicked;

void client_kick(struct client *client)
{
    if (client->kicked)
        return;
    client->kicked = true;
    client->next_kicked = NULL;
    *kicked_tail = client;
    kicked_tail = &client->next_kicked;
}

static void unkick(struct client **link)
{
    struct client *client = *link;
    *link = client->next_kicked;
    if (!*link)
        kicked_tail = link;
    client->kicked = false;
}

struct client *client_next_kicked(void)
{
    struct client *client = kicked;
    if (client)
        unkick(&kicked);
    return client;
}

/* --- watch events --------------------------------------------------------------------------------------- */

static void drop_event(struct client *client)
{
    struct message *event = client->events;
    client->events = event->next;
    if (!client->events)
        client->events_tail = &client->events;
    client->event_count--;
    tree_discharge(client->domid, sizeof *event + event->size);
    mem_free(event);
}

/* An event says "look again": one that waits unsent says it for the next, too. */
static bool waits_already(const struct client *client, const struct message *event)
{
    for (const struct message *e = client->events; e; e = e->next)
        if (!e->sent && e->size == event->size && !memcmp(e->bytes, event->bytes, e->size))
            return true;
    return false;
}

void client_event(struct client *client, const char *path, const char *token)
{
    size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
    struct xsd_sockmsg header = {.type = XS_WATCH_EVENT, .len = (uint32_t)(path_size + token_size)};
    size_t size = sizeof header + header.len;
    if (header.len > XENSTORE_PAYLOAD_MAX || client->event_count == LIMIT_EVENTS)
        return;
    struct message *event = mem_alloc(sizeof *event + size);
    if (!event)
        return;
    event->size = size;
    memcpy(event->bytes, &header, sizeof header);
    memcpy(event->bytes + sizeof header, path, path_size);
    memcpy(event->bytes + sizeof header + path_size, token, token_size);
    if (waits_already(client, event) || !tree_charge(client->domid, sizeof *event + size)) {
        mem_free(event);
        return;
    }
    *client->events_tail = event;
    client->events_tail = &event->next;
    client->event_count++;
    client_kick(client);
}

void client_free(struct client *client)
{
    struct client **link = &clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    if (client->kicked) {
        for (link = &kicked; *link != client;)
            link = &(*link)->next_kicked;
        unkick(link);
    }
    transaction_abort_all(client);
    watch_remove_all(client);
    while (client->events)
        drop_event(client);
    mem_free(client);
}

/* --- bytes ---------------------------------------------------------------------------------------------- */

/* Sends from *sent on. Negative: broken; else whether anything moved. */
static long push(const struct transport *transport, const void *bytes, size_t size, size_t *sent)
{
    long moved = transport->write(transport->arg, (const char *)bytes + *sent, size - *sent);
    if (moved > 0)
        *sent += (size_t)moved;
    return moved;
}

static long send_reply(struct client *client, const struct transport *transport)
{
    size_t size = sizeof client->reply.header + client->reply.header.len;
    long moved = push(transport, &client->reply, size, &client->replied);
    client->replying = client->replied < size;
    return moved;
}

static long send_event(struct client *client, const struct transport *transport)
{
    struct message *event = client->events;
    long moved = push(transport, event->bytes, event->size, &event->sent);
    if (event->sent == event->size)
        drop_event(client);
    return moved;
}

/* The reply goes before events, but not into the middle of one. */
static long send(struct client *client, const struct transport *transport)
{
    bool in_event = client->events && client->events->sent;
    if (client->replying && !in_event)
        return send_reply(client, transport);
    return client->events ? send_event(client, transport) : 0;
}

static long receive(struct client *client, const struct transport *transport)
{
    const size_t header_size = sizeof client->request.header;
    size_t want = header_size + (client->received < header_size ? 0 : client->request.header.len);
    long moved = 0;
    if (client->received < want) {
        moved = transport->read(transport->arg, (char *)&client->request + client->received,
                                want - client->received);
        if (moved <= 0)
            return moved;
        client->received += (size_t)moved;
    }
    if (client->received < header_size)
        return moved;
    if (client->request.header.len > XENSTORE_PAYLOAD_MAX)
        return -XENSTORE_ERROR_PROTO;
    if (client->received < header_size + client->request.header.len)
        return moved;
    client->received = 0;
    client->replied = 0;
    client->replying = true;
    request_serve(client);
    return 1;
}

int client_step(struct client *client, const struct transport *transport)
{
    long moved = send(client, transport);
    if (!moved && !client->replying)
        moved = receive(client, transport);
    return moved < 0 ? (int)moved : moved > 0;
}
