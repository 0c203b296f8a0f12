/*
 * What EPT (SDM vol. 3, 29.3.2) and nested page tables (APM vol. 2, 5.3 and 15.25) do not have in common.
 *
 * Both are four levels of 512 entries with the address in bits 12-51 and bit 7 for a leaf above the lowest
 * level, and both leave bits 52-55 of a leaf to software: there stands its enum p2m_type. So a format is a
 * table of the hardware bits that go with each type. An entry that maps nothing is all zero: it names no
 * address that L1TF could read.
 */
#ifndef X86_GUEST_P2M_FORMAT_H
#define X86_GUEST_P2M_FORMAT_H

#include <hv/arch/p2m.h>

#define P2M_ENTRY_ADDRESS    0x000ffffffffff000ull
#define P2M_ENTRY_LARGE      0x80ull
#define P2M_ENTRY_TYPE_SHIFT 52
#define P2M_ENTRY_SOFTWARE   (0xfull << P2M_ENTRY_TYPE_SHIFT)
#define P2M_TYPES            (P2M_DEVICE + 1)

/* True for the bits of a constant that neither software's bits, the address nor the bit for large pages
 * overlap. */
#define P2M_BITS_VALID(bits) (((bits) & (P2M_ENTRY_ADDRESS | P2M_ENTRY_LARGE | P2M_ENTRY_SOFTWARE)) == 0)

struct p2m_format {
    const char *name;
    uint64_t root;            /* beside the root table's address, in EPTP or nCR3 */
    uint64_t table;           /* in an entry that points to a table */
    uint64_t leaf[P2M_TYPES]; /* in an entry that maps, by type */
    uint64_t dirty;           /* in an entry that maps, once the page was written to */
    uint64_t track_dirty;     /* beside root, where the processor is to set that by itself */
};

extern const struct p2m_format ept_format, npt_format;

/*
 * p2m_lookup() that also says where the answer stands. As long as *at is value the answer is the same: the
 * tables stay where they are until the domain dies, which begins with a new tlb_epoch.
 */
struct p2m_slot {
    const uint64_t *at;
    uint64_t value;
};
struct p2m_entry p2m_lookup_slot(struct domain *d, gfn_t gfn, struct p2m_slot *slot);

/*
 * What this machine can do, told by vendor->probe(): the format of entries, the largest page that entries may
 * have, how many bits of guest-physical address are translated (at most 48), and whether the processor marks
 * what is written to.
 */
void p2m_set_format(const struct p2m_format *format, unsigned largest_order, unsigned address_bits,
                    bool tracks_dirty);

#endif
