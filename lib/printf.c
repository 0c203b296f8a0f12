/*
 * vsnprintf for every image (lib/printf.h). No state, no locking.
 *
 * A conversion is parsed into a struct spec, its text is made in a small buffer, and emit_field() pads it.
 */
#include <lib/printf.h>
#include <lib/string.h>
#include <stdbool.h>
#include <stdint.h>

struct out {
    char *to;
    size_t size, length;
};

struct spec {
    bool left, zero, plus, space, alternate;
    int width, precision; /* precision -1: none given */
    int size;             /* bytes of the integer argument */
};

static void put(struct out *out, char c)
{
    if (out->length + 1 < out->size)
        out->to[out->length] = c;
    out->length++;
}

static void put_many(struct out *out, char c, int n)
{
    while (n-- > 0)
        put(out, c);
}

/* prefix (sign, 0x) + zeros + text, padded to the width. */
static void emit_field(struct out *out, const struct spec *spec, const char *prefix, int zeros,
                       const char *text, int length)
{
    int prefix_length = (int)strlen(prefix);
    int padding = spec->width - prefix_length - zeros - length;
    if (!spec->left)
        put_many(out, ' ', padding);
    for (const char *p = prefix; *p; p++)
        put(out, *p);
    put_many(out, '0', zeros);
    for (int i = 0; i < length; i++)
        put(out, text[i]);
    if (spec->left)
        put_many(out, ' ', padding);
}

static void emit_number(struct out *out, const struct spec *spec, uint64_t value, unsigned base, bool upper,
                        const char *prefix)
{
    char digits[24];
    const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int n = 0;
    for (; value; value /= base)
        digits[sizeof digits - ++n] = alphabet[value % base];
    int zeros = (spec->precision < 0 ? 1 : spec->precision) - n;
    int room = spec->width - (int)strlen(prefix) - n;
    if (spec->zero && !spec->left && spec->precision < 0 && room > zeros)
        zeros = room;
    emit_field(out, spec, prefix, zeros > 0 ? zeros : 0, digits + sizeof digits - n, n);
}

static const char *parse_spec(const char *f, struct spec *spec, va_list *args)
{
    *spec = (struct spec){.precision = -1, .size = sizeof(int)};
    for (;; f++) {
        if (*f == '-')
            spec->left = true;
        else if (*f == '0')
            spec->zero = true;
        else if (*f == '+')
            spec->plus = true;
        else if (*f == ' ')
            spec->space = true;
        else if (*f == '#')
            spec->alternate = true;
        else
            break;
    }
    if (*f == '*') {
        spec->width = va_arg(*args, int);
        if (spec->width < 0) {
            spec->left = true;
            spec->width = -spec->width;
        }
        f++;
    }
    for (; *f >= '0' && *f <= '9'; f++)
        spec->width = spec->width * 10 + *f - '0';
    if (*f == '.') {
        spec->precision = 0;
        if (*++f == '*') {
            spec->precision = va_arg(*args, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++)
            spec->precision = spec->precision * 10 + *f - '0';
    }
    for (; *f == 'l' || *f == 'z' || *f == 't' || *f == 'h'; f++)
        spec->size = *f == 'h' ? spec->size / 2 : (int)sizeof(long);
    return f;
}

static uint64_t unsigned_argument(const struct spec *spec, va_list *args)
{
    uint64_t value = spec->size == 8 ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);
    return spec->size == 8 ? value : value & ((1ull << (8 * spec->size)) - 1);
}

static void emit_signed(struct out *out, const struct spec *spec, va_list *args)
{
    int64_t value = spec->size == 8 ? va_arg(*args, int64_t) : va_arg(*args, int);
    if (spec->size == 2)
        value = (int16_t)value;
    else if (spec->size == 1)
        value = (int8_t)value;
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";
    emit_number(out, spec, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, false, sign);
}

static void emit_string(struct out *out, const struct spec *spec, const char *s)
{
    if (!s)
        s = "(null)";
    size_t length = spec->precision < 0 ? strlen(s) : strnlen(s, (size_t)spec->precision);
    emit_field(out, spec, "", 0, s, (int)length);
}

static void convert(struct out *out, const struct spec *spec, char conversion, va_list *args)
{
    switch (conversion) {
    case 'd':
    case 'i':
        emit_signed(out, spec, args);
        break;
    case 'u':
        emit_number(out, spec, unsigned_argument(spec, args), 10, false, "");
        break;
    case 'o':
        emit_number(out, spec, unsigned_argument(spec, args), 8, false, spec->alternate ? "0" : "");
        break;
    case 'x':
    case 'X': {
        bool upper = conversion == 'X';
        uint64_t value = unsigned_argument(spec, args);
        emit_number(out, spec, value, 16, upper, spec->alternate && value ? (upper ? "0X" : "0x") : "");
        break;
    }
    case 'p':
        emit_number(out, spec, (uintptr_t)va_arg(*args, void *), 16, false, "0x");
        break;
    case 'c': {
        char c = (char)va_arg(*args, int);
        emit_field(out, spec, "", 0, &c, 1);
        break;
    }
    case 's':
        emit_string(out, spec, va_arg(*args, const char *));
        break;
    default:
        put(out, conversion);
    }
}

int vsnprintf(char *to, size_t size, const char *format, va_list args)
{
    struct out out = {.to = to, .size = size};
    va_list ap;
    va_copy(ap, args);
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(&out, *f);
            continue;
        }
        struct spec spec;
        f = parse_spec(f + 1, &spec, &ap);
        if (!*f)
            break;
        convert(&out, &spec, *f, &ap);
    }
    va_end(ap);
    if (size)
        to[out.length < size ? out.length : size - 1] = '\0';
    return (int)out.length;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(to, size, format, args);
    va_end(args);
    return length;
}
