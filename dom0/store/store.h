/*
 * The xenstore server's parts and what they offer each other.
 *
 *   node.c         immutable records: permissions, value, names of children
 *   tree.c         which record each path has now; how much each domain owns
 *   perms.c        who may do what with a record
 *   path.c         which paths are valid, and what relative ones mean
 *   transaction.c  changes that become visible together or not at all; every change is made in one
 *   edit.c         reading, writing, creating and removing inside a transaction
 *   watch.c        who is told of which change
 *   watched.c      which watches are on a path or above it
 *   listen.c       watches of dom0 itself, which are calls
 *   request.c      the wire protocol's requests (xen/io/xs_wire.h)
 *   client.c       one connection: bytes in, bytes out
 *   ring.c         the page shared with a domain
 *   server.c       connections of domains, and the thread that serves them
 *   local.c        the same for dom0 itself (dom0/below.h)
 *
 * Only server.c and local.c know the kernel; the rest is tested on the build machine. Nothing here switches
 * threads, so nothing is locked. Functions that return int return 0 or a positive errno of xen/errno.h.
 */
#ifndef DOM0_STORE_STORE_H
#define DOM0_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/io/xs_wire.h>

#define STORE_PATH_SIZE (XENSTORE_ABS_PATH_MAX + 1)

/* What one domain may have. dom0 has no limits. */
enum {
    LIMIT_NODES = 1000,
    LIMIT_NODE_SIZE = 2048,
    LIMIT_PERMS = 5,
    LIMIT_WATCHES = 128,
    LIMIT_TRANSACTIONS = 10,
    LIMIT_TRANSACTION_NODES = 1024,
    LIMIT_EVENTS = 256,            /* unread watch events */
    LIMIT_BYTES = 2 * 1024 * 1024, /* of all that the server keeps for it */
};

/* --- node.c --------------------------------------------------------------------------------------------- */
enum { PERM_READ = 1, PERM_WRITE = 2, PERM_OWNER = 4 };

struct perm {
    domid_t domid;
    uint16_t access; /* PERM_READ | PERM_WRITE */
};

/* Never changed once made: a change makes another one. */
struct node {
    unsigned references;
    uint64_t generation; /* differs between any two */
    size_t perm_count, value_size, children_size, child_count;
    struct perm *perms; /* the first is the owner, and what all others may do */
    char *value;
    char *children;        /* their names, each with its terminating zero */
    uint16_t *child_sizes; /* of each of these, its zero counted */
};

/* A copy of the parts, without children, with one reference; NULL: no memory. */
struct node *node_make(const struct perm *perms, size_t perm_count, const char *value, size_t value_size);
struct node *node_with_value(const struct node *node, const char *value, size_t size);
struct node *node_with_perms(const struct node *node, const struct perm *perms, size_t count);
/* The child is not there yet. */
struct node *node_with_child(const struct node *node, const char *name);
/* NULL too when it is not there. */
struct node *node_without_child(const struct node *node, const char *name);
struct node *node_ref(struct node *node);
void node_unref(struct node *node); /* NULL is fine */
/* What counts against LIMIT_NODE_SIZE. */
size_t node_size(const struct node *node);

/* --- tree.c --------------------------------------------------------------------------------------------- */
struct usage {
    struct usage *next;
    domid_t domid;
    size_t nodes, bytes;
};

/* Drops everything and makes the root, owned by dom0. False: no memory. */
bool tree_init(void);
/* The node at path now, not referenced for the caller; NULL: none. */
struct node *tree_get(const char *path);
/* Makes sure that tree_set() of path cannot fail. False: no memory. */
bool tree_reserve(const char *path);
/* Puts a node at a reserved or existing path, or takes it away (NULL). Takes its own reference. */
void tree_set(const char *path, struct node *node);
/* Drops a reservation that was not used. */
void tree_unreserve(const char *path);
/* Calls each for every path and node until it returns false. each may replace, not add or remove nodes. */
void tree_each(bool (*each)(const char *path, struct node *node, void *arg), void *arg);
/* What a domain has; makes the record. NULL: no memory. */
struct usage *tree_usage(domid_t domid);
/* Whether any node is the domain's or names it in its permissions. */
bool tree_mentions(domid_t domid);
/* Drops the record of a domain that has nothing left. */
void tree_usage_drop(domid_t domid);
/* All memory that the server keeps for a domain is counted here; false beyond LIMIT_BYTES, then nothing was.
 */
