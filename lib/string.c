/* Memory and string functions (lib/string.h). No state, no locking. */
#include <lib/string.h>
#include <stdint.h>

/*
 * rep movs and rep stos: the processors we run on move whole cache lines with them, and no loop is as small.
 * Not all are as quick by bytes as by eights, so packets, whose lengths are any, go by eights, too.
 */
typedef uint64_t __attribute__((may_alias, aligned(1))) eight_bytes;

void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;
    size_t eights = n / 8;
    if (n % 8 == 0) {
        asm volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(eights) : : "memory");
    } else if (!eights) {
        asm volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    } else {
        /* The end is one more eight, which overlaps the last. It is read first, for memmove's sake. */
        uint64_t last = *(const eight_bytes *)((const char *)from + n - 8);
        asm volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(eights) : : "memory");
        *(eight_bytes *)((char *)to + n - 8) = last;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    if ((size_t)((const char *)to - (const char *)from) >= n)
        return memcpy(to, from, n);
    char *d = to;
    const char *s = from;
    while (n--)
        d[n] = s[n];
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    void *d = to;
    if (n % 8 == 0) {
        n /= 8;
        asm volatile("rep stosq"
                     : "+D"(d), "+c"(n)
                     : "a"(0x0101010101010101ull * (unsigned char)byte)
                     : "memory");
    } else {
        asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) : "memory");
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *memchr(const void *s, int byte, size_t n)
{
    for (const unsigned char *p = s; n; n--, p++)
        if (*p == (unsigned char)byte)
            return (void *)p;
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, (size_t)-1);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    char *last = NULL;
    for (;; s++) {
        if (*s == (char)c)
            last = (char *)s;
        if (!*s)
            return last;
    }
}

char *strstr(const char *s, const char *what)
{
    size_t n = strlen(what);
    for (;; s++) {
        if (!strncmp(s, what, n))
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

size_t strlcpy(char *to, const char *from, size_t size)
{
    size_t n = strlen(from);
    if (size) {
        size_t copied = n < size ? n : size - 1;
        memcpy(to, from, copied);
        to[copied] = '\0';
    }
    return n;
}
