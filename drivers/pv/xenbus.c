/*
 * Life of back ends (drivers/xenbus.h, xen/io/xenbus.h).
 *
 * Watches only say that something changed. The thread of the type then looks at everything: which directories
 * there are, and for each back end what its own state, its frontend's and the toolstack's wish ask for. So
 * nothing is missed when several changes come as one, and a disk that takes its time to stop does not keep
 * another type's back ends waiting. Lists of back ends belong to their type's thread.
 */
#include <dom0/below.h>
#include <dom0/thread.h>
#include <drivers/xenbus.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>

#define OWN_BASE        "/local/domain/0/backend"
#define COMPLAINTS      4              /* of one back end ... */
#define COMPLAINTS_TIME 60000000000ull /* ... in a minute */

struct driver {
    const struct backend_type *type;
    struct backend *backends;
    struct signal changed;
    char base[40];
    unsigned domid; /* while the directories are walked */
};

struct watched {
    struct backend backend;
    struct store_watch *watch; /* on the frontend's state */
    struct driver *driver;
    bool created, connected;
    uint64_t complaints_since;
    unsigned complaints;
};

static struct watched *watched(struct backend *backend)
{
    return (struct watched *)((char *)backend - offsetof(struct watched, backend));
}

/* --- keys ----------------------------------------------------------------------------------------------- */

static bool read_key(const char *directory, const char *key, char *value, size_t size)
{
    char path[128];
    return (size_t)snprintf(path, sizeof path, "%s/%s", directory, key) < sizeof path &&
           store_read(path, value, size, NULL) == 0;
}

static bool read_number(const char *directory, const char *key, uint64_t *value)
{
    char text[32];
    return read_key(directory, key, text, sizeof text) && parse_number(text, value);
}

bool backend_read(const struct backend *b, const char *key, char *value, size_t size)
{
    return read_key(b->path, key, value, size);
}

bool backend_read_number(const struct backend *b, const char *key, uint64_t *value)
{
    return read_number(b->path, key, value);
}

bool frontend_read(const struct backend *b, const char *key, char *value, size_t size)
{
    return read_key(b->frontend, key, value, size);
}

bool frontend_read_number(const struct backend *b, const char *key, uint64_t *value)
{
    return read_number(b->frontend, key, value);
}

/* Only into a directory that is there: a write would make it anew behind the toolstack's back. */
int backend_write(const struct backend *b, const char *key, const char *format, ...)
{
    char path[128], value[256], old[2];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (store_read(b->path, old, sizeof old, NULL) == XEN_ENOENT)
        return XEN_ENOENT;
    snprintf(path, sizeof path, "%s/%s", b->path, key);
    return store_write(path, "%s", value);
}

static enum xenbus_state read_state(const char *directory)
{
    uint64_t state;
    return read_number(directory, "state", &state) && state <= XenbusStateReconfigured
               ? (enum xenbus_state)state
               : XenbusStateUnknown;
}

/* What the toolstack wrote while we were busy stands: it asks for the end by our own state. */
static void set_state(struct backend *b, enum xenbus_state state)
{
    if (state < XenbusStateClosing && read_state(b->path) == XenbusStateClosing)
        state = XenbusStateClosing;
    b->state = state;
    backend_write(b, "state", "%u", (unsigned)state);
}

/* --- complaints ----------------------------------------------------------------------------------------- */

void backend_complain(struct backend *b, const char *format, ...)
{
    struct watched *w = watched(b);
    char text[160];
    va_list args;
    if (!w->complaints || time_ns() - w->complaints_since > COMPLAINTS_TIME) {
        w->complaints_since = time_ns();
        w->complaints = 0;
    }
    if (w->complaints++ >= COMPLAINTS)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print("%s %u/%u: %s%s\n", b->type->name, b->domid, b->devid, text,
          w->complaints == COMPLAINTS ? " (no more of this for a minute)" : "");
}

void backend_close(struct backend *b, const char *reason)
{
    backend_write(b, "error", "%s", reason);
    if (b->state < XenbusStateClosing)
        set_state(b, XenbusStateClosing);
}

void backend_state_again(struct backend *b)
{
    set_state(b, b->state);
}

/* --- one back end's states ------------------------------------------------------------------------------ */

static void refuse(struct backend *b, const struct why *why)
{
    backend_complain(b, "%s", why->text);
    backend_write(b, "error", "%s", why->text);
    set_state(b, XenbusStateClosed);
}

static void disconnect(struct watched *w)
{
    if (w->connected)
        w->backend.type->disconnect(&w->backend);
    w->connected = false;
}

static void connect(struct watched *w)
{
    struct why why;
    w->connected = w->backend.type->connect(&w->backend, &why);
    if (w->connected)
        set_state(&w->backend, XenbusStateConnected);
    else
        refuse(&w->backend, &why);
}

/*
 * Of a device that is not wanted any more, nothing is held when the state says Closed: its disk may go to
 * another.
 */
static void closed(struct watched *w)
{
    struct backend *b = &w->backend;
    disconnect(w);
    if (!b->online && w->created) {
        b->type->destroy(b);
        w->created = false;
    }
    set_state(b, XenbusStateClosed);
}

/* Also when the guest's kernel begins anew without having closed. */
static bool has_left(enum xenbus_state frontend)
{
    return frontend < XenbusStateInitialised || frontend == XenbusStateClosed;
}

