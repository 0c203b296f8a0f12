/*
 * Domains as the toolstack knows them (domain.h), and tool_domain_event().
 *
 * The list holds one record for each domain made here, with the configuration that a restart needs. Threads
 * are cooperative, so the list needs no lock; a record whose domain is being made or ended is `busy`, and
 * whoever comes upon it after a switch leaves it alone.
 */
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>
#include <dom0/tool.h>

#include "build.h"
#include "devices.h"
#include "domain.h"
#include "format.h"
#include "names.h"
#include "nodes.h"

#define SECOND 1000000000ull
/* A domain that reboots in less time, so many times in a row, does so for ever: it is stopped. */
#define QUICK_RESTART  (10 * SECOND)
#define QUICK_RESTARTS 3
/* The hypervisor frees a domain's memory in the background: how long destroy waits for it. */
#define GONE_WAIT (5 * SECOND)
/* How long destroy waits for a domain that is just being made; that takes a minute in emulators. */
#define BUSY_WAIT (120 * SECOND)
/* Instead of a reason to shut down: the domain is not there any more. */
#define GONE (XEN_DOMINF_shutdownmask + 1)

struct guest {
    struct guest *next; /* in its bucket */
    domid_t domid;
    struct guest_config *config;
    uint64_t started;        /* time_ns() */
    unsigned quick_restarts; /* in a row, before this start */
    bool busy;               /* being made or ended: not to be touched by others */
    bool settled;            /* its end was served, it is kept to be looked at */
    unsigned seen;           /* the last look at all domains that came upon it */
};

#define BUCKETS 256u
static struct guest *guests[BUCKETS]; /* by domid */

static struct guest *guest_find(domid_t domid)
{
    struct guest *g = guests[domid % BUCKETS];
    while (g && g->domid != domid)
        g = g->next;
    return g;
}

static void guest_unlink(struct guest *guest)
{
    struct guest **at = &guests[guest->domid % BUCKETS];
    while (*at != guest)
        at = &(*at)->next;
    *at = guest->next;
}

static void guest_forget(struct guest *guest)
{
    guest_unlink(guest);
    if (guest->config)
        config_free(guest->config);
    mem_free(guest);
}

/* --- names ---------------------------------------------------------------------------------------------- */

const char *domain_name(domid_t domid, char buf[NAME_MAX])
{
    if (!nodes_name(domid, buf, NAME_MAX))
        strlcpy(buf, "(null)", NAME_MAX);
    return buf;
}

bool tool_domain_name(size_t index, char *name, size_t size)
{
    /* Names are asked for one after the other: number `at` is the first one from id `from` on. */
    static size_t at;
    static unsigned from;
    struct xen_domctl_getdomaininfo info;
    if (index < at)
        at = from = 0;
    while (domain_next(from, &info)) {
        from = info.domain + 1u;
        if (nodes_name(info.domain, name, size) && at++ == index)
            return true;
    }
    at = from = 0;
    return false;
}

static const char *name_at(size_t index)
{
    static char name[NAME_MAX];
    return tool_domain_name(index, name, sizeof name) ? name : NULL;
}

bool domain_find(const char *name_or_id, domid_t *domid, struct why *why)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t id;
    if (parse_number(name_or_id, &id)) {
        if (id >= DOMID_FIRST_RESERVED || !domain_info((domid_t)id, &info))
            return fail(why, "no domain has the id %s: list shows them", name_or_id);
        *domid = (domid_t)id;
        return true;
    }
    if (names_find(name_or_id, domid))
        return true;
    char word[WORD_TEXT];
    if (nearest_word(name_or_id, name_at, word))
        return fail(why, "no domain is called %s: did you mean %s?", name_or_id, word);
    return fail(why, "no domain is called %s: list shows them", name_or_id);
}

struct guest_config *domain_config(domid_t domid)
{
    struct guest *g = guest_find(domid);
    return g ? g->config : NULL;
}

/* --- making and ending ---------------------------------------------------------------------------------- */

/* Connects a built domain to the store and the console. */
static bool introduce(const struct built *built, struct why *why)
{
    int error = store_introduce(built->domid, STORE_GFN, built->store_port);
    if (error)
        return fail(why, "the store could not be connected: %s", error_text(error));
    error = console_introduce(built->domid, CONSOLE_GFN, built->console_port);
    return !error || fail(why, "the console could not be connected: %s", error_text(error));
}

/* Undoes nodes_make() and introduce(), whole or in part. */
static void withdraw(domid_t domid, const char *name, const xen_domain_handle_t uuid)
{
    console_release(domid, name);
    nodes_remove(domid, uuid);
    store_release(domid);
}

