/*
 * A domain's processors as a byte stream, for toolstacks that build, look at, save and restore it
 * (xen/hvm/save.h, xen/arch-x86/hvm/save.h).
 *
 * A stream is a header, records in order of their type, and an end. Setting makes two passes over the buffer:
 * the first checks every record, the second, which cannot fail, loads them. What a record means is in the
 * table; the CPU's own is long enough for a file of its own (hvm_context_cpu.c).
 *
 * Interface: hv/arch/vcpu.h. Locking: the domain is stopped and stays so.
 */
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/hypercall.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/features.h>
#include <xen/hvm/save.h>
#include "exit.h"
#include "fpu.h"
#include "hvm_context.h"
#include "vlapic.h"

/* --- memory types, TSC, MSRs ---------------------------------------------------------------------------- */

static size_t mtrr_save(struct vcpu *v, void *to)
{
    const struct arch_vcpu *a = v->arch;
    struct hvm_hw_mtrr *r = to;
    uint64_t cap;
    msr_read(v, MSR_MTRR_CAP, &cap);
    r->msr_pat_cr = a->pat;
    r->msr_mtrr_cap = cap;
    r->msr_mtrr_def_type = a->mtrr_def_type;
    memcpy(r->msr_mtrr_var, a->mtrr_variable, sizeof(r->msr_mtrr_var));
    memcpy(r->msr_mtrr_fixed, a->mtrr_fixed, sizeof(r->msr_mtrr_fixed));
    return sizeof(*r);
}

