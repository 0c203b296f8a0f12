/*
 * A disk, used well: what is written is read back, whatever the sizes, offsets and order, on all rings at
 * once.
 *
 * Words on the command line (defaults): device=51712 seconds=5 seed=1 start=0 region=8 (both MiB) depth=16
 * queues=1 order=0 (ring pages, as a power of 2) direct (no indirect requests), and mode=
 *   soak      random reads, writes, flushes, discards; at the end everything is read back (the default)
 *   fill      writes the region with what belongs to the seed, and flushes    check   finds it again
 *   readonly  writes are refused, reads are not
 *   watch     for a person or a test at the console: s says the size, v reads and writes a little, q ends
 */
#include "check.h"
#include <drivers/blkfront.h>

#define SECTOR        512u
#define PAGE_SECTORS  (PAGE_SIZE / SECTOR)
#define MAX_DEPTH     32u
#define JOB_PAGES     64u
#define SECTOR_WORDS  (SECTOR / 8)
#define UNKNOWN       0u /* the generation of a sector that may hold anything */
#define BATCH_SECTORS ((JOB_PAGES - 1) * PAGE_SECTORS)

static struct blk blk;
static uint64_t seed, randomness, region_start, region_sectors;
static uint32_t *generation; /* of each sector of the region */
static uint32_t last_generation;

static struct job {
    struct blk_io io;
    bool busy;
    uint64_t sector;
    uint32_t sectors, generation;
    uint8_t *pages;
    grant_ref_t refs[JOB_PAGES];
    struct blkif_request_segment segments[JOB_PAGES];
    uint8_t *data; /* where in pages it begins */
} jobs[MAX_DEPTH];
static unsigned depth;
static struct {
    uint64_t reads, writes, flushes, discards, sectors;
} counts;

/* --- what a sector holds -------------------------------------------------------------------------------- */

static uint64_t sector_key(uint64_t sector, uint32_t gen)
{
    uint64_t key =
        (sector + 1) * 0x9e3779b97f4a7c15ull ^ seed * 0xbf58476d1ce4e5b9ull ^ gen * 0x94d049bb133111ebull;
    return key ^ key >> 29;
}

static void sector_fill(uint64_t *words, uint64_t sector, uint32_t gen)
{
    uint64_t key = sector_key(sector, gen);
    words[0] = sector;
    words[1] = gen;
    for (unsigned i = 2; i < SECTOR_WORDS; i++)
        words[i] = key + i * 0x2545f4914f6cdd1dull;
}

static bool sector_check(const uint64_t *words, uint64_t sector, uint32_t gen)
{
    uint64_t right[SECTOR_WORDS];
    sector_fill(right, sector, gen);
    if (!memcmp(words, right, SECTOR))
        return true;
    if (check_failures++ < 5)
        pvh_printf("sector %lu: generation %u was written; it says sector %lu, generation %lu, %#lx\n",
                   sector, gen, words[0], words[1], words[2]);
    return false;
}

/* --- requests ------------------------------------------------------------------------------------------- */

static void jobs_init(void)
{
    for (unsigned i = 0; i < depth; i++) {
        jobs[i].pages = page_alloc(JOB_PAGES);
        if (!jobs[i].pages)
            pvh_panic("no memory for %u requests", depth);
        for (unsigned page = 0; page < JOB_PAGES; page++)
            jobs[i].refs[page] =
                grant_offer(blk.device.backend_domid, jobs[i].pages + page * PAGE_SIZE, false);
    }
}

static void jobs_end(void)
{
    for (unsigned i = 0; i < depth; i++) {
        for (unsigned page = 0; page < JOB_PAGES; page++)
            EXPECT(grant_withdraw(jobs[i].refs[page]));
        page_free(jobs[i].pages, JOB_PAGES);
    }
}

/* Segments for the job's sectors, which begin at so many sectors from the start of its pages. */
static void job_segments(struct job *job, uint32_t offset)
{
    uint32_t left = job->sectors, at = offset;
    job->data = job->pages + offset * SECTOR;
    job->io.segment_count = 0;
    while (left) {
        uint32_t first = at % PAGE_SECTORS, count = PAGE_SECTORS - first < left ? PAGE_SECTORS - first : left;
        job->segments[job->io.segment_count++] = (struct blkif_request_segment){
            job->refs[at / PAGE_SECTORS], (uint8_t)first, (uint8_t)(first + count - 1)};
        at += count;
        left -= count;
    }
    job->io.segments = job->segments;
}

static void job_submit(struct job *job, uint8_t operation, unsigned queue)
{
    job->io.operation = operation;
    job->io.sector = job->sector;
    job->io.sectors = job->sectors;
    job->busy = true;
    if (operation == BLKIF_OP_FLUSH_DISKCACHE || operation == BLKIF_OP_DISCARD)
        job->io.segment_count = 0;
    while (!blk_submit(&blk, queue, &job->io))
        blk_wait(&blk, pvh_time_ns() + SECOND);
}

