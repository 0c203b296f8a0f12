/*
 * The guest-physical map of a domain: one radix tree for EPT and NPT (p2m_format.h has what differs).
 *
 * Interface: hv/arch/p2m.h. Locking: changes under the domain's p2m_lock (LOCK_P2M); readers take none: every
 * change of an entry is one store, and a table stays linked until the domain dies, so a walk that runs at the
 * same time sees the old or the new entry and never a freed table. Only the dirty bit is set without the
 * lock, by the processor and by look-ups, so an entry is taken out by an exchange. Nothing looks into the map
 * of a dying domain: that lets p2m_domain_kill() take it apart in steps with one flush before the first.
 */
#include <hv/arch/vcpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/panic.h>
#include <lib/string.h>
#include "guest.h"
#include "p2m_format.h"

#define ENTRIES    512u
#define LEVEL_BITS 9u
#define TOP_ORDER  27u /* one entry of the root table covers 2^27 frames */

static const struct p2m_format *format;
static uint64_t dirty_bit; /* format->dirty */
static unsigned largest_order;
static uint64_t gfn_limit;
static bool tracks_dirty;

void p2m_set_format(const struct p2m_format *entries, unsigned order, unsigned address_bits, bool dirty)
{
    format = entries;
    dirty_bit = entries->dirty;
    largest_order = order;
    gfn_limit = 1ull << (MIN(address_bits, 48u) - PAGE_SHIFT);
    tracks_dirty = dirty;
}

/* --- entries -------------------------------------------------------------------------------------------- */

static inline bool is_table(uint64_t entry, unsigned order)
{
    return order != ORDER_4K && entry != 0 && !(entry & P2M_ENTRY_LARGE);
}

static inline uint64_t *entry_table(uint64_t entry)
{
    return mfn_to_virt(MFN((entry & P2M_ENTRY_ADDRESS) >> PAGE_SHIFT));
}

static inline uint64_t make_table(const uint64_t *table)
{
    return mfn_to_maddr(virt_to_mfn(table)).v | format->table;
}

/* The dirty bit is clear where the processor will set it and the frames are clean: theirs alone is of
 * interest. */
static inline uint64_t make_leaf(mfn_t mfn, enum p2m_type type, unsigned order)
{
    bool clean = type == P2M_RAM && tracks_dirty && frames_clean(mfn, 1ull << order);

    return mfn_to_maddr(mfn).v | format->leaf[type] | (uint64_t)type << P2M_ENTRY_TYPE_SHIFT |
           (order != ORDER_4K ? P2M_ENTRY_LARGE : 0) | (clean ? 0 : dirty_bit);
}

static inline struct p2m_entry read_leaf(uint64_t entry, gfn_t gfn, unsigned order)
{
    uint64_t first = (entry & P2M_ENTRY_ADDRESS) >> PAGE_SHIFT;

    return (struct p2m_entry){
        .mfn = MFN(first + (gfn.v & ((1ull << order) - 1))),
        .type = (entry & P2M_ENTRY_SOFTWARE) >> P2M_ENTRY_TYPE_SHIFT,
        .order = order,
    };
}

static inline uint64_t *table_slot(uint64_t *table, gfn_t gfn, unsigned order)
{
    return &table[(gfn.v >> order) & (ENTRIES - 1)];
}

