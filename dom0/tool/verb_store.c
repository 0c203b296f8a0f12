/* The verbs on the store, as the xenstore-* commands: store-ls, -list, -read, -write, -rm. No state, no
 * locking. */
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>

#include "names.h"
#include "verbs.h"

/* xen/io/xs_wire.h: a value and its path each fit into a message of 4096 bytes. */
#define VALUE_MAX 4097
#define PATH_MAX  3073
#define DEPTH_MAX 32

static int store_failed(const char *verb, const char *path, int error)
{
    print("%s: %s: %s\n", verb, path, error_text(error));
    return FAILED;
}

/* The names of a node's children, one behind the other, each with its zero. Collected before anything is done
 * with them: the store is not to be called while it lists. */
struct names {
    char *text;
    size_t size, used;
    bool full;
};

static void collect(const char *name, void *arg)
{
    struct names *names = arg;
    size_t length = strlen(name) + 1;
    if (names->used + length > names->size) {
        size_t size = 2 * (names->used + length) + 256;
        char *larger = mem_alloc(size);
        if (!larger) {
            names->full = true;
            return;
        }
        if (names->used)
            memcpy(larger, names->text, names->used);
        mem_free(names->text);
        names->text = larger;
        names->size = size;
    }
    memcpy(names->text + names->used, name, length);
    names->used += length;
}

static int children(const char *path, struct names *names)
{
    *names = (struct names){0};
    int error = store_directory(path, collect, names);
    return error ? error : names->full ? XEN_ENOMEM : 0;
}

/* --- store-ls ------------------------------------------------------------------------------------------- */

struct walk {
    bool full, perms;
    char path[PATH_MAX], value[VALUE_MAX];
};

/* As xenstore-ls: behind dots that make a column of them. */
static void show_perms(const struct walk *w, int written)
{
    enum { COLUMN = 60 };
    char perms[128];
    if (store_get_perms(w->path, perms, sizeof perms))
        return;
    print(" ");
    for (; written < COLUMN; written++)
        print(".");
    print(" (%s)", perms);
}

static void show_node(struct walk *w, const char *name, unsigned depth)
{
    size_t length;
    if (store_read(w->path, w->value, sizeof w->value, &length))
        return;
    if (w->full)
        print_text(w->path, strlen(w->path));
    else
        print("%*s%s", (int)depth, "", name);
    print(" = \"");
    print_text(w->value, length);
    print("\"");
    if (w->perms)
        show_perms(w, (int)((w->full ? strlen(w->path) : depth + strlen(name)) + length));
    print("\n");
}

/* Shows all that is below w->path, which is restored. */
static int show_below(struct walk *w, unsigned depth)
{
    struct names names;
    size_t length = strlen(w->path);
    int error = children(w->path, &names);
    for (size_t at = 0; !error && at < names.used && !interrupted(); at += strlen(names.text + at) + 1) {
        const char *name = names.text + at;
        int written =
            snprintf(w->path + length, sizeof w->path - length, "%s%s", length > 1 ? "/" : "", name);
        if ((size_t)written < sizeof w->path - length && depth < DEPTH_MAX) {
            show_node(w, name, depth);
            show_below(w, depth + 1);
        }
        w->path[length] = '\0';
    }
    mem_free(names.text);
    return error;
}

int verb_store_ls(int argc, char **argv)
{
    bool full = false, perms = false;
    const struct option options[] = {
        {'f', NULL, &full, "show the whole path of each node"},
        {'p', NULL, &perms, "show who may do what with it"},
    };
    int status, operands = take_options(argc, argv, options, 2, 0, 1, &status);
    if (operands < 0)
        return status;
    const char *path = operands ? argv[1] : "/";
    struct walk *w = mem_alloc(sizeof *w);
    if (!w)
        return store_failed(argv[0], path, XEN_ENOMEM);
    w->full = full;
    w->perms = perms;
    strlcpy(w->path, path, sizeof w->path);
    int error = show_below(w, 0);
    mem_free(w);
    return error ? store_failed(argv[0], path, error) : DONE;
}

/* --- the others ----------------------------------------------------------------------------------------- */

int verb_store_list(int argc, char **argv)
{
    bool prefix = false;
    const struct option options[] = {{'p', NULL, &prefix, "show the whole path of each"}};
    int status, operands = take_options(argc, argv, options, 1, 1, -1, &status);
    if (operands < 0)
        return status;
    status = DONE;
    for (int i = 1; i <= operands; i++) {
        struct names names;
        int error = children(argv[i], &names);
        if (error)
            status = store_failed(argv[0], argv[i], error);
        for (size_t at = 0; !error && at < names.used; at += strlen(names.text + at) + 1)
            print("%s%s%s\n", prefix ? argv[i] : "", prefix && strcmp(argv[i], "/") ? "/" : "",
                  names.text + at);
        mem_free(names.text);
    }
    return status;
}

int verb_store_read(int argc, char **argv)
{
    bool prefix = false;
    const struct option options[] = {{'p', NULL, &prefix, "show the path before each value"}};
    int status, operands = take_options(argc, argv, options, 1, 1, -1, &status);
    if (operands < 0)
        return status;
    char *value = mem_alloc(VALUE_MAX);
    status = DONE;
    for (int i = 1; i <= operands; i++) {
        size_t length;
        int error = value ? store_read(argv[i], value, VALUE_MAX, &length) : XEN_ENOMEM;
        if (error) {
            status = store_failed(argv[0], argv[i], error);
            continue;
        }
        print("%s%s", prefix ? argv[i] : "", prefix ? ": " : "");
        print_text(value, length);
        print("\n");
    }
    mem_free(value);
    return status;
}

int verb_store_write(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 2, -1, &status);
    if (operands < 0)
        return status;
    if (operands % 2) {
        print("%s: %s has no value: paths and values come in pairs\n", argv[0], argv[operands]);
        return USAGE;
    }
    for (int i = 1; i < operands; i += 2) {
        names_distrust();
        int error = store_write(argv[i], "%s", argv[i + 1]);
        if (error)
            return store_failed(argv[0], argv[i], error);
    }
    return DONE;
}

int verb_store_rm(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, -1, &status);
    if (operands < 0)
        return status;
    status = DONE;
    for (int i = 1; i <= operands; i++) {
        names_distrust();
        int error = store_rm(argv[i]);
        if (error)
            status = store_failed(argv[0], argv[i], error);
    }
    return status;
}
