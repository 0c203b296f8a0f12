/*
 * Virtio disks (drivers/disk.h, virtio.h; Virtio 1.2, section 5.2). Handler context but for probe().
 *
 * A request is one chain: a header, the segments, and a byte of status. What finds no room waits in a list.
 * When the device is reset, what was under way goes to it again, and after some such tries fails.
 */
#include <dom0/below.h>
#include <dom0/thread.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "drive.h"
#include "drivers.h"
#include "virtio.h"

#define REQUEST_TIME (10 * SECOND)
#define TRIES        3
#define QUEUES_MAX   4
#define RING_MAX     128
#define SEGMENTS_MAX 128
#define AROUND       2 /* header and status */
#define SERIAL_SIZE  20

#define FEATURE_SEGMENTS   (1ull << 2)
#define FEATURE_READ_ONLY  (1ull << 5)
#define FEATURE_BLOCK_SIZE (1ull << 6)
#define FEATURE_FLUSH      (1ull << 9)
#define FEATURE_TOPOLOGY   (1ull << 10)
#define FEATURE_QUEUES     (1ull << 12)
#define FEATURE_DISCARD    (1ull << 13)
#define FEATURES                                                                                             \
    (FEATURE_SEGMENTS | FEATURE_READ_ONLY | FEATURE_BLOCK_SIZE | FEATURE_FLUSH | FEATURE_TOPOLOGY |          \
     FEATURE_QUEUES | FEATURE_DISCARD)

/* The device's configuration. */
struct config {
    uint64_t capacity;
    uint32_t size_max, segments_max;
    uint8_t geometry[4];
    uint32_t block_size;
    uint8_t physical_shift, alignment;
    uint16_t minimum_io;
    uint32_t optimal_io;
    uint8_t writeback, unused;
    uint16_t queues;
    uint32_t discard_sectors, discard_segments, discard_alignment;
} __attribute__((packed));
_Static_assert(sizeof(struct config) == 48, "struct virtio_blk_config up to what is used");

enum { TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FLUSH = 4, TYPE_SERIAL = 8, TYPE_DISCARD = 11 };
enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_UNSUPPORTED = 2, STATUS_NONE = 0xff };

/* What a chain needs beside the segments; one for each slot of a ring. */
struct command {
    uint32_t type, reserved;
    uint64_t sector;
    struct {
        uint64_t sector;
        uint32_t sectors, flags;
    } discard;
    uint8_t status;
    uint8_t pad[31];
};
_Static_assert(sizeof(struct command) == 64, "a cache line");

/* request->part */
enum { PART_WHOLE, PART_FLUSH, PART_SERIAL };

struct queue {
    struct virtio_ring ring;
    struct command *commands;
    struct request_list waiting;
};

/* The question for the serial number, asked once by probe(). */
struct serial {
    struct disk_request request;
    struct disk_segment segment;
    struct signal answered;
    int error;
    uint8_t text[SERIAL_SIZE];
};

struct virtio_disk {
    struct virtio virtio;
    struct disk disk;
    unsigned queue_count;
    struct queue queue[QUEUES_MAX];
    struct request_list failed; /* was given to the device too often; ends when that does no DMA */
    bool in_handler;            /* doorbells wait for its end */
    struct serial serial;
};

/* --- requests to the device ----------------------------------------------------------------------------- */

static uint32_t type_of(const struct disk_request *request)
{
    static const uint32_t types[] = {[DISK_READ] = TYPE_READ,
                                     [DISK_WRITE] = TYPE_WRITE,
                                     [DISK_FLUSH] = TYPE_FLUSH,
                                     [DISK_DISCARD] = TYPE_DISCARD};
    if (request->part == PART_WHOLE)
        return types[request->operation];
    return request->part == PART_FLUSH ? TYPE_FLUSH : TYPE_SERIAL;
}

