/* sources: tests/unit/store_client.c dom0/store/node.c dom0/store/tree.c dom0/store/perms.c dom0/store/path.c dom0/store/transaction.c dom0/store/edit.c dom0/store/watch.c dom0/store/watched.c dom0/store/listen.c dom0/store/request.c dom0/store/client.c lib/printf.c */
/* The xenstore server through its wire protocol: tree, permissions, transactions, watches, limits, bad
 * requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store_client.h"

static struct client *dom0, *one, *two;
static long blocks_before;

static int start(void **state)
{
    (void)state;
    assert_true(tree_init());
    blocks_before = blocks;
    dom0 = client_new(0);
    one = client_new(1);
    two = client_new(2);
    assert_non_null(two);
    for (unsigned domid = 1; domid <= 2; domid++) {
        char path[32], owner[8];
        snprintf(path, sizeof path, "/local/domain/%u", domid);
        snprintf(owner, sizeof owner, "n%u", domid);
        assert_int_equal(ask1(dom0, XS_MKDIR, 0, path), 0);
        assert_int_equal(ask2(dom0, XS_SET_PERMS, 0, path, owner), 0);
    }
    return 0;
}

/* Nothing that was allocated may be left but an empty tree. */
static int finish(void **state)
{
    (void)state;
    while (next_event(dom0, NULL) || next_event(one, NULL) || next_event(two, NULL))
        ;
    client_free(dom0);
    client_free(one);
    client_free(two);
    assert_true(tree_init());
    assert_int_equal(blocks, blocks_before);
    return 0;
}

static void assert_value(struct client *client, const char *path, const char *value)
{
    assert_int_equal(ask1(client, XS_READ, 0, path), 0);
    assert_string_equal(answer.data, value);
    assert_int_equal(answer.length, strlen(value));
}

static void values_are_kept(void **state)
{
    (void)state;
    assert_int_equal(ask_write(dom0, 0, "/a/b/c", "hello"), 0);
    assert_string_equal(answer.data, "OK");
    assert_value(dom0, "/a/b/c", "hello");
    assert_value(dom0, "/a", "");
    assert_int_equal(ask_write(dom0, 0, "/a/b/c", "other"), 0);
    assert_value(dom0, "/a/b/c", "other");
    assert_int_equal(ask1(dom0, XS_READ, 0, "/a/b/d"), XEN_ENOENT);
    assert_int_equal(ask1(dom0, XS_MKDIR, 0, "/a/b/c"), 0);
    assert_value(dom0, "/a/b/c", "other");
}

static void relative_paths_are_the_domains_own(void **state)
{
    (void)state;
    assert_int_equal(ask_write(one, 0, "data/x", "1"), 0);
    assert_value(dom0, "/local/domain/1/data/x", "1");
    assert_int_equal(ask1(one, XS_GET_DOMAIN_PATH, 0, "7"), 0);
    assert_string_equal(answer.data, "/local/domain/7");
}

static void directories_list_their_children(void **state)
{
    (void)state;
    ask_write(dom0, 0, "/d/x", "");
    ask_write(dom0, 0, "/d/yy", "");
    ask_write(dom0, 0, "/d/x/z", "");
    assert_int_equal(ask1(dom0, XS_DIRECTORY, 0, "/d"), 0);
    assert_int_equal(answer.length, 5);
    assert_memory_equal(answer.data, "x\0yy", 5);
    assert_int_equal(ask1(dom0, XS_RM, 0, "/d/x"), 0);
    assert_int_equal(ask1(dom0, XS_DIRECTORY, 0, "/d"), 0);
    assert_int_equal(answer.length, 3);
    assert_int_equal(ask1(dom0, XS_READ, 0, "/d/x/z"), XEN_ENOENT);
    assert_int_equal(ask1(dom0, XS_DIRECTORY, 0, "/d/yy"), 0);
    assert_int_equal(answer.length, 0);
}

