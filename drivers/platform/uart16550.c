/*
 * 16550 serial ports as console (com1, com2).
 *
 * com1=BAUD[/CLOCK_HZ][,DPS[,IO-BASE[,IRQ]]] as on Xen's command line: BAUD may be "auto" (leave what the
 * firmware set), DPS are data bits, parity (n o e m s) and stop bits.
 *
 * Output goes to the chip's FIFO as far as there is room and to a buffer beyond that, which the transmitter's
 * interrupt empties; so printing never waits for the line, and text that comes faster than the line for
 * longer than the buffer lasts is dropped and counted. Before the interrupt works, and when the machine goes
 * down, output is synchronous. Input comes by the same interrupt, or from a timer where no interrupt arrives.
 *
 * Locking: output under the console's lock (and in the interrupt handler under uart_lock, which nests
 * inside); input in the interrupt handler and the poll timer, both on the boot CPU.
 */
#include <hv/arch/time.h>
#include <hv/cmdline.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/lock.h>
#include <hv/printk.h>
#include <hv/timer.h>
#include <lib/number.h>
#include <lib/string.h>
#include <x86/acpi.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/ioapic.h>
#include <x86/irq.h>
#include <x86/platform.h>

#define RBR 0 /* receive, transmit, divisor low */
#define IER 1 /* interrupt enable, divisor high */
#define IIR 2 /* read: interrupt identification; write: FIFO control */
#define LCR 3
#define MCR 4
#define LSR 5
#define SCR 7

#define UART_PORTS 8u

#define IER_RECEIVE  0x01
#define IER_TRANSMIT 0x02
#define FCR_ENABLE   0x07 /* and both FIFOs emptied */
#define LCR_8N1      0x03
#define LCR_DIVISOR  0x80
#define MCR_DTR_RTS  0x03
#define MCR_OUT2     0x08 /* lets the interrupt through */
#define LSR_DATA     0x01
#define LSR_EMPTY    0x20 /* transmit FIFO */

#define FIFO_SIZE     16u
#define BUFFER_SIZE   8192u
#define POLL_PERIOD   (20 * MILLISECOND)
#define SYNC_PATIENCE 1000000u /* reads of the status before a character is given up: the line is dead */

struct uart_config {
    uint16_t port;
    uint8_t irq; /* 0: none */
    uint8_t line_control;
    uint32_t baud, clock; /* baud 0: as the firmware left it */
};

struct uart {
    struct uart_config config;
    bool found;    /* the console uses it */
    bool started;  /* its interrupt or poll timer works */
    bool buffered; /* started, and not synchronous just now */
    bool dead;
    bool interrupt_seen;
    uint8_t enabled; /* what the chip interrupts for */
    struct timer poll;
    spinlock_t lock;
    uint32_t start, end, lost; /* of the buffer; positions only rise */
    char *buffer;
};

static char buffers[2][BUFFER_SIZE];
static struct uart uarts[2] = {
    {.config = {0x3f8, 4, LCR_8N1, 115200, 1843200}, .lock = SPINLOCK_INIT(LOCK_UART), .buffer = buffers[0]},
    {.config = {0x2f8, 3, LCR_8N1, 115200, 1843200}, .lock = SPINLOCK_INIT(LOCK_UART), .buffer = buffers[1]},
};

/* --- command line --------------------------------------------------------------------------------------- */

/* Data bits, parity, stop bits: "8n1". */
static INIT_CODE bool parse_dps(const char *s, uint8_t *line_control)
{
    static const char parities[] = "noems";
    const char *parity = s[0] ? strchr(parities, s[1]) : NULL;
    if (s[0] < '5' || s[0] > '8' || !parity || !*parity || (s[2] != '1' && s[2] != '2') || s[3])
        return false;
    unsigned p = (unsigned)(parity - parities);
    *line_control = (uint8_t)((s[0] - '5') | (s[2] - '1') << 2 | (p ? (2 * p - 1) << 3 : 0));
    return true;
}

