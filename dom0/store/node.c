/*
 * Records of the tree (store.h). One allocation each: the record, its permissions, its value, its children's
 * names.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "store.h"

static uint64_t last_generation;

/* memcpy that takes NULL for nothing. */
static void copy(char *to, const void *from, size_t size)
{
    if (size)
        memcpy(to, from, size);
}

/* A record with room for the parts; the children's names are not filled in. */
static struct node *make(const struct perm *perms, size_t perm_count, const char *value, size_t value_size,
                         size_t children_size)
{
    size_t perms_size = perm_count * sizeof *perms;
    struct node *node = mem_alloc(sizeof *node + perms_size + value_size + children_size);
    if (!node)
        return NULL;
    *node = (struct node){.references = 1,
                          .generation = ++last_generation,
                          .perm_count = perm_count,
                          .value_size = value_size,
                          .children_size = children_size,
                          .perms = (struct perm *)(node + 1)};
    node->value = (char *)(node->perms + perm_count);
    node->children = node->value + value_size;
    copy((char *)node->perms, perms, perms_size);
    copy(node->value, value, value_size);
    return node;
}

struct node *node_make(const struct perm *perms, size_t perm_count, const char *value, size_t value_size,
                       const char *children, size_t children_size)
{
    struct node *node = make(perms, perm_count, value, value_size, children_size);
    if (node)
        copy(node->children, children, children_size);
    return node;
}

struct node *node_with_value(const struct node *node, const char *value, size_t size)
{
    return node_make(node->perms, node->perm_count, value, size, node->children, node->children_size);
}

struct node *node_with_perms(const struct node *node, const struct perm *perms, size_t count)
{
    return node_make(perms, count, node->value, node->value_size, node->children, node->children_size);
}

/* Where in the children's names name stands, or children_size. */
static size_t find_child(const struct node *node, const char *name)
{
    size_t at = 0;
    while (at < node->children_size && strcmp(node->children + at, name))
        at += strlen(node->children + at) + 1;
    return at;
}

struct node *node_with_child(const struct node *node, const char *name)
{
    size_t size = strlen(name) + 1;
    if (find_child(node, name) < node->children_size)
        return NULL;
    struct node *changed =
        make(node->perms, node->perm_count, node->value, node->value_size, node->children_size + size);
    if (!changed)
        return NULL;
    copy(changed->children, node->children, node->children_size);
    copy(changed->children + node->children_size, name, size);
    return changed;
}

struct node *node_without_child(const struct node *node, const char *name)
{
    size_t size = strlen(name) + 1, at = find_child(node, name);
    if (at == node->children_size)
        return NULL;
    struct node *changed =
        make(node->perms, node->perm_count, node->value, node->value_size, node->children_size - size);
    if (!changed)
        return NULL;
    copy(changed->children, node->children, at);
    copy(changed->children + at, node->children + at + size, node->children_size - at - size);
    return changed;
}

struct node *node_ref(struct node *node)
{
    if (node)
        node->references++;
    return node;
}

void node_unref(struct node *node)
{
    if (node && !--node->references)
        mem_free(node);
}

size_t node_size(const struct node *node)
{
    return node->perm_count * sizeof *node->perms + node->value_size + node->children_size;
}