/* False: there is no room in the ring. */
static bool give(struct queue *q, struct disk_request *request)
{
    struct virtio_ring *ring = &q->ring;
    uint32_t type = type_of(request);
    bool has_data = type == TYPE_READ || type == TYPE_WRITE || type == TYPE_SERIAL;
    unsigned segments = has_data ? request->segment_count : 0;
    if (!ring_begin(ring, AROUND + segments + (type == TYPE_DISCARD)))
        return false;
    struct command *command = &q->commands[ring->head];
    *command =
        (struct command){.type = type, .sector = segments ? request->sector : 0, .status = STATUS_NONE};
    ring_buffer(ring, dma_address(&command->type), offsetof(struct command, discard), false);
    if (type == TYPE_DISCARD) {
        command->discard.sector = request->sector;
        command->discard.sectors = (uint32_t)request->sectors;
        ring_buffer(ring, dma_address(&command->discard), sizeof command->discard, false);
    }
    for (unsigned i = 0; i < segments; i++)
        ring_buffer(ring, request->segments[i].bus, request->segments[i].bytes, type != TYPE_WRITE);
    ring_buffer(ring, dma_address(&command->status), 1, true);
    request->deadline = time_ns() + REQUEST_TIME;
    ring_end(ring, request);
    return true;
}

/* Gives the device what waits, as long as there is room. */
static void pump(struct virtio_disk *d, struct queue *q)
{
    if (d->virtio.state != VIRTIO_READY)
        return;
    while (q->waiting.first && give(q, q->waiting.first)) {
        request_take(&q->waiting);
        virtio_watch(&d->virtio);
    }
    if (!d->in_handler)
        ring_notify(&q->ring);
}

static void submit_part(struct virtio_disk *d, struct disk_request *request, uint32_t part)
{
    struct queue *q = &d->queue[request->queue % d->queue_count];
    request->part = part;
    request->tag = 0;
    if (d->virtio.state == VIRTIO_GONE) {
        request->done(request, XEN_EIO);
        return;
    }
    request_append(&q->waiting, request);
    pump(d, q);
}

static void submit(struct disk *disk, struct disk_request *request)
{
    submit_part(disk->driver_data, request, PART_WHOLE);
}

/* --- answers -------------------------------------------------------------------------------------------- */

static int error_of(uint8_t status)
{
    switch (status) {
    case STATUS_OK:
        return 0;
    case STATUS_UNSUPPORTED:
        return XEN_EOPNOTSUPP;
    default:
        return XEN_EIO;
    }
}

static void answer(struct virtio_disk *d, struct queue *q, struct disk_request *request, uint8_t status)
{
    bool flush_follows = request->force_unit_access && request->operation == DISK_WRITE && d->disk.flush;
    if (status == STATUS_OK && request->part == PART_WHOLE && flush_follows) {
        request->part = PART_FLUSH;
        request_append(&q->waiting, request);
        return;
    }
    request->done(request, error_of(status));
}

/*
 * One round over the queue; what is done by then is left to another, so that a busy disk does not hold up the
 * rest.
 */
static void serve(struct virtio_disk *d, struct queue *q)
{
    struct ring_done done;
    for (uint16_t i = 0; i < q->ring.size && ring_take(&q->ring, &done); i++)
        answer(d, q, done.token, *(volatile uint8_t *)&q->commands[done.slot].status);
    pump(d, q);
    if (ring_arm(&q->ring))
        virtio_again(&d->virtio);
    if (q->ring.broken)
        virtio_fail(&d->virtio, "the device answered what it was not asked");
}

static struct virtio_disk *disk_of(struct virtio *v)
{
    return (struct virtio_disk *)((char *)v - offsetof(struct virtio_disk, virtio));
}

static void on_queues(struct virtio *v)
{
    struct virtio_disk *d = disk_of(v);
    d->in_handler = true;
    for (unsigned i = 0; i < d->queue_count && v->state == VIRTIO_READY; i++)
        serve(d, &d->queue[i]);
    d->in_handler = false;
    for (unsigned i = 0; i < d->queue_count && v->state == VIRTIO_READY; i++)
        ring_notify(&d->queue[i].ring);
}

static void on_config(struct virtio *v)
{
    struct virtio_disk *d = disk_of(v);
    uint64_t capacity;
    virtio_config(v, offsetof(struct config, capacity), &capacity, sizeof capacity);
    if (capacity != d->disk.sectors)
        print("%s: now has %llu MiB\n", v->name, (unsigned long long)capacity / 2048);
    disk_resized(&d->disk, capacity);
}

