/* sources: dom0/tool/config.c dom0/tool/disk_config.c dom0/tool/vif_config.c dom0/tool/spec.c dom0/tool/syntax.c dom0/tool/format.c lib/why.c lib/number.c tests/unit/tool_below.c */
/* Guests' configurations: xl.cfg's syntax, what the keys mean, and every mistake told with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../dom0/tool/config.h"
#include "../../dom0/tool/format.h"
#include <cmocka.h> /* after lib/why.h, whose fail() it makes a macro of */
#include "tool_below.h"

static struct why why;

/* Reads a copy that ends where the heap block ends, so that reading past it is caught. */
static struct guest_config *load(const char *text, char **arguments, size_t count)
{
    size_t size = strlen(text);
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    why.text[0] = '\0';
    struct guest_config *config = config_load("g.cfg", copy, size, arguments, count, &why);
    free(copy);
    return config;
}

static void expect_error(const char *text, const char *error)
{
    struct guest_config *config = load(text, NULL, 0);
    assert_null(config);
    assert_string_equal(why.text, error);
}

#define BASE "name='g'\nkernel='k'\n"

static void full_configuration(void **state)
{
    (void)state;
    world_reset();
    struct guest_config *c = load("# a guest\n"
                                  "name = \"debian\"; type = 'pvh'\n"
                                  "kernel = \"/boot/vmlinux\"   # not compressed\n"
                                  "ramdisk='initrd'\r\n"
                                  "\textra = \"console=hvc0 \\\"x\\\"\"\n"
                                  "root = '/dev/xvda'\n"
                                  "memory = 0x200\nmaxmem=1024\nvcpus=2\nmaxvcpus=4\n"
                                  "disk = [ ]\nvif = [\n]\n"
                                  "uuid = '01234567-89ab-cdef-0123-456789ABCDEF'\n"
                                  "on_crash='preserve'\non_reboot = 'rename-restart'",
                                  NULL, 0);
    assert_non_null(c);
    assert_string_equal(c->name, "debian");
    assert_string_equal(c->kernel, "/boot/vmlinux");
    assert_string_equal(c->ramdisk, "initrd");
    assert_string_equal(c->command_line, "root=/dev/xvda console=hvc0 \"x\"");
    assert_int_equal(c->memory, 512ull << 20);
    assert_int_equal(c->max_memory, 1024ull << 20);
    assert_int_equal(c->vcpus, 2);
    assert_int_equal(c->max_vcpus, 4);
    assert_int_equal(c->on[SHUTDOWN_crash], ACTION_PRESERVE);
    assert_int_equal(c->on[SHUTDOWN_reboot], ACTION_RENAME_RESTART);
    assert_int_equal(c->on[SHUTDOWN_poweroff], ACTION_DESTROY);
    assert_int_equal(c->uuid[15], 0xef);
    assert_string_equal(world.printed, "");
    config_free(c);
}

static void grub_is_a_kernel(void **state)
{
    (void)state;
    world_reset();
    struct guest_config *c = load("name='g'\nfirmware='pvgrub32'\n", NULL, 0);
    assert_non_null(c);
    assert_string_equal(c->kernel, "grub");
    config_free(c);
}

static void lists_and_joining(void **state)
{
    (void)state;
    world_reset();
    struct why w;
    struct cfg cfg = {0};
    static const char text[] =
        "a = [ 'x', # one\n 'y',\n\n [ 1, 2 ], ]\na += [ 'z' ]\nb = 'one'\nb += ' two'\nb+=3\n";
    assert_true(cfg_read(&cfg, "f", text, sizeof text - 1, &w));
    const struct cfg_value *item = cfg_find(&cfg, "a")->value->items;
    assert_string_equal(item->text, "x");
    assert_null(item->next->next->text);
    assert_string_equal(item->next->next->items->next->text, "2");
    assert_string_equal(item->next->next->next->text, "z");
    assert_string_equal(cfg_find(&cfg, "b")->value->text, "one two3");
    assert_int_equal(cfg_find(&cfg, "b")->line, 8);
    cfg_free(&cfg);
}

