/* The world below disks (block_world.h), in place of dom0's kernel and the grant tables. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <dom0/thread.h>
#include <drivers/grant.h>
#include <drivers/work.h>
#include <pvh/memory.h>
#include "block_world.h"

long world_blocks, world_pages, world_blocks_left;
size_t world_free_pages;
char world_said[8192];

static struct file files[4];
static size_t file_count;

/* --- memory, files, text, time -------------------------------------------------------------------------- */

void *mem_alloc(size_t size)
{
    if (world_blocks_left == 0 || size > 1u << 30)
        return NULL;
    if (world_blocks_left > 0)
        world_blocks_left--;
    world_blocks++;
    return calloc(1, size);
}

void mem_free(void *p)
{
    world_blocks -= p != NULL;
    free(p);
}

void *page_alloc(size_t count)
{
    if (world_free_pages < count)
        return NULL;
    world_free_pages -= count;
    world_pages += (long)count;
    void *p = aligned_alloc(WORLD_PAGE, count * WORLD_PAGE);
    memset(p, 0x5a, count * WORLD_PAGE);
    return p;
}

void page_free(void *page, size_t count)
{
    if (!page)
        return;
    world_free_pages += count;
    world_pages -= (long)count;
    free(page);
}

size_t page_free_count(void)
{
    return world_free_pages;
}

uint64_t memory_total(void)
{
    return 1024ull * WORLD_PAGE;
}

void *dma_alloc(size_t count)
{
    void *p = page_alloc(count);
    return p ? memset(p, 0, count * WORLD_PAGE) : NULL;
}

void dma_free(void *pages, size_t count)
{
    page_free(pages, count);
}

void world_file(const char *name, const void *data, size_t size)
{
    files[file_count++] = (struct file){name, data, size};
}

bool file_find(const char *path, struct file *file)
{
    for (size_t i = 0; i < file_count; i++)
        if (!strcmp(files[i].name, path)) {
            *file = files[i];
            return true;
        }
    return false;
}

void print(const char *format, ...)
{
    size_t length = strlen(world_said);
    va_list args;
    va_start(args, format);
    vsnprintf(world_said + length, sizeof world_said - length, format, args);
    va_end(args);
}

uint64_t time_ns(void)
{
    static uint64_t now;
    return now += 1000;
}

void signal_set(struct signal *signal)
{
    signal->set = true;
}

/* Nothing else runs here: what is waited for must have happened, or work that was put off brings it. */
bool signal_wait(struct signal *signal, uint64_t deadline)
{
    (void)deadline;
    if (!signal->set)
        world_work();
    assert(signal->set);
    signal->set = false;
    return true;
}

/* --- work ----------------------------------------------------------------------------------------------- */

static struct work *queued;

