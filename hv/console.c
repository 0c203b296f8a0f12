/*
 * The console (hv/console.h).
 *
 * LOCK_CONSOLE guards the ring, the devices and the guests' half lines. It is the highest level, so that
 * printk() can be called anywhere; whatever follows from output or input (events for dom0) is left to
 * SOFTIRQ_CONSOLE. Once the machine is being stopped only one CPU runs and the lock is not taken. Input is
 * touched by the boot CPU only, with interrupts off: no lock.
 */
#include <hv/cmdline.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/debugkeys.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/lock.h>
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/string.h>

#define MAX_OUTPUTS 4

static char console_names[32] = "com1,vga";
CMDLINE_STRING("console", console_names);

static spinlock_t console_lock = SPINLOCK_INIT(LOCK_CONSOLE);

static const struct console_output *known[MAX_OUTPUTS], *active[MAX_OUTPUTS];
static unsigned known_count, active_count;

/* Positions in the ring only rise; modulo the size they are indices. */
static char ring[CONSOLE_RING_SIZE];
static uint32_t ring_end, ring_cleared;
static bool ring_grew; /* VIRQ_CON_RING is to be sent */

static bool lock_console(void)
{
    if (machine_stopping())
        return false;
    spin_lock(&console_lock);
    return true;
}

static void unlock_console(bool locked)
{
    if (locked)
        spin_unlock(&console_lock);
}

/* --- output --------------------------------------------------------------------------------------------- */

static void write_devices(const char *text, size_t length)
{
    for (unsigned i = 0; i < active_count; i++)
        active[i]->write(text, length);
}

void console_write(const char *text, size_t length)
{
    bool locked = lock_console();
    for (size_t i = 0; i < length; i++)
        ring[ring_end++ % CONSOLE_RING_SIZE] = text[i];
    write_devices(text, length);
    if (dom0 && !ring_grew) {
        ring_grew = true;
        softirq_raise(SOFTIRQ_CONSOLE);
    }
    unlock_console(locked);
}

void console_synchronous(bool on)
{
    bool locked = lock_console();
    for (unsigned i = 0; i < active_count; i++)
        active[i]->synchronous(on);
    unlock_console(locked);
}

/* Takes the next full line out of text, with what was kept of the line before it. False: it goes on. */
static bool next_line(struct domain *d, const char **text, const char *end, char *line)
{
    bool locked = lock_console(), full = false;
    while (*text < end && !full) {
        char c = *(*text)++;
        if (c != '\n' && (c == '\t' || (unsigned char)c >= ' '))
            d->console_line[d->console_length++] = c;
        full = c == '\n' || d->console_length == sizeof d->console_line - 1;
    }
    if (full) {
        memcpy(line, d->console_line, d->console_length);
        line[d->console_length] = '\0';
        d->console_length = 0;
    }
    unlock_console(locked);
    return full;
}

void console_write_guest(struct domain *d, const char *text, size_t length)
{
    if (d->privileged) {
        bool locked = lock_console();
        write_devices(text, length);
        unlock_console(locked);
        return;
    }
    char line[sizeof d->console_line];
    const char *end = text + length;
    while (next_line(d, &text, end, line))
        guest_printk(d, LOG_DEBUG "%s", line);
}

/* --- the ring, for sysctl ------------------------------------------------------------------------------- */

void console_ring_pieces(bool incremental, uint32_t *index, uint32_t max, struct console_piece piece[2])
{
    bool locked = lock_console();
    uint32_t end = ring_end, start = ring_cleared;
    if (incremental && (int32_t)(*index - start) > 0)
        start = *index;
    if (end - start > CONSOLE_RING_SIZE)
        start = (int32_t)(end - start) < 0 ? end : end - CONSOLE_RING_SIZE;
    uint32_t length = MIN(end - start, max);
    uint32_t first = MIN(length, CONSOLE_RING_SIZE - start % CONSOLE_RING_SIZE);
    piece[0] = (struct console_piece){ring + start % CONSOLE_RING_SIZE, first};
    piece[1] = (struct console_piece){ring, length - first};
    *index = start + length;
    unlock_console(locked);
}

