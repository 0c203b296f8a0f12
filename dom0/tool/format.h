/*
 * How sizes, UUIDs and times are read and written. Pure functions.
 */
#ifndef TOOL_FORMAT_H
#define TOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

/* Longest text of format_size, with its zero. */
#define SIZE_TEXT 24
/* "1.8 GiB", "512 MiB", "700 bytes": three digits at most and the largest unit that fits. Returns buf. */
const char *format_size(char buf[SIZE_TEXT], uint64_t bytes);

#define UUID_TEXT 37
/* 8-4-4-4-12 lower case. Returns buf. */
const char *format_uuid(char buf[UUID_TEXT], const xen_domain_handle_t uuid);
/* Hex digits with or without hyphens between the bytes; false and uuid unchanged otherwise. */
bool parse_uuid(const char *text, xen_domain_handle_t uuid);
/* A version 4 UUID (RFC 4122) out of clocks and a counter: unique, not secret. */
void make_uuid(xen_domain_handle_t uuid);

#define STATE_TEXT 7
/* The flags of xen_domctl_getdomaininfo in xl's letters: running, blocked, paused, shut down, why, dying.
 * Returns buf. */
const char *format_state(char buf[STATE_TEXT], uint32_t flags);

#define UPTIME_TEXT 32
/* As xl uptime: "2 days,  3:04:05"; brief leaves the seconds out. Returns buf. */
const char *format_uptime(char buf[UPTIME_TEXT], uint64_t seconds, bool brief);

#define WORD_TEXT 64
/*
 * The word nearest to text, copied to buf, when one is near enough to be what was meant; NULL otherwise.
 * at(i) gives the i-th word, which need not stay valid, or NULL past the last.
 */
const char *nearest_word(const char *text, const char *(*at)(size_t i), char buf[WORD_TEXT]);

#endif
