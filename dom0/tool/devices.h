/*
 * Virtual devices of domains: their nodes in the store, as libxl writes them, and the states that tell how
 * far both ends are (xen/io/xenbus.h). The back ends themselves are dom0's and see the nodes.
 */
#ifndef TOOL_DEVICES_H
#define TOOL_DEVICES_H

#include "config.h"

enum device_kind { DEVICE_VBD, DEVICE_VIF };
#define DEVICES_MAX 128 /* of one kind, in a domain */

/* Is what they stand on there? Nothing is opened yet. */
bool disk_possible(const struct disk_config *disk, struct why *why);
bool vif_possible(const struct vif_config *vif, struct why *why);

/* The nodes of a device: its back end begins with it. On failure nothing is left of them. */
bool device_add_disk(domid_t domid, const struct disk_config *disk, struct why *why);
bool device_add_vif(domid_t domid, const struct vif_config *vif, struct why *why);
/*
 * Waits, for a bounded time, until the back end has taken the device. stop as in build.h. The reason is the
 * back end's own, if it refuses. May switch.
 */
bool device_await(domid_t domid, enum device_kind kind, uint32_t devid, bool (*stop)(void), struct why *why);
/* Both for all devices of a configuration. */
bool devices_add(domid_t domid, const struct guest_config *config, struct why *why);
bool devices_await(domid_t domid, const struct guest_config *config, bool (*stop)(void), struct why *why);

/*
 * Asks guest and back end to let go, waits for a bounded time, and removes the nodes; on failure they stay,
 * and so does the request. With force the guest is not asked. May switch.
 */
bool device_remove(domid_t domid, enum device_kind kind, uint32_t devid, bool force, bool (*stop)(void),
                   struct why *why);
/* All of a domain that does not run any more, or never did: closed and removed whatever happens. May switch.
 */
void devices_remove(domid_t domid);

/* The numbers of a domain's devices; returns how many, at most DEVICES_MAX. */
size_t device_list(domid_t domid, enum device_kind kind, uint32_t devids[DEVICES_MAX]);
bool device_exists(domid_t domid, enum device_kind kind, uint32_t devid);
/* A key of the device at either end into buf; false: it is not there. */
bool device_read(domid_t domid, enum device_kind kind, uint32_t devid, bool backend, const char *key,
                 char *buf, size_t size);
#define DEVICE_PATH_MAX 64
/* Returns buf. */
const char *device_path(char buf[DEVICE_PATH_MAX], domid_t domid, enum device_kind kind, uint32_t devid,
                        bool backend);
/* "xvda" or "network card 0", for messages. Returns buf. */
#define DEVICE_TEXT 32
const char *device_text(char buf[DEVICE_TEXT], enum device_kind kind, uint32_t devid);

#endif
