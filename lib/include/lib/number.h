/*
 * Numbers and sizes out of text.
 *
 * parse_number: base 10, or 16 after 0x, or 8 after 0. parse_size: the same with an optional suffix B K M G T
 * (either case, powers of 1024); unit multiplies a number without suffix.
 * parse_seconds: decimal, with up to nine digits behind a point.
 * All return true when the whole of s was used and the value fits; otherwise *value is unchanged.
 */
#ifndef LIB_NUMBER_H
#define LIB_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

bool parse_number(const char *s, uint64_t *value);
bool parse_size(const char *s, uint64_t unit, uint64_t *bytes);
bool parse_seconds(const char *s, uint64_t *ns);

/* How many single-character edits turn a into b; used to name the nearest known word. Words up to 63
 * characters. */
unsigned edit_distance(const char *a, const char *b);

#endif
