/* sources: drivers/pv/xenbus.c lib/number.c lib/why.c */
/* The life of back ends: what both sides' states and the toolstack's wishes lead to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lib/why.h>
#include <cmocka.h>
#include <dom0/below.h>
#include <dom0/thread.h>
#include <drivers/xenbus.h>
#include <xen/errno.h>

#define BACK  "/local/domain/0/backend/test/5/1"
#define FRONT "/local/domain/5/device/test/1"
#define NODES 32

static struct {
    char path[96], value[96];
} nodes[NODES];

static void (*service)(void *arg);
static void *service_arg;
static struct signal *changed;
static jmp_buf idle;
static void (*watcher)(const char *path, void *arg);
static void *watcher_arg;
static unsigned watches, prints;
static long blocks;

/* --- the store ------------------------------------------------------------------------------------------ */

static bool is_at_or_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);
    return !strncmp(path, parent, length) && (!path[length] || path[length] == '/');
}

static void write_node(const char *path, const char *value)
{
    int at = -1;
    for (int i = 0; i < NODES; i++)
        if (!strcmp(nodes[i].path, path))
            at = i;
    for (int i = 0; at < 0 && i < NODES; i++)
        if (!nodes[i].path[0])
            at = i;
    assert_true(at >= 0);
    snprintf(nodes[at].path, sizeof nodes[at].path, "%s", path);
    snprintf(nodes[at].value, sizeof nodes[at].value, "%s", value);
    if (watcher)
        watcher(path, watcher_arg);
}

int store_write(const char *path, const char *format, ...)
{
    char value[96];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    write_node(path, value);
    return 0;
}

int store_read(const char *path, char *buf, size_t size, size_t *length)
{
    bool above = false;
    (void)length;
    for (int i = 0; i < NODES; i++) {
        if (!strcmp(nodes[i].path, path))
            return (size_t)snprintf(buf, size, "%s", nodes[i].value) < size ? 0 : XEN_E2BIG;
        above |= nodes[i].path[0] && is_at_or_below(nodes[i].path, path);
    }
    buf[0] = '\0';
    return above ? 0 : XEN_ENOENT;
}

static void remove_node(const char *path)
{
    for (int i = 0; i < NODES; i++)
        if (is_at_or_below(nodes[i].path, path))
            nodes[i].path[0] = '\0';
    watcher(path, watcher_arg);
}

/* There is one device, or a directory with a strange name. */
int store_directory(const char *path, void (*each)(const char *name, void *arg), void *arg)
{
    bool domains = !strcmp(path, "/local/domain/0/backend/test");
    for (int i = 0; i < NODES; i++)
        if (nodes[i].path[0] && is_at_or_below(nodes[i].path, path) && nodes[i].path[strlen(path)]) {
            each("nonsense", arg);
            each(domains ? "5" : "1", arg);
            return 0;
        }
    return XEN_ENOENT;
}

struct store_watch *store_watch(const char *path, void (*fn)(const char *path, void *arg), void *arg)
{
    (void)path;
    watcher = fn;
    watcher_arg = arg;
    watches++;
    return (struct store_watch *)&watches;
}

void store_unwatch(struct store_watch *watch)
{
    (void)watch;
    watches--;
}

/* --- the kernel ----------------------------------------------------------------------------------------- */

void *mem_alloc(size_t size)
{
    blocks++;
    return calloc(1, size);
}

void mem_free(void *p)
{
    blocks -= p != NULL;
    free(p);
}

uint64_t time_ns(void)
{
    return 1000;
}

void print(const char *format, ...)
{
    (void)format;
    prints++;
}

struct thread *thread_create(void (*fn)(void *arg), void *arg)
{
    service = fn;
    service_arg = arg;
    return (struct thread *)&service;
}

void signal_set(struct signal *signal)
{
    changed = signal;
    signal->set = true;
}

bool signal_wait(struct signal *signal, uint64_t deadline)
{
    (void)deadline;
    if (!signal->set)
        longjmp(idle, 1);
    signal->set = false;
    return true;
}

/* Runs the thread until nothing is left to be done. */
static void run(void)
{
    if (!setjmp(idle))
        service(service_arg);
}

/* --- the back end --------------------------------------------------------------------------------------- */

static unsigned created, connected, disconnected, destroyed;
static bool refuses;
static struct backend *backend;

static bool create(struct backend *b, struct why *why)
{
    backend = b;
    created++;
    return !refuses || (fail)(why, "no such disk");
}

static bool connect(struct backend *b, struct why *why)
{
    (void)b;
    connected++;
    return !refuses || (fail)(why, "bad ring");
}

static void disconnect(struct backend *b)
{
    (void)b;
    disconnected++;
}

static void destroy(struct backend *b)
{
    (void)b;
    destroyed++;
}

static const struct backend_type type = {"test", create, connect, disconnect, destroy};

static void expect(const char *state, unsigned connects, unsigned disconnects)
{
    char value[8];
    run();
    assert_int_equal(store_read(BACK "/state", value, sizeof value, NULL), 0);
    assert_string_equal(value, state);
    assert_int_equal(connected, connects);
    assert_int_equal(disconnected, disconnects);
}

