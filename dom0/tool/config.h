/*
 * What a guest is to be: the keys of xl.cfg(5) that have a meaning here.
 */
#ifndef TOOL_CONFIG_H
#define TOOL_CONFIG_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "device_config.h"
#include "syntax.h"
#include <lib/why.h>

enum action { ACTION_DESTROY, ACTION_RESTART, ACTION_RENAME_RESTART, ACTION_PRESERVE };

#define NAME_MAX 64 /* with its zero */

struct guest_config {
    char name[NAME_MAX];
    const char *kernel, *ramdisk;             /* files of the archive; ramdisk may be NULL */
    const char *command_line;                 /* of root, extra, cmdline; never NULL */
    uint64_t memory, max_memory;              /* bytes, whole MiB */
    unsigned vcpus, max_vcpus;                /* online at the start, in all */
    const struct cfg_value *cpus, *cpus_soft; /* one text for all vCPUs, or a list of them; NULL: any */
    uint16_t cpu_weight, cap;                 /* 0: the usual weight, no cap */
    xen_domain_handle_t uuid;
    struct disk_config *disks; /* in order; with what was attached later, without what was detached */
    struct vif_config *vifs;
    unsigned next_vif;                /* above all numbers that cards have had */
    enum action on[SHUTDOWN_MAX + 1]; /* by SHUTDOWN_... of xen/sched.h */
    struct cfg cfg;                   /* what it was read from: holds the strings */
};

/*
 * Reads a configuration and key=value arguments that override it. Warns with print() about what is ignored.
 * NULL when something is wrong; the reason names the place ("debian.cfg:3: ...").
 */
struct guest_config *config_load(const char *file, const char *text, size_t size, char *const *arguments,
                                 size_t argument_count, struct why *why);
void config_free(struct guest_config *config);

/* Fails with the place and value of a key before the text: "debian.cfg:3: memory=512: ...". */
bool config_fail(const struct guest_config *config, const char *key, struct why *why, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds a copy at the end of the list; false: no memory. */
bool config_add_disk(struct guest_config *config, const struct disk_config *disk);
bool config_add_vif(struct guest_config *config, const struct vif_config *vif);
/* No such device is fine. */
void config_drop_disk(struct guest_config *config, uint32_t devid);
void config_drop_vif(struct guest_config *config, unsigned devid);

/* As written in a configuration. */
const char *action_name(enum action action);
/* False, with the reason, for a name that no domain may have. */
bool check_name(const char *name, struct why *why);

#endif
