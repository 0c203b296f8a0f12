/* sources: dom0/tool/[a-z]*.c lib/number.c lib/why.c lib/elf.c lib/acpi.c tests/unit/tool_below.c */
/* The verbs: what they print, and that each one meets wrong arguments with one line and the right status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../dom0/tool/verbs.h"
#include "tool_below.h"
#include <cmocka.h> /* after lib/why.h, whose fail() it makes a macro of */

static uint8_t kernel[1024];

static const struct tool_verb *find(const char *name)
{
    for (size_t i = 0; i < tool_verb_count; i++)
        if (!strcmp(tool_verbs[i].name, name))
            return &tool_verbs[i];
    return NULL;
}

/* Runs a line of words between single spaces; what it prints is in world.printed. */
static int run(const char *line)
{
    char words[256], *argv[16];
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    world.printed[0] = '\0';
    return find(argv[0])->run(argc, argv);
}

static void expect(const char *line, int status, const char *text)
{
    int actual = run(line);
    if (!strstr(world.printed, text))
        assert_string_equal(world.printed, text);
    assert_int_equal(actual, status);
}

static void set_up(void)
{
    static const char config[] = "name='deb'\nkernel='k'\nmemory=8\n";
    world_reset();
    tool_init();
    world_file("k", kernel, make_kernel(kernel, 0x3000));
    world_file("deb.cfg", config, sizeof config - 1);
}

static void every_verb_with_wrong_arguments(void **state)
{
    (void)state;
    set_up();
    for (size_t i = 0; i < tool_verb_count; i++) {
        const struct tool_verb *verb = &tool_verbs[i];
        char line[64], usage[160];
        snprintf(usage, sizeof usage, "usage: %s %s\n", verb->name, verb->usage);
        snprintf(line, sizeof line, "%s -h", verb->name);
        expect(line, DONE, usage);
        snprintf(line, sizeof line, "%s --help", verb->name);
        expect(line, DONE, usage);
        snprintf(line, sizeof line, "%s -Z", verb->name);
        expect(line, USAGE, ": unknown option -Z; usage: ");
        snprintf(line, sizeof line, "%s --nonsense", verb->name);
        expect(line, USAGE, ": unknown option --nonsense; usage: ");
        /* Too few, where some are needed. */
        if (verb->usage[0] && verb->usage[0] != '[')
            assert_int_equal(run(verb->name), USAGE);
        /* No such domain. */
        if (verb->completes_domain) {
            bool second = !strcmp(verb->name, "rename") || !strncmp(verb->name, "mem-", 4) ||
                          !strcmp(verb->name, "vcpu-set") || !strncmp(verb->name, "block-a", 7) ||
                          strstr(verb->name, "-detach");
            bool option = !strcmp(verb->name, "sched-credit2"), third = !strcmp(verb->name, "vcpu-pin");
            snprintf(line, sizeof line, "%s %sghosts%s", verb->name, option ? "-d " : "",
                     third    ? " 0 0"
                     : second ? " 1"
                              : "");
            expect(line, FAILED, "no domain is called ghosts: list shows them\n");
        }
        assert_int_equal(strchr(world.printed, '\0') - world.printed > 0, 1);
    }
}

static void options_with_values(void **state)
{
    (void)state;
    const char *delay, *word;
    bool flag;
    const struct option options[] = {{'d', "delay", NULL, "how long", &delay},
                                     {'f', "flag", &flag, "a flag"},
                                     {0, "word", NULL, "a word", &word}};
    static const struct {
        char *argv[6];
        int operands;
        const char *delay, *word;
        bool flag;
    } lines[] = {
        {{"v", "-d", "5", "x"}, 1, "5", NULL, false},
        {{"v", "-d5", "x"}, 1, "5", NULL, false},
        {{"v", "-fd", "-5", "x"}, 1, "-5", NULL, true},
        {{"v", "x", "--delay=", "--flag"}, 1, "", NULL, true},
        {{"v", "--delay", "--flag", "y"}, 1, "--flag", NULL, false},
        {{"v", "--word=a=b", "x", "-d", "1"}, 1, "1", "a=b", false},
        {{"v", "-d"}, -1},
        {{"v", "--word"}, -1},
        {{"v", "--flag=1", "x"}, -1},
        {{"v", "--delays=1", "x"}, -1},
        {{"v", "--del=1", "x"}, -1},
    };
    set_up();
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char *argv[6];
        int argc = 0, status;
        memcpy(argv, lines[i].argv, sizeof argv);
        while (argv[argc])
            argc++;
        delay = word = NULL;
        flag = false;
        assert_int_equal(take_options(argc, argv, options, 3, 0, -1, &status), lines[i].operands);
        if (lines[i].operands < 0) {
            assert_int_equal(status, USAGE);
            continue;
        }
        assert_true(delay && !strcmp(delay, lines[i].delay));
        assert_true(lines[i].word ? word && !strcmp(word, lines[i].word) : !word);
        assert_int_equal(flag, lines[i].flag);
    }
}

