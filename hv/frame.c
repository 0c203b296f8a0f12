/*
 * Machine frames: a buddy allocator over the descriptors of hv/frame.h, ownership and reference counts.
 *
 * Free blocks of 2^order frames lie on one list per order and zone. Memory below 4 GiB is its own zone and is
 * touched last, so that it is left for devices which can address no more. Lists are linked by frame number, 0
 * is their end: frame 0 is never handed out.
 *
 * A frame is scrubbed on allocation unless it is FRAME_CLEAN, all zeroes already, or its new owner is its
 * last one, which has to be the only domain that ever had this id (domain->first_of_id). A domain's frame
 * that was scrubbed stays clean until the p2m says that somebody may have written to it (frames_dirty);
 * frames of the hypervisor and of the domain that drives devices are never clean.
 *
 * What domains gave back is scrubbed by CPUs that have nothing else to do, frame by frame and without leaving
 * its list: until then it is as free as any, and scrubbed when it is taken. What nobody had since boot waits
 * for that.
 *
 * Locking: LOCK_FRAME around the lists, the free count and the range to scrub. A frame that left the lists
 * belongs to whoever took it. The owner of a frame in use does not change; whoever is not sure that it is in
 * use takes a reference by compare-and-swap of frame->word.
 */
#include <hv/boot_info.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/init.h>
#include <hv/lock.h>
#include <hv/panic.h>
#include <lib/string.h>
#include <xen/errno.h>

#define MAX_ORDER  18u
#define SCRUB_SCAN 256u /* descriptors looked at in one step */
#define LOW_LIMIT  (1ull << (32 - PAGE_SHIFT))

enum zone { ZONE_LOW, ZONE_HIGH, ZONES };

struct frame *frame_table;
uint64_t frame_limit;

static spinlock_t lock = SPINLOCK_INIT(LOCK_FRAME);
static uint32_t free_head[ZONES][MAX_ORDER + 1];
static uint64_t free_count;
static uint64_t claimed_count; /* sum of all claimed_pages of domains: free frames that others leave alone */
static uint64_t ram_count;     /* all RAM that firmware reported */
static uint64_t scrub_next, scrub_end; /* between them lies all that domains gave back and nobody scrubbed */
static uint64_t domains_count;         /* counted in some domain's total_pages; atomic */

static enum zone zone_of(uint64_t mfn)
{
    return mfn < LOW_LIMIT ? ZONE_LOW : ZONE_HIGH;
}

/* --- free lists; LOCK_FRAME is held --------------------------------------------------------------------- */

static void push_locked(uint64_t mfn, unsigned order)
{
    struct frame *f = &frame_table[mfn];
    uint32_t *head = &free_head[zone_of(mfn)][order];

    f->order = (uint8_t)order;
    f->flags |= FRAME_FREE_HEAD;
    f->prev = 0;
    f->next = *head;
    if (*head)
        frame_table[*head].prev = (uint32_t)mfn;
    *head = (uint32_t)mfn;
}

static void unlink_locked(uint64_t mfn)
{
    struct frame *f = &frame_table[mfn];

    if (f->prev)
        frame_table[f->prev].next = f->next;
    else
        free_head[zone_of(mfn)][f->order] = f->next;
    if (f->next)
        frame_table[f->next].prev = f->prev;
    f->flags &= (uint8_t)~FRAME_FREE_HEAD;
}

/* Frees a block and joins it with its free buddies. */
static void give_back_locked(uint64_t mfn, unsigned order)
{
    free_count += 1ull << order;
    for (; order < MAX_ORDER; order++) {
        uint64_t buddy = mfn ^ (1ull << order);
        if (buddy >= frame_limit || !(frame_table[buddy].flags & FRAME_FREE_HEAD) ||
            frame_table[buddy].order != order)
            break;
        unlink_locked(buddy);
        mfn &= ~(1ull << order);
    }
    push_locked(mfn, order);
}

/* What a domain had is to be scrubbed some time. */
static void note_to_scrub_locked(uint64_t mfn, uint64_t end)
{
    scrub_next = scrub_next < scrub_end ? MIN(scrub_next, mfn) : mfn;
    scrub_end = MAX(scrub_end, end);
}

