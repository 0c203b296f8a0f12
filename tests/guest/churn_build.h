/*
 * How churn.c makes a domain that runs crowd.c, whose file came with dom0's kernel. Any step may fail: the
 * memory may be used up, and other vCPUs are at the same domain all the time, or have destroyed it and made
 * another of that id.
 */
#ifndef TESTS_GUEST_CHURN_BUILD_H
#define TESTS_GUEST_CHURN_BUILD_H

#include <lib/elf.h>
#include <lib/printf.h>
#include <xen/domctl.h>
#include <xen/hvm/save.h>
#include <xen/sysctl.h>
#include "crowd.h"

#define WINDOW_PAGES 96u  /* of each vCPU, to see others' pages in */
#define HEAP_PAGES   64u  /* that the crowd's kernel allocates from */
#define MAX_PAGES    4096 /* more than a domain of the crowd ever has */
#define BUFFER_PAGES 16u

/* What each vCPU has for itself. */
struct worker {
    uint64_t random;
    uint64_t window; /* guest-physical */
    uint8_t *buffer; /* BUFFER_PAGES */
    struct xen_domctl domctl;
    struct xen_sysctl sysctl;
    xen_pfn_t frames[WINDOW_PAGES], targets[WINDOW_PAGES];
    xen_ulong_t indexes[WINDOW_PAGES];
    int errors[WINDOW_PAGES];
    uint64_t done; /* operations */
};

static struct elf_image crowd_image;

static unsigned chance(struct worker *w, unsigned below)
{
    return (unsigned)(random_next(&w->random) >> 11) % below;
}

/* What an operation may say while others interfere. Anything else is a mistake of the hypervisor's. */
static long sane(long result, const char *what)
{
    static const int usual[] = {XEN_EPERM, XEN_ENOENT, XEN_ESRCH,   XEN_EIO,       XEN_ENOMEM,    XEN_EACCES,
                                XEN_EBUSY, XEN_EEXIST, XEN_EINVAL,  XEN_ENOSPC,    XEN_EOVERFLOW, XEN_ENODATA,
                                XEN_ENXIO, XEN_EAGAIN, XEN_ENOBUFS, XEN_EOPNOTSUPP};
    for (unsigned i = 0; result < 0 && i <= ARRAY_SIZE(usual); i++) {
        if (i == ARRAY_SIZE(usual))
            check_value(result, 0, what, __LINE__);
        else if (result == -usual[i])
            break;
    }
    return result;
}

static long control(struct worker *w, unsigned command, domid_t domid)
{
    char what[16];
    w->domctl.cmd = command;
    w->domctl.domain = domid;
    w->domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    snprintf(what, sizeof(what), "domctl %u", command);
    return sane(CONTROL(domctl, &w->domctl), what);
}

static long plain_control(struct worker *w, unsigned command, domid_t domid)
{
    memset(&w->domctl, 0, sizeof(w->domctl));
    return control(w, command, domid);
}

/* --- memory --------------------------------------------------------------------------------------------- */

static long reservation(unsigned command, domid_t domid, xen_pfn_t *frames, unsigned count, unsigned order)
{
    struct xen_memory_reservation r = {.nr_extents = count, .extent_order = order, .domid = domid};
    set_xen_guest_handle(r.extent_start, frames);
    return sane(OP(memory_op, command, &r), "memory_op");
}

static void unmap_foreign(struct worker *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = (w->window >> PAGE_SHIFT) + i};
        OP(memory_op, XENMEM_remove_from_physmap, &remove);
    }
}

/* count of the domain's pages from gfn on, in the worker's window; NULL: not all are there. */
static void *map_foreign(struct worker *w, domid_t domid, xen_pfn_t gfn, unsigned count)
{
    bool all = true;
    for (unsigned i = 0; i < count; i++) {
        w->indexes[i] = gfn + i;
        w->targets[i] = (w->window >> PAGE_SHIFT) + i;
        w->errors[i] = -1;
    }
    struct xen_add_to_physmap_batch batch = {.domid = DOMID_SELF,
                                             .space = XENMAPSPACE_gmfn_foreign,
                                             .size = (uint16_t)count,
                                             .u.foreign_domid = domid};
    set_xen_guest_handle(batch.idxs, w->indexes);
    set_xen_guest_handle(batch.gpfns, w->targets);
    set_xen_guest_handle(batch.errs, w->errors);
    sane(OP(memory_op, XENMEM_add_to_physmap_batch, &batch), "add_to_physmap_batch");
    for (unsigned i = 0; i < count; i++)
        all &= w->errors[i] == 0;
    if (!all)
        unmap_foreign(w, count);
    return all ? (void *)w->window : NULL;
}

static bool populate(struct worker *w, domid_t domid, xen_pfn_t first, unsigned count)
{
    for (unsigned done = 0, n; done < count; done += n) {
        n = count - done < WINDOW_PAGES ? count - done : WINDOW_PAGES;
        for (unsigned i = 0; i < n; i++)
            w->frames[i] = first + done + i;
        if (reservation(XENMEM_populate_physmap, domid, w->frames, n, 0) != (long)n)
            return false;
    }
    return true;
}

/* Its file's segments; what is no part of the file is 0 already. */
static bool copy_image(struct worker *w, domid_t domid)
{
    for (unsigned s = 0; s < crowd_image.segment_count; s++) {
        const struct elf_segment *segment = &crowd_image.segments[s];
        for (uint64_t done = 0, n; done < segment->file_size; done += n) {
            uint64_t address = segment->address + done, offset = address % PAGE_SIZE;
            n = segment->file_size - done;
            if (n > WINDOW_PAGES * PAGE_SIZE - offset)
                n = WINDOW_PAGES * PAGE_SIZE - offset;
            unsigned pages = (unsigned)((offset + n + PAGE_SIZE - 1) >> PAGE_SHIFT);
            uint8_t *to = map_foreign(w, domid, address >> PAGE_SHIFT, pages);
            if (!to)
                return false;
            memcpy(to + offset, segment->data + done, n);
            unmap_foreign(w, pages);
        }
    }
    return true;
}

