/* The frontend of a test (block_front.h), and what the back end calls of drivers/xenbus.h and pvh/event.h. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pvh/event.h>
#include <xen/io/protocols.h>
#include "block_front.h"

#define KEYS 512

static struct pair {
    char key[48], value[128];
} front_keys[KEYS], back_keys[KEYS];

struct backend front_backend;
const struct backend_type *front_type;
unsigned front_events[FRONT_RINGS], front_complaints, front_state_writes;
char front_said[256];
bool front_closed;

static struct {
    event_handler handler;
    void *arg;
} handlers[FRONT_RINGS];
static struct {
    uint32_t put, taken, size;
} rings[FRONT_RINGS];
static bool is_32;

/* --- keys ----------------------------------------------------------------------------------------------- */

/* Where the key is, or a place for it. */
static struct pair *find(struct pair *pairs, const char *key)
{
    struct pair *free = NULL;
    for (int i = 0; i < KEYS; i++) {
        if (!strcmp(pairs[i].key, key))
            return &pairs[i];
        if (!pairs[i].key[0])
            free = &pairs[i];
    }
    assert(free);
    return free;
}

static void set(struct pair *pairs, const char *key, const char *value)
{
    struct pair *pair = find(pairs, key);
    snprintf(pair->key, sizeof pair->key, "%s", value ? key : "");
    snprintf(pair->value, sizeof pair->value, "%s", value ? value : "");
}

static const char *get(struct pair *pairs, const char *key)
{
    const struct pair *pair = find(pairs, key);
    return pair->key[0] ? pair->value : NULL;
}

void front_key(const char *key, const char *value)
{
    set(front_keys, key, value);
}

void back_key(const char *key, const char *value)
{
    set(back_keys, key, value);
}

const char *back_value(const char *key)
{
    const char *value = get(back_keys, key);
    return value ? value : "";
}

static bool read_key(struct pair *keys, const char *key, char *value, size_t size)
{
    const char *found = get(keys, key);
    return found && (size_t)snprintf(value, size, "%s", found) < size;
}

static bool read_number(struct pair *keys, const char *key, uint64_t *value)
{
    const char *found = get(keys, key);
    char *end;
    if (!found || !*found)
        return false;
    uint64_t number = strtoull(found, &end, 0);
    if (*end)
        return false;
    *value = number;
    return true;
}

bool backend_read(const struct backend *b, const char *key, char *value, size_t size)
{
    (void)b;
    return read_key(back_keys, key, value, size);
}

bool backend_read_number(const struct backend *b, const char *key, uint64_t *value)
{
    (void)b;
    return read_number(back_keys, key, value);
}

bool frontend_read(const struct backend *b, const char *key, char *value, size_t size)
{
    (void)b;
    return read_key(front_keys, key, value, size);
}

bool frontend_read_number(const struct backend *b, const char *key, uint64_t *value)
{
    (void)b;
    return read_number(front_keys, key, value);
}

int backend_write(const struct backend *b, const char *key, const char *format, ...)
{
    char value[128];
    va_list args;
    (void)b;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    back_key(key, value);
    return 0;
}

bool backend_register(const struct backend_type *type)
{
    front_type = type;
    return true;
}

void backend_complain(struct backend *b, const char *format, ...)
{
    va_list args;
    (void)b;
    va_start(args, format);
    vsnprintf(front_said, sizeof front_said, format, args);
    va_end(args);
    front_complaints++;
}

void backend_close(struct backend *b, const char *reason)
{
    (void)b;
    (void)reason;
    front_closed = true;
}

void backend_state_again(struct backend *b)
{
    (void)b;
    front_state_writes++;
}

/* --- event channels: port 1 + n is ring n's, at both ends ----------------------------------------------- */

long event_bind_interdomain(domid_t remote, evtchn_port_t remote_port)
{
    (void)remote;
    return remote_port >= 1 && remote_port <= FRONT_RINGS ? (long)remote_port
           : remote_port == 1000                          ? 1024
                                                          : -22;
}

void event_handle(evtchn_port_t port, event_handler handler, void *arg)
{
    assert(port >= 1 && port <= FRONT_RINGS);
    handlers[port - 1].handler = handler;
    handlers[port - 1].arg = arg;
}

