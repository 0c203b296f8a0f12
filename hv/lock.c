/*
 * Ticket spinlocks, and in debug builds the check that they are taken in rising level.
 *
 * A CPU's locks_held counts what it holds, two bits per level, so that "anything of this level or above"
 * is one shift. this_cpu() has to work before the first lock is taken.
 */
#include <hv/cpu.h>
#include <hv/lock.h>
#include <hv/panic.h>

#if HV_DEBUG

_Static_assert(2 * LOCK_LEVELS <= 64, "struct cpu's locks_held has two bits per level");

#define LEVEL_ONE(level) (1ull << (2 * (level)))

static void check_order(const spinlock_t *lock)
{
    struct cpu *cpu = this_cpu();
    if (cpu->locks_held >> (2 * lock->level))
        panic("lock %p of level %u taken while levels %#lx are held", (const void *)lock, lock->level,
              cpu->locks_held);
}

static void note_taken(spinlock_t *lock)
{
    struct cpu *cpu = this_cpu();
    lock->holder = cpu->id + 1;
    cpu->locks_held += LEVEL_ONE(lock->level);
}

static void note_released(spinlock_t *lock)
{
    assert_locked(lock);
    lock->holder = 0;
    this_cpu()->locks_held -= LEVEL_ONE(lock->level);
}

void assert_locked(const spinlock_t *lock)
{
    if (lock->holder != this_cpu()->id + 1)
        panic("lock %p of level %u is not held here but by CPU %d", (const void *)lock, lock->level,
              lock->holder - 1);
}

void spin_lock(spinlock_t *lock)
{
    check_order(lock);
    spin_acquire(lock);
    note_taken(lock);
}

void spin_unlock(spinlock_t *lock)
{
    note_released(lock);
    spin_release(lock);
}

#else
static inline void note_taken(spinlock_t *lock)
{
    (void)lock;
}
#endif

void spin_wait(spinlock_t *lock, uint16_t ticket)
{
    do
        cpu_relax();
    while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket);
}

bool spin_trylock(spinlock_t *lock)
{
    spinlock_t seen = {.word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED)};
    if (seen.next != seen.serving)
        return false;
    spinlock_t mine = seen;
    mine.next++;
    if (!__atomic_compare_exchange_n(&lock->word, &seen.word, mine.word, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    note_taken(lock);
    return true;
}

void spin_lock_pair(spinlock_t *a, spinlock_t *b)
{
    spin_lock(a < b ? a : b);
    if (a != b) {
        spin_acquire(a < b ? b : a);
        note_taken(a < b ? b : a);
    }
}

void spin_unlock_pair(spinlock_t *a, spinlock_t *b)
{
    spin_unlock(a);
    if (a != b)
        spin_unlock(b);
}
