/* The verbs that show domains: list, domid, domname, vcpu-list, uptime; in xl's formats. No state, no
 * locking. */
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "cpus.h"
#include "domain.h"
#include "format.h"
#include "nodes.h"
#include "verbs.h"
#include "xen.h"

#define SECOND 1000000000ull

/* Calls each() for the domains that the operands name, or for all. The first status that is not DONE is
 * returned. */
static int for_domains(const char *verb, char **operands, int count,
                       void (*each)(const struct xen_domctl_getdomaininfo *info))
{
    struct domain_list list;
    const struct xen_domctl_getdomaininfo *next;
    struct xen_domctl_getdomaininfo info;
    int status = DONE;
    domain_list_start(&list, 0);
    while (!count && (next = domain_list_next(&list)))
        each(next);
    for (int i = 0; i < count; i++) {
        domid_t domid;
        if (domain_operand(verb, operands[i], &domid) && domain_info(domid, &info))
            each(&info);
        else
            status = FAILED;
    }
    return status;
}

/* Seconds with one decimal, right-aligned in width columns. */
static void print_seconds(uint64_t ns, int width)
{
    print("%*llu.%u", width - 2, (unsigned long long)(ns / SECOND), (unsigned)(ns % SECOND / (SECOND / 10)));
}

static void list_line(const struct xen_domctl_getdomaininfo *info)
{
    char name[NAME_MAX], state[STATE_TEXT];
    print("%-40s %5u %5llu %5u     %s  ", domain_name(info->domain, name), info->domain,
          (unsigned long long)((info->tot_pages + info->outstanding_pages) >> (20 - PAGE_SHIFT)),
          info->nr_online_vcpus, format_state(state, info->flags));
    print_seconds(info->cpu_time, 8);
}

static void list_brief(const struct xen_domctl_getdomaininfo *info)
{
    list_line(info);
    print("\n");
}

static void list_verbose(const struct xen_domctl_getdomaininfo *info)
{
    char uuid[UUID_TEXT];
    list_line(info);
    print(" %s", format_uuid(uuid, info->handle));
    if (info->flags & XEN_DOMINF_shutdown)
        print(" %8x", info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask);
    else
        print(" %8s", "-");
    print(" %16s\n", "-");
}

/* --- list -l: JSON, with the names and the nesting that libxl gives a configuration --------------------- */

#define CONFIG_INDENT 12
#define INFO_INDENT   16
#define ITEM_INDENT   20

static void json_string(int indent, const char *key, const char *text, const char *end)
{
    print("%*s\"%s\": \"", indent, "", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            print("\\%c", *text);
        else if (*text < ' ')
            print("\\u%04x", *text);
        else
            print("%c", *text);
    }
    print("\"%s\n", end);
}

static void json_number(const char *key, uint64_t number, const char *end)
{
    print("%*s\"%s\": %llu%s\n", INFO_INDENT, "", key, (unsigned long long)number, end);
}

static void json_action(const struct guest_config *config, const char *key, unsigned code, const char *end)
{
    json_string(CONFIG_INDENT, key, action_name(config->on[code]), end);
}

static void json_disks(const struct guest_config *config)
{
    print("%*s\"disks\": [", CONFIG_INDENT, "");
    for (const struct disk_config *disk = config->disks; disk; disk = disk->next) {
        print("%s\n%*s{\n", disk == config->disks ? "" : ",", INFO_INDENT, "");
        json_string(ITEM_INDENT, "pdev_path", disk->target, ",");
        json_string(ITEM_INDENT, "vdev", disk->vdev, ",");
        print("%*s\"format\": \"raw\",\n%*s\"readwrite\": %u\n%*s}", ITEM_INDENT, "", ITEM_INDENT, "",
              disk->writable, INFO_INDENT, "");
    }
    print("\n%*s],\n", CONFIG_INDENT, "");
}

