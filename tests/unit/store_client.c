/* The client of a test (store_client.h), and what the store needs from below. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/thread.h>
#include "../../dom0/store/server.h"
#include "store_client.h"

struct answer answer;
long blocks, blocks_left = -1;

void *mem_alloc(size_t size)
{
    if (blocks_left == 0)
        return NULL;
    if (blocks_left > 0)
        blocks_left--;
    blocks++;
    return calloc(1, size);
}

void mem_free(void *p)
{
    blocks -= p != NULL;
    free(p);
}

struct thread *thread_current(void)
{
    return (struct thread *)pthread_self();
}

__attribute__((weak)) void thread_yield(void)
{
}

void server_kick(void)
{
}

static struct {
    char in[sizeof(struct xsd_sockmsg) + UINT16_MAX], out[2 * XENSTORE_PAYLOAD_MAX];
    size_t in_size, in_at, out_size;
} wire;

static long take(void *arg, void *to, size_t size)
{
    (void)arg;
    /* In small pieces, as a ring may bring them. */
    size_t n = wire.in_size - wire.in_at;
    n = n < size ? n : size;
    n = n < 7 ? n : 7;
    memcpy(to, wire.in + wire.in_at, n);
    wire.in_at += n;
    return (long)n;
}

static long give(void *arg, const void *from, size_t size)
{
    (void)arg;
    if (size > 100)
        size = 100;
    if (size > sizeof wire.out - wire.out_size)
        abort();
    memcpy(wire.out + wire.out_size, from, size);
    wire.out_size += size;
    return (long)size;
}

static int error_of(const char *name)
{
    for (int error = 1; error < 256; error++)
        if (!strcmp(request_error_name(error), name) && (error == XEN_EINVAL || strcmp(name, "EINVAL")))
            return error;
    abort();
}

static const struct transport transport = {take, give, NULL};

/* Watch events that came out and were not asked for yet. */
static struct event {
    struct event *next;
    struct client *client;
    char text[XENSTORE_PAYLOAD_MAX];
} * events, **events_tail = &events;

static void sort_out(struct client *client)
{
    struct xsd_sockmsg header;
    memcpy(&header, wire.out, sizeof header);
    if (wire.out_size < sizeof header || wire.out_size < sizeof header + header.len)
        return;
    if (wire.out_size > sizeof header + header.len || header.len > XENSTORE_PAYLOAD_MAX)
        abort();
    wire.out_size = 0;
    if (header.type == XS_WATCH_EVENT) {
        struct event *event = calloc(1, sizeof *event);
        event->client = client;
        memcpy(event->text, wire.out + sizeof header, header.len);
        *events_tail = event;
        events_tail = &event->next;
        return;
    }
    answer.type = header.type;
    answer.length = header.len;
    memcpy(answer.data, wire.out + sizeof header, header.len);
    answer.data[header.len] = '\0';
}

/* Until the client has nothing to do. */
static int run(struct client *client)
{
    int did;
    while ((did = client_step(client, &transport)) > 0)
        sort_out(client);
    return did;
}

int ask(struct client *client, uint32_t type, uint32_t transaction, const void *data, size_t size)
{
    struct xsd_sockmsg header = {.type = type, .req_id = 77, .tx_id = transaction, .len = (uint32_t)size};
    memcpy(wire.in, &header, sizeof header);
    memcpy(wire.in + sizeof header, data, size);
    wire.in_size = sizeof header + size;
    wire.in_at = 0;
    int broken = run(client);
    return broken ? broken : answer.type == XS_ERROR ? error_of(answer.data) : 0;
}

int ask1(struct client *client, uint32_t type, uint32_t transaction, const char *text)
{
    return ask(client, type, transaction, text, strlen(text) + 1);
}

static size_t join(char *data, const char *path, const char *rest, size_t rest_size)
{
    size_t size = strlen(path) + 1;
    memcpy(data, path, size);
    memcpy(data + size, rest, rest_size);
    return size + rest_size;
}

int ask2(struct client *client, uint32_t type, uint32_t transaction, const char *path, const char *rest)
{
    char data[2 * XENSTORE_PAYLOAD_MAX];
    return ask(client, type, transaction, data, join(data, path, rest, strlen(rest) + 1));
}

int ask_write(struct client *client, uint32_t transaction, const char *path, const char *value)
{
    char data[2 * XENSTORE_PAYLOAD_MAX];
    return ask(client, XS_WRITE, transaction, data, join(data, path, value, strlen(value)));
}

uint32_t ask_start(struct client *client)
{
    return ask1(client, XS_TRANSACTION_START, 0, "") ? 0 : (uint32_t)atoi(answer.data);
}

const char *next_event(struct client *client, char *token)
{
    static char path[XENSTORE_PAYLOAD_MAX];
    wire.in_size = wire.in_at = 0;
    run(client);
    struct event **link = &events, *event;
    while (*link && (*link)->client != client)
        link = &(*link)->next;
    event = *link;
    if (!event)
        return NULL;
    *link = event->next;
    if (!*link)
        events_tail = link;
    strcpy(path, event->text);
    if (token)
        strcpy(token, event->text + strlen(path) + 1);
    free(event);
    return path;
}
