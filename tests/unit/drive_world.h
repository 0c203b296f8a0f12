/*
 * A pretended dom0 below the drivers of drives: threads, time, one PCI function with registers that a device
 * model answers, interrupts, a registry of disks. Time passes only while everybody waits. Memory is the
 * host's, so a device that reaches where it must not is caught by ASan.
 */
#ifndef TESTS_DRIVE_WORLD_H
#define TESTS_DRIVE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <drivers/disk.h>
#include <drivers/pci.h>

#define WORLD_DISKS 8
#define MS          1000000ull

struct world {
    uint64_t now;
    /* The device. tick() is called whenever somebody waits: it does its DMA and raises interrupts. */
    uint32_t (*read)(uint32_t offset);
    void (*write)(uint32_t offset, uint32_t value);
    void (*tick)(void);
    unsigned vectors; /* that pci_interrupts() gives */
    bool master, pulled_out;
    uint64_t bar_size;

    struct disk *disk[WORLD_DISKS];
    unsigned disks, added, removed, resized;
    unsigned pages, allocations, threads; /* that are there now */
    char printed[16384];
};
extern struct world world;

void world_reset(void);
/* Lets others run for that long. */
void world_run(uint64_t ns);
/* Until *flag is set, for a minute at most; false: it is not. */
bool world_run_until(const bool *flag);
void world_interrupt(unsigned vector);
/* Ends threads that wait; for tests that leave a driver as it is. */
void world_end(void);
bool world_said(const char *text);

/* A request with memory of its own, which is freed when it is done. */
struct io {
    struct disk_request request;
    struct disk_segment segment[256];
    uint8_t *pages;
    bool done;
    int error;
    unsigned times_done;
    void (*then)(struct io *io);
};
/* Segments as page offset and bytes, one page for each. data NULL: zeros; otherwise what is written. */
struct io *io_new(enum disk_operation operation, uint64_t sector, unsigned count, const uint32_t (*shape)[2],
                  const uint8_t *data);
void io_submit(struct disk *disk, struct io *io);
/* What a read brought, only while it is kept. */
void io_gather(const struct io *io, uint8_t *to);
void io_free(struct io *io);

#endif
