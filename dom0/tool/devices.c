/*
 * Devices of domains (devices.h). The store is all the state there is: what stands in it belongs to the
 * domain, however it came there. Keys and permissions are those of libxl_disk.c, libxl_nic.c and
 * libxl_device.c. The nodes of one device are written without a switch of threads between them, and the back
 * end's state is the last, so that nobody sees half a device. No locking.
 */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <stdarg.h>
#include <xen/errno.h>
#include <xen/io/xenbus.h>

#include "devices.h"
#include "xen.h"

#define SECOND 1000000000ull
#define POLL   (SECOND / 200)
/* As libxl: how long a back end may be at taking a device, and both ends at letting it go. */
#define TAKE_WAIT  (10 * SECOND)
#define CLOSE_WAIT (10 * SECOND)
/* When to tell the person what is waited for. */
#define TELL_WAIT SECOND
#define VALUE_MAX 256

static const char *const kind_names[] = {"vbd", "vif"};

const char *device_path(char buf[DEVICE_PATH_MAX], domid_t domid, enum device_kind kind, uint32_t devid,
                        bool backend)
{
    if (backend)
        snprintf(buf, DEVICE_PATH_MAX, "/local/domain/0/backend/%s/%u/%u", kind_names[kind], domid, devid);
    else
        snprintf(buf, DEVICE_PATH_MAX, "/local/domain/%u/device/%s/%u", domid, kind_names[kind], devid);
    return buf;
}

const char *device_text(char buf[DEVICE_TEXT], enum device_kind kind, uint32_t devid)
{
    if (kind == DEVICE_VBD)
        return vdev_name(buf, devid);
    snprintf(buf, DEVICE_TEXT, "network card %u", devid);
    return buf;
}

bool device_read(domid_t domid, enum device_kind kind, uint32_t devid, bool backend, const char *key,
                 char *buf, size_t size)
{
    char path[DEVICE_PATH_MAX + 32];
    device_path(path, domid, kind, devid, backend);
    size_t length = strlen(path);
    snprintf(path + length, sizeof path - length, "/%s", key);
    return store_read(path, buf, size, NULL) == 0;
}

static enum xenbus_state backend_state(domid_t domid, enum device_kind kind, uint32_t devid)
{
    char text[16];
    uint64_t state;
    if (!device_read(domid, kind, devid, true, "state", text, sizeof text) || !parse_number(text, &state))
        return XenbusStateUnknown;
    return (enum xenbus_state)state;
}

bool device_exists(domid_t domid, enum device_kind kind, uint32_t devid)
{
    char path[DEVICE_PATH_MAX], value[2];
    return store_read(device_path(path, domid, kind, devid, true), value, sizeof value, NULL) != XEN_ENOENT;
}

/* --- is it possible? ------------------------------------------------------------------------------------ */

bool disk_possible(const struct disk_config *disk, struct why *why)
{
    struct why reason;
    return disk_check(disk->target, disk->writable, &reason) ||
           fail(why, "%s: '%.100s': %s", disk->vdev, disk->target, reason.text);
}

bool vif_possible(const struct vif_config *vif, struct why *why)
{
    struct bridge_info info;
    for (size_t i = 0; bridge_info(i, &info); i++)
        if (!strcmp(info.name, vif->bridge))
            return true;
    if (!bridge_info(0, &info))
        return fail(why,
                    "no bridge '%s': there is none, for dom0 has no network card; bridge-create makes one",
                    vif->bridge);
    return fail(why, "no bridge '%s': there is %s; bridge-list shows them, bridge-create makes one",
                vif->bridge, info.name);
}

/* --- making nodes --------------------------------------------------------------------------------------- */

struct writer {
    char directory[DEVICE_PATH_MAX];
    int error; /* the first one */
};