static INIT_CODE bool parse_baud(char *s, struct uart_config *c)
{
    uint64_t baud = 0, clock = c->clock;
    char *slash = strchr(s, '/');
    if (slash)
        *slash++ = '\0';
    if (slash && (!parse_number(slash, &clock) || clock < 16 || clock > UINT32_MAX))
        return false;
    if (strcmp(s, "auto") && (!parse_number(s, &baud) || baud == 0 || baud > clock / 16))
        return false;
    c->baud = (uint32_t)baud;
    c->clock = (uint32_t)clock;
    return true;
}

static INIT_CODE int configure(struct uart_config *c, const char *value)
{
    char text[64], *field[4] = {NULL};
    unsigned fields = 0;
    uint64_t number;
    if (strlcpy(text, value, sizeof text) >= sizeof text)
        return -1;
    for (char *p = text; p && fields < 4; fields++) {
        field[fields] = p;
        p = strchr(p, ',');
        if (p)
            *p++ = '\0';
    }
    struct uart_config new = *c;
    if (!parse_baud(field[0], &new))
        return -1;
    if (field[1] && *field[1] && !parse_dps(field[1], &new.line_control))
        return -1;
    if (field[2] && *field[2]) {
        if (!parse_number(field[2], &number) || number > 0xfff8)
            return -1;
        new.port = (uint16_t)number;
    }
    if (field[3] && *field[3]) {
        if (!parse_number(field[3], &number) || number > 15)
            return -1;
        new.irq = (uint8_t)number;
    }
    *c = new;
    return 0;
}

static INIT_CODE int configure_com1(const char *value)
{
    return configure(&uarts[0].config, value);
}
CMDLINE_FN("com1", configure_com1);

static INIT_CODE int configure_com2(const char *value)
{
    return configure(&uarts[1].config, value);
}
CMDLINE_FN("com2", configure_com2);

/* --- output --------------------------------------------------------------------------------------------- */

static void put_synchronously(struct uart *u, char c)
{
    for (uint32_t i = 0; !(inb(u->config.port + LSR) & LSR_EMPTY); i++) {
        if (u->dead || i == SYNC_PATIENCE) {
            u->dead = true;
            return;
        }
    }
    u->dead = false;
    outb(u->config.port + RBR, (uint8_t)c);
}

static void enable_interrupts(struct uart *u, uint8_t which)
{
    if (u->enabled != which)
        outb(u->config.port + IER, which);
    u->enabled = which;
}

/* Moves buffered text to the chip as long as it takes some. The transmitter interrupts only while more waits.
 */
static void fill_fifo_locked(struct uart *u)
{
    while (u->start != u->end && inb(u->config.port + LSR) & LSR_EMPTY)
        for (unsigned i = 0; i < FIFO_SIZE && u->start != u->end; i++)
            outb(u->config.port + RBR, (uint8_t)u->buffer[u->start++ % BUFFER_SIZE]);
    enable_interrupts(u, IER_RECEIVE | (u->start != u->end ? IER_TRANSMIT : 0));
}

static void put(struct uart *u, char c)
{
    if (!u->buffered)
        put_synchronously(u, c);
    else if (u->end - u->start < BUFFER_SIZE)
        u->buffer[u->end++ % BUFFER_SIZE] = c;
    else
        u->lost++;
}

static void uart_write(struct uart *u, const char *text, size_t length)
{
    bool buffered = u->buffered;
    if (buffered)
        spin_lock(&u->lock);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            put(u, '\r');
        put(u, text[i]);
        if (buffered && u->end - u->start >= FIFO_SIZE)
            fill_fifo_locked(u);
    }
    if (buffered) {
        fill_fifo_locked(u);
        spin_unlock(&u->lock);
    }
}

/* Without u's lock: the interrupt handler runs on this CPU or, at the machine's end, no more. */
static void uart_synchronous(struct uart *u, bool on)
{
    u->buffered = !on && u->started;
    while (on && u->start != u->end && !u->dead)
        put_synchronously(u, u->buffer[u->start++ % BUFFER_SIZE]);
}

/* --- interrupt ------------------------------------------------------------------------------------------ */

