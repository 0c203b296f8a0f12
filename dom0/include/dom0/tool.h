/*
 * What the toolstack (dom0/tool) gives to the shell: its verbs and the names of domains.
 *
 * A verb's run() is called in the shell's thread with argv[0] the verb itself, and may switch threads. It
 * prints its own errors, one line with cause and cure, and returns the status that `echo $?` shows: 0 for
 * success.
 */
#ifndef DOM0_TOOL_H
#define DOM0_TOOL_H

#include <stdbool.h>
#include <stddef.h>

struct tool_verb {
    const char *name;
    const char *usage; /* the arguments, e.g. "[-p] FILE"; "" for none */
    const char *help;  /* one line */
    int (*run)(int argc, char **argv);
    bool completes_domain; /* arguments may be names of domains */
    bool completes_file;   /* arguments may be names of files */
};

extern const struct tool_verb tool_verbs[];
extern const size_t tool_verb_count;

/* Called once, before the first command: makes the store's initial tree, learns of dom0. */
void tool_init(void);
/* Name of the index-th domain, for completion; false past the last. */
bool tool_domain_name(size_t index, char *name, size_t size);

#endif