bool tree_charge(domid_t domid, size_t bytes);
void tree_discharge(domid_t domid, size_t bytes);

/* --- path.c --------------------------------------------------------------------------------------------- */
/* The absolute path that name means to the domain, into path[STORE_PATH_SIZE]. EINVAL, E2BIG. */
int path_resolve(domid_t domid, const char *name, char *path);
/* Cuts the last component off; "/" of "/a". False for the root. */
bool path_parent(const char *path, char *parent);
const char *path_last(const char *path);
/* True when path is above or is parent itself. */
bool path_is_below(const char *path, const char *parent);
/* "@introduceDomain" and the like. */
bool path_is_special(const char *path);
/* FNV-1a: the hash of a path is that of its beginning with the further characters added. */
#define PATH_HASH_START 2166136261u
static inline uint32_t path_hash_add(uint32_t hash, char c)
{
    return (hash ^ (uint8_t)c) * 16777619u;
}
static inline uint32_t path_hash(const char *path)
{
    uint32_t hash = PATH_HASH_START;
    for (; *path; path++)
        hash = path_hash_add(hash, *path);
    return hash;
}

/* --- perms.c -------------------------------------------------------------------------------------------- */
/* What the domain may do with the node: PERM_ bits. */
unsigned perms_of(const struct node *node, domid_t domid);
/* "r5" → perm. False: not a permission. */
bool perm_parse(const char *text, struct perm *perm);
/* Into text[8]. */
void perm_format(const struct perm *perm, char *text);

/* --- transaction.c -------------------------------------------------------------------------------------- */
struct client;
struct transaction;

enum fire { FIRE_NOT, FIRE_BELOW, FIRE_EXACT };

/* For a client; NULL: no memory. */
struct transaction *transaction_start(struct client *client);
/* The node at path as the transaction sees it; *node NULL: none. ENOMEM, ENOSPC (limits). */
int transaction_get(struct transaction *t, const char *path, struct node **node);
/* Takes over the reference to node; NULL removes. ENOMEM, ENOSPC; the reference is dropped then too. */
int transaction_set(struct transaction *t, const char *path, struct node *node, enum fire fire);
/* Makes all changes visible and fires watches, or none: EAGAIN, ENOMEM, ENOSPC. Ends the transaction. */
int transaction_commit(struct transaction *t);
void transaction_abort(struct transaction *t);
struct transaction *transaction_find(struct client *client, uint32_t id);
uint32_t transaction_id(const struct transaction *t);
struct client *transaction_client(const struct transaction *t);
/* Transactions that the client has open by its own request. */
void transaction_abort_all(struct client *client);

/* --- edit.c: path is absolute; t NULL reads what is there now ------------------------------------------- */
/* The node, if the client may do with it what needs asks for: ENOENT, EACCES. */
int edit_get(struct client *client, struct transaction *t, const char *path, unsigned need,
             struct node **node);
int edit_write(struct transaction *t, const char *path, const char *value, size_t size);
int edit_mkdir(struct transaction *t, const char *path);
int edit_rm(struct transaction *t, const char *path);
int edit_set_perms(struct transaction *t, const char *path, const struct perm *perms, size_t count);
/* Removes what a domain that is gone owned, and its name from the permissions of the rest. */
void edit_forget_domain(struct client *dom0, domid_t domid);

