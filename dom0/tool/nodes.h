/*
 * What the store says about a domain: the nodes that Xen's toolstack makes for a PVH guest, with its
 * permissions (docs/misc/xenstore-paths.pandoc of Xen).
 */
#ifndef TOOL_NODES_H
#define TOOL_NODES_H

#include "build.h"

/* Room for a path of these, with its zero. */
#define PATH_MAX 128

/* On failure some nodes may be there: nodes_remove(). */
bool nodes_make(const struct guest_config *config, const struct built *built, struct why *why);
/* Those of a domain that never was is fine too. */
void nodes_remove(domid_t domid, const xen_domain_handle_t uuid);

/* Domain 0's own nodes. */
void nodes_make_own(void);

/* The name the store gives a domain; false when it gives none. */
bool nodes_name(domid_t domid, char *buf, size_t size);
/* Returns an errno. */
int nodes_rename(domid_t domid, const xen_domain_handle_t uuid, const char *name);

/* The domain gets another UUID and name. Returns an errno. */
int nodes_move(domid_t domid, const xen_domain_handle_t from, const xen_domain_handle_t to, const char *name);

#endif