static void long_directories_come_in_parts(void **state)
{
    (void)state;
    char name[64], seen[700] = {0};
    for (unsigned i = 0; i < 700; i++) {
        snprintf(name, sizeof name, "/d/child-%03u", i);
        assert_int_equal(ask_write(dom0, 0, name, ""), 0);
    }
    assert_int_equal(ask1(dom0, XS_DIRECTORY, 0, "/d"), XEN_E2BIG);
    size_t from = 0;
    for (bool last = false; !last;) {
        snprintf(name, sizeof name, "%zu", from);
        assert_int_equal(ask2(dom0, XS_DIRECTORY_PART, 0, "/d", name), 0);
        size_t at = strlen(answer.data) + 1;
        for (; at < answer.length && answer.data[at]; at += strlen(answer.data + at) + 1) {
            seen[atoi(answer.data + at + 6)]++;
            from += strlen(answer.data + at) + 1;
        }
        last = at < answer.length;
    }
    for (unsigned i = 0; i < 700; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(ask2(dom0, XS_DIRECTORY_PART, 0, "/d", "3"), XEN_EINVAL);
    assert_int_equal(ask2(dom0, XS_DIRECTORY_PART, 0, "/d", "99999999999999999999"), XEN_EINVAL);
}

static void removing(void **state)
{
    (void)state;
    assert_int_equal(ask1(dom0, XS_RM, 0, "/"), XEN_EINVAL);
    assert_int_equal(ask1(dom0, XS_RM, 0, "/nothing"), 0);
    assert_int_equal(ask1(dom0, XS_RM, 0, "/nothing/below"), XEN_ENOENT);
    char deep[2000] = "/e";
    while (strlen(deep) < sizeof deep - 3)
        strcat(deep, "/e");
    assert_int_equal(ask_write(dom0, 0, deep, "x"), 0);
    assert_int_equal(ask1(dom0, XS_RM, 0, "/e"), 0);
    assert_int_equal(ask1(dom0, XS_READ, 0, deep), XEN_ENOENT);
}

static void permissions(void **state)
{
    (void)state;
    assert_int_equal(ask_write(one, 0, "secret", "s"), 0);
    assert_int_equal(ask1(two, XS_READ, 0, "/local/domain/1/secret"), XEN_EACCES);
    assert_int_equal(ask1(two, XS_READ, 0, "/local/domain/1/absent"), XEN_EACCES);
    assert_int_equal(ask1(one, XS_READ, 0, "absent"), XEN_ENOENT);
    assert_int_equal(ask_write(two, 0, "/local/domain/1/secret", "t"), XEN_EACCES);
    assert_int_equal(ask_write(one, 0, "/local/new", "t"), XEN_EACCES);
    assert_int_equal(ask(one, XS_SET_PERMS, 0, "secret\0n1\0r2", 13), 0);
    assert_value(two, "/local/domain/1/secret", "s");
    assert_int_equal(ask_write(two, 0, "/local/domain/1/secret", "t"), XEN_EACCES);
    assert_int_equal(ask1(two, XS_GET_PERMS, 0, "/local/domain/1/secret"), 0);
    assert_memory_equal(answer.data, "n1\0r2", 6);
    assert_int_equal(ask2(two, XS_SET_PERMS, 0, "/local/domain/1/secret", "b2"), XEN_EACCES);
    assert_int_equal(ask2(one, XS_SET_PERMS, 0, "secret", "b2"), XEN_EPERM);
    assert_int_equal(ask2(one, XS_SET_PERMS, 0, "secret", "w1"), 0);
    assert_int_equal(ask_write(two, 0, "/local/domain/1/secret", "t"), 0);
    assert_int_equal(ask1(two, XS_READ, 0, "/local/domain/1/secret"), XEN_EACCES);
    /* Who makes a node owns it. */
    assert_int_equal(ask_write(two, 0, "/local/domain/1/secret/mine", "m"), 0);
    assert_int_equal(ask1(two, XS_GET_PERMS, 0, "/local/domain/1/secret/mine"), 0);
    assert_string_equal(answer.data, "w2");
}

static void malformed_permissions(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "r", "x1", "r1x", "r-1", "r99999", "r32752"};
    assert_int_equal(ask_write(one, 0, "p", ""), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ask2(one, XS_SET_PERMS, 0, "p", bad[i]), XEN_EINVAL);
    assert_int_equal(ask(one, XS_SET_PERMS, 0, "p\0n1", 4), XEN_EINVAL);
    assert_int_equal(ask(one, XS_SET_PERMS, 0, "p", 2), XEN_EINVAL);
    assert_int_equal(ask(one, XS_SET_PERMS, 0, "p\0n1\0r2\0r3\0r4\0r5\0r6", 20), XEN_ENOSPC);
}