long event_close(evtchn_port_t port)
{
    (void)port;
    return 0;
}

long event_send(evtchn_port_t port)
{
    front_events[port - 1]++;
    return 0;
}

/* --- rings ---------------------------------------------------------------------------------------------- */

void front_reset(void)
{
    memset(front_keys, 0, sizeof front_keys);
    memset(back_keys, 0, sizeof back_keys);
    memset(handlers, 0, sizeof handlers);
    memset(front_events, 0, sizeof front_events);
    front_complaints = front_state_writes = 0;
    front_said[0] = '\0';
    front_closed = false;
    front_backend = (struct backend){.domid = 7, .devid = 51712};
}

struct blkif_sring *front_ring(unsigned ring)
{
    return (struct blkif_sring *)world_page[FRONT_RING_PAGE + ring * 16];
}

unsigned front_size(unsigned ring)
{
    return rings[ring].size;
}

void *front_entry(unsigned ring, uint32_t index)
{
    return (char *)front_ring(ring)->ring + (index & (rings[ring].size - 1)) * (is_32 ? 108 : 112);
}

static void init_ring(unsigned ring, unsigned order, bool several)
{
    char name[40], value[16];
    const char *prefix = several ? (snprintf(name, sizeof name, "queue-%u/", ring), name) : "";
    char key[64];
    memset(front_ring(ring), 0, 4096);
    SHARED_RING_INIT(front_ring(ring));
    for (unsigned i = 0; i < 1u << order; i++) {
        world_granted[FRONT_RING_PAGE + ring * 16 + i] = true;
        snprintf(key, sizeof key, order ? "%sring-ref%u" : "%sring-ref", prefix, i);
        snprintf(value, sizeof value, "%u", FRONT_RING_PAGE + ring * 16 + i);
        front_key(key, value);
    }
    snprintf(key, sizeof key, "%sevent-channel", prefix);
    snprintf(value, sizeof value, "%u", ring + 1);
    front_key(key, value);
    rings[ring].put = rings[ring].taken = 0;
    for (rings[ring].size = 1; rings[ring].size * 2 <= ((4096u << order) - 64) / (is_32 ? 108 : 112);)
        rings[ring].size *= 2;
}

bool front_connect(unsigned count, unsigned order, bool bits32)
{
    struct why why;
    char value[16];
    is_32 = bits32;
    front_key("protocol", bits32 ? XEN_IO_PROTO_ABI_X86_32 : XEN_IO_PROTO_ABI_X86_64);
    snprintf(value, sizeof value, "%u", count);
    front_key("multi-queue-num-queues", value);
    snprintf(value, sizeof value, "%u", order);
    front_key("ring-page-order", value);
    for (unsigned i = 0; i < count; i++)
        init_ring(i, order, count > 1);
    bool connected = front_type->connect(&front_backend, &why);
    if (!connected)
        snprintf(front_said, sizeof front_said, "%.255s", why.text);
    return connected;
}

void front_disconnect(void)
{
    front_type->disconnect(&front_backend);
}

void front_put(unsigned ring, const union front_request *request)
{
    char *to = front_entry(ring, rings[ring].put++);
    memcpy(to, request, is_32 ? 4 : 112);
    if (is_32)
        memcpy(to + 4, (const char *)request + 8, 104);
}

void front_notify(unsigned ring)
{
    if (handlers[ring].handler)
        handlers[ring].handler(ring + 1, handlers[ring].arg);
}

void front_push(unsigned ring)
{
    struct blkif_sring *shared = front_ring(ring);
    uint32_t before = shared->req_prod;
    shared->req_prod = rings[ring].put;
    if (rings[ring].put - shared->req_event < rings[ring].put - before)
        front_notify(ring);
}

bool front_take(unsigned ring, uint64_t *id, uint8_t *operation, int16_t *status)
{
    struct blkif_sring *shared = front_ring(ring);
    shared->rsp_event = rings[ring].taken + 1;
    if (shared->rsp_prod == rings[ring].taken)
        return false;
    const char *from = front_entry(ring, rings[ring].taken++);
    shared->rsp_event = rings[ring].taken + 1;
    memcpy(id, from, 8);
    memcpy(operation, from + 8, 1);
    memcpy(status, from + 10, 2);
    return true;
}