void console_ring_clear(void)
{
    bool locked = lock_console();
    ring_cleared = ring_end;
    unlock_console(locked);
}

/* --- input ---------------------------------------------------------------------------------------------- */

#define SWITCH_CHARACTER '\001' /* Ctrl-A */
#define SWITCH_COUNT     3u
#define INPUT_SIZE       1024u

struct input_queue {
    char text[INPUT_SIZE];
    uint32_t start, end; /* only rise */
};

static struct input_queue raw, for_dom0;
static bool input_to_dom0;
static unsigned switch_seen; /* SWITCH_CHARACTERs in a row so far */

static void enqueue(struct input_queue *queue, char c)
{
    if (queue->end - queue->start < INPUT_SIZE)
        queue->text[queue->end++ % INPUT_SIZE] = c;
}

void console_input(char c)
{
    enqueue(&raw, c);
    softirq_raise(SOFTIRQ_CONSOLE);
}

size_t console_read(char *to, size_t size)
{
    size_t n = 0;
    bool locked = lock_console();
    while (n < size && for_dom0.start != for_dom0.end)
        to[n++] = for_dom0.text[for_dom0.start++ % INPUT_SIZE];
    unlock_console(locked);
    return n;
}

static void announce_input(void)
{
    printk(LOG_INFO "*** Serial input to %s (type 'CTRL-a' three times to switch input)\n",
           input_to_dom0 ? "DOM0" : "Hospes");
}

static void deliver(char c)
{
    if (!input_to_dom0) {
        debugkey_press(c);
        return;
    }
    bool locked = lock_console();
    enqueue(&for_dom0, c);
    unlock_console(locked);
}

/* A switch character is held back until it is clear that it is not one of three. */
static void input_character(char c)
{
    if (c == SWITCH_CHARACTER) {
        if (++switch_seen == SWITCH_COUNT) {
            switch_seen = 0;
            input_to_dom0 = !input_to_dom0;
            announce_input();
        }
        return;
    }
    for (; switch_seen; switch_seen--)
        deliver(SWITCH_CHARACTER);
    deliver(c);
}

void console_softirq(void)
{
    if (this_cpu()->id == 0) {
        while (raw.start != raw.end)
            input_character(raw.text[raw.start++ % INPUT_SIZE]);
    }
    if (!dom0)
        return;
    if (READ_ONCE(for_dom0.start) != READ_ONCE(for_dom0.end))
        evtchn_send_global_virq(dom0, VIRQ_CONSOLE);
    if (__atomic_exchange_n(&ring_grew, false, __ATOMIC_SEQ_CST))
        evtchn_send_global_virq(dom0, VIRQ_CON_RING);
}

/* --- start ---------------------------------------------------------------------------------------------- */

INIT_CODE void console_register(const struct console_output *output)
{
    if (known_count < MAX_OUTPUTS)
        known[known_count++] = output;
}

static INIT_CODE const struct console_output *find(const char *name, size_t length)
{
    for (unsigned i = 0; i < known_count; i++)
        if (strlen(known[i]->name) == length && !strncmp(known[i]->name, name, length))
            return known[i];
    return NULL;
}

INIT_CODE void console_init(void)
{
    bool unknown = false;
    for (const char *name = console_names; *name;) {
        size_t length = 0;
        while (name[length] && name[length] != ',')
            length++;
        const struct console_output *output = find(name, length);
        if (output && active_count < MAX_OUTPUTS && output->start())
            active[active_count++] = output;
        unknown |= !output && strcmp(name, "none") != 0;
        name += length + (name[length] == ',');
    }
    /* ring_end is still small: nothing has wrapped. */
    write_devices(ring, MIN(ring_end, CONSOLE_RING_SIZE));
    if (unknown)
        printk(LOG_WARNING "Command line: console=%s: known are com1, com2, vga and none\n", console_names);
}

INIT_CODE void console_start_input(void)
{
    for (unsigned i = 0; i < active_count; i++)
        if (active[i]->start_input)
            active[i]->start_input();
    input_to_dom0 = true;
    announce_input();
}