static void transactions_are_isolated(void **state)
{
    (void)state;
    ask_write(one, 0, "a", "old");
    uint32_t t = ask_start(one);
    assert_int_not_equal(t, 0);
    assert_int_equal(ask_write(one, t, "a", "new"), 0);
    assert_int_equal(ask_write(one, t, "b", "made"), 0);
    assert_value(one, "a", "old");
    assert_int_equal(ask1(one, XS_READ, 0, "b"), XEN_ENOENT);
    assert_int_equal(ask1(one, XS_READ, t, "a"), 0);
    assert_string_equal(answer.data, "new");
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "T"), 0);
    assert_value(one, "a", "new");
    assert_value(one, "b", "made");
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "T"), XEN_ENOENT);
    t = ask_start(one);
    assert_int_equal(ask1(one, XS_RM, t, "b"), 0);
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "F"), 0);
    assert_value(one, "b", "made");
}

static void conflicts_are_seen(void **state)
{
    (void)state;
    ask_write(one, 0, "a", "1");
    uint32_t t = ask_start(one);
    assert_int_equal(ask1(one, XS_READ, t, "a"), 0);
    assert_int_equal(ask_write(one, t, "b", answer.data), 0);
    ask_write(dom0, 0, "/local/domain/1/a", "2");
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "T"), XEN_EAGAIN);
    assert_int_equal(ask1(one, XS_READ, 0, "b"), XEN_ENOENT);
    /* What others do elsewhere is no conflict. */
    t = ask_start(one);
    assert_int_equal(ask_write(one, t, "b", "2"), 0);
    ask_write(two, 0, "a", "2");
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "T"), 0);
    /* A node that was looked for in vain and came to be is one. */
    t = ask_start(one);
    assert_int_equal(ask1(one, XS_READ, t, "c"), XEN_ENOENT);
    assert_int_equal(ask_write(one, t, "d", ""), 0);
    ask_write(dom0, 0, "/local/domain/1/c", "2");
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "T"), XEN_EAGAIN);
}

static void transactions_belong_to_their_client(void **state)
{
    (void)state;
    uint32_t t = ask_start(one);
    assert_int_equal(ask1(two, XS_TRANSACTION_END, t, "T"), XEN_ENOENT);
    assert_int_equal(ask1(one, XS_TRANSACTION_START, t, ""), XEN_EBUSY);
    assert_int_equal(ask1(one, XS_TRANSACTION_END, t, "X"), XEN_EINVAL);
    assert_int_equal(ask(one, XS_TRANSACTION_END, t, "T", 1), XEN_EINVAL);
    assert_int_equal(ask1(one, XS_TRANSACTION_END, 0, "T"), XEN_ENOENT);
    assert_int_equal(ask1(one, XS_READ, t + 1, "a"), XEN_ENOENT);
}

static void watches_fire(void **state)
{
    (void)state;
    char token[64];
    assert_int_equal(ask2(one, XS_WATCH, 0, "dir", "tok"), 0);
    assert_string_equal(next_event(one, token), "dir");
    assert_string_equal(token, "tok");
    assert_null(next_event(one, NULL));
    ask_write(one, 0, "dir/x", "1");
    assert_string_equal(next_event(one, NULL), "dir/x");
    ask_write(one, 0, "dirt", "1");
    assert_null(next_event(one, NULL));
    assert_int_equal(ask2(one, XS_WATCH, 0, "/local/domain/1/dir/x", "abs"), 0);
    assert_string_equal(next_event(one, NULL), "/local/domain/1/dir/x");
    /* Removing a parent is told to those who watch below it. */
    ask1(dom0, XS_RM, 0, "/local/domain/1/dir");
    bool seen = false;
    for (const char *path; (path = next_event(one, token));)
        seen |= !strcmp(path, "/local/domain/1/dir/x") && !strcmp(token, "abs");
    assert_true(seen);
    assert_int_equal(ask2(one, XS_WATCH, 0, "dir", "tok"), XEN_EEXIST);
    assert_int_equal(ask2(one, XS_UNWATCH, 0, "dir", "other"), XEN_ENOENT);
    assert_int_equal(ask2(one, XS_UNWATCH, 0, "dir", "tok"), 0);
    ask_write(one, 0, "dir", "1");
    assert_null(next_event(one, NULL));
}