static void counters(void **state)
{
    (void)state;
    set_up();
    world.counted[0] = 7;
    world.counted[1] = 30;
    world.counted[2 + __HYPERVISOR_sched_op] = 5;
    world.counted[2 + 63] = 6;
    expect("perf", DONE,
           "exits: CPUID                        T=        37\n"
           "hypercalls                          T=        11\n");
    expect("perf -f", DONE,
           "exits: CPUID                        T=        37\n"
           "    [00]                                       7\n"
           "    [01]                                      30\n"
           "hypercalls                          T=        11\n"
           "    sched_op                                   5\n"
           "    [63]                                       6\n");
    run("perf calls");
    assert_string_equal(world.printed, "hypercalls                          T=        11\n");
    expect("perf nothing", FAILED, "perf: no counter has nothing in its name: perf alone shows all\n");
    expect("perf -r calls", USAGE, "perf: -r sets all counters to zero and shows none of them\n");
    assert_int_equal(world.counted[0], 7);
    run("perf --reset");
    assert_string_equal(world.printed, "");
    expect("perf", DONE, "hypercalls                          T=         0\n");
    world.no_counters = 1;
    expect("perf", FAILED, "perf: this hypervisor was built without performance counters\n");
    expect("perf -r", FAILED, "perf: this hypervisor was built without performance counters\n");
    world.no_counters = 0;
    for (int i = 1; i <= 4; i++) { /* two calls and two allocations */
        world.calls = 0;
        world.fail_at = i;
        assert_int_equal(run("perf"), FAILED);
    }
}

static void live(void **state)
{
    (void)state;
    set_up();
    run("create -p deb vcpus=7");
    run("create deb name=many vcpus=40");
    for (int i = 3; i < 8; i++) {
        char line[32];
        snprintf(line, sizeof line, "create deb name=d%d", i);
        assert_int_equal(run(line), DONE);
    }
    world.per_second[2] = 1250000000;
    world.per_second[5] = 60000000;
    world.exits_per_second = 1000;
    world.counted[0] = -500; /* wraps meanwhile */
    assert_int_equal(run("top -b -n 1"), DONE);
    assert_string_equal(world.printed,
                        "8 domains: 7 running, 0 blocked, 1 paused\n"
                        "1 CPUs: 75.0% busy   Memory: 2048 MiB, 1991 free\n"
                        "Exits/s: CPUID 1000\n"
                        "   ID Name              State      Time(s)  CPU(%)    Mem VCPUs\n"
                        "    2 many              r-----         2.4   125.0      8 rbw.rbw.rbw.rbw.r+23\n"
                        "    5 d5                r-----         1.2     6.0      8 r\n"
                        "    0 Domain-0          r-----         1.2     0.0      0 r\n"
                        "    1 deb               --p---         1.2     0.0      8 pbp.pbp\n"
                        "    3 d3                r-----         1.2     0.0      8 r\n"
                        "    4 d4                r-----         1.2     0.0      8 r\n"
                        "    6 d6                r-----         1.2     0.0      8 r\n"
                        "    7 d7                r-----         1.2     0.0      8 r\n");

    /* On a terminal: a key ends it; each line is within 80 columns and ends by clearing what was there. */
    world.keys = "x q";
    uint64_t before = world.now;
    assert_int_equal(run("top -d 0.5"), DONE);
    assert_int_equal(world.now - before, 300000000); /* at once, not when the time was over */
    assert_string_equal(world.printed, "\033[H\033[J");
    world.keys = NULL;
    assert_int_equal(run("top -d 0.5 -n 3"), DONE);
    assert_int_equal(world.now - before, 1800000000);
    unsigned lines = 0;
    for (char *line = world.printed, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        assert_true(end - line < 80 + 9 && !strncmp(end - 3, "\033[K", 3));
    }
    assert_int_equal(lines, 3 * 12);
    assert_string_equal(world.printed + strlen(world.printed) - 3, "\033[J");

    /* The frequent reasons first, equal ones once each, three lines at most. */
    world.other_exits = 10;
    world.exits_per_second = 900;
    expect("top -bn1", DONE,
           "Exits/s: reason number 10 1000, CPUID 900, reason number 9 900,\n"
           "         reason number 8 800, reason number 7 700, reason number 6 600,\n"
           "         reason number 5 500, reason number 4 400, reason number 3 300, ...\n"
           "   ID Name");
    world.other_exits = 0;
    world.no_counters = 1;
    expect("top -bn1", DONE, "Exits/s: this hypervisor does not count them\n");
    world.interrupted = 1;
    assert_int_equal(run("top -b"), DONE);
    assert_string_equal(world.printed, "");
    world.interrupted = 0;
    static const char *const wrong[] = {
        "-d", "-d 0", "-d 0.05", "-d 4000", "-d soon", "-d -1", "-d 99999999999999999999",
        "-n", "-n 0", "-n many", "-n -1",   "4"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "top %s", wrong[i]);
        expect(line, USAGE, "top: ");
    }
    int failed = 0;
    for (int i = 1; i <= 20; i++) {
        world.calls = 0;
        world.fail_at = i;
        failed += run("top -b -n 1") == FAILED;
    }
    assert_true(failed >= 6);
}

