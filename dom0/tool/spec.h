/*
 * What the strings of disks and of network cards have in common: parameters between commas, with white space
 * around them, of which the first that is wrong is told. Pure functions.
 */
#ifndef TOOL_SPEC_H
#define TOOL_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include <lib/why.h>

#define SPEC_WORD 256

struct spec {
    const char *const *strings; /* one after the other they are the whole */
    size_t count;
    size_t index;   /* of the string that is being read */
    const char *at; /* in it; NULL: at its start */
    bool failed;
    struct why reason; /* of the first failure */
};

/*
 * The next parameter, which may be empty, into word; false past the last, or when one is too long. One that
 * starts with greedy, unless that is NULL, goes to the end of its string, commas and all.
 */
bool spec_next(struct spec *spec, const char *greedy, char word[SPEC_WORD]);
/* When word is "key=value" with a key as Xen has them, in lower case: cuts the = out, returns the value; or
 * NULL. */
char *spec_value(char word[SPEC_WORD]);
/* Always false. Keeps "'PART': REASON", if it is the first; part is NULL where none is to blame. */
bool spec_fail(struct spec *spec, const char *part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Always false. The same for a word that is none of those that at(i) gives, with the nearest of them. */
bool spec_unknown(struct spec *spec, const char *part, const char *what, const char *(*at)(size_t i));
/* Always false. "KIND 'STRINGS': 'PART': REASON; right would be 'RIGHT'". */
bool spec_refuse(const struct spec *spec, const char *kind, const char *right, struct why *why);

#endif
