/*
 * What stands below dom0's disks in tests: memory that is counted, files, a disk whose driver does what the
 * test says, and guests' pages that may be reached only while they are pinned.
 */
#ifndef TESTS_UNIT_BLOCK_WORLD_H
#define TESTS_UNIT_BLOCK_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <drivers/disk.h>

#define WORLD_PAGE 4096u

extern long world_blocks, world_pages; /* given out and not got back */
extern long world_blocks_left;         /* mem_alloc() fails when it is 0; negative: never */
extern size_t world_free_pages;        /* as page_free_count() says */
extern char world_said[8192];          /* all that was printed */

void world_reset(void);
/* The data stay the caller's. */
void world_file(const char *name, const void *data, size_t size);

/* --- a disk */
struct fake_disk {
    struct disk disk;
    uint8_t *bytes;
    bool late;                          /* requests wait for fake_disk_answer() */
    struct disk_request *first, **tail; /* those that wait */
    unsigned waiting, submitted, closed, flushed;
    uint64_t last_sector, last_sectors; /* of the newest request */
    int error;                          /* for all, if not 0 */
};
/* In 512-byte sectors, each full of its number modulo 251. */
void fake_disk_init(struct fake_disk *fake, const char *name, uint64_t sectors);
void fake_disk_free(struct fake_disk *fake);
/* Carries out the request that waits longest, or fails it. */
void fake_disk_answer(struct fake_disk *fake, int error);
void fake_disk_answer_all(struct fake_disk *fake);

/* --- guests' pages: grant reference n is page n */
#define WORLD_GRANTS 600u
extern uint8_t world_page[WORLD_GRANTS][WORLD_PAGE];
extern bool world_granted[WORLD_GRANTS], world_granted_read_only[WORLD_GRANTS];
extern unsigned world_pinned, world_mapped, world_pin_calls, world_unpin_calls;
/*
 * Whether a device may read (or write) there now: dom0's own memory, or a page that is pinned so. Ends the
 * test if not.
 */
void world_check_access(uint64_t bus, size_t bytes, bool write);

/* --- work that was put off */
void world_work(void);

#endif
