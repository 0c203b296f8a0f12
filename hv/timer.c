/*
 * Timers: a binary heap per CPU, ordered by expiry.
 *
 * A timer sits on the queue of the CPU that armed it. timer->cpu names that queue and changes only under its
 * lock, from NULL by compare-and-swap; so whoever wants to take a timer off reads it, locks, and looks again.
 * Room in every heap is made when a timer's owner is created (timer_reserve), so arming cannot fail.
 *
 * Locking: LOCK_TIMER of each queue.
 */
#include <hv/arch/time.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/panic.h>
#include <hv/timer.h>
#include <lib/string.h>
#include <xen/errno.h>

/* Timers of the hypervisor itself, beyond what timer_reserve() counts: run queues, console, platform. */
#define FIRST_CAPACITY 64u

static uint32_t reserved;

void timer_init(struct timer *timer, timer_fn *fn, void *arg)
{
    *timer = (struct timer){.fn = fn, .arg = arg};
}

/* --- the heap ------------------------------------------------------------------------------------------- */

static void put(struct timer_queue *q, uint32_t position, struct timer *timer)
{
    q->heap[position] = timer;
    timer->position = position;
}

/* Finds the place for timer at or above the free position. */
static void sift_up(struct timer_queue *q, uint32_t position, struct timer *timer)
{
    for (; position > 1 && timer->expires < q->heap[position / 2]->expires; position /= 2)
        put(q, position, q->heap[position / 2]);
    put(q, position, timer);
}

/* Finds the place for timer at or below the free position. */
static void sift_down(struct timer_queue *q, uint32_t position, struct timer *timer)
{
    for (uint32_t child; (child = 2 * position) <= q->count; position = child) {
        if (child < q->count && q->heap[child + 1]->expires < q->heap[child]->expires)
            child++;
        if (timer->expires <= q->heap[child]->expires)
            break;
        put(q, position, q->heap[child]);
    }
    put(q, position, timer);
}

static void remove_locked(struct timer_queue *q, struct timer *timer)
{
    uint32_t position = timer->position;
    struct timer *last = q->heap[q->count--];
    if (last != timer) {
        if (position > 1 && last->expires < q->heap[position / 2]->expires)
            sift_up(q, position, last);
        else
            sift_down(q, position, last);
    }
    timer->position = 0;
    __atomic_store_n(&timer->cpu, NULL, __ATOMIC_RELEASE);
}

/* Takes the timer off whichever queue it is on, which is cpu's or another one since. */
static __attribute__((noinline)) void dequeue_from(struct cpu *cpu, struct timer *timer)
{
    for (; cpu; cpu = READ_ONCE(timer->cpu)) {
        spin_lock(&cpu->timers.lock);
        bool found = timer->cpu == cpu;
        if (found)
            remove_locked(&cpu->timers, timer);
        spin_unlock(&cpu->timers.lock);
        if (found)
            return;
    }
}

/* Mostly for one that is not armed. */
static inline void dequeue(struct timer *timer)
{
    struct cpu *cpu = READ_ONCE(timer->cpu);
    if (cpu)
        dequeue_from(cpu, timer);
}

/* --- arming --------------------------------------------------------------------------------------------- */

static void program_locked(struct timer_queue *q, ns_t when)
{
    q->programmed = when;
    arch_timer_program(when);
}

/* Takes timer off every queue and claims it for the locked queue of this CPU, against others who do the same.
 */
