/* The verbs that show the machine and the hypervisor: info, dmesg; in xl's formats. No state but field_shown,
 * no locking. */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/version.h>

#include "overhead.h"
#include "verbs.h"
#include "xen.h"

static bool field_shown; /* since the command began */

/* One field of info. Only those that were asked for are printed; a single one without its name. */
static void field(const char *wanted, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void field(const char *wanted, const char *name, const char *format, ...)
{
    if (wanted && strcmp(wanted, name))
        return;
    field_shown = true;
    if (!wanted)
        print("%-22s : ", name);
    va_list args;
    va_start(args, format);
    vprint(format, args);
    va_end(args);
    print("\n");
}

static long xen_version(unsigned what, void *to)
{
    return hypercall(__HYPERVISOR_xen_version, what, (uintptr_t)to, 0, 0, 0);
}

static void capability_words(const struct xen_sysctl_physinfo *info, char *buf, size_t size)
{
    static const struct {
        uint32_t bit;
        const char *word;
    } words[] = {
        {XEN_SYSCTL_PHYSCAP_pv, "pv"},
        {XEN_SYSCTL_PHYSCAP_hvm, "hvm"},
        {XEN_SYSCTL_PHYSCAP_directio, "hvm_directio"},
        {XEN_SYSCTL_PHYSCAP_hap, "hap"},
        {XEN_SYSCTL_PHYSCAP_shadow, "shadow"},
        {XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share, "iommu_hap_pt_share"},
        {XEN_SYSCTL_PHYSCAP_vmtrace, "vmtrace"},
        {XEN_SYSCTL_PHYSCAP_vpmu, "vpmu"},
        {XEN_SYSCTL_PHYSCAP_gnttab_v1, "gnttab-v1"},
        {XEN_SYSCTL_PHYSCAP_gnttab_v2, "gnttab-v2"},
    };
    size_t n = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (info->capabilities & words[i].bit && n < size)
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? " " : "", words[i].word);
}

static bool show_machine(const char *wanted, struct why *why)
{
    struct xen_sysctl op;
    char words[128];
    memset(&op, 0, sizeof op);
    long rc = sysctl(XEN_SYSCTL_physinfo, &op);
    if (rc)
        return fail(why, "the hypervisor does not describe the machine: %s", error_text(rc));
    const struct xen_sysctl_physinfo *p = &op.u.physinfo;
    const unsigned mib = 20 - PAGE_SHIFT;
    field(wanted, "host", "dom0");
    field(wanted, "release", "built-in");
    field(wanted, "version", "PVH");
    field(wanted, "machine", "x86_64");
    field(wanted, "nr_cpus", "%u", p->nr_cpus);
    field(wanted, "max_cpu_id", "%u", p->max_cpu_id);
    field(wanted, "nr_nodes", "%u", p->nr_nodes);
    field(wanted, "cores_per_socket", "%u", p->cores_per_socket);
    field(wanted, "threads_per_core", "%u", p->threads_per_core);
    field(wanted, "cpu_mhz", "%u.%03u", p->cpu_khz / 1000, p->cpu_khz % 1000);
    field(wanted, "hw_caps", "%08x:%08x:%08x:%08x:%08x:%08x:%08x:%08x", p->hw_cap[0], p->hw_cap[1],
          p->hw_cap[2], p->hw_cap[3], p->hw_cap[4], p->hw_cap[5], p->hw_cap[6], p->hw_cap[7]);
    capability_words(p, words, sizeof words);
    field(wanted, "virt_caps", "%s", words);
    field(wanted, "total_memory", "%llu", (unsigned long long)(p->total_pages >> mib));
    field(wanted, "free_memory", "%llu", (unsigned long long)((p->free_pages - p->outstanding_pages) >> mib));
    field(wanted, "outstanding_claims", "%llu", (unsigned long long)(p->outstanding_pages >> mib));
    return true;
}

static const char *scheduler_name(void)
{
    static const char *const names[] = {"sedf", "credit", "credit2", "arinc653", "rtds", "null"};
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    if (sysctl(XEN_SYSCTL_sched_id, &op))
        return "unknown";
    unsigned id = op.u.sched_id.sched_id - 4; /* XEN_SCHEDULER_SEDF was the first */
    return id < sizeof names / sizeof names[0] ? names[id] : "unknown";
}

/* A text of the hypervisor's, empty when it keeps it to itself. */
static void version_text(const char *wanted, const char *name, unsigned what, char *buf, size_t size)
{
    if (xen_version(what, buf) < 0)
        buf[0] = '\0';
    buf[size - 1] = '\0';
    field(wanted, name, "%s", buf);
}

