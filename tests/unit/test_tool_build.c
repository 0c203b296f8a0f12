/* sources: dom0/tool/[a-z]*.c lib/number.c lib/why.c lib/elf.c lib/acpi.c tests/unit/tool_below.c */
/* Making and ending domains: what lies where, what is undone when any one step fails, what follows when a
 * guest ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lib/string.h>
#include <lib/acpi.h>
#include "../../dom0/tool/domain.h"
#include "../../dom0/tool/plan.h"
#include "tool_below.h"
#include <cmocka.h> /* after lib/why.h, whose fail() it makes a macro of */

static uint8_t kernel[1024];
static size_t kernel_size;
static char ramdisk[10000];
static struct why why;

static void setup_world(void)
{
    world_reset();
    kernel_size = make_kernel(kernel, 0x3000);
    memset(ramdisk, 'r', sizeof ramdisk);
    world_file("k", kernel, kernel_size);
    world_file("r", ramdisk, sizeof ramdisk);
}

static struct guest_config *config_of(const char *text)
{
    struct guest_config *config = config_load("g.cfg", text, strlen(text), NULL, 0, &why);
    assert_non_null(config);
    return config;
}

#define SMALL    "name='g'\n" NAMELESS
#define NAMELESS "kernel='k'\nramdisk='r'\nmemory=8\nvcpus=2\nmaxvcpus=3\nextra='console=hvc0'\n"

static uint64_t guest_word(domid_t domid, uint64_t address, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)world_byte(domid, address + i) << (8 * i);
    return value;
}

/* --- the layout ----------------------------------------------------------------------------------------- */

static void layout_of_small_and_large(void **state)
{
    (void)state;
    struct layout l;
    struct layout_request r = {.memory = 64ull << 20,
                               .kernel_start = 0x1000000,
                               .kernel_end = 0x2000123,
                               .ramdisk_size = 5000,
                               .acpi_size = 100,
                               .command_line = "x"};
    assert_true(layout_plan(&r, &l, &why));
    assert_int_equal(l.ramdisk, 0x2001000);
    assert_int_equal(l.start_info, 0x2003000);
    assert_int_equal(l.low_end, 64 << 20);
    assert_int_equal(l.high_end, 0);
    assert_int_equal(l.map_count, 3);

    r.memory = 6ull << 30;
    assert_true(layout_plan(&r, &l, &why));
    assert_int_equal(l.low_end, HOLE_START);
    assert_int_equal(l.high_end - HOLE_END + l.low_end, 6ull << 30);
    assert_int_equal(l.map_count, 4);
    for (unsigned i = 1; i < l.map_count; i++)
        assert_true(l.map[i - 1].addr + l.map[i - 1].size <= l.map[i].addr);
}

static void layout_refuses(void **state)
{
    (void)state;
    struct layout l;
    struct layout_request r = {.memory = 32ull << 20,
                               .kernel_start = 0x1000000,
                               .kernel_end = 0x1f00000,
                               .ramdisk_size = 2 << 20,
                               .command_line = ""};
    assert_false(layout_plan(&r, &l, &why));
    assert_string_equal(
        why.text,
        "too little: the kernel ends at 31 MiB and the ramdisk has 2 MiB, 33 MiB are needed to load them");
    r.ramdisk_size = UINT64_MAX - 4096;
    assert_false(layout_plan(&r, &l, &why));
    r.kernel_start = 0x1000;
    assert_false(layout_plan(&r, &l, &why));
    assert_string_equal(why.text, "the kernel wants to be loaded at 0x1000: below 1 MiB no guest may");
}

/* --- ACPI ----------------------------------------------------------------------------------------------- */

static unsigned sum(const uint8_t *p, size_t n)
{
    unsigned s = 0;
    while (n--)
        s += *p++;
    return s & 255;
}

