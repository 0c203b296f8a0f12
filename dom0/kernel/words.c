/* The shell's words (words.h). No state, no locking. */
#include <stdbool.h>
#include <lib/printf.h>
#include <lib/string.h>
#include "words.h"

struct writer {
    struct command *command;
    size_t used;
    int status;
};

static void put(struct writer *w, char c)
{
    /* One byte more is counted than stored: the caller sees an overflow by it. */
    if (w->used < sizeof w->command->text)
        w->command->text[w->used] = c;
    if (w->used <= sizeof w->command->text)
        w->used++;
}

static void put_status(struct writer *w)
{
    char number[16];
    snprintf(number, sizeof number, "%d", w->status);
    for (const char *p = number; *p; p++)
        put(w, *p);
}

static bool ends_word(char c)
{
    return !c || strchr(" \t\r\n;#", c);
}

/* One word from p on; returns where it ends, or NULL: a quote is not closed. */
static const char *read_word(const char *p, struct writer *w)
{
    char quote = 0;
    while (quote || (!ends_word(*p) && strncmp(p, "&&", 2))) {
        if (!*p)
            return NULL;
        if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? 0 : *p;
            p++;
        } else if (quote != '\'' && p[0] == '$' && p[1] == '?') {
            put_status(w);
            p += 2;
        } else {
            if (quote != '\'' && p[0] == '\\' && p[1])
                p++;
            put(w, *p++);
        }
    }
    put(w, '\0');
    return p;
}

const char *words_next(const char **line, int status, struct command *command)
{
    struct writer w = {.command = command, .status = status};
    const char *p = *line;
    command->argc = 0;
    command->then = THEN_END;
    for (;;) {
        while (*p && strchr(" \t\r\n", *p))
            p++;
        if (!*p || *p == '#' || *p == ';' || !strncmp(p, "&&", 2))
            break;
        if (command->argc == WORDS_MAX)
            return "too many words";
        command->argv[command->argc] = command->text + w.used;
        p = read_word(p, &w);
        if (!p)
            return "a quote is not closed";
        if (w.used > sizeof command->text)
            return "the command is too long";
        command->argc++;
    }
    command->argv[command->argc] = NULL;
    if (*p == ';') {
        command->then = THEN_ALWAYS;
        p++;
    } else if (*p == '&') {
        command->then = THEN_IF_OK;
        p += 2;
        if (!command->argc)
            return "nothing before &&";
    } else {
        p += strlen(p);
    }
    *line = p;
    return NULL;
}
