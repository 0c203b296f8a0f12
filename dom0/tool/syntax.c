/*
 * Parser for xl.cfg's syntax (syntax.h). One token of look-ahead; all that is read is copied out of the text.
 * The depth of nested lists is bounded, so that a hostile file cannot use up the stack. No locking.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "syntax.h"

#define MAX_DEPTH 8

struct cfg_block {
    struct cfg_block *next;
    char data[];
};

enum token { END, NEWLINE, IDENTIFIER, NUMBER, STRING, EQUALS, ADD, COMMA, OPEN, CLOSE };

struct parser {
    struct cfg *cfg;
    const char *at, *end;
    unsigned line;
    const char *argument; /* when this is the command line's, not a file's */
    enum token token;
    unsigned token_line;
    const char *text; /* of IDENTIFIER, NUMBER and STRING */
    struct why *why;
};

void *cfg_alloc(struct cfg *cfg, size_t size)
{
    struct cfg_block *block = mem_alloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->next = cfg->blocks;
    cfg->blocks = block;
    return block->data;
}

void cfg_free(struct cfg *cfg)
{
    while (cfg->blocks) {
        struct cfg_block *block = cfg->blocks;
        cfg->blocks = block->next;
        mem_free(block);
    }
    cfg->settings = NULL;
}