/* What the states of both sides ask for; xen/io/blkif.h draws the usual course. */
static void step(struct watched *w)
{
    struct backend *b = &w->backend;
    enum xenbus_state frontend = read_state(b->frontend), own = read_state(b->path);
    uint64_t online = 1;
    backend_read_number(b, "online", &online);
    b->online = online;
    if (own == XenbusStateClosing && b->state < XenbusStateClosing)
        b->state = XenbusStateClosing;

    if (w->connected && has_left(frontend)) {
        closed(w);
    } else if (w->connected && frontend == XenbusStateClosing && b->state < XenbusStateClosing) {
        set_state(b, XenbusStateClosing);
    } else if (!w->connected && b->state == XenbusStateInitWait &&
               (frontend == XenbusStateInitialised || frontend == XenbusStateConnected)) {
        connect(w);
    } else if (!w->connected && b->state == XenbusStateInitWait &&
               (frontend == XenbusStateClosing || frontend == XenbusStateClosed)) {
        closed(w);
    } else if (!w->connected && (b->state == XenbusStateClosing || own == XenbusStateClosing)) {
        closed(w);
    } else if (w->created && b->state == XenbusStateClosed && frontend == XenbusStateInitialising &&
               b->online) {
        set_state(b, XenbusStateInitWait);
    }
}

/* --- which back ends there are -------------------------------------------------------------------------- */

static void on_change(const char *path, void *arg)
{
    struct driver *driver = arg;
    (void)path;
    signal_set(&driver->changed);
}

/* A guest's paths are the guest's only: nothing else would be a frontend of its. */
static bool frontend_is_valid(const struct backend *b)
{
    char prefix[40];
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "/local/domain/%u/", b->domid);
    return !strncmp(b->frontend, prefix, length) && b->frontend[length];
}

static void add(struct driver *driver, domid_t domid, unsigned devid)
{
    struct watched *w = mem_alloc(sizeof *w);
    struct why why;
    if (!w) {
        print("%s %u/%u: no memory\n", driver->type->name, domid, devid);
        return;
    }
    struct backend *b = &w->backend;
    w->driver = driver;
    b->type = driver->type;
    b->domid = domid;
    b->devid = devid;
    b->state = XenbusStateInitialising;
    snprintf(b->path, sizeof b->path, "%s/%u/%u", driver->base, domid, devid);
    /* The toolstack writes the state last. */
    if (read_state(b->path) == XenbusStateUnknown ||
        !read_key(b->path, "frontend", b->frontend, sizeof b->frontend)) {
        mem_free(w);
        return;
    }
    b->next = driver->backends;
    driver->backends = b;
    if (!frontend_is_valid(b)) {
        fail(&why, "frontend is %s, which is not below /local/domain/%u", b->frontend, domid);
    } else {
        char state[80];
        snprintf(state, sizeof state, "%s/state", b->frontend);
        w->watch = store_watch(state, on_change, driver);
        if (!w->watch)
            fail(&why, "no memory for a watch");
        else
            w->created = b->type->create(b, &why);
    }
    if (w->created)
        set_state(b, XenbusStateInitWait);
    else
        refuse(b, &why);
}

/* Its directory is not there any more, or it is another one of the same name already. */
static bool is_gone(const struct backend *b)
{
    char value[2];
    return store_read(b->path, value, sizeof value, NULL) == XEN_ENOENT ||
           read_state(b->path) == XenbusStateInitialising;
}

static void remove_gone(struct driver *driver)
{
    for (struct backend **link = &driver->backends, *b; (b = *link);) {
        struct watched *w = watched(b);
        if (!is_gone(b)) {
            link = &b->next;
            continue;
        }
        disconnect(w);
        if (w->created)
            b->type->destroy(b);
        if (w->watch)
            store_unwatch(w->watch);
        *link = b->next;
        mem_free(w);
    }
}

static bool is_known(const struct driver *driver, uint64_t domid, uint64_t devid)
{
    const struct backend *b = driver->backends;
    while (b && (b->domid != domid || b->devid != devid))
        b = b->next;
    return b;
}

static void each_device(const char *name, void *arg)
{
    struct driver *driver = arg;
    uint64_t devid;
    if (parse_number(name, &devid) && devid <= UINT32_MAX && !is_known(driver, driver->domid, devid))
        add(driver, (domid_t)driver->domid, (unsigned)devid);
}

static void each_domain(const char *name, void *arg)
{
    struct driver *driver = arg;
    char path[64];
    uint64_t domid;
    if (!parse_number(name, &domid) || domid >= DOMID_FIRST_RESERVED)
        return;
    driver->domid = (unsigned)domid;
    snprintf(path, sizeof path, "%s/%u", driver->base, driver->domid);
    store_directory(path, each_device, driver);
}

static void serve(void *arg)
{
    struct driver *driver = arg;
    for (;;) {
        signal_wait(&driver->changed, FOREVER);
        remove_gone(driver);
        store_directory(driver->base, each_domain, driver);
        for (struct backend *b = driver->backends; b; b = b->next)
            step(watched(b));
    }
}

bool backend_register(const struct backend_type *type)
{
    struct driver *driver = mem_alloc(sizeof *driver);
    if (!driver)
        return false;
    driver->type = type;
    snprintf(driver->base, sizeof driver->base, OWN_BASE "/%s", type->name);
    if (store_watch(driver->base, on_change, driver) && thread_create(serve, driver))
        return true;
    print("%s: no memory for its back ends: raise dom0_mem\n", type->name);
    return false;
}
