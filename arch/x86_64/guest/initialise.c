/*
 * VCPUOP_initialise: a vCPU that is down gets its registers from a vcpu_hvm_context (xen/hvm/hvm_vcpu.h).
 * Everything is checked before anything is changed: what no CPU could start with is -EINVAL.
 *
 * Locking: LOCK_DOMAIN is held, the vCPU does not run.
 */
#include <hv/arch/vcpu.h>
#include <hv/sched.h>
#include <x86/msr.h>
#include <xen/errno.h>
#include <xen/hvm/hvm_vcpu.h>
#include "exit.h"

/* Access bytes as the context and struct segment have them. */
#define TYPE_ACCESSED 0x01
#define TYPE_WRITABLE 0x02 /* of data; of code: readable; of a TSS: busy */
#define TYPE_CODE     0x08
#define TYPE_TSS_BUSY 0x0b
#define TYPE(access)  ((access)&0xf)
#define DPL(access)   ((access) >> 5 & 3)
#define ACCESS_S      0x010
#define ACCESS_G      0x800
#define ACCESS_UNUSED 0xf000

/* What both forms of the context come down to. */
struct start {
    uint64_t cr0, cr3, cr4, efer, rip, rflags;
    struct segment cs, ss, ds, es, tr;
};

static struct segment segment_of(uint16_t access, uint32_t limit, uint32_t base, uint8_t set_if_present)
{
    if (access & SEGMENT_P)
        access |= set_if_present;
    return (struct segment){.access = access, .limit = limit, .base = base};
}

static bool is_memory_segment(const struct segment *s)
{
    return (s->access & ACCESS_S) && (s->access & SEGMENT_P) && !(s->access & ACCESS_UNUSED);
}

static bool is_data_or_null(const struct segment *s)
{
    unsigned type = TYPE(s->access);
    return !s->access || (is_memory_segment(s) && (!(type & TYPE_CODE) || (type & TYPE_WRITABLE)));
}

static bool segments_valid(const struct start *start)
{
    const struct segment *cs = &start->cs, *ss = &start->ss, *ds = &start->ds, *es = &start->es,
                         *tr = &start->tr;
    bool code = is_memory_segment(cs) && (TYPE(cs->access) & TYPE_CODE);
    bool stack = is_memory_segment(ss) && (TYPE(ss->access) & (TYPE_CODE | TYPE_WRITABLE)) == TYPE_WRITABLE;
    bool task = (tr->access & SEGMENT_P) && !(tr->access & (ACCESS_S | ACCESS_UNUSED)) &&
                TYPE(tr->access) == TYPE_TSS_BUSY;
    if (!code || !stack || !task || !is_data_or_null(ds) || !is_data_or_null(es))
        return false;

    uint64_t limit = cs->access & ACCESS_G ? (uint64_t)cs->limit << 12 | 0xfff : cs->limit;
    return start->rip <= limit && DPL(ss->access) == DPL(cs->access) && DPL(ds->access) <= DPL(cs->access) &&
           DPL(es->access) <= DPL(cs->access);
}

static bool start_32(struct start *start, uint64_t gpr[GPRS], const struct vcpu_hvm_x86_32 *r)
{
    if (r->pad1 || r->pad2[0] || r->pad2[1] || r->pad2[2])
        return false;
    *start = (struct start){
        .cr0 = r->cr0,
        .cr3 = r->cr3,
        .cr4 = r->cr4,
        .efer = r->efer,
        .rip = r->eip,
        .rflags = r->eflags,
        .cs = segment_of(r->cs_ar, r->cs_limit, r->cs_base, TYPE_ACCESSED),
        .ss = segment_of(r->ss_ar, r->ss_limit, r->ss_base, TYPE_ACCESSED),
        .ds = segment_of(r->ds_ar, r->ds_limit, r->ds_base, TYPE_ACCESSED),
        .es = segment_of(r->es_ar, r->es_limit, r->es_base, TYPE_ACCESSED),
        .tr = segment_of(r->tr_ar, r->tr_limit, r->tr_base, TYPE_WRITABLE),
    };
    const uint64_t values[] = {[RAX] = r->eax, [RCX] = r->ecx, [RDX] = r->edx, [RBX] = r->ebx,
                               [RSP] = r->esp, [RBP] = r->ebp, [RSI] = r->esi, [RDI] = r->edi};
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
        gpr[i] = values[i];
    return segments_valid(start) && (!(r->efer & EFER_LMA) || (r->efer & EFER_LME));
}

