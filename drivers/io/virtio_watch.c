/*
 * Virtio devices that are stuck are stopped, and started again (virtio.h). Handler context.
 *
 * While something is under way the device is looked at once a second, so that one with nothing to do costs
 * nothing. A reset may take the device a while. One that does not come to its end loses the bus, and with
 * that its last way into memory.
 */
#include <dom0/below.h>
#include "virtio.h"

#define MILLISECOND 1000000ull
#define SECOND      1000000000ull

static void stopped(struct virtio *v, bool usable)
{
    if (usable) {
        v->state = VIRTIO_READY;
        if (v->driver->stopped(v, true)) {
            print("%s: works again\n", v->name);
            return;
        }
    }
    virtio_close(v);
    v->state = VIRTIO_GONE;
    print("%s: given up\n", v->name);
    v->driver->stopped(v, false);
}

static void run(struct work *work)
{
    struct virtio *v = work->owner;
    if (v->state == VIRTIO_READY) {
        bool busy = false;
        const char *why = v->driver->check(v, &busy);
        if (why)
            virtio_fail(v, why);
        else if (busy)
            work_at(work, time_ns() + SECOND);
    } else if (v->state == VIRTIO_STOPPING) {
        bool done = virtio_reset_is_done(v);
        if (done || time_ns() >= v->stop_deadline)
            stopped(v, done);
        else
            work_at(work, time_ns() + MILLISECOND);
    }
}

static void run_queues(struct work *work)
{
    struct virtio *v = work->owner;
    if (v->state == VIRTIO_READY)
        v->driver->queues(v);
}

void virtio_again(struct virtio *v)
{
    v->again.run = run_queues;
    v->again.owner = v;
    work_later(&v->again);
}

void virtio_watch(struct virtio *v)
{
    if (v->watch.queued)
        return;
    v->watch.run = run;
    v->watch.owner = v;
    work_at(&v->watch, time_ns() + SECOND);
}

void virtio_fail(struct virtio *v, const char *why)
{
    if (v->state != VIRTIO_READY)
        return;
    print("%s: %s; resetting it\n", v->name, why);
    v->state = VIRTIO_STOPPING;
    v->stop_deadline = time_ns() + VIRTIO_RESET_TIME;
    virtio_reset_begin(v);
    virtio_watch(v);
    work_later(&v->watch);
}
