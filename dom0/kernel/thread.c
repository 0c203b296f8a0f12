/*
 * Cooperative threads, signals, sleep and idle (dom0/thread.h, dom0/below.h).
 *
 * Ready threads stand in a queue; sleeping ones in a list, in no order, each with its deadline. With none
 * ready the one-shot timer is set to the nearest deadline and the vCPU halts until an event comes: an idle
 * dom0 costs nothing.
 */
#include <dom0/below.h>
#include <dom0/thread.h>
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/event.h>
#include <pvh/memory.h>
#include <pvh/trap.h>
#include "kernel.h"

#define STACK_PAGES 8
#define RFLAGS_IF   0x200ull

struct thread {
    uint64_t stack;
    struct thread *next; /* in the queue of ready threads, or in the list of sleeping ones */
    void (*fn)(void *arg);
    void *arg;
    char *pages; /* guard page and stack; NULL for the first thread */
    uint64_t deadline;
    bool asleep;
};

/* Six registers that thread_switch() takes from a stack, and where it returns to. */
struct first_frame {
    uint64_t registers[6];
    void (*start)(void);
    uint64_t caller; /* keeps the stack aligned as after a call */
};

void thread_switch(uint64_t *save, uint64_t load);

static struct thread first;
static struct thread *current = &first, *finished;
static struct thread *ready, **ready_tail = &ready;
static struct thread *sleeping;

static void make_ready(struct thread *thread)
{
    thread->next = NULL;
    *ready_tail = thread;
    ready_tail = &thread->next;
}

static void wake(struct thread *thread)
{
    for (struct thread **link = &sleeping; *link; link = &(*link)->next)
        if (*link == thread) {
            *link = thread->next;
            thread->asleep = false;
            make_ready(thread);
            return;
        }
}

static void wake_overdue(void)
{
    uint64_t now = time_ns();
    for (struct thread *t = sleeping, *next; t; t = next) {
        next = t->next;
        if (t->deadline <= now)
            wake(t);
    }
}

static void idle(void)
{
    uint64_t nearest = FOREVER;
    for (struct thread *t = sleeping; t; t = t->next)
        if (t->deadline < nearest)
            nearest = t->deadline;
    if (nearest != FOREVER)
        hypercall(__HYPERVISOR_set_timer_op, nearest, 0, 0, 0, 0);
    wait_for_interrupt();
}

/* Nobody frees the stack that he stands on: the thread that runs next does. */
static void free_finished(void)
{
    if (!finished)
        return;
    page_map((uint64_t)finished->pages, (uint64_t)finished->pages, PAGE_ALL);
    page_free(finished->pages, 1 + STACK_PAGES);
    mem_free(finished);
    finished = NULL;
}

/*
 * Runs the handlers of what came. Events go first, so that the window that irq_dispatch() opens is the
 * devices'; they may be pending again after it, which ends the next sleep before it begins.
 */
static void dispatch(void)
{
    event_dispatch();
    irq_dispatch();
}

/* Runs the next ready thread; the caller has put itself where it will be found again. */
static void schedule(void)
{
    for (;;) {
        dispatch();
        wake_overdue();
        if (ready)
            break;
        idle();
    }
    struct thread *before = current;
    current = ready;
    ready = current->next;
    if (!ready)
        ready_tail = &ready;
    if (current != before)
        thread_switch(&before->stack, current->stack);
    free_finished();
}

static void start(void)
{
    free_finished();
    current->fn(current->arg);
    finished = current;
    schedule();
    __builtin_unreachable();
}

struct thread *thread_create(void (*fn)(void *arg), void *arg)
{
    struct thread *thread = mem_alloc(sizeof *thread);
    char *pages = page_alloc(1 + STACK_PAGES);
    if (!thread || !pages) {
        mem_free(thread);
        page_free(pages, 1 + STACK_PAGES);
        return NULL;
    }
    page_map((uint64_t)pages, 0, 0);
    struct first_frame *frame = (struct first_frame *)(pages + (1 + STACK_PAGES) * PAGE_SIZE) - 1;
    *frame = (struct first_frame){.start = start};
    *thread = (struct thread){.stack = (uint64_t)frame, .fn = fn, .arg = arg, .pages = pages};
    make_ready(thread);
    return thread;
}

struct thread *thread_current(void)
{
    return current;
}

void thread_yield(void)
{
    make_ready(current);
    schedule();
}

static void sleep_until(uint64_t deadline)
{
    current->deadline = deadline;
    current->asleep = true;
    current->next = sleeping;
    sleeping = current;
    schedule();
}

void thread_sleep(uint64_t ns)
{
    sleep_until(time_ns() + ns);
}

void signal_set(struct signal *signal)
{
    signal->set = true;
    if (signal->waiter && signal->waiter->asleep)
        wake(signal->waiter);
}

bool signal_wait(struct signal *signal, uint64_t deadline)
{
    signal->waiter = current;
    dispatch();
    while (!signal->set && time_ns() < deadline)
        sleep_until(deadline);
    signal->waiter = NULL;
    bool was_set = signal->set;
    signal->set = false;
    return was_set;
}

void thread_poll_events(void)
{
    dispatch();
}

/* --- interrupts end the sleep of the vCPU; what they are about is handled by dispatch() ----------------- */

#define OPCODE_HLT 0xf4

void thread_end_sleep(struct trap_frame *frame)
{
    /* Interrupts stay off, for an event is still pending and would come again at once. */
    frame->rflags &= ~RFLAGS_IF;
    /*
     * Emulated processors were seen to interrupt between STI and HLT. The HLT is left out then: with
     * interrupts off nothing would end it, and Xen takes it for a request to power off.
     */
    if (*(const uint8_t *)frame->rip == OPCODE_HLT)
        frame->rip++;
}

static void timer(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
}

void thread_init(void)
{
    long error = event_init();
    if (error)
        pvh_panic("events cannot be set up: error %ld", error);
    /* Each domain has two ports and more. A hypervisor without queues has room for some hundreds of domains.
     */
    event_use_fifo();
    interrupt_set(TRAP_EVENT, thread_end_sleep);
    long port = event_bind_virq(VIRQ_TIMER, 0);
    if (port < 0)
        pvh_panic("no timer: error %ld", port);
    event_handle((evtchn_port_t)port, timer, NULL);
}
