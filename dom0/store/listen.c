/*
 * Watches of dom0 itself (store_watch() of dom0/below.h): a change becomes a call instead of a message.
 *
 * Events wait in one queue, so that calls come in the order of the changes; server.c's thread takes them out
 * with listen_step(). A guest may change much faster than dom0 looks: of the same path one event waits at a
 * time, and beyond EVENTS_MAX of one watch, or without memory, the event of the watch's own path stands for
 * all. That one is part of the watch's record, so nothing is ever lost.
 */
#include <dom0/below.h>
#include <dom0/thread.h>
#include <lib/string.h>
#include "server.h"
#include "store.h"

#define EVENTS_MAX 64

struct event {
    struct event *next;
    struct store_watch *watch;
    char *path;
};

struct store_watch {
    struct watched watched; /* first: what the index hands back is the watch */
    void (*changed)(const char *path, void *arg);
    void *arg;
    size_t waiting;     /* events in the queue, without whole */
    struct event whole; /* of path itself: look at everything again */
    bool whole_waits;
    char path[];
};

static struct watch_index index;
static struct event *queue, **tail = &queue;
/* The watch whose changed() is under way, for that may switch, and the thread it is in. */
static struct store_watch *told;
static struct thread *teller;

static void append(struct event *event)
{
    event->next = NULL;
    *tail = event;
    tail = &event->next;
}

static struct event *take(struct event **link)
{
    struct event *event = *link;
    *link = event->next;
    if (!*link)
        tail = link;
    return event;
}

static void tell_all(struct store_watch *watch)
{
    if (!watch->whole_waits) {
        watch->whole_waits = true;
        append(&watch->whole);
    }
}

static bool waits_already(const struct store_watch *watch, const char *path)
{
    if (watch->whole_waits)
        return true;
    for (const struct event *event = queue; event; event = event->next)
        if (event->watch == watch && !strcmp(event->path, path))
            return true;
    return false;
}

static void add_event(struct watched *watched, void *arg)
{
    struct store_watch *watch = (struct store_watch *)watched;
    const char *path = arg;
    if (waits_already(watch, path))
        return;
    size_t size = strlen(path) + 1;
    bool own_path = !strcmp(path, watch->path);
    struct event *event = own_path || watch->waiting == EVENTS_MAX ? NULL : mem_alloc(sizeof *event + size);
    if (!event) {
        tell_all(watch);
        return;
    }
    event->watch = watch;
    event->path = (char *)(event + 1);
    strlcpy(event->path, path, size);
    watch->waiting++;
    append(event);
}

void listen_fire(const char *path, bool exact)
{
    watched_each(&index, path, exact, add_event, (void *)(uintptr_t)path);
}

bool listen_waiting(void)
{
    return queue;
}

bool listen_step(void)
{
    if (!queue)
        return false;
    struct event *event = take(&queue);
    struct store_watch *watch = event->watch;
    bool whole = event == &watch->whole;
    if (whole)
        watch->whole_waits = false;
    else
        watch->waiting--;
    told = watch;
    teller = thread_current();
    watch->changed(event->path, watch->arg);
    if (!whole)
        mem_free(event);
    if (!told)
        mem_free(watch);
    told = NULL;
    return true;
}

struct store_watch *store_watch(const char *path, void (*changed)(const char *path, void *arg), void *arg)
{
    char resolved[STORE_PATH_SIZE];
    if (path_resolve(0, path, resolved))
        return NULL;
    size_t size = strlen(resolved) + 1;
    struct store_watch *watch = mem_alloc(sizeof *watch + size);
    if (!watch)
        return NULL;
    strlcpy(watch->path, resolved, size);
    watch->changed = changed;
    watch->arg = arg;
    watch->whole = (struct event){.watch = watch, .path = watch->path};
    watched_add(&index, &watch->watched, watch->path);
    tell_all(watch);
    server_kick();
    return watch;
}

void store_unwatch(struct store_watch *watch)
{
    if (!watch)
        return;
    watched_remove(&index, &watch->watched);
    for (struct event **at = &queue; *at;) {
        if ((*at)->watch != watch) {
            at = &(*at)->next;
            continue;
        }
        struct event *event = take(at);
        if (event != &watch->whole)
            mem_free(event);
    }
    if (told == watch && thread_current() == teller) {
        /* changed() itself gives its watch up: listen_step() frees it. */
        told = NULL;
        return;
    }
    while (told == watch)
        thread_yield();
    mem_free(watch);
}
