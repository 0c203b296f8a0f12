/*
 * All that the toolstack (dom0/tool) needs from whatever it runs on.
 *
 * The built-in dom0 implements this in dom0/kernel/below.c; a Linux implementation would put it over
 * privcmd, libxenforeignmemory and libxenstore. Nothing here is Hospes' own: only the Xen ABI passes through.
 * Threads are cooperative: only functions marked "may switch" let another thread run.
 */
#ifndef DOM0_BELOW_H
#define DOM0_BELOW_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

/* --- text to whoever typed the command ------------------------------------------------------------------ */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vprint(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* --- memory: NULL when there is none left, never a crash. Zeroed. --------------------------------------- */
void *mem_alloc(size_t size);
void mem_free(void *p);

/* --- files of the archive ------------------------------------------------------------------------------- */
struct file {
    const char *name; /* path without leading slash */
    const void *data; /* stays valid for ever */
    size_t size;
};
/* True and *file filled, or false: no such file. A leading slash or "./" is ignored. */
bool file_find(const char *path, struct file *file);
/* The index-th file in archive order; false past the last. */
bool file_at(size_t index, struct file *file);

/* --- hypercalls: the hypervisor's own return value, negative errno on failure --------------------------- */
/* op: __HYPERVISOR_…; pointers in args are in the caller's memory. */
long hypercall(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/*
 * Maps count frames of another domain, contiguous in our memory, read-write. gfns[i] are its frame numbers.
 * NULL when any of them cannot be mapped (then nothing stays mapped). May be called for up to 4096 frames.
 */
void *foreign_map(domid_t domid, const xen_pfn_t *gfns, size_t count);
/*
 * Maps count frames, from the first-th on, of what XENMEM_acquire_resource offers of another domain: type and
 * id are those of xen/memory.h. NULL when that fails. foreign_unmap() undoes it.
 */
void *resource_map(domid_t domid, uint32_t type, uint32_t id, uint64_t first, size_t count);
void foreign_unmap(void *p, size_t count);

/* --- time and waiting ----------------------------------------------------------------------------------- */
uint64_t time_ns(void);         /* since the hypervisor started */
uint64_t time_unix_s(void);     /* wall clock */
void thread_yield(void);        /* may switch */
void thread_sleep(uint64_t ns); /* may switch */
/* True once the person at the console pressed Ctrl-C since the command began: long work then stops. */
bool interrupted(void);
/* The next character that the person types within ns; -1: none, or Ctrl-C was among them. May switch. */
int key_wait(uint64_t ns);

/* --- xenstore, as domain 0 ------------------------------------------------------------------------------ */
/* Positive errno of xen/io/xs_wire.h (ENOENT, EINVAL, ...) or 0. */
int store_write(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
int store_mkdir(const char *path);
int store_rm(const char *path);
/* perms as on the wire: a letter of n r w b and a domid each, e.g. "n0", "r5"; the first is the owner. */
int store_set_perms(const char *path, const char *const *perms, size_t count);
/* The other way round: into buf as "n0,r5". E2BIG when it does not fit. */
int store_get_perms(const char *path, char *buf, size_t size);
/* Into buf with a terminating zero; *length may be NULL. E2BIG when it does not fit. */
int store_read(const char *path, char *buf, size_t size, size_t *length);
/* Calls each(name, arg) for every child, in order. */
int store_directory(const char *path, void (*each)(const char *name, void *arg), void *arg);
/* The ring page and port of a new domain; fires @introduceDomain. store_release fires @releaseDomain. */
int store_introduce(domid_t domid, xen_pfn_t ring_gfn, evtchn_port_t remote_port);
int store_release(domid_t domid);

struct store_watch;
/*
 * Calls changed() with the path of each change at or below path, and once at the start with path itself;
 * "@releaseDomain" and "@introduceDomain" are paths, too. The calls come one by one in a thread of dom0's
 * own, in the order of the changes, and may switch. path itself is also reported when a guest changes so much
 * that the single changes are not kept: it means to look at everything below. After store_unwatch(), which
 * waits for a call under way unless it is made by it, none comes. NULL: no memory, or not a path.
 */
struct store_watch *store_watch(const char *path, void (*changed)(const char *path, void *arg), void *arg);
void store_unwatch(struct store_watch *watch);

/* --- disks, cards and bridges of dom0, for people to see ------------------------------------------------ */
struct disk_info {
    const char *name, *model, *driver;
    const char *label, *uuid; /* of a partition; "" where there is none */
    uint64_t bytes;
    uint32_t sector_size;
    bool partition, read_only;
    unsigned users;
};
/* The index-th disk or partition; false past the last. */
bool disk_info(size_t index, struct disk_info *info);
/* False when no guest could be given target; the reason and the cure are in why. The disk itself is opened by
 * the back end. */
struct why;
bool disk_check(const char *target, bool writable, struct why *why);
/* A disk in dom0's memory of that name; file: of the archive, or NULL. Returns an errno. */
int disk_ram_create(const char *name, uint64_t bytes, const char *file);
int disk_ram_destroy(const char *name);

struct bridge_info {
    const char *name;
    const char *uplink; /* a card's name; "" for an internal bridge */
    const char *driver; /* the card's */
    uint8_t mac[6];
    bool link;
    unsigned ports; /* guests' */
};
bool bridge_info(size_t index, struct bridge_info *info);
/* The index-th port of a bridge, the uplink first; false past the last. */
struct port_info {
    const char *name;
    uint64_t received, received_bytes, sent, sent_bytes, dropped;
};
bool bridge_port_info(const char *bridge, size_t index, struct port_info *info);
/* An internal bridge. Returns an errno. */
int bridge_add(const char *name);
int bridge_remove(const char *name);

/* --- consoles of domains -------------------------------------------------------------------------------- */
/* Starts to collect a domain's PV console. Zero or positive errno. */
int console_introduce(domid_t domid, xen_pfn_t ring_gfn, evtchn_port_t remote_port);
/* The domain is gone; what it said is kept under its name until the name is used again. */
void console_release(domid_t domid, const char *name);
/* Joins our terminal to the domain's console until Ctrl-] or until the domain is gone. May switch. */
int console_attach(domid_t domid);
/* Shows what is kept of a domain that is gone; false when nothing is. */
bool console_replay(const char *name);

/* --- events the toolstack serves ------------------------------------------------------------------------ */
/* Provided by the toolstack, called in a thread of its own whenever VIRQ_DOM_EXC came. */
void tool_domain_event(void);

#endif
