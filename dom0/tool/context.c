/*
 * First CPU context of a domain (context.h). The hypervisor's own records are fetched first: their header
 * says which version it wants back, and what is not set here keeps its value. No state, no locking.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <xen/errno.h>
#include <xen/hvm/save.h>

#include "context.h"
#include "xen.h"

#define CR0_PE         0x1u
#define CR0_ET         0x10u
#define FLAGS_RESERVED 0x2u
#define DR6_RESET      0xffff0ff0u
#define DR7_RESET      0x400u
/* Access bytes as in a VMCS: present, granularity 4 KiB, 32 bit; accessed code or data. */
#define CODE_ACCESS        0xc9bu
#define DATA_ACCESS        0xc93u
#define BUSY_TSS_ACCESS    0x8bu
#define MTRR_WRITE_BACK    6u
#define MTRR_DEFAULT_VALID (1u << 11)

/* One record between the header and the end, as DOMCTL_sethvmcontext takes it. */
struct header_record {
    struct hvm_save_descriptor descriptor;
    HVM_SAVE_TYPE(HEADER) header;
};

struct cpu_context {
    struct header_record header;
    struct hvm_save_descriptor descriptor;
    HVM_SAVE_TYPE(CPU) cpu;
    struct hvm_save_descriptor end;
};

struct mtrr_context {
    struct header_record header;
    struct hvm_save_descriptor descriptor;
    HVM_SAVE_TYPE(MTRR) mtrr;
    struct hvm_save_descriptor end;
};

/* The contents of the first record of a type, NULL when there is none of the expected length. */
static const void *find_record(const uint8_t *records, uint32_t size, uint16_t type, uint32_t length)
{
    struct hvm_save_descriptor d;
    for (uint32_t at = 0; size - at >= sizeof d; at += (uint32_t)sizeof d + d.length) {
        memcpy(&d, records + at, sizeof d);
        if (d.length > size - at - sizeof d)
            return NULL;
        if (d.typecode == type)
            return d.length == length ? records + at + sizeof d : NULL;
    }
    return NULL;
}

static void set_cpu(HVM_SAVE_TYPE(CPU) * cpu, uint32_t entry, uint32_t start_info)
{
    cpu->cs_limit = cpu->ds_limit = cpu->es_limit = cpu->ss_limit = ~0u;
    cpu->tr_limit = 0x67;
    cpu->cs_arbytes = CODE_ACCESS;
    cpu->ds_arbytes = cpu->es_arbytes = cpu->ss_arbytes = DATA_ACCESS;
    cpu->tr_arbytes = BUSY_TSS_ACCESS;
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->rip = entry;
    cpu->rbx = start_info;
    cpu->rflags = FLAGS_RESERVED;
    cpu->dr6 = DR6_RESET;
    cpu->dr7 = DR7_RESET;
}

/* Without firmware nobody else makes memory cacheable. Hypervisors without MTRRs for guests have no such
 * record. */
static long set_mtrrs(domid_t domid, unsigned vcpus, const struct header_record *header, const void *mtrr)
{
    struct mtrr_context context = {
        .header = *header, .descriptor = {.typecode = HVM_SAVE_CODE(MTRR), .length = HVM_SAVE_LENGTH(MTRR)}};
    memcpy(&context.mtrr, mtrr, sizeof context.mtrr);
    context.mtrr.msr_mtrr_def_type = MTRR_WRITE_BACK | MTRR_DEFAULT_VALID;
    long rc = 0;
    for (unsigned i = 0; i < vcpus && rc == 0; i++) {
        context.descriptor.instance = (uint16_t)i;
        rc = set_context(domid, &context, sizeof context);
    }
    return rc;
}

static long set_from_records(domid_t domid, unsigned vcpus, const uint8_t *records, uint32_t size,
                             uint32_t entry, uint32_t start_info)
{
    struct header_record header = {
        .descriptor = {.typecode = HVM_SAVE_CODE(HEADER), .length = HVM_SAVE_LENGTH(HEADER)}};
    const void *found = find_record(records, size, HVM_SAVE_CODE(HEADER), HVM_SAVE_LENGTH(HEADER));
    const void *mtrr = find_record(records, size, HVM_SAVE_CODE(MTRR), HVM_SAVE_LENGTH(MTRR));
    if (!found)
        return -XEN_EINVAL;
    memcpy(&header.header, found, sizeof header.header);
    long rc = mtrr ? set_mtrrs(domid, vcpus, &header, mtrr) : 0;
    if (rc)
        return rc;
    /* The boot CPU comes last: setting a context stops all CPUs of the domain, setting this one starts it. */
    struct cpu_context context = {
        .header = header, .descriptor = {.typecode = HVM_SAVE_CODE(CPU), .length = HVM_SAVE_LENGTH(CPU)}};
    set_cpu(&context.cpu, entry, start_info);
    return set_context(domid, &context, sizeof context);
}

bool set_first_context(domid_t domid, unsigned vcpus, uint32_t entry, uint32_t start_info, struct why *why)
{
    uint32_t size = 0;
    long rc = get_context(domid, NULL, &size);
    uint8_t *records = rc ? NULL : mem_alloc(size);
    if (rc || !records)
        return fail(why, "reading its first CPU state failed: %s", rc ? error_text(rc) : "out of memory");
    rc = get_context(domid, records, &size);
    if (!rc)
        rc = set_from_records(domid, vcpus, records, size, entry, start_info);
    mem_free(records);
    return !rc || fail(why, "setting its first CPU state failed: %s", error_text(rc));
}
