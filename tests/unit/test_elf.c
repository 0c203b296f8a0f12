/* sources: hv/elf.c */
/* dom0's kernel as an ELF file: good ones are understood, and no byte of a bad one is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/elf.h>

/* A 64-bit kernel: one loadable segment at 2 MiB and the PVH note. Fields are at the offsets that ELF-64 gives them. */
enum { PHDR = 64, PHDR_SIZE = 56, TEXT = 256, NOTE = 200, FILE_SIZE = 512 };

static void put(uint8_t *file, unsigned at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        file[at + i] = (uint8_t)(value >> (8 * i));
}

static void make_kernel(uint8_t file[FILE_SIZE])
{
    memset(file, 0, FILE_SIZE);
    memcpy(file, "\177ELF\2\1\1", 7);
    put(file, 18, 62, 2);   /* machine */
    put(file, 32, PHDR, 8); /* phoff */
    put(file, 54, PHDR_SIZE, 2);
    put(file, 56, 2, 2); /* phnum */
    put(file, PHDR, 1, 4); /* PT_LOAD: offset, paddr, filesz, memsz */
    put(file, PHDR + 8, TEXT, 8);
    put(file, PHDR + 24, 0x200000, 8);
    put(file, PHDR + 32, 0x100, 8);
    put(file, PHDR + 40, 0x1800, 8);
    put(file, PHDR + PHDR_SIZE, 4, 4); /* PT_NOTE */
    put(file, PHDR + PHDR_SIZE + 8, NOTE, 8);
    put(file, PHDR + PHDR_SIZE + 32, 20, 8);
    put(file, PHDR + PHDR_SIZE + 40, 20, 8);
    put(file, NOTE, 4, 4);
    put(file, NOTE + 4, 4, 4);
    put(file, NOTE + 8, 18, 4);
    memcpy(file + NOTE + 12, "Xen", 4);
    put(file, NOTE + 16, 0x200010, 4);
}

/* Parses a copy that ends where the heap block ends, so that reading past it is caught. */
static const char *parse(const uint8_t *file, size_t size, struct elf_image *image)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, file, size);
    const char *error = elf_parse(copy, size, image);
    free(copy);
    return error;
}

static void good_kernel(void **state)
{
    (void)state;
    uint8_t file[FILE_SIZE];
    struct elf_image image;
    make_kernel(file);
    assert_null(parse(file, sizeof file, &image));
    assert_int_equal(image.segments, 1);
    assert_int_equal(image.start, 0x200000);
    assert_int_equal(image.end, 0x202000);
    assert_int_equal(image.entry, 0x200010);
}

static void each_lie_is_named(void **state)
{
    (void)state;
    static const struct {
        unsigned at, bytes;
        uint64_t value;
        const char *error;
    } lies[] = {
        {0, 1, 0, "no ELF"},
        {18, 2, 183, "another processor"},
        {32, 8, UINT64_MAX - 8, "outside the file"},
        {54, 2, 8, "too small"},
        {56, 2, 0xffff, "outside the file"},
        {56, 2, 0, "nothing to load"},
        {PHDR + 8, 8, UINT64_MAX, "cut short"},
        {PHDR + 24, 8, UINT64_MAX - 16, "above 4 GiB"},
        {PHDR + 24, 8, 0xfffff000, "above 4 GiB"},
        {PHDR + 32, 8, 0x10000, "cut short"},
        {PHDR + 40, 8, 0x10, "larger in the file"},
        {NOTE + 8, 4, 17, "no PVH entry"},
        {NOTE, 4, 0xfffffff0, "no PVH entry"},
        {NOTE + 4, 4, 0xfffffff0, "no PVH entry"},
        {NOTE + 16, 4, 0x300000, "outside its segments"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        uint8_t file[FILE_SIZE];
        struct elf_image image;
        make_kernel(file);
        put(file, lies[i].at, lies[i].value, lies[i].bytes);
        const char *error = parse(file, sizeof file, &image);
        assert_non_null(error);
        assert_non_null(strstr(error, lies[i].error));
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    uint8_t file[FILE_SIZE];
    struct elf_image image;
    make_kernel(file);
    for (size_t size = 0; size < TEXT + 0x100; size++)
        assert_non_null(parse(file, size, &image));
}

static void noise_never_crashes(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        uint8_t file[FILE_SIZE];
        struct elf_image image;
        make_kernel(file);
        for (int i = 0; i < 4; i++)
            file[rand() % (PHDR + 3 * PHDR_SIZE)] = (uint8_t)rand();
        if (parse(file, sizeof file, &image) == NULL)
            assert_true(image.entry >= image.start && image.entry < image.end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_kernel),
        cmocka_unit_test(each_lie_is_named),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(noise_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
