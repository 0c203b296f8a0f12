/*
 * The block back end: life of its devices (drivers/blkback.h, blkback.h; keys and states of xen/io/blkif.h).
 *
 * Persistent grants are not offered: pinning a page costs no change of a map here, while they would cost a
 * copy of every byte. Creating, connecting and disconnecting run in the thread of drivers/xenbus.h; the rest
 * in handler context.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/event.h>
#include <xen/io/protocols.h>
#include "blkback.h"

#define EVENT_PORTS 1024u /* that pvh/event.h has handlers for */

static struct vbd *vbds;

/* --- what we tell the frontend -------------------------------------------------------------------------- */

static void write_size(const struct vbd *vbd)
{
    /* Linux takes it in sectors of 512 bytes whatever sector-size is, and so do newer editions of blkif.h. */
    backend_write(vbd->backend, "sectors", "%llu", (unsigned long long)vbd->disk->sectors);
}

static void write_discard(const struct vbd *vbd)
{
    backend_write(vbd->backend, "feature-discard", "%u", vbd->discard);
    if (!vbd->discard)
        return;
    backend_write(vbd->backend, "discard-granularity", "%u", vbd->disk->discard_granularity);
    backend_write(vbd->backend, "discard-alignment", "0");
    backend_write(vbd->backend, "discard-secure", "0");
}

static void write_features(const struct vbd *vbd)
{
    const struct backend *b = vbd->backend;
    const struct disk *disk = vbd->disk;
    char type[16];
    uint64_t removable;
    unsigned info = vbd->writable ? 0 : VDISK_READONLY;
    if (backend_read(b, "device-type", type, sizeof type) && !strcmp(type, "cdrom"))
        info |= VDISK_CDROM;
    if (backend_read_number(b, "removable", &removable) && removable)
        info |= VDISK_REMOVABLE;
    backend_write(b, "feature-flush-cache", "%u", disk->flush);
    /*
     * What has no cache needs neither; Linux would order its flushes by barriers if these alone were offered.
     */
    backend_write(b, "feature-barrier", "%u", vbd->writable && disk->flush);
    backend_write(b, "feature-max-indirect-segments", "%u", VBD_SEGMENTS);
    backend_write(b, "multi-queue-max-queues", "%u", VBD_QUEUES);
    backend_write(b, "max-ring-page-order", "%u", VBD_RING_ORDER);
    backend_write(b, "info", "%u", info);
    backend_write(b, "sector-size", "%u", disk->sector_size);
    backend_write(b, "physical-sector-size", "%u", disk->physical_sector_size);
    write_discard(vbd);
    write_size(vbd);
}

static void disk_changed(struct disk_listener *listener, struct disk *disk)
{
    struct vbd *vbd = (struct vbd *)((char *)listener - offsetof(struct vbd, listener));
    if (disk != vbd->disk)
        return;
    if (disk->removed) {
        backend_complain(vbd->backend, "%s is gone", disk->name);
        backend_close(vbd->backend, "the disk is gone");
        return;
    }
    write_size(vbd);
    if (vbd->connected)
        backend_state_again(vbd->backend);
}

/* --- connecting ----------------------------------------------------------------------------------------- */

static void on_event(evtchn_port_t port, void *arg)
{
    struct vbd_ring *ring = arg;
    (void)port;
    ring->kicked = true;
    vbd_run(ring->vbd);
}

static void run_later(struct work *work)
{
    vbd_run(work->owner);
}

/* A key of a ring, which stands in a directory of its own when there are several. */
static bool read_ring_key(const struct vbd_ring *ring, bool several, const char *key, uint64_t *value)
{
    char path[48];
    if (several)
        snprintf(path, sizeof path, "queue-%u/%s", ring->index, key);
    else
        strlcpy(path, key, sizeof path);
    return frontend_read_number(ring->vbd->backend, path, value) && *value <= UINT32_MAX;
}

static bool map_ring(struct vbd_ring *ring, bool several, unsigned order, bool bits32, struct why *why)
{
    grant_ref_t refs[1u << VBD_RING_ORDER];
    unsigned pages = 1u << order;
    for (unsigned i = 0; i < pages; i++) {
        char key[24] = "ring-ref";
        uint64_t ref;
        if (pages > 1)
            snprintf(key, sizeof key, "ring-ref%u", i);
        if (!read_ring_key(ring, several, key, &ref))
            return fail(why, "the frontend's %s of ring %u is missing or no number", key, ring->index);
        refs[i] = (grant_ref_t)ref;
    }
    return ring_map(ring, refs, pages, bits32) ||
           fail(why, "the frontend's ring %u cannot be mapped: bad grant references, or no room",
                ring->index);
}

static bool bind_ring(struct vbd_ring *ring, bool several, struct why *why)
{
    uint64_t remote;
    if (!read_ring_key(ring, several, "event-channel", &remote))
        return fail(why, "the frontend's event-channel of ring %u is missing or no number", ring->index);
    long port = event_bind_interdomain(ring->vbd->backend->domid, (evtchn_port_t)remote);
    if (port < 0)
        return fail(why, "the frontend's event channel %llu: %s", (unsigned long long)remote,
                    error_text(port));
    if (port >= EVENT_PORTS) {
        event_close((evtchn_port_t)port);
        return fail(why, "dom0 has no event channel left");
    }
    ring->port = (evtchn_port_t)port;
    ring->bound = true;
    ring->kicked = true;
    return true;
}