/* Frees any run of frames as the largest aligned blocks that make it up. */
static void give_back_range_locked(uint64_t mfn, uint64_t end)
{
    while (mfn < end) {
        unsigned order = mfn ? (unsigned)__builtin_ctzll(mfn) : MAX_ORDER;
        order = MIN(order, MAX_ORDER);
        while (mfn + (1ull << order) > end)
            order--;
        give_back_locked(mfn, order);
        mfn += 1ull << order;
    }
}

/* Returns 0 when the zone has no block that is large enough. */
static uint64_t take_from_zone_locked(enum zone zone, unsigned order)
{
    for (unsigned have = order; have <= MAX_ORDER; have++) {
        uint64_t mfn = free_head[zone][have];
        if (!mfn)
            continue;
        unlink_locked(mfn);
        while (have > order) {
            have--;
            push_locked(mfn + (1ull << have), have);
        }
        free_count -= 1ull << order;
        return mfn;
    }
    return 0;
}

/* Whether so many frames are free for d, or for the hypervisor (NULL), that nobody else has a claim on. */
static bool free_for_locked(const struct domain *d, uint64_t count)
{
    return likely(free_count >= claimed_count + count) || (d && d->claimed_pages >= count);
}

static void use_claim_locked(struct domain *d, uint64_t count)
{
    if (unlikely(d && d->claimed_pages)) {
        count = MIN(count, d->claimed_pages);
        d->claimed_pages -= (uint32_t)count;
        claimed_count -= count;
    }
}

/* For d, or the hypervisor (NULL). */
static uint64_t take(struct domain *d, unsigned order, unsigned flags)
{
    uint64_t mfn = 0;

    if (order > MAX_ORDER)
        return 0;
    spin_lock(&lock);
    if (free_for_locked(d, 1ull << order)) {
        if (!(flags & ALLOC_BELOW_4G))
            mfn = take_from_zone_locked(ZONE_HIGH, order);
        if (!mfn)
            mfn = take_from_zone_locked(ZONE_LOW, order);
    }
    if (mfn)
        use_claim_locked(d, 1ull << order);
    spin_unlock(&lock);
    return mfn;
}

static void give_back(uint64_t mfn, unsigned order)
{
    spin_lock(&lock);
    give_back_locked(mfn, order);
    spin_unlock(&lock);
}

/* First frame of the free block that mfn lies in, 0 when mfn is not free. */
static uint64_t free_block_locked(uint64_t mfn)
{
    for (unsigned order = 0; order <= MAX_ORDER; order++) {
        uint64_t start = mfn & ~((1ull << order) - 1);
        if ((frame_table[start].flags & FRAME_FREE_HEAD) && frame_table[start].order >= order)
            return start;
    }
    return 0;
}

/* Takes [start, end) out of the free lists, all or nothing. */
static bool take_range_locked(uint64_t start, uint64_t end)
{
    for (uint64_t mfn = start; mfn < end;) {
        uint64_t block = free_block_locked(mfn);
        if (!block)
            return false;
        mfn = block + (1ull << frame_table[block].order);
    }
    for (uint64_t mfn = start; mfn < end;) {
        uint64_t block = free_block_locked(mfn);
        uint64_t block_end = block + (1ull << frame_table[block].order);
        unlink_locked(block);
        free_count -= block_end - block;
        give_back_range_locked(block, MAX(block, start));
        give_back_range_locked(MIN(block_end, end), block_end);
        mfn = block_end;
    }
    return true;
}

/* --- ownership ------------------------------------------------------------------------------------------ */

static uint64_t make_word(uint32_t refs, domid_t owner, uint8_t flags)
{
    struct frame f = {.refs = refs, .owner = owner, .flags = flags};
    return f.word;
}

/* Puts a block that was taken into use, one reference for each frame; none of them counts as clean. */
static void own(uint64_t mfn, uint64_t count, domid_t owner, uint8_t flags)
{
    uint64_t word = make_word(1, owner, FRAME_RAM | flags);

    for (uint64_t i = mfn; i < mfn + count; i++)
        __atomic_store_n(&frame_table[i].word, word, __ATOMIC_RELEASE);
}

