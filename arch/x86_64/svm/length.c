/*
 * The length of the instruction that exited, on processors that do not store where the next one begins (APM
 * vol. 2, 15.7.1).
 *
 * The exit code says which instruction it was, so its plain form is recognized by comparing two or three
 * bytes; only one with prefixes is decoded. The bytes are read where RIP leads in the guest's page tables;
 * the way to the last page of code is remembered (guest/known_page.h).
 *
 * Interface: svm_find_length(). Locking: none; inside the section (hv/arch/p2m.h) in which the guest ran.
 */
#include "svm.h"
#include "../guest/decode.h"
#include "../guest/guest_access.h"
#include "../guest/known_page.h"
#include <x86/msr.h>
#include <x86/paging.h>

/* NULL: not in 64-bit mode with four levels, or a table or the page is no RAM; the general way has to do. */
static const uint8_t *walk_to_code(struct vcpu *v, uint64_t rip)
{
    const struct vmcb *vmcb = vmcb_of(v);
    if (!svm_code64(vmcb) || vmcb->cr4 & CR4_LA57 || !known_page_learn(v, &v->arch->svm.code, vmcb->cr3, rip))
        return NULL;
    return (const uint8_t *)v->arch->svm.code.data + (rip & ~PAGE_MASK);
}

/* Where RIP is in the remembered page, if the way there is still the same and four bytes can be read;
 * otherwise NULL. */
static inline const uint8_t *known_code(struct vcpu *v, uint64_t rip)
{
    const struct vmcb *vmcb = vmcb_of(v);
    if ((rip & ~PAGE_MASK) > PAGE_SIZE - sizeof(uint32_t) || !svm_code64(vmcb))
        return NULL;
    return (const uint8_t *)known_page_at(v, &v->arch->svm.code, vmcb->cr3, rip);
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

static __attribute__((noinline)) bool find_length(struct vcpu *v, struct vmexit *exit,
                                                  const struct svm_encoding *encoding)
{
    uint64_t rip = v->arch->rip;
    const uint8_t *code = known_page_renew(v, &v->arch->svm.code) ? known_code(v, rip) : NULL;
    if (!code)
        code = walk_to_code(v, rip);
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
