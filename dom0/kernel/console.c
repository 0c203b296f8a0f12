/*
 * PV consoles of domains (dom0/below.h): the back end of xen/io/console.h.
 *
 * Output is moved from a domain's ring into its history when the domain rings; nobody has to be attached.
 * While somebody is, no more is moved than he has seen, so that nothing is lost and a slow line slows the
 * domain down. Histories of domains that are gone are kept under their names, the newest DEAD_MAX of them.
 */
#include <lib/string.h>
#include <pvh/event.h>
#include <xen/errno.h>
#include "history.h"
#include "kernel.h"

#define CTRL_DETACH 0x1d /* Ctrl-] */
#define NAME_SIZE   64
#define DEAD_MAX    8

struct console {
    struct console *next;
    domid_t domid;
    struct xencons_interface *ring; /* NULL: the domain is gone */
    evtchn_port_t port;
    bool broken;
    char name[NAME_SIZE]; /* once it is gone */
    struct history history;
};

static struct console *consoles; /* of domains that are there */
static struct console *dead;     /* newest first */

/* The one that our terminal shows, and how far it has shown it. */
static struct console *attached;
static uint64_t shown;

static struct console **find(domid_t domid)
{
    struct console **link = &consoles;
    while (*link && (*link)->domid != domid)
        link = &(*link)->next;
    return link;
}

/* --- output --------------------------------------------------------------------------------------------- */

static size_t room_for(const struct console *console)
{
    return console == attached ? HISTORY_SIZE - (size_t)(console->history.total - shown) : HISTORY_SIZE;
}

static void drain(struct console *console)
{
    if (console->broken)
        return;
    long moved = console_ring_drain(console->ring, &console->history, room_for(console));
    if (moved < 0) {
        console->broken = true;
        print("console: domain %u broke its ring's rules and is not listened to any more\n", console->domid);
    } else if (moved) {
        event_send(console->port);
        if (console == attached)
            signal_set(terminal_signal());
    }
}

static void on_event(evtchn_port_t port, void *arg)
{
    (void)port;
    drain(arg);
    /* Input that waits for room in the ring may have it now. */
    if (arg == attached)
        signal_set(terminal_signal());
}

static void show(const struct history *history, uint64_t *at)
{
    char text[256];
    for (size_t size; (size = history_read(history, at, text, sizeof text));)
        terminal_write(text, size);
}

/* --- domains come and go -------------------------------------------------------------------------------- */

static void forget_dead(struct console **link)
{
    struct console *console = *link;
    *link = console->next;
    mem_free(console);
}

static struct console **find_dead(const char *name)
{
    struct console **link = &dead;
    while (*link && strcmp((*link)->name, name))
        link = &(*link)->next;
    return link;
}

int console_introduce(domid_t domid, xen_pfn_t ring_gfn, evtchn_port_t remote_port)
{
    if (*find(domid))
        return XEN_EEXIST;
    struct console *console = mem_alloc(sizeof *console);
    if (!console)
        return XEN_ENOMEM;
    console->ring = foreign_map(domid, &ring_gfn, 1);
    long port = console->ring ? event_bind_interdomain(domid, remote_port) : -XEN_EINVAL;
    if (port < 0) {
        foreign_unmap(console->ring, 1);
        mem_free(console);
        return (int)-port;
    }
    console->domid = domid;
    console->port = (evtchn_port_t)port;
    console->next = consoles;
    consoles = console;
    event_handle(console->port, on_event, console);
    return 0;
}

void console_release(domid_t domid, const char *name)
{
    struct console **link = find(domid), *console = *link;
    if (!console)
        return;
    *link = console->next;
    drain(console);
    event_handle(console->port, NULL, NULL);
    event_close(console->port);
    foreign_unmap(console->ring, 1);
    console->ring = NULL;
    if (*find_dead(name) && *find_dead(name) != attached)
        forget_dead(find_dead(name));
    strlcpy(console->name, name, sizeof console->name);
    console->next = dead;
    dead = console;
    unsigned kept = 0;
    for (link = &dead; *link;)
        if (++kept > DEAD_MAX && *link != attached)
            forget_dead(link);
        else
            link = &(*link)->next;
    if (console == attached)
        signal_set(terminal_signal());
}

/* --- the terminal --------------------------------------------------------------------------------------- */

/* Passes on what was typed and is there already. False: Ctrl-]. */
static bool pass_input(struct console *console)
{
    static int waiting = -1; /* a character for which the ring had no room */
    for (;;) {
        int c = waiting >= 0 ? waiting : terminal_read(0);
        waiting = -1;
        if (c < 0)
            return true;
        if (c == CTRL_DETACH)
            return false;
        char text = (char)c;
        long taken = console->broken ? 1 : console_ring_input(console->ring, &text, 1);
        if (!taken) {
            waiting = c;
            return true;
        }
        event_send(console->port);
    }
}

int console_attach(domid_t domid)
{
    struct console *console = *find(domid);
    if (!console)
        return XEN_ENOENT;
    if (attached)
        return XEN_EBUSY;
    terminal_mode(TERMINAL_RAW);
    shown = 0;
    attached = console;
    for (;;) {
        show(&console->history, &shown);
        if (!console->ring || !pass_input(console))
            break;
        drain(console);
        if (shown == console->history.total)
            signal_wait(terminal_signal(), FOREVER);
    }
    attached = NULL;
    terminal_mode(TERMINAL_COMMAND);
    print("\n");
    return 0;
}

bool console_replay(const char *name)
{
    struct console *console = *find_dead(name);
    uint64_t at = 0;
    if (!console)
        return false;
    show(&console->history, &at);
    print("\n");
    return true;
}
