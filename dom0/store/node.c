/*
 * Records of the tree (store.h). One allocation each: the record, its permissions, the lengths of its
 * children's names, its value, the names.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "store.h"

static uint64_t last_generation;

/* memcpy that takes NULL for nothing, and moves the bulk of long lists by words. */
static void copy(void *to, const void *from, size_t size)
{
    size_t bulk = size & ~7ull;
    if (bulk)
        memcpy(to, from, bulk);
    if (size > bulk)
        memcpy((char *)to + bulk, (const char *)from + bulk, size - bulk);
}

/* What a record is made of; the children's names are filled in by the caller. */
struct parts {
    const struct perm *perms;
    size_t perm_count;
    const char *value;
    size_t value_size, children_size, child_count;
};

static struct parts parts_of(const struct node *node)
{
    return (struct parts){node->perms,      node->perm_count,    node->value,
                          node->value_size, node->children_size, node->child_count};
}

static struct node *make(const struct parts *p)
{
    size_t perms_size = p->perm_count * sizeof *p->perms, sizes_size = p->child_count * sizeof(uint16_t);
    struct node *node = mem_alloc(sizeof *node + perms_size + sizes_size + p->value_size + p->children_size);
    if (!node)
        return NULL;
    *node = (struct node){.references = 1,
                          .generation = ++last_generation,
                          .perm_count = p->perm_count,
                          .value_size = p->value_size,
                          .children_size = p->children_size,
                          .child_count = p->child_count,
                          .perms = (struct perm *)(node + 1)};
    node->child_sizes = (uint16_t *)(node->perms + p->perm_count);
    node->value = (char *)(node->child_sizes + p->child_count);
    node->children = node->value + p->value_size;
    copy(node->perms, p->perms, perms_size);
    copy(node->value, p->value, p->value_size);
    return node;
}

struct node *node_make(const struct perm *perms, size_t perm_count, const char *value, size_t value_size)
{
    struct parts parts = {.perms = perms, .perm_count = perm_count, .value = value, .value_size = value_size};
    return make(&parts);
}

static struct node *with_same_children(const struct node *node, const struct parts *parts)
{
    struct node *changed = make(parts);
    if (!changed)
        return NULL;
    copy(changed->child_sizes, node->child_sizes, node->child_count * sizeof(uint16_t));
    copy(changed->children, node->children, node->children_size);
    return changed;
}

struct node *node_with_value(const struct node *node, const char *value, size_t size)
{
    struct parts parts = parts_of(node);
    parts.value = value;
    parts.value_size = size;
    return with_same_children(node, &parts);
}

struct node *node_with_perms(const struct node *node, const struct perm *perms, size_t count)
{
    struct parts parts = parts_of(node);
    parts.perms = perms;
    parts.perm_count = count;
    return with_same_children(node, &parts);
}

struct node *node_with_child(const struct node *node, const char *name)
{
    size_t size = strlen(name) + 1;
    struct parts parts = parts_of(node);
    parts.children_size += size;
    parts.child_count++;
    struct node *changed = make(&parts);
    if (!changed)
        return NULL;
    copy(changed->child_sizes, node->child_sizes, node->child_count * sizeof(uint16_t));
    copy(changed->children, node->children, node->children_size);
    changed->child_sizes[node->child_count] = (uint16_t)size;
    copy(changed->children + node->children_size, name, size);
    return changed;
}

/* Which child has that name, and where in the names it stands; child_count: none. */
static size_t find_child(const struct node *node, const char *name, size_t size, size_t *at)
{
    size_t i = 0;
    *at = 0;
    for (; i < node->child_count; *at += node->child_sizes[i++])
        if (node->child_sizes[i] == size && node->children[*at] == *name &&
            !memcmp(node->children + *at, name, size))
            break;
    return i;
}

struct node *node_without_child(const struct node *node, const char *name)
{
    size_t size = strlen(name) + 1, at, child = find_child(node, name, size, &at);
    if (child == node->child_count)
        return NULL;
    struct parts parts = parts_of(node);
    parts.children_size -= size;
    parts.child_count--;
    struct node *changed = make(&parts);
    if (!changed)
        return NULL;
    copy(changed->child_sizes, node->child_sizes, child * sizeof(uint16_t));
    copy(changed->child_sizes + child, node->child_sizes + child + 1,
         (node->child_count - child - 1) * sizeof(uint16_t));
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