static void fill_data(struct job *job, uint32_t gen)
{
    job->generation = gen;
    for (uint32_t i = 0; i < job->sectors; i++) {
        sector_fill((uint64_t *)(job->data + i * SECTOR), job->sector + i, gen);
        generation[job->sector - region_start + i] = gen;
    }
}

/* An answer came: is it what it should be? */
static void job_done(struct job *job)
{
    job->busy = false;
    if (job->io.status != BLKIF_RSP_OKAY) {
        if (check_failures++ < 5)
            pvh_printf("operation %u of sectors %lu+%u: status %d\n", job->io.operation, job->sector,
                       job->sectors, job->io.status);
        return;
    }
    counts.sectors += job->sectors;
    if (job->io.operation != BLKIF_OP_READ)
        return;
    for (uint32_t i = 0; i < job->sectors; i++) {
        uint32_t gen = generation[job->sector - region_start + i];
        if (gen != UNKNOWN)
            sector_check((uint64_t *)(job->data + i * SECTOR), job->sector + i, gen);
    }
}

static void take_answers(uint64_t deadline)
{
    blk_wait(&blk, deadline);
    for (unsigned i = 0; i < depth; i++)
        if (jobs[i].busy && jobs[i].io.done)
            job_done(&jobs[i]);
}

/* A job that is free; waits for one. */
static struct job *free_job(void)
{
    for (uint64_t end = pvh_time_ns() + FRONT_PATIENCE; pvh_time_ns() < end; take_answers(end))
        for (unsigned i = 0; i < depth; i++)
            if (!jobs[i].busy)
                return &jobs[i];
    pvh_panic("no answer for %u s", (unsigned)(FRONT_PATIENCE / SECOND));
}

static void wait_for_all(void)
{
    for (uint64_t end = pvh_time_ns() + FRONT_PATIENCE; pvh_time_ns() < end; take_answers(end)) {
        unsigned busy = 0;
        for (unsigned i = 0; i < depth; i++)
            busy += jobs[i].busy;
        if (!busy)
            return;
    }
    pvh_panic("requests without an answer for %u s", (unsigned)(FRONT_PATIENCE / SECOND));
}

static void flush(void)
{
    struct blk_io io = {.operation = BLKIF_OP_FLUSH_DISKCACHE};
    if (blk.flush)
        EXPECT_EQ(blk_do(&blk, &io), BLKIF_RSP_OKAY);
}

/* --- the whole region, in order ------------------------------------------------------------------------- */

static void sweep(uint8_t operation, uint32_t gen)
{
    uint32_t batch = blk.max_segments < JOB_PAGES ? blk.max_segments * PAGE_SECTORS : BATCH_SECTORS;
    for (uint64_t done = 0; done < region_sectors;) {
        struct job *job = free_job();
        job->sector = region_start + done;
        job->sectors = region_sectors - done < batch ? (uint32_t)(region_sectors - done) : batch;
        job_segments(job, 0);
        if (operation == BLKIF_OP_WRITE)
            fill_data(job, gen);
        job_submit(job, operation, (unsigned)(done / batch % blk.queue_count));
        done += job->sectors;
    }
    wait_for_all();
}

/* --- soak ----------------------------------------------------------------------------------------------- */

static uint64_t random_below(uint64_t limit)
{
    return random_next(&randomness) % limit;
}

/* Sectors that no other job has under way, in units that the disk takes. */
static bool choose_sectors(struct job *job)
{
    uint32_t unit = blk.sector_size / SECTOR,
             segments = blk.max_segments < JOB_PAGES ? blk.max_segments : JOB_PAGES;
    uint32_t most = random_below(4) ? PAGE_SECTORS : (segments - 1) * PAGE_SECTORS;
    job->sectors = (uint32_t)(random_below(most / unit) + 1) * unit;
    job->sector = region_start + random_below((region_sectors - job->sectors) / unit + 1) * unit;
    for (unsigned i = 0; i < depth; i++)
        if (jobs[i].busy && jobs[i].sector < job->sector + job->sectors &&
            job->sector < jobs[i].sector + jobs[i].sectors)
            return false;
    return true;
}

static void random_request(struct job *job)
{
    unsigned queue = (unsigned)random_below(blk.queue_count), dice = (unsigned)random_below(100);
    uint32_t unit = blk.sector_size / SECTOR;
    if (!choose_sectors(job))
        return;
    job_segments(job, (uint32_t)random_below(PAGE_SECTORS / unit) * unit);
    if (dice < 2 && blk.flush) {
        job->sectors = 0;
        job_submit(job, BLKIF_OP_FLUSH_DISKCACHE, queue);
        counts.flushes++;
    } else if (dice < 4 && blk.discard) {
        memset(&generation[job->sector - region_start], 0, job->sectors * sizeof *generation);
        job_submit(job, BLKIF_OP_DISCARD, queue);
        counts.discards++;
    } else if (dice < 50) {
        job_submit(job, BLKIF_OP_READ, queue);
        counts.reads++;
    } else {
        fill_data(job, ++last_generation);
        bool barrier = dice < 54 && blk.barrier && job->io.segment_count <= BLKIF_MAX_SEGMENTS_PER_REQUEST;
        job_submit(job, barrier ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_WRITE, queue);
        counts.writes++;
    }
}

