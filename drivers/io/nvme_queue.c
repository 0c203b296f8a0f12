/*
 * NVMe queue pairs and the requests in them (nvme.h). Handler context.
 *
 * The controller's memory accesses are described by PRPs (Base 2.0, 4.1.1), which have no gaps: only the
 * first page may begin late, only the last one may end early. A request that has gaps goes as an SGL where
 * the controller knows these, otherwise as several commands, one after another; a block that has a gap within
 * goes through a page of the slot's own. Completions are the device's word: each must name a command that is
 * in flight.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "nvme.h"
#include "registers.h"

#define IO_TIME      (30 * SECOND)
#define DISCARD_TIME (120 * SECOND)
#define LIST_PAGES   (NVME_DEPTH * sizeof(union nvme_list) / NVME_PAGE)
#define SLOT_BITS    6
#define NO_ROOM      UINT32_MAX

_Static_assert(1 << SLOT_BITS == NVME_DEPTH, "a slot's number fits a command id");

/* --- making them ---------------------------------------------------------------------------------------- */

bool nvme_queue_alloc(struct nvme *nvme, unsigned index)
{
    struct nvme_queue *queue = &nvme->queue[index];
    queue->nvme = nvme;
    queue->id = (uint16_t)index;
    queue->depth = nvme->depth;
    queue->submissions = dma_alloc(1);
    queue->completions = dma_alloc(1);
    /* The admin queue takes no requests. */
    queue->lists = index ? dma_alloc(LIST_PAGES) : NULL;
    queue->bounce = index && !nvme->sgl ? dma_alloc(NVME_DEPTH) : NULL;
    if (queue->submissions && queue->completions &&
        (!index || (queue->lists && (queue->bounce || nvme->sgl))))
        return true;
    nvme_queue_free(queue);
    return false;
}

void nvme_queue_free(struct nvme_queue *queue)
{
    if (queue->submissions)
        dma_free(queue->submissions, 1);
    if (queue->completions)
        dma_free(queue->completions, 1);
    if (queue->lists)
        dma_free(queue->lists, LIST_PAGES);
    if (queue->bounce)
        dma_free(queue->bounce, NVME_DEPTH);
    queue->submissions = NULL;
    queue->completions = NULL;
    queue->lists = NULL;
    queue->bounce = NULL;
}

void nvme_queue_clear(struct nvme_queue *queue)
{
    queue->tail = queue->head = 0;
    queue->phase = true;
    memset(queue->completions, 0, NVME_PAGE);
}

static void ring(const struct nvme_queue *queue, bool completions, uint16_t value)
{
    uint32_t index = 2 * queue->id + completions;
    register_write(queue->nvme->doorbells, index * queue->nvme->doorbell_stride, value);
}

/* --- sending -------------------------------------------------------------------------------------------- */

static uint32_t slot_take(struct nvme_queue *queue)
{
    if (queue->in_flight + 1 >= queue->depth)
        return NO_ROOM;
    uint32_t number = 0;
    while (queue->slot[number].busy)
        number++;
    struct nvme_slot *slot = &queue->slot[number];
    slot->busy = true;
    slot->id = (uint16_t)(((slot->id >> SLOT_BITS) + 1) << SLOT_BITS | number);
    slot->request = NULL;
    slot->own = NULL;
    queue->in_flight++;
    return number;
}

static void slot_free(struct nvme_queue *queue, struct nvme_slot *slot)
{
    slot->busy = false;
    queue->in_flight--;
}

static void put(struct nvme_queue *queue, struct nvme_slot *slot, const struct nvme_command *command)
{
    queue->submissions[queue->tail] = *command;
    queue->submissions[queue->tail].id = slot->id;
    queue->tail = (uint16_t)((queue->tail + 1) % queue->depth);
    ring(queue, false, queue->tail);
}

struct nvme_slot *nvme_send(struct nvme_queue *queue, const struct nvme_command *command,
                            struct nvme_own *own, uint64_t deadline)
{
    uint32_t number = slot_take(queue);
    if (number == NO_ROOM)
        return NULL;
    struct nvme_slot *slot = &queue->slot[number];
    *own = (struct nvme_own){.done = false};
    slot->own = own;
    slot->deadline = deadline;
    put(queue, slot, command);
    return slot;
}

/* A place in a request's segments. */
struct place {
    const struct disk_segment *segment;
    uint32_t offset; /* within it */
};

static struct place place_of(const struct disk_request *request, uint64_t sector)
{
    struct place at = {request->segments, 0};
    uint64_t bytes = sector * DISK_SECTOR;
    for (; bytes >= at.segment->bytes; at.segment++)
        bytes -= at.segment->bytes;
    at.offset = (uint32_t)bytes;
    return at;
}

/* The piece that stands there, of at most left bytes; the place moves behind it. */
static struct disk_segment take_piece(struct place *at, uint64_t left)
{
    const struct disk_segment *from = at->segment;
    uint32_t bytes = from->bytes - at->offset;
    struct disk_segment piece = {from->bus + at->offset, from->data ? (char *)from->data + at->offset : NULL,
                                 bytes};
    at->segment++;
    at->offset = 0;
    if (bytes > left)
        piece.bytes = (uint32_t)left;
    return piece;
}