static void escapes(void **state)
{
    (void)state;
    world_reset();
    struct guest_config *c = load(BASE "extra = 'a\\tb\\x41\\101\\\\ \\''", NULL, 0);
    assert_non_null(c);
    assert_string_equal(c->command_line, "a\tbAA\\ '");
    config_free(c);
    expect_error(BASE "extra='\\q'", "g.cfg:3: no such escape sequence: write \\\\ for a backslash");
}

static void arguments_override(void **state)
{
    (void)state;
    world_reset();
    char *arguments[] = {"memory=64", "name=other", "extra=console=hvc0 quiet", "ramdisk=\"r\"", "disk=[]"};
    struct guest_config *c = load(BASE "memory=32\ndisk=['x']", arguments, 5);
    assert_non_null(c);
    assert_int_equal(c->memory, 64 << 20);
    assert_string_equal(c->name, "other");
    assert_string_equal(c->command_line, "console=hvc0 quiet");
    assert_string_equal(c->ramdisk, "r");
    config_free(c);
    char *bad[] = {"memory"};
    assert_null(load(BASE, bad, 1));
    assert_string_equal(why.text, "memory: key=value was expected");
    char *open[] = {"name=\"x"};
    assert_null(load(BASE, open, 1));
    assert_string_equal(why.text, "name=\"x: the string has no closing \"");
    char *number[] = {"memory=lots"};
    assert_null(load(BASE, number, 1));
    assert_string_equal(why.text, "memory=lots: a number is needed");
}

static void syntax_errors(void **state)
{
    (void)state;
    world_reset();
    expect_error("name = debian\n", "g.cfg:1: a value is a number, a list, or a string in quotes");
    expect_error("\n\nname 'x'", "g.cfg:3: a key is followed by = and a value");
    expect_error("name =\nkernel='k'", "g.cfg:1: the value is missing");
    expect_error("name = 'x\nkernel='k'", "g.cfg:1: the string has no closing '");
    expect_error("a = [ 1, 2\n", "g.cfg:2: the list has no closing ]");
    expect_error("a = [ 1 2 ]\n", "g.cfg:1: a comma or ] is missing in the list");
    expect_error("a = 1 2\n", "g.cfg:1: more than one value: a list needs [ ], the next key a new line");
    expect_error("= 1\n", "g.cfg:1: a line starts with a key: key = value");
    expect_error("a = -1\n", "g.cfg:1: unexpected character '-': strings need quotes");
    expect_error("a = [[[[[[[[[[[[1]]]]]]]]]]]]", "g.cfg:1: lists are nested too deeply");
    expect_error("a='1'\na+=[2]\n", "g.cfg:2: += joins two lists or two strings, not one of each");
}

static void meaning_errors(void **state)
{
    (void)state;
    world_reset();
    expect_error("kernel='k'", "g.cfg: name: not set: add name = \"...\"");
    expect_error("name='g'", "g.cfg: kernel: not set: add kernel = \"...\", a vmlinux or another PVH kernel");
    expect_error(BASE "memory=0", "g.cfg:3: memory=0: 1 to 16777216 is possible");
    expect_error(BASE "memory=12q", "g.cfg:3: memory=12q: a number is needed");
    expect_error(BASE "memory=[1]", "g.cfg:3: memory: a string is needed, not a list");
    expect_error(BASE "memory=64\nmaxmem=32", "g.cfg:4: maxmem=32: 64 to 16777216 is possible");
    expect_error(BASE "vcpus=200", "g.cfg:3: vcpus=200: 1 to 128 is possible");
    expect_error(BASE "type='hvm'",
                 "g.cfg:3: type=hvm: only type=\"pvh\" guests run here; a stock Linux kernel is one");
    expect_error(BASE "on_crash='restrt'", "g.cfg:3: on_crash=restrt: did you mean restart? "
                                           "it is destroy, restart, rename-restart or preserve");
    expect_error(BASE "on_crash='coredump-restart'", "g.cfg:3: on_crash=coredump-restart: there is no disk "
                                                     "to dump to: use restart, or preserve to look at it");
    expect_error(BASE "uuid='12'",
                 "g.cfg:3: uuid=12: 32 hex digits are needed, as 01234567-89ab-cdef-0123-456789abcdef");
    expect_error(BASE "bootloader='pygrub'", "g.cfg:3: bootloader=pygrub: this dom0 runs no such programs: "
                                             "firmware = \"pvgrub32\" boots the kernel "
                                             "that is on the guest's disk");
    expect_error(BASE "firmware='pvgrub32'",
                 "g.cfg:3: firmware=pvgrub32: a kernel is given, too: remove one of them");
    expect_error("name='g'\nfirmware='uefi'", "g.cfg:2: firmware=uefi: it is pvgrub32, or a kernel is given");
    expect_error("kernel='k'\nname='a b'",
                 "g.cfg:2: name=a b: a b: a domain's name has no spaces, slashes or special characters");
    expect_error("kernel='k'\nname='17'", "g.cfg:2: name=17: 17: a domain's name cannot be a number, "
                                          "which would be taken for its id");
}