static void check_clean(uint64_t mfn)
{
    const uint64_t *word = mfn_to_virt(MFN(mfn));

    for (unsigned i = 0; HV_DEBUG && i < PAGE_SIZE / sizeof *word; i++)
        if (word[i])
            panic("frame %#lx, last of d%u, is not clean at %#lx", mfn, frame_table[mfn].owner,
                  i * sizeof *word);
}

static inline void clear(uint64_t mfn)
{
    if (likely(frame_table[mfn].flags & FRAME_CLEAN))
        check_clean(mfn);
    else
        memset(mfn_to_virt(MFN(mfn)), 0, PAGE_SIZE);
}

/* own() for d, which may read them now; what it wrote to them earlier it may see. */
static void own_scrubbed(uint64_t mfn, uint64_t count, const struct domain *d)
{
    uint64_t kept = make_word(1, d->id, FRAME_RAM);
    uint64_t scrubbed = make_word(1, d->id, FRAME_RAM | (d->privileged ? 0 : FRAME_CLEAN));
    struct frame *end = &frame_table[mfn + count];

    for (struct frame *f = &frame_table[mfn]; f < end; f++, mfn++) {
        bool keep = unlikely(!(f->flags & FRAME_CLEAN)) && d->first_of_id && f->owner == d->id;
        if (!keep)
            clear(mfn);
        __atomic_store_n(&f->word, keep ? kept : scrubbed, __ATOMIC_RELEASE);
    }
}