/* --- devices that are stuck ----------------------------------------------------------------------------- */

static const char *check(struct virtio *v, bool *busy)
{
    struct virtio_disk *d = disk_of(v);
    uint64_t now = time_ns();
    for (unsigned i = 0; i < d->queue_count; i++) {
        const struct virtio_ring *ring = &d->queue[i].ring;
        for (uint16_t slot = 0; ring->chains && slot < ring->size; slot++) {
            const struct disk_request *request = ring->slots[slot].token;
            *busy |= request != NULL;
            if (request && request->deadline <= now)
                return "a request was not answered in time";
        }
    }
    return *busy && virtio_is_broken(v) ? "the device has failed or is gone" : NULL;
}

/* What was under way waits again, or was given often enough. */
static void take_back(struct virtio_disk *d, struct queue *q)
{
    struct disk_request *request;
    while ((request = ring_reclaim(&q->ring))) {
        if (++request->tag < TRIES)
            request_prepend(&q->waiting, request);
        else
            request_append(&d->failed, request);
    }
}

static bool start_queues(struct virtio_disk *d)
{
    for (unsigned i = 0; i < d->queue_count; i++) {
        ring_clear(&d->queue[i].ring, d->virtio.features);
        if (!virtio_queue_start(&d->virtio, (uint16_t)i, &d->queue[i].ring))
            return false;
    }
    virtio_start(&d->virtio);
    return true;
}

static bool restart(struct virtio_disk *d)
{
    uint64_t features = d->virtio.features;
    return virtio_negotiate(&d->virtio, FEATURES) && d->virtio.features == features && start_queues(d);
}

static void end_all(struct request_list *list, int error)
{
    struct disk_request *request;
    while ((request = request_take(list)))
        request->done(request, error);
}

static bool stopped(struct virtio *v, bool usable)
{
    struct virtio_disk *d = disk_of(v);
    for (unsigned i = 0; i < d->queue_count; i++)
        take_back(d, &d->queue[i]);
    if (usable && !restart(d))
        return false;
    if (!usable)
        disk_remove(&d->disk);
    for (unsigned i = 0; i < d->queue_count; i++) {
        if (usable)
            pump(d, &d->queue[i]);
        else
            end_all(&d->queue[i].waiting, XEN_EIO);
    }
    end_all(&d->failed, usable ? XEN_ETIMEDOUT : XEN_EIO);
    return true;
}

static const struct virtio_driver driver = {
    .queues = on_queues, .config = on_config, .check = check, .stopped = stopped};

/* --- finding one ---------------------------------------------------------------------------------------- */

static const struct disk_operations operations = {.submit = submit};

