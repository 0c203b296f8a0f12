/* sources: */
/* Copies of lib/string.c, of every small length, alignment and distance, beside a loop that copies bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* The host's own have these names. */
#define memcpy  our_memcpy
#define memmove our_memmove
#define memset  our_memset
#define memcmp  our_memcmp
#define memchr  our_memchr
#define strlen  our_strlen
#define strnlen our_strnlen
#define strcmp  our_strcmp
#define strncmp our_strncmp
#define strchr  our_strchr
#define strrchr our_strrchr
#define strstr  our_strstr
#define strlcpy our_strlcpy
#include "../../lib/string.c"
#undef memcpy
#undef memset

#define ROOM 160u
#define MOST 72u

static void fill(uint8_t *room)
{
    for (unsigned i = 0; i < ROOM; i++)
        room[i] = (uint8_t)(i * 7 + 1);
}

static void assert_same(const uint8_t *is, const uint8_t *should)
{
    for (unsigned i = 0; i < ROOM; i++)
        assert_int_equal(is[i], should[i]);
}

static void test_copies(void **state)
{
    uint8_t from[ROOM], to[ROOM], should[ROOM];
    (void)state;
    fill(from);
    for (unsigned n = 0; n <= MOST; n++)
        for (unsigned a = 0; a < 8; a++)
            for (unsigned b = 0; b < 8; b++) {
                memset(to, 0, ROOM);
                memset(should, 0, ROOM);
                for (unsigned i = 0; i < n; i++)
                    should[b + i] = from[a + i];
                assert_ptr_equal(our_memcpy(to + b, from + a, n), to + b);
                assert_same(to, should);
            }
}

static void test_overlaps(void **state)
{
    uint8_t room[ROOM], should[ROOM], from[ROOM];
    (void)state;
    fill(from);
    for (unsigned n = 0; n <= MOST; n++)
        for (unsigned to = 0; to <= 40; to++) {
            fill(room);
            fill(should);
            for (unsigned i = 0; i < n; i++)
                should[to + i] = from[20 + i];
            our_memmove(room + to, room + 20, n);
            assert_same(room, should);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies), cmocka_unit_test(test_overlaps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