static bool start_64(struct start *start, uint64_t gpr[GPRS], const struct vcpu_hvm_x86_64 *r)
{
    const struct segment data = {.access = 0xc93, .limit = 0xffffffff};
    *start = (struct start){
        .cr0 = r->cr0,
        .cr3 = r->cr3,
        .cr4 = r->cr4,
        .efer = r->efer,
        .rip = r->rip,
        .rflags = r->rflags,
        .cs = {.access = 0xa9b, .limit = 0xffffffff},
        .ss = data,
        .ds = data,
        .es = data,
        .tr = {.access = 0x8b, .limit = 0x67},
    };
    const uint64_t values[] = {[RAX] = r->rax, [RCX] = r->rcx, [RDX] = r->rdx, [RBX] = r->rbx,
                               [RSP] = r->rsp, [RBP] = r->rbp, [RSI] = r->rsi, [RDI] = r->rdi};
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
        gpr[i] = values[i];
    bool canonical = (int64_t)(r->rip << 16) >> 16 == (int64_t)r->rip;
    return canonical && (r->cr0 & CR0_PG) && (r->cr4 & CR4_PAE) && (r->efer & EFER_LME);
}

static bool registers_valid(struct start *start)
{
    const uint64_t paged = CR0_PG | CR0_PE;
    if (start->cr0 >> 32 || ((start->cr0 & CR0_PG) && (start->cr0 & paged) != paged))
        return false;
    if (start->efer & EFER_LME)
        start->efer |= EFER_LMA;
    return !(start->cr4 & ~guest_cr4_valid()) && !(start->efer & ~(guest_efer_valid() | EFER_LMA));
}

int arch_vcpu_initialise(struct vcpu *v, const struct vcpu_hvm_context *context)
{
    struct arch_vcpu *a = v->arch;
    uint64_t gpr[GPRS] = {0};
    struct start start;
    bool valid = false;

    if (!context->pad && context->mode == VCPU_HVM_MODE_32B)
        valid = start_32(&start, gpr, &context->cpu_regs.x86_32);
    else if (!context->pad && context->mode == VCPU_HVM_MODE_64B)
        valid = start_64(&start, gpr, &context->cpu_regs.x86_64);
    if (!valid || !registers_valid(&start))
        return -XEN_EINVAL;

    vcpu_reset(v);
    for (unsigned i = 0; i < GPRS; i++)
        a->gpr[i] = gpr[i];
    a->rip = start.rip;
    a->rflags = start.rflags | RFLAGS_1;
    vendor->set_register(v, REG_CR0, start.cr0 | CR0_ET);
    vendor->set_register(v, REG_CR3, start.cr3);
    vendor->set_register(v, REG_CR4, start.cr4);
    vendor->set_register(v, REG_EFER, start.efer);
    vendor->set_segment(v, SEG_CS, &start.cs);
    vendor->set_segment(v, SEG_SS, &start.ss);
    vendor->set_segment(v, SEG_DS, &start.ds);
    vendor->set_segment(v, SEG_ES, &start.es);
    vendor->set_segment(v, SEG_TR, &start.tr);
    vcpu_ready(v);
    return 0;
}

void arch_send_nmi(struct vcpu *v)
{
    v->arch->nmi_pending = true;
    vcpu_kick(v);
}
