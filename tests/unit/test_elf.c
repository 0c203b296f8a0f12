/* sources: lib/elf.c lib/why.c tests/unit/tool_below.c */
/* Guests' kernels as ELF files: a good one is understood, of a bad one the reason is told and nothing is
 * believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lib/elf.h>
#include "tool_below.h"
#include <cmocka.h> /* after lib/why.h, whose fail() it makes a macro of */

enum { PHDR = 64, PHDR_SIZE = 56, NOTE = 200 };

static struct why why;
static struct elf_image image;

/* Parses a copy that ends where the heap block ends, so that reading past it is caught. */
static bool parse(const uint8_t *file, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, file, size);
    why.text[0] = '\0';
    bool ok = elf_parse(copy, size, &image, &why);
    for (unsigned i = 0; ok && i < image.segment_count; i++) {
        assert_true(image.segments[i].data >= copy);
        assert_true(image.segments[i].data + image.segments[i].file_size <= copy + size);
        assert_true(image.segments[i].file_size <= image.segments[i].memory_size);
        assert_true(image.segments[i].address + image.segments[i].memory_size <= 1ull << 32);
    }
    free(copy);
    return ok;
}

static void put(uint8_t *file, unsigned at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        file[at + i] = (uint8_t)(value >> (8 * i));
}

static void good_kernel(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t size = make_kernel(file, 0x3000);
    assert_true(parse(file, size));
    assert_int_equal(image.bits, 64);
    assert_int_equal(image.entry, 0x200010);
    assert_int_equal(image.start, 0x200000);
    assert_int_equal(image.end, 0x203000);
    assert_int_equal(image.segment_count, 1);
}

static void good_32_bit_kernel(void **state)
{
    (void)state;
    uint8_t file[512] = {0};
    memcpy(file, "\177ELF\1\1\1", 7);
    put(file, 18, 3, 2);
    put(file, 28, 52, 4);
    put(file, 42, 32, 2);
    put(file, 44, 2, 2);
    put(file, 52, 1, 4); /* PT_LOAD: offset, vaddr, paddr, filesz, memsz */
    put(file, 56, 256, 4);
    put(file, 64, 0x100000, 4);
    put(file, 68, 256, 4);
    put(file, 72, 512, 4);
    put(file, 84, 4, 4); /* PT_NOTE */
    put(file, 88, 128, 4);
    put(file, 100, 20, 4);
    put(file, 128, 4, 4);
    put(file, 132, 4, 4);
    put(file, 136, 18, 4);
    memcpy(file + 140, "Xen", 4);
    put(file, 144, 0x100020, 4);
    assert_true(parse(file, sizeof file));
    assert_int_equal(image.bits, 32);
    assert_int_equal(image.entry, 0x100020);
}

static void expect(const uint8_t *file, size_t size, const char *start)
{
    assert_false(parse(file, size));
    if (strncmp(why.text, start, strlen(start)))
        assert_string_equal(why.text, start);
}

static void reasons(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t size = make_kernel(file, 0x3000);
    put(file, NOTE + 8, 17, 4);
    expect(file, size, "not a PVH kernel: the note PHYS32_ENTRY is missing");
    make_kernel(file, 0x3000);
    put(file, 18, 183, 2);
    expect(file, size, "an ELF file for another processor");
    make_kernel(file, 0x3000);
    put(file, NOTE + 16, 0x300000, 4);
    expect(file, size, "damaged ELF: the entry point 0x300000 lies outside");
    make_kernel(file, 0x3000);
    put(file, PHDR + 24, 0xffffffff81000000, 8);
    expect(file, size, "damaged ELF, or not a kernel: a segment goes to 0xffffffff81000000");
    make_kernel(file, 0x100);
    expect(file, size, "damaged ELF: a segment is larger in the file than in memory");
    make_kernel(file, 0x3000);
    expect(file, 500, "cut short: a segment ends at byte 768 of a file of 500");
    expect(file, 100, "cut short: it ends within the program headers");
    expect(file, 40, "cut short: it ends within the ELF header");
    expect(file, 0, "an empty file");
    memset(file, 0, sizeof file);
    memcpy(file + 0x202, "HdrS", 4);
    expect(file, sizeof file, "a bzImage");
    memcpy(file, "\x1f\x8b\x08", 3);
    memset(file + 0x202, 0, 4);
    expect(file, sizeof file, "compressed with gzip");
}

static void every_truncation(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t size = make_kernel(file, 0x3000);
    for (size_t n = 0; n < size; n++)
        assert_false(parse(file, n));
}

/* Any bytes in the headers: parsing ends, and what it gives is within the file. */
static void random_headers(void **state)
{
    (void)state;
    uint8_t file[1024];
    srand(1);
    for (int i = 0; i < 200000; i++) {
        size_t size = make_kernel(file, 0x3000);
        for (int n = 1 + rand() % 6; n > 0; n--) {
            int at = rand() % 256;
            file[at] = rand() % 3 ? (uint8_t)rand() : (uint8_t)(rand() % 2 ? 0xff : 0);
        }
        parse(file, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_kernel),      cmocka_unit_test(good_32_bit_kernel), cmocka_unit_test(reasons),
        cmocka_unit_test(every_truncation), cmocka_unit_test(random_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