/* Adds to d's total; a domain that owns frames holds a reference to itself. */
static bool count_pages(struct domain *d, uint64_t count)
{
    uint32_t old = __atomic_load_n(&d->total_pages, __ATOMIC_RELAXED);

    do {
        if (d->dying || old + count > d->max_pages)
            return false;
    } while (!__atomic_compare_exchange_n(&d->total_pages, &old, old + (uint32_t)count, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    if (old == 0 && !domain_get(d)) {
        __atomic_fetch_sub(&d->total_pages, (uint32_t)count, __ATOMIC_SEQ_CST);
        return false;
    }
    __atomic_fetch_add(&domains_count, count, __ATOMIC_RELAXED);
    return true;
}

static void uncount_pages(struct domain *d, uint64_t count)
{
    __atomic_fetch_sub(&domains_count, count, __ATOMIC_RELAXED);
    if (__atomic_sub_fetch(&d->total_pages, (uint32_t)count, __ATOMIC_SEQ_CST) == 0)
        domain_put(d);
}

mfn_t frame_alloc(struct domain *d, unsigned order, unsigned flags)
{
    if (order > MAX_ORDER || !count_pages(d, 1ull << order))
        return INVALID_MFN;

    uint64_t mfn = take(d, order, flags);
    if (!mfn) {
        uncount_pages(d, 1ull << order);
        return INVALID_MFN;
    }
    if (flags & ALLOC_NO_SCRUB)
        own(mfn, 1ull << order, d->id, 0);
    else
        own_scrubbed(mfn, 1ull << order, d);
    return MFN(mfn);
}

bool frame_alloc_at(struct domain *d, mfn_t start, uint64_t count)
{
    if (count == 0 || start.v == 0 || start.v >= frame_limit || count > frame_limit - start.v)
        return false;
    if (!count_pages(d, count))
        return false;

    spin_lock(&lock);
    bool taken = free_for_locked(d, count) && take_range_locked(start.v, start.v + count);
    if (taken)
        use_claim_locked(d, count);
    spin_unlock(&lock);
    if (taken)
        own(start.v, count, d->id, 0);
    else
        uncount_pages(d, count);
    return taken;
}

int frames_claim(struct domain *d, uint64_t total)
{
    int error = 0;

    spin_lock(&lock);
    uint64_t has = __atomic_load_n(&d->total_pages, __ATOMIC_RELAXED);
    if (total == 0) {
        use_claim_locked(d, d->claimed_pages);
    } else if (d->dying || d->claimed_pages || total <= has || total > d->max_pages) {
        error = -XEN_EINVAL;
    } else if (!free_for_locked(NULL, total - has)) {
        error = -XEN_ENOMEM;
    } else {
        d->claimed_pages = (uint32_t)(total - has);
        claimed_count += total - has;
    }
    spin_unlock(&lock);
    return error;
}

void INIT_CODE frame_adopt(struct domain *d, mfn_t start, uint64_t count)
{
    bool counted = count_pages(d, count);

    ASSERT(counted && start.v < frame_limit && count <= frame_limit - start.v);
    own(start.v, count, d->id, 0);
}

bool frame_get(mfn_t mfn, domid_t owner)
{
    if (mfn.v >= frame_limit)
        return false;

    struct frame *f = &frame_table[mfn.v];
    struct frame old = {.word = __atomic_load_n(&f->word, __ATOMIC_RELAXED)}, new;
    do {
        if (old.refs == 0 || old.refs == UINT32_MAX || old.owner != owner)
            return false;
        new.word = old.word;
        new.refs++;
    } while (!__atomic_compare_exchange_n(&f->word, &old.word, new.word, true, __ATOMIC_ACQUIRE,
                                          __ATOMIC_RELAXED));
    return true;
}

void frame_get_held(mfn_t mfn)
{
    uint32_t old = __atomic_fetch_add(&frame_table[mfn.v].refs, 1, __ATOMIC_RELAXED);
    ASSERT(old != 0 && old != UINT32_MAX);
}

/* Nobody has a reference any more, and nobody can get one. */
static __attribute__((noinline)) void release(mfn_t mfn)
{
    struct frame *f = &frame_table[mfn.v];
    bool counted = !(f->flags & FRAME_UNCOUNTED);
    domid_t owner = f->owner;

    f->flags &= (uint8_t)~FRAME_UNCOUNTED;
    spin_lock(&lock);
    note_to_scrub_locked(mfn.v, mfn.v + 1);
    give_back_locked(mfn.v, 0);
    spin_unlock(&lock);
    if (counted)
        uncount_pages(domain_find(owner), 1);
}

void frame_put(mfn_t mfn)
{
    uint32_t old = __atomic_fetch_sub(&frame_table[mfn.v].refs, 1, __ATOMIC_ACQ_REL);

    ASSERT(old != 0);
    if (old == 1)
        release(mfn);
}

/* Frames that nobody has a reference to any more; returns how many. */
static uint64_t give_back_run(const struct frame *f, const struct frame *end)
{
    uint64_t first = (uint64_t)(f - frame_table), count = (uint64_t)(end - f);

    if (!count)
        return 0;
    spin_lock(&lock);
    note_to_scrub_locked(first, first + count);
    give_back_range_locked(first, first + count);
    spin_unlock(&lock);
    return count;
}

void frames_put(mfn_t first, uint64_t count)
{
    struct frame *begin = &frame_table[first.v], *end = begin + count, *run = begin;
    domid_t owner = begin->owner;
    uint64_t freed = 0;

    for (struct frame *f = begin; f < end; f++) {
        ASSERT(!HV_DEBUG || (f->owner == owner && !(f->flags & FRAME_UNCOUNTED)));
        uint32_t old = __atomic_fetch_sub(&f->refs, 1, __ATOMIC_ACQ_REL);
        if (likely(old == 1))
            continue;
        ASSERT(old != 0);
        freed += give_back_run(run, f);
        run = f + 1;
    }
    freed += give_back_run(run, end);
    if (freed)
        uncount_pages(domain_find(owner), freed);
}

bool frames_clean(mfn_t first, uint64_t count)
{
    const struct frame *f = &frame_table[first.v];

    while (count && f->flags & FRAME_CLEAN)
        f++, count--;
    return !count;
}

void frames_dirty(mfn_t first, uint64_t count)
{
    for (uint64_t mfn = first.v; mfn < first.v + count; mfn++)
        if (frame_table[mfn].flags & FRAME_CLEAN)
            __atomic_fetch_and(&frame_table[mfn].flags, (uint8_t)~FRAME_CLEAN, __ATOMIC_RELAXED);
}

domid_t frame_owner(mfn_t mfn)
{
    if (mfn.v >= frame_limit)
        return DOMID_INVALID;

    struct frame f = {.word = __atomic_load_n(&frame_table[mfn.v].word, __ATOMIC_RELAXED)};
    return f.refs ? f.owner : DOMID_INVALID;
}

/* --- while nothing else is to be done ------------------------------------------------------------------- */

/* A free frame, last had by somebody. Where devices may write late, it is scrubbed as late as can be. */
static bool to_scrub(const struct frame *f)
{
    return !(f->flags & FRAME_CLEAN) && f->owner != DOMID_INVALID && f->owner != dom0->id;
}

/* Nobody can take the frame while the lock is held. */
static void scrub_step_locked(void)
{
    uint64_t stop = MIN(scrub_end, scrub_next + SCRUB_SCAN);

    while (scrub_next < stop) {
        const struct frame *f = &frame_table[scrub_next];
        uint64_t block = f->refs || !(f->flags & FRAME_RAM) ? 0 : free_block_locked(scrub_next);
        uint64_t block_end = block ? MIN(block + (1ull << frame_table[block].order), stop) : 0;
        while (scrub_next < block_end && !to_scrub(&frame_table[scrub_next]))
            scrub_next++;
        if (scrub_next < block_end) {
            memset(mfn_to_virt(MFN(scrub_next)), 0, PAGE_SIZE);
            frame_table[scrub_next++].flags |= FRAME_CLEAN;
            return;
        }
        scrub_next += !block;
    }
}

bool frames_scrub(void)
{
    if (__atomic_load_n(&scrub_next, __ATOMIC_RELAXED) >= __atomic_load_n(&scrub_end, __ATOMIC_RELAXED) ||
        !spin_trylock(&lock))
        return false;
    scrub_step_locked();
    bool more = scrub_next < scrub_end;
    spin_unlock(&lock);
    return more;
}

/* --- for the hypervisor --------------------------------------------------------------------------------- */

void *page_alloc(unsigned order)
{
    uint64_t mfn = take(NULL, order, ALLOC_ANY);
    if (!mfn)
        return NULL;
    for (uint64_t i = mfn; i < mfn + (1ull << order); i++)
        clear(i);
    own(mfn, 1ull << order, OWNER_HYPERVISOR, FRAME_UNCOUNTED);
    return mfn_to_virt(MFN(mfn));
}

void page_free(void *p, unsigned order)
{
    if (!p)
        return;
    uint64_t mfn = virt_to_mfn(p).v;
    for (uint64_t i = mfn; i < mfn + (1ull << order); i++) {
        ASSERT(frame_table[i].refs == 1 && frame_table[i].owner == OWNER_HYPERVISOR);
        frame_table[i].word = make_word(0, OWNER_HYPERVISOR, FRAME_RAM);
    }
    give_back(mfn, order);
}

void *page_alloc_shared(struct domain *d)
{
    uint64_t mfn = take(NULL, 0, ALLOC_ANY);
    if (!mfn)
        return NULL;
    clear(mfn);
    own(mfn, 1, d->id, FRAME_UNCOUNTED);
    return mfn_to_virt(MFN(mfn));
}

void page_free_shared(void *p)
{
    if (p)
        frame_put(virt_to_mfn(p));
}

/* --- boot and figures ----------------------------------------------------------------------------------- */

void INIT_CODE frame_init(struct frame *table, uint64_t limit)
{
    frame_table = table;
    frame_limit = limit;
    for (uint32_t i = 0; i < boot_info.regions; i++)
        if (boot_info.region[i].type == MEMORY_RAM)
            ram_count += boot_info.region[i].size >> PAGE_SHIFT;
}

void frame_add_range(mfn_t start, uint64_t count)
{
    uint64_t mfn = MAX(start.v, 1ull), end = start.v + count;

    for (uint64_t i = mfn; i < end; i++)
        frame_table[i].word = make_word(0, DOMID_INVALID, FRAME_RAM);
    spin_lock(&lock);
    give_back_range_locked(mfn, end);
    spin_unlock(&lock);
}

uint64_t frames_free(void)
{
    return __atomic_load_n(&free_count, __ATOMIC_RELAXED);
}

uint64_t frames_claimed(void)
{
    return __atomic_load_n(&claimed_count, __ATOMIC_RELAXED);
}

uint64_t frames_total(void)
{
    return ram_count;
}

uint64_t frames_hypervisor(void)
{
    return ram_count - frames_free() - __atomic_load_n(&domains_count, __ATOMIC_RELAXED);
}