static void unknown_keys_warn(void **state)
{
    (void)state;
    world_reset();
    struct guest_config *c = load(BASE "memroy=1\nhap=1\nxyzzy=2\n", NULL, 0);
    assert_non_null(c);
    assert_string_equal(
        world.printed,
        "warning: g.cfg:3: memroy is not a key that is known here and is ignored; did you mean memory?\n"
        "warning: g.cfg:5: xyzzy is not a key that is known here and is ignored\n");
    config_free(c);
}

/* Whatever the bytes are, the parser ends, and leaves nothing behind. */
static void random_files(void **state)
{
    (void)state;
    static const char alphabet[] = "ab=+'\"[],;#\n\\x1 \t-.\x80";
    char text[64];
    srand(1);
    world_reset();
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)rand() % (sizeof text - 1);
        for (size_t j = 0; j < n; j++)
            text[j] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        text[n] = '\0';
        struct guest_config *c = load(text, NULL, 0);
        if (c)
            config_free(c);
        world.printed[0] = '\0';
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    for (int i = 1; i < 200; i++) {
        world_reset();
        world.fail_at = i;
        char *arguments[] = {"a=1"};
        struct guest_config *c = load(BASE "root='x'\na=[1,'2']\na+=[3]\nb='1'\nb+='2'", arguments, 1);
        if (c) {
            config_free(c);
            assert_true(i > 20);
            return;
        }
        assert_non_null(strstr(why.text, "out of memory"));
    }
    fail();
}

static void sizes(void **state)
{
    (void)state;
    char buf[SIZE_TEXT];
    assert_string_equal(format_size(buf, 0), "0 bytes");
    assert_string_equal(format_size(buf, 1023), "1023 bytes");
    assert_string_equal(format_size(buf, 1536), "1.5 KiB");
    assert_string_equal(format_size(buf, 2ull << 30), "2 GiB");
    assert_string_equal(format_size(buf, (2ull << 30) - (100 << 20)), "1.9 GiB");
    assert_string_equal(format_size(buf, 999ull << 20), "999 MiB");
    assert_string_equal(format_size(buf, UINT64_MAX), "15 EiB");
}

static void uuids(void **state)
{
    (void)state;
    world_reset();
    xen_domain_handle_t a, b;
    char text[UUID_TEXT];
    make_uuid(a);
    make_uuid(b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(a[6] >> 4, 4);
    assert_int_equal(a[8] >> 6, 2);
    assert_true(parse_uuid(format_uuid(text, a), b));
    assert_memory_equal(a, b, sizeof a);
    assert_false(parse_uuid("01234567-89ab-cdef-0123-456789abcde", b));
    assert_false(parse_uuid("01234567-89ab-cdef-0123-456789abcdef0", b));
    assert_false(parse_uuid("", b));
}

static void uptimes(void **state)
{
    (void)state;
    char buf[UPTIME_TEXT];
    assert_string_equal(format_uptime(buf, 3723, false), " 1:02:03");
    assert_string_equal(format_uptime(buf, 3723, true), " 1:02");
    assert_string_equal(format_uptime(buf, 2 * 86400 + 60, false), "2 days,  0:01:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_configuration),
        cmocka_unit_test(grub_is_a_kernel),
        cmocka_unit_test(lists_and_joining),
        cmocka_unit_test(escapes),
        cmocka_unit_test(arguments_override),
        cmocka_unit_test(syntax_errors),
        cmocka_unit_test(meaning_errors),
        cmocka_unit_test(unknown_keys_warn),
        cmocka_unit_test(random_files),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(sizes),
        cmocka_unit_test(uuids),
        cmocka_unit_test(uptimes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
