/*
 * Turns a plan into a domain that is loaded, complete and paused; the store and the console do not know it
 * yet.
 */
#ifndef TOOL_BUILD_H
#define TOOL_BUILD_H

#include "plan.h"

/* libxl's: how far a domain's allowance exceeds its RAM, for the pages that are not RAM. */
#define MEMORY_SLACK (1ull << 20)

struct built {
    domid_t domid;
    evtchn_port_t store_port, console_port; /* the domain's ends */
};

/* An empty domain with its limits and ports. On failure nothing is left of it. */
bool build_begin(const struct plan *plan, struct built *built, struct why *why);
/*
 * Its memory and what is in it, its parameters and its first CPU. stop, when not NULL, is asked now and then;
 * once it says true the work ends. May switch threads. On failure the domain is the caller's to unbuild.
 */
bool build_finish(const struct plan *plan, const struct built *built, bool (*stop)(void), struct why *why);

/* Pauses a domain for good and frees it: may switch threads, returns an errno. */
long unbuild_domain(domid_t domid);

#endif
