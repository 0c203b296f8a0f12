/*
 * Life of back ends in dom0, as the store tells it (xen/io/xenbus.h).
 *
 * The toolstack makes /local/domain/0/backend/TYPE/DOMID/DEVID with "frontend", "online" and "state" and the
 * device's own keys, and its counterpart in the frontend's directory. xenbus.c watches both sides, calls the
 * type's functions in one thread, and writes the states; a back end of the right type exists from its
 * directory's creation to its removal, or until it is closed with "online" 0: then Closed also means that
 * destroy() is done.
 *
 * The toolstack writes "state" = 1 last: the back end begins with it. To have a device away it writes
 * "online" = 0, then "state" = 5 (Closing), waits for 6 (Closed) for as long as it grants the guest, and
 * removes both directories; removing ours ends it whatever the guest does.
 */
#ifndef DRIVERS_XENBUS_H
#define DRIVERS_XENBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/xenbus.h>

#include <lib/why.h>

struct backend {
    struct backend *next;
    const struct backend_type *type;
    domid_t domid;
    unsigned devid;
    char path[64];     /* ours */
    char frontend[64]; /* the other side's; checked to be below /local/domain/DOMID/ */
    enum xenbus_state state;
    bool online;
    void *driver_data;
};

struct backend_type {
    const char *name; /* "vbd", "vif" */
    /*
     * Reads the directory's keys and writes features; then the state becomes InitWait. On false the reason
     * goes to "error" and the state to Closed. May switch.
     */
    bool (*create)(struct backend *backend, struct why *why);
    /* The frontend is Initialised or Connected: maps its rings; the state becomes Connected. May switch. */
    bool (*connect)(struct backend *backend, struct why *why);
    /*
     * The frontend is closing, gone, or the toolstack wants the device away: no request, grant or port is
     * left when it returns. May switch.
     */
    void (*disconnect)(struct backend *backend);
    /* Undoes create(); after disconnect(). */
    void (*destroy)(struct backend *backend);
};

/* Starts watching. Called once for each type, after store_init(). */
bool backend_register(const struct backend_type *type);
/* Registers the network back end. False: no memory. */
bool netback_init(void);

/* The keys of a directory. False: not there or no such number or wrong. */
bool backend_read(const struct backend *b, const char *key, char *value, size_t size);
bool backend_read_number(const struct backend *b, const char *key, uint64_t *value);
bool frontend_read(const struct backend *b, const char *key, char *value, size_t size);
bool frontend_read_number(const struct backend *b, const char *key, uint64_t *value);
int backend_write(const struct backend *b, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The device went away under its back end: the reason goes to "error", and the frontend is asked to close
 * (the state becomes Closing). Does not switch.
 */
void backend_close(struct backend *b, const char *reason);

/* Writes the state again: a frontend that is connected then looks at our keys anew. Does not switch. */
void backend_state_again(struct backend *b);

/* One line about a misbehaving guest, at most a few a minute for each back end. */
void backend_complain(struct backend *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