/* The DSDT has a device for each CPU that is off, up to the last with an 8-bit APIC id. */
static void check_dsdt(const uint8_t *dsdt, unsigned cpus)
{
    uint32_t length;
    memcpy(&length, dsdt + 4, 4);
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(sum(dsdt, length), 0);
    /* Scope (\\_SB) and its length in three bytes. */
    const uint8_t *aml = dsdt + 36, *end = dsdt + length;
    assert_int_equal(aml[0], 0x10);
    assert_int_equal(aml[1] >> 6, 2);
    assert_int_equal((aml[1] & 15) | aml[2] << 4 | aml[3] << 12, end - aml - 1);
    assert_memory_equal(aml + 4, "\\_SB_", 5);
    unsigned cpu = 1;
    for (aml += 9; aml < end; aml += 2 + aml[2], cpu++) {
        const uint8_t expected[] = {0x08, '_', 'M', 'A',     'T', 0x11, 11, 0x0a, 8,
                                    0,    8,   cpu, 2 * cpu, 1,   0,    0,  0};
        char name[5];
        snprintf(name, sizeof name, "C%03X", cpu);
        assert_int_equal(aml[0] << 8 | aml[1], 0x5b82);
        assert_memory_equal(aml + 3, name, 4);
        assert_memory_equal(aml + 2 + aml[2] - sizeof expected, expected, sizeof expected);
    }
    assert_ptr_equal(aml, end);
    assert_int_equal(cpu, cpus < 128 ? cpus : 128);
}

/* Every table sums to 0 and lies within the buffer. */
static void acpi_checksums(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 200; cpus += 33) {
        size_t size = acpi_size(1, cpus);
        uint8_t *t = malloc(size);
        memset(t, 0xff, size);
        acpi_write(t, 0x1000, 1, cpus);
        assert_memory_equal(t, "RSD PTR ", 8);
        assert_int_equal(sum(t, 20), 0);
        assert_int_equal(sum(t, 36), 0);
        uint64_t xsdt, table;
        memcpy(&xsdt, t + 24, 8);
        assert_memory_equal(t + xsdt - 0x1000, "XSDT", 4);
        for (unsigned i = 0; i < 2; i++) {
            uint32_t length;
            memcpy(&table, t + xsdt - 0x1000 + 36 + 8 * i, 8);
            uint8_t *at = t + table - 0x1000;
            memcpy(&length, at + 4, 4);
            assert_memory_equal(at, i ? "APIC" : "FACP", 4);
            assert_true(at + length <= t + size);
            assert_int_equal(sum(at, length), 0);
            if (i)
                continue;
            memcpy(&table, at + 140, 8); /* X_DSDT */
            check_dsdt(t + table - 0x1000, cpus);
        }
        free(t);
    }
}

/* --- building ------------------------------------------------------------------------------------------- */

static void guest_is_complete(void **state)
{
    (void)state;
    setup_world();
    domid_t id;
    assert_true(domain_create(config_of(SMALL), NULL, &id, &why));
    assert_int_equal(id, 1);
    assert_int_equal(world.mappings, 0);
    assert_int_equal(world.pages, (8 << 8) + 3 + 1);
    assert_int_equal(world.introductions, 2);
    /* The kernel, and zeros behind what the file gives. */
    assert_int_equal(world_byte(id, 0x200000), 0x90);
    assert_int_equal(world_byte(id, 0x200000 + 511), 0x90);
    assert_int_equal(world_byte(id, 0x200000 + 512), 0);
    assert_int_equal(world_byte(id, 0x202fff), 0);
    /* Ramdisk, start info, command line. */
    assert_int_equal(world_byte(id, 0x203000 + 9999), 'r');
    uint64_t info = 0x206000;
    assert_int_equal(guest_word(id, info, 4), XEN_HVM_START_MAGIC_VALUE);
    assert_int_equal(guest_word(id, info + 12, 4), 1);
    uint64_t module = guest_word(id, info + 16, 8), line = guest_word(id, info + 24, 8);
    assert_int_equal(guest_word(id, module, 8), 0x203000);
    assert_int_equal(guest_word(id, module + 8, 8), sizeof ramdisk);
    assert_int_equal(world_byte(id, line), 'c');
    assert_int_equal(world_byte(id, line + strlen("console=hvc0")), 0);
    assert_int_equal(guest_word(id, guest_word(id, info + 32, 8), 8), 0x2052545020445352); /* "RSD PTR " */
    assert_int_equal(guest_word(id, (IDENTITY_GFN << 12) + 4, 4), 0x4000e7);
    assert_int_equal(world_byte(id, CONSOLE_GFN << 12), 0);
    /* The store. */
    assert_string_equal(world_node("/local/domain/1/name"), "g");
    assert_string_equal(world_node("/local/domain/1/memory/target"), "8192");
    assert_string_equal(world_node("/local/domain/1/cpu/1/availability"), "online");
    assert_string_equal(world_node("/local/domain/1/cpu/2/availability"), "offline");
    assert_string_equal(world_node("/local/domain/1/store/port"), "7");

    assert_true(domain_destroy(id, &why));
    assert_int_equal(world.domains, 0);
    assert_int_equal(world.pages, 0);
    assert_int_equal(world_nodes(), 0);
}

