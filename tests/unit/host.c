/*
 * Linked into every unit test: what the host's C library may lack of lib/string.h, and the choice of one
 * test.
 *
 * TEST=name in the environment runs only that test of the file; tests/conftest.py does so for each one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

size_t strlcpy(char *to, const char *from, size_t size);

/* Weak: a newer C library or lib/string.c itself has it. */
__attribute__((weak)) size_t strlcpy(char *to, const char *from, size_t size)
{
    size_t length = strlen(from);
    if (size != 0) {
        size_t copied = length < size ? length : size - 1;
        memcpy(to, from, copied);
        to[copied] = '\0';
    }
    return length;
}

__attribute__((constructor)) static void choose_test(void)
{
    const char *name = getenv("TEST");
    if (name != NULL)
        cmocka_set_test_filter(name);
}
