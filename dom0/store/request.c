/*
 * The requests of the wire protocol (store.h; xen/io/xs_wire.h, Xen's docs/misc/xenstore.txt).
 *
 * One table says for each type who may ask, whether it changes the tree, and which function answers. A
 * request that changes the tree outside a transaction is given one of its own around its function.
 */
#include <lib/printf.h>
#include <lib/string.h>
#include "store.h"

struct request {
    struct client *client;
    struct transaction *transaction; /* NULL: none */
    char *data;                      /* a zero follows it */
    size_t size;
    char path[STORE_PATH_SIZE]; /* what the first string of the data means, where the type has a path */
    char *rest;                 /* behind that string */
    size_t rest_size;
};

enum flags {
    PATH = 1,       /* begins with a path */
    ALONE = 2,      /* and nothing may follow the path */
    CHANGES = 4,    /* changes the tree */
    PRIVILEGED = 8, /* only dom0 */
};

/* --- replies -------------------------------------------------------------------------------------------- */

static int reply_bytes(struct request *r, const void *bytes, size_t size)
{
    struct client *client = r->client;
    if (client->reply.header.len + size > sizeof client->reply.data)
        return XEN_E2BIG;
    if (size)
        memcpy(client->reply.data + client->reply.header.len, bytes, size);
    client->reply.header.len += (uint32_t)size;
    return 0;
}

/* With its terminating zero. */
static int reply_string(struct request *r, const char *text)
{
    return reply_bytes(r, text, strlen(text) + 1);
}

const char *request_error_name(int error)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {
        {XEN_EINVAL, "EINVAL"}, {XEN_EACCES, "EACCES"},   {XEN_EEXIST, "EEXIST"},
        {XEN_EISDIR, "EISDIR"}, {XEN_ENOENT, "ENOENT"},   {XEN_ENOMEM, "ENOMEM"},
        {XEN_ENOSPC, "ENOSPC"}, {XEN_EIO, "EIO"},         {XEN_ENOTEMPTY, "ENOTEMPTY"},
        {XEN_ENOSYS, "ENOSYS"}, {XEN_EROFS, "EROFS"},     {XEN_EBUSY, "EBUSY"},
        {XEN_EAGAIN, "EAGAIN"}, {XEN_EISCONN, "EISCONN"}, {XEN_E2BIG, "E2BIG"},
        {XEN_EPERM, "EPERM"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].error == error)
            return names[i].name;
    return "EINVAL";
}

/* --- reading -------------------------------------------------------------------------------------------- */

static int get(struct request *r, struct node **node)
{
    return edit_get(r->client, r->transaction, r->path, PERM_READ, node);
}

static int serve_read(struct request *r)
{
    struct node *node;
    int error = get(r, &node);
    return error ? error : reply_bytes(r, node->value, node->value_size);
}

static int serve_directory(struct request *r)
{
    struct node *node;
    int error = get(r, &node);
    return error ? error : reply_bytes(r, node->children, node->children_size);
}

static bool parse_decimal(const char *text, uint64_t max, uint64_t *value)
{
    *value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *value = *value * 10 + (uint64_t)(*text - '0');
        if (*value > max)
            return false;
    }
    return true;
}

/* The children's names from an offset on, cut between two names; an empty name ends the last part. */
static int serve_directory_part(struct request *r)
{
    struct node *node;
    uint64_t from;
    char generation[24];
    if (!r->rest_size || r->rest[r->rest_size - 1] || !parse_decimal(r->rest, SIZE_MAX / 16, &from))
        return XEN_EINVAL;
    int error = get(r, &node);
    if (error)
        return error;
    if (from > node->children_size || (from && node->children[from - 1]))
        return XEN_EINVAL;
    snprintf(generation, sizeof generation, "%lu", node->generation);
    error = reply_string(r, generation);
    while (!error && from < node->children_size) {
        if (reply_string(r, node->children + from))
            return 0;
        from += strlen(node->children + from) + 1;
    }
    /* No room for the end: the client asks once more and gets only that. */
    if (!error)
        reply_bytes(r, "", 1);
    return error;
}