void work_later(struct work *work)
{
    if (work->queued)
        return;
    work->queued = true;
    work->next = queued;
    queued = work;
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

void world_work(void)
{
    for (struct work *work; (work = queued);) {
        queued = work->next;
        work->queued = false;
        work->run(work);
    }
}

/* --- the disk ------------------------------------------------------------------------------------------- */

static void carry_out(struct fake_disk *fake, const struct disk_request *request)
{
    uint8_t *at = fake->bytes + request->sector * DISK_SECTOR;
    uint64_t left = request->sectors * DISK_SECTOR;
    if (request->operation == DISK_FLUSH)
        fake->flushed++;
    if (request->operation != DISK_READ && request->operation != DISK_WRITE)
        return;
    for (unsigned i = 0; i < request->segment_count; i++) {
        const struct disk_segment *segment = &request->segments[i];
        bool read = request->operation == DISK_READ;
        assert(segment->bytes <= left && segment->bytes && segment->bytes % DISK_SECTOR == 0);
        assert(segment->bus / WORLD_PAGE == (segment->bus + segment->bytes - 1) / WORLD_PAGE);
        world_check_access(segment->bus, segment->bytes, read);
        memcpy(read ? (void *)segment->bus : at, read ? at : (void *)segment->bus, segment->bytes);
        at += segment->bytes;
        left -= segment->bytes;
    }
    assert(!left);
}

static void answer(struct fake_disk *fake, struct disk_request *request, int error)
{
    if (!error)
        carry_out(fake, request);
    request->done(request, error);
}

void fake_disk_answer(struct fake_disk *fake, int error)
{
    struct disk_request *request = fake->first;
    assert(request);
    fake->first = request->next;
    if (!fake->first)
        fake->tail = &fake->first;
    fake->waiting--;
    answer(fake, request, error);
}

void fake_disk_answer_all(struct fake_disk *fake)
{
    while (fake->first)
        fake_disk_answer(fake, 0);
}

static void submit(struct disk *disk, struct disk_request *request)
{
    struct fake_disk *fake = disk->driver_data;
    bool data = request->operation == DISK_READ || request->operation == DISK_WRITE;
    fake->submitted++;
    fake->last_sector = request->sector;
    fake->last_sectors = request->sectors;
    assert(request->operation == DISK_FLUSH || request->sector + request->sectors <= fake->disk.sectors);
    assert(!data || (request->segment_count && request->segment_count <= fake->disk.max_segments));
    assert(!data || request->sectors * DISK_SECTOR <= fake->disk.max_bytes);
    assert(request->sector * DISK_SECTOR % fake->disk.sector_size == 0);
    assert(request->sectors * DISK_SECTOR % fake->disk.sector_size == 0);
    if (fake->late && !fake->error) {
        request->next = NULL;
        *fake->tail = request;
        fake->tail = &request->next;
        fake->waiting++;
        return;
    }
    answer(fake, request, fake->error);
}

static void closed(struct disk *disk)
{
    struct fake_disk *fake = disk->driver_data;
    fake->closed++;
}

static const struct disk_operations operations = {submit, closed};

void fake_disk_init(struct fake_disk *fake, const char *name, uint64_t sectors)
{
    *fake = (struct fake_disk){.bytes = malloc(sectors * DISK_SECTOR)};
    fake->tail = &fake->first;
    for (uint64_t n = 0; n < sectors; n++)
        memset(fake->bytes + n * DISK_SECTOR, (int)(n % 251), DISK_SECTOR);
    snprintf(fake->disk.name, sizeof fake->disk.name, "%s", name);
    fake->disk.driver = "fake";
    fake->disk.operations = &operations;
    fake->disk.sectors = sectors;
    fake->disk.sector_size = fake->disk.physical_sector_size = DISK_SECTOR;
    fake->disk.max_segments = 64;
    fake->disk.max_bytes = 1 << 20;
    fake->disk.discard_granularity = DISK_SECTOR;
    fake->disk.flush = true;
    fake->disk.queues = 1;
    fake->disk.driver_data = fake;
}

void fake_disk_free(struct fake_disk *fake)
{
    assert(!fake->waiting);
    free(fake->bytes);
}

/* --- grants --------------------------------------------------------------------------------------------- */

uint8_t world_page[WORLD_GRANTS][WORLD_PAGE] __attribute__((aligned(WORLD_PAGE)));
bool world_granted[WORLD_GRANTS], world_granted_read_only[WORLD_GRANTS];
unsigned world_pinned, world_mapped, world_pin_calls, world_unpin_calls;
static unsigned pins[WORLD_GRANTS], pins_to_write[WORLD_GRANTS];
static void *mapped;

void world_check_access(uint64_t bus, size_t bytes, bool write)
{
    uint64_t page = (bus - (uint64_t)world_page) / WORLD_PAGE;
    (void)bytes;
    if (bus < (uint64_t)world_page || page >= WORLD_GRANTS)
        return;
    if (write ? !pins_to_write[page] : !pins[page]) {
        fprintf(stderr, "a device %s page %lu, which is not pinned for it\n", write ? "writes" : "reads",
                page);
        abort();
    }
}

bool grant_pin_list(domid_t domid, struct grant_pin *const *list, size_t count, bool data)
{
    bool all = true;
    (void)domid;
    world_pin_calls++;
    for (size_t i = 0; i < count; i++) {
        struct grant_pin *pin = list[i];
        bool good = pin->ref < WORLD_GRANTS && world_granted[pin->ref] &&
                    (pin->read_only || !world_granted_read_only[pin->ref]);
        pin->status = good ? GNTST_okay : GNTST_bad_gntref;
        pin->data = NULL;
        all &= good;
        if (!good)
            continue;
        pin->handle = pin->ref;
        pin->bus = (uint64_t)world_page[pin->ref];
        pin->data = data ? world_page[pin->ref] : NULL;
        world_pinned++;
        pins[pin->ref]++;
        pins_to_write[pin->ref] += !pin->read_only;
    }
    return all;
}

void grant_unpin_list(struct grant_pin *const *list, size_t count)
{
    world_unpin_calls += count != 0;
    for (size_t i = 0; i < count; i++) {
        struct grant_pin *pin = list[i];
        if (pin->status != GNTST_okay)
            continue;
        assert(pins[pin->handle]);
        pin->status = GNTST_general_error;
        world_pinned--;
        pins[pin->handle]--;
        pins_to_write[pin->handle] -= !pin->read_only;
    }
}

bool grant_copy(struct gnttab_copy *pieces, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        struct gnttab_copy *c = &pieces[i];
        uint32_t ref = c->source.u.ref;
        bool good = ref < WORLD_GRANTS && world_granted[ref] && c->source.offset + c->len <= WORLD_PAGE;
        assert(c->dest.offset + c->len <= WORLD_PAGE);
        c->status = good ? GNTST_okay : GNTST_bad_gntref;
        all &= good;
        if (good)
            memcpy((char *)(c->dest.u.gmfn * WORLD_PAGE) + c->dest.offset, world_page[ref] + c->source.offset,
                   c->len);
    }
    return all;
}

/* The pages must stand beside each other already: the tests take care of that. */
void *grant_map_ring(domid_t domid, const grant_ref_t *refs, size_t count, grant_handle_t *handles)
{
    (void)domid;
    for (size_t i = 0; i < count; i++) {
        if (refs[i] >= WORLD_GRANTS || !world_granted[refs[i]] || refs[i] != refs[0] + i)
            return NULL;
        handles[i] = refs[i];
    }
    world_mapped += (unsigned)count;
    mapped = world_page[refs[0]];
    return mapped;
}

void grant_unmap_ring(void *ring, size_t count, const grant_handle_t *handles)
{
    if (!ring)
        return;
    assert(ring == world_page[handles[0]]);
    world_mapped -= (unsigned)count;
}

void world_reset(void)
{
    file_count = 0;
    queued = NULL;
    world_blocks = world_pages = 0;
    world_blocks_left = -1;
    world_free_pages = 1024;
    world_said[0] = '\0';
    memset(world_granted, 0, sizeof world_granted);
    memset(world_granted_read_only, 0, sizeof world_granted_read_only);
    memset(pins, 0, sizeof pins);
    memset(pins_to_write, 0, sizeof pins_to_write);
    world_pinned = world_mapped = world_pin_calls = world_unpin_calls = 0;
}