/* With its record in the list, busy: others see the domain by its name, and leave it alone. */
static bool create_planned(struct guest *guest, const struct plan *plan, bool (*stop)(void), struct why *why)
{
    const struct guest_config *config = plan->config;
    struct built built;
    if (!build_begin(plan, &built, why))
        return false;
    guest->domid = built.domid;
    guest->busy = true;
    struct guest **bucket = &guests[guest->domid % BUCKETS];
    guest->next = *bucket;
    *bucket = guest;
    /* The back ends take their devices while the domain is loaded. */
    if (nodes_make(config, &built, why) && devices_add(built.domid, config, why) &&
        build_finish(plan, &built, stop, why) && introduce(&built, why) &&
        devices_await(built.domid, config, stop, why)) {
        guest->busy = false;
        guest->started = time_ns();
        return true;
    }
    devices_remove(built.domid);
    unbuild_domain(built.domid);
    withdraw(built.domid, config->name, config->uuid);
    guest_unlink(guest);
    return false;
}

bool domain_create(struct guest_config *config, bool (*stop)(void), domid_t *domid, struct why *why)
{
    struct plan *plan = mem_alloc(sizeof *plan);
    struct guest *guest = mem_alloc(sizeof *guest);
    domid_t other;
    bool ok = plan && guest;
    if (!ok)
        fail(why, "out of memory");
    else if (names_find(config->name, &other))
        ok = config_fail(config, "name", why, "domain %u has this name: destroy it, or give another name",
                         other);
    ok = ok && plan_make(config, plan, why) && plan_affordable(plan, why);
    if (ok) {
        guest->config = config;
        ok = create_planned(guest, plan, stop, why);
    }
    if (ok)
        *domid = guest->domid;
    else
        mem_free(guest);
    mem_free(plan);
    return ok;
}

bool domain_pause(domid_t domid, struct why *why)
{
    long rc = domctl_plain(XEN_DOMCTL_pausedomain, domid);
    return !rc || fail(why, "%s", error_text(rc));
}

bool domain_unpause(domid_t domid, struct why *why)
{
    long rc = domctl_plain(XEN_DOMCTL_unpausedomain, domid);
    return !rc || fail(why, "%s", error_text(rc));
}

static void wait_until_gone(domid_t domid)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t deadline = time_ns() + GONE_WAIT;
    while (domain_info(domid, &info) && time_ns() < deadline)
        thread_sleep(SECOND / 1000);
}

/* The record of a domain, once nobody else is at work on it; NULL when it has none. May switch. */
static struct guest *guest_when_idle(domid_t domid)
{
    struct guest *guest;
    uint64_t deadline = time_ns() + BUSY_WAIT;
    while ((guest = guest_find(domid)) && guest->busy && time_ns() < deadline && !interrupted())
        thread_sleep(SECOND / 100);
    return guest;
}

bool domain_await(domid_t domid, struct why *why)
{
    struct xen_domctl_getdomaininfo info;
    const struct guest *guest = guest_when_idle(domid);
    if (guest && guest->busy)
        return fail(why, "it is still being made or ended: try again");
    return domain_info(domid, &info) || fail(why, "it is gone");
}

bool domain_destroy(domid_t domid, struct why *why)
{
    struct xen_domctl_getdomaininfo info;
    char name[NAME_MAX];
    if (!domain_await(domid, why) || !domain_info(domid, &info))
        return false;
    struct guest *guest = guest_find(domid);
    if (guest)
        guest->busy = true;
    domain_name(domid, name);
    /* It must not use its devices any more when they are taken away. */
    domctl_plain(XEN_DOMCTL_pausedomain, domid);
    devices_remove(domid);
    long rc = unbuild_domain(domid);
    if (rc) {
        if (guest)
            guest->busy = false;
        return fail(why, "%s", error_text(rc));
    }
    withdraw(domid, name, info.handle);
    wait_until_gone(domid);
    if (guest)
        guest_forget(guest);
    return true;
}

bool domain_rename(domid_t domid, const char *name, struct why *why)
{
    struct xen_domctl_getdomaininfo info;
    domid_t other;
    if (!check_name(name, why))
        return false;
    if (names_find(name, &other))
        return fail(why, "domain %u is called %s already", other, name);
    if (!domain_info(domid, &info))
        return fail(why, "there is no such domain");
    int error = nodes_rename(domid, info.handle, name);
    if (error)
        return fail(why, "the store refused the name: %s", error_text(error));
    struct guest *guest = guest_find(domid);
    if (guest && guest->config)
        strlcpy(guest->config->name, name, sizeof guest->config->name);
    return true;
}

/* --- domains that end by themselves --------------------------------------------------------------------- */

static const char *reason_text(unsigned code)
{
    static const char *const texts[] = {
        "powered off",           "rebooted", "suspended", "crashed", "was stopped by its watchdog",
        "asked for a soft reset"};
    return code < sizeof texts / sizeof texts[0] ? texts[code] : "stopped for an unknown reason";
}

/* A name that no domain has: name-1, name-2, ... */
static void free_name(const char *name, char buf[NAME_MAX])
{
    domid_t other;
    for (unsigned i = 1; i < 1000; i++) {
        snprintf(buf, NAME_MAX, "%.*s-%u", NAME_MAX - 6, name, i);
        if (!names_find(buf, &other))
            return;
    }
}

/* Leaves the ended domain under another name and UUID: those that it had, and its devices, are for its
 * successor. */
