/* A domain's nodes in the store (nodes.h). No state; the store serialises. */
#include <lib/printf.h>
#include <lib/string.h>

#include "format.h"
#include "names.h"
#include "nodes.h"

/* As xenconsoled's own tools set it: how much unread console output is kept at least. */
#define CONSOLE_LIMIT 1048576
/* Room for /local/domain/N and for /vm/UUID. */
#define BASE_MAX 64

struct maker {
    domid_t domid;
    char read_only[2][8]; /* domain 0 owns, the domain reads */
    char own[1][8];       /* the domain owns */
    char base[BASE_MAX], vm[BASE_MAX];
    int error; /* the first one */
    char failed[PATH_MAX];
};

static void note(struct maker *m, int error, const char *path)
{
    if (!error)
        return;
    m->error = error;
    strlcpy(m->failed, path, sizeof m->failed);
}

static void make(struct maker *m, const char *path, bool guest_owns)
{
    const char *const read_only[] = {m->read_only[0], m->read_only[1]}, *const own[] = {m->own[0]};
    if (!m->error)
        note(m, store_mkdir(path), path);
    if (!m->error)
        note(m, guest_owns ? store_set_perms(path, own, 1) : store_set_perms(path, read_only, 2), path);
}

static void make_below(struct maker *m, const char *name, bool guest_owns)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", m->base, name);
    make(m, path, guest_owns);
}

static void set(struct maker *m, const char *directory, const char *name, const char *value)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (!m->error)
        note(m, store_write(path, "%s", value), path);
}

static void set_number(struct maker *m, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    set(m, m->base, name, text);
}

/* First the directories with their permissions: what is written into them later inherits those. */
static void make_directories(struct maker *m)
{
    static const char *const read_only[] = {"cpu", "memory", "device", "control", "console", "store"};
    static const char *const own[] = {
        "control/shutdown",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/sysrq",
        "device/suspend/event-channel",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    };
    make(m, m->base, false);
    make(m, m->vm, false);
    for (size_t i = 0; i < sizeof read_only / sizeof read_only[0]; i++)
        make_below(m, read_only[i], false);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        make_below(m, own[i], true);
}

static void write_console(struct maker *m, const struct built *built)
{
    set(m, m->base, "console/backend-id", "0");
    set_number(m, "console/limit", CONSOLE_LIMIT);
    set(m, m->base, "console/type", "xenconsoled");
    set(m, m->base, "console/output", "pty");
    set(m, m->base, "console/tty", "");
    set_number(m, "console/port", built->console_port);
    set_number(m, "console/ring-ref", CONSOLE_GFN);
}

static void write_values(struct maker *m, const struct guest_config *config, const struct built *built)
{
    char uuid[UUID_TEXT], name[32], start[24];
    format_uuid(uuid, config->uuid);
    snprintf(start, sizeof start, "%llu.00", (unsigned long long)time_unix_s());
    set(m, m->vm, "uuid", uuid);
    set(m, m->vm, "name", config->name);
    set(m, m->vm, "start_time", start);

    set(m, m->base, "vm", m->vm);
    set(m, m->base, "name", config->name);
    set_number(m, "domid", m->domid);
    set_number(m, "memory/static-max", config->memory >> 10);
    set_number(m, "memory/target", config->memory >> 10);
    set_number(m, "memory/videoram", 0);
    for (unsigned i = 0; i < config->max_vcpus; i++) {
        snprintf(name, sizeof name, "cpu/%u/availability", i);
        set(m, m->base, name, i < config->vcpus ? "online" : "offline");
    }
    set(m, m->base, "control/platform-feature-multiprocessor-suspend", "1");
    set(m, m->base, "control/platform-feature-xs_reset_watches", "1");
    set_number(m, "store/port", built->store_port);
    set_number(m, "store/ring-ref", STORE_GFN);
    write_console(m, built);
}

/* Before another is written, or none. */
static void forget_name(domid_t domid)
{
    char name[NAME_MAX];
    if (nodes_name(domid, name, sizeof name))
        names_remove(name, domid);
}

static void vm_path(char buf[BASE_MAX], const xen_domain_handle_t uuid)
{
    char text[UUID_TEXT];
    snprintf(buf, BASE_MAX, "/vm/%s", format_uuid(text, uuid));
}

bool nodes_make(const struct guest_config *config, const struct built *built, struct why *why)
{
    struct maker m = {.domid = built->domid, .read_only[0] = "n0"};
    snprintf(m.read_only[1], sizeof m.read_only[1], "r%u", built->domid);
    snprintf(m.own[0], sizeof m.own[0], "n%u", built->domid);
    snprintf(m.base, sizeof m.base, "/local/domain/%u", built->domid);
    vm_path(m.vm, config->uuid);
    make_directories(&m);
    write_values(&m, config, built);
    names_add(config->name, built->domid);
    return !m.error || fail(why, "writing %s to the store failed: %s", m.failed, error_text(m.error));
}

void nodes_remove(domid_t domid, const xen_domain_handle_t uuid)
{
    char path[PATH_MAX];
    forget_name(domid);
    snprintf(path, sizeof path, "/local/domain/%u", domid);
    store_rm(path);
    vm_path(path, uuid);
    store_rm(path);
}

void nodes_make_own(void)
{
    static const char *const empty[] = {"/tool", "/vm", "/local/domain"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        store_mkdir(empty[i]);
    store_write("/local/domain/0/name", "Domain-0");
    names_add("Domain-0", 0);
    store_write("/local/domain/0/domid", "0");
}

bool nodes_name(domid_t domid, char *buf, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/local/domain/%u/name", domid);
    return store_read(path, buf, size, NULL) == 0;
}

int nodes_rename(domid_t domid, const xen_domain_handle_t uuid, const char *name)
{
    char path[PATH_MAX];
    vm_path(path, uuid);
    strlcpy(path + strlen(path), "/name", sizeof path - strlen(path));
    int error = store_write(path, "%s", name);
    if (error)
        return error;
    forget_name(domid);
    names_add(name, domid);
    snprintf(path, sizeof path, "/local/domain/%u/name", domid);
    return store_write(path, "%s", name);
}

int nodes_move(domid_t domid, const xen_domain_handle_t from, const xen_domain_handle_t to, const char *name)
{
    struct maker m = {.domid = domid, .read_only[0] = "n0"};
    char old[BASE_MAX], start[PATH_MAX], text[64] = "", uuid[UUID_TEXT];
    snprintf(m.read_only[1], sizeof m.read_only[1], "r%u", domid);
    snprintf(m.base, sizeof m.base, "/local/domain/%u", domid);
    vm_path(old, from);
    vm_path(m.vm, to);
    snprintf(start, sizeof start, "%s/start_time", old);
    store_read(start, text, sizeof text, NULL);
    make(&m, m.vm, false);
    set(&m, m.vm, "uuid", format_uuid(uuid, to));
    set(&m, m.vm, "name", name);
    set(&m, m.vm, "start_time", text);
    set(&m, m.base, "vm", m.vm);
    forget_name(domid);
    names_add(name, domid);
    set(&m, m.base, "name", name);
    note(&m, store_rm(old), old);
    return m.error;
}
