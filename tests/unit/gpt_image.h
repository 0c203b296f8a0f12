/* Writes GUID partition tables into the bytes of a disk, for tests: right ones, which a test then spoils. */
#ifndef TESTS_UNIT_GPT_IMAGE_H
#define TESTS_UNIT_GPT_IMAGE_H

#include <stdint.h>

struct gpt_image {
    uint8_t *bytes;
    uint64_t sectors; /* of sector_size */
    uint32_t sector_size, entry_size, entry_count;
};

/* Protective record, both headers, empty tables of 16 KiB at most. */
void gpt_make(const struct gpt_image *image);
/*
 * Entry number index (from 0) of both tables, with sectors of the disk from first to last; without the
 * checksums.
 */
void gpt_put(const struct gpt_image *image, unsigned index, uint64_t first, uint64_t last, const char *label);
/* The same, and the checksums are made anew. */
void gpt_set(const struct gpt_image *image, unsigned index, uint64_t first, uint64_t last, const char *label);
uint8_t *gpt_header(const struct gpt_image *image, int backup);
uint8_t *gpt_entries(const struct gpt_image *image, int backup);
void gpt_checksums(const struct gpt_image *image, int backup);

#endif