/* Whichever call fails, nothing is left. */
static void nothing_left_after_failure(void **state)
{
    (void)state;
    for (int i = 1;; i++) {
        setup_world();
        struct guest_config *config = config_of(SMALL);
        domid_t id;
        world.calls = 0;
        world.fail_at = i;
        why.text[0] = '\0';
        if (domain_create(config, NULL, &id, &why)) {
            world.fail_at = 0;
            assert_true(domain_destroy(id, &why));
            if (i > world.calls)
                break;
            continue; /* a call that has another way, as big pages have */
        }
        config_free(config);
        assert_true(strlen(why.text) > 0);
        assert_int_equal(world.domains, 0);
        assert_int_equal(world.pages, 0);
        assert_int_equal(world.mappings, 0);
        assert_int_equal(world.introductions, 0);
        assert_int_equal(world_nodes(), 0);
    }
}

static bool stop_now(void)
{
    return true;
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"name='g'\nkernel='none'", "g.cfg:2: kernel=none: no such file in the archive"},
        {"name='g'\nkernel='r'", "g.cfg:2: kernel=r: not an ELF file: a PVH kernel is one, as vmlinux is"},
        {"name='g'\nkernel='k'\nmemory=999999", "g.cfg:3: memory=999999: 2 GiB free of 2 GiB"},
        {"name='g'\nkernel='k'\nmemory=2045",
         "g.cfg:3: memory=2045: 2 GiB needed with its page tables, 2 GiB free of 2 GiB"},
        {"name='g'\nkernel='k'\nmemory=2",
         "g.cfg:3: memory=2: too little: the kernel ends at 2 MiB and the ramdisk has 0 bytes, "
         "2 MiB are needed to load them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setup_world();
        domid_t id;
        struct guest_config *config = config_of(cases[i].text);
        assert_false(domain_create(config, NULL, &id, &why));
        assert_string_equal(why.text, cases[i].error);
        config_free(config);
        assert_int_equal(world.domains, 0);
    }
    setup_world();
    domid_t id;
    struct guest_config *config = config_of(SMALL);
    assert_false(domain_create(config, stop_now, &id, &why));
    assert_string_equal(why.text, "interrupted");
    assert_int_equal(world.pages, 0);
    config_free(config);
}

static void names(void **state)
{
    (void)state;
    setup_world();
    domid_t id, other;
    struct guest_config *second = config_of(SMALL);
    assert_true(domain_create(config_of(SMALL), NULL, &id, &why));
    assert_false(domain_create(second, NULL, &other, &why));
    assert_string_equal(why.text,
                        "g.cfg:1: name=g: domain 1 has this name: destroy it, or give another name");
    config_free(second);
    assert_true(domain_find("g", &other, &why));
    assert_int_equal(other, id);
    assert_true(domain_find("1", &other, &why));
    assert_false(domain_find("5", &other, &why));
    assert_string_equal(why.text, "no domain has the id 5: list shows them");
    assert_true(domain_rename(id, "debian", &why));
    assert_false(domain_find("debain", &other, &why));
    assert_string_equal(why.text, "no domain is called debain: did you mean debian?");
    assert_false(domain_rename(id, "a/b", &why));
    assert_true(domain_destroy(id, &why));
    assert_false(domain_destroy(id, &why));
}

/* --- guests that end ------------------------------------------------------------------------------------ */

