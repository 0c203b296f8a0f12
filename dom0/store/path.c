/* Paths of the store (store.h; rules of Xen's docs/misc/xenstore.txt). No state. */
#include <lib/printf.h>
#include <lib/string.h>
#include "store.h"

static bool is_path_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-/_@", c));
}

bool path_is_special(const char *path)
{
    return path[0] == '@';
}

static bool is_valid(const char *path)
{
    size_t length = strlen(path);
    if (path[0] != '/' && !path_is_special(path))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_path_character(path[i]) || (path[i] == '/' && path[i + 1] == '/'))
            return false;
    return length == 1 || path[length - 1] != '/';
}

int path_resolve(domid_t domid, const char *name, char *path)
{
    bool relative = name[0] != '/' && !path_is_special(name);
    size_t max = relative ? XENSTORE_REL_PATH_MAX : XENSTORE_ABS_PATH_MAX;
    if (strnlen(name, max + 1) > max)
        return XEN_E2BIG;
    if (relative)
        snprintf(path, STORE_PATH_SIZE, "/local/domain/%u/%s", domid, name);
    else
        strlcpy(path, name, STORE_PATH_SIZE);
    return is_valid(path) ? 0 : XEN_EINVAL;
}

bool path_parent(const char *path, char *parent)
{
    const char *slash = strrchr(path, '/');
    if (!slash || !path[1])
        return false;
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    memmove(parent, path, length);
    parent[length] = '\0';
    return true;
}

const char *path_last(const char *path)
{
    return strrchr(path, '/') + 1;
}

bool path_is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);
    if (!strcmp(parent, "/"))
        return path[0] == '/';
    return !strncmp(path, parent, length) && (!path[length] || path[length] == '/');
}
