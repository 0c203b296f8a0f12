/*
 * A domain that answers each event (pong.asm): 2 MiB, one vCPU in 64-bit mode with interrupts off, which
 * finds its code, its page tables and its arguments in pages that we fill through foreign mappings. No state,
 * one caller at a time.
 */
#include <bench.h>
#include <lib/string.h>
#include <pvh/event.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/event_channel.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xen/sched.h>

/* Page numbers in the partner's memory. */
enum { WORK = 16, PML4, PDPT, DIRECTORY, PAGES_END, SHARED_INFO = 0x400 };
#define ARGUMENTS 2048u /* their offset in the page WORK; the code is at its start */

#define CR0_PE       0x1u
#define CR0_ET       0x10u
#define CR0_PG       0x80000000u
#define CR4_PAE      0x20u
#define EFER_LME_LMA 0x500u
#define CODE_ACCESS  0xa9bu /* 64 bit */
#define DATA_ACCESS  0xc93u
#define TSS_ACCESS   0x8bu
#define CONTEXT_MAX  (16 * PAGE_SIZE)

extern const uint8_t pong_start[], pong_end[];

struct arguments {
    struct sched_poll poll;
    struct evtchn_send send;
    evtchn_port_t port;
};

struct context {
    struct hvm_save_descriptor header_descriptor;
    HVM_SAVE_TYPE(HEADER) header;
    struct hvm_save_descriptor cpu_descriptor;
    HVM_SAVE_TYPE(CPU) cpu;
    struct hvm_save_descriptor end;
};

static long map_foreign(domid_t domid, uint8_t *window)
{
    enum { COUNT = PAGES_END - WORK };
    xen_ulong_t sources[COUNT];
    xen_pfn_t targets[COUNT];
    int errors[COUNT] = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        sources[i] = WORK + i;
        targets[i] = ((uint64_t)window >> PAGE_SHIFT) + i;
    }
    struct xen_add_to_physmap_batch batch = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn_foreign, .size = COUNT, .u.foreign_domid = domid};
    set_xen_guest_handle(batch.idxs, sources);
    set_xen_guest_handle(batch.gpfns, targets);
    set_xen_guest_handle(batch.errs, errors);
    long rc = hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, (uint64_t)&batch, 0, 0, 0);
    for (unsigned i = 0; i < COUNT && !rc; i++)
        rc = errors[i];
    return rc;
}

/* window: the pages from WORK on. Its first GiB is mapped one to one. */
static void fill_memory(uint8_t *window, evtchn_port_t port)
{
    uint64_t *entry = (uint64_t *)window;
    const unsigned words = PAGE_SIZE / sizeof *entry;
    memset(window, 0, (PAGES_END - WORK) * PAGE_SIZE);
    entry[(PML4 - WORK) * words] = (uint64_t)PDPT << PAGE_SHIFT | PAGE_ALL;
    entry[(PDPT - WORK) * words] = (uint64_t)DIRECTORY << PAGE_SHIFT | PAGE_ALL;
    for (unsigned i = 0; i < words; i++)
        entry[(DIRECTORY - WORK) * words + i] = (uint64_t)i << 21 | PAGE_ALL | PAGE_LARGE;

    memcpy(window, pong_start, (size_t)(pong_end - pong_start));
    for (uint8_t *code = window; hypercall_is_vmcall() && code < window + (pong_end - pong_start); code++)
        if (!memcmp(code, "\x0f\x01\xd9", 3))
            code[2] = 0xc1;

    struct arguments *arguments = (void *)(window + ARGUMENTS);
    uint64_t there = ((uint64_t)WORK << PAGE_SHIFT) + ARGUMENTS;
    *arguments = (struct arguments){.poll.nr_ports = 1, .send.port = port, .port = port};
    set_xen_guest_handle(arguments->poll.ports, (evtchn_port_t *)(there + offsetof(struct arguments, port)));
}