static void a_domain_s_life(void **state)
{
    (void)state;
    set_up();
    expect("create deb -p", DONE, "Parsing config from deb.cfg\n");
    expect("list deb", DONE,
           "deb                                          1     8     1     --p---       1.2\n");
    expect("create deb", FAILED,
           "create: deb.cfg:1: name=deb: domain 1 has this name: destroy it, or give another name\n");
    expect("unpause deb", DONE, "");
    expect("create -qc deb name=two", DONE, "[console of 2]\n");
    expect("domid two", DONE, "2\n");
    expect("domname 2", DONE, "two\n");
    expect("rename two three", DONE, "");
    expect("domname 2", DONE, "three\n");
    expect("domid tree", FAILED, "domid: no domain is called tree: did you mean three?\n");
    expect("list -l deb", DONE, "\"kernel\": \"k\"");
    expect("uptime deb", DONE, "deb                                  1  0:00:00\n");
    expect("reboot deb", DONE, "note: the domain has not said that it heeds such requests");
    assert_string_equal(world_node("/local/domain/1/control/shutdown"), "reboot");
    expect("shutdown -w deb", FAILED, "shutdown: domain 1 has not ended within 180 seconds");
    expect("shutdown", USAGE, "shutdown: name one domain, or -a for all\n");
    expect("shutdown -a deb", USAGE, "shutdown: name one domain, or -a for all\n");
    expect("shutdown -a", DONE, "note: ");
    assert_string_equal(world_node("/local/domain/2/control/shutdown"), "poweroff");
    world.shutdown_code = 1;
    expect("shutdown deb", FAILED, "shutdown: deb: it has ended already: destroy removes it\n");
    world.shutdown_code = 0;
    expect("destroy deb", DONE, "");
    expect("destroy 2", DONE, "");
    expect("destroy 0", FAILED, "destroy: domain 0 runs this command: it cannot be done to it\n");
    assert_int_equal(world.domains, 0);
    expect("console ghost", DONE, "");
}

