/*
 * Which node each path has (store.h): a hash table from path to node, and what each domain owns of it.
 *
 * An entry without node is a reservation: it lets a commit put in all its nodes without being able to fail.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "store.h"

#define BUCKETS       16384u
#define USAGE_BUCKETS 256u

struct entry {
    struct entry *next;
    struct node *node;
    uint32_t hash;
    char path[];
};

static struct entry *buckets[BUCKETS];
static struct usage *usages[USAGE_BUCKETS];
static unsigned mentions[1u << 8 * sizeof(domid_t)]; /* places in the permissions of all nodes, by domain */

/* The link that points to the entry of path, or to the NULL at the end of its bucket. */
static struct entry **find(const char *path, uint32_t hash)
{
    struct entry **link = &buckets[hash % BUCKETS];
    while (*link && ((*link)->hash != hash || strcmp((*link)->path, path)))
        link = &(*link)->next;
    return link;
}

static void remove_entry(struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    mem_free(entry);
}

/* --- what domains own ----------------------------------------------------------------------------------- */

static struct usage **find_usage(domid_t domid)
{
    struct usage **link = &usages[domid % USAGE_BUCKETS];
    while (*link && (*link)->domid != domid)
        link = &(*link)->next;
    return link;
}

struct usage *tree_usage(domid_t domid)
{
    struct usage **link = find_usage(domid);
    if (!*link) {
        *link = mem_alloc(sizeof **link);
        if (*link)
            (*link)->domid = domid;
    }
    return *link;
}

void tree_usage_drop(domid_t domid)
{
    struct usage **link = find_usage(domid), *usage = *link;
    if (usage && !usage->nodes && !usage->bytes) {
        *link = usage->next;
        mem_free(usage);
    }
}

bool tree_charge(domid_t domid, size_t bytes)
{
    struct usage *usage = tree_usage(domid);
    if (!usage || (domid != 0 && usage->bytes + bytes > LIMIT_BYTES))
        return false;
    usage->bytes += bytes;
    return true;
}

void tree_discharge(domid_t domid, size_t bytes)
{
    tree_usage(domid)->bytes -= bytes;
}

static size_t cost(const struct entry *entry, const struct node *node)
{
    return sizeof *entry + strlen(entry->path) + sizeof *node + node_size(node);
}

/* The limits were looked at before: this only counts. */
static void count(const struct entry *entry, const struct node *node, int sign)
{
    struct usage *usage = node ? tree_usage(node->perms[0].domid) : NULL;
    if (!usage)
        return;
    usage->nodes += (size_t)sign;
    usage->bytes += (size_t)sign * cost(entry, node);
}

static void count_mentions(const struct node *node, int sign)
{
    for (size_t i = 0; node && i < node->perm_count; i++)
        mentions[node->perms[i].domid] += (unsigned)sign;
}

bool tree_mentions(domid_t domid)
{
    return mentions[domid];
}

/* --- the tree ------------------------------------------------------------------------------------------- */

struct node *tree_get(const char *path)
{
    struct entry *entry = *find(path, path_hash(path));
    return entry ? entry->node : NULL;
}

bool tree_reserve(const char *path)
{
    uint32_t hash = path_hash(path);
    struct entry **link = find(path, hash);
    if (*link)
        return true;
    size_t size = strlen(path) + 1;
    struct entry *entry = mem_alloc(sizeof *entry + size);
    if (!entry)
        return false;
    entry->hash = hash;
    strlcpy(entry->path, path, size);
    *link = entry;
    return true;
}

void tree_set(const char *path, struct node *node)
{
    struct entry **link = find(path, path_hash(path)), *entry = *link;
    struct node *old = entry->node;
    entry->node = node_ref(node);
    count(entry, old, -1);
    count(entry, node, 1);
    count_mentions(old, -1);
    count_mentions(node, 1);
    node_unref(old);
    if (!node)
        remove_entry(link);
}

void tree_unreserve(const char *path)
{
    struct entry **link = find(path, path_hash(path));
    if (*link && !(*link)->node)
        remove_entry(link);
}

void tree_each(bool (*each)(const char *path, struct node *node, void *arg), void *arg)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct entry *entry = buckets[i]; entry; entry = entry->next)
            if (entry->node && !each(entry->path, entry->node, arg))
                return;
}

bool tree_init(void)
{
    static const struct perm dom0_only = {.domid = 0};
    for (unsigned i = 0; i < BUCKETS; i++)
        while (buckets[i]) {
            node_unref(buckets[i]->node);
            remove_entry(&buckets[i]);
        }
    for (unsigned i = 0; i < USAGE_BUCKETS; i++)
        while (usages[i]) {
            struct usage *usage = usages[i];
            usages[i] = usage->next;
            mem_free(usage);
        }
    memset(mentions, 0, sizeof mentions);
    struct node *root = node_make(&dom0_only, 1, NULL, 0);
    bool made = root && tree_usage(0) && tree_reserve("/");
    if (made)
        tree_set("/", root);
    node_unref(root);
    return made;
}