/* How many of left bytes PRPs can describe together from a place on. */
static uint64_t without_gap(struct place at, uint64_t left)
{
    uint64_t bytes = 0;
    while (bytes < left) {
        struct disk_segment piece = take_piece(&at, left - bytes);
        if (bytes && piece.bus % NVME_PAGE)
            break;
        bytes += piece.bytes;
        if ((piece.bus + piece.bytes) % NVME_PAGE)
            break;
    }
    return bytes;
}

static void fill_prps(struct nvme_command *command, union nvme_list *list, struct place at, uint64_t bytes)
{
    unsigned count = 0;
    command->data[0] = at.segment->bus + at.offset;
    bytes -= take_piece(&at, bytes).bytes;
    while (bytes) {
        struct disk_segment piece = take_piece(&at, bytes);
        list->page[count++] = piece.bus;
        bytes -= piece.bytes;
    }
    if (count)
        command->data[1] = count == 1 ? list->page[0] : dma_address(list);
}

/* An SGL descriptor in place of PRP1 and PRP2 (Base 2.0, 4.1.2). */
static void fill_sgl(struct nvme_command *command, union nvme_list *list, struct place at, uint64_t bytes)
{
    unsigned count = 0;
    while (bytes) {
        struct disk_segment piece = take_piece(&at, bytes);
        list->sgl[count++] = (struct nvme_sgl){piece.bus, piece.bytes, {0}, SGL_DATA};
        bytes -= piece.bytes;
    }
    struct nvme_sgl whole = {
        dma_address(list), count * (uint32_t)sizeof(struct nvme_sgl), {0}, SGL_LAST_SEGMENT};
    memcpy(command->data, &whole, sizeof whole);
    command->flags = FLAGS_SGL;
}

/* Copies one block between a request and the page of a slot. */
static void copy_block(const struct disk_request *request, uint64_t sector, char *page, uint32_t bytes)
{
    struct place at = place_of(request, sector);
    while (bytes) {
        struct disk_segment piece = take_piece(&at, bytes);
        memcpy(request->operation == DISK_READ ? piece.data : page,
               request->operation == DISK_READ ? page : piece.data, piece.bytes);
        page += piece.bytes;
        bytes -= piece.bytes;
    }
}

/*
 * Describes as much as one command can of what is left from sector request->part on; returns the number of
 * sectors.
 */
static uint32_t fill_data(struct nvme_queue *queue, struct nvme_command *command, unsigned number,
                          const struct disk_request *request)
{
    const struct nvme_namespace *ns = request->driver;
    const uint32_t block = 1u << ns->shift;
    uint64_t first = (request->sector + request->part) * DISK_SECTOR >> ns->shift;
    uint64_t left = (request->sectors - request->part) * DISK_SECTOR;
    struct place at = place_of(request, request->part);
    uint64_t bytes = without_gap(at, left) & ~(uint64_t)(block - 1);
    if (bytes < left && ns->nvme->sgl) {
        bytes = left;
        fill_sgl(command, &queue->lists[number], at, bytes);
    } else if (bytes) {
        fill_prps(command, &queue->lists[number], at, bytes);
    } else {
        char *page = queue->bounce + number * NVME_PAGE;
        bytes = block;
        queue->slot[number].bounced = true;
        command->data[0] = dma_address(page);
        if (request->operation == DISK_WRITE)
            copy_block(request, request->part, page, block);
    }
    command->opcode = request->operation == DISK_READ ? IO_READ : IO_WRITE;
    command->DWORD(10) = (uint32_t)first;
    command->DWORD(11) = (uint32_t)(first >> 32);
    command->DWORD(12) = (uint32_t)(bytes >> ns->shift) - 1;
    if (request->operation == DISK_WRITE && request->force_unit_access)
        command->DWORD(12) |= RW_FUA;
    return (uint32_t)(bytes / DISK_SECTOR);
}

static void fill_discard(const struct nvme_namespace *ns, struct nvme_command *command, union nvme_list *list,
                         const struct disk_request *request)
{
    list->range = (struct nvme_range){.blocks = (uint32_t)(request->sectors * DISK_SECTOR >> ns->shift),
                                      .first = request->sector * DISK_SECTOR >> ns->shift};
    command->opcode = IO_DATASET;
    command->data[0] = dma_address(list);
    command->DWORD(10) = 0; /* one range */
    command->DWORD(11) = DATASET_DEALLOCATE;
}

void nvme_request_end(struct disk_request *request, int error)
{
    struct nvme_namespace *ns = request->driver;
    ns->unfinished--;
    request->done(request, error);
}

