/*
 * What drivers of drives (AHCI, NVMe) have in common: lists of requests, and what a drive says of itself as
 * text.
 */
#ifndef DRIVERS_IO_DRIVE_H
#define DRIVERS_IO_DRIVE_H

#include <stddef.h>
#include <drivers/disk.h>
#include <drivers/pci.h>

#define MILLISECOND 1000000ull
#define SECOND      (1000 * MILLISECOND)

/* First in, first out, by request->next. Zero-initialised: empty. */
struct request_list {
    struct disk_request *first, *last;
};

void request_append(struct request_list *list, struct disk_request *request);
/* For requests that had their turn before and go again. */
void request_prepend(struct request_list *list, struct disk_request *request);
/* NULL when it is empty. */
struct disk_request *request_take(struct request_list *list);
/* A drive's text of length bytes without the blanks around it and what is not ASCII; cut to size. */
void drive_text(char *to, size_t size, const uint8_t *from, size_t length);
/* "64 MiB", "931 GiB": in buf. */
#define DRIVE_SIZE_TEXT 24
const char *drive_size(const struct disk *disk, char buf[DRIVE_SIZE_TEXT]);

/* What a drive in trouble has to say is told a few times, and then now and then. */
struct drive_said {
    unsigned lines;
    uint64_t since;
};
bool drive_may_say(struct drive_said *said);
/* A request failed for good; code is the device's own, or an errno. */
void drive_complain(struct drive_said *said, const struct disk *disk, const struct disk_request *request,
                    int code);

/*
 * The device was pulled out: what was read of its registers is all ones, or nobody answers in configuration
 * space.
 */
bool drive_is_gone(const struct pci_function *f, uint32_t value);

#endif
