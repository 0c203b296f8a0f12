/* Sizes, UUIDs, times and nearest words as text (format.h). make_uuid() counts its calls; no locking. */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/domctl.h>

#include "format.h"

const char *format_size(char buf[SIZE_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(buf, SIZE_TEXT, "%u bytes", (unsigned)bytes);
        return buf;
    }
    unsigned unit = 0;
    while (unit < 5 && bytes >> (10 * (unit + 2)))
        unit++;
    uint64_t whole = bytes >> (10 * (unit + 1));
    unsigned tenth = (unsigned)(((bytes >> (10 * unit)) % 1024) * 10 / 1024);
    if (whole < 10 && tenth)
        snprintf(buf, SIZE_TEXT, "%u.%u %s", (unsigned)whole, tenth, units[unit]);
    else
        snprintf(buf, SIZE_TEXT, "%u %s", (unsigned)whole, units[unit]);
    return buf;
}

const char *format_uuid(char buf[UUID_TEXT], const xen_domain_handle_t uuid)
{
    char *p = buf;
    for (size_t i = 0; i < sizeof(xen_domain_handle_t); i++)
        p += snprintf(p, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    return buf;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parse_uuid(const char *text, xen_domain_handle_t uuid)
{
    xen_domain_handle_t read;
    for (size_t i = 0; i < sizeof read; i++) {
        if (i && *text == '-')
            text++;
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        read[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return false;
    memcpy(uuid, read, sizeof read);
    return true;
}

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

void make_uuid(xen_domain_handle_t uuid)
{
    static uint64_t made;
    uint64_t half[2];
    half[0] = mix(time_unix_s() ^ mix(time_ns() + ++made));
    half[1] = mix(half[0] ^ __builtin_ia32_rdtsc());
    memcpy(uuid, half, sizeof half);
    uuid[6] = (uint8_t)(0x40 | (uuid[6] & 0x0f));
    uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3f));
}

const char *format_state(char buf[STATE_TEXT], uint32_t flags)
{
    static const char reasons[] = "-rscwS";
    unsigned code = flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
    bool ended = flags & XEN_DOMINF_shutdown;
    buf[0] = flags & XEN_DOMINF_running ? 'r' : '-';
    buf[1] = flags & XEN_DOMINF_blocked ? 'b' : '-';
    buf[2] = flags & XEN_DOMINF_paused ? 'p' : '-';
    buf[3] = ended ? 's' : '-';
    buf[4] = !ended ? '-' : code < sizeof reasons - 1 ? reasons[code] : '?';
    buf[5] = flags & XEN_DOMINF_dying ? 'd' : '-';
    buf[6] = '\0';
    return buf;
}

const char *format_uptime(char buf[UPTIME_TEXT], uint64_t seconds, bool brief)
{
    unsigned days = (unsigned)(seconds / 86400), hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;
    int n = days ? snprintf(buf, UPTIME_TEXT, "%u day%s, ", days, days > 1 ? "s" : "") : 0;
    n += snprintf(buf + n, UPTIME_TEXT - (size_t)n, "%2u:%02u", hours, minutes);
    if (!brief)
        snprintf(buf + n, UPTIME_TEXT - (size_t)n, ":%02u", (unsigned)(seconds % 60));
    return buf;
}

const char *nearest_word(const char *text, const char *(*at)(size_t i), char buf[WORD_TEXT])
{
    const char *word;
    bool found = false;
    /* A word of three letters is two edits from many others: that is no likeness. */
    unsigned limit = strlen(text) < 4 ? 2 : 3;
    for (size_t i = 0; (word = at(i)); i++) {
        unsigned distance = edit_distance(text, word);
        if (distance < limit) {
            limit = distance;
            found = true;
            strlcpy(buf, word, WORD_TEXT);
        }
    }
    return found ? buf : NULL;
}