static bool mtrr_check(const struct vcpu *v, const void *from, size_t size)
{
    const struct hvm_hw_mtrr *r = from;
    (void)v;
    (void)size;
    bool valid =
        mtrr_valid(MSR_MTRR_DEF_TYPE, r->msr_mtrr_def_type) && (!r->msr_pat_cr || pat_valid(r->msr_pat_cr));
    for (unsigned i = 0; i < ARRAY_SIZE(r->msr_mtrr_var); i++)
        valid = valid && mtrr_valid(MSR_MTRR_PHYSBASE(0) + i, r->msr_mtrr_var[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(r->msr_mtrr_fixed); i++)
        valid = valid && mtrr_valid(MSR_MTRR_FIX64K, r->msr_mtrr_fixed[i]);
    return valid;
}

/* Builders leave PAT zero, which no CPU has: the value after power-on stays. */
static void mtrr_load(struct vcpu *v, const void *from, size_t size)
{
    struct arch_vcpu *a = v->arch;
    const struct hvm_hw_mtrr *r = from;
    (void)size;
    if (r->msr_pat_cr) {
        a->pat = r->msr_pat_cr;
        vendor->set_register(v, REG_PAT, a->pat);
    }
    a->mtrr_def_type = r->msr_mtrr_def_type;
    memcpy(a->mtrr_variable, r->msr_mtrr_var, sizeof(r->msr_mtrr_var));
    memcpy(a->mtrr_fixed, r->msr_mtrr_fixed, sizeof(r->msr_mtrr_fixed));
}

static size_t tsc_adjust_save(struct vcpu *v, void *to)
{
    ((struct hvm_tsc_adjust *)to)->tsc_adjust = v->arch->tsc_adjust;
    return sizeof(struct hvm_tsc_adjust);
}

static void tsc_adjust_load(struct vcpu *v, const void *from, size_t size)
{
    (void)size;
    v->arch->tsc_adjust = ((const struct hvm_tsc_adjust *)from)->tsc_adjust;
}

/* The only MSR that no other record holds. */
#define MSR_RECORD_SIZE (offsetof(struct hvm_msr, msr) + sizeof(struct hvm_one_msr))

static size_t msr_save(struct vcpu *v, void *to)
{
    struct hvm_msr *r = to;
    if (!cpu_features.spec_ctrl || !v->arch->spec_ctrl)
        return 0;
    r->count = 1;
    r->msr[0] = (struct hvm_one_msr){.index = MSR_SPEC_CTRL, .val = v->arch->spec_ctrl};
    return MSR_RECORD_SIZE;
}

static bool msr_check(const struct vcpu *v, const void *from, size_t size)
{
    const struct hvm_msr *r = from;
    (void)v;
    (void)size;
    return r->count == 1 && r->msr[0].index == MSR_SPEC_CTRL && !r->msr[0]._rsvd &&
           spec_ctrl_valid(r->msr[0].val);
}

static void msr_load(struct vcpu *v, const void *from, size_t size)
{
    (void)size;
    v->arch->spec_ctrl = ((const struct hvm_msr *)from)->msr[0].val;
}

/* --- local APIC ----------------------------------------------------------------------------------------- */

static size_t lapic_save(struct vcpu *v, void *to)
{
    vlapic_save(v, to, NULL);
    return sizeof(struct hvm_hw_lapic);
}

static bool lapic_check(const struct vcpu *v, const void *from, size_t size)
{
    (void)v;
    (void)size;
    return !vlapic_check(from);
}

static void lapic_load(struct vcpu *v, const void *from, size_t size)
{
    (void)size;
    vlapic_load(v, from);
}

static size_t lapic_regs_save(struct vcpu *v, void *to)
{
    vlapic_save(v, NULL, to);
    return sizeof(struct hvm_hw_lapic_regs);
}

static void lapic_regs_load(struct vcpu *v, const void *from, size_t size)
{
    (void)size;
    vlapic_load_regs(v, from);
}

/* --- the stream ----------------------------------------------------------------------------------------- */

/* In order of type. Sizes without the descriptor; save returns 0 for "no such record". No check: anything
 * will do. */
static const struct record_type {
    uint16_t code;
    bool variable; /* least may be exceeded up to what record_limit() says */
    uint32_t least;
    size_t (*save)(struct vcpu *v, void *to);
    bool (*check)(const struct vcpu *v, const void *from, size_t size);
    void (*load)(struct vcpu *v, const void *from, size_t size);
} record_types[] = {
    {HVM_SAVE_CODE(CPU), false, HVM_SAVE_LENGTH(CPU), context_cpu_save, context_cpu_check, context_cpu_load},
    {HVM_SAVE_CODE(LAPIC), false, HVM_SAVE_LENGTH(LAPIC), lapic_save, lapic_check, lapic_load},
    {HVM_SAVE_CODE(LAPIC_REGS), false, HVM_SAVE_LENGTH(LAPIC_REGS), lapic_regs_save, NULL, lapic_regs_load},
    {HVM_SAVE_CODE(MTRR), false, HVM_SAVE_LENGTH(MTRR), mtrr_save, mtrr_check, mtrr_load},
    {CPU_XSAVE_CODE, true, sizeof(struct hvm_hw_cpu_xsave), context_xsave_save, context_xsave_check,
     context_xsave_load},
    {HVM_SAVE_CODE(TSC_ADJUST), false, HVM_SAVE_LENGTH(TSC_ADJUST), tsc_adjust_save, NULL, tsc_adjust_load},
    {CPU_MSR_CODE, false, MSR_RECORD_SIZE, msr_save, msr_check, msr_load},
};

static uint32_t record_limit(const struct record_type *type)
{
    return type->variable ? MAX(type->least, context_xsave_size()) : type->least;
}

static const struct record_type *find_type(uint16_t code)
{
    for (unsigned i = 0; i < ARRAY_SIZE(record_types); i++) {
        if (record_types[i].code == code)
            return &record_types[i];
    }
    return NULL;
}

static size_t put_record(char *to, uint16_t code, uint16_t instance, size_t length)
{
    const struct hvm_save_descriptor descriptor = {
        .typecode = code, .instance = instance, .length = (uint32_t)length};
    memcpy(to, &descriptor, sizeof(descriptor));
    return sizeof(descriptor) + length;
}

static size_t context_limit(const struct domain *d)
{
    const size_t descriptor = sizeof(struct hvm_save_descriptor);
    size_t each = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(record_types); i++)
        each += descriptor + record_limit(&record_types[i]);
    return descriptor + HVM_SAVE_LENGTH(HEADER) + d->max_vcpus * each + descriptor;
}

