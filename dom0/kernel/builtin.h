/* The shell's own verbs, beside the toolstack's. */
#ifndef DOM0_BUILTIN_H
#define DOM0_BUILTIN_H

#include <dom0/tool.h>

extern const struct tool_verb builtin_verbs[];
extern const size_t builtin_verb_count;

/* Verb number index of both lists; NULL past the last. */
const struct tool_verb *verb_at(size_t index);
const struct tool_verb *verb_find(const char *name);
/* Says, after where, that there is no verb of that name, and which one may be meant. Returns VERB_UNKNOWN. */
int verb_unknown(const char *where, const char *name);
#define VERB_UNKNOWN 127

/* stopwatch.c: the verb `time`. */
int run_time(int argc, char **argv);

#endif
