/* The command line (hv/cmdline.h). Parsed once, on the boot CPU; no locking. */
#include <hv/cmdline.h>
#include <hv/init.h>
#include <hv/printk.h>
#include <lib/number.h>
#include <lib/string.h>

extern const struct cmdline_option cmdline_options_start[], cmdline_options_end[];

const char *cmdline_text(void)
{
    return boot_info.cmdline;
}

/* 1, 0, or -1 for what is neither. */
static INIT_CODE int boolean(const char *value)
{
    static const char *const words[] = {"no",  "off", "false", "0", "disable",
                                        "yes", "on",  "true",  "1", "enable"};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (!strcmp(value, words[i]))
            return i >= ARRAY_SIZE(words) / 2;
    return *value ? -1 : 1;
}

/* False: the value is not one for this option. */
static INIT_CODE bool set(const struct cmdline_option *option, const char *value)
{
    uint64_t number;
    int truth;
    switch (option->type) {
    case CMDLINE_TYPE_BOOL:
        truth = boolean(value);
        if (truth >= 0)
            *(bool *)option->target = truth;
        return truth >= 0;
    case CMDLINE_TYPE_UINT:
        if (!parse_number(value, &number) || number > UINT32_MAX)
            return false;
        *(uint32_t *)option->target = (uint32_t)number;
        return true;
    case CMDLINE_TYPE_SIZE:
        return parse_size(value, 1024, option->target);
    case CMDLINE_TYPE_STRING:
        return strlcpy(option->target, value, option->size) < option->size;
    case CMDLINE_TYPE_FN:
        return ((int (*)(const char *))option->target)(value) == 0;
    }
    return false;
}

static INIT_CODE const struct cmdline_option *find(const char *name)
{
    for (const struct cmdline_option *o = cmdline_options_start; o < cmdline_options_end; o++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

static INIT_CODE void warn_unknown(const char *name)
{
    const char *nearest = "";
    unsigned best = ~0u;
    for (const struct cmdline_option *o = cmdline_options_start; o < cmdline_options_end; o++) {
        unsigned distance = edit_distance(name, o->name);
        if (distance < best) {
            best = distance;
            nearest = o->name;
        }
    }
    printk(LOG_WARNING "Command line: unknown option \"%s\"; the nearest known one is \"%s\"\n", name,
           nearest);
}

static INIT_CODE void parse_word(char *word)
{
    char *value = strchr(word, '=');
    if (value)
        *value++ = '\0';
    const struct cmdline_option *option = find(word);
    if (option) {
        if (!set(option, value ? value : ""))
            printk(LOG_WARNING "Command line: %s=%s is not a value that %s takes\n", word, value ? value : "",
                   word);
        return;
    }
    const struct cmdline_option *negated = !value && !strncmp(word, "no-", 3) ? find(word + 3) : NULL;
    if (negated && negated->type == CMDLINE_TYPE_BOOL)
        *(bool *)negated->target = false;
    else
        warn_unknown(word);
}

INIT_CODE void cmdline_parse(const char *line)
{
    char word[128];
    while (*line) {
        size_t length = 0;
        while (line[length] && line[length] != ' ')
            length++;
        if (length >= sizeof word) {
            printk(LOG_WARNING "Command line: a word longer than %zu characters is ignored\n",
                   sizeof word - 1);
        } else if (length) {
            memcpy(word, line, length);
            word[length] = '\0';
            parse_word(word);
        }
        line += length;
        while (*line == ' ')
            line++;
    }
}