static void watches_tell_nobody_what_he_may_not_read(void **state)
{
    (void)state;
    assert_int_equal(ask2(two, XS_WATCH, 0, "/local/domain/1", "spy"), 0);
    assert_non_null(next_event(two, NULL));
    ask_write(one, 0, "secret", "s");
    ask1(one, XS_RM, 0, "secret");
    assert_null(next_event(two, NULL));
    assert_int_equal(ask2(two, XS_WATCH, 0, "@releaseDomain", "spy"), 0);
    assert_non_null(next_event(two, NULL));
    watch_fire("@releaseDomain", NULL, true);
    assert_null(next_event(two, NULL));
}

static void transactions_fire_at_their_end(void **state)
{
    (void)state;
    assert_int_equal(ask2(dom0, XS_WATCH, 0, "/local/domain/1", "w"), 0);
    assert_non_null(next_event(dom0, NULL));
    uint32_t t = ask_start(one);
    ask_write(one, t, "a", "1");
    ask_write(one, t, "b", "1");
    assert_null(next_event(dom0, NULL));
    ask1(one, XS_TRANSACTION_END, t, "T");
    assert_string_equal(next_event(dom0, NULL), "/local/domain/1/a");
    assert_string_equal(next_event(dom0, NULL), "/local/domain/1/b");
    assert_null(next_event(dom0, NULL));
}

static void limits_hold(void **state)
{
    (void)state;
    char name[64], big[LIMIT_NODE_SIZE + 2];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_int_equal(ask_write(one, 0, "big", big), XEN_ENOSPC);
    assert_int_equal(ask_write(dom0, 0, "/big", big), 0);
    unsigned made = 0;
    int error = 0;
    for (; !error && made < 2 * LIMIT_NODES; made++) {
        snprintf(name, sizeof name, "n/%u/%u", made / 50, made);
        error = ask_write(one, 0, name, "");
    }
    assert_int_equal(error, XEN_ENOSPC);
    assert_in_range(made, LIMIT_NODES / 2, LIMIT_NODES);
    assert_int_equal(ask_write(two, 0, "fine", ""), 0);
    assert_int_equal(ask1(one, XS_RM, 0, "n"), 0);
    assert_int_equal(ask_write(one, 0, "fine", ""), 0);
    for (unsigned i = 0; i < LIMIT_WATCHES; i++) {
        snprintf(name, sizeof name, "%u", i);
        assert_int_equal(ask2(one, XS_WATCH, 0, name, name), 0);
    }
    assert_int_equal(ask2(one, XS_WATCH, 0, "more", "more"), XEN_E2BIG);
    for (unsigned i = 0; i < LIMIT_TRANSACTIONS; i++)
        assert_int_not_equal(ask_start(one), 0);
    assert_int_equal(ask_start(one), 0);
    assert_int_equal(ask1(one, XS_RESET_WATCHES, 0, ""), 0);
    assert_int_not_equal(ask_start(one), 0);
    assert_int_equal(ask2(one, XS_WATCH, 0, "more", "more"), 0);
}

static void unread_events_are_bounded(void **state)
{
    (void)state;
    char name[64];
    ask2(one, XS_WATCH, 0, "", "w");
    ask2(one, XS_WATCH, 0, "/local/domain/1", "w");
    for (unsigned i = 0; i < 2 * LIMIT_EVENTS; i++) {
        snprintf(name, sizeof name, "/local/domain/1/%u", i);
        ask_write(dom0, 0, name, "");
        assert_in_range(one->event_count, 0, LIMIT_EVENTS);
    }
    while (next_event(one, NULL))
        ;
    ask_write(dom0, 0, "/local/domain/1/0", "a");
    ask_write(dom0, 0, "/local/domain/1/0", "b");
    assert_non_null(next_event(one, NULL));
    assert_null(next_event(one, NULL));
}

static void a_domain_that_is_gone_leaves_nothing(void **state)
{
    (void)state;
    ask_write(one, 0, "mine/deep", "");
    ask2(dom0, XS_MKDIR, 0, "/shared", "");
    ask1(dom0, XS_MKDIR, 0, "/shared");
    ask(dom0, XS_SET_PERMS, 0, "/shared\0n0\0b1\0r2", 17);
    ask_write(one, 0, "/shared/mine", "");
    edit_forget_domain(dom0, 1);
    assert_int_equal(ask1(dom0, XS_READ, 0, "/local/domain/1"), XEN_ENOENT);
    assert_int_equal(ask1(dom0, XS_READ, 0, "/shared/mine"), XEN_ENOENT);
    ask1(dom0, XS_GET_PERMS, 0, "/shared");
    assert_int_equal(answer.length, 6);
    assert_memory_equal(answer.data, "n0\0r2", 6);
    assert_int_equal(tree_usage(1)->nodes, 0);
}

