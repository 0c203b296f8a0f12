/*
 * The syntax of xl.cfg(5): `key = value` and `key += value`, one a line or separated by semicolons. A value
 * is a number, a string in either kind of quotes, or a list of values in brackets, which may go over several
 * lines and end with a comma. From # to the end of a line is comment. What the keys mean is in config.h.
 */
#ifndef TOOL_SYNTAX_H
#define TOOL_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#include <lib/why.h>

struct cfg_value {
    const char *text;        /* number as written, or string without quotes; NULL for a list */
    struct cfg_value *items; /* of a list, in order */
    struct cfg_value *next;  /* in the list that this one is in */
    unsigned line;           /* 0: given on the command line */
};

struct cfg_setting {
    const char *key;
    unsigned line; /* 0: given on the command line */
    struct cfg_value *value;
    struct cfg_setting *next;
};

/* Starts out all zero. Everything in it lives until cfg_free(). */
struct cfg {
    const char *file;             /* name for messages */
    struct cfg_setting *settings; /* each key once, in order of first appearance */
    struct cfg_block *blocks;
};

/* Adds the settings of a file; a key that is there already is replaced. Reasons read "FILE:LINE: ...". */
bool cfg_read(struct cfg *cfg, const char *file, const char *text, size_t size, struct why *why);
/* Adds one `key=value` of the command line, where strings need no quotes. Reasons name the argument. */
bool cfg_read_argument(struct cfg *cfg, const char *argument, struct why *why);
/* NULL when the key is not set. */
const struct cfg_setting *cfg_find(const struct cfg *cfg, const char *key);
/* Memory that lives as long as cfg; NULL when there is none. */
void *cfg_alloc(struct cfg *cfg, size_t size);
void cfg_free(struct cfg *cfg);

#endif
