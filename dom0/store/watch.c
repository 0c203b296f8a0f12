/*
 * Watches (store.h). Each client has a list of its own, and all stand in an index by path, which a change
 * goes through.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "store.h"

struct watch {
    struct watched watched; /* first: what the index hands back is the watch */
    struct watch *next;
    struct client *client;
    const char *token; /* behind the path */
    size_t relative;   /* how much of an event's path the client did not write itself */
    size_t size;       /* of this record */
    char path[];
};

static struct watch_index index;

static struct watch **find(struct client *client, const char *path, const char *token)
{
    struct watch **link = &client->watches;
    while (*link && (strcmp((*link)->path, path) || strcmp((*link)->token, token)))
        link = &(*link)->next;
    return link;
}

int watch_add(struct client *client, const char *name, const char *token)
{
    char path[STORE_PATH_SIZE];
    int error = path_resolve(client->domid, name, path);
    if (error)
        return error;
    struct watch **link = find(client, path, token);
    if (*link)
        return XEN_EEXIST;
    if (!client_is_privileged(client) && client->watch_count == LIMIT_WATCHES)
        return XEN_E2BIG;
    size_t path_size = strlen(path) + 1, token_size = strlen(token) + 1;
    size_t size = sizeof **link + path_size + token_size;
    if (!tree_charge(client->domid, size))
        return XEN_ENOSPC;
    struct watch *watch = mem_alloc(size);
    if (!watch) {
        tree_discharge(client->domid, size);
        return XEN_ENOMEM;
    }
    watch->size = size;
    watch->relative = strlen(path) - strlen(name);
    watch->token = watch->path + path_size;
    strlcpy(watch->path, path, path_size);
    strlcpy(watch->path + path_size, token, token_size);
    watch->client = client;
    watched_add(&index, &watch->watched, watch->path);
    *link = watch;
    client->watch_count++;
    return 0;
}

static void remove_watch(struct client *client, struct watch **link)
{
    struct watch *watch = *link;
    *link = watch->next;
    watched_remove(&index, &watch->watched);
    client->watch_count--;
    tree_discharge(client->domid, watch->size);
    mem_free(watch);
}

int watch_remove(struct client *client, const char *name, const char *token)
{
    char path[STORE_PATH_SIZE];
    int error = path_resolve(client->domid, name, path);
    if (error)
        return error;
    struct watch **link = find(client, path, token);
    if (!*link)
        return XEN_ENOENT;
    remove_watch(client, link);
    return 0;
}

void watch_remove_all(struct client *client)
{
    while (client->watches)
        remove_watch(client, &client->watches);
}

static bool may_hear(const struct client *client, const struct node *node)
{
    return node ? perms_of(node, client->domid) & PERM_READ : client_is_privileged(client);
}

struct firing {
    const char *path;
    const struct node *node;
};

static void tell(struct watched *watched, void *arg)
{
    const struct watch *watch = (const struct watch *)watched;
    const struct firing *firing = arg;
    if (may_hear(watch->client, firing->node))
        client_event(watch->client, firing->path + watch->relative, watch->token);
}

void watch_fire(const char *path, const struct node *node, bool exact)
{
    struct firing firing = {path, node};
    listen_fire(path, exact);
    watched_each(&index, path, exact, tell, &firing);
}
