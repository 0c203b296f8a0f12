/*
 * The shell's own verbs (builtin.h): files, scripts, help, waiting, and the end of the machine.
 */
#include <lib/number.h>
#include <lib/string.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include <xen/sched.h>
#include "builtin.h"
#include "kernel.h"

#define SECOND    1000000000ull
#define POLL_TIME (SECOND / 10) /* how long a Ctrl-C may go unnoticed */
#define NEAR      3             /* edits that still make two words alike */

const struct tool_verb *verb_at(size_t index)
{
    if (index < builtin_verb_count)
        return &builtin_verbs[index];
    index -= builtin_verb_count;
    return index < tool_verb_count ? &tool_verbs[index] : NULL;
}

const struct tool_verb *verb_find(const char *name)
{
    const struct tool_verb *verb;
    for (size_t i = 0; (verb = verb_at(i)); i++)
        if (!strcmp(verb->name, name))
            return verb;
    return NULL;
}

/* The known verb that is nearest to name, NULL when none is near. */
static const struct tool_verb *verb_nearest(const char *name)
{
    const struct tool_verb *verb, *nearest = NULL;
    unsigned best = NEAR;
    for (size_t i = 0; (verb = verb_at(i)); i++) {
        unsigned distance = edit_distance(name, verb->name);
        if (distance < best && distance < strlen(name)) {
            best = distance;
            nearest = verb;
        }
    }
    return nearest;
}

int verb_unknown(const char *where, const char *name)
{
    const struct tool_verb *nearest = verb_nearest(name);
    if (nearest)
        print("%s%s: no such command; did you mean %s?\n", where, name, nearest->name);
    else
        print("%s%s: no such command; help lists them\n", where, name);
    return VERB_UNKNOWN;
}

static int usage(const char *name)
{
    const struct tool_verb *verb = verb_find(name);
    print("usage: %s %s\n", verb->name, verb->usage);
    return 2;
}

static int no_file(const char *verb, const char *name)
{
    print("%s: %s: no such file in the archive; ls lists them\n", verb, name);
    return 1;
}

static int run_ls(int argc, char **argv)
{
    struct file file;
    bool any = argc < 2;
    for (size_t i = 0; file_at(i, &file); i++) {
        if (argc > 1 && strncmp(file.name, argv[1], strlen(argv[1])))
            continue;
        print("%10zu %s\n", file.size, file.name);
        any = true;
    }
    return any ? 0 : no_file("ls", argv[1]);
}

static int run_cat(int argc, char **argv)
{
    int status = 0;
    if (argc < 2)
        return usage(argv[0]);
    for (int i = 1; i < argc; i++) {
        struct file file;
        if (!file_find(argv[i], &file)) {
            status = no_file("cat", argv[i]);
            continue;
        }
        const char *at = file.data;
        for (size_t left = file.size, n; left && !interrupted(); left -= n, at += n) {
            n = left < 256 ? left : 256;
            print("%.*s", (int)n, at);
        }
    }
    return status;
}

static int run_echo(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        print("%s%s", argv[i], i + 1 < argc ? " " : "");
    print("\n");
    return 0;
}

static int run_help(int argc, char **argv)
{
    const struct tool_verb *verb;
    if (argc > 2)
        return usage(argv[0]);
    if (argc == 2) {
        verb = verb_find(argv[1]);
        if (!verb)
            return verb_unknown("help: ", argv[1]);
        print("%s %s\n    %s\n", verb->name, verb->usage, verb->help);
        return 0;
    }
    for (size_t i = 0; (verb = verb_at(i)); i++)
        print("  %-14s %s\n", verb->name, verb->help);
    print("Separate commands by ; or &&. Tab completes. Three Ctrl-A switch between dom0 and the "
          "hypervisor.\n");
    return 0;
}

static int run_run(int argc, char **argv)
{
    if (argc != 2)
        return usage(argv[0]);
    int status = shell_script(argv[1]);
    return status < 0 ? no_file("run", argv[1]) : status;
}

static int run_sleep(int argc, char **argv)
{
    uint64_t ns;
    if (argc != 2 || !parse_seconds(argv[1], &ns))
        return usage(argv[0]);
    uint64_t end = time_ns() + ns;
    for (uint64_t now; (now = time_ns()) < end;) {
        if (interrupted())
            return 130;
        thread_sleep(end - now < POLL_TIME ? end - now : POLL_TIME);
    }
    return 0;
}

static int run_free(int argc, char **argv)
{
    if (argc != 1)
        return usage(argv[0]);
    print("dom0: %zu of %zu pages free, %zu blocks in use\n", page_free_count(),
          (size_t)(memory_total() / PAGE_SIZE), heap_blocks());
    return 0;
}

static int run_poweroff(int argc, char **argv)
{
    if (argc != 1)
        return usage(argv[0]);
    pvh_shutdown(SHUTDOWN_poweroff);
}

static int run_restart(int argc, char **argv)
{
    if (argc != 1)
        return usage(argv[0]);
    pvh_shutdown(SHUTDOWN_reboot);
}

const struct tool_verb builtin_verbs[] = {
    {"help", "[COMMAND]", "this list, or how one command is used", run_help, false, false},
    {"ls", "[PREFIX]", "files of the archive", run_ls, false, true},
    {"cat", "FILE...", "shows files", run_cat, false, true},
    {"echo", "[WORD...]", "prints its words; $? is the status of the last command", run_echo, false, false},
    {"run", "SCRIPT", "runs the commands in a file", run_run, false, true},
    {"sleep", "SECONDS", "waits; fractions are allowed", run_sleep, false, false},
    {"free", "", "dom0's own memory", run_free, false, false},
    {"time", "COMMAND [WORD...]", "runs a command, and says how long it took and the processors worked",
     run_time, true, true},
    {"poweroff", "", "switches the machine off, whatever domains run", run_poweroff, false, false},
    {"restart", "", "restarts the machine, whatever domains run", run_restart, false, false},
};
const size_t builtin_verb_count = ARRAY_SIZE(builtin_verbs);