static inline void write_entry(uint64_t *slot, uint64_t entry)
{
    __atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

/* A leaf is gone, and with it any way to write to count frames from mfn that was not taken before. */
static inline void note_dirty(uint64_t entry, struct p2m_entry leaf, uint64_t count)
{
    if (entry & dirty_bit && leaf.type != P2M_DEVICE)
        frames_dirty(leaf.mfn, count);
}

/* --- walking -------------------------------------------------------------------------------------------- */

/* The lowest slot that decides about gfn, not below *order; *order becomes the slot's. */
static inline uint64_t *walk(const struct domain *d, gfn_t gfn, unsigned *order)
{
    unsigned level = TOP_ORDER;
    uint64_t *slot = table_slot(d->arch->p2m_root, gfn, level);

#pragma GCC unroll 3
    while (level > *order) {
        uint64_t entry = READ_ONCE(*slot);
        if (!is_table(entry, level))
            break;
        level -= LEVEL_BITS;
        slot = table_slot(entry_table(entry), gfn, level);
    }
    *order = level;
    return slot;
}

/*
 * A guest may spread its pages as thinly as it likes, but the tables are the hypervisor's memory: enough for
 * all its pages in 4 KiB entries twice over, and some more for grants and foreign pages.
 */
static bool table_allowed(const struct domain *d)
{
    return d->privileged || d->arch->p2m_tables < 1024 + d->max_pages / (ENTRIES / 2);
}

static uint64_t *new_table_locked(struct domain *d)
{
    uint64_t *table = table_allowed(d) ? page_alloc(0) : NULL;

    if (table)
        d->arch->p2m_tables++;
    return table;
}

static void free_table_locked(struct domain *d, uint64_t *table)
{
    d->arch->p2m_tables--;
    page_free(table, 0);
}

/*
 * Puts a table under the slot, which maps nothing or is a large leaf; the table says the same as the slot
 * did, so that no flush is needed. Its entries count as written to: the processor may do that to the leaf
 * until the very moment in which the table stands there.
 */
static int split_locked(struct domain *d, uint64_t *slot, unsigned order)
{
    uint64_t *table = new_table_locked(d);
    uint64_t entry = *slot;
    unsigned below = order - LEVEL_BITS;

    if (!table)
        return -XEN_ENOMEM;
    if (entry) {
        entry |= dirty_bit;
        if (below == ORDER_4K)
            entry &= ~P2M_ENTRY_LARGE;
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = entry + ((uint64_t)i << (below + PAGE_SHIFT));
    }
    write_entry(slot, make_table(table));
    return 0;
}

/* As walk(), but makes the tables (and splits the leaves) down to order. NULL: no memory. */
static uint64_t *walk_create_locked(struct domain *d, gfn_t gfn, unsigned order)
{
    for (;;) {
        unsigned reached = order;
        uint64_t *slot = walk(d, gfn, &reached);

        if (reached == order)
            return slot;
        if (split_locked(d, slot, reached) < 0)
            return NULL;
    }
}

/*
 * What software finds it uses, for no matter what, and that counts as writing to it: the first look at a leaf
 * sets its dirty bit. Here come that first look, and looks at nothing. slot may be NULL.
 */
static __attribute__((noinline)) struct p2m_entry look_first(const struct domain *d, gfn_t gfn,
                                                             struct p2m_slot *slot)
{
    const struct p2m_entry nothing = {.mfn = INVALID_MFN, .type = P2M_NONE};
    unsigned order;
    uint64_t *at, value;

    if (gfn.v >= gfn_limit || d->dying)
        return nothing;
    do { /* again, if meanwhile the leaf has been split or is another */
        order = ORDER_4K;
        at = walk(d, gfn, &order);
        value = READ_ONCE(*at);
    } while (is_table(value, order) ||
             (value && !__atomic_compare_exchange_n(at, &value, value | dirty_bit, false, __ATOMIC_SEQ_CST,
                                                    __ATOMIC_RELAXED)));
    if (!value)
        return nothing;
    value |= dirty_bit;
    if (slot)
        *slot = (struct p2m_slot){.at = at, .value = value};
    return read_leaf(value, gfn, order);
}

static inline struct p2m_entry look(const struct domain *d, gfn_t gfn, struct p2m_slot *slot)
{
    if (likely(gfn.v < gfn_limit && !d->dying)) {
        unsigned order = ORDER_4K;
        const uint64_t *at = walk(d, gfn, &order);
        uint64_t value = READ_ONCE(*at);

        if (likely(value & dirty_bit)) { /* never set in what points to a table */
            if (slot)
                *slot = (struct p2m_slot){.at = at, .value = value};
            return read_leaf(value, gfn, order);
        }
    }
    return look_first(d, gfn, slot);
}

struct p2m_entry p2m_lookup_slot(struct domain *d, gfn_t gfn, struct p2m_slot *slot)
{
    return look(d, gfn, slot);
}

struct p2m_entry p2m_lookup(struct domain *d, gfn_t gfn)
{
    return look(d, gfn, NULL);
}

/* --- adding --------------------------------------------------------------------------------------------- */

/* The largest page for which the addresses are aligned and that count frames fill. */
static unsigned fitting_order(gfn_t gfn, mfn_t mfn, uint64_t count)
{
    unsigned order = largest_order;

    while (order != ORDER_4K && (((gfn.v | mfn.v) & ((1ull << order) - 1)) || count >> order == 0))
        order -= LEVEL_BITS;
    return order;
}

/*
 * One pass over the range: finds all slots empty (making tables on the way), or fills them. Where a table
 * stands already smaller entries are used; tables are not given back before the domain dies.
 */
static int add_pass_locked(struct domain *d, gfn_t gfn, mfn_t mfn, uint64_t count, enum p2m_type type,
                           bool commit)
{
    while (count) {
        unsigned order = fitting_order(gfn, mfn, count), reached = order;
        uint64_t *slot = walk(d, gfn, &reached);

        if (*slot && !is_table(*slot, reached))
            return -XEN_EEXIST;
        if (reached > order && !(slot = walk_create_locked(d, gfn, order)))
            return -XEN_ENOMEM;
        while (is_table(*slot, order)) {
            order -= LEVEL_BITS;
            slot = table_slot(entry_table(*slot), gfn, order);
        }
        if (*slot)
            return -XEN_EEXIST;
        if (commit)
            write_entry(slot, make_leaf(mfn, type, order));
        gfn = gfn_plus(gfn, 1ull << order);
        mfn = mfn_plus(mfn, 1ull << order);
        count -= 1ull << order;
    }
    return 0;
}

int p2m_add(struct domain *d, gfn_t gfn, mfn_t mfn, unsigned order, enum p2m_type type)
{
    struct arch_domain *a = d->arch;
    uint64_t count = 1ull << order;
    int error;

    if (order > ORDER_1G || gfn.v & (count - 1) || gfn.v >= gfn_limit || gfn_limit - gfn.v < count)
        return -XEN_EINVAL;
    if (mfn.v > (P2M_ENTRY_ADDRESS >> PAGE_SHIFT) - count)
        return -XEN_EINVAL;

    spin_lock(&a->p2m_lock);
    error = d->dying ? -XEN_EINVAL : 0;
    if (!error && a->p2m_last.v < gfn.v + count - 1)
        a->p2m_last = GFN(gfn.v + count - 1);
    if (!error && order != ORDER_4K) /* a single page is either mapped or not */
        error = add_pass_locked(d, gfn, mfn, count, type, false);
    if (!error)
        error = add_pass_locked(d, gfn, mfn, count, type, true);
    if (!error && a->p2m_highest.v < gfn.v + count - 1)
        a->p2m_highest = GFN(gfn.v + count - 1);
    spin_unlock(&a->p2m_lock);
    return error;
}

/* --- removing ------------------------------------------------------------------------------------------- */

int p2m_remove_noflush(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old)
{
    unsigned order = ORDER_4K;
    int error = 0;

    if (gfn.v >= gfn_limit)
        return -XEN_ENOENT;
    spin_lock(&d->arch->p2m_lock);
    uint64_t *slot = walk(d, gfn, &order);
    if (!*slot || gfn.v < d->arch->p2m_kill_next.v) {
        error = -XEN_ENOENT;
    } else {
        *old = read_leaf(*slot, gfn, order);
        if (!(types & P2M_BIT(old->type)))
            error = -XEN_EBUSY;
        else if (order != ORDER_4K && !(slot = walk_create_locked(d, gfn, ORDER_4K)))
            error = -XEN_ENOMEM;
        else
            note_dirty(__atomic_exchange_n(slot, 0, __ATOMIC_SEQ_CST), *old, 1);
    }
    spin_unlock(&d->arch->p2m_lock);
    return error;
}

int p2m_remove(struct domain *d, gfn_t gfn, uint32_t types, struct p2m_entry *old)
{
    int error = p2m_remove_noflush(d, gfn, types, old);

    if (!error)
        p2m_flush(d);
    return error;
}

/*
 * A vCPU publishes using_p2m, then compares tlb_epoch; here tlb_epoch moves first and using_p2m is read after
 * it. So a CPU that is not seen using the map will notice that the epoch moved before it uses an old
 * translation.
 */
void p2m_flush(struct domain *d)
{
    struct cpu *self = this_cpu();

    perfc_incr(p2m_flushes);
    __atomic_fetch_add(&d->arch->tlb_epoch, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < cpu_count; i++) {
        struct cpu *cpu = cpus[i];
        uint64_t count = READ_ONCE(cpu->use_count);

        if (cpu == self || cpu->using_p2m != d)
            continue;
        arch_cpu_kick(cpu);
        while (cpu->using_p2m == d && READ_ONCE(cpu->use_count) == count)
            cpu_relax();
    }
}

/* --- life ----------------------------------------------------------------------------------------------- */

int p2m_domain_init(struct domain *d)
{
    struct arch_domain *a = d->arch;

    spin_lock_init(&a->p2m_lock, LOCK_P2M);
    static uint64_t last_serial;
    a->p2m_serial = __atomic_add_fetch(&last_serial, 1, __ATOMIC_RELAXED);
    a->tlb_epoch = 1;
    a->p2m_root = page_alloc(0);
    if (!a->p2m_root)
        return -XEN_ENOMEM;
    a->p2m_tables = 1;
    a->p2m_root_entry =
        mfn_to_maddr(virt_to_mfn(a->p2m_root)).v | format->root | (tracks_dirty ? format->track_dirty : 0);
    return 0;
}

/* No vCPU runs and nobody looks into the map any more: the entry is as it will stay. */
static void put_leaf(uint64_t entry, struct p2m_entry leaf, uint64_t count)
{
    if (leaf.type == P2M_DEVICE)
        return;
    note_dirty(entry, leaf, count);
    if (count == 1)
        frame_put(leaf.mfn);
    else
        frames_put(leaf.mfn, count);
}

/*
 * Drops the references of what one slot (found by walk() down to ORDER_2M) maps at gfn: 2 MiB at most; a
 * table under it is freed. Returns how many frame numbers that covers.
 */
static uint64_t kill_slot_locked(struct domain *d, uint64_t *slot, gfn_t gfn, unsigned order)
{
    uint64_t entry = *slot;

    if (!entry)
        return (1ull << order) - (gfn.v & ((1ull << order) - 1));
    if (is_table(entry, order)) {
        uint64_t *table = entry_table(entry);
        for (unsigned i = 0; i < ENTRIES; i++)
            if (table[i])
                put_leaf(table[i], read_leaf(table[i], gfn, ORDER_4K), 1);
        *slot = 0;
        free_table_locked(d, table);
    } else {
        put_leaf(entry, read_leaf(entry, gfn, order), ENTRIES);
        if (order == ORDER_2M)
            *slot = 0;
    }
    return ENTRIES;
}

/* The tables of the gigabyte, and of the root table's entry, that end just below gfn have nothing left to
 * map. */
static void free_passed_tables_locked(struct domain *d, gfn_t gfn)
{
    gfn_t last = GFN(gfn.v - 1);
    unsigned order = ORDER_1G;
    uint64_t *slot = walk(d, last, &order);

    if (order == ORDER_1G) {
        if (is_table(*slot, order))
            free_table_locked(d, entry_table(*slot));
        *slot = 0;
    }
    uint64_t *top = table_slot(d->arch->p2m_root, last, TOP_ORDER);
    if (*top && (gfn.v & ((1ull << TOP_ORDER) - 1)) == 0) {
        free_table_locked(d, entry_table(*top));
        *top = 0;
    }
}

static uint64_t round_up(uint64_t gfn, unsigned order)
{
    return (gfn + (1ull << order) - 1) & ~((1ull << order) - 1);
}

int64_t p2m_domain_kill(struct domain *d)
{
    struct arch_domain *a = d->arch;
    uint64_t gfn = a->p2m_kill_next.v;

    if (gfn == 0)
        p2m_flush(d);
    spin_lock(&a->p2m_lock);
    /* A step over nothing costs about as much as two frames. */
    for (unsigned work = 0; gfn <= a->p2m_last.v && work < 8 * HYPERCALL_BUDGET;) {
        unsigned order = ORDER_2M;
        uint64_t *slot = walk(d, GFN(gfn), &order);

        work += *slot ? ENTRIES / 2 : 1;
        gfn += kill_slot_locked(d, slot, GFN(gfn), order);
        if ((gfn & ((1ull << ORDER_1G) - 1)) == 0)
            free_passed_tables_locked(d, GFN(gfn));
    }
    if (gfn > a->p2m_last.v) { /* behind that there is nothing; the last tables go */
        free_passed_tables_locked(d, GFN(round_up(gfn, ORDER_1G)));
        free_passed_tables_locked(d, GFN(round_up(gfn, TOP_ORDER)));
        gfn = gfn_limit;
    }
    a->p2m_kill_next = GFN(gfn);
    spin_unlock(&a->p2m_lock);
    return gfn < gfn_limit ? HYPERCALL_RESTART : 0;
}

void p2m_domain_free(struct domain *d)
{
    if (!d->arch->p2m_root)
        return;
    page_free(d->arch->p2m_root, 0);
    d->arch->p2m_root = NULL;
    d->arch->p2m_tables--;
    ASSERT(d->arch->p2m_tables == 0);
}

gfn_t p2m_max_gfn(const struct domain *d)
{
    return d->arch->p2m_highest;
}

uint64_t p2m_table_pages(const struct domain *d)
{
    return d->arch->p2m_tables;
}
