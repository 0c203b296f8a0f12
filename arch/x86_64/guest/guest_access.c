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

/*
 * Arguments are copied by the first of three that can: where the page is known from earlier in this exit,
 * where it is known and the way there is still the same, by walking. Each goes on with the section that
 * copy_argument() began, and the last one ends it.
 */
static inline struct known_page *known_slot(const struct vcpu *v, uint64_t address)
{
    struct known_page *k = &v->arch->known[(address >> PAGE_SHIFT) % KNOWN_PAGES];
    asm("" : "+r"(k)); /* or the compiler works it out anew at each use */
    return k;
}

/* k is of the page where size bytes at address are, if it is still valid. */
static inline bool known_holds(const struct known_page *k, uint64_t address, size_t size, bool write)
{
    return address >> PAGE_SHIFT == k->page && (address & ~PAGE_MASK) + size <= PAGE_SIZE &&
           (!write || k->writable);
}

static inline int copy_known(const struct known_page *k, uint64_t address, void *buffer, size_t size,
                             bool write)
{
    transfer(k->data + (address & ~PAGE_MASK), buffer, size, write);
    guest_access_end();
    return 0;
}

static __attribute__((noinline)) int copy_by_walking(gva_t address, void *buffer, size_t size, bool write)
{
    struct vcpu *v = current;
    struct known_page *k = known_slot(v, address.v);
    uint64_t root = vendor->long_mode_root(v);
    uint32_t error_code;
    size_t done;

    bool known = k->page == address.v >> PAGE_SHIFT && known_page_renew(v, k) && known_page_valid(v, k, root);
    if (root != NO_ROOT && (known || known_page_learn(v, k, root, address.v)) &&
        known_holds(k, address.v, size, write)) {
        k->entries = v->arch->entries;
        return copy_known(k, address.v, buffer, size, write);
    }
    guest_access_end();
    return copy_linear(v, address, buffer, size, write ? ACCESS_WRITE : ACCESS_READ, &error_code, &done) ==
                   WALK_OK
               ? 0
               : -XEN_EFAULT;
}

static __attribute__((noinline)) int copy_again(gva_t address, void *buffer, size_t size, bool write,
                                                struct known_page *k)
{
    struct vcpu *v = current;

    if (unlikely(!known_page_valid(v, k, vendor->long_mode_root(v))))
        return copy_by_walking(address, buffer, size, write);
    k->entries = v->arch->entries;
    return copy_known(k, address.v, buffer, size, write);
}

static inline __attribute__((always_inline)) int copy_argument(gva_t address, void *buffer, size_t size,
                                                               bool write)
{
    struct vcpu *v = current;
    struct known_page *k = known_slot(v, address.v);

    guest_access_begin(v->domain);
    if (unlikely(!known_holds(k, address.v, size, write)))
        return copy_by_walking(address, buffer, size, write);
    if (k->entries != v->arch->entries || k->epoch != v->domain->arch->tlb_epoch)
        return copy_again(address, buffer, size, write, k);
    return copy_known(k, address.v, buffer, size, write);
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