static void json_vifs(const struct guest_config *config)
{
    char mac[MAC_TEXT];
    print("%*s\"nics\": [", CONFIG_INDENT, "");
    for (const struct vif_config *vif = config->vifs; vif; vif = vif->next) {
        print("%s\n%*s{\n%*s\"devid\": %u,\n", vif == config->vifs ? "" : ",", INFO_INDENT, "", ITEM_INDENT,
              "", vif->devid);
        json_string(ITEM_INDENT, "mac", mac_format(mac, vif->mac), ",");
        json_string(ITEM_INDENT, "bridge", vif->bridge, "");
        print("%*s}", INFO_INDENT, "");
    }
    print("\n%*s],\n", CONFIG_INDENT, "");
}

/* What of the configuration only a domain that was made here has. */
static void list_config(const struct guest_config *config)
{
    json_number("max_vcpus", config->max_vcpus, ",");
    json_number("avail_vcpus", config->vcpus, ",");
    json_number("max_memkb", config->max_memory >> 10, ",");
    json_number("target_memkb", config->memory >> 10, ",");
    json_string(INFO_INDENT, "kernel", config->kernel, ",");
    if (config->ramdisk)
        json_string(INFO_INDENT, "ramdisk", config->ramdisk, ",");
    json_string(INFO_INDENT, "cmdline", config->command_line, "");
    print("            },\n");
    json_disks(config);
    json_vifs(config);
    json_action(config, "on_poweroff", SHUTDOWN_poweroff, ",");
    json_action(config, "on_reboot", SHUTDOWN_reboot, ",");
    json_action(config, "on_watchdog", SHUTDOWN_watchdog, ",");
    json_action(config, "on_crash", SHUTDOWN_crash, ",");
    json_action(config, "on_soft_reset", SHUTDOWN_soft_reset, "");
}

static void list_long(const struct xen_domctl_getdomaininfo *info)
{
    const struct guest_config *config = domain_config(info->domain);
    char name[NAME_MAX], uuid[UUID_TEXT];
    print("    {\n        \"domid\": %u,\n        \"config\": {\n", info->domain);
    print("            \"c_info\": {\n");
    json_string(INFO_INDENT, "type", "pvh", ",");
    json_string(INFO_INDENT, "name", domain_name(info->domain, name), ",");
    json_string(INFO_INDENT, "uuid", format_uuid(uuid, info->handle), "");
    print("            },\n            \"b_info\": {\n");
    if (config) {
        list_config(config);
    } else {
        json_number("max_vcpus", info->max_vcpu_id + 1u, ",");
        json_number("avail_vcpus", info->nr_online_vcpus, ",");
        json_number("max_memkb", info->max_pages << (PAGE_SHIFT - 10), "");
        print("            }\n");
    }
    print("        }\n    }");
}

static void list_long_next(const struct xen_domctl_getdomaininfo *info)
{
    if (info->domain != 0)
        print(",\n");
    list_long(info);
}

int verb_list(int argc, char **argv)
{
    bool details = false, verbose = false;
    const struct option options[] = {
        {'l', "long", &details, "all details, as JSON"},
        {'v', "verbose", &verbose, "with UUIDs and the reason of an end"},
    };
    int status, operands = take_options(argc, argv, options, 2, 0, 1, &status);
    if (operands < 0)
        return status;
    if (details) {
        print("[\n");
        status = for_domains("list", argv + 1, operands, operands ? list_long : list_long_next);
        print("\n]\n");
        return status;
    }
    domid_t domid;
    if (operands && !domain_operand("list", argv[1], &domid))
        return FAILED;
    print("Name                                        ID   Mem VCPUs\tState\tTime(s)%s\n",
          verbose ? "   UUID                            Reason-Code\tSecurity Label" : "");
    return for_domains("list", argv + 1, operands, verbose ? list_verbose : list_brief);
}

int verb_domid(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    domid_t domid;
    if (operands < 0)
        return status;
    if (!domain_operand("domid", argv[1], &domid))
        return FAILED;
    print("%u\n", domid);
    return DONE;
}