static void show_build(const char *wanted)
{
    xen_compile_info_t info;
    memset(&info, 0, sizeof info);
    if (xen_version(XENVER_compile_info, &info) < 0)
        memset(&info, 0, sizeof info);
    field(wanted, "cc_compiler", "%.*s", (int)sizeof info.compiler, info.compiler);
    field(wanted, "cc_compile_by", "%.*s", (int)sizeof info.compile_by, info.compile_by);
    field(wanted, "cc_compile_domain", "%.*s", (int)sizeof info.compile_domain, info.compile_domain);
    field(wanted, "cc_compile_date", "%.*s", (int)sizeof info.compile_date, info.compile_date);
}

static bool show_hypervisor(const char *wanted, struct why *why)
{
    union {
        xen_extraversion_t extra;
        xen_capabilities_info_t capabilities;
        xen_changeset_info_t changeset;
        xen_commandline_t command_line;
        xen_platform_parameters_t platform;
        char text[1024];
    } *buf = mem_alloc(sizeof *buf);
    if (!buf)
        return fail(why, "out of memory");
    long version = xen_version(XENVER_version, NULL);
    field(wanted, "xen_major", "%ld", version >> 16);
    field(wanted, "xen_minor", "%ld", version & 0xffff);
    version_text(wanted, "xen_extra", XENVER_extraversion, buf->text, sizeof buf->extra);
    field(wanted, "xen_version", "%ld.%ld%s", version >> 16, version & 0xffff, buf->text);
    version_text(wanted, "xen_caps", XENVER_capabilities, buf->text, sizeof buf->capabilities);
    field(wanted, "xen_scheduler", "%s", scheduler_name());
    field(wanted, "xen_pagesize", "%ld", xen_version(XENVER_pagesize, NULL));
    if (xen_version(XENVER_platform_parameters, &buf->platform) >= 0)
        field(wanted, "platform_params", "virt_start=0x%lx", buf->platform.virt_start);
    version_text(wanted, "xen_changeset", XENVER_changeset, buf->text, sizeof buf->changeset);
    version_text(wanted, "xen_commandline", XENVER_commandline, buf->text, sizeof buf->command_line);
    show_build(wanted);
    mem_free(buf);
    return true;
}

/* What domains cost, beside what is theirs. */
static bool show_overhead(const char *wanted, struct why *why)
{
    struct overhead o;
    const unsigned kib = PAGE_SHIFT - 10;
    if (!overhead_read(&o))
        return fail(why, "the hypervisor does not describe the machine");
    unsigned long long each = o.domains ? (o.overhead_pages << PAGE_SHIFT) / o.domains : 0;
    field(wanted, "domains", "%u", o.domains);
    field(wanted, "domain_memory", "%llu KiB", (unsigned long long)(o.domain_pages << kib));
    field(wanted, "hypervisor_memory", "%llu KiB", (unsigned long long)(o.used_pages << kib));
    field(wanted, "domain_overhead", "%llu bytes for each, %llu KiB for all", each,
          (unsigned long long)(o.overhead_pages << kib));
    field(wanted, "grant_tables", "%llu KiB of these", (unsigned long long)(o.grant_pages << kib));
    return true;
}

int verb_info(int argc, char **argv)
{
    bool verbose = false;
    const struct option options[] = {
        {'v', "verbose", &verbose, "also what the hypervisor spends on domains"}};
    int status, operands = take_options(argc, argv, options, 1, 0, 1, &status);
    struct why why;
    if (operands < 0)
        return status;
    const char *wanted = operands ? argv[1] : NULL;
    field_shown = false;
    if (!show_machine(wanted, &why) || !show_hypervisor(wanted, &why) ||
        (verbose && !show_overhead(wanted, &why)))
        return verb_failed("info", &why);
    if (field_shown)
        return DONE;
    print("info: %s: there is no such field: info alone shows all\n", wanted);
    return FAILED;
}

#define DMESG_CHUNK 4096

int verb_dmesg(int argc, char **argv)
{
    bool clear = false;
    const struct option options[] = {{'c', "clear", &clear, "forget them after showing them"}};
    int status, operands = take_options(argc, argv, options, 1, 0, 0, &status);
    if (operands < 0)
        return status;
    char *buf = mem_alloc(DMESG_CHUNK);
    struct xen_sysctl op;
    memset(&op, 0, sizeof op);
    long rc = 0;
    do {
        op.u.readconsole.clear = clear;
        op.u.readconsole.incremental = 1;
        op.u.readconsole.count = buf ? DMESG_CHUNK : 0;
        set_xen_guest_handle(op.u.readconsole.buffer, buf);
        rc = sysctl(XEN_SYSCTL_readconsole, &op);
        if (!rc)
            print_text(buf, op.u.readconsole.count);
    } while (!rc && op.u.readconsole.count && !interrupted());
    mem_free(buf);
    if (!rc)
        return DONE;
    print("dmesg: %s\n", error_text(rc));
    return FAILED;
}
