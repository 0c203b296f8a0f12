/*
 * Spinlocks with levels.
 *
 * The hypervisor runs with interrupts off, so there is one kind of lock and no irq-saving form. A CPU takes
 * locks in rising level only; a debug build (make DEBUG=1) panics on a wrong order, on a lock taken twice and
 * on one released by another CPU. Two locks of one level are taken together through spin_lock_pair().
 * Fair: tickets. Which fields a lock protects is said beside the fields.
 */
#ifndef HV_LOCK_H
#define HV_LOCK_H

#include <hv/types.h>

enum lock_level {
    LOCK_DOMCTL = 1, /* one control operation at a time (hv/domctl.c) */
    LOCK_DOMAIN, /* struct domain: life cycle, pause counts, vCPU creation, HVM parameters, page accounting */
    LOCK_GNTTAB, /* a domain's grant table and maptrack */
    LOCK_EVTCHN, /* a domain's event channels */
    LOCK_EVTFIFO, /* one FIFO event queue */
    LOCK_VDEVICE, /* what is emulated for the domain that drives the machine: IO-APICs, PCI configuration */
    LOCK_P2M,     /* a domain's guest-physical map, changes only */
    LOCK_HWIRQ,   /* the machine's interrupts that a domain takes */
    LOCK_SCHED,   /* one CPU's run queue and the run state of the vCPUs that sit on it */
    LOCK_TIMER,   /* one CPU's timers */
    LOCK_MSI,     /* the hardware's MSI capabilities and MSI-X tables */
    LOCK_PCI,     /* PCI configuration ports */
    LOCK_PAGING,  /* the hypervisor's own page tables */
    LOCK_FRAME,   /* the free lists of machine frames */
    LOCK_HEAP,    /* the small-object heap */
    LOCK_DEVICE,  /* interrupt vectors, IO-APIC registers */
    LOCK_CONSOLE, /* console output and its ring */
    LOCK_UART,    /* a serial port's transmit buffer */
    LOCK_LEVELS
};

typedef struct {
    union {
        struct {
            uint16_t next, serving;
        };
        uint32_t word; /* both, for compare-and-swap */
    };
#if HV_DEBUG
    uint16_t holder; /* CPU number + 1 while held */
    uint16_t level;
#endif
} spinlock_t;

#if HV_DEBUG
#define SPINLOCK_INIT(l)                                                                                     \
    {                                                                                                        \
        .level = (l)                                                                                         \
    }
#else
#define SPINLOCK_INIT(l)                                                                                     \
    {                                                                                                        \
        .next = 0                                                                                            \
    }
#endif

static inline void spin_lock_init(spinlock_t *lock, enum lock_level level)
{
    *lock = (spinlock_t)SPINLOCK_INIT(level);
    (void)level;
}

/* Somebody else holds the lock: until it is ticket's turn. For spin_acquire(). */
void spin_wait(spinlock_t *lock, uint16_t ticket);

/* Without the checks of a debug build; for spin_lock() and spin_unlock(). */
static inline void spin_acquire(spinlock_t *lock)
{
    uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    if (unlikely(__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket))
        spin_wait(lock, ticket);
}

static inline void spin_release(spinlock_t *lock)
{
    __atomic_store_n(&lock->serving, (uint16_t)(lock->serving + 1), __ATOMIC_RELEASE);
}

#if HV_DEBUG
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
#else
static inline void spin_lock(spinlock_t *lock)
{
    spin_acquire(lock);
}

static inline void spin_unlock(spinlock_t *lock)
{
    spin_release(lock);
}
#endif
bool spin_trylock(spinlock_t *lock); /* not bound by the order of levels */

/* Both locks, of one level, in address order; a == b takes it once. */
void spin_lock_pair(spinlock_t *a, spinlock_t *b);
void spin_unlock_pair(spinlock_t *a, spinlock_t *b);

/* Debug builds panic unless this CPU holds the lock; for functions named *_locked. */
#if HV_DEBUG
void assert_locked(const spinlock_t *lock);
#else
static inline void assert_locked(const spinlock_t *lock)
{
    (void)lock;
}
#endif

#endif
