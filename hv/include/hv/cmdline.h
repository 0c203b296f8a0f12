/*
 * The command line: options stand beside the code that they steer, in a table that the linker collects.
 *
 *   static bool noreboot;
 *   CMDLINE_BOOL("noreboot", noreboot);
 *
 * Words are separated by blanks; name=value, name, no-name (booleans) and name=yes|no|on|off|true|false|1|0.
 * cmdline_parse() runs before everything else; a word that no option knows gives a warning with the nearest
 * name.
 */
#ifndef HV_CMDLINE_H
#define HV_CMDLINE_H

#include <hv/types.h>

enum cmdline_type {
    CMDLINE_TYPE_BOOL,
    CMDLINE_TYPE_UINT,
    CMDLINE_TYPE_SIZE,
    CMDLINE_TYPE_STRING,
    CMDLINE_TYPE_FN
};

struct cmdline_option {
    const char *name;
    void *target; /* bool, uint32_t, uint64_t (bytes), char[size], int (*)(const char *value) */
    uint32_t size;
    enum cmdline_type type;
};

#define CMDLINE_OPTION(text, variable, variable_size, kind)                                                  \
    static const struct cmdline_option cmdline_option_##variable                                             \
        __attribute__((section(".init.options"), used, aligned(8))) = {                                      \
            .name = (text), .target = (void *)&variable, .size = (variable_size), .type = (kind)}

#define CMDLINE_BOOL(text, variable) CMDLINE_OPTION(text, variable, sizeof(bool), CMDLINE_TYPE_BOOL)
#define CMDLINE_UINT(text, variable) CMDLINE_OPTION(text, variable, sizeof(uint32_t), CMDLINE_TYPE_UINT)
/* A number without suffix counts KiB, as on Xen. */
#define CMDLINE_SIZE(text, variable)   CMDLINE_OPTION(text, variable, sizeof(uint64_t), CMDLINE_TYPE_SIZE)
#define CMDLINE_STRING(text, variable) CMDLINE_OPTION(text, variable, sizeof(variable), CMDLINE_TYPE_STRING)
/* int function(const char *value): value is "" for a word without '='. Nonzero: the value is warned about. */
#define CMDLINE_FN(text, function) CMDLINE_OPTION(text, function, 0, CMDLINE_TYPE_FN)

/* The whole line as the boot loader gave it (XENVER_commandline). */
const char *cmdline_text(void);

/* Sets the options. Warnings go through printk, so they appear as soon as there is a console. */
void cmdline_parse(const char *line);

#endif
