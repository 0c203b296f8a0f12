/* sources: tests/unit/store_client.c dom0/store/node.c dom0/store/tree.c dom0/store/perms.c dom0/store/path.c dom0/store/transaction.c dom0/store/edit.c dom0/store/watch.c dom0/store/watched.c dom0/store/listen.c dom0/store/request.c dom0/store/client.c lib/printf.c */
/* dom0's own watches: who is called with what, in which order, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store_client.h"

static struct client *dom0, *one;
static long blocks_before;
/* What was told, each with a letter of the watch in front. */
static char heard[8192];
static struct store_watch *given_up;

static void hear(const char *path, void *arg)
{
    size_t n = strlen(heard);
    if (given_up) {
        store_unwatch(given_up);
        given_up = NULL;
    }
    /* The path stays good after that. */
    snprintf(heard + n, sizeof heard - n, "%s%s ", (const char *)arg, path);
}

/* All that waits, as text. */
static const char *news(void)
{
    heard[0] = '\0';
    while (listen_step())
        ;
    return heard;
}

static int start(void **state)
{
    (void)state;
    assert_true(tree_init());
    blocks_before = blocks;
    dom0 = client_new(0);
    one = client_new(1);
    assert_non_null(one);
    assert_int_equal(ask1(dom0, XS_MKDIR, 0, "/local/domain/1"), 0);
    assert_int_equal(ask2(dom0, XS_SET_PERMS, 0, "/local/domain/1", "n1"), 0);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    assert_false(listen_waiting());
    client_free(dom0);
    client_free(one);
    assert_true(tree_init());
    assert_int_equal(blocks, blocks_before);
    return 0;
}

static void changes_are_told_in_order(void **state)
{
    (void)state;
    struct store_watch *a = store_watch("/a", hear, "A"), *b = store_watch("/a/b", hear, "B");
    assert_string_equal(news(), "A/a B/a/b ");
    ask_write(dom0, 0, "/a/b", "1");
    ask_write(dom0, 0, "/a/c/d", "1");
    ask_write(dom0, 0, "/ab", "1");
    ask_write(dom0, 0, "/a/b/e", "1");
    /* The event of a watch's own path stands for what is below, too. */
    assert_string_equal(news(), "A/a/b B/a/b A/a/c/d A/a/b/e ");
    assert_string_equal(news(), "");
    /* Removing what is above is told below. */
    ask1(dom0, XS_RM, 0, "/a");
    assert_string_equal(news(), "A/a B/a/b ");
    store_unwatch(a);
    ask_write(dom0, 0, "/a/b", "1");
    assert_string_equal(news(), "B/a/b ");
    store_unwatch(b);
    ask_write(dom0, 0, "/a/b", "2");
    assert_string_equal(news(), "");
}

/* What stands beside, or only begins alike, is not told; the root hears all but what is special. */
static void only_what_is_above_is_told(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/x", "/x/yy", "/x/y/z", "/xy", "/x/y"};
    struct store_watch *w[sizeof paths / sizeof paths[0]];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        w[i] = store_watch(paths[i], hear, i ? "W" : "R");
    news();
    listen_fire("/x/y", false);
    assert_string_equal(news(), "R/x/y W/x/y W/x/y ");
    listen_fire("/x/y", true);
    assert_string_equal(news(), "W/x/y ");
    listen_fire("/", false);
    assert_string_equal(news(), "R/ ");
    listen_fire("@introduceDomain", true);
    assert_string_equal(news(), "");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        store_unwatch(w[i]);
}

static void domains_that_come_and_go_are_told(void **state)
{
    (void)state;
    struct store_watch *in = store_watch("@introduceDomain", hear, "I");
    struct store_watch *out = store_watch("@releaseDomain", hear, "R");
    assert_string_equal(news(), "I@introduceDomain R@releaseDomain ");
    watch_fire("@releaseDomain", NULL, true);
    assert_string_equal(news(), "R@releaseDomain ");
    watch_fire("@introduceDomain", NULL, true);
    assert_string_equal(news(), "I@introduceDomain ");
    store_unwatch(in);
    store_unwatch(out);
}

