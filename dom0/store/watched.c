/*
 * Which watches a change concerns (store.h): a hash table by path, asked for the changed path and, unless the
 * change is exact, for each one above it. So what is watched elsewhere, by however many domains, costs
 * nothing.
 */
#include <lib/string.h>
#include "store.h"

static struct watched **bucket_of(struct watch_index *index, uint32_t hash)
{
    return &index->bucket[hash % WATCH_BUCKETS];
}

void watched_add(struct watch_index *index, struct watched *watched, const char *path)
{
    watched->path = path;
    watched->hash = path_hash(path);
    struct watched **bucket = bucket_of(index, watched->hash);
    watched->next = *bucket;
    *bucket = watched;
}

void watched_remove(struct watch_index *index, struct watched *watched)
{
    struct watched **link = bucket_of(index, watched->hash);
    while (*link != watched)
        link = &(*link)->next;
    *link = watched->next;
}

static bool is_prefix(const struct watched *watched, const char *path, size_t length)
{
    return !strncmp(watched->path, path, length) && !watched->path[length];
}

void watched_each(struct watch_index *index, const char *path, bool exact,
                  void (*each)(struct watched *watched, void *arg), void *arg)
{
    uint32_t hash = PATH_HASH_START;
    for (size_t length = 0; path[length];) {
        hash = path_hash_add(hash, path[length++]);
        bool whole = !path[length], is_root = length == 1 && path[0] == '/';
        if (!whole && (exact || (path[length] != '/' && !is_root)))
            continue;
        for (struct watched *watched = *bucket_of(index, hash), *next; watched; watched = next) {
            next = watched->next;
            if (watched->hash == hash && is_prefix(watched, path, length))
                each(watched, arg);
        }
    }
}