static int serve_get_perms(struct request *r)
{
    struct node *node;
    int error = get(r, &node);
    for (size_t i = 0; !error && i < node->perm_count; i++) {
        char text[8];
        perm_format(&node->perms[i], text);
        error = reply_string(r, text);
    }
    return error;
}

/* --- changing ------------------------------------------------------------------------------------------- */

static int serve_write(struct request *r)
{
    return edit_write(r->transaction, r->path, r->rest, r->rest_size);
}

static int serve_mkdir(struct request *r)
{
    return edit_mkdir(r->transaction, r->path);
}

static int serve_rm(struct request *r)
{
    return edit_rm(r->transaction, r->path);
}

static int serve_set_perms(struct request *r)
{
    static struct perm perms[XENSTORE_PAYLOAD_MAX / 3];
    size_t count = 0;
    if (!r->rest_size || r->rest[r->rest_size - 1])
        return XEN_EINVAL;
    for (size_t at = 0; at < r->rest_size; at += strlen(r->rest + at) + 1)
        if (!perm_parse(r->rest + at, &perms[count++]))
            return XEN_EINVAL;
    return edit_set_perms(r->transaction, r->path, perms, count);
}

/* --- watches -------------------------------------------------------------------------------------------- */

/* The token, when it is the one string behind the path. */
static const char *token_of(struct request *r)
{
    bool one = r->rest_size && strnlen(r->rest, r->rest_size) == r->rest_size - 1;
    return one ? r->rest : NULL;
}

static int serve_watch(struct request *r)
{
    const char *token = token_of(r);
    if (!token)
        return XEN_EINVAL;
    int error = watch_add(r->client, r->data, token);
    if (!error)
        client_event(r->client, r->data, token);
    return error;
}

static int serve_unwatch(struct request *r)
{
    const char *token = token_of(r);
    return token ? watch_remove(r->client, r->data, token) : XEN_EINVAL;
}

static int serve_reset_watches(struct request *r)
{
    watch_remove_all(r->client);
    transaction_abort_all(r->client);
    return 0;
}

/* --- transactions --------------------------------------------------------------------------------------- */

static int serve_transaction_start(struct request *r)
{
    char id[16];
    if (r->transaction)
        return XEN_EBUSY;
    if (!client_is_privileged(r->client) && r->client->transaction_count == LIMIT_TRANSACTIONS)
        return XEN_ENOSPC;
    struct transaction *t = transaction_start(r->client);
    if (!t)
        return XEN_ENOMEM;
    r->client->transaction_count++;
    snprintf(id, sizeof id, "%u", transaction_id(t));
    return reply_string(r, id);
}

static int serve_transaction_end(struct request *r)
{
    bool commit = r->size == 2 && !strcmp(r->data, "T");
    if (!commit && (r->size != 2 || strcmp(r->data, "F")))
        return XEN_EINVAL;
    if (!r->transaction)
        return XEN_ENOENT;
    r->client->transaction_count--;
    if (commit)
        return transaction_commit(r->transaction);
    transaction_abort(r->transaction);
    return 0;
}

/* --- domains -------------------------------------------------------------------------------------------- */

static int domid_of(struct request *r, domid_t *domid)
{
    uint64_t value;
    if (!r->size || strnlen(r->data, r->size) != r->size - 1 || !parse_decimal(r->data, UINT16_MAX, &value))
        return XEN_EINVAL;
    *domid = (domid_t)value;
    return 0;
}

static int serve_get_domain_path(struct request *r)
{
    char path[32];
    domid_t domid;
    int error = domid_of(r, &domid);
    if (error)
        return error;
    snprintf(path, sizeof path, "/local/domain/%u", domid);
    return reply_string(r, path);
}

static int serve_is_domain_introduced(struct request *r)
{
    domid_t domid;
    int error = domid_of(r, &domid);
    return error ? error : reply_string(r, domid == 0 || client_find(domid) ? "T" : "F");
}

/* dom0's toolstack does these by calls (dom0/below.h), never through a ring. */
static int serve_not_here(struct request *r)
{
    (void)r;
    return XEN_ENOSYS;
}