int verb_domname(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    char name[NAME_MAX];
    uint64_t id;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!parse_number(argv[1], &id)) {
        print("domname: %s: a domain's id is a number; domid finds the id of a name\n", argv[1]);
        return USAGE;
    }
    if (!domain_operand("domname", argv[1], &domid))
        return FAILED;
    print("%s\n", domain_name(domid, name));
    return DONE;
}

/* --- vcpu-list ------------------------------------------------------------------------------------------ */

static void print_affinity(domid_t domid, unsigned vcpu, bool soft, unsigned cpus)
{
    struct cpu_set set;
    memset(&set, 0, sizeof set);
    /* A hypervisor without affinities runs every virtual CPU on any CPU. */
    if (get_affinity(domid, vcpu, soft ? NULL : set.map, soft ? set.map : NULL, MOST_CPUS))
        print("all");
    else
        cpus_print(&set, cpus);
}

static void vcpu_lines(const struct xen_domctl_getdomaininfo *info)
{
    char name[NAME_MAX];
    unsigned cpus = host_cpus();
    for (unsigned i = 0; info->max_vcpu_id != XEN_INVALID_MAX_VCPU_ID && i <= info->max_vcpu_id; i++) {
        struct xen_domctl op;
        memset(&op, 0, sizeof op);
        op.u.getvcpuinfo.vcpu = i;
        if (domctl(XEN_DOMCTL_getvcpuinfo, info->domain, &op))
            continue;
        const struct xen_domctl_getvcpuinfo *v = &op.u.getvcpuinfo;
        print("%-32s %5u %5u", domain_name(info->domain, name), info->domain, i);
        if (v->online)
            print("%5u %3c%c- ", v->cpu, v->running ? 'r' : '-', v->blocked ? 'b' : '-');
        else
            print("%5c %3c%cp ", '-', '-', '-');
        print_seconds(v->cpu_time, 9);
        print("  ");
        print_affinity(info->domain, i, false, cpus);
        print(" / ");
        print_affinity(info->domain, i, true, cpus);
        print("\n");
    }
}

int verb_vcpu_list(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 0, -1, &status);
    if (operands < 0)
        return status;
    print("%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)",
          "Affinity (Hard / Soft)");
    return for_domains("vcpu-list", argv + 1, operands, vcpu_lines);
}

/* --- uptime --------------------------------------------------------------------------------------------- */

static uint64_t uptime_of(const struct xen_domctl_getdomaininfo *info)
{
    char path[PATH_MAX], uuid[UUID_TEXT], text[32];
    uint64_t started;
    if (info->domain == 0)
        return time_ns() / SECOND;
    snprintf(path, sizeof path, "/vm/%s/start_time", format_uuid(uuid, info->handle));
    if (store_read(path, text, sizeof text, NULL))
        return 0;
    char *point = strchr(text, '.');
    if (point)
        *point = '\0';
    return parse_number(text, &started) && started < time_unix_s() ? time_unix_s() - started : 0;
}

static void uptime_line(const struct xen_domctl_getdomaininfo *info)
{
    char name[NAME_MAX], text[UPTIME_TEXT];
    print("%-33s %4u %s\n", domain_name(info->domain, name), info->domain,
          format_uptime(text, uptime_of(info), false));
}

static void uptime_short(const struct xen_domctl_getdomaininfo *info)
{
    char name[NAME_MAX], text[UPTIME_TEXT];
    uint64_t now = time_unix_s();
    print(" %02u:%02u:%02u up %s, %s (%u)\n", (unsigned)(now / 3600 % 24), (unsigned)(now / 60 % 60),
          (unsigned)(now % 60), format_uptime(text, uptime_of(info), true), domain_name(info->domain, name),
          info->domain);
}

int verb_uptime(int argc, char **argv)
{
    bool brief = false;
    const struct option options[] = {{'s', "short", &brief, "one line each, with the time of day"}};
    int status, operands = take_options(argc, argv, options, 1, 0, -1, &status);
    if (operands < 0)
        return status;
    if (!brief)
        print("%-33s %4s %s\n", "Name", "ID", "Uptime");
    return for_domains("uptime", argv + 1, operands, brief ? uptime_short : uptime_line);
}