static void end_with(const char *setting, unsigned code, domid_t *id)
{
    char text[256];
    setup_world();
    strlcpy(text, SMALL, sizeof text);
    strlcpy(text + strlen(text), setting, sizeof text - strlen(text));
    assert_true(domain_create(config_of(text), NULL, id, &why));
    world.now += 60000000000;
    world.shutdown_code = code + 1;
}

static void poweroff_destroys(void **state)
{
    (void)state;
    domid_t id;
    end_with("", SHUTDOWN_poweroff, &id);
    tool_domain_event();
    assert_int_equal(world.domains, 0);
    assert_int_equal(world_nodes(), 0);
    assert_string_equal(world.printed, "g: powered off: destroy\n");
    tool_domain_event();
}

static void only_changed_ones_are_looked_at(void **state)
{
    (void)state;
    domid_t id, other;
    end_with("", SHUTDOWN_poweroff, &id);
    assert_true(domain_create(config_of("name='other'\n" NAMELESS), NULL, &other, &why));
    world.tells_changes = 1;
    world.lists = 0;
    tool_domain_event();
    assert_int_equal(world.domains, 2);
    world.changed = 1ull << other | 1ull << 9; /* one of them not made here */
    tool_domain_event();
    assert_int_equal(world.domains, 1);
    assert_string_equal(world.printed, "other: powered off: destroy\n");
    world.changed = 1ull << id | 1ull << other;
    tool_domain_event();
    assert_int_equal(world.domains, 0);
    assert_int_equal(world.lists, 0);
    assert_int_equal(world_nodes(), 0);
}

static void gone_ones_are_forgotten(void **state)
{
    (void)state;
    domid_t id;
    setup_world();
    world.tells_changes = 1;
    assert_true(domain_create(config_of(SMALL), NULL, &id, &why));
    assert_int_equal(domctl_plain(XEN_DOMCTL_destroydomain, id), 0);
    assert_non_null(domain_config(id));
    world.changed = 1ull << id;
    tool_domain_event();
    assert_null(domain_config(id));
}

static void preserve_keeps(void **state)
{
    (void)state;
    domid_t id;
    end_with("on_crash='preserve'", SHUTDOWN_crash, &id);
    tool_domain_event();
    tool_domain_event();
    assert_int_equal(world.domains, 1);
    assert_string_equal(world.printed, "g: crashed: preserve\n");
    assert_true(domain_destroy(id, &why));
}

/* The pretended guests all end at once, so a restarted one does too: the loop must be broken. */
static void restart_loops_end(void **state)
{
    (void)state;
    domid_t id;
    end_with("", SHUTDOWN_reboot, &id);
    tool_domain_event();
    assert_non_null(strstr(world.printed, "g: ended 3 times in a row"));
    assert_int_equal(world.domains, 0);
    assert_int_equal(world_nodes(), 0);
    assert_int_equal(world.pages, 0);
}

static void rename_restart_keeps_the_old(void **state)
{
    (void)state;
    domid_t id;
    end_with("on_reboot='rename-restart'", SHUTDOWN_reboot, &id);
    tool_domain_event();
    assert_string_equal(world_node("/local/domain/1/name"), "g-1");
    for (domid_t i = 1; i < 8; i++)
        if (domain_find(i == 1 ? "1" : i == 2 ? "2" : i == 3 ? "3" : "4", &id, &why))
            domain_destroy(id, &why);
    assert_int_equal(world.domains, 0);
    assert_int_equal(world_nodes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_of_small_and_large),
        cmocka_unit_test(layout_refuses),
        cmocka_unit_test(acpi_checksums),
        cmocka_unit_test(guest_is_complete),
        cmocka_unit_test(nothing_left_after_failure),
        cmocka_unit_test(refusals),
        cmocka_unit_test(names),
        cmocka_unit_test(poweroff_destroys),
        cmocka_unit_test(only_changed_ones_are_looked_at),
        cmocka_unit_test(gone_ones_are_forgotten),
        cmocka_unit_test(preserve_keeps),
        cmocka_unit_test(restart_loops_end),
        cmocka_unit_test(rename_restart_keeps_the_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
