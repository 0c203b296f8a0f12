/* The table of verbs, their options and their help (verbs.h, dom0/tool.h). Constant tables only; no locking.
 */
#include <lib/string.h>

#include "domain.h"
#include "nodes.h"
#include "overhead.h"
#include "verbs.h"

const struct tool_verb tool_verbs[] = {
    {"block-attach", "DOMAIN DISK...", "give a domain a disk, as in disk = [ ] of a configuration",
     verb_block_attach, true, true},
    {"block-detach", "[-f] DOMAIN DISK", "take a disk from a domain", verb_block_detach, true, false},
    {"block-list", "DOMAIN...", "list the disks of domains", verb_block_list, true, false},
    {"bridge-create", "NAME", "make a bridge between guests only", verb_bridge_create, false, false},
    {"bridge-destroy", "NAME", "remove such a bridge", verb_bridge_destroy, false, false},
    {"bridge-list", "[-v]", "list the bridges and the network cards under them", verb_bridge_list, false,
     false},
    {"console", "DOMAIN", "join a domain's console; Ctrl-] leaves it", verb_console, true, false},
    {"create", "[-c] [-p] [-n] [-q] FILE [KEY=VALUE...]", "create a domain from a configuration", verb_create,
     false, true},
    {"destroy", "DOMAIN", "end a domain at once, without asking it", verb_destroy, true, false},
    {"disk-list", "", "list the disks and partitions of the machine", verb_disk_list, false, false},
    {"dmesg", "[-c]", "show the hypervisor's messages", verb_dmesg, false, false},
    {"domid", "NAME", "show the id of a domain", verb_domid, true, false},
    {"domname", "ID", "show the name of a domain", verb_domname, false, false},
    {"info", "[-v] [FIELD]", "show the machine and the hypervisor", verb_info, false, false},
    {"list", "[-l] [-v] [DOMAIN]", "list all domains or one", verb_list, true, false},
    {"mem-max", "DOMAIN SIZE", "set how much memory a domain may have", verb_mem_max, true, false},
    {"mem-set", "[-w] DOMAIN SIZE", "have a domain take or give up memory", verb_mem_set, true, false},
    {"network-attach", "DOMAIN [KEY=VALUE...]",
     "give a domain a network card, as in vif = [ ] of a configuration", verb_network_attach, true, false},
    {"network-detach", "[-f] DOMAIN NUMBER|MAC", "take a network card from a domain", verb_network_detach,
     true, false},
    {"network-list", "DOMAIN...", "list the network cards of domains", verb_network_list, true, false},
    {"pause", "DOMAIN", "stop a domain's CPUs", verb_pause, true, false},
    {"perf", "[-f] [FILTER] | -r", "show how often what happened in the hypervisor", verb_perf, false, false},
    {"ramdisk-create", "NAME SIZE|FILE | NAME SIZE FILE", "make a disk in dom0's memory", verb_ramdisk_create,
     false, true},
    {"ramdisk-destroy", "NAME", "remove such a disk", verb_ramdisk_destroy, false, false},
    {"reboot", "[-w] -a|DOMAIN", "ask a domain to reboot", verb_reboot, true, false},
    {"rename", "DOMAIN NEWNAME", "give a domain another name", verb_rename, true, false},
    {"sched-credit2", "[-d DOMAIN [-w WEIGHT] [-c CAP]] [-s [-r MICROSECONDS]]",
     "show or set how domains share the CPUs", verb_sched_credit2, true, false},
    {"shutdown", "[-w] -a|DOMAIN", "ask a domain to shut down", verb_shutdown, true, false},
    {"store-list", "[-p] PATH...", "list the children of a node in the store", verb_store_list, false, false},
    {"store-ls", "[-f] [-p] [PATH]", "show the store below a node", verb_store_ls, false, false},
    {"store-read", "[-p] PATH...", "show the value of a node in the store", verb_store_read, false, false},
    {"store-rm", "PATH...", "remove a node from the store", verb_store_rm, false, false},
    {"store-write", "PATH VALUE...", "write a node in the store", verb_store_write, false, false},
    {"top", "[-b] [-d SECONDS] [-n COUNT]", "show who uses the processors, live; q leaves", verb_top, false,
     false},
    {"unpause", "DOMAIN", "let a paused domain run", verb_unpause, true, false},
    {"uptime", "[-s] [DOMAIN...]", "show how long domains have been running", verb_uptime, true, false},
    {"vcpu-list", "[DOMAIN...]", "list the virtual CPUs of all domains or some", verb_vcpu_list, true, false},
    {"vcpu-pin", "[-f] DOMAIN VCPU|all HARD|- [SOFT|-]", "choose the CPUs of virtual CPUs", verb_vcpu_pin,
     true, false},
    {"vcpu-set", "[-i] [-w] DOMAIN COUNT", "set how many of its CPUs a domain uses", verb_vcpu_set, true,
     false},
};
const size_t tool_verb_count = sizeof tool_verbs / sizeof tool_verbs[0];

void tool_init(void)
{
    nodes_make_own();
    overhead_init();
}

