/*
 * Reading and writing guest memory. Interface: hv/arch/guest_access.h and guest_access.h.
 *
 * Every access is a section between guest_access_begin() and guest_access_end(), in which pages found through
 * the p2m cannot go away; no lock is taken. The current vCPU's pages are remembered together with where in
 * the p2m they stand: while the domain's tlb_epoch stays they are good, and afterwards once their entry was
 * seen to be the same still. Page tables are mostly found there; and hypercall arguments in the few pages
 * whose whole way is remembered (known_page.h).
 */
#include "guest_access.h"
#include <hv/frame.h>
#include <x86/msr.h>
#include <xen/errno.h>
#include <lib/string.h>
#include "known_page.h"

static bool readable(enum p2m_type type)
{
    return type != P2M_NONE && type != P2M_DEVICE;
}

static bool writable_type(enum p2m_type type)
{
    return type == P2M_RAM || type == P2M_SHARED || type == P2M_FOREIGN || type == P2M_GRANT_RW;
}

/* --- the current vCPU's pages --------------------------------------------------------------------------- */

static __attribute__((noinline)) const struct gfn_cache_entry *gfn_renew(struct domain *d, gfn_t gfn,
                                                                         struct gfn_cache_entry *entry)
{
    uint64_t epoch = d->arch->tlb_epoch;

    if (entry->map == d->arch->p2m_serial && entry->gfn == gfn.v &&
        READ_ONCE(*entry->slot.at) == entry->slot.value && !d->dying) {
        entry->epoch = epoch;
        return entry;
    }
    struct p2m_slot slot;
    struct p2m_entry found = p2m_lookup_slot(d, gfn, &slot);
    if (!readable(found.type))
        return NULL;
    *entry = (struct gfn_cache_entry){
        .map = d->arch->p2m_serial,
        .gfn = gfn.v,
        .epoch = epoch,
        .slot = slot,
        .page = mfn_to_virt(found.mfn),
        .writable = writable_type(found.type),
        .own = found.type == P2M_RAM || found.type == P2M_RAM_RO,
    };
    return entry;
}

static inline const struct gfn_cache_entry *find(struct gfn_cache_entry *entry, struct domain *d, gfn_t gfn)
{
    const struct arch_domain *a = d->arch;

    if (likely(entry->gfn == gfn.v && entry->map == a->p2m_serial && entry->epoch == a->tlb_epoch))
        return entry;
    return gfn_renew(d, gfn, entry);
}

static inline const struct gfn_cache_entry *find_own(struct vcpu *v, gfn_t gfn)
{
    return find(&v->arch->gfn_cache[(gfn.v ^ gfn.v >> 5) % GFN_CACHE_SIZE], v->domain, gfn);
}

const struct gfn_cache_entry *gfn_find(struct vcpu *v, gfn_t gfn)
{
    return find_own(v, gfn);
}

/* --- through the guest's page tables -------------------------------------------------------------------- */

enum walk_result guest_translate(struct vcpu *v, gva_t address, uint32_t access, gpa_t *gpa,
                                 uint32_t *error_code)
{
    struct paging paging = read_paging(v);

    guest_access_begin(v->domain);
    enum walk_result result = guest_walk(v, &paging, address, access, gpa, error_code);
    guest_access_end();
    return result;
}

static inline void transfer(void *page, void *buffer, size_t size, bool to_guest)
{
    if (!to_guest)
        memcpy(buffer, page, size);
    else if (buffer)
        memcpy(page, buffer, size);
    else
        memset(page, 0, size);
}

/* buffer NULL: zeroes are written. *done: bytes copied before whatever stopped it. */
static enum walk_result copy_linear(struct vcpu *v, gva_t address, char *buffer, size_t size, uint32_t access,
                                    uint32_t *error_code, size_t *done)
{
    struct paging paging = read_paging(v);
    enum walk_result result = WALK_OK;

    *done = 0;
    if (size && address.v + (size - 1) < address.v) {
        *error_code = 0;
        return WALK_FAULT;
    }
    guest_access_begin(v->domain);
    while (*done < size) {
        uint64_t at = address.v + *done;
        size_t chunk = MIN(size - *done, PAGE_SIZE - (at & ~PAGE_MASK));
        gpa_t gpa;

        result = guest_walk(v, &paging, GVA(at), access, &gpa, error_code);
        if (result != WALK_OK)
            break;
        char *page = gfn_page(v, gpa_to_gfn(gpa), access & ACCESS_WRITE);
        if (!page) {
            result = WALK_NOT_RAM;
            break;
        }
        transfer(page + (gpa.v & ~PAGE_MASK), buffer ? buffer + *done : NULL, chunk, access & ACCESS_WRITE);
        *done += chunk;
    }
    guest_access_end();
    return result;
}

static __attribute__((noinline)) char *known_again(struct vcpu *v, struct known_page *k, uint64_t offset)
{
    if (!known_page_same(v, k, vendor->long_mode_root(v)))
        return NULL;
    k->entries = v->arch->entries;
    return k->data + offset;
}

/* One of the pages where arguments were of late, if that is where size bytes at address are; otherwise NULL.
 * Its way is looked at once per exit. */
