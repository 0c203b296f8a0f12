/*
 * A grant in use (hv/gnttab_internal.h): the shared entry is checked and marked, the frame behind it held.
 *
 * The guest may write to a shared entry at any time. So it is read once and marked by compare-and-swap of
 * flags and domid together; a guest that keeps the word moving gets an error after a few rounds. Once pinned,
 * the frame is the one that was found then, whatever the entry says later.
 *
 * Locking: the granting domain's LOCK_GNTTAB around each function.
 */
#include <hv/arch/guest_access.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/frame.h>
#include <hv/gnttab_internal.h>
#include <hv/panic.h>

#define MAX_USES 255u
#define ATTEMPTS 5

/* flags and domid of an entry are swapped together, as one word. */
#define WORD(flags, domid) ((uint32_t)(flags) | (uint32_t)(domid) << 16)
_Static_assert(offsetof(grant_entry_v1_t, flags) == 0 && offsetof(grant_entry_v1_t, domid) == 2, "WORD");

/* Sub-page and transitive grants belong to version 2. */
static inline bool grants_access(uint32_t word, domid_t grantee)
{
    return (word & WORD(GTF_type_mask | GTF_sub_page, UINT16_MAX)) == WORD(GTF_permit_access, grantee);
}

static int mark_entry(grant_entry_v1_t *entry, bool pinned, domid_t grantee, bool readonly)
{
    uint32_t *shared = (uint32_t *)entry, old = READ_ONCE(*shared);
    uint32_t marks = readonly ? GTF_reading : GTF_reading | GTF_writing;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (!pinned && !grants_access(old, grantee))
            return GNTST_general_error;
        if (!readonly && (old & GTF_readonly))
            return GNTST_general_error;
        if (__atomic_compare_exchange_n(shared, &old, old | marks, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return GNTST_okay;
    }
    return GNTST_general_error;
}

/* Takes back the marks that the pin no longer stands for. */
static void unmark_entry(grant_entry_v1_t *entry, const struct grant_pin *pin)
{
    uint16_t over = 0;

    if (!pin->writers)
        over |= GTF_writing;
    if (!pin->writers && !pin->readers)
        over |= GTF_reading;
    if (over)
        __atomic_fetch_and(&entry->flags, (uint16_t)~over, __ATOMIC_SEQ_CST);
}

static int pin_locked(struct domain *rd, grant_entry_v1_t *entry, struct grant_pin *pin, bool readonly)
{
    domid_t grantee = current->domain->id;
    bool pinned = pin->readers || pin->writers;

    if (pinned && (pin->domid != grantee || (readonly ? pin->readers : pin->writers) == MAX_USES))
        return GNTST_general_error;
    if (!pinned || (!readonly && !pin->writers)) {
        int status = mark_entry(entry, pinned, grantee, readonly);
        if (status != GNTST_okay)
            return status;
    }
    if (pinned) {
        frame_get_held(MFN(pin->mfn));
    } else {
        void *page = map_guest_frame(rd, GFN(READ_ONCE(entry->frame)), true);
        if (!page) {
            unmark_entry(entry, pin);
            return GNTST_bad_page;
        }
        pin->mfn = (uint32_t)virt_to_mfn(page).v;
        pin->domid = grantee;
    }
    if (readonly)
        pin->readers++;
    else
        pin->writers++;
    return GNTST_okay;
}

int grant_pin(struct domain *rd, uint32_t ref, bool readonly, mfn_t *mfn)
{
    struct gnttab *g = rd->gnttab;

    uint64_t entries = __atomic_load_n(&g->frames, __ATOMIC_ACQUIRE) * ENTRIES_PER_FRAME;
    if (ref >= entries)
        return GNTST_bad_gntref;
    ref = (uint32_t)index_nospec(ref, entries);

    spin_lock(&g->lock);
    struct grant_frame *frame = &g->frame[ref / ENTRIES_PER_FRAME];
    if (unlikely(!frame->pin) && !(frame->pin = page_alloc(0))) {
        spin_unlock(&g->lock);
        return GNTST_no_space;
    }
    struct grant_pin *pin = &frame->pin[ref % ENTRIES_PER_FRAME];
    int status = pin_locked(rd, &frame->shared[ref % ENTRIES_PER_FRAME], pin, readonly);
    *mfn = MFN(pin->mfn);
    spin_unlock(&g->lock);
    return status;
}

mfn_t grant_unpin(struct domain *rd, uint32_t ref, bool readonly)
{
    struct gnttab *g = rd->gnttab;
    spin_lock(&g->lock);
    struct grant_frame *frame = &g->frame[ref / ENTRIES_PER_FRAME];
    struct grant_pin *pin = &frame->pin[ref % ENTRIES_PER_FRAME];
    ASSERT(readonly ? pin->readers : pin->writers);
    if (readonly)
        pin->readers--;
    else
        pin->writers--;
    unmark_entry(&frame->shared[ref % ENTRIES_PER_FRAME], pin);
    mfn_t mfn = MFN(pin->mfn);
    spin_unlock(&g->lock);
    return mfn;
}
