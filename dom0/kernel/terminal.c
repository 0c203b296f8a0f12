/*
 * The terminal (kernel.h): CONSOLEIO_read when VIRQ_CONSOLE says so, CONSOLEIO_write.
 *
 * What was typed waits in a ring; what does not fit is lost, as on any terminal.
 */
#include <pvh/event.h>
#include <pvh/pvh.h>
#include "kernel.h"

#define CTRL_C 3

static char typed[1024];
static unsigned typed_in, typed_out;
static struct signal input;
static enum terminal_mode mode = TERMINAL_COMMAND;
static bool interrupt_seen;

static void accept(char c)
{
    if (mode == TERMINAL_COMMAND && c == CTRL_C) {
        interrupt_seen = true;
        typed_out = typed_in;
        terminal_write("^C\n", 3);
        return;
    }
    if (typed_in - typed_out < sizeof typed)
        typed[typed_in++ % sizeof typed] = c;
}

static void receive(evtchn_port_t port, void *arg)
{
    static char buffer[128];
    (void)port;
    (void)arg;
    for (;;) {
        long count =
            hypercall(__HYPERVISOR_console_io, CONSOLEIO_read, sizeof buffer, (uint64_t)buffer, 0, 0);
        if (count <= 0)
            break;
        for (long i = 0; i < count; i++)
            accept(buffer[i]);
    }
    signal_set(&input);
}

void terminal_init(void)
{
    long port = event_bind_virq(VIRQ_CONSOLE, 0);
    if (port < 0)
        pvh_printf("console: no input: VIRQ_CONSOLE cannot be bound, error %ld; scripts run all the same\n",
                   port);
    else
        event_handle((evtchn_port_t)port, receive, NULL);
}

void terminal_write(const char *text, size_t length)
{
    pvh_write(text, length);
}

void terminal_mode(enum terminal_mode new_mode)
{
    if (new_mode == TERMINAL_COMMAND)
        interrupt_seen = false;
    mode = new_mode;
}

struct signal *terminal_signal(void)
{
    return &input;
}

int terminal_read(uint64_t deadline)
{
    while (typed_in == typed_out)
        if (!signal_wait(&input, deadline))
            return -1;
    return (unsigned char)typed[typed_out++ % sizeof typed];
}

int key_wait(uint64_t ns)
{
    uint64_t deadline = time_ns() + ns;
    while (!interrupted() && typed_in == typed_out)
        if (!signal_wait(&input, deadline))
            return -1;
    return interrupt_seen ? -1 : (unsigned char)typed[typed_out++ % sizeof typed];
}

bool interrupted(void)
{
    thread_poll_events();
    return interrupt_seen;
}
