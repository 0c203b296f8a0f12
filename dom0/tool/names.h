/*
 * Which domain has which name. The store is where names are kept and shown (nodes.h); this is the way back
 * from a name, in a time that does not grow with the number of domains.
 */
#ifndef TOOL_NAMES_H
#define TOOL_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>

/* The domain has got this name, or has lost it. */
void names_add(const char *name, domid_t domid);
void names_remove(const char *name, domid_t domid);
/* The store was changed by hand: from now on names that are not known here are looked for there, too. */
void names_distrust(void);
bool names_find(const char *name, domid_t *domid);

#endif