static bool complain(struct parser *p, const char *what)
{
    if (p->argument)
        return fail(p->why, "%s: %s", p->argument, what);
    return fail(p->why, "%s:%u: %s", p->cfg->file, p->token_line, what);
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool word_character(char c)
{
    return letter(c) || digit(c) || c == '_' || c == '.';
}

static bool take_word(struct parser *p, enum token token)
{
    const char *start = p->at;
    while (p->at < p->end && word_character(*p->at))
        p->at++;
    size_t length = (size_t)(p->at - start);
    char *copy = cfg_alloc(p->cfg, length + 1);
    if (!copy)
        return complain(p, "out of memory");
    memcpy(copy, start, length);
    p->text = copy;
    p->token = token;
    return true;
}

static int escape_digit(char c, unsigned base)
{
    int value = digit(c) ? c - '0' : letter(c) ? (c | 0x20) - 'a' + 10 : 99;
    return value < (int)base ? value : -1;
}

/* The character that the escape sequence after a backslash means; p->at is moved behind it. -1: none. */
static int take_escape(struct parser *p)
{
    static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
    char c = *p->at++;
    const char *name = c ? strchr(names, c) : NULL;
    if (name)
        return values[name - names];
    unsigned base = c == 'x' ? 16 : 8, most = c == 'x' ? 2 : 3, value = 0, n = 0;
    if (c != 'x' && !digit(c))
        return letter(c) ? -1 : (unsigned char)c;
    if (c != 'x')
        p->at--;
    for (; n < most && p->at < p->end && escape_digit(*p->at, base) >= 0; n++)
        value = value * base + (unsigned)escape_digit(*p->at++, base);
    return n && value && value < 256 ? (int)value : -1;
}

static bool take_string(struct parser *p)
{
    char quote = *p->at++;
    size_t most = 0;
    while (p->at + most < p->end && p->at[most] != '\n')
        most++;
    const char *line_end = p->at + most;
    char *copy = cfg_alloc(p->cfg, most + 1), *to = copy;
    if (!copy)
        return complain(p, "out of memory");
    while (p->at < line_end && *p->at != quote) {
        int c = (unsigned char)*p->at++;
        if (c == '\\') {
            c = p->at < line_end ? take_escape(p) : -1;
            if (c < 0)
                return complain(p, "no such escape sequence: write \\\\ for a backslash");
        }
        *to++ = (char)c;
    }
    if (p->at == line_end)
        return complain(p, quote == '"' ? "the string has no closing \"" : "the string has no closing '");
    p->at++;
    p->text = copy;
    p->token = STRING;
    return true;
}

static bool take_symbol(struct parser *p)
{
    static const char symbols[] = "=,[];\n";
    static const enum token tokens[] = {EQUALS, COMMA, OPEN, CLOSE, NEWLINE, NEWLINE};
    char c = *p->at++;
    const char *symbol = c ? strchr(symbols, c) : NULL;
    if (symbol) {
        p->token = tokens[symbol - symbols];
        p->line += c == '\n';
        return true;
    }
    if (c == '+' && p->at < p->end && *p->at == '=') {
        p->at++;
        p->token = ADD;
        return true;
    }
    char what[80];
    snprintf(what, sizeof what, "unexpected character '%c': strings need quotes",
             c >= ' ' && c < 127 ? c : '?');
    return complain(p, what);
}

/* Moves on to the next token. */
static bool advance(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
    if (p->at < p->end && *p->at == '#')
        while (p->at < p->end && *p->at != '\n')
            p->at++;
    p->token_line = p->line;
    if (p->at == p->end) {
        p->token = END;
        return true;
    }
    if (letter(*p->at) || *p->at == '_')
        return take_word(p, IDENTIFIER);
    if (digit(*p->at))
        return take_word(p, NUMBER);
    if (*p->at == '"' || *p->at == '\'')
        return take_string(p);
    return take_symbol(p);
}

static struct cfg_value *new_value(struct parser *p, const char *text)
{
    struct cfg_value *value = cfg_alloc(p->cfg, sizeof *value);
    if (!value) {
        complain(p, "out of memory");
        return NULL;
    }
    value->text = text;
    value->line = p->argument ? 0 : p->token_line;
    return value;
}

static bool skip_newlines(struct parser *p)
{
    while (p->token == NEWLINE)
        if (!advance(p))
            return false;
    return true;
}

static struct cfg_value *parse_value(struct parser *p, unsigned depth);

/* The token is the opening bracket. */
static struct cfg_value *parse_list(struct parser *p, unsigned depth)
{
    struct cfg_value *list = new_value(p, NULL);
    if (!list || !advance(p) || !skip_newlines(p))
        return NULL;
    struct cfg_value **last = &list->items;
    while (p->token != CLOSE) {
        *last = parse_value(p, depth + 1);
        if (!*last || !skip_newlines(p))
            return NULL;
        last = &(*last)->next;
        if (p->token == COMMA) {
            if (!advance(p) || !skip_newlines(p))
                return NULL;
        } else if (p->token != CLOSE) {
            complain(p,
                     p->token == END ? "the list has no closing ]" : "a comma or ] is missing in the list");
            return NULL;
        }
    }
    return advance(p) ? list : NULL;
}

static struct cfg_value *parse_value(struct parser *p, unsigned depth)
{
    if (depth > MAX_DEPTH) {
        complain(p, "lists are nested too deeply");
        return NULL;
    }
    if (p->token == OPEN)
        return parse_list(p, depth);
    if (p->token != NUMBER && p->token != STRING) {
        complain(p, p->token == IDENTIFIER ? "a value is a number, a list, or a string in quotes"
                                           : "the value is missing");
        return NULL;
    }
    struct cfg_value *value = new_value(p, p->text);
    return value && advance(p) ? value : NULL;
}

/* What += makes of the old and the new value: a longer list, or a longer string. NULL: complained. */
static struct cfg_value *append(struct parser *p, struct cfg_value *old, struct cfg_value *more)
{
    if (!old->text != !more->text) {
        complain(p, "+= joins two lists or two strings, not one of each");
        return NULL;
    }
    if (!old->text) {
        struct cfg_value **last = &old->items;
        while (*last)
            last = &(*last)->next;
        *last = more->items;
        return old;
    }
    size_t length = strlen(old->text);
    char *joined = cfg_alloc(p->cfg, length + strlen(more->text) + 1);
    if (!joined) {
        complain(p, "out of memory");
        return NULL;
    }
    memcpy(joined, old->text, length);
    memcpy(joined + length, more->text, strlen(more->text) + 1);
    more->text = joined;
    return more;
}

static bool store(struct parser *p, const char *key, unsigned line, struct cfg_value *value, bool add)
{
    struct cfg_setting **at = &p->cfg->settings;
    while (*at && strcmp((*at)->key, key))
        at = &(*at)->next;
    if (!*at) {
        *at = cfg_alloc(p->cfg, sizeof **at);
        if (!*at)
            return complain(p, "out of memory");
        (*at)->key = key;
    } else if (add) {
        value = append(p, (*at)->value, value);
        if (!value)
            return false;
    }
    (*at)->value = value;
    (*at)->line = line;
    return true;
}

bool cfg_read(struct cfg *cfg, const char *file, const char *text, size_t size, struct why *why)
{
    struct parser p = {.cfg = cfg, .at = text, .end = text + size, .line = 1, .why = why};
    cfg->file = file;
    if (!advance(&p))
        return false;
    for (;;) {
        if (!skip_newlines(&p))
            return false;
        if (p.token == END)
            return true;
        if (p.token != IDENTIFIER)
            return complain(&p, "a line starts with a key: key = value");
        const char *key = p.text;
        unsigned line = p.token_line;
        if (!advance(&p))
            return false;
        bool add = p.token == ADD;
        if (p.token != EQUALS && !add)
            return complain(&p, "a key is followed by = and a value");
        if (!advance(&p))
            return false;
        struct cfg_value *value = parse_value(&p, 0);
        if (!value)
            return false;
        if (p.token != NEWLINE && p.token != END)
            return complain(&p, "more than one value: a list needs [ ], the next key a new line");
        p.token_line = line;
        if (!store(&p, key, line, value, add))
            return false;
    }
}

static struct cfg_value *argument_value(struct parser *p)
{
    if (*p->at == '"' || *p->at == '\'' || *p->at == '[') {
        struct cfg_value *value = advance(p) ? parse_value(p, 0) : NULL;
        if (value && p->token != END) {
            complain(p, "there is more text after the value");
            return NULL;
        }
        return value;
    }
    size_t size = (size_t)(p->end - p->at) + 1;
    char *copy = cfg_alloc(p->cfg, size);
    if (!copy) {
        complain(p, "out of memory");
        return NULL;
    }
    strlcpy(copy, p->at, size);
    return new_value(p, copy);
}

bool cfg_read_argument(struct cfg *cfg, const char *argument, struct why *why)
{
    const char *equals = strchr(argument, '=');
    struct parser p = {.cfg = cfg, .at = argument, .end = equals, .argument = argument, .why = why};
    bool key_first = equals && (letter(*argument) || *argument == '_');
    if (key_first && !advance(&p))
        return false;
    if (!key_first || p.at != equals)
        return fail(why, "%s: key=value was expected", argument);
    const char *key = p.text;
    p.at = equals + 1;
    p.end = p.at + strlen(p.at);
    struct cfg_value *value = argument_value(&p);
    return value && store(&p, key, 0, value, false);
}

const struct cfg_setting *cfg_find(const struct cfg *cfg, const char *key)
{
    const struct cfg_setting *setting = cfg->settings;
    while (setting && strcmp(setting->key, key))
        setting = setting->next;
    return setting;
}
