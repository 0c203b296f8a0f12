/*
 * The domains' lives: made, found by name, ended, and what follows when one ends by itself.
 */
#ifndef TOOL_DOMAIN_H
#define TOOL_DOMAIN_H

#include "config.h"
#include "xen.h"

/*
 * Builds a domain and introduces it to the store and the console; it is paused. On success config belongs to
 * the domain. stop as in build.h. May switch threads.
 */
bool domain_create(struct guest_config *config, bool (*stop)(void), domid_t *domid, struct why *why);
bool domain_pause(domid_t domid, struct why *why);
bool domain_unpause(domid_t domid, struct why *why);
/* Waits while another thread makes or ends the domain, for a bounded time. False when it is gone then. May
 * switch. */
bool domain_await(domid_t domid, struct why *why);
/* Ends a domain and waits, for a bounded time, until its memory is free. May switch threads. */
bool domain_destroy(domid_t domid, struct why *why);
bool domain_rename(domid_t domid, const char *name, struct why *why);

/* From a name or an id. The reason says "no domain ..." and the nearest name. */
bool domain_find(const char *name_or_id, domid_t *domid, struct why *why);
/* A domain that has no name is "(null)", as in xl. Returns buf. */
const char *domain_name(domid_t domid, char buf[NAME_MAX]);
/* NULL for domains that were not created here, as domain 0. */
struct guest_config *domain_config(domid_t domid);

#endif