static bool set_aside(struct guest *guest, struct why *why)
{
    char name[NAME_MAX];
    struct xen_domctl op;
    memset(&op, 0, sizeof op);
    guest->busy = true;
    devices_remove(guest->domid);
    guest->busy = false;
    free_name(guest->config->name, name);
    make_uuid(op.u.setdomainhandle.handle);
    int error = nodes_move(guest->domid, guest->config->uuid, op.u.setdomainhandle.handle, name);
    long rc = error ? 0 : domctl(XEN_DOMCTL_setdomainhandle, guest->domid, &op);
    return (!error && !rc) || fail(why, "renaming it failed: %s", error_text(error ? error : rc));
}

/* The successor of a domain that is gone or set aside. Takes the configuration. */
static void start_again(struct guest_config *config, unsigned quick_restarts)
{
    struct why why;
    domid_t domid;
    if (!domain_create(config, NULL, &domid, &why)) {
        print("%s: not restarted: %s\n", config->name, why.text);
        config_free(config);
        return;
    }
    guest_find(domid)->quick_restarts = quick_restarts;
    if (!domain_unpause(domid, &why))
        print("%s: restarted, but not unpaused: %s\n", config->name, why.text);
}

static void restart(struct guest *guest, enum action action)
{
    struct guest_config *config = guest->config;
    struct why why;
    bool quick = time_ns() - guest->started < QUICK_RESTART;
    unsigned quick_restarts = quick ? guest->quick_restarts + 1 : 0;
    if (quick_restarts == QUICK_RESTARTS) {
        print("%s: ended %u times in a row within 10 seconds of its start, so it is not restarted; "
              "look at it with `console %s`\n",
              config->name, QUICK_RESTARTS, config->name);
        action = ACTION_DESTROY;
    }
    if (action == ACTION_RENAME_RESTART) {
        if (!set_aside(guest, &why)) {
            print("%s: left as it is: %s\n", config->name, why.text);
            guest->settled = true;
            return;
        }
        guest->settled = true;
        guest->config = NULL;
    } else {
        if (action == ACTION_RESTART)
            guest->config = NULL;
        if (!domain_destroy(guest->domid, &why)) {
            print("%s: could not be ended: %s\n", config->name, why.text);
            guest->config = config;
            guest->settled = true;
            return;
        }
    }
    if (action != ACTION_DESTROY)
        start_again(config, quick_restarts);
}

static void serve(struct guest *guest, unsigned code)
{
    enum action action = code <= SHUTDOWN_MAX ? guest->config->on[code] : ACTION_PRESERVE;
    struct why why;
    char name[NAME_MAX];
    strlcpy(name, guest->config->name, sizeof name);
    print("%s: %s: %s\n", name, reason_text(code), action_name(action));
    switch (action) {
    case ACTION_PRESERVE:
        guest->settled = true;
        break;
    case ACTION_DESTROY:
        if (!domain_destroy(guest->domid, &why)) {
            print("%s: could not be ended: %s\n", name, why.text);
            guest->settled = true;
        }
        break;
    case ACTION_RESTART:
    case ACTION_RENAME_RESTART:
        restart(guest, action);
        break;
    }
}

static bool overlooked; /* a domain ended while it was not to be touched: the next event looks at all */

static unsigned shutdown_code(const struct xen_domctl_getdomaininfo *info)
{
    return info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
}

/* True when the end is to be served now. */
static bool has_ended(const struct guest *guest, const struct xen_domctl_getdomaininfo *info)
{
    bool ended = info->flags & XEN_DOMINF_shutdown && !guest->settled;
    overlooked |= ended && guest->busy && !(info->flags & XEN_DOMINF_dying);
    return ended && !guest->busy;
}

/* One that has ended and is not being served, or was ended by somebody else; NULL: none. */
static struct guest *find_ended(unsigned *code)
{
    static unsigned look;
    struct domain_list list;
    const struct xen_domctl_getdomaininfo *info;
    look++;
    domain_list_start(&list, 1);
    while ((info = domain_list_next(&list))) {
        struct guest *g = guest_find(info->domain);
        if (!g)
            continue;
        g->seen = look;
        *code = shutdown_code(info);
        if (has_ended(g, info))
            return g;
    }
    *code = GONE;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct guest *g = guests[i]; g; g = g->next)
            if (!g->busy && g->seen != look)
                return g;
    return NULL;
}

/* The same of the domains that the hypervisor says have changed. Sets *all when it does not say that. */
static struct guest *find_changed(unsigned *code, bool *all)
{
    struct xen_domctl_getdomaininfo info;
    domid_t domid;
    long rc;
    while (!(rc = domain_take_changed(&domid))) {
        struct guest *g = guest_find(domid);
        if (!g)
            continue;
        bool gone = !domain_info(domid, &info);
        *code = gone ? GONE : shutdown_code(&info);
        if (gone ? !g->busy : has_ended(g, &info))
            return g;
    }
    *all |= rc != -XEN_ENOENT;
    return NULL;
}

void tool_domain_event(void)
{
    struct guest *g;
    unsigned code;
    bool all = overlooked;
    overlooked = false;
    while ((g = find_changed(&code, &all)) || (all && (g = find_ended(&code))))
        if (code == GONE)
            guest_forget(g);
        else
            serve(g, code);
}
