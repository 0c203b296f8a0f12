/* Numbers, sizes and nearest words (lib/number.h). No state, no locking. */
#include <lib/number.h>
#include <lib/string.h>

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* Reads digits up to the first other character. Returns where it stopped, NULL for no digit or overflow. */
static const char *read_digits(const char *s, uint64_t *value)
{
    unsigned base = 10;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    } else if (s[0] == '0') {
        base = 8;
    }
    const char *start = s;
    uint64_t n = 0;
    for (int d; (d = digit_value(*s)) < (int)base; s++)
        if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (unsigned)d, &n))
            return NULL;
    *value = n;
    return s == start ? NULL : s;
}

bool parse_number(const char *s, uint64_t *value)
{
    uint64_t n;
    s = read_digits(s, &n);
    if (!s || *s)
        return false;
    *value = n;
    return true;
}

bool parse_size(const char *s, uint64_t unit, uint64_t *bytes)
{
    static const char suffixes[] = "bkmgt";
    uint64_t n;
    s = read_digits(s, &n);
    if (!s)
        return false;
    if (*s) {
        const char *suffix = strchr(suffixes, *s | 0x20);
        if (!suffix || !*suffix || s[1])
            return false;
        unit = 1ull << (10 * (suffix - suffixes));
    }
    if (__builtin_mul_overflow(n, unit, &n))
        return false;
    *bytes = n;
    return true;
}

bool parse_seconds(const char *s, uint64_t *ns)
{
    uint64_t unit = 1000000000, n = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (unsigned)(*p - '0'), &n))
            return false;
    if (p == s || __builtin_mul_overflow(n, unit, &n))
        return false;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9' && unit > 1; p++)
            if (__builtin_add_overflow(n, (uint64_t)(*p - '0') * (unit /= 10), &n))
                return false;
    if (*p)
        return false;
    *ns = n;
    return true;
}

unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[65];
    size_t n = strnlen(b, 63);
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1] && i < 64; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned remove = row[j] + 1, insert = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < remove ? change : remove;
            if (insert < row[j])
                row[j] = insert;
        }
    }
    return row[n];
}
