/*
 * The guest's own page tables, walked in software (SDM vol. 3, chapter 4; APM vol. 2, chapter 5).
 *
 * Four levels, PAE, 32-bit with 4 MiB pages, and no paging. Protection keys, SMEP and SMAP are not looked at:
 * what comes here is either a hypercall argument or an access that the processor checked before it left the
 * guest.
 */
#ifndef X86_GUEST_WALK_H
#define X86_GUEST_WALK_H

#include <hv/types.h>

struct vcpu;

/* An access, and how it failed: bits of a page fault's error code. */
#define ACCESS_READ      0x00u
#define FAULT_PROTECTION 0x01u
#define ACCESS_WRITE     0x02u
#define ACCESS_USER      0x04u
#define FAULT_RESERVED   0x08u
#define ACCESS_FETCH     0x10u

enum paging_mode { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_LONG };

/* What of the control registers decides how addresses are translated. */
struct paging {
    enum paging_mode mode;
    gpa_t root;
    bool large_pages;   /* CR4.PSE; always in PAE and long mode */
    bool write_protect; /* CR0.WP */
    bool no_execute;    /* EFER.NXE */
};

enum walk_result {
    WALK_OK,
    WALK_FAULT,   /* the processor would raise #PF (#GP for an address that is not canonical: error code 0) */
    WALK_NOT_RAM, /* the page tables lie where no RAM is */
};

struct paging read_paging(const struct vcpu *v);

/* Between guest_access_begin() and _end(). Sets accessed and dirty bits on the way. *error_code only for
 * WALK_FAULT. */
enum walk_result guest_walk(struct vcpu *v, const struct paging *paging, gva_t address, uint32_t access,
                            gpa_t *gpa, uint32_t *error_code);

#endif