/* Which of the optional ways the frontend chose. */
static bool read_choices(const struct vbd *vbd, unsigned *rings, unsigned *order, bool *bits32,
                         struct why *why)
{
    const struct backend *b = vbd->backend;
    uint64_t queues = 1, ring_order = 0;
    char protocol[32] = XEN_IO_PROTO_ABI_X86_64;
    frontend_read_number(b, "multi-queue-num-queues", &queues);
    frontend_read_number(b, "ring-page-order", &ring_order);
    frontend_read(b, "protocol", protocol, sizeof protocol);
    *bits32 = !strcmp(protocol, XEN_IO_PROTO_ABI_X86_32);
    if (!*bits32 && strcmp(protocol, XEN_IO_PROTO_ABI_X86_64))
        return fail(why, "the frontend's protocol %s is not one of x86", protocol);
    if (!queues || queues > VBD_QUEUES || ring_order > VBD_RING_ORDER)
        return fail(why, "the frontend wants %llu rings of 2^%llu pages; offered are %u of 2^%u",
                    (unsigned long long)queues, (unsigned long long)ring_order, VBD_QUEUES, VBD_RING_ORDER);
    *rings = (unsigned)queues;
    *order = (unsigned)ring_order;
    return true;
}

static void disconnect(struct backend *b)
{
    struct vbd *vbd = b->driver_data;
    vbd->connected = false;
    vbd->closing = true;
    for (unsigned i = 0; i < vbd->ring_count; i++)
        if (vbd->rings[i].bound) {
            event_handle(vbd->rings[i].port, NULL, NULL);
            event_close(vbd->rings[i].port);
        }
    /*
     * The disk says of each request when it does not touch its pages any more, in time; until then they stay
     * pinned.
     */
    for (vbd_run(vbd); vbd->under_way;)
        signal_wait(&vbd->idle, FOREVER);
    work_cancel(&vbd->work);
    for (unsigned i = 0; i < vbd->ring_count; i++)
        ring_unmap(&vbd->rings[i]);
    vbd_drop_unused(vbd);
    vbd->ring_count = 0;
    vbd->draining = NULL;
}

static bool connect(struct backend *b, struct why *why)
{
    struct vbd *vbd = b->driver_data;
    unsigned rings = 0, order = 0;
    bool bits32 = false, good = true;
    if (vbd->disk->removed)
        return fail(why, "the disk is gone");
    if (!read_choices(vbd, &rings, &order, &bits32, why))
        return false;
    for (unsigned i = 0; i < rings && good; i++) {
        struct vbd_ring *ring = &vbd->rings[vbd->ring_count++];
        *ring = (struct vbd_ring){.vbd = vbd, .index = i};
        good = map_ring(ring, rings > 1, order, bits32, why) && bind_ring(ring, rings > 1, why);
    }
    if (!good) {
        disconnect(b);
        return false;
    }
    vbd->closing = false;
    vbd->connected = true;
    for (unsigned i = 0; i < rings; i++)
        event_handle(vbd->rings[i].port, on_event, &vbd->rings[i]);
    /* What the frontend put there before we listened. */
    work_later(&vbd->work);
    return true;
}

/* --- creating ------------------------------------------------------------------------------------------- */

static bool create(struct backend *b, struct why *why)
{
    char params[256], mode[8] = "r";
    uint64_t discard = 1;
    if (!backend_read(b, "params", params, sizeof params) || !*params)
        return fail(why, "params is missing: it names the disk");
    backend_read(b, "mode", mode, sizeof mode);
    backend_read_number(b, "discard-enable", &discard);
    bool writable = mode[0] == 'w';
    struct vbd *vbd = mem_alloc(sizeof *vbd);
    if (!vbd)
        return fail(why, "no memory for a device: raise dom0_mem");
    vbd->disk = disk_open(params, writable, why);
    if (!vbd->disk) {
        mem_free(vbd);
        return false;
    }
    vbd->backend = b;
    vbd->writable = writable;
    vbd->discard = writable && discard && vbd->disk->discard_granularity;
    vbd->work = (struct work){.run = run_later, .owner = vbd};
    vbd->listener.changed = disk_changed;
    disk_listen(&vbd->listener);
    vbd->next = vbds;
    vbds = vbd;
    b->driver_data = vbd;
    write_features(vbd);
    return true;
}

static void destroy(struct backend *b)
{
    struct vbd *vbd = b->driver_data;
    struct vbd **link = &vbds;
    while (*link != vbd)
        link = &(*link)->next;
    *link = vbd->next;
    disk_unlisten(&vbd->listener);
    disk_close(vbd->disk, vbd->writable);
    mem_free(vbd);
}

bool blkback_at(size_t index, struct blkback_info *info)
{
    const struct vbd *vbd = vbds;
    while (vbd && index--)
        vbd = vbd->next;
    if (!vbd)
        return false;
    *info = (struct blkback_info){.domid = vbd->backend->domid,
                                  .devid = vbd->backend->devid,
                                  .disk = vbd->disk->name,
                                  .writable = vbd->writable,
                                  .connected = vbd->connected,
                                  .queues = vbd->ring_count,
                                  .statistics = vbd->statistics};
    return true;
}

void blkback_init(void)
{
    static const struct backend_type type = {"vbd", create, connect, disconnect, destroy};
    backend_register(&type);
}