/* "vda" to "vdz", "vdaa", ... */
static void name_disk(char *name, size_t size)
{
    static unsigned count;
    unsigned number = count++;
    if (number < 26)
        snprintf(name, size, "vd%c", 'a' + number);
    else
        snprintf(name, size, "vd%c%c", 'a' + number / 26 - 1, 'a' + number % 26);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Takes over what the device says of itself. False: it cannot be used; it said why. */
static bool describe(struct virtio_disk *d, const struct config *config)
{
    uint64_t features = d->virtio.features;
    uint32_t sector_size = features & FEATURE_BLOCK_SIZE ? config->block_size : DISK_SECTOR;
    if (sector_size < DISK_SECTOR || sector_size > 4096 || sector_size & (sector_size - 1)) {
        char name[PCI_NAME];
        print("%s: a virtio disk with sectors of %u bytes, which no guest could use\n",
              pci_name(d->virtio.pci, name), sector_size);
        return false;
    }
    uint32_t segments = features & FEATURE_SEGMENTS ? smaller(config->segments_max, SEGMENTS_MAX) : 1;
    if (!(features & VIRTIO_INDIRECT))
        segments = smaller(segments, smaller(virtio_queue_size(&d->virtio, 0), RING_MAX) - AROUND);
    bool discard = features & FEATURE_DISCARD && config->discard_sectors;
    d->queue_count = features & FEATURE_QUEUES ? smaller(config->queues, QUEUES_MAX) : 1;
    d->disk = (struct disk){
        .driver = "virtio-blk",
        .operations = &operations,
        .sectors = config->capacity,
        .sector_size = sector_size,
        .physical_sector_size = sector_size,
        .max_segments = segments ? segments : 1,
        .max_bytes = segments ? segments * 4096 : 4096,
        .max_discard = discard ? config->discard_sectors : 0,
        .discard_granularity = discard ? sector_size : 0,
        .queues = d->queue_count,
        .read_only = features & FEATURE_READ_ONLY,
        .flush = features & FEATURE_FLUSH,
        .driver_data = d,
    };
    if (features & FEATURE_TOPOLOGY && config->physical_shift < 8)
        d->disk.physical_sector_size <<= config->physical_shift;
    if (discard && config->discard_alignment > sector_size / DISK_SECTOR)
        d->disk.discard_granularity = config->discard_alignment * DISK_SECTOR;
    return true;
}

static bool create_queues(struct virtio_disk *d)
{
    for (unsigned i = 0; i < d->queue_count; i++) {
        struct queue *q = &d->queue[i];
        uint16_t size = (uint16_t)smaller(virtio_queue_size(&d->virtio, (uint16_t)i), RING_MAX);
        if (size < AROUND + 2 || size & (size - 1) ||
            !ring_create(&q->ring, size, (uint16_t)(AROUND + d->disk.max_segments)))
            return false;
        q->commands = dma_alloc((size * sizeof *q->commands + 4095) / 4096);
        if (!q->commands)
            return false;
    }
    return d->queue_count;
}

static void serial_answered(struct disk_request *request, int error)
{
    struct serial *serial = request->owner;
    serial->error = error;
    signal_set(&serial->answered);
}

static void ask_serial(struct virtio_disk *d)
{
    struct serial *s = &d->serial;
    s->segment = (struct disk_segment){dma_address(s->text), s->text, SERIAL_SIZE};
    s->request = (struct disk_request){
        .segments = &s->segment, .segment_count = 1, .done = serial_answered, .owner = s};
    submit_part(d, &s->request, PART_SERIAL);
    if (signal_wait(&s->answered, time_ns() + SECOND) && !s->error)
        drive_text(d->disk.model, sizeof d->disk.model, s->text, strnlen((char *)s->text, SERIAL_SIZE));
}

static void announce(const struct virtio_disk *d)
{
    char name[PCI_NAME], size[DRIVE_SIZE_TEXT];
    print("%s: virtio-blk %s, %s%s%s%s%s%s, %u queue%s\n", d->disk.name, pci_name(d->virtio.pci, name),
          drive_size(&d->disk, size), d->disk.model[0] ? ", " : "", d->disk.model,
          d->disk.read_only ? ", read-only" : "", d->disk.flush ? ", flush" : "",
          d->disk.discard_granularity ? ", discard" : "", d->queue_count, d->queue_count == 1 ? "" : "s");
}

static bool set_up(struct virtio_disk *d)
{
    struct config config;
    char name[PCI_NAME];
    if (virtio_negotiate(&d->virtio, FEATURES)) {
        virtio_config(&d->virtio, 0, &config, sizeof config);
        if (!describe(d, &config))
            return false;
        if (create_queues(d) && start_queues(d))
            return true;
    }
    print("%s: the virtio disk cannot be set up: it refuses features or queues, or memory is short\n",
          pci_name(d->virtio.pci, name));
    return false;
}

static bool probe(struct pci_function *f)
{
    if (!virtio_is(f, VIRTIO_ID_BLOCK))
        return false;
    struct virtio_disk *d = mem_alloc(sizeof *d);
    if (!d || !virtio_open(&d->virtio, f, &driver)) {
        mem_free(d);
        return false;
    }
    /* What a device that fails here took of memory is not worth the code that gives it back. */
    if (!set_up(d)) {
        virtio_close(&d->virtio);
        return false;
    }
    name_disk(d->disk.name, sizeof d->disk.name);
    d->virtio.name = d->disk.name;
    f->driver_data = d;
    ask_serial(d);
    announce(d);
    disk_add(&d->disk);
    return true;
}

const struct pci_driver virtio_blk_driver = {.name = "virtio-blk", .probe = probe};
