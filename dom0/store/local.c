/*
 * The store as dom0 itself uses it (dom0/below.h): the same edits as a request makes, without a ring between.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include "server.h"
#include "store.h"

#define PERMS_MAX 32

static struct client *self;

bool local_init(void)
{
    self = client_new(0);
    return self;
}

void local_forget(domid_t domid)
{
    edit_forget_domain(self, domid);
    tree_usage_drop(domid);
}

static int begin(const char *path, char *resolved, struct transaction **t)
{
    int error = path_resolve(0, path, resolved);
    if (!error && path_is_special(resolved))
        error = XEN_EINVAL;
    if (error)
        return error;
    *t = transaction_start(self);
    return *t ? 0 : XEN_ENOMEM;
}

static int end(struct transaction *t, int error)
{
    if (error)
        transaction_abort(t);
    else
        error = transaction_commit(t);
    server_kick();
    return error;
}

int store_write(const char *path, const char *format, ...)
{
    char resolved[STORE_PATH_SIZE];
    struct transaction *t;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *value = mem_alloc((size_t)size + 1);
    if (!value)
        return XEN_ENOMEM;
    va_start(args, format);
    vsnprintf(value, (size_t)size + 1, format, args);
    va_end(args);
    int error = begin(path, resolved, &t);
    if (!error)
        error = end(t, edit_write(t, resolved, value, (size_t)size));
    mem_free(value);
    return error;
}

int store_mkdir(const char *path)
{
    char resolved[STORE_PATH_SIZE];
    struct transaction *t;
    int error = begin(path, resolved, &t);
    return error ? error : end(t, edit_mkdir(t, resolved));
}

int store_rm(const char *path)
{
    char resolved[STORE_PATH_SIZE];
    struct transaction *t;
    int error = begin(path, resolved, &t);
    return error ? error : end(t, edit_rm(t, resolved));
}

int store_set_perms(const char *path, const char *const *texts, size_t count)
{
    char resolved[STORE_PATH_SIZE];
    struct perm perms[PERMS_MAX];
    struct transaction *t;
    if (!count || count > PERMS_MAX)
        return XEN_EINVAL;
    for (size_t i = 0; i < count; i++)
        if (!perm_parse(texts[i], &perms[i]))
            return XEN_EINVAL;
    int error = begin(path, resolved, &t);
    return error ? error : end(t, edit_set_perms(t, resolved, perms, count));
}

static int look(const char *path, struct node **node)
{
    char resolved[STORE_PATH_SIZE];
    int error = path_resolve(0, path, resolved);
    return error ? error : edit_get(self, NULL, resolved, PERM_READ, node);
}

int store_read(const char *path, char *buf, size_t size, size_t *length)
{
    struct node *node;
    int error = look(path, &node);
    if (error)
        return error;
    if (node->value_size >= size)
        return XEN_E2BIG;
    memcpy(buf, node->value, node->value_size);
    buf[node->value_size] = '\0';
    if (length)
        *length = node->value_size;
    return 0;
}

int store_get_perms(const char *path, char *buf, size_t size)
{
    struct node *node;
    int error = look(path, &node);
    size_t length = 0;
    for (size_t i = 0; !error && i < node->perm_count; i++) {
        char text[8];
        perm_format(&node->perms[i], text);
        length += (size_t)snprintf(buf + length, size - length, "%s%s", i ? "," : "", text);
        if (length >= size)
            error = XEN_E2BIG;
    }
    return error;
}

int store_directory(const char *path, void (*each)(const char *name, void *arg), void *arg)
{
    struct node *node;
    int error = look(path, &node);
    if (error)
        return error;
    /* Kept, for each() may switch or change the store. */
    node_ref(node);
    for (size_t at = 0; at < node->children_size; at += strlen(node->children + at) + 1)
        each(node->children + at, arg);
    node_unref(node);
    return 0;
}
