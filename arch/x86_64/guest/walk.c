/*
 * The walk through a guest's page tables. Interface: walk.h.
 *
 * Runs inside a guest_access section; takes no lock. Entries are read once each, as the processor does, and
 * changed (accessed, dirty) only by compare-and-swap, so that a guest that edits its tables meanwhile loses
 * nothing.
 */
#include "guest_access.h"
#include <x86/msr.h>
#include <x86/paging.h>

#define PAE_ROOT 0xffffffe0ull /* the address in CR3 */
#define ROOT_32  0xfffff000ull

/* A 4 MiB entry of 32-bit paging holds bits 32-39 of the address in bits 13-20 (PSE-36). */
#define PSE36_HIGH(entry) (((entry)&0x1fe000ull) << 19)

struct paging read_paging(const struct vcpu *v)
{
    uint64_t efer = vendor->get_register(v, REG_EFER);
    uint64_t cr3 = vendor->get_register(v, REG_CR3);
    uint64_t cr0 = vendor->get_register(v, REG_CR0);
    struct paging paging = {
        .write_protect = cr0 & CR0_WP,
        .no_execute = efer & EFER_NXE,
        .large_pages = true,
    };

    if (efer & EFER_LMA) {
        paging.mode = PAGING_LONG;
        paging.root = GPA(cr3 & PTE_ADDR);
        return paging;
    }
    if (!(cr0 & CR0_PG))
        return paging;
    uint64_t cr4 = vendor->get_register(v, REG_CR4);
    if (cr4 & CR4_PAE) {
        paging.mode = PAGING_PAE;
        paging.root = GPA(cr3 & PAE_ROOT);
    } else {
        paging.mode = PAGING_32;
        paging.root = GPA(cr3 & ROOT_32);
        paging.large_pages = cr4 & CR4_PSE;
        paging.no_execute = false;
    }
    return paging;
}

static uint64_t read_entry(void *slot, bool wide)
{
    return wide ? READ_ONCE(*(uint64_t *)slot) : READ_ONCE(*(uint32_t *)slot);
}

/* False: the entry is no longer what it was. */
static bool set_entry_bits(void *slot, bool wide, uint64_t entry, uint64_t bits)
{
    if (wide)
        return __atomic_compare_exchange_n((uint64_t *)slot, &entry, entry | bits, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED);
    uint32_t narrow = entry;
    return __atomic_compare_exchange_n((uint32_t *)slot, &narrow, narrow | (uint32_t)bits, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* The rights of all levels together, against the access. */
static bool access_allowed(const struct paging *paging, uint64_t rights, bool nx, uint32_t access)
{
    if ((access & ACCESS_USER) && !(rights & PTE_U))
        return false;
    if ((access & ACCESS_WRITE) && !(rights & PTE_W) && ((access & ACCESS_USER) || paging->write_protect))
        return false;
    return !((access & ACCESS_FETCH) && nx && paging->no_execute);
}

enum walk_result guest_walk(struct vcpu *v, const struct paging *paging, gva_t address, uint32_t access,
                            gpa_t *gpa, uint32_t *error_code)
{
    bool wide = paging->mode != PAGING_32, nx = false;
    unsigned bits = wide ? 9 : 10;
    unsigned shift = paging->mode == PAGING_LONG ? 39 : paging->mode == PAGING_PAE ? 30 : 22;
    uint64_t table = paging->root.v, rights = PTE_W | PTE_U;
    uint32_t attempt = access & (paging->no_execute ? ~0u : ~ACCESS_FETCH);

    if (paging->mode == PAGING_LONG ? (int64_t)(address.v << 16) >> 16 != (int64_t)address.v
                                    : address.v >> 32 != 0) {
        *error_code = 0;
        return WALK_FAULT;
    }
    if (paging->mode == PAGING_NONE) {
        *gpa = GPA(address.v);
        return WALK_OK;
    }
    for (;;) {
        uint64_t index = (address.v >> shift) & ((1ull << bits) - 1);
        uint64_t at = table + index * (wide ? 8 : 4);
        char *page = gfn_page(v, gpa_to_gfn(GPA(at)), false);
        if (!page)
            return WALK_NOT_RAM;
        void *slot = page + (at & ~PAGE_MASK);
        uint64_t entry = read_entry(slot, wide);
        if (!(entry & PTE_P)) {
            *error_code = attempt;
            return WALK_FAULT;
        }
        bool root_of_pae = paging->mode == PAGING_PAE && shift == 30;
        bool leaf =
            shift == PAGE_SHIFT || (shift < 39 && !root_of_pae && (entry & PTE_PS) && paging->large_pages);
        if (!root_of_pae) {
            rights &= entry;
            nx |= wide && (entry & PTE_NX);
            if (leaf && !access_allowed(paging, rights, nx, access)) {
                *error_code = attempt | FAULT_PROTECTION;
                return WALK_FAULT;
            }
            uint64_t mark = PTE_A | (leaf && (access & ACCESS_WRITE) ? PTE_D : 0);
            if ((entry & mark) != mark && gfn_page(v, gpa_to_gfn(GPA(at)), true) &&
                !set_entry_bits(slot, wide, entry, mark))
                continue; /* the guest changed it just now: look again */
        }
        if (leaf) {
            uint64_t offset_mask = (1ull << shift) - 1;
            uint64_t frame = entry & PTE_ADDR & ~offset_mask;
            if (!wide && shift > PAGE_SHIFT)
                frame |= PSE36_HIGH(entry);
            *gpa = GPA(frame | (address.v & offset_mask));
            return WALK_OK;
        }
        table = entry & PTE_ADDR;
        shift -= bits;
    }
}
