/*
 * The length of the instruction that exited, on processors that do not store where the next one begins (APM vol. 2,
 * 15.7.1).
 *
 * The exit code says which instruction it was, so its plain form is recognized by comparing two or three bytes; only one
 * with prefixes is decoded. The bytes are read where RIP leads in the guest's page tables. The path to the last page of code
 * is remembered: the entries on it and what they held. As long as they hold the same, a walk would lead to the same page,
 * so the answer is exact without walking. The domain's tlb_epoch guards the pages that the pointers lead into.
 *
 * Interface: svm_find_length(). Locking: none; inside the section (hv/arch/p2m.h) in which the guest ran.
 */
#include "svm.h"
#include "../guest/decode.h"
#include "../guest/guest_access.h"
#include <x86/msr.h>
#include <x86/paging.h>

#define LEVELS      4
#define INDEX(address, level) ((address) >> (PAGE_SHIFT + 9 * (level)) & 511)

/* NULL: not in 64-bit mode with four levels, or a table or the page is no RAM; the general way has to do. */
static const uint8_t *walk_path(struct vcpu *v, uint64_t rip)
{
    const struct vmcb *vmcb = vmcb_of(v);
    struct svm_code_path *path = &v->arch->svm.code;
    uint64_t at = vmcb->cr3;

    guest_section_begin(v); /* the same section: only v's cache of pages is made good */
    path->page = 0;
    if (!svm_code64(vmcb) || vmcb->cr4 & CR4_LA57)
        return NULL;
    for (int level = LEVELS - 1; level >= 0; level--) {
        const uint64_t *table = gfn_page(v, GFN((at & PTE_ADDR) >> PAGE_SHIFT), false);
        if (!table)
            return NULL;
        path->entry[level] = &table[INDEX(rip, level)];
        path->value[level] = at = READ_ONCE(*path->entry[level]);
        if (!(at & PTE_P))
            return NULL;
        if (level && at & PTE_PS) {
            for (int below = level - 1; below >= 0; below--) {
                path->entry[below] = path->entry[level];
                path->value[below] = at;
            }
            uint64_t mask = (1ull << (PAGE_SHIFT + 9 * level)) - 1;
            at = (at & PTE_ADDR & ~mask) | (rip & mask);
            break;
        }
    }
    path->code = gfn_page(v, GFN((at & PTE_ADDR) >> PAGE_SHIFT), false);
    if (!path->code)
        return NULL;
    path->cr3 = vmcb->cr3;
    path->epoch = v->arch->gfn_cache_epoch;
    path->page = rip >> PAGE_SHIFT;
    return path->code + (rip & ~PAGE_MASK);
}

/* Where RIP is in the remembered page, if the way there is still the same and four bytes can be read; otherwise NULL. */
static inline const uint8_t *known_code(const struct vcpu *v, uint64_t rip)
{
    const struct vmcb *vmcb = vmcb_of(v);
    const struct svm_code_path *path = &v->arch->svm.code;
    if (rip >> PAGE_SHIFT != path->page || (rip & ~PAGE_MASK) > PAGE_SIZE - sizeof(uint32_t))
        return NULL;
    if (vmcb->cr3 != path->cr3 || !svm_code64(vmcb) || path->epoch != v->domain->arch->tlb_epoch)
        return NULL;
    if (READ_ONCE(*path->entry[0]) != path->value[0] || READ_ONCE(*path->entry[1]) != path->value[1] ||
        READ_ONCE(*path->entry[2]) != path->value[2] || READ_ONCE(*path->entry[3]) != path->value[3])
        return NULL;
    return path->code + (rip & ~PAGE_MASK);
}

static bool is_plain(const uint8_t *code, const struct svm_encoding *encoding)
{
    return (READ_ONCE(*(const uint32_t *)code) & encoding->mask) == encoding->plain;
}

static unsigned decoded_length(struct vcpu *v, uint16_t opcode)
{
    uint8_t bytes[INSTRUCTION_MAX];
    struct instruction instruction;
    size_t count = fetch_guest(v, v->arch->rip, bytes, sizeof(bytes));
    if (!decode(bytes, count, svm_code_size(vmcb_of(v)), &instruction) || instruction.opcode != opcode)
        return 0;
    return instruction.length;
}

static __attribute__((noinline)) bool find_length(struct vcpu *v, struct vmexit *exit, const struct svm_encoding *encoding)
{
    uint64_t rip = v->arch->rip;
    const uint8_t *code = walk_path(v, rip);
    if (code && (rip & ~PAGE_MASK) <= PAGE_SIZE - sizeof(uint32_t) && is_plain(code, encoding))
        exit->instruction_length = encoding->length;
    else
        exit->instruction_length = (uint8_t)decoded_length(v, encoding->opcode);
    if (exit->instruction_length)
        return true;
    exit->reason = EXIT_HANDLED;
    return false;
}

bool svm_find_length(struct vcpu *v, struct vmexit *exit, const struct svm_encoding *encoding)
{
    const struct vmcb *vmcb = vmcb_of(v);
    if (svm_has_next_rip) {
        exit->instruction_length = (uint8_t)(vmcb->next_rip - vmcb->rip);
        return true;
    }
    const uint8_t *code = known_code(v, vmcb->rip);
    if (unlikely(!code || !is_plain(code, encoding)))
        return find_length(v, exit, encoding);
    exit->instruction_length = encoding->length;
    return true;
}
