/*
 * Requests on their way to a disk's driver (drivers/disk.h): checked, cut to what the disk takes, and waited
 * for.
 *
 * What is too large for the disk is done piece after piece within the one request, so nothing has to be
 * allocated and nothing more can fail. Nothing switches but disk_read_wait().
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <dom0/thread.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "registry.h"

#define PAGE 4096u

static bool moves_data(const struct disk_request *request)
{
    return request->operation == DISK_READ || request->operation == DISK_WRITE;
}

/* --- pieces --------------------------------------------------------------------------------------------- */

/*
 * How many of the segments that are left make the next piece, and its bytes; it ends where a sector of the
 * disk does. 0: none can.
 */
static unsigned cut_segments(const struct disk *disk, const struct disk_request *request,
                             uint64_t *piece_bytes)
{
    const struct disk_segment *segment = request->segments;
    unsigned cut = 0;
    uint64_t bytes = 0;
    for (unsigned n = 0; n < request->whole.segments_left && n < disk->max_segments; n++) {
        bytes += segment[n].bytes;
        if (bytes > disk->max_bytes)
            break;
        if (bytes % disk->sector_size == 0) {
            cut = n + 1;
            *piece_bytes = bytes;
        }
    }
    return cut;
}

static void end_whole(struct disk_request *request, int error)
{
    request->segments = request->whole.segments;
    request->segment_count = request->whole.segment_count;
    request->sectors = request->whole.sectors;
    request->done = request->whole.done;
    request->done(request, error);
}

static void submit_piece(struct disk_request *request)
{
    struct disk *disk = request->whole.disk;
    uint64_t sectors = request->whole.left;
    if (disk->removed) {
        end_whole(request, XEN_EIO);
        return;
    }
    if (moves_data(request)) {
        uint64_t bytes = 0;
        request->segment_count = cut_segments(disk, request, &bytes);
        request->whole.segments_left -= request->segment_count;
        sectors = bytes / DISK_SECTOR;
    } else if (sectors > disk->max_discard) {
        sectors = disk->max_discard;
    }
    if (!sectors) {
        end_whole(request, XEN_EINVAL);
        return;
    }
    request->sector = request->whole.sector;
    request->sectors = sectors;
    request->whole.sector += sectors;
    request->whole.left -= sectors;
    disk->operations->submit(disk, request);
}

static void piece_done(struct disk_request *request, int error)
{
    if (error || !request->whole.left) {
        end_whole(request, error);
        return;
    }
    request->segments += request->segment_count;
    submit_piece(request);
}

static void submit_in_pieces(struct disk *disk, struct disk_request *request)
{
    request->whole.disk = disk;
    request->whole.sector = request->sector;
    request->whole.left = request->sectors;
    request->whole.sectors = request->sectors;
    request->whole.segments = request->segments;
    request->whole.segment_count = request->whole.segments_left = request->segment_count;
    request->whole.done = request->done;
    request->done = piece_done;
    submit_piece(request);
}

/* --- the way in ----------------------------------------------------------------------------------------- */

static int check(const struct disk *disk, const struct disk_request *request)
{
    if (disk->removed)
        return XEN_EIO;
    if (request->operation == DISK_FLUSH)
        return 0;
    if (!request->sectors || request->sector > disk->sectors ||
        request->sectors > disk->sectors - request->sector ||
        (request->sector | request->sectors) & (disk->sector_size / DISK_SECTOR - 1))
        return XEN_EINVAL;
    if (request->operation != DISK_READ && disk->read_only)
        return XEN_EROFS;
    return request->operation == DISK_DISCARD && !disk->discard_granularity ? XEN_EOPNOTSUPP : 0;
}

static bool fits(const struct disk *disk, const struct disk_request *request)
{
    if (request->operation == DISK_DISCARD)
        return !disk->max_discard || request->sectors <= disk->max_discard;
    return request->operation == DISK_FLUSH || (request->segment_count <= disk->max_segments &&
                                                request->sectors <= disk->max_bytes / DISK_SECTOR);
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
    int error = check(disk, request);
    if (error || (request->operation == DISK_FLUSH && !disk->flush))
        request->done(request, error);
    else if (fits(disk, request))
        disk->operations->submit(disk, request);
    else
        submit_in_pieces(disk, request);
}

/* --- reading for ourselves ------------------------------------------------------------------------------ */

struct waiting {
    struct signal signal;
    int error;
};

static void wake(struct disk_request *request, int error)
{
    struct waiting *waiting = request->owner;
    waiting->error = error;
    signal_set(&waiting->signal);
}

static int read_page(struct disk *disk, uint64_t sector, uint64_t sectors, void *page)
{
    struct waiting waiting = {.error = 0};
    struct disk_segment segment = {dma_address(page), page, (uint32_t)sectors * DISK_SECTOR};
    struct disk_request request = {.operation = DISK_READ,
                                   .sector = sector,
                                   .sectors = sectors,
                                   .segments = &segment,
                                   .segment_count = 1,
                                   .done = wake,
                                   .owner = &waiting};
    disk_submit(disk, &request);
    /* The driver's own limit of time ends this. */
    while (!signal_wait(&waiting.signal, FOREVER))
        ;
    return waiting.error;
}

int disk_read_wait(struct disk *disk, uint64_t sector, void *to, size_t bytes)
{
    const uint64_t per_page = PAGE / DISK_SECTOR;
    char *page = dma_alloc(1);
    int error = page ? 0 : XEN_ENOMEM;
    while (!error && bytes) {
        /* Whole pages where the disk has them, as its sectors may be as large. */
        uint64_t first = sector & -per_page, skip = (sector - first) * DISK_SECTOR;
        uint64_t there = disk->sectors > first ? disk->sectors - first : 0;
        size_t n = bytes < PAGE - skip ? bytes : PAGE - skip;
        error = read_page(disk, first, there < per_page ? there : per_page, page);
        if (!error && skip + n > there * DISK_SECTOR)
            error = XEN_EINVAL;
        if (!error)
            memcpy(to, page + skip, n);
        to = (char *)to + n;
        bytes -= n;
        sector = first + per_page;
    }
    dma_free(page, 1);
    return error;
}
