/*
 * Cooperative threads and signals of the built-in dom0.
 *
 * One vCPU, interrupts off but for the moment of sleep: a thread runs until it calls a function that may
 * switch, and event handlers run only inside such functions or where the scheduler idles. So nothing here
 * needs a lock.
 */
#ifndef DOM0_THREAD_H
#define DOM0_THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct thread;

/* A thread that runs fn(arg) on a stack of 32 KiB above a guard page, and ends when fn returns. NULL: no
 * memory. */
struct thread *thread_create(void (*fn)(void *arg), void *arg);
struct thread *thread_current(void);
/* Makes the caller the first thread and takes over the event interrupt and the timer. Called once. */
void thread_init(void);

#define FOREVER UINT64_MAX

/* What one thread waits for and anybody, event handlers too, can set. Zero-initialised: not set. */
struct signal {
    bool set;
    struct thread *waiter;
};

void signal_set(struct signal *signal);
/* Waits until it is set and clears it, or until time_ns() reaches deadline. True when it was set. May switch.
 */
bool signal_wait(struct signal *signal, uint64_t deadline);

/* Lets event handlers run without switching: for long work that wants to notice Ctrl-C. */
void thread_poll_events(void);

#endif
