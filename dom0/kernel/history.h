/*
 * What a domain said: the last 16 KiB of it, with a count of all, so that readers know how much they missed;
 * and the PV console ring it comes through. No kernel behind it: tested on the build machine.
 */
#ifndef DOM0_HISTORY_H
#define DOM0_HISTORY_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/console.h>

#define HISTORY_SIZE 16384u

struct history {
    uint64_t total; /* bytes ever written */
    char text[HISTORY_SIZE];
};

void history_add(struct history *history, const char *text, size_t size);
/* Copies from position *at on, which is moved past what was copied, and past what is no longer kept. */
size_t history_read(const struct history *history, uint64_t *at, char *text, size_t size);

/* Moves at most max bytes of output from the ring into the history. Negative: the indexes make no sense. */
long console_ring_drain(struct xencons_interface *ring, struct history *history, size_t max);
/* Puts input into the ring: bytes taken, negative as above. */
long console_ring_input(struct xencons_interface *ring, const char *text, size_t size);

#endif
