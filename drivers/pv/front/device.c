/*
 * Sleeping, and the life of a device as its frontend sees it (drivers/front.h, xen/io/xenbus.h). The back
 * end's state is read again every few milliseconds, which needs no watch.
 */
#include <drivers/front.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/hypercall.h>
#include <xen/sched.h>
#include "internal.h"

#define LOOK_EVERY (5 * 1000000ull)

void front_init(void)
{
    if (event_init())
        pvh_panic("no event channels");
    if (!store_connect())
        pvh_panic("no store");
    if (!grants_map())
        pvh_panic("no grant table");
}

bool front_sleep(const evtchn_port_t *ports, unsigned count, uint64_t deadline)
{
    for (;;) {
        bool any = false;
        for (unsigned i = 0; i < count; i++)
            any |= event_clear(ports[i]);
        if (any || pvh_time_ns() >= deadline)
            return any;
        struct sched_poll poll = {.nr_ports = count, .timeout = deadline};
        set_xen_guest_handle(poll.ports, (evtchn_port_t *)ports);
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uintptr_t)&poll, 0, 0, 0);
    }
}

/* --- keys ----------------------------------------------------------------------------------------------- */

uint64_t front_number(const struct front_device *device, const char *key, uint64_t otherwise)
{
    char path[128];
    uint64_t number;
    snprintf(path, sizeof path, "%s/%s", device->backend, key);
    return xs_read_number(path, &number) ? otherwise : number;
}

void front_write(const struct front_device *device, int queue, const char *key, uint64_t value)
{
    char path[96];
    if (queue < 0)
        snprintf(path, sizeof path, "%s/%s", device->path, key);
    else
        snprintf(path, sizeof path, "%s/queue-%d/%s", device->path, queue, key);
    int error = xs_write(path, "%lu", value);
    if (error)
        pvh_panic("%s cannot be written: error %d", path, error);
}

void front_rm(const struct front_device *device, const char *key)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", device->path, key);
    xs_rm(path);
}

/* --- states --------------------------------------------------------------------------------------------- */

enum xenbus_state front_state(const struct front_device *device)
{
    return (enum xenbus_state)front_number(device, "state", XenbusStateUnknown);
}

bool front_wait(const struct front_device *device, enum xenbus_state state)
{
    for (uint64_t end = pvh_time_ns() + FRONT_PATIENCE; pvh_time_ns() < end;) {
        if (front_state(device) == state)
            return true;
        front_sleep(NULL, 0, pvh_time_ns() + LOOK_EVERY);
    }
    return false;
}

/*
 * A device that was taken away has no directory to write to any more; whoever waits for an answer will see.
 */
void front_set_state(const struct front_device *device, enum xenbus_state state)
{
    char path[48];
    snprintf(path, sizeof path, "%s/state", device->path);
    xs_write(path, "%u", (unsigned)state);
}

bool front_open(struct front_device *device, const char *type, unsigned devid)
{
    char path[64];
    uint64_t domid;
    snprintf(device->path, sizeof device->path, "device/%s/%u", type, devid);
    snprintf(path, sizeof path, "%s/backend", device->path);
    if (xs_read(path, device->backend, sizeof device->backend))
        return false;
    snprintf(path, sizeof path, "%s/backend-id", device->path);
    if (xs_read_number(path, &domid))
        return false;
    device->backend_domid = (domid_t)domid;
    return front_wait(device, XenbusStateInitWait);
}

bool front_complain(const struct front_device *device, const char *what)
{
    char path[96], text[128] = "nothing";
    snprintf(path, sizeof path, "%s/error", device->backend);
    xs_read(path, text, sizeof text);
    pvh_printf("%s: %s; the back end's error key: %s\n", device->path, what, text);
    return false;
}

bool front_close(struct front_device *device)
{
    front_set_state(device, XenbusStateClosing);
    for (uint64_t end = pvh_time_ns() + FRONT_PATIENCE; pvh_time_ns() < end;) {
        enum xenbus_state state = front_state(device);
        if (state == XenbusStateClosing)
            front_set_state(device, XenbusStateClosed);
        if (state == XenbusStateClosed || state == XenbusStateUnknown) {
            /* Ready for the next driver, unless the toolstack takes the device away. */
            if (front_number(device, "online", 0))
                front_set_state(device, XenbusStateInitialising);
            return true;
        }
        front_sleep(NULL, 0, pvh_time_ns() + LOOK_EVERY);
    }
    return false;
}
