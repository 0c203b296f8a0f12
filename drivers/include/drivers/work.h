/*
 * Work that waits for its turn or its time: what is left when a handler has done its share, watchdogs,
 * retries.
 *
 * One thread calls run() of all that is due, each once per round, and lets other threads run between rounds.
 * run() is called in handler context: it must not switch. The struct is its owner's, who may queue it anew at
 * any time, from within run(), too.
 */
#ifndef DRIVERS_WORK_H
#define DRIVERS_WORK_H

#include <stdbool.h>
#include <stdint.h>

struct work {
    void (*run)(struct work *work);
    void *owner;
    /* private to work.c */
    struct work *next;
    uint64_t due;
    bool queued;
};

/* In the next round. Work that waits for a later time comes earlier. */
void work_later(struct work *work);
/* When time_ns() reaches due. Work that is queued already keeps the earlier time. */
void work_at(struct work *work, uint64_t due);
/* It will not be called. May be called for what is not queued. */
void work_cancel(struct work *work);

#endif
