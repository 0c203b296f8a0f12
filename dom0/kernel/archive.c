/*
 * The newc reader (archive.h). A member is a header of 13 hexadecimal fields, its name and its data, each
 * padded to four bytes; a member named TRAILER!!! ends the archive. No state but the caller's, no locking.
 */
#include <lib/string.h>
#include "archive.h"

#define HEADER_SIZE  110
#define FIELD_MODE   1
#define FIELD_SIZE   6
#define FIELD_NAME   11
#define MODE_MASK    0170000
#define MODE_REGULAR 0100000

static const char not_newc[] = "not a newc archive: pack it with `cpio -o -H newc`";
static const char compressed[] = "compressed: unpack it first, dom0 reads plain newc archives";
static const char cut_short[] =
    "cut short: the files before the cut are there, pack or copy it again for the rest";
static const char damaged[] =
    "damaged: the files before the damage are there, pack or copy it again for the rest";

static bool hex_field(const uint8_t *header, unsigned index, uint32_t *value)
{
    const uint8_t *digits = header + 6 + 8 * index;
    *value = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t c = digits[i] | 0x20;
        uint32_t digit = c >= '0' && c <= '9'   ? c - (uint32_t)'0'
                         : c >= 'a' && c <= 'f' ? c - (uint32_t)'a' + 10
                                                : 16;
        if (digit == 16)
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

static bool is_magic(const uint8_t *p)
{
    return !memcmp(p, "070701", 6) || !memcmp(p, "070702", 6);
}

static const char *why_not_newc(const struct archive *a)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, xz[] = {0xfd, '7', 'z'}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (a->at)
        return damaged;
    if (a->size >= 4 && (!memcmp(a->data, gzip, 2) || !memcmp(a->data, xz, 3) || !memcmp(a->data, zstd, 4)))
        return compressed;
    return not_newc;
}

static uint64_t align4(uint64_t n)
{
    return (n + 3) & ~3ull;
}

static const char *plain_name(const char *name)
{
    while (name[0] == '/' || (name[0] == '.' && name[1] == '/'))
        name += name[0] == '/' ? 1 : 2;
    return name;
}

bool archive_next(struct archive *a, struct file *file, const char **problem)
{
    for (;;) {
        const uint8_t *header = a->data + a->at;
        uint32_t mode, size, name_size;
        size_t left = a->size - a->at;
        *problem = cut_short;
        if (left >= 6 && !is_magic(header))
            *problem = why_not_newc(a);
        if (left < HEADER_SIZE || !is_magic(header))
            return false;
        *problem = damaged;
        if (!hex_field(header, FIELD_MODE, &mode) || !hex_field(header, FIELD_SIZE, &size) ||
            !hex_field(header, FIELD_NAME, &name_size) || !name_size)
            return false;
        uint64_t data_at = align4((uint64_t)a->at + HEADER_SIZE + name_size);
        uint64_t end = data_at + size;
        *problem = cut_short;
        if (end > a->size)
            return false;
        const char *name = (const char *)header + HEADER_SIZE;
        *problem = damaged;
        if (name[name_size - 1])
            return false;
        *problem = NULL;
        if (!strcmp(name, "TRAILER!!!"))
            return false;
        /* The padding of the last member may be missing. */
        a->at = align4(end) < a->size ? align4(end) : a->size;
        if ((mode & MODE_MASK) != MODE_REGULAR)
            continue;
        *file = (struct file){.name = plain_name(name), .data = a->data + data_at, .size = size};
        return true;
    }
}