static void a_guests_changes_are_told_and_counted_once(void **state)
{
    (void)state;
    struct store_watch *w = store_watch("/local/domain/1/device", hear, "");
    news();
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask_write(one, 0, "device/vbd/51712/state", "3"), 0);
    assert_string_equal(news(), "/local/domain/1/device/vbd/51712/state ");
    /* More than are kept: look at everything. */
    for (int i = 0; i < 500; i++) {
        char path[64];
        snprintf(path, sizeof path, "device/%d", i);
        assert_int_equal(ask_write(one, 0, path, ""), 0);
    }
    assert_string_equal(strrchr(news(), '/'), "/device ");
    assert_int_equal(strstr(heard, "/device/63 ") != NULL, 1);
    assert_null(strstr(heard, "/device/64 "));
    ask_write(one, 0, "device/0", "again");
    assert_string_equal(news(), "/local/domain/1/device/0 ");
    store_unwatch(w);
}

static void nothing_is_lost_without_memory(void **state)
{
    (void)state;
    struct store_watch *w = store_watch("/a", hear, "");
    news();
    blocks_left = 0;
    listen_fire("/a/x", false);
    listen_fire("/a/y", false);
    assert_null(store_watch("/b", hear, ""));
    blocks_left = -1;
    assert_string_equal(news(), "/a ");
    assert_null(store_watch("not//a path", hear, ""));
    store_unwatch(w);
}

static void what_waits_goes_with_its_watch(void **state)
{
    (void)state;
    struct store_watch *a = store_watch("/a", hear, "A"), *b = store_watch("/a", hear, "B");
    assert_string_equal(news(), "A/a B/a ");
    ask_write(dom0, 0, "/a/x", "1");
    ask_write(dom0, 0, "/a/y", "1");
    store_unwatch(b);
    ask_write(dom0, 0, "/a/z", "1");
    assert_string_equal(news(), "A/a/x A/a/y A/a/z ");
    ask_write(dom0, 0, "/a", "1");
    store_unwatch(a);
}

static void a_call_may_give_up_its_own_watch(void **state)
{
    (void)state;
    given_up = store_watch("/a", hear, "A");
    assert_string_equal(news(), "A/a ");
    assert_null(given_up);
    /* Or another one, whose event waits. */
    struct store_watch *b = store_watch("/b", hear, "B");
    given_up = store_watch("/c", hear, "C");
    assert_string_equal(news(), "B/b ");
    store_unwatch(b);
}

/* --- a call that switches to a thread that gives the watch up ------------------------------------------- */

static sem_t called, go_on;
static pthread_t teller;
static bool returned;

static void switch_away(const char *path, void *arg)
{
    (void)path, (void)arg;
    sem_post(&called);
    sem_wait(&go_on);
    returned = true;
}

static void *tell(void *arg)
{
    (void)arg;
    listen_step();
    return NULL;
}

void thread_yield(void)
{
    sem_post(&go_on);
    pthread_join(teller, NULL);
}

static void giving_up_waits_for_the_call_under_way(void **state)
{
    (void)state;
    sem_init(&called, 0, 0);
    sem_init(&go_on, 0, 0);
    struct store_watch *watch = store_watch("/a", switch_away, NULL);
    assert_int_equal(pthread_create(&teller, NULL, tell, NULL), 0);
    sem_wait(&called);
    assert_false(returned);
    store_unwatch(watch);
    assert_true(returned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_are_told_in_order, start, finish),
        cmocka_unit_test_setup_teardown(only_what_is_above_is_told, start, finish),
        cmocka_unit_test_setup_teardown(domains_that_come_and_go_are_told, start, finish),
        cmocka_unit_test_setup_teardown(a_guests_changes_are_told_and_counted_once, start, finish),
        cmocka_unit_test_setup_teardown(nothing_is_lost_without_memory, start, finish),
        cmocka_unit_test_setup_teardown(what_waits_goes_with_its_watch, start, finish),
        cmocka_unit_test_setup_teardown(a_call_may_give_up_its_own_watch, start, finish),
        cmocka_unit_test_setup_teardown(giving_up_waits_for_the_call_under_way, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
