/*
 * Work that waits for its turn or its time (drivers/work.h).
 *
 * A list in no order, as there are few of them: what is queued is a back end or a card that has more to do
 * than its share, or a watchdog. The thread is made with the first piece of work.
 */
#include <dom0/below.h>
#include <dom0/thread.h>
#include <drivers/work.h>

static struct work *queued;
static struct signal wake;
static bool started;

/* Takes one that is due out of the list; if there is none, *nearest is when there will be. */
static struct work *take_due(uint64_t now, uint64_t *nearest)
{
    *nearest = FOREVER;
    for (struct work **link = &queued; *link; link = &(*link)->next) {
        struct work *work = *link;
        if (work->due <= now) {
            *link = work->next;
            work->queued = false;
            return work;
        }
        if (work->due < *nearest)
            *nearest = work->due;
    }
    return NULL;
}

static void serve(void *arg)
{
    uint64_t nearest;
    (void)arg;
    for (;;) {
        uint64_t now = time_ns();
        bool any = false;
        /* What is queued meanwhile is due later than now, so each has one turn. */
        for (struct work *work; (work = take_due(now, &nearest)); any = true)
            work->run(work);
        if (any)
            thread_yield();
        else
            signal_wait(&wake, nearest);
    }
}

void work_at(struct work *work, uint64_t due)
{
    if (!started)
        started = thread_create(serve, NULL) != NULL;
    if (!work->queued) {
        work->queued = true;
        work->due = due;
        work->next = queued;
        queued = work;
    } else if (due < work->due) {
        work->due = due;
    }
    signal_set(&wake);
}

void work_later(struct work *work)
{
    work_at(work, time_ns() + 1);
}

void work_cancel(struct work *work)
{
    for (struct work **link = &queued; *link; link = &(*link)->next)
        if (*link == work) {
            *link = work->next;
            work->queued = false;
            return;
        }
}
