/* sources: dom0/kernel/history.c dom0/store/ring.c */
/* The pages that dom0 shares with domains: console and store. Nothing that a domain writes there is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../dom0/kernel/history.h"
#include "../../dom0/store/store.h"

static struct xencons_interface console;
static struct xenstore_domain_interface store;
static struct history history;

static int clear(void **state)
{
    (void)state;
    memset(&console, 0, sizeof console);
    memset(&store, 0, sizeof store);
    memset(&history, 0, sizeof history);
    return 0;
}

static void say(const char *text)
{
    for (; *text; text++)
        console.out[MASK_XENCONS_IDX(console.out_prod++, console.out)] = *text;
}

static void output_is_kept(void **state)
{
    (void)state;
    char text[64] = {0};
    uint64_t at = 0;
    console.out_prod = console.out_cons = 0xfffffffe;
    say("hello");
    assert_int_equal(console_ring_drain(&console, &history, 3), 3);
    assert_int_equal(console_ring_drain(&console, &history, 100), 2);
    assert_int_equal(console_ring_drain(&console, &history, 100), 0);
    assert_int_equal(history_read(&history, &at, text, sizeof text), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(history_read(&history, &at, text, sizeof text), 0);
}

static void the_newest_is_kept(void **state)
{
    (void)state;
    static char big[3 * HISTORY_SIZE + 5], text[2 * HISTORY_SIZE];
    uint64_t at = 0;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7);
    history_add(&history, big, 5);
    history_add(&history, big + 5, sizeof big - 5);
    assert_int_equal(history_read(&history, &at, text, sizeof text), HISTORY_SIZE);
    assert_memory_equal(text, big + sizeof big - HISTORY_SIZE, HISTORY_SIZE);
}

static void console_indexes_are_not_believed(void **state)
{
    (void)state;
    console.out_prod = sizeof console.out + 1;
    assert_true(console_ring_drain(&console, &history, 100) < 0);
    console.out_prod = 0;
    console.out_cons = 1;
    assert_true(console_ring_drain(&console, &history, 100) < 0);
    console.in_cons = 1;
    assert_true(console_ring_input(&console, "x", 1) < 0);
    assert_int_equal(history.total, 0);
}

static void input_waits_for_room(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text);
    console.in_prod = console.in_cons = 0xfffffff0;
    assert_int_equal(console_ring_input(&console, text, sizeof text), sizeof console.in);
    assert_int_equal(console_ring_input(&console, text, 1), 0);
    console.in_cons++;
    assert_int_equal(console_ring_input(&console, text, 2), 1);
}

static void store_bytes_go_around(void **state)
{
    (void)state;
    char in[XENSTORE_RING_SIZE], out[XENSTORE_RING_SIZE + 1];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)(i * 3);
    store.rsp_prod = store.rsp_cons = 0xffffff03;
    assert_int_equal(ring_write(&store, in, sizeof in), XENSTORE_RING_SIZE);
    assert_int_equal(ring_write(&store, in, 1), 0);
    for (size_t i = 0; i < sizeof in; i++)
        assert_int_equal(store.rsp[MASK_XENSTORE_IDX(store.rsp_cons++)], in[i]);
    store.req_prod = store.req_cons = 0x7fffffff;
    for (size_t i = 0; i < sizeof in; i++)
        store.req[MASK_XENSTORE_IDX(store.req_prod++)] = in[i];
    assert_int_equal(ring_read(&store, out, 10), 10);
    assert_int_equal(ring_read(&store, out + 10, sizeof out - 10), sizeof in - 10);
    assert_memory_equal(out, in, sizeof in);
    assert_int_equal(ring_read(&store, out, 1), 0);
}

static void store_indexes_are_not_believed(void **state)
{
    (void)state;
    char out[16];
    store.req_prod = XENSTORE_RING_SIZE + 1;
    assert_int_equal(ring_read(&store, out, sizeof out), -XENSTORE_ERROR_RINGIDX);
    store.req_prod = 0xffffffff;
    assert_int_equal(ring_read(&store, out, sizeof out), -XENSTORE_ERROR_RINGIDX);
    store.rsp_cons = 1;
    assert_int_equal(ring_write(&store, out, sizeof out), -XENSTORE_ERROR_RINGIDX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(output_is_kept, clear),
        cmocka_unit_test_setup(the_newest_is_kept, clear),
        cmocka_unit_test_setup(console_indexes_are_not_believed, clear),
        cmocka_unit_test_setup(input_waits_for_room, clear),
        cmocka_unit_test_setup(store_bytes_go_around, clear),
        cmocka_unit_test_setup(store_indexes_are_not_believed, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
