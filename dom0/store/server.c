/*
 * Connections of domains (store_introduce and store_release of dom0/below.h), and the thread that serves
 * them.
 *
 * Those that have something to do stand in a queue, and one step is done for each in turn, so no domain waits
 * longer because another one asks much, and idle ones cost nothing. A domain that breaks the protocol is told
 * so in its page and not listened to any more; the others do not notice.
 */
#include <dom0/below.h>
#include <dom0/store.h>
#include <dom0/thread.h>
#include <pvh/event.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include "server.h"
#include "store.h"

struct connection {
    struct connection *next;
    struct client *client;
    struct xenstore_domain_interface *page;
    evtchn_port_t port;
    bool broken;
};

static struct connection *connections;
static struct signal work, news;

/* --- serving -------------------------------------------------------------------------------------------- */

static long read_page(void *arg, void *to, size_t size)
{
    return ring_read(arg, to, size);
}

static long write_page(void *arg, const void *from, size_t size)
{
    return ring_write(arg, from, size);
}

/* True when there may be more to do. */
static bool step(struct connection *c)
{
    const struct transport transport = {read_page, write_page, c->page};
    int did = client_step(c->client, &transport);
    if (did < 0) {
        c->broken = true;
        c->page->error = (uint32_t)-did;
        print("store: domain %u broke the ring's rules (error %d) and is not served any more\n",
              c->client->domid, -did);
    }
    if (did)
        event_send(c->port);
    return did > 0;
}

static void serve(void *arg)
{
    (void)arg;
    for (;;) {
        struct client *client = client_next_kicked();
        struct connection *c = client ? client->connection : NULL;
        if (c && !c->broken && step(c))
            client_kick(client);
        if (listen_waiting())
            signal_set(&news);
        if (client)
            thread_yield();
        else
            signal_wait(&work, FOREVER);
    }
}

/* In a thread of their own: dom0's watchers may take their time, and ask the store meanwhile. */
static void tell_dom0(void *arg)
{
    (void)arg;
    for (;;)
        if (listen_step())
            thread_yield();
        else
            signal_wait(&news, FOREVER);
}

void server_kick(void)
{
    signal_set(&work);
}

static void on_event(evtchn_port_t port, void *arg)
{
    struct connection *c = arg;
    (void)port;
    client_kick(c->client);
    server_kick();
}

void store_init(void)
{
    if (!tree_init() || !local_init() || !thread_create(serve, NULL) || !thread_create(tell_dom0, NULL))
        pvh_panic("no memory for the store: raise dom0_mem");
}

/* --- domains -------------------------------------------------------------------------------------------- */

static struct connection **find(domid_t domid)
{
    struct connection **link = &connections;
    while (*link && (*link)->client->domid != domid)
        link = &(*link)->next;
    return link;
}

static void free_connection(struct connection *c)
{
    foreign_unmap(c->page, 1);
    if (c->client)
        client_free(c->client);
    mem_free(c);
}

int store_introduce(domid_t domid, xen_pfn_t ring_gfn, evtchn_port_t remote_port)
{
    if (*find(domid))
        return XEN_EEXIST;
    struct connection *c = mem_alloc(sizeof *c);
    if (!c)
        return XEN_ENOMEM;
    c->client = client_new(domid);
    c->page = foreign_map(domid, &ring_gfn, 1);
    long port = c->page ? event_bind_interdomain(domid, remote_port) : 0;
    if (!c->client || !c->page || port < 0) {
        int error = !c->client ? XEN_ENOMEM : !c->page ? XEN_EINVAL : (int)-port;
        free_connection(c);
        return error;
    }
    c->page->server_features = XENSTORE_SERVER_FEATURE_ERROR;
    c->port = (evtchn_port_t)port;
    c->client->connection = c;
    client_kick(c->client);
    c->next = connections;
    connections = c;
    event_handle(c->port, on_event, c);
    watch_fire("@introduceDomain", NULL, true);
    server_kick();
    return 0;
}

int store_release(domid_t domid)
{
    struct connection **link = find(domid), *c = *link;
    if (!c)
        return XEN_ENOENT;
    *link = c->next;
    event_handle(c->port, NULL, NULL);
    event_close(c->port);
    free_connection(c);
    local_forget(domid);
    watch_fire("@releaseDomain", NULL, true);
    server_kick();
    return 0;
}