static void sizes(void **state)
{
    (void)state;
    set_up();
    expect("create deb -p vcpus=1 maxvcpus=3", DONE, "");
    expect("mem-max deb lots", USAGE, "mem-max: lots: a size is a number of MiB");
    expect("mem-max deb 0", USAGE, "mem-max: 0: a size is a number of MiB");
    expect("mem-max deb 7", FAILED, "mem-max: deb: it is to have 8 MiB now: mem-set first makes that less\n");
    expect("mem-set deb 16", FAILED, "mem-set: deb: it may have 8 MiB at most: mem-max raises that\n");
    expect("mem-max deb 4g", DONE, "");
    expect("mem-set deb 4g", FAILED, "mem-set: deb: it has 8 MiB, and 1.9 GiB are free: another domain must");
    expect("mem-set deb 16", DONE, "");
    assert_string_equal(world_node("/local/domain/1/memory/target"), "16384");
    expect("mem-set -w deb 12", FAILED,
           "mem-set: deb: it stays at 8 of 12 MiB: has its kernel a balloon driver");
    expect("mem-set deb 6144k", DONE, "");
    assert_string_equal(world_node("/local/domain/1/memory/target"), "6144");
    expect("mem-set -w deb 8", DONE, "");
    expect("mem-set 0 64", FAILED, "mem-set: 0: it was not created here");

    expect("vcpu-set deb 0", FAILED, "vcpu-set: 0: deb can have 1 to 3 CPUs: maxvcpus");
    expect("vcpu-set deb 4", FAILED, "vcpu-set: 4: deb can have 1 to 3 CPUs: maxvcpus");
    expect("vcpu-set deb two", FAILED, "vcpu-set: two: deb can have 1 to 3 CPUs");
    expect("vcpu-set deb 2", FAILED, "vcpu-set: 2: the machine has 1 CPUs: -i (--ignore-host)");
    expect("vcpu-set -i deb 2", DONE, "");
    assert_string_equal(world_node("/local/domain/1/cpu/1/availability"), "online");
    assert_string_equal(world_node("/local/domain/1/cpu/2/availability"), "offline");
    expect("vcpu-set -iw deb 3", FAILED, "vcpu-set: deb: it stays at 1 of 3 CPUs online: does anything");
    expect("vcpu-set -w deb 1", DONE, "");
    assert_string_equal(world_node("/local/domain/1/cpu/1/availability"), "offline");
    expect("vcpu-set 0 1", FAILED, "vcpu-set: 0: it was not created here");
    expect("destroy deb", DONE, "");
}

static void dry_run(void **state)
{
    (void)state;
    set_up();
    expect("create -n deb", DONE, "kernel     0x000200000 - 0x000202fff  12 KiB   k\n");
    expect("create --dry-run deb memory=99999", FAILED, "create: memory=99999: 2 GiB free of 2 GiB\n");
    expect("create --dryrun deb", DONE, "Nothing is short");
    expect("create dep", FAILED, "create: dep: no such file in the archive: did you mean deb.cfg?\n");
    expect("create nothing", FAILED,
           "create: nothing: neither it nor nothing.cfg is in the archive: ls shows its files\n");
    assert_int_equal(world.domains, 0);
}

static void the_store(void **state)
{
    (void)state;
    set_up();
    expect("store-write /a/b one /a/c two", DONE, "");
    expect("store-read /a/b", DONE, "one\n");
    expect("store-read -p /a/c", DONE, "/a/c: two\n");
    expect("store-list /a", DONE, "b\nc\n");
    expect("store-list -p /a", DONE, "/a/b\n/a/c\n");
    expect("store-ls /a", DONE, "b = \"one\"\nc = \"two\"\n");
    expect("store-ls -p /a", DONE, "b = \"one\" ........");
    expect("store-ls -p /a", DONE, ". (n0,r1)\nc");
    expect("store-ls -f /a", DONE, "/a/b = \"one\"\n/a/c = \"two\"\n");
    expect("store-write /a", USAGE, "store-write: something is missing; usage: store-write PATH VALUE...\n");
    expect("store-write /a 1 /b", USAGE, "store-write: /b has no value: paths and values come in pairs\n");
    expect("store-rm /a", DONE, "");
    expect("store-read /a/b", FAILED, "store-read: /a/b: does not exist\n");
}

static void shares(void **state)
{
    (void)state;
    set_up();
    world.cpus = 4;
    expect("create deb -p vcpus=2 cap=150 cpu_weight=512 cpus=1-3,^2 cpus_soft=3", DONE, "");
    expect("sched-credit2", DONE,
           "Cpupool Pool-0: ratelimit=0us\n"
           "Name                                ID Weight  Cap\n"
           "Domain-0                             0    256    0\n"
           "deb                                  1    512  150\n");
    expect("sched-credit2 -d deb -w 128", DONE, "");
    expect("sched-credit2 --domain=deb --cap=25", DONE, "");
    expect("sched-credit2 -d 1", DONE,
           "Name                                ID Weight  Cap\n"
           "deb                                  1    128   25\n");
    expect("sched-credit2 -d deb -w 0", USAGE, "sched-credit2: 0: a weight is a number from 1 to 65535\n");
    expect("sched-credit2 -d deb -w 65536", USAGE, "a weight is a number");
    expect("sched-credit2 -d deb -c 201", USAGE,
           "sched-credit2: 201: a cap, in percent of one CPU, is a number from 0 to 200\n");
    expect("sched-credit2 -w 5", USAGE, "sched-credit2: a weight or a cap is a domain's: add -d DOMAIN\n");
    expect("sched-credit2 -s -r 1000", DONE, "");
    expect("sched-credit2 -s", DONE, "Cpupool Pool-0: ratelimit=1000us\n");
    expect("sched-credit2 -s -r 99", USAGE,
           "sched-credit2: 99: a rate limit is 0, or 100 to 500000 microseconds\n");
    expect("sched-credit2 -r 99", USAGE, "sched-credit2: the rate limit is the same for all: add -s\n");
    expect("sched-credit2 -s -d deb", USAGE, "sched-credit2: -s is not about a domain");
    expect("sched-credit2 -p Pool-1", FAILED, "sched-credit2: Pool-1: there is one pool, Pool-0\n");
    expect("destroy deb", DONE, "");
}