static void put(struct writer *w, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put(struct writer *w, const char *key, const char *format, ...)
{
    char path[DEVICE_PATH_MAX + 32], value[VALUE_MAX + 64];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/%s", w->directory, key);
    if (!w->error)
        w->error = store_write(path, "%s", value);
}

/* A directory that owner owns and reader reads, with all that will be in it. */
static void begin(struct writer *w, domid_t owner, domid_t reader)
{
    char texts[2][8];
    const char *const perms[] = {texts[0], texts[1]};
    snprintf(texts[0], sizeof texts[0], "n%u", owner);
    snprintf(texts[1], sizeof texts[1], "r%u", reader);
    w->error = store_mkdir(w->directory);
    if (!w->error)
        w->error = store_set_perms(w->directory, perms, 2);
}

struct ends {
    domid_t domid;
    enum device_kind kind;
    uint32_t devid;
    struct writer back, front;
};

/* What all kinds have. */
static void begin_ends(struct ends *e)
{
    device_path(e->back.directory, e->domid, e->kind, e->devid, true);
    device_path(e->front.directory, e->domid, e->kind, e->devid, false);
    begin(&e->back, 0, e->domid);
    begin(&e->front, e->domid, 0);
    put(&e->back, "frontend", "%s", e->front.directory);
    put(&e->back, "frontend-id", "%u", e->domid);
    put(&e->back, "online", "1");
    put(&e->front, "backend", "%s", e->back.directory);
    put(&e->front, "backend-id", "0");
}

static void remove_if_empty(const char *path);

static void remove_nodes(domid_t domid, enum device_kind kind, uint32_t devid)
{
    char path[DEVICE_PATH_MAX];
    for (int backend = 0; backend < 2; backend++) {
        store_rm(device_path(path, domid, kind, devid, backend));
        *strrchr(path, '/') = '\0';
        remove_if_empty(path);
    }
}

static bool end(struct ends *e, struct why *why)
{
    char text[DEVICE_TEXT];
    put(&e->front, "state", "%u", (unsigned)XenbusStateInitialising);
    put(&e->back, "state", "%u", (unsigned)XenbusStateInitialising);
    int error = e->back.error ? e->back.error : e->front.error;
    if (!error)
        return true;
    remove_nodes(e->domid, e->kind, e->devid);
    return fail(why, "%s: writing its nodes to the store failed: %s", device_text(text, e->kind, e->devid),
                error_text(error));
}

bool device_add_disk(domid_t domid, const struct disk_config *disk, struct why *why)
{
    struct ends e = {.domid = domid, .kind = DEVICE_VBD, .devid = disk->devid};
    const char *type = disk->cdrom ? "cdrom" : "disk";
    begin_ends(&e);
    put(&e.back, "removable", "%u", disk->cdrom);
    put(&e.back, "bootable", "1");
    put(&e.back, "dev", "%s", disk->vdev);
    put(&e.back, "type", "phy");
    put(&e.back, "params", "%s", disk->target);
    put(&e.back, "mode", "%s", disk->writable ? "w" : "r");
    put(&e.back, "device-type", "%s", type);
    put(&e.back, "discard-enable", "%u", disk->discard);
    put(&e.back, "direct-io-safe", "%u", disk->direct_io_safe);
    put(&e.front, "virtual-device", "%u", disk->devid);
    put(&e.front, "device-type", "%s", type);
    return end(&e, why);
}

bool device_add_vif(domid_t domid, const struct vif_config *vif, struct why *why)
{
    struct ends e = {.domid = domid, .kind = DEVICE_VIF, .devid = vif->devid};
    char mac[MAC_TEXT];
    mac_format(mac, vif->mac);
    begin_ends(&e);
    put(&e.back, "mac", "%s", mac);
    put(&e.back, "bridge", "%s", vif->bridge);
    put(&e.back, "handle", "%u", vif->devid);
    put(&e.back, "type", "vif");
    put(&e.back, "mtu", "%u", vif->mtu);
    if (*vif->name)
        put(&e.back, "vifname", "%s", vif->name);
    if (*vif->ip)
        put(&e.back, "ip", "%s", vif->ip);
    if (vif->rate_interval_us)
        put(&e.back, "rate", "%llu,%u", (unsigned long long)vif->rate_bytes, vif->rate_interval_us);
    put(&e.front, "handle", "%u", vif->devid);
    put(&e.front, "mac", "%s", mac);
    put(&e.front, "mtu", "%u", vif->mtu);
    return end(&e, why);
}

bool devices_add(domid_t domid, const struct guest_config *config, struct why *why)
{
    bool ok = true;
    for (const struct disk_config *disk = config->disks; ok && disk; disk = disk->next)
        ok = device_add_disk(domid, disk, why);
    for (const struct vif_config *vif = config->vifs; ok && vif; vif = vif->next)
        ok = device_add_vif(domid, vif, why);
    return ok;
}

/* --- waiting -------------------------------------------------------------------------------------------- */

struct wait {
    uint64_t started, limit;
    bool (*stop)(void);
    bool told;
};

/* Sleeps a little; false when that has been long enough. */
static bool wait_more(struct wait *w, const char *what)
{
    uint64_t waited = time_ns() - w->started;
    if (waited > w->limit || (w->stop && w->stop()))
        return false;
    if (!w->told && waited > TELL_WAIT && w->stop) {
        w->told = true;
        print("waiting for %s; Ctrl-C ends that\n", what);
    }
    thread_sleep(POLL);
    return true;
}

bool device_await(domid_t domid, enum device_kind kind, uint32_t devid, bool (*stop)(void), struct why *why)
{
    struct wait wait = {.started = time_ns(), .limit = TAKE_WAIT, .stop = stop};
    char text[DEVICE_TEXT], what[DEVICE_TEXT + 24], reason[160] = "no reason is given";
    enum xenbus_state state;
    device_text(text, kind, devid);
    snprintf(what, sizeof what, "the back end of %s", text);
    while ((state = backend_state(domid, kind, devid)) == XenbusStateInitialising)
        if (!wait_more(&wait, what))
            return stop && stop() ? fail(why, "interrupted")
                                  : fail(why, "%s: dom0's back end has not taken it within %u seconds", text,
                                         (unsigned)(TAKE_WAIT / SECOND));
    if (state == XenbusStateInitWait || state == XenbusStateConnected)
        return true;
    device_read(domid, kind, devid, true, "error", reason, sizeof reason);
    return fail(why, "%s: dom0's back end refused it: %s", text, reason);
}

bool devices_await(domid_t domid, const struct guest_config *config, bool (*stop)(void), struct why *why)
{
    bool ok = true;
    for (const struct disk_config *disk = config->disks; ok && disk; disk = disk->next)
        ok = device_await(domid, DEVICE_VBD, disk->devid, stop, why);
    for (const struct vif_config *vif = config->vifs; ok && vif; vif = vif->next)
        ok = device_await(domid, DEVICE_VIF, vif->devid, stop, why);
    return ok;
}

/* --- listing -------------------------------------------------------------------------------------------- */

struct numbers {
    uint32_t *devids;
    size_t count;
};

static void each_number(const char *name, void *arg)
{
    struct numbers *numbers = arg;
    uint64_t devid;
    if (numbers->count < DEVICES_MAX && parse_number(name, &devid) && devid <= UINT32_MAX)
        numbers->devids[numbers->count++] = (uint32_t)devid;
}

size_t device_list(domid_t domid, enum device_kind kind, uint32_t devids[DEVICES_MAX])
{
    char path[DEVICE_PATH_MAX];
    struct numbers numbers = {.devids = devids};
    device_path(path, domid, kind, 0, true);
    *strrchr(path, '/') = '\0';
    store_directory(path, each_number, &numbers);
    return numbers.count;
}

/* --- removing ------------------------------------------------------------------------------------------- */

static void count_one(const char *name, void *arg)
{
    (void)name;
    ++*(size_t *)arg;
}

static void remove_if_empty(const char *path)
{
    size_t count = 0;
    if (!store_directory(path, count_one, &count) && !count)
        store_rm(path);
}

/* The guest's end first, where it is not asked: its back end then closes without it. */
static void ask_to_close(domid_t domid, enum device_kind kind, uint32_t devid, bool force)
{
    struct writer back = {.error = 0};
    char path[DEVICE_PATH_MAX];
    if (force)
        store_rm(device_path(path, domid, kind, devid, false));
    /* A back end that never began has nothing to close. */
    enum xenbus_state state = backend_state(domid, kind, devid);
    if (state == XenbusStateUnknown || state == XenbusStateInitialising)
        return;
    device_path(back.directory, domid, kind, devid, true);
    put(&back, "online", "0");
    put(&back, "state", "%u", (unsigned)XenbusStateClosing);
}

static bool is_closed(domid_t domid, enum device_kind kind, uint32_t devid)
{
    enum xenbus_state state = backend_state(domid, kind, devid);
    return state == XenbusStateUnknown || state == XenbusStateInitialising || state == XenbusStateClosed;
}

bool device_remove(domid_t domid, enum device_kind kind, uint32_t devid, bool force, bool (*stop)(void),
                   struct why *why)
{
    struct wait wait = {.started = time_ns(), .limit = CLOSE_WAIT, .stop = stop};
    char text[DEVICE_TEXT], what[DEVICE_TEXT + 32];
    device_text(text, kind, devid);
    snprintf(what, sizeof what, "the guest to let go of %s", text);
    ask_to_close(domid, kind, devid, force);
    while (!is_closed(domid, kind, devid) && wait_more(&wait, what))
        ;
    /* Without its nodes a back end ends whatever it was at. */
    if (is_closed(domid, kind, devid) || force) {
        remove_nodes(domid, kind, devid);
        return true;
    }
    if (stop && stop())
        return fail(why, "%s: no longer waited for; the guest stays asked to let go of it", text);
    return fail(why, "%s: the guest has not let go of it within %u seconds: %s, or use --force", text,
                (unsigned)(CLOSE_WAIT / SECOND),
                kind == DEVICE_VBD ? "unmount it there and try again" : "try again");
}

void devices_remove(domid_t domid)
{
    static const enum device_kind kinds[] = {DEVICE_VBD, DEVICE_VIF};
    const size_t count = sizeof kinds / sizeof kinds[0];
    uint32_t devids[DEVICES_MAX];
    struct wait wait = {.started = time_ns(), .limit = CLOSE_WAIT};
    for (size_t k = 0; k < count; k++)
        for (size_t n = device_list(domid, kinds[k], devids); n--;)
            ask_to_close(domid, kinds[k], devids[n], true);
    for (size_t k = 0; k < count; k++) {
        for (size_t n = device_list(domid, kinds[k], devids); n--;) {
            char text[DEVICE_TEXT];
            while (!is_closed(domid, kinds[k], devids[n]) && wait_more(&wait, ""))
                ;
            if (!is_closed(domid, kinds[k], devids[n]))
                print("warning: dom0's back end has not closed %s of domain %u within %u seconds\n",
                      device_text(text, kinds[k], devids[n]), domid, (unsigned)(CLOSE_WAIT / SECOND));
            remove_nodes(domid, kinds[k], devids[n]);
        }
    }
}