int64_t arch_get_hvm_context(struct domain *d, void *buf, size_t size)
{
    const size_t descriptor = sizeof(struct hvm_save_descriptor);
    if (!buf)
        return (int64_t)context_limit(d);
    if (size < context_limit(d))
        return -XEN_ENOSPC;

    char *at = buf;
    memset(buf, 0, context_limit(d));
    struct hvm_save_header *header = (void *)(at + descriptor);
    *header = (struct hvm_save_header){.magic = HVM_FILE_MAGIC,
                                       .version = HVM_FILE_VERSION,
                                       .changeset = ~0ull,
                                       .cpuid = cpuid(1, 0).eax,
                                       .gtsc_khz = tsc_khz};
    at += put_record(at, HVM_SAVE_CODE(HEADER), 0, sizeof(*header));
    for (unsigned i = 0; i < ARRAY_SIZE(record_types); i++) {
        for (uint32_t id = 0; id < d->max_vcpus; id++) {
            struct vcpu *v = domain_vcpu(d, id);
            size_t length = v ? record_types[i].save(v, at + descriptor) : 0;
            if (length)
                at += put_record(at, record_types[i].code, (uint16_t)id, length);
        }
    }
    at += put_record(at, HVM_SAVE_CODE(END), 0, 0);
    return at - (char *)buf;
}

/* The next record, NULL at the end of the buffer or when it does not fit. All known lengths are multiples
 * of 8. */
static const char *next_record(const char *at, const char *end, struct hvm_save_descriptor *descriptor)
{
    if ((size_t)(end - at) < sizeof(*descriptor))
        return NULL;
    memcpy(descriptor, at, sizeof(*descriptor));
    at += sizeof(*descriptor);
    return (size_t)(end - at) < descriptor->length ? NULL : at;
}

static bool check_record(const struct domain *d, const struct hvm_save_descriptor *descriptor,
                         const void *body)
{
    const struct record_type *type = find_type(descriptor->typecode);
    const struct vcpu *v = domain_vcpu(d, descriptor->instance);
    if (!type || !v || descriptor->length < type->least || descriptor->length > record_limit(type))
        return false;
    return !type->check || type->check(v, body, descriptor->length);
}

static bool check_header(const struct hvm_save_descriptor *descriptor, const void *body)
{
    struct hvm_save_header header;
    if (descriptor->typecode != HVM_SAVE_CODE(HEADER) || descriptor->length != sizeof(header))
        return false;
    memcpy(&header, body, sizeof(header));
    return header.magic == HVM_FILE_MAGIC && header.version == HVM_FILE_VERSION;
}

int64_t arch_set_hvm_context(struct domain *d, const void *buf, size_t size)
{
    const char *end = (const char *)buf + size;
    struct hvm_save_descriptor descriptor;

    const char *first = next_record(buf, end, &descriptor);
    if (!first || !check_header(&descriptor, first))
        return -XEN_EINVAL;
    first += descriptor.length;

    const char *at = first;
    for (;;) {
        at = next_record(at, end, &descriptor);
        if (!at)
            return -XEN_EINVAL;
        if (descriptor.typecode == HVM_SAVE_CODE(END))
            break;
        if (!check_record(d, &descriptor, at))
            return -XEN_EINVAL;
        at += descriptor.length;
    }
    for (at = first;; at += descriptor.length) {
        at = next_record(at, end, &descriptor);
        if (descriptor.typecode == HVM_SAVE_CODE(END))
            return 0;
        find_type(descriptor.typecode)->load(domain_vcpu(d, descriptor.instance), at, descriptor.length);
    }
}