/* --- the table ------------------------------------------------------------------------------------------ */

struct kind {
    int (*serve)(struct request *r);
    unsigned flags;
};

static const struct kind kinds[XS_TYPE_COUNT] = {
    [XS_CONTROL] = {serve_not_here, PRIVILEGED},
    [XS_DIRECTORY] = {serve_directory, PATH | ALONE},
    [XS_READ] = {serve_read, PATH | ALONE},
    [XS_GET_PERMS] = {serve_get_perms, PATH | ALONE},
    [XS_WATCH] = {serve_watch, PATH},
    [XS_UNWATCH] = {serve_unwatch, PATH},
    [XS_TRANSACTION_START] = {serve_transaction_start, 0},
    [XS_TRANSACTION_END] = {serve_transaction_end, 0},
    [XS_INTRODUCE] = {serve_not_here, PRIVILEGED},
    [XS_RELEASE] = {serve_not_here, PRIVILEGED},
    [XS_GET_DOMAIN_PATH] = {serve_get_domain_path, 0},
    [XS_WRITE] = {serve_write, PATH | CHANGES},
    [XS_MKDIR] = {serve_mkdir, PATH | ALONE | CHANGES},
    [XS_RM] = {serve_rm, PATH | ALONE | CHANGES},
    [XS_SET_PERMS] = {serve_set_perms, PATH | CHANGES},
    [XS_IS_DOMAIN_INTRODUCED] = {serve_is_domain_introduced, 0},
    [XS_RESUME] = {serve_not_here, PRIVILEGED},
    [XS_SET_TARGET] = {serve_not_here, PRIVILEGED},
    [XS_RESET_WATCHES] = {serve_reset_watches, 0},
    [XS_DIRECTORY_PART] = {serve_directory_part, PATH},
};

static int take_path(struct request *r, unsigned flags)
{
    size_t length = strnlen(r->data, r->size);
    if (length == r->size || (flags & ALONE && length != r->size - 1))
        return XEN_EINVAL;
    r->rest = r->data + length + 1;
    r->rest_size = r->size - length - 1;
    return path_resolve(r->client->domid, r->data, r->path);
}

static int serve_in_own_transaction(struct request *r, const struct kind *kind)
{
    r->transaction = transaction_start(r->client);
    if (!r->transaction)
        return XEN_ENOMEM;
    int error = kind->serve(r);
    if (!error)
        return transaction_commit(r->transaction);
    transaction_abort(r->transaction);
    return error;
}

static int serve(struct request *r)
{
    const struct xsd_sockmsg *header = &r->client->request.header;
    const struct kind *kind = header->type < XS_TYPE_COUNT ? &kinds[header->type] : NULL;
    if (!kind || !kind->serve)
        return XEN_ENOSYS;
    if (kind->flags & PRIVILEGED && !client_is_privileged(r->client))
        return XEN_EACCES;
    if (header->tx_id) {
        r->transaction = transaction_find(r->client, header->tx_id);
        if (!r->transaction)
            return XEN_ENOENT;
    }
    int error = kind->flags & PATH ? take_path(r, kind->flags) : 0;
    if (!error && path_is_special(r->path) && header->type != XS_WATCH && header->type != XS_UNWATCH)
        error = XEN_EINVAL;
    if (error)
        return error;
    return kind->flags & CHANGES && !r->transaction ? serve_in_own_transaction(r, kind) : kind->serve(r);
}

void request_serve(struct client *client)
{
    struct request r = {.client = client, .data = client->request.data, .size = client->request.header.len};
    client->request.data[r.size] = '\0';
    client->reply.header = client->request.header;
    client->reply.header.len = 0;
    int error = serve(&r);
    bool answers_nothing = !error && !client->reply.header.len && client->reply.header.type != XS_READ &&
                           client->reply.header.type != XS_DIRECTORY;
    if (error) {
        client->reply.header.type = XS_ERROR;
        client->reply.header.len = 0;
        reply_string(&r, request_error_name(error));
    } else if (answers_nothing) {
        reply_string(&r, "OK");
    }
}