static void soak(uint64_t seconds)
{
    for (uint64_t end = pvh_time_ns() + seconds * SECOND; pvh_time_ns() < end && check_failures < 5;)
        random_request(free_job());
    wait_for_all();
    flush();
    sweep(BLKIF_OP_READ, UNKNOWN);
    pvh_printf("blk: %lu reads, %lu writes, %lu flushes, %lu discards, %lu KiB\n", counts.reads,
               counts.writes, counts.flushes, counts.discards, counts.sectors / 2);
}

/* --- the others ----------------------------------------------------------------------------------------- */

static void readonly(void)
{
    EXPECT(blk.read_only);
    struct job *job = free_job();
    job->sector = region_start;
    job->sectors = blk.sector_size / SECTOR;
    job_segments(job, 0);
    job->io.operation = BLKIF_OP_WRITE;
    job->io.sector = job->sector;
    EXPECT(blk_do(&blk, &job->io) < 0);
    if (blk.discard) {
        struct blk_io discard = {
            .operation = BLKIF_OP_DISCARD, .sector = job->sector, .sectors = job->sectors};
        EXPECT(blk_do(&blk, &discard) < 0);
    }
    job->io.operation = BLKIF_OP_READ;
    EXPECT_EQ(blk_do(&blk, &job->io), BLKIF_RSP_OKAY);
}

static void watch(void)
{
    pvh_printf("watching: %lu sectors\n", blk.sectors);
    for (uint64_t size = blk.sectors; front_state(&blk.device) == XenbusStateConnected;) {
        if (blk_size(&blk) != size)
            pvh_printf("resized: %lu sectors\n", size = blk_size(&blk));
        switch (pvh_getchar()) {
        case 's':
            pvh_printf("size: %lu sectors\n", size);
            break;
        case 'v':
            sweep(BLKIF_OP_WRITE, ++last_generation);
            sweep(BLKIF_OP_READ, UNKNOWN);
            pvh_printf("verified: %u failures\n", check_failures);
            break;
        case 'q':
            return;
        }
        front_sleep(NULL, 0, pvh_time_ns() + 20 * MILLISECOND);
    }
    pvh_printf("the back end closes\n");
}

static void act(const char *mode)
{
    if (!strcmp(mode, "soak")) {
        soak(option_number("seconds", 5));
    } else if (!strcmp(mode, "fill")) {
        sweep(BLKIF_OP_WRITE, 1);
        flush();
    } else if (!strcmp(mode, "check")) {
        for (uint64_t i = 0; i < region_sectors; i++)
            generation[i] = 1;
        sweep(BLKIF_OP_READ, UNKNOWN);
    } else if (!strcmp(mode, "readonly")) {
        readonly();
    } else if (!strcmp(mode, "watch")) {
        watch();
    } else {
        pvh_printf("blk: there is no mode=%s\n", mode);
        check_failures++;
    }
}

static void region_init(void)
{
    region_start = option_number("start", 0) * 2048;
    region_sectors = option_number("region", 8) * 2048;
    if (region_start + region_sectors > blk.sectors)
        pvh_panic("the disk ends at sector %lu, the region at %lu", blk.sectors,
                  region_start + region_sectors);
    size_t pages = (region_sectors * sizeof *generation + PAGE_SIZE - 1) / PAGE_SIZE;
    generation = page_alloc(pages);
    if (!generation)
        pvh_panic("no memory for a region of %lu sectors", region_sectors);
    memset(generation, 0, pages * PAGE_SIZE);
}

int main(void)
{
    char mode[16] = "soak", value[4];
    struct blk_options options = {.queues = (unsigned)option_number("queues", 1),
                                  .ring_order = (unsigned)option_number("order", 0),
                                  .indirect = !pvh_option("direct", value, sizeof value)};
    pvh_option("mode", mode, sizeof mode);
    seed = option_number("seed", 1);
    randomness = seed * 2 + 1;
    depth = (unsigned)option_number("depth", 16);
    depth = depth && depth < MAX_DEPTH ? depth : MAX_DEPTH;
    front_init();
    if (EXPECT(blk_open(&blk, (unsigned)option_number("device", 51712), &options))) {
        pvh_printf("blk: %lu sectors of %u, %u queues, %u ring pages, %u segments%s%s%s%s\n", blk.sectors,
                   blk.sector_size, blk.queue_count, blk.ring_pages, blk.max_segments,
                   blk.read_only ? ", read-only" : "", blk.flush ? ", flush" : "",
                   blk.barrier ? ", barrier" : "", blk.discard ? ", discard" : "");
        region_init();
        jobs_init();
        act(mode);
        EXPECT_EQ(blk.strange, 0);
        EXPECT(blk_close(&blk));
        jobs_end();
    }
    return verdict("blk");
}
