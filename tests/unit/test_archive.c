/* sources: dom0/kernel/archive.c */
/* The archive of files: good ones are read whole, bad ones up to where they are bad, and the reason is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../dom0/kernel/archive.h"

static uint8_t packed[4096];
static size_t packed_size;

static void add(const char *name, unsigned mode, const char *data)
{
    size_t name_size = strlen(name) + 1, size = strlen(data);
    char header[111];
    snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0,
             0, 1, 0, (unsigned)size, 0, 0, 0, 0, (unsigned)name_size, 0);
    memcpy(packed + packed_size, header, 110);
    memcpy(packed + packed_size + 110, name, name_size);
    packed_size = (packed_size + 110 + name_size + 3) & ~3ul;
    memcpy(packed + packed_size, data, size);
    packed_size = (packed_size + size + 3) & ~3ul;
}

static int pack(void **state)
{
    (void)state;
    memset(packed, 0, sizeof packed);
    packed_size = 0;
    add(".", 040755, "");
    add("./one", 0100644, "first");
    add("/dir/two", 0100644, "");
    add("link", 0120777, "one");
    add("three", 0100755, "third file");
    add("TRAILER!!!", 0, "");
    return 0;
}

/* Reads a copy that ends where its memory ends, so that a byte too far is seen. Returns how many files. */
static unsigned read_all(size_t size, const char **problem)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct archive archive = {copy, size, 0};
    struct file file;
    unsigned count = 0;
    memcpy(copy, packed, size);
    while (archive_next(&archive, &file, problem)) {
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < file.size; i++)
            sum += ((const uint8_t *)file.data)[i];
        assert_in_range(strlen(file.name), 1, size);
        count++;
    }
    free(copy);
    return count;
}

static void files_are_found(void **state)
{
    (void)state;
    struct archive archive = {packed, packed_size, 0};
    struct file file;
    const char *problem = "?";
    assert_true(archive_next(&archive, &file, &problem));
    assert_string_equal(file.name, "one");
    assert_int_equal(file.size, 5);
    assert_memory_equal(file.data, "first", 5);
    assert_true(archive_next(&archive, &file, &problem));
    assert_string_equal(file.name, "dir/two");
    assert_int_equal(file.size, 0);
    assert_true(archive_next(&archive, &file, &problem));
    assert_string_equal(file.name, "three");
    assert_false(archive_next(&archive, &file, &problem));
    assert_null(problem);
}

static void cut_anywhere(void **state)
{
    (void)state;
    const char *problem;
    for (size_t size = 0; size < packed_size - 3; size++) {
        unsigned count = read_all(size, &problem);
        assert_in_range(count, 0, 3);
        assert_non_null(problem);
    }
    assert_int_equal(read_all(packed_size, &problem), 3);
    assert_null(problem);
}

static void other_formats_are_named(void **state)
{
    (void)state;
    const char *problem;
    memcpy(packed, "\x1f\x8b\x08\0\0\0", 6);
    assert_int_equal(read_all(packed_size, &problem), 0);
    assert_non_null(strstr(problem, "compressed"));
    memcpy(packed, "\177ELF\2\1", 6);
    assert_int_equal(read_all(packed_size, &problem), 0);
    assert_non_null(strstr(problem, "newc"));
}

static void any_byte_may_be_wrong(void **state)
{
    (void)state;
    const char *problem;
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        pack(NULL);
        for (unsigned n = 0; n < 4; n++)
            packed[(size_t)rand() % packed_size] = (uint8_t)(rand() % 2 ? rand() : 'f');
        assert_in_range(read_all(packed_size, &problem), 0, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(files_are_found, pack),
        cmocka_unit_test_setup(cut_anywhere, pack),
        cmocka_unit_test_setup(other_formats_are_named, pack),
        cmocka_unit_test_setup(any_byte_may_be_wrong, pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
