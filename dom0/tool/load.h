/* Gives a new domain its memory and fills it. */
#ifndef TOOL_LOAD_H
#define TOOL_LOAD_H

#include "plan.h"

/* RAM, special pages, ACPI tables, kernel, ramdisk and start info. stop as in build.h. May switch threads. */
bool load_domain(const struct plan *plan, domid_t domid, bool (*stop)(void), struct why *why);

#endif