static int begin(void **state)
{
    (void)state;
    memset(nodes, 0, sizeof nodes);
    created = connected = disconnected = destroyed = prints = watches = 0;
    refuses = false;
    blocks = 0;
    assert_true(backend_register(&type));
    write_node(FRONT "/state", "1");
    write_node(BACK "/frontend", FRONT);
    write_node(BACK "/online", "1");
    run();
    assert_int_equal(created, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    remove_node(BACK);
    run();
    assert_int_equal(created, destroyed + refuses);
    assert_int_equal(watches, 1);
    mem_free(service_arg);
    assert_int_equal(blocks, 0);
    watcher = NULL;
    return 0;
}

static void a_device_lives_and_ends(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3");
    expect("4", 1, 0);
    write_node(FRONT "/state", "4");
    expect("4", 1, 0);
    write_node(FRONT "/state", "5");
    expect("5", 1, 0);
    write_node(FRONT "/state", "6");
    expect("6", 1, 1);
    /* Another kernel in the same guest. */
    write_node(FRONT "/state", "1");
    expect("2", 1, 1);
    write_node(FRONT "/state", "3");
    expect("4", 2, 1);
    assert_int_equal(created, 1);
}

static void the_toolstack_has_it_away(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3");
    expect("4", 1, 0);
    write_node(BACK "/online", "0");
    write_node(BACK "/state", "5");
    expect("5", 1, 0);
    write_node(FRONT "/state", "6");
    expect("6", 1, 1);
    assert_int_equal(destroyed, 1);
    write_node(FRONT "/state", "1");
    expect("6", 1, 1);
}

static void a_frontend_that_never_came_is_not_waited_for(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(BACK "/online", "0");
    write_node(BACK "/state", "5");
    expect("6", 0, 0);
}

static void a_guest_that_vanishes_is_let_go(void **state)
{
    (void)state;
    /* It was quick: the frontend waits already. */
    write_node(FRONT "/state", "3");
    write_node(BACK "/state", "1");
    expect("4", 1, 0);
    remove_node("/local/domain/5");
    expect("6", 1, 1);
}

static void a_directory_that_is_removed_ends_it(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3");
    expect("4", 1, 0);
    remove_node(BACK);
    run();
    assert_int_equal(disconnected, 1);
    assert_int_equal(destroyed, 1);
    /* Made anew before anybody looked: another device. */
    write_node(BACK "/frontend", FRONT);
    write_node(BACK "/state", "1");
    run();
    assert_int_equal(created, 2);
    write_node(BACK "/state", "1");
    run();
    assert_int_equal(created, 3);
    assert_int_equal(destroyed, 2);
}

static void a_new_kernel_without_a_goodbye(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3");
    expect("4", 1, 0);
    write_node(FRONT "/state", "1");
    run();
    expect("2", 1, 1);
}

static void nonsense_is_no_state(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(FRONT "/state", "99999999999999999999");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3x");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3");
    expect("4", 1, 0);
    write_node(FRONT "/state", "-1");
    expect("6", 1, 1);
}

static void what_is_refused_says_why(void **state)
{
    (void)state;
    char text[64];
    refuses = true;
    write_node(BACK "/state", "1");
    expect("6", 0, 0);
    assert_int_equal(store_read(BACK "/error", text, sizeof text, NULL), 0);
    assert_string_equal(text, "no such disk");
}

static void frontends_of_others_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"/local/domain/55/device/test/1", "/local/domain/5",
                                        "/local/domain/5/", "x"};
    for (unsigned i = 0; i < 4; i++) {
        write_node(BACK "/frontend", wrong[i]);
        write_node(BACK "/state", "1");
        expect("6", 0, 0);
        assert_int_equal(created, 0);
    }
}

static void a_flood_of_refusals_is_said_four_times(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    refuses = true;
    for (unsigned i = 1; i <= 10; i++) {
        write_node(FRONT "/state", "3");
        expect("6", i, 0);
        write_node(FRONT "/state", "1");
        expect("2", i, 0);
    }
    assert_int_equal(prints, 4);
    refuses = false;
}

static void a_disk_that_goes_asks_the_frontend_to_close(void **state)
{
    (void)state;
    write_node(BACK "/state", "1");
    expect("2", 0, 0);
    write_node(FRONT "/state", "3");
    expect("4", 1, 0);
    backend_close(backend, "the disk is gone");
    expect("5", 1, 0);
    backend_state_again(backend);
    expect("5", 1, 0);
    write_node(FRONT "/state", "6");
    expect("6", 1, 1);
}

int main(void)
{
#define LIFE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        LIFE(a_device_lives_and_ends),
        LIFE(the_toolstack_has_it_away),
        LIFE(a_frontend_that_never_came_is_not_waited_for),
        LIFE(a_guest_that_vanishes_is_let_go),
        LIFE(a_directory_that_is_removed_ends_it),
        LIFE(a_new_kernel_without_a_goodbye),
        LIFE(nonsense_is_no_state),
        LIFE(what_is_refused_says_why),
        LIFE(frontends_of_others_are_refused),
        LIFE(a_flood_of_refusals_is_said_four_times),
        LIFE(a_disk_that_goes_asks_the_frontend_to_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
