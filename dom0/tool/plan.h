/*
 * What a configuration comes to before anything is built: files found and checked, memory laid out, the bill
 * for it.
 */
#ifndef TOOL_PLAN_H
#define TOOL_PLAN_H

#include <dom0/below.h>

#include "config.h"
#include <lib/elf.h>
#include "layout.h"

struct plan {
    const struct guest_config *config;
    struct file kernel, ramdisk; /* ramdisk.size is 0 when there is none */
    struct elf_image image;
    struct layout_request request;
    struct layout layout;
    uint64_t paging_pool; /* bytes for the second-level page tables */
    uint64_t needed;      /* bytes of the machine's memory, in all */
};

/* The plan refers to config and to the archive. Reasons start with the place in the configuration. */
bool plan_make(const struct guest_config *config, struct plan *plan, struct why *why);
/* Is there memory for it now? */
bool plan_affordable(const struct plan *plan, struct why *why);
/* Says what would be built, for people. */
void plan_print(const struct plan *plan);

#endif
