/* Partition tables for tests (gpt_image.h; UEFI 2.9, chapter 5). */
#include <string.h>
#include "gpt_image.h"

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (; bytes; bytes--, value >>= 8)
        *at++ = (uint8_t)value;
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

static uint32_t crc32(const uint8_t *data, uint64_t size)
{
    uint32_t crc = ~0u;
    for (uint64_t i = 0; i < size * 8; i++) {
        uint32_t bit = (crc ^ data[i / 8] >> i % 8) & 1;
        crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
    }
    return ~crc;
}

static uint64_t table_sectors(const struct gpt_image *image)
{
    uint64_t bytes = (uint64_t)image->entry_size * image->entry_count;
    return (bytes + image->sector_size - 1) / image->sector_size;
}

uint8_t *gpt_header(const struct gpt_image *image, int backup)
{
    return image->bytes + (backup ? image->sectors - 1 : 1) * image->sector_size;
}

static uint64_t entries_lba(const struct gpt_image *image, int backup)
{
    return backup ? image->sectors - 1 - table_sectors(image) : 2;
}

uint8_t *gpt_entries(const struct gpt_image *image, int backup)
{
    return image->bytes + entries_lba(image, backup) * image->sector_size;
}

void gpt_checksums(const struct gpt_image *image, int backup)
{
    uint8_t *header = gpt_header(image, backup);
    uint64_t bytes = get(header + 80, 4) * get(header + 84, 4), at = get(header + 72, 8);
    uint64_t size = image->sectors * image->sector_size;
    if (at < image->sectors && bytes <= size - at * image->sector_size)
        put(header + 88, crc32(image->bytes + at * image->sector_size, bytes), 4);
    uint32_t header_size = (uint32_t)get(header + 12, 4);
    put(header + 16, 0, 4);
    if (header_size <= image->sector_size)
        put(header + 16, crc32(header, header_size), 4);
}

static void make_header(const struct gpt_image *image, int backup)
{
    uint8_t *header = gpt_header(image, backup);
    uint64_t last = image->sectors - 1;
    memset(header, 0, image->sector_size);
    memcpy(header, "EFI PART", 8);
    put(header + 8, 0x10000, 4);
    put(header + 12, 92, 4);
    put(header + 24, backup ? last : 1, 8);
    put(header + 32, backup ? 1 : last, 8);
    put(header + 40, 2 + table_sectors(image), 8);
    put(header + 48, last - 1 - table_sectors(image), 8);
    put(header + 72, entries_lba(image, backup), 8);
    put(header + 80, image->entry_count, 4);
    put(header + 84, image->entry_size, 4);
    memset(gpt_entries(image, backup), 0, (size_t)image->entry_count * image->entry_size);
    gpt_checksums(image, backup);
}

void gpt_make(const struct gpt_image *image)
{
    memset(image->bytes, 0, image->sector_size);
    image->bytes[446 + 4] = 0xee;
    put(image->bytes + 446 + 8, 1, 4);
    put(image->bytes + 446 + 12, image->sectors - 1, 4);
    put(image->bytes + 510, 0xaa55, 2);
    make_header(image, 0);
    make_header(image, 1);
}

void gpt_put(const struct gpt_image *image, unsigned index, uint64_t first, uint64_t last, const char *label)
{
    for (int backup = 0; backup < 2; backup++) {
        uint8_t *entry = gpt_entries(image, backup) + index * image->entry_size;
        memset(entry, 0, image->entry_size);
        memset(entry, 0x11, 16);
        for (unsigned i = 0; i < 16; i++)
            entry[16 + i] = (uint8_t)(16 * index + i);
        put(entry + 32, first, 8);
        put(entry + 40, last, 8);
        for (unsigned i = 0; label[i] && i < 36; i++)
            put(entry + 56 + 2 * i, (uint8_t)label[i], 2);
    }
}

void gpt_set(const struct gpt_image *image, unsigned index, uint64_t first, uint64_t last, const char *label)
{
    gpt_put(image, index, first, last, label);
    gpt_checksums(image, 0);
    gpt_checksums(image, 1);
}
