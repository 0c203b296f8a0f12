/*
 * Why something did not work: one line for the person who typed the command, cause first, then the cure.
 *
 * Functions that can fail take a struct why and return false after filling it; the verb prints it behind its
 * name.
 */
#ifndef LIB_WHY_H
#define LIB_WHY_H

#include <stdbool.h>

struct why {
    char text[320];
};

/* Always false, so that a caller can `return fail(why, ...)`. A longer text is cut. */
bool fail(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A few words for a Xen errno, positive or negative; "error 123" for one that has none. */
const char *error_text(long error);

#endif