static void affinity(void **state)
{
    (void)state;
    set_up();
    world.cpus = 4;
    expect("create deb -p vcpus=2 cpus=1-3,^2 cpus_soft=3", DONE, "");
    expect("vcpu-list deb", DONE, "1,3 / 3\n");
    expect("vcpu-pin deb 1 0-2 all", DONE, "");
    expect("vcpu-list deb", DONE, "0-2 / all\n");
    expect("vcpu-list deb", DONE, "1,3 / 3\n");
    expect("vcpu-pin deb all - 2,0", DONE, "");
    expect("vcpu-list deb", DONE, "1,3 / 0,2\n");
    expect("vcpu-list deb", DONE, "0-2 / 0,2\n");
    expect("vcpu-pin deb all all,^0,^3", DONE, "");
    expect("vcpu-list deb", DONE, "1-2 / 0,2\n");
    expect("vcpu-pin deb 2 0", USAGE, "vcpu-pin: 2: a virtual CPU is a number up to 1 here, or all\n");
    expect("vcpu-pin deb x 0", USAGE, "vcpu-pin: x: a virtual CPU is a number up to 1 here, or all\n");
    expect("vcpu-pin deb 0 4", USAGE, "vcpu-pin: 4: there is no such CPU: the machine has 0 to 3\n");
    expect("vcpu-pin deb 0 0-99999999999", USAGE, "there is no such CPU");
    expect("vcpu-pin deb 0 3-1", USAGE, "vcpu-pin: 3-1: CPUs are named as in 0-3,^1 or all\n");
    expect("vcpu-pin deb 0 0,,1", USAGE, "vcpu-pin: : CPUs are named as in 0-3,^1 or all\n");
    expect("vcpu-pin deb 0 1,^1", USAGE, "vcpu-pin: no CPU is left: begin with those that are in");
    expect("vcpu-pin deb 0 node:0", USAGE, "vcpu-pin: node:0: there are no nodes to choose from here");
    expect("vcpu-pin deb 0 ^nodes:0", USAGE, "vcpu-pin: nodes:0: there are no nodes to choose from here");
    expect("vcpu-pin deb 0 11111111111111111111111111", USAGE, "CPUs are named as in");
    expect("vcpu-pin deb 0 - -", USAGE, "vcpu-pin: nothing is left to set: - keeps what is\n");
    expect("destroy deb", DONE, "");
    expect("create deb cpus=0,7", FAILED,
           "create: cpus=0,7: 7: there is no such CPU: the machine has 0 to 3\n");
    expect("create deb cap=101", FAILED, "create: cap=101: 0 to 100 is possible\n");
    expect("create deb cpu_weight=0", FAILED, "create: cpu_weight=0: 1 to 65535 is possible\n");
    expect("create deb -p vcpus=3 cpus=['0','1-2']", DONE, "");
    expect("vcpu-list deb", DONE, "0 / all\n");
    expect("vcpu-list deb", DONE, "1-2 / all\n");
    expect("vcpu-list deb", DONE, "all / all\n");
    expect("destroy deb", DONE, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares),
        cmocka_unit_test(affinity),
        cmocka_unit_test(every_verb_with_wrong_arguments),
        cmocka_unit_test(options_with_values),
        cmocka_unit_test(counters),
        cmocka_unit_test(live),
        cmocka_unit_test(a_domain_s_life),
        cmocka_unit_test(sizes),
        cmocka_unit_test(dry_run),
        cmocka_unit_test(the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