/* False: the queue is full. */
static bool send_request(struct nvme_queue *queue, struct disk_request *request)
{
    struct nvme_namespace *ns = request->driver;
    struct nvme_command command = {.nsid = ns->nsid};
    uint32_t number = slot_take(queue);
    if (number == NO_ROOM)
        return false;
    struct nvme_slot *slot = &queue->slot[number];
    slot->sectors = 0;
    slot->bounced = false;
    if (request->operation == DISK_FLUSH)
        command.opcode = IO_FLUSH;
    else if (request->operation == DISK_DISCARD)
        fill_discard(ns, &command, &queue->lists[number], request);
    else
        slot->sectors = fill_data(queue, &command, number, request);
    slot->request = request;
    slot->deadline = time_ns() + (request->operation == DISK_DISCARD ? DISCARD_TIME : IO_TIME);
    put(queue, slot, &command);
    if (!queue->nvme->watching) {
        queue->nvme->watching = true;
        nvme_wake(queue->nvme, NULL);
    }
    return true;
}

void nvme_queue_start(struct nvme_queue *queue)
{
    struct disk_request *request;
    while (queue->nvme->state == NVME_RUNNING && (request = request_take(&queue->waiting)))
        if (!send_request(queue, request)) {
            request_prepend(&queue->waiting, request);
            return;
        }
}

void nvme_submit(struct nvme_queue *queue, struct disk_request *request)
{
    request_append(&queue->waiting, request);
    nvme_queue_start(queue);
}

/* --- completions ---------------------------------------------------------------------------------------- */

static int status_error(uint16_t status)
{
    switch (STATUS_CODE(status)) {
    case STATUS_INVALID_OPCODE:
        return XEN_EOPNOTSUPP;
    case STATUS_CAPACITY_EXCEEDED:
        return XEN_ENOSPC;
    default:
        return XEN_EIO;
    }
}

static void request_completed(struct nvme_queue *queue, const struct nvme_slot *slot, uint16_t status)
{
    struct disk_request *request = slot->request;
    struct nvme_namespace *ns = request->driver;
    if (!STATUS_CODE(status)) {
        queue->nvme->resets = 0;
        if (slot->bounced && request->operation == DISK_READ)
            copy_block(request, request->part, queue->bounce + (slot - queue->slot) * NVME_PAGE,
                       1u << ns->shift);
        request->part += slot->sectors;
        if (slot->sectors && request->part < request->sectors)
            request_prepend(&queue->waiting, request);
        else
            nvme_request_end(request, 0);
        return;
    }
    if (!(status & STATUS_DNR) && !ns->gone && ++request->tag < NVME_ATTEMPTS) {
        request_prepend(&queue->waiting, request);
        return;
    }
    if (!ns->gone)
        drive_complain(&queue->nvme->said, &ns->disk, request, (int)STATUS_CODE(status));
    nvme_request_end(request, status_error(status));
}

/* One completion that the controller wrote. False: it cannot be true. */
static bool complete(struct nvme_queue *queue, uint32_t result, uint32_t sq, uint32_t status)
{
    struct nvme_slot *slot = &queue->slot[COMPLETION_ID(status) % NVME_DEPTH];
    if (!slot->busy || slot->id != COMPLETION_ID(status) || COMPLETION_SQID(sq) != queue->id)
        return false;
    struct nvme_own *own = slot->own;
    slot_free(queue, slot);
    if (own) {
        *own =
            (struct nvme_own){.done = true, .status = (uint16_t)COMPLETION_STATUS(status), .result = result};
        signal_set(own == &queue->nvme->event ? &queue->nvme->wake : &queue->nvme->admin_done);
    } else if (slot->request) {
        request_completed(queue, slot, (uint16_t)COMPLETION_STATUS(status));
    }
    return true;
}

void nvme_queue_poll(struct nvme_queue *queue)
{
    struct nvme *nvme = queue->nvme;
    unsigned taken = 0;
    /* A device that answers faster than we ask shall not keep us here for ever. */
    for (; queue->completions && !nvme->broken && taken < 2u * NVME_DEPTH; taken++) {
        const volatile struct nvme_completion *entry = &queue->completions[queue->head];
        uint32_t status = entry->status;
        if (!(status & COMPLETION_PHASE) == queue->phase)
            break;
        uint32_t result = entry->result, sq = entry->queue;
        if (++queue->head == queue->depth) {
            queue->head = 0;
            queue->phase = !queue->phase;
        }
        if (!complete(queue, result, sq, status))
            nvme_wake(nvme, "it completed a command that it was not given");
    }
    if (!taken)
        return;
    ring(queue, true, queue->head);
    nvme_queue_start(queue);
    if (taken == 2u * NVME_DEPTH)
        nvme_wake(nvme, NULL);
}

void nvme_queue_abandon(struct nvme_queue *queue)
{
    for (unsigned i = 0; i < NVME_DEPTH; i++) {
        struct nvme_slot *slot = &queue->slot[i];
        if (!slot->busy)
            continue;
        struct disk_request *request = slot->request;
        bool overdue = slot->deadline <= time_ns();
        slot_free(queue, slot);
        if (!request)
            continue;
        if (overdue && ++request->tag >= NVME_ATTEMPTS) {
            struct nvme_namespace *ns = request->driver;
            drive_complain(&queue->nvme->said, &ns->disk, request, XEN_ETIMEDOUT);
            nvme_request_end(request, XEN_ETIMEDOUT);
        } else {
            request_prepend(&queue->waiting, request);
        }
    }
}
