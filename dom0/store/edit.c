/*
 * Reading and changing nodes (store.h), with the permissions that Xen's xenstored asks for.
 *
 * A node that is not there is judged by the nearest one above it that is: who may not do there what he asks
 * for learns EACCES, not that nothing is there.
 */
#include <lib/string.h>
#include "store.h"

static int look(struct transaction *t, const char *path, struct node **node)
{
    if (t)
        return transaction_get(t, path, node);
    *node = tree_get(path);
    return 0;
}

/* The nearest existing node above path, and its path. There is always the root. */
static int nearest_above(struct transaction *t, const char *path, char *above, struct node **node)
{
    int error = 0;
    strlcpy(above, path, STORE_PATH_SIZE);
    *node = NULL;
    while (!error && !*node && path_parent(above, above))
        error = look(t, above, node);
    return error;
}

int edit_get(struct client *client, struct transaction *t, const char *path, unsigned need,
             struct node **node)
{
    char above[STORE_PATH_SIZE];
    struct node *judge;
    int error = look(t, path, node);
    if (error)
        return error;
    judge = *node;
    if (!judge)
        error = nearest_above(t, path, above, &judge);
    if (error)
        return error;
    if (!judge || (perms_of(judge, client->domid) & need) != need)
        return XEN_EACCES;
    return *node ? 0 : XEN_ENOENT;
}

static int get_in(struct transaction *t, const char *path, unsigned need, struct node **node)
{
    return edit_get(transaction_client(t), t, path, need, node);
}

/* Sets what a node_…() function made; NULL of it means that there was no memory. */
static int set_made(struct transaction *t, const char *path, struct node *made, enum fire fire)
{
    return made ? transaction_set(t, path, made, fire) : XEN_ENOMEM;
}

/* A node with its parent's permissions, owned by the client unless that is dom0. */
static struct node *make_child(struct transaction *t, const struct node *parent, const char *value,
                               size_t size)
{
    struct client *client = transaction_client(t);
    struct node *node = node_make(parent->perms, parent->perm_count, value, size);
    if (node && !client_is_privileged(client))
        node->perms[0].domid = client->domid;
    return node;
}

/* Makes path, which does not exist, and all that is missing above it. */
static int create(struct transaction *t, const char *path, const char *value, size_t size)
{
    char above[STORE_PATH_SIZE];
    struct node *parent;
    int error = nearest_above(t, path, above, &parent);
    while (!error && strcmp(above, path)) {
        size_t length = strlen(above);
        const char *name = path + length + (above[length - 1] != '/');
        const char *slash = strchr(name, '/');
        char child[STORE_PATH_SIZE];
        strlcpy(child, path, slash ? (size_t)(slash - path) + 1 : sizeof child);
        /* Before its parent is replaced: that may drop the last reference to the record at hand. */
        struct node *made = make_child(t, parent, slash ? NULL : value, slash ? 0 : size);
        error = set_made(t, above, node_with_child(parent, path_last(child)), FIRE_NOT);
        if (error)
            node_unref(made);
        else
            error = set_made(t, child, made, slash ? FIRE_NOT : FIRE_BELOW);
        strlcpy(above, child, sizeof above);
        if (!error)
            error = look(t, above, &parent);
    }
    return error;
}

int edit_write(struct transaction *t, const char *path, const char *value, size_t size)
{
    struct node *node;
    int error = get_in(t, path, PERM_WRITE, &node);
    if (error == XEN_ENOENT)
        return create(t, path, value, size);
    return error ? error : set_made(t, path, node_with_value(node, value, size), FIRE_BELOW);
}

int edit_mkdir(struct transaction *t, const char *path)
{
    struct node *node;
    int error = get_in(t, path, PERM_WRITE, &node);
    return error == XEN_ENOENT ? create(t, path, NULL, 0) : error;
}