static void service(struct uart *u)
{
    for (unsigned i = 0; i < 256 && inb(u->config.port + LSR) & LSR_DATA; i++)
        console_input((char)inb(u->config.port + RBR));
    if (!u->buffered)
        return;
    spin_lock(&u->lock);
    fill_fifo_locked(u);
    uint32_t lost = u->start == u->end ? u->lost : 0;
    if (lost)
        u->lost = 0;
    spin_unlock(&u->lock);
    if (lost)
        printk(LOG_WARNING "[%u characters were too many for the serial line]\n", lost);
}

static void uart_interrupt(uint8_t vector, void *arg)
{
    struct uart *u = arg;
    (void)vector;
    u->interrupt_seen = true;
    /* Reading the identification takes a transmit interrupt back, so that the next one is an edge again. */
    inb(u->config.port + IIR);
    service(u);
}

/* Goes on as long as no interrupt has come: then the line's interrupt does not reach us. */
static void poll(struct timer *timer, void *arg)
{
    struct uart *u = arg;
    service(u);
    if (!u->interrupt_seen)
        timer_set(timer, time_now() + POLL_PERIOD);
}

static INIT_CODE void uart_start_input(struct uart *u)
{
    struct acpi_gsi isa = acpi_isa_gsi(u->config.irq);
    uint8_t vector = irq_alloc_vector(uart_interrupt, u);
    struct ioapic_route route = {
        .vector = vector, .apic_id = boot_cpu.apic_id, .level = isa.level, .low = isa.low};
    if (u->config.irq && vector)
        ioapic_route(isa.gsi, &route);
    outb(u->config.port + MCR, MCR_DTR_RTS | MCR_OUT2);
    enable_interrupts(u, IER_RECEIVE);
    u->started = u->buffered = true;
    timer_init(&u->poll, poll, u);
    timer_set(&u->poll, time_now() + POLL_PERIOD);
}

/* --- start ---------------------------------------------------------------------------------------------- */

static INIT_CODE bool uart_start(const struct uart_config *c)
{
    outb(c->port + SCR, 0x5a); /* nothing keeps this but a UART's scratch register */
    if (inb(c->port + SCR) != 0x5a)
        return false;
    outb(c->port + IER, 0);
    if (c->baud) {
        uint32_t divisor = (c->clock / 8 / c->baud + 1) / 2;
        outb(c->port + LCR, LCR_DIVISOR | c->line_control);
        outb(c->port + RBR, (uint8_t)divisor);
        outb(c->port + IER, (uint8_t)(divisor >> 8));
        outb(c->port + LCR, c->line_control);
    }
    outb(c->port + IIR, FCR_ENABLE);
    outb(c->port + MCR, MCR_DTR_RTS);
    return true;
}

/* console_output's functions have no argument: one set per port. */
#define UART_OUTPUT(n)                                                                                       \
    static INIT_CODE bool start_com##n(void)                                                                 \
    {                                                                                                        \
        return uarts[n - 1].found = uart_start(&uarts[n - 1].config);                                        \
    }                                                                                                        \
    static INIT_CODE void start_input_com##n(void)                                                           \
    {                                                                                                        \
        uart_start_input(&uarts[n - 1]);                                                                     \
    }                                                                                                        \
    static void write_com##n(const char *text, size_t length)                                                \
    {                                                                                                        \
        uart_write(&uarts[n - 1], text, length);                                                             \
    }                                                                                                        \
    static void synchronous_com##n(bool on)                                                                  \
    {                                                                                                        \
        uart_synchronous(&uarts[n - 1], on);                                                                 \
    }                                                                                                        \
    static const struct console_output com##n = {                                                            \
        .name = "com" #n,                                                                                    \
        .start = start_com##n,                                                                               \
        .write = write_com##n,                                                                               \
        .synchronous = synchronous_com##n,                                                                   \
        .start_input = start_input_com##n,                                                                   \
    }

UART_OUTPUT(1);
UART_OUTPUT(2);

bool uart_uses_ports(uint32_t first, uint32_t count)
{
    for (unsigned i = 0; i < ARRAY_SIZE(uarts); i++)
        if (uarts[i].found && first < uarts[i].config.port + UART_PORTS &&
            uarts[i].config.port < first + count)
            return true;
    return false;
}

INIT_CODE void uart_register(void)
{
    console_register(&com1);
    console_register(&com2);
}
