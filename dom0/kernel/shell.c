/*
 * The shell (kernel.h): runs lines and scripts, completes words, and shows the prompt.
 */
#include <lib/string.h>
#include <pvh/pvh.h>
#include "builtin.h"
#include "edit.h"
#include "kernel.h"
#include "words.h"

#define PROMPT         "dom0# "
#define SCRIPT_DEPTH   8
#define STATUS_SYNTAX  2
#define STATUS_MEMORY  1
#define DEFAULT_SCRIPT "rc"

static int status;

/* --- running -------------------------------------------------------------------------------------------- */

static int run_command(struct command *command)
{
    const struct tool_verb *verb = verb_find(command->argv[0]);
    return verb ? verb->run(command->argc, command->argv) : verb_unknown("", command->argv[0]);
}

int shell_line(const char *line)
{
    struct command *command = mem_alloc(sizeof *command);
    if (!command) {
        print("shell: no memory; destroy a domain or raise dom0_mem\n");
        return status = STATUS_MEMORY;
    }
    do {
        const char *problem = words_next(&line, status, command);
        if (problem) {
            print("shell: %s\n", problem);
            status = STATUS_SYNTAX;
            break;
        }
        if (command->argc)
            status = run_command(command);
        if (command->then == THEN_IF_OK && status)
            break;
    } while (command->then != THEN_END && !interrupted());
    mem_free(command);
    return status;
}

static void run_lines(const char *text, size_t size)
{
    char line[EDIT_MAX];
    const char *end = text + size;
    for (unsigned number = 1; text < end && !interrupted(); number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t length = (size_t)((newline ? newline : end) - text);
        if (length < sizeof line) {
            strlcpy(line, text, length + 1);
            shell_line(line);
        } else {
            print("run: line %u is longer than %zu characters and was left out; split it\n", number,
                  sizeof line - 1);
            status = STATUS_SYNTAX;
        }
        text += length + 1;
    }
}

int shell_script(const char *name)
{
    static unsigned depth;
    struct file file;
    if (!file_find(name, &file))
        return -1;
    if (depth == SCRIPT_DEPTH) {
        print("run: %s: scripts call each other %u deep; end the circle\n", name, depth);
        return STATUS_SYNTAX;
    }
    depth++;
    status = 0;
    run_lines(file.data, file.size);
    depth--;
    return status;
}

/* --- completion ----------------------------------------------------------------------------------------- */

enum list { LIST_VERBS, LIST_FILES, LIST_DOMAINS, LIST_COUNT };

static bool list_entry(enum list list, size_t index, char *name, size_t size)
{
    struct file file;
    const struct tool_verb *verb;
    switch (list) {
    case LIST_VERBS:
        verb = verb_at(index);
        if (verb)
            strlcpy(name, verb->name, size);
        return verb;
    case LIST_FILES:
        if (!file_at(index, &file))
            return false;
        strlcpy(name, file.name, size);
        return true;
    case LIST_DOMAINS:
        return tool_domain_name(index, name, size);
    default:
        return false;
    }
}

/* Which lists may stand where the cursor is: a bit each. */
static unsigned lists_for(const char *line, size_t word)
{
    char name[32];
    size_t start = word;
    while (start && line[start - 1] != ';' && line[start - 1] != '&')
        start--;
    while (line[start] == ' ')
        start++;
    if (start >= word)
        return 1 << LIST_VERBS;
    size_t length = 0;
    while (line[start + length] && line[start + length] != ' ')
        length++;
    strlcpy(name, line + start, length + 1 < sizeof name ? length + 1 : sizeof name);
    const struct tool_verb *verb = verb_find(name);
    if (!strcmp(name, "help"))
        return 1 << LIST_VERBS;
    return verb ? (unsigned)verb->completes_file << LIST_FILES | (unsigned)verb->completes_domain
                                                                     << LIST_DOMAINS
                : 0;
}

static bool complete(const char *line, size_t index, char *candidate, size_t size, size_t *start)
{
    size_t word = strlen(line);
    while (word && line[word - 1] != ' ' && line[word - 1] != ';' && line[word - 1] != '&')
        word--;
    *start = word;
    unsigned lists = lists_for(line, word);
    for (enum list list = 0; list < LIST_COUNT; list++)
        for (size_t i = 0; lists >> list & 1 && list_entry(list, i, candidate, size); i++)
            if (!strncmp(candidate, line + word, strlen(line + word)) && !index--)
                return true;
    return false;
}

/* --- the shell's thread --------------------------------------------------------------------------------- */

static void run_boot_script(void)
{
    char name[128] = DEFAULT_SCRIPT;
    bool named = pvh_option("rc", name, sizeof name);
    terminal_mode(TERMINAL_COMMAND);
    if (shell_script(name) < 0 && named)
        print("rc=%s: no such file in the archive; add it, or drop the word from dom0's command line\n",
              name);
}

_Noreturn void shell_main(void)
{
    static char line[EDIT_MAX];
    run_boot_script();
    for (;;) {
        terminal_mode(TERMINAL_EDITING);
        bool ready = edit_line(PROMPT, line, complete);
        terminal_mode(TERMINAL_COMMAND);
        if (ready)
            shell_line(line);
    }
}