static void bad_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/a//b", "/a/", "//", "/a b", "/\x80", "/a\n", "a/", "@x", "/a:b"};
    char path[XENSTORE_PAYLOAD_MAX];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ask1(dom0, XS_READ, 0, bad[i]), XEN_EINVAL);
        assert_int_equal(ask_write(dom0, 0, bad[i], "x"), XEN_EINVAL);
    }
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[XENSTORE_ABS_PATH_MAX + 1] = '\0';
    assert_int_equal(ask1(dom0, XS_READ, 0, path), XEN_E2BIG);
    path[XENSTORE_ABS_PATH_MAX] = '\0';
    assert_int_equal(ask1(dom0, XS_READ, 0, path), XEN_ENOENT);
    assert_int_equal(ask1(dom0, XS_READ, 0, path + 1), XEN_E2BIG);
}

static void only_dom0_may(void **state)
{
    (void)state;
    static const uint32_t types[] = {XS_CONTROL, XS_INTRODUCE, XS_RELEASE, XS_RESUME, XS_SET_TARGET};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        assert_int_equal(ask1(one, types[i], 0, "1"), XEN_EACCES);
    assert_int_equal(ask1(one, XS_IS_DOMAIN_INTRODUCED, 0, "2"), 0);
    assert_string_equal(answer.data, "T");
    assert_int_equal(ask1(one, XS_IS_DOMAIN_INTRODUCED, 0, "9"), 0);
    assert_string_equal(answer.data, "F");
}

static void any_bytes_are_answered(void **state)
{
    (void)state;
    char data[XENSTORE_PAYLOAD_MAX + 1] = {0};
    static const char alphabet[] = "/a\0b1nrTF-";
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        size_t size = (size_t)rand() % 24;
        for (size_t j = 0; j < size; j++)
            data[j] = rand() % 20 ? alphabet[(size_t)rand() % sizeof alphabet] : (char)rand();
        struct client *client = rand() % 3 ? one : two;
        ask(client, (uint32_t)rand() % (XS_TYPE_COUNT + 2), rand() % 4 ? 0 : (uint32_t)rand() % 8, data,
            size);
        assert_in_range(tree_usage(client->domid)->bytes, 0, LIMIT_BYTES);
    }
    assert_int_equal(ask(one, XS_READ, 0, data, XENSTORE_PAYLOAD_MAX + 1), -XENSTORE_ERROR_PROTO);
    one->received = 0;
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    ask_write(dom0, 0, "/m/a/b", "1");
    for (long left = 0; left < 60; left++) {
        blocks_left = left;
        ask_write(dom0, 0, "/m/x/y", "1");
        ask2(dom0, XS_WATCH, 0, "/m", "t");
        uint32_t t = ask_start(dom0);
        ask_write(dom0, t, "/m/z", "1");
        ask1(dom0, XS_TRANSACTION_END, t, "T");
        ask1(dom0, XS_RM, 0, "/m/x");
        ask2(dom0, XS_SET_PERMS, 0, "/m/a", "n0");
        blocks_left = -1;
        assert_value(dom0, "/m/a/b", "1");
        ask1(dom0, XS_RESET_WATCHES, 0, "");
        ask1(dom0, XS_RM, 0, "/m/z");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)
    const struct CMUnitTest tests[] = {
        TEST(values_are_kept),
        TEST(relative_paths_are_the_domains_own),
        TEST(directories_list_their_children),
        TEST(long_directories_come_in_parts),
        TEST(removing),
        TEST(permissions),
        TEST(malformed_permissions),
        TEST(transactions_are_isolated),
        TEST(conflicts_are_seen),
        TEST(transactions_belong_to_their_client),
        TEST(watches_fire),
        TEST(watches_tell_nobody_what_he_may_not_read),
        TEST(transactions_fire_at_their_end),
        TEST(limits_hold),
        TEST(unread_events_are_bounded),
        TEST(a_domain_that_is_gone_leaves_nothing),
        TEST(bad_paths),
        TEST(only_dom0_may),
        TEST(any_bytes_are_answered),
        TEST(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