/* --- watch.c -------------------------------------------------------------------------------------------- */
/* path as the client wrote it. EINVAL, EEXIST, E2BIG (limit), ENOMEM. */
int watch_add(struct client *client, const char *name, const char *token);
int watch_remove(struct client *client, const char *name, const char *token);
void watch_remove_all(struct client *client);
/* Tells all whose watch is on path or above (exact: on path only) and who may read node. */
void watch_fire(const char *path, const struct node *node, bool exact);

/* --- watched.c ------------------------------------------------------------------------------------------ */
#define WATCH_BUCKETS 4096u

struct watched { /* part of a watch's record */
    struct watched *next;
    const char *path;
    uint32_t hash;
};
struct watch_index {
    struct watched *bucket[WATCH_BUCKETS];
};
/* path stays the caller's, and as it is. */
void watched_add(struct watch_index *index, struct watched *watched, const char *path);
void watched_remove(struct watch_index *index, struct watched *watched);
/* Calls each for the watches on path and, unless exact, on what is above it. each may remove the one it is
 * given. */
void watched_each(struct watch_index *index, const char *path, bool exact,
                  void (*each)(struct watched *watched, void *arg), void *arg);

/* --- listen.c: store_watch() of dom0/below.h ------------------------------------------------------------ */
/* Queues an event for dom0's own watches, who may hear all; exact as in watch_fire(). */
void listen_fire(const char *path, bool exact);
/* Makes the call of the event that waits longest, in the caller's thread; false: none waits. May switch. */
bool listen_step(void);
bool listen_waiting(void);

/* --- client.c ------------------------------------------------------------------------------------------- */
struct message {
    struct message *next;
    size_t size, sent;
    char bytes[];
};

struct client {
    struct client *next; /* all of them: clients */
    domid_t domid;
    struct watch *watches;
    unsigned watch_count;
    struct transaction *transactions;
    unsigned transaction_count;
    uint32_t last_transaction;
    struct message *events, **events_tail;
    unsigned event_count;
    bool kicked; /* has something to do, and stands in the queue of those */
    struct client *next_kicked;
    void *connection; /* server.c's */

    size_t received, replied; /* bytes of request there, bytes of reply sent */
    bool replying;
    struct {
        struct xsd_sockmsg header;
        char data[XENSTORE_PAYLOAD_MAX + 1]; /* one byte for a zero */
    } request;
    struct {
        struct xsd_sockmsg header;
        char data[XENSTORE_PAYLOAD_MAX];
    } reply;
};

extern struct client *clients;

/* Queues the client among those that have something to do, once. */
void client_kick(struct client *client);
/* Takes out the one that waits longest; NULL: none. */
struct client *client_next_kicked(void);

/* NULL: no memory, or the domain has one. */
struct client *client_new(domid_t domid);
void client_free(struct client *client);
struct client *client_find(domid_t domid);
/* May do all there is: dom0. */
bool client_is_privileged(const struct client *client);
/* Queues a watch event unless the same one waits already or too many do. */
void client_event(struct client *client, const char *path, const char *token);

/* How many bytes moved, or a negative number: the other side broke the protocol. */
struct transport {
    long (*read)(void *arg, void *to, size_t size);
    long (*write)(void *arg, const void *from, size_t size);
    void *arg;
};
/* Sends what it can, serves at most one request. 1: did something, 0: nothing to do, negative:
 * -XENSTORE_ERROR_*. */
int client_step(struct client *client, const struct transport *transport);

/* --- request.c ------------------------------------------------------------------------------------------ */
/* Answers client->request, which is complete, in client->reply. */
void request_serve(struct client *client);
/* "ENOENT" of ENOENT; "EINVAL" of what the protocol has no name for. */
const char *request_error_name(int error);

/* --- ring.c --------------------------------------------------------------------------------------------- */
/* Bytes moved, -XENSTORE_ERROR_RINGIDX when the other side's indexes make no sense. */
long ring_read(struct xenstore_domain_interface *page, void *to, size_t size);
long ring_write(struct xenstore_domain_interface *page, const void *from, size_t size);

#endif
