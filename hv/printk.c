/*
 * printk and its levels (hv/printk.h). The thresholds are set by the command line and change no more; the
 * rate limit's state is changed atomically, so nothing here takes a lock but the console's.
 */
#include <hv/arch/time.h>
#include <hv/cmdline.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/printk.h>
#include <lib/printf.h>
#include <lib/string.h>

#define LEVEL_CHARACTER '\001'
#define DEFAULT_LEVEL   1u /* LOG_WARNING */

/* Messages below `always` are printed, those below `limited` within the rate. */
struct threshold {
    uint32_t always, limited;
};

static bool everything;
static struct threshold hypervisor_level = {3, 3}; /* error, warning, info */
static struct threshold guest_level = {0, 2};      /* error and warning, limited */

/* Guests may cause this many messages in a window; the rest is counted only. */
#define RATE_WINDOW   (5 * SECOND)
#define RATE_MESSAGES 10u
static ns_t window_start;
static uint32_t window_messages, window_lost;

static INIT_CODE bool parse_level(const char *word, size_t length, uint32_t *level)
{
    static const struct {
        const char *word;
        uint32_t level;
    } words[] = {{"none", 0}, {"error", 1}, {"warning", 2}, {"info", 3}, {"debug", 4}, {"all", 4}};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strlen(words[i].word) == length && !strncmp(words[i].word, word, length)) {
            *level = words[i].level;
            return true;
        }
    }
    return false;
}

/* LEVEL or LEVEL/RATE-LIMITED-LEVEL, as Xen takes it. */
static INIT_CODE int parse_threshold(const char *value, struct threshold *threshold)
{
    const char *slash = strchr(value, '/');
    struct threshold t;
    if (!parse_level(value, slash ? (size_t)(slash - value) : strlen(value), &t.always))
        return -1;
    t.limited = t.always;
    if (slash && !parse_level(slash + 1, strlen(slash + 1), &t.limited))
        return -1;
    *threshold = t;
    return 0;
}

static INIT_CODE int parse_loglvl(const char *value)
{
    return parse_threshold(value, &hypervisor_level);
}
CMDLINE_FN("loglvl", parse_loglvl);

static INIT_CODE int parse_guest_loglvl(const char *value)
{
    return parse_threshold(value, &guest_level);
}
CMDLINE_FN("guest_loglvl", parse_guest_loglvl);

void printk_everything(bool on)
{
    everything = on;
}

static unsigned take_level(const char **format)
{
    if ((*format)[0] != LEVEL_CHARACTER)
        return DEFAULT_LEVEL;
    unsigned level = (unsigned)((*format)[1] - '0');
    *format += 2;
    return level;
}

static void emit(const char *prefix, const char *format, va_list args, bool newline)
{
    char line[256];
    int used = snprintf(line, sizeof line, "%s", prefix);
    int length = used + vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    if (length > (int)sizeof line - 2) {
        length = (int)sizeof line - 2;
        newline = true;
    }
    if (newline)
        line[length++] = '\n';
    console_write(line, (size_t)length);
}

void printk(const char *format, ...)
{
    va_list args;
    unsigned level = take_level(&format);
    if (level >= hypervisor_level.always && !everything)
        return;
    va_start(args, format);
    emit("(hospes) ", format, args, false);
    va_end(args);
}

/* True when one more message fits into the present window. */
static bool within_rate(void)
{
    ns_t now = time_now();
    if (now - READ_ONCE(window_start) >= RATE_WINDOW) {
        WRITE_ONCE(window_start, now);
        __atomic_store_n(&window_messages, 0, __ATOMIC_RELAXED);
        uint32_t lost = __atomic_exchange_n(&window_lost, 0, __ATOMIC_RELAXED);
        if (lost)
            printk(LOG_WARNING "%u messages about guests were left out\n", lost);
    }
    if (__atomic_fetch_add(&window_messages, 1, __ATOMIC_RELAXED) < RATE_MESSAGES)
        return true;
    __atomic_fetch_add(&window_lost, 1, __ATOMIC_RELAXED);
    return false;
}

void guest_printk(struct domain *d, const char *format, ...)
{
    char prefix[32];
    va_list args;
    unsigned level = take_level(&format);
    if (level >= guest_level.always && !everything && (level >= guest_level.limited || !within_rate()))
        return;
    const struct vcpu *v = this_cpu()->current_vcpu;
    if (!d || (v && v->domain == d))
        snprintf(prefix, sizeof prefix, "(d%uv%u) ", v->domain->id, v->id);
    else
        snprintf(prefix, sizeof prefix, "(d%u) ", d->id);
    va_start(args, format);
    emit(prefix, format, args, true);
    va_end(args);
}
