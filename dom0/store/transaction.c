/*
 * Transactions (store.h).
 *
 * A transaction keeps every node that it looked at or changed: what the tree held then, and what it should
 * hold. It sees the tree as it is where it has not been yet; at the end nothing of what it saw may have
 * changed meanwhile, or it is to be tried again (EAGAIN). Nodes are immutable, so "changed" is another
 * pointer. A request outside any transaction runs in one of its own, so that it too happens whole or not at
 * all.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "store.h"

struct change {
    struct change *next;
    struct node *before, *after; /* both referenced; equal: only looked at */
    bool modified;
    enum fire fire;
    uint32_t hash;  /* of path */
    size_t charged; /* to the client, for this record and the changed node */
    char path[];
};

struct transaction {
    struct transaction *next;
    struct client *client;
    uint32_t id;
    struct change *changes, **tail;
    unsigned count;
};

struct transaction *transaction_start(struct client *client)
{
    struct transaction *t = mem_alloc(sizeof *t);
    if (!t)
        return NULL;
    *t = (struct transaction){
        .client = client, .id = ++client->last_transaction, .next = client->transactions};
    t->tail = &t->changes;
    client->transactions = t;
    return t;
}

struct transaction *transaction_find(struct client *client, uint32_t id)
{
    struct transaction *t = client->transactions;
    while (t && t->id != id)
        t = t->next;
    return t;
}

uint32_t transaction_id(const struct transaction *t)
{
    return t->id;
}

struct client *transaction_client(const struct transaction *t)
{
    return t->client;
}

/* The change of path; made at the first look at it. */
static int change_of(struct transaction *t, const char *path, struct change **found)
{
    uint32_t hash = path_hash(path);
    for (struct change *c = t->changes; c; c = c->next)
        if (c->hash == hash && !strcmp(c->path, path)) {
            *found = c;
            return 0;
        }
    size_t path_size = strlen(path) + 1, size = sizeof **found + path_size;
    domid_t domid = t->client->domid;
    if (domid != 0 && t->count == LIMIT_TRANSACTION_NODES)
        return XEN_ENOSPC;
    if (!tree_charge(domid, size))
        return XEN_ENOSPC;
    struct change *c = mem_alloc(size);
    if (!c) {
        tree_discharge(domid, size);
        return XEN_ENOMEM;
    }
    c->hash = hash;
    c->charged = size;
    c->before = node_ref(tree_get(path));
    c->after = node_ref(c->before);
    strlcpy(c->path, path, path_size);
    *t->tail = c;
    t->tail = &c->next;
    t->count++;
    *found = c;
    return 0;
}

int transaction_get(struct transaction *t, const char *path, struct node **node)
{
    struct change *c;
    int error = change_of(t, path, &c);
    *node = error ? NULL : c->after;
    return error;
}

static size_t cost(const struct node *node)
{
    return node ? sizeof *node + node_size(node) : 0;
}

int transaction_set(struct transaction *t, const char *path, struct node *node, enum fire fire)
{
    struct change *c;
    domid_t domid = t->client->domid;
    int error = change_of(t, path, &c);
    if (!error && domid != 0 && node && node_size(node) > LIMIT_NODE_SIZE)
        error = XEN_ENOSPC;
    if (!error && !tree_charge(domid, cost(node)))
        error = XEN_ENOSPC;
    if (error) {
        node_unref(node);
        return error;
    }
    if (c->modified) {
        tree_discharge(domid, cost(c->after));
        c->charged -= cost(c->after);
    }
    c->charged += cost(node);
    node_unref(c->after);
    c->after = node;
    c->modified = true;
    if (fire != FIRE_NOT)
        c->fire = fire;
    return 0;
}

/* --- the end -------------------------------------------------------------------------------------------- */

void transaction_abort(struct transaction *t)
{
    struct transaction **link = &t->client->transactions;
    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    while (t->changes) {
        struct change *c = t->changes;
        t->changes = c->next;
        tree_discharge(t->client->domid, c->charged);
        node_unref(c->before);
        node_unref(c->after);
        mem_free(c);
    }
    mem_free(t);
}

void transaction_abort_all(struct client *client)
{
    while (client->transactions)
        transaction_abort(client->transactions);
    client->transaction_count = 0;
}

static bool owned_by(const struct node *node, domid_t domid)
{
    return node && node->perms[0].domid == domid;
}

/* Whether the client's domain would own more nodes than it may. */
static bool exceeds_limit(const struct transaction *t)
{
    domid_t domid = t->client->domid;
    size_t added = 0, removed = 0;
    for (const struct change *c = t->changes; c; c = c->next) {
        added += owned_by(c->after, domid);
        removed += owned_by(c->before, domid);
    }
    return domid != 0 && added > removed && tree_usage(domid)->nodes + added - removed > LIMIT_NODES;
}

static int check(const struct transaction *t)
{
    for (const struct change *c = t->changes; c; c = c->next)
        if (tree_get(c->path) != c->before)
            return XEN_EAGAIN;
    if (exceeds_limit(t))
        return XEN_ENOSPC;
    for (const struct change *c = t->changes; c; c = c->next)
        if (c->modified && c->after && (!tree_reserve(c->path) || !tree_usage(c->after->perms[0].domid)))
            return XEN_ENOMEM;
    return 0;
}

static void apply(struct transaction *t)
{
    for (struct change *c = t->changes; c; c = c->next)
        if (c->modified && (c->before || c->after))
            tree_set(c->path, c->after);
    for (struct change *c = t->changes; c; c = c->next)
        if (c->fire != FIRE_NOT)
            watch_fire(c->path, c->after ? c->after : c->before, c->fire == FIRE_EXACT);
}

int transaction_commit(struct transaction *t)
{
    int error = check(t);
    if (!error)
        apply(t);
    else
        for (struct change *c = t->changes; c; c = c->next)
            tree_unreserve(c->path);
    transaction_abort(t);
    return error;
}