static inline char *known_argument(struct vcpu *v, uint64_t address, size_t size, bool write)
{
    struct known_page *k = &v->arch->known[(address >> PAGE_SHIFT) % KNOWN_PAGES];
    uint64_t offset = address & ~PAGE_MASK;

    asm("" : "+r"(k)); /* or the compiler works it out anew at each use */
    if (unlikely(address >> PAGE_SHIFT != k->page || offset + size > PAGE_SIZE || (write && !k->writable)))
        return NULL;
    if (k->entries == v->arch->entries && k->epoch == v->domain->arch->tlb_epoch)
        return k->data + offset;
    return known_again(v, k, offset);
}

/* Begins a section: where in it size bytes at address are, or NULL: to be walked to. */
static __attribute__((noinline)) char *argument_begin(uint64_t address, size_t size, bool write)
{
    struct vcpu *v = current;

    guest_access_begin(v->domain);
    return known_argument(v, address, size, write);
}

/* Ends the section that argument_begin() began. */
static __attribute__((noinline)) int copy_by_walking(gva_t address, void *buffer, size_t size, bool write)
{
    struct vcpu *v = current;
    struct known_page *k = &v->arch->known[(address.v >> PAGE_SHIFT) % KNOWN_PAGES];
    uint64_t root = vendor->long_mode_root(v);
    uint32_t error_code;
    size_t done;

    char *known = root != NO_ROOT && known_page_learn(v, k, root, address.v)
                      ? known_argument(v, address.v, size, write)
                      : NULL;
    if (known)
        transfer(known, buffer, size, write);
    guest_access_end();
    if (known)
        return 0;
    return copy_linear(v, address, buffer, size, write ? ACCESS_WRITE : ACCESS_READ, &error_code, &done) ==
                   WALK_OK
               ? 0
               : -XEN_EFAULT;
}

static inline __attribute__((always_inline)) int copy_argument(gva_t address, void *buffer, size_t size,
                                                               bool write)
{
    char *known = argument_begin(address.v, size, write);

    if (unlikely(!known))
        return copy_by_walking(address, buffer, size, write);
    transfer(known, buffer, size, write);
    guest_access_end();
    return 0;
}

int copy_from_guest(void *to, gva_t from, size_t size)
{
    return copy_argument(from, to, size, false);
}

int copy_to_guest(gva_t to, const void *from, size_t size)
{
    return copy_argument(to, (void *)from, size, true);
}

int clear_guest(gva_t to, size_t size)
{
    return copy_argument(to, NULL, size, true);
}

enum walk_result guest_linear_access(struct vcpu *v, gva_t address, void *buffer, size_t size,
                                     uint32_t access, uint32_t *error_code, gva_t *fault)
{
    size_t done;
    enum walk_result result = copy_linear(v, address, buffer, size, access, error_code, &done);

    *fault = GVA(address.v + done);
    return result;
}

size_t fetch_guest(struct vcpu *v, uint64_t rip, void *to, size_t size)
{
    struct segment cs;
    uint32_t error_code;
    size_t done;

    vendor->get_segment(v, SEG_CS, &cs);
    gva_t address = GVA(cs.access & SEGMENT_L ? rip : (uint32_t)(cs.base + rip));
    copy_linear(v, address, to, size, ACCESS_READ, &error_code, &done);
    return done;
}

/* --- by guest-physical address -------------------------------------------------------------------------- */

static int copy_physical(struct domain *d, gpa_t address, char *buffer, size_t size, bool to_guest)
{
    int error = 0;

    if (address.v + size < address.v)
        return -XEN_EFAULT;
    guest_access_begin(d);
    while (size) {
        size_t chunk = MIN(size, PAGE_SIZE - (address.v & ~PAGE_MASK));
        struct p2m_entry entry = p2m_lookup(d, gpa_to_gfn(address));

        if (!readable(entry.type) || (to_guest && !writable_type(entry.type))) {
            error = -XEN_EFAULT;
            break;
        }
        transfer((char *)mfn_to_virt(entry.mfn) + (address.v & ~PAGE_MASK), buffer, chunk, to_guest);
        address.v += chunk;
        buffer += chunk;
        size -= chunk;
    }
    guest_access_end();
    return error;
}

int copy_from_gpa(struct domain *d, void *to, gpa_t from, size_t size)
{
    return copy_physical(d, from, to, size, false);
}

int copy_to_gpa(struct domain *d, gpa_t to, const void *from, size_t size)
{
    return copy_physical(d, to, (void *)from, size, true);
}

static inline void *find_page(struct domain *d, gfn_t gfn, bool writable)
{
    struct vcpu *v = current;
    const struct gfn_cache_entry *entry =
        d == v->domain
            ? find_own(v, gfn)
            : find(&v->arch->foreign_cache[(gfn.v ^ d->arch->p2m_serial) % FOREIGN_CACHE_SIZE], d, gfn);

    return entry && entry->own && entry->writable >= writable ? entry->page : NULL;
}

void *guest_page(struct domain *d, gfn_t gfn, bool writable)
{
    return find_page(d, gfn, writable);
}

void *map_guest_frame(struct domain *d, gfn_t gfn, bool writable)
{
    guest_access_begin(d);
    void *page = find_page(d, gfn, writable);
    if (page)
        frame_get_held(virt_to_mfn(page)); /* by the entry, at least until this section ends */
    guest_access_end();
    return page;
}