static struct timer_queue *claim(struct timer *timer)
{
    struct cpu *cpu = this_cpu();
    for (;;) {
        if (READ_ONCE(timer->cpu) != cpu)
            dequeue(timer);
        spin_lock(&cpu->timers.lock);
        if (READ_ONCE(timer->cpu) == cpu)
            remove_locked(&cpu->timers, timer);
        struct cpu *nobody = NULL;
        if (__atomic_compare_exchange_n(&timer->cpu, &nobody, cpu, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return &cpu->timers;
        spin_unlock(&cpu->timers.lock);
    }
}

void timer_set(struct timer *timer, ns_t expires)
{
    struct timer_queue *q = claim(timer);
    if (unlikely(__atomic_load_n(&timer->killed, __ATOMIC_SEQ_CST))) {
        WRITE_ONCE(timer->cpu, NULL);
    } else {
        timer->expires = expires;
        sift_up(q, ++q->count, timer);
        if (expires < q->programmed)
            program_locked(q, expires);
    }
    spin_unlock(&q->lock);
}

void timer_stop(struct timer *timer)
{
    dequeue(timer);
}

void timer_kill(struct timer *timer)
{
    __atomic_store_n(&timer->killed, true, __ATOMIC_SEQ_CST);
    do {
        dequeue(timer);
        for (unsigned i = 0; i < cpu_count; i++)
            while (__atomic_load_n(&cpus[i]->timers.firing, __ATOMIC_ACQUIRE) == timer)
                cpu_relax();
    } while (READ_ONCE(timer->cpu)); /* fn was just arming it again: once more at most */
    __atomic_store_n(&timer->killed, false, __ATOMIC_SEQ_CST);
}

void timer_softirq(void)
{
    struct timer_queue *q = &this_cpu()->timers;
    ns_t now = time_now();

    spin_lock(&q->lock);
    /* Bounded: what fn arms anew in the past waits for the next run. */
    for (uint32_t budget = q->count; budget && q->count && q->heap[1]->expires <= now; budget--) {
        struct timer *timer = q->heap[1];
        timer_fn *fn = timer->fn;
        void *arg = timer->arg;
        __atomic_store_n(&q->firing, timer, __ATOMIC_RELAXED);
        remove_locked(q, timer);
        spin_unlock(&q->lock);
        fn(timer, arg);
        __atomic_store_n(&q->firing, NULL, __ATOMIC_RELEASE);
        spin_lock(&q->lock);
    }
    /* The interrupt may have come a little early, so what was programmed proves nothing: program again. */
    ns_t next = q->count ? q->heap[1]->expires : NS_NEVER;
    if (next != NS_NEVER || q->programmed > now)
        program_locked(q, next);
    q->programmed = next;
    spin_unlock(&q->lock);
}

/* --- room ----------------------------------------------------------------------------------------------- */

static unsigned heap_order(uint32_t capacity)
{
    unsigned order = 0;
    while ((PAGE_SIZE << order) < capacity * sizeof(struct timer *))
        order++;
    return order;
}

static struct timer **heap_new(uint32_t capacity)
{
    size_t size = capacity * sizeof(struct timer *);
    return size <= PAGE_SIZE ? heap_alloc(size) : page_alloc(heap_order(capacity));
}

static void heap_drop(struct timer **heap, uint32_t capacity)
{
    if (capacity * sizeof(struct timer *) <= PAGE_SIZE)
        heap_free(heap);
    else
        page_free(heap, heap_order(capacity));
}

static bool grow(struct timer_queue *q, uint32_t wanted)
{
    while (READ_ONCE(q->capacity) < wanted) {
        uint32_t old_capacity = READ_ONCE(q->capacity), capacity = 2 * old_capacity;
        struct timer **heap = heap_new(capacity), **old = heap;
        if (!heap)
            return false;
        spin_lock(&q->lock);
        if (q->capacity == old_capacity) {
            old = q->heap;
            memcpy(heap, old, (q->count + 1) * sizeof(*heap));
            q->heap = heap;
            q->capacity = capacity;
        }
        spin_unlock(&q->lock);
        heap_drop(old, old == heap ? capacity : old_capacity);
    }
    return true;
}

int timer_reserve(void)
{
    uint32_t wanted = __atomic_add_fetch(&reserved, 1, __ATOMIC_RELAXED) + FIRST_CAPACITY;
    for (unsigned i = 0; i < cpu_count; i++)
        if (!grow(&cpus[i]->timers, wanted)) {
            timer_release();
            return -XEN_ENOMEM;
        }
    return 0;
}

void timer_release(void)
{
    __atomic_fetch_sub(&reserved, 1, __ATOMIC_RELAXED);
}

void timer_cpu_init(struct cpu *cpu)
{
    struct timer_queue *q = &cpu->timers;
    spin_lock_init(&q->lock, LOCK_TIMER);
    q->programmed = NS_NEVER;
    q->capacity = 2 * FIRST_CAPACITY;
    q->heap = heap_new(q->capacity);
    if (!q->heap)
        panic("no memory for the timers of CPU %u", cpu->id);
}