struct crowd_info {
    struct hvm_start_info start;
    struct hvm_memmap_table_entry map[2];
    char words[128];
};

static bool write_info(struct worker *w, domid_t domid, uint64_t end, const char *words)
{
    struct crowd_info *info = map_foreign(w, domid, INFO_GFN, 1);
    uint64_t address = (uint64_t)INFO_GFN << PAGE_SHIFT;
    if (!info)
        return false;
    *info = (struct crowd_info){
        .start = {.magic = XEN_HVM_START_MAGIC_VALUE,
                  .version = 1,
                  .cmdline_paddr = address + offsetof(struct crowd_info, words),
                  .memmap_paddr = address + offsetof(struct crowd_info, map),
                  .memmap_entries = 2},
        .map = {{.addr = address, .size = 2 * PAGE_SIZE, .type = XEN_HVM_MEMMAP_TYPE_RAM},
                {.addr = crowd_image.start,
                 .size = end - crowd_image.start,
                 .type = XEN_HVM_MEMMAP_TYPE_RAM}},
    };
    snprintf(info->words, sizeof(info->words), "%s", words);
    unmap_foreign(w, 1);
    return true;
}

/* --- the first vCPU's state ----------------------------------------------------------------------------- */

struct first_context {
    struct hvm_save_descriptor header_head;
    HVM_SAVE_TYPE(HEADER) header;
    struct hvm_save_descriptor cpu_head;
    HVM_SAVE_TYPE(CPU) cpu;
    struct hvm_save_descriptor end;
};

static bool set_context(struct worker *w, domid_t domid)
{
    struct first_context *c = (struct first_context *)w->buffer;
    memset(c, 0, sizeof(*c));
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.hvmcontext_partial.type = HVM_SAVE_CODE(HEADER);
    w->domctl.u.hvmcontext_partial.bufsz = sizeof(c->header);
    set_xen_guest_handle(w->domctl.u.hvmcontext_partial.buffer, (uint8_t *)&c->header);
    if (control(w, XEN_DOMCTL_gethvmcontext_partial, domid))
        return false;
    c->header_head.typecode = HVM_SAVE_CODE(HEADER);
    c->header_head.length = HVM_SAVE_LENGTH(HEADER);
    c->cpu_head.typecode = HVM_SAVE_CODE(CPU);
    c->cpu_head.length = HVM_SAVE_LENGTH(CPU);
    /* As the PVH entry wants it: flat 32-bit segments, no paging, the start info in EBX. */
    c->cpu.cs_limit = c->cpu.ds_limit = c->cpu.es_limit = c->cpu.ss_limit = ~0u;
    c->cpu.cs_arbytes = 0xc9b;
    c->cpu.ds_arbytes = c->cpu.es_arbytes = c->cpu.ss_arbytes = 0xc93;
    c->cpu.tr_limit = 0x67;
    c->cpu.tr_arbytes = 0x8b;
    c->cpu.cr0 = 0x11;
    c->cpu.rip = crowd_image.entry;
    c->cpu.rbx = (uint64_t)INFO_GFN << PAGE_SHIFT;
    c->cpu.rflags = 2;
    c->cpu.dr6 = 0xffff0ff0;
    c->cpu.dr7 = 0x400;
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.hvmcontext.size = sizeof(*c);
    set_xen_guest_handle(w->domctl.u.hvmcontext.buffer, (uint8_t *)c);
    return control(w, XEN_DOMCTL_sethvmcontext, domid) == 0;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static bool create_domain(struct worker *w, domid_t domid, unsigned vcpus)
{
    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.createdomain = (struct xen_domctl_createdomain){
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = vcpus,
        .max_evtchn_port = 1023,
        .max_grant_frames = 4,
        .max_maptrack_frames = 4,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };
    return control(w, XEN_DOMCTL_createdomain, domid) == 0;
}

/* From the created domain to one that can be unpaused. */
static bool furnish_domain(struct worker *w, domid_t domid, unsigned vcpus, const char *words)
{
    uint64_t first = crowd_image.start >> PAGE_SHIFT;
    unsigned pages =
        (unsigned)((crowd_image.end + PAGE_SIZE - 1) >> PAGE_SHIFT) - (unsigned)first + HEAP_PAGES;

    memset(&w->domctl, 0, sizeof(w->domctl));
    w->domctl.u.max_mem.max_memkb = MAX_PAGES * 4;
    if (control(w, XEN_DOMCTL_max_mem, domid))
        return false;
    w->domctl.u.max_vcpus.max = vcpus;
    return !control(w, XEN_DOMCTL_max_vcpus, domid) && populate(w, domid, INFO_GFN, 2) &&
           populate(w, domid, first, pages) && populate(w, domid, FIXED_GFN, FIXED_PAGES) &&
           populate(w, domid, LOOSE_GFN, LOOSE_PAGES) && copy_image(w, domid) &&
           write_info(w, domid, (first + pages) << PAGE_SHIFT, words) && set_context(w, domid);
}

static void destroy_domain(struct worker *w, domid_t domid)
{
    while (plain_control(w, XEN_DOMCTL_destroydomain, domid) == -XEN_EAGAIN)
        ;
}

#endif
