/* sources: lib/elf.c lib/why.c tests/unit/tool_below.c */
/*
 * Any bytes as a kernel: reading ends, and what it gives lies within the file and below 4 GiB, in segments
 * that do not overlap. Half of the inputs are a good kernel with bytes of its headers changed.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lib/elf.h>
#include "../unit/tool_below.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *file, size_t size, const struct elf_image *image)
{
    assert(image->entry >= image->start && image->entry < image->end);
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        assert(s->data >= file && s->file_size <= size && s->data + s->file_size <= file + size);
        assert(s->file_size <= s->memory_size && s->address + s->memory_size <= 1ull << 32);
        for (unsigned j = 0; j < i; j++) {
            const struct elf_segment *t = &image->segments[j];
            assert(s->address >= t->address + t->memory_size || t->address >= s->address + s->memory_size);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t kernel[1024];
    struct elf_image image;
    struct why why = {.text = ""};
    size_t length = make_kernel(kernel, 0x3000);
    if (size && data[0] & 1) {
        for (size_t i = 1; i + 1 < size && i < 16; i += 2)
            kernel[data[i]] = data[i + 1];
    } else {
        length = size < sizeof kernel ? size : sizeof kernel;
        memcpy(kernel, data, length);
        if (length > 4)
            memcpy(kernel, "\177ELF", 4);
    }
    /* The copy ends where the heap block does, so that reading past it is caught. */
    uint8_t *copy = malloc(length ? length : 1);
    memcpy(copy, kernel, length);
    if (elf_parse(copy, length, &image, &why))
        check(copy, length, &image);
    else
        assert(why.text[0]);
    free(copy);
    return 0;
}
