/* Parameters of device strings (spec.h). No state, no locking. */
#include <stdarg.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "format.h"
#include "spec.h"

/* How much of a part and of the whole a message repeats: so much that the reason behind them fits. */
#define PART_SHOWN  40
#define WHOLE_SHOWN 80

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *past_space(const char *text)
{
    while (space(*text))
        text++;
    return text;
}

/* Into word, without the white space around it. */
static bool take(struct spec *spec, const char *start, const char *end, char word[SPEC_WORD])
{
    start = past_space(start);
    while (end > start && space(end[-1]))
        end--;
    if (end < start)
        end = start;
    size_t length = (size_t)(end - start);
    if (length >= SPEC_WORD)
        return spec_fail(spec, start, "that is longer than %d characters", SPEC_WORD - 1);
    memcpy(word, start, length);
    word[length] = '\0';
    return true;
}

bool spec_next(struct spec *spec, const char *greedy, char word[SPEC_WORD])
{
    for (; spec->index < spec->count; spec->index++, spec->at = NULL) {
        if (!spec->at)
            spec->at = past_space(spec->strings[spec->index]);
        if (!*spec->at)
            continue;
        bool whole = greedy && !strncmp(spec->at, greedy, strlen(greedy));
        const char *start = spec->at, *comma = whole ? NULL : strchr(start, ',');
        const char *end = comma ? comma : start + strlen(start);
        spec->at = comma ? past_space(comma + 1) : end;
        return take(spec, start, end, word);
    }
    return false;
}

static bool key_character(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '_'));
}

char *spec_value(char word[SPEC_WORD])
{
    size_t length = 0;
    while (key_character(word[length], !length))
        length++;
    if (!length || word[length] != '=')
        return NULL;
    word[length] = '\0';
    return word + length + 1;
}

bool spec_fail(struct spec *spec, const char *part, const char *format, ...)
{
    char text[sizeof spec->reason.text];
    if (spec->failed)
        return false;
    spec->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!part)
        return fail(&spec->reason, "%s", text);
    bool cut = strlen(part) > PART_SHOWN;
    return fail(&spec->reason, "'%.*s%s': %s", PART_SHOWN, part, cut ? "..." : "", text);
}

bool spec_unknown(struct spec *spec, const char *part, const char *what, const char *(*at)(size_t i))
{
    char word[WORD_TEXT];
    const char *nearest = nearest_word(part, at, word);
    return nearest ? spec_fail(spec, part, "%s; did you mean %s?", what, nearest)
                   : spec_fail(spec, part, "%s", what);
}

bool spec_refuse(const struct spec *spec, const char *kind, const char *right, struct why *why)
{
    char whole[WHOLE_SHOWN + 4] = "";
    size_t n = 0;
    for (size_t i = 0; i < spec->count && n < sizeof whole; i++)
        n += (size_t)snprintf(whole + n, sizeof whole - n, "%s%s", i ? "," : "", spec->strings[i]);
    if (n >= sizeof whole)
        strlcpy(whole + WHOLE_SHOWN, "...", 4);
    return fail(why, "%s '%s': %s; right would be '%s'", kind, whole, spec->reason.text, right);
}
