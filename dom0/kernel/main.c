/*
 * The built-in dom0: what is started in which order.
 */
#include <dom0/hardware.h>
#include <dom0/store.h>
#include <dom0/tool.h>
#include <drivers/blkback.h>
#include <drivers/xenbus.h>
#include <pvh/event.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include "kernel.h"

#define MILLISECOND 1000000ull
#define MEBIBYTE    (1ull << 20)
#define SETTLE      (2 * MILLISECOND)

static struct signal domain_event;

static void on_domain_event(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
    signal_set(&domain_event);
}

static void serve_domain_events(void *arg)
{
    (void)arg;
    for (;;) {
        signal_wait(&domain_event, FOREVER);
        /* An end comes as several events, and an event does not say whose end it is: all that come together
         * are one look at all domains. */
        thread_sleep(SETTLE);
        domain_event.set = false;
        tool_domain_event();
    }
}

static void watch_domains(void)
{
    long port = event_bind_virq(VIRQ_DOM_EXC, 0);
    if (port < 0 || !thread_create(serve_domain_events, NULL)) {
        print("domains that end will not be noticed: VIRQ_DOM_EXC gave %ld\n", port);
        return;
    }
    event_handle((evtchn_port_t)port, on_domain_event, NULL);
}

int main(void)
{
    if (!pvh_is_dom0())
        pvh_panic("this kernel is dom0's and serves nothing else");
    thread_init();
    terminal_init();
    files_init();
    foreign_init();
    irq_init();
    hardware_init();
    store_init();
    tool_init();
    watch_domains();
    netback_init();
    blkback_init();
    print("dom0: up %llu ms after the hypervisor started, %llu of %llu MiB free; help lists the commands\n",
          time_ns() / MILLISECOND, page_free_count() * PAGE_SIZE / MEBIBYTE, memory_total() / MEBIBYTE);
    shell_main();
}