static void set_cpu(HVM_SAVE_TYPE(CPU) * cpu, evtchn_port_t port)
{
    uint64_t arguments = ((uint64_t)WORK << PAGE_SHIFT) + ARGUMENTS;
    cpu->cs_limit = cpu->ds_limit = cpu->es_limit = cpu->ss_limit = ~0u;
    cpu->tr_limit = 0x67;
    cpu->cs_arbytes = CODE_ACCESS;
    cpu->ds_arbytes = cpu->es_arbytes = cpu->ss_arbytes = DATA_ACCESS;
    cpu->tr_arbytes = TSS_ACCESS;
    cpu->cr0 = CR0_PE | CR0_ET | CR0_PG;
    cpu->cr3 = (uint64_t)PML4 << PAGE_SHIFT;
    cpu->cr4 = CR4_PAE;
    cpu->msr_efer = EFER_LME_LMA;
    cpu->rip = (uint64_t)WORK << PAGE_SHIFT;
    cpu->rflags = 2;
    cpu->dr6 = 0xffff0ff0;
    cpu->dr7 = 0x400;
    cpu->rbx = port;
    cpu->rbp = ((uint64_t)SHARED_INFO << PAGE_SHIFT) + offsetof(struct shared_info, evtchn_pending);
    cpu->r12 = arguments + offsetof(struct arguments, poll);
    cpu->r13 = arguments + offsetof(struct arguments, send);
}

/* The hypervisor wants its own header back, which is the first record. */
static long set_context(domid_t domid, evtchn_port_t port)
{
    static struct xen_domctl op;
    static struct context context;
    uint8_t *records = page_alloc(CONTEXT_MAX / PAGE_SIZE);
    if (!records)
        return -1;
    op.u.hvmcontext.size = CONTEXT_MAX;
    set_xen_guest_handle(op.u.hvmcontext.buffer, records);
    long rc = control(&op, XEN_DOMCTL_gethvmcontext, domid);
    memcpy(&context, records, offsetof(struct context, cpu_descriptor));
    page_free(records, CONTEXT_MAX / PAGE_SIZE);
    if (rc < 0)
        return rc;
    context.cpu_descriptor =
        (struct hvm_save_descriptor){.typecode = HVM_SAVE_CODE(CPU), .length = HVM_SAVE_LENGTH(CPU)};
    set_cpu(&context.cpu, port);
    op.u.hvmcontext.size = sizeof context;
    set_xen_guest_handle(op.u.hvmcontext.buffer, (uint8_t *)&context);
    return control(&op, XEN_DOMCTL_sethvmcontext, domid);
}

static evtchn_port_t port; /* ours */

static long connect(domid_t domid, evtchn_port_t *theirs)
{
    long rc = event_alloc_unbound(domid, 0);
    *theirs = (evtchn_port_t)rc;
    rc = rc < 0 ? rc : event_bind_interdomain(domid, *theirs);
    port = (evtchn_port_t)rc;
    if (rc >= 0) { /* what binding it left pending is no answer */
        event_mask(port);
        event_clear(port);
    }
    return rc;
}

static long set_memory(domid_t domid, evtchn_port_t theirs)
{
    uint8_t *window = (uint8_t *)memory_reserve_space((PAGES_END - WORK) * PAGE_SIZE);
    struct xen_add_to_physmap add = {.domid = domid, .space = XENMAPSPACE_shared_info, .gpfn = SHARED_INFO};
    long rc = window ? map_foreign(domid, window) : -1;
    if (rc < 0)
        return rc;
    fill_memory(window, theirs);
    return hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&add, 0, 0, 0);
}

long partner_start(void)
{
    static struct xen_domctl op;
    evtchn_port_t theirs = 0;
    long created = domain_create(1);
    domid_t domid = (domid_t)created;
    long rc = created < 0 ? created : connect(domid, &theirs);
    rc = rc < 0 ? rc : set_memory(domid, theirs);
    rc = rc < 0 ? rc : set_context(domid, theirs);
    rc = rc < 0 ? rc : control(&op, XEN_DOMCTL_unpausedomain, domid);
    return rc < 0 ? rc : created;
}

void partner_call(void)
{
    struct sched_poll poll = {.nr_ports = 1};
    set_xen_guest_handle(poll.ports, &port);
    event_send(port);
    must(hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uint64_t)&poll, 0, 0, 0));
    must(event_clear(port) ? 0 : -1);
}
