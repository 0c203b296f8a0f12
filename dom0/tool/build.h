/*
 * Turns a plan into a domain that is loaded, complete and paused; the store and the console do not know it
 * yet.
 */
#ifndef TOOL_BUILD_H
#define TOOL_BUILD_H

#include "plan.h"

struct built {
    domid_t domid;
    evtchn_port_t store_port, console_port; /* the domain's ends */
};

/*
 * stop, when not NULL, is asked now and then; once it says true the work is undone. May switch threads. On
 * failure nothing is left of the domain.
 */
bool build_domain(const struct plan *plan, bool (*stop)(void), struct built *built, struct why *why);

/* Pauses a domain for good and frees it: may switch threads, returns an errno. */
long unbuild_domain(domid_t domid);

#endif
