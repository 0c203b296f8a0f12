/*
 * Splits a line of the shell into commands and words: quotes '…' and "…", backslash, # comments, ; and &&,
 * and $?.
 */
#ifndef DOM0_WORDS_H
#define DOM0_WORDS_H

#include <stddef.h>

#define WORDS_MAX 32

struct command {
    int argc;
    char *argv[WORDS_MAX + 1]; /* ends with NULL; the words are in text */
    enum { THEN_END, THEN_ALWAYS, THEN_IF_OK } then;
    char text[1024];
};

/*
 * Takes the next command off *line; argc 0 for an empty one. $? becomes status, but not between '…'. NULL, or
 * one line that says why the line makes no sense.
 */
const char *words_next(const char **line, int status, struct command *command);

#endif