/*
 * Takes path away with all below it: goes down to a leaf, removes it from its parent, and so on, in one
 * buffer and without recursion, for a guest decides how deep its tree is.
 */
static int remove_tree(struct transaction *t, const char *path)
{
    char at[STORE_PATH_SIZE], name[STORE_PATH_SIZE];
    strlcpy(at, path, sizeof at);
    for (;;) {
        struct node *node;
        int error = look(t, at, &node);
        if (error)
            return error;
        if (node && node->children_size) {
            strlcpy(at + strlen(at), "/", 2);
            strlcpy(at + strlen(at), node->children, sizeof at - strlen(at));
            continue;
        }
        bool last = !strcmp(at, path);
        error = transaction_set(t, at, NULL, last ? FIRE_BELOW : FIRE_EXACT);
        strlcpy(name, path_last(at), sizeof name);
        path_parent(at, at);
        if (!error)
            error = look(t, at, &node);
        if (!error)
            error = set_made(t, at, node_without_child(node, name), FIRE_NOT);
        if (error || last)
            return error;
    }
}

int edit_rm(struct transaction *t, const char *path)
{
    char parent[STORE_PATH_SIZE];
    struct node *node;
    if (!path_parent(path, parent))
        return XEN_EINVAL;
    int error = get_in(t, path, PERM_WRITE, &node);
    if (!error)
        return remove_tree(t, path);
    if (error != XEN_ENOENT)
        return error;
    error = look(t, parent, &node);
    return error ? error : node ? 0 : XEN_ENOENT;
}

int edit_set_perms(struct transaction *t, const char *path, const struct perm *perms, size_t count)
{
    struct client *client = transaction_client(t);
    struct node *node;
    int error = get_in(t, path, PERM_WRITE | PERM_OWNER, &node);
    if (error)
        return error;
    if (!client_is_privileged(client) && perms[0].domid != node->perms[0].domid)
        return XEN_EPERM;
    if (!client_is_privileged(client) && count > LIMIT_PERMS)
        return XEN_ENOSPC;
    return set_made(t, path, node_with_perms(node, perms, count), FIRE_BELOW);
}

/* --- a domain that is gone ------------------------------------------------------------------------------ */

struct forget {
    domid_t domid;
    char path[STORE_PATH_SIZE]; /* of a node it owns; "" while none was found */
};

static bool find_owned(const char *path, struct node *node, void *arg)
{
    struct forget *forget = arg;
    if (node->perms[0].domid == forget->domid && strcmp(path, "/"))
        strlcpy(forget->path, path, sizeof forget->path);
    return !forget->path[0];
}

/* What it still owns, which is the root if anything, passes to dom0: a node always has an owner. */
static bool drop_name(const char *path, struct node *node, void *arg)
{
    const struct forget *forget = arg;
    bool named = false;
    for (size_t i = 0; i < node->perm_count; i++)
        named |= node->perms[i].domid == forget->domid;
    struct node *changed = named ? node_with_perms(node, node->perms, node->perm_count) : NULL;
    if (!changed)
        return true;
    if (changed->perms[0].domid == forget->domid)
        changed->perms[0].domid = 0;
    changed->perm_count = 1;
    for (size_t i = 1; i < node->perm_count; i++)
        if (node->perms[i].domid != forget->domid)
            changed->perms[changed->perm_count++] = node->perms[i];
    tree_set(path, changed);
    node_unref(changed);
    return true;
}

void edit_forget_domain(struct client *dom0, domid_t domid)
{
    struct forget forget = {.domid = domid};
    while (tree_mentions(domid)) {
        forget.path[0] = '\0';
        tree_each(find_owned, &forget);
        struct transaction *t = forget.path[0] ? transaction_start(dom0) : NULL;
        if (!t)
            break;
        if (edit_rm(t, forget.path)) {
            transaction_abort(t);
            break;
        }
        if (transaction_commit(t))
            break;
    }
    if (tree_mentions(domid))
        tree_each(drop_name, &forget);
}
