/*
 * What the frontends of small kernels stand on: sleeping until an event, the store (xen/io/xs_wire.h),
 * grants, and the states of a device (xen/io/xenbus.h). Xen's ABI only, so a test guest over it runs on any
 * Xen.
 *
 * For one CPU with interrupts off: ports stay masked, and what waits polls. Every wait has an end,
 * FRONT_PATIENCE by default.
 */
#ifndef DRIVERS_FRONT_H
#define DRIVERS_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pvh/event.h>
#include <xen/grant_table.h>
#include <xen/io/xenbus.h>

#define FRONT_PATIENCE (30 * 1000000000ull)

/* Events, the store's ring, the grant table. Panics where the domain has none of these. */
void front_init(void);
/*
 * Waits until one of the ports is pending or the clock (pvh_time_ns()) stands at deadline; clears them. True:
 * there was an event.
 */
bool front_sleep(const evtchn_port_t *ports, unsigned count, uint64_t deadline);

/*
 * --- the store: 0 or a positive errno of xen/errno.h; ETIMEDOUT when the server is silent. Paths may be
 * relative to the domain's.
 */
/* Into value with a terminating zero; E2BIG when it does not fit. */
int xs_read(const char *path, char *value, size_t size);
int xs_read_number(const char *path, uint64_t *number);
int xs_write(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
int xs_rm(const char *path);

/* --- grants, version 1 */
#define GRANT_NONE 0u /* reserved by the ABI, never given out */
/* Offers a page of ours to a domain. Panics when all references are in use. */
grant_ref_t grant_offer(domid_t to, const void *page, bool read_only);
/* False: the other side still has it mapped; then it stays offered. */
bool grant_withdraw(grant_ref_t ref);
/* The entry itself, for guests that mean harm. */
volatile struct grant_entry_v1 *grant_entry(grant_ref_t ref);

/* --- a device */
struct front_device {
    char path[32];    /* ours: "device/vbd/51712" */
    char backend[64]; /* the other side's */
    domid_t backend_domid;
};
/* Finds the device, and waits until its back end is ready to talk. */
bool front_open(struct front_device *device, const char *type, unsigned devid);
/* Says what is wrong, and what the back end says of it. Always false. */
bool front_complain(const struct front_device *device, const char *what);
/*
 * Closes the connection the polite way, and is ready for another front_open(). False: the back end did not
 * follow.
 */
bool front_close(struct front_device *device);
enum xenbus_state front_state(const struct front_device *device); /* the back end's */
bool front_wait(const struct front_device *device, enum xenbus_state state);
void front_set_state(const struct front_device *device, enum xenbus_state state);
/* The back end's keys; otherwise when there is none or it is no number. */
uint64_t front_number(const struct front_device *device, const char *key, uint64_t otherwise);
/* Our own; queue -1: beside the others, else in the directory of that queue. */
void front_write(const struct front_device *device, int queue, const char *key, uint64_t value);
void front_rm(const struct front_device *device, const char *key);

#endif