static const struct tool_verb *verb_find(const char *name)
{
    for (size_t i = 0; i < tool_verb_count; i++)
        if (!strcmp(tool_verbs[i].name, name))
            return &tool_verbs[i];
    return NULL;
}

int verb_failed(const char *verb, const struct why *why)
{
    print("%s: %s\n", verb, why->text);
    return FAILED;
}

int verb_failed_on(const char *verb, const char *what, const struct why *why)
{
    print("%s: %s: %s\n", verb, what, why->text);
    return FAILED;
}

bool domain_operand(const char *verb, const char *operand, domid_t *domid)
{
    struct why why;
    if (domain_find(operand, domid, &why))
        return true;
    verb_failed(verb, &why);
    return false;
}

bool whole_domain_operand(const char *verb, const char *operand, domid_t *domid)
{
    struct why why;
    if (!domain_operand(verb, operand, domid))
        return false;
    if (domain_await(*domid, &why))
        return true;
    verb_failed_on(verb, operand, &why);
    return false;
}

static void print_usage(const char *name)
{
    const struct tool_verb *verb = verb_find(name);
    print("usage: %s %s\n", name, verb ? verb->usage : "");
}

static void print_help(const char *name, const struct option *options, size_t count)
{
    const struct tool_verb *verb = verb_find(name);
    print_usage(name);
    print("%s\n", verb ? verb->help : "");
    for (size_t i = 0; i < count; i++) {
        char letter[] = {'-', options[i].letter, '\0'};
        print("  %-2s%s%s%-*s %s\n", options[i].letter ? letter : "",
              options[i].letter && options[i].word ? ", " : "  ", options[i].word ? "--" : "",
              options[i].word ? 10 : 12, options[i].word ? options[i].word : "", options[i].help);
    }
}

/* A word ends with the argument, or with the = before a value. */
static const struct option *option_by_word(const char *word, const struct option *options, size_t count)
{
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < count; i++)
        if (options[i].word && strlen(options[i].word) == length && !strncmp(options[i].word, word, length) &&
            (!equals || options[i].value))
            return &options[i];
    return NULL;
}

static const struct option *option_by_letter(char letter, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

enum taken { TAKEN, TAKEN_BOTH, HELP, UNKNOWN, NO_VALUE };

/* The value of an option: the rest of its argument, if there is one, or else the next argument. */
static enum taken take_value(const struct option *option, const char *rest, const char *next)
{
    *option->value = rest ? rest : next;
    return rest ? TAKEN : next ? TAKEN_BOTH : NO_VALUE;
}

/* One argument that starts with a hyphen: a word, or letters in a row; next is the one behind it, or NULL. */
static enum taken take_one(const char *argument, const char *next, const struct option *options, size_t count)
{
    if (argument[1] == '-') {
        const struct option *option = option_by_word(argument + 2, options, count);
        const char *equals = strchr(argument, '=');
        if (!option)
            return strcmp(argument, "--help") ? UNKNOWN : HELP;
        if (option->value)
            return take_value(option, equals ? equals + 1 : NULL, next);
        *option->set = true;
        return TAKEN;
    }
    for (const char *letter = argument + 1; *letter; letter++) {
        const struct option *option = option_by_letter(*letter, options, count);
        if (!option)
            return *letter == 'h' ? HELP : UNKNOWN;
        if (option->value)
            return take_value(option, letter[1] ? letter + 1 : NULL, next);
        *option->set = true;
    }
    return TAKEN;
}

int take_options(int argc, char **argv, const struct option *options, size_t count, int least, int most,
                 int *status)
{
    int operands = 0;
    bool ended = false;
    *status = USAGE;
    for (int i = 1; i < argc; i++) {
        if (ended || argv[i][0] != '-' || !argv[i][1]) {
            argv[++operands] = argv[i];
            continue;
        }
        if (!strcmp(argv[i], "--")) {
            ended = true;
            continue;
        }
        enum taken taken = take_one(argv[i], argv[i + 1], options, count);
        if (taken == TAKEN || taken == TAKEN_BOTH) {
            i += taken == TAKEN_BOTH;
            continue;
        }
        if (taken == HELP) {
            print_help(argv[0], options, count);
            *status = DONE;
        } else {
            print(taken == UNKNOWN ? "%s: unknown option %s; " : "%s: %s: its value is missing; ", argv[0],
                  argv[i]);
            print_usage(argv[0]);
        }
        return -1;
    }
    if (operands < least || (most >= 0 && operands > most)) {
        print("%s: %s; ", argv[0], operands < least ? "something is missing" : "too many arguments");
        print_usage(argv[0]);
        return -1;
    }
    return operands;
}

void print_text(const char *text, size_t length)
{
    char line[128];
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (n > sizeof line - 8) {
            print("%.*s", (int)n, line);
            n = 0;
        }
        if ((c >= ' ' && c <= '~') || c == '\n' || c == '\t') {
            line[n++] = c;
        } else if (c != '\r') {
            static const char digits[] = "0123456789abcdef";
            line[n++] = '\\';
            line[n++] = 'x';
            line[n++] = digits[(unsigned char)c >> 4];
            line[n++] = digits[c & 15];
        }
    }
    print("%.*s", (int)n, line);
}
