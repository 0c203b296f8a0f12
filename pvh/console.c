/*
 * Text out of a domain (pvh/pvh.h): the hypervisor's console for dom0, the PV console ring (xen/io/console.h)
 * for the others, port 0xe9 where neither works. Single-threaded: tests that print from several CPUs order
 * themselves.
 */
#include <lib/printf.h>
#include <lib/x86.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/event_channel.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/sched.h>
#include "internal.h"

#define DEBUG_PORT 0xe9
/* How often a full ring is looked at again, yielding in between, before its text goes elsewhere. */
#define PATIENCE 20000

static struct xencons_interface *ring;
static struct evtchn_send ring_event;

static bool find_ring(void)
{
    uint64_t frame, port;
    if (ring)
        return true;
    if (hvm_param_get(HVM_PARAM_CONSOLE_PFN, &frame) || hvm_param_get(HVM_PARAM_CONSOLE_EVTCHN, &port) ||
        !frame)
        return false;
    ring_event.port = (evtchn_port_t)port;
    ring = (struct xencons_interface *)(frame << PAGE_SHIFT);
    return true;
}

static void notify(void)
{
    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (uint64_t)&ring_event, 0, 0, 0);
}

static bool ring_put(char c)
{
    for (unsigned tries = 0;; tries++) {
        uint32_t used = ring->out_prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE);
        if (used < sizeof ring->out)
            break;
        if (tries == PATIENCE)
            return false;
        notify();
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
    ring->out[MASK_XENCONS_IDX(ring->out_prod, ring->out)] = c;
    __atomic_store_n(&ring->out_prod, ring->out_prod + 1, __ATOMIC_RELEASE);
    return true;
}

static void write_ring(const char *text, size_t length)
{
    static bool nobody_reads;
    for (size_t i = 0; i < length; i++) {
        if (!nobody_reads && ((text[i] == '\n' && !ring_put('\r')) || !ring_put(text[i])))
            nobody_reads = true;
        if (nobody_reads)
            outb(DEBUG_PORT, (uint8_t)text[i]);
    }
    notify();
}

void pvh_write(const char *text, size_t length)
{
    if (pvh_is_dom0())
        hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, length, (uint64_t)text, 0, 0);
    else if (find_ring())
        write_ring(text, length);
    else
        for (size_t i = 0; i < length; i++)
            outb(DEBUG_PORT, (uint8_t)text[i]);
}

int pvh_getchar(void)
{
    if (pvh_is_dom0() || !find_ring() || ring->in_cons == __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE))
        return -1;
    char c = ring->in[MASK_XENCONS_IDX(ring->in_cons, ring->in)];
    __atomic_store_n(&ring->in_cons, ring->in_cons + 1, __ATOMIC_RELEASE);
    notify();
    return (unsigned char)c;
}

void pvh_vprintf(const char *format, va_list args)
{
    char line[512];
    size_t length = (size_t)vsnprintf(line, sizeof line, format, args);
    pvh_write(line, length < sizeof line ? length : sizeof line - 1);
}

void pvh_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pvh_vprintf(format, args);
    va_end(args);
}
