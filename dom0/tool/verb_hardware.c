/*
 * The verbs on what dom0 has to give to guests: disk-list, ramdisk-create, ramdisk-destroy, bridge-list,
 * bridge-create, bridge-destroy. No state, no locking.
 */
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>

#include "devices.h"
#include "domain.h"
#include "format.h"
#include "verbs.h"

/* --- disks ---------------------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_ignoring_case(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

/* What comes behind prefix, NULL when text does not start with it. */
static const char *behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) ? NULL : text + length;
}

/* Whether a target names the disk, in one of the ways that drivers/disk.h lists. */
static bool target_is(const char *target, const struct disk_info *info)
{
    const char *rest;
    if ((rest = behind(target, "PARTUUID=")) || (rest = behind(target, "/dev/disk/by-partuuid/")))
        return *info->uuid && same_ignoring_case(rest, info->uuid);
    if ((rest = behind(target, "PARTLABEL=")) || (rest = behind(target, "/dev/disk/by-partlabel/")))
        return *info->label && !strcmp(rest, info->label);
    rest = behind(target, "/dev/");
    return !strcmp(rest ? rest : target, info->name);
}

/* "debian:xvda web:xvdb", of all domains whose disks it serves. */
static void print_users(const struct disk_info *info)
{
    struct xen_domctl_getdomaininfo domain;
    uint32_t devids[DEVICES_MAX];
    unsigned shown = 0;
    for (unsigned next = 1; domain_next(next, &domain); next = domain.domain + 1u) {
        size_t count = device_list(domain.domain, DEVICE_VBD, devids);
        for (size_t n = 0; n < count; n++) {
            char target[TARGET_MAX], name[NAME_MAX], vdev[VDEV_MAX];
            if (!device_read(domain.domain, DEVICE_VBD, devids[n], true, "params", target, sizeof target) ||
                !target_is(target, info))
                continue;
            print("%s%s:%s", shown++ ? " " : "", domain_name(domain.domain, name),
                  vdev_name(vdev, devids[n]));
        }
    }
    if (!shown)
        print("%s", !info->users ? "-" : info->partition ? "dom0" : "its partitions");
}

int verb_disk_list(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 0, 0, &status);
    struct disk_info info;
    if (operands < 0)
        return status;
    if (!disk_info(0, &info)) {
        print("dom0 has found no disk; ramdisk-create makes one in its memory\n");
        return DONE;
    }
    print("%-12s %9s %6s %-2s %-13s %-24s %-36s %s\n", "Name", "Size", "Sector", "", "Driver",
          "Model or label", "PARTUUID", "Used by");
    for (size_t i = 0; disk_info(i, &info); i++) {
        char size[SIZE_TEXT];
        print("%-12s %9s %6u %-2s %-13s %-24s %-36s ", info.name, format_size(size, info.bytes),
              info.sector_size, info.read_only ? "ro" : "rw", info.driver,
              info.partition ? info.label : info.model, info.uuid);
        print_users(&info);
        print("\n");
    }
    return DONE;
}

static int errno_failed(const char *verb, const char *what, int error, const char *text)
{
    print("%s: %s: %s\n", verb, what, text ? text : error_text(error));
    return FAILED;
}

int verb_ramdisk_create(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 2, 3, &status);
    struct file file;
    uint64_t bytes = 0; /* as the file has */
    if (operands < 0)
        return status;
    bool sized = parse_size(argv[2], 1 << 20, &bytes);
    const char *contents = operands == 3 ? argv[3] : sized ? NULL : argv[2];
    if (operands == 3 && !sized) {
        print("%s: %s: a size is a number of MiB, or one with b, k, m, g or t behind it\n", argv[0], argv[2]);
        return USAGE;
    }
    if (contents && !file_find(contents, &file))
        return errno_failed(argv[0], contents, 0,
                            sized ? "no such file in the archive"
                                  : "neither a size, as 64M is, nor a file of the archive");
    if (sized && !bytes)
        return errno_failed(argv[0], argv[2], 0, "that is no disk");
    if (sized && contents && bytes < file.size)
        return errno_failed(argv[0], argv[2], 0, "the file is larger than that");
    int error = disk_ram_create(argv[1], bytes, contents);
    if (!error)
        return DONE;
    return errno_failed(argv[0], argv[1], error,
                        error == XEN_EEXIST   ? "dom0 has a disk of this name: disk-list shows it"
                        : error == XEN_ENOMEM ? "too little memory in dom0 for it: raise dom0_mem"
                        : error == XEN_EINVAL
                            ? "it needs a name of 1 to 63 characters and a size in whole sectors of 512 bytes"
                            : NULL);
}

int verb_ramdisk_destroy(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    if (operands < 0)
        return status;
    int error = disk_ram_destroy(argv[1]);
    if (!error)
        return DONE;
    return errno_failed(argv[0], argv[1], error,
                        error == XEN_ENOENT   ? "there is no RAM disk of this name: disk-list shows them"
                        : error == XEN_EBUSY  ? "it is in use: disk-list shows by whom; block-detach it there"
                        : error == XEN_EINVAL ? "it is no RAM disk"
                                              : NULL);
}

/* --- bridges -------------------------------------------------------------------------------------------- */

static void print_ports(const char *bridge)
{
    struct port_info port;
    for (size_t i = 0; bridge_port_info(bridge, i, &port); i++)
        print("  %-14s received %llu packets, %llu bytes; sent %llu packets, %llu bytes; dropped %llu\n",
              port.name, (unsigned long long)port.received, (unsigned long long)port.received_bytes,
              (unsigned long long)port.sent, (unsigned long long)port.sent_bytes,
              (unsigned long long)port.dropped);
}

int verb_bridge_list(int argc, char **argv)
{
    bool verbose = false;
    const struct option options[] = {{'v', "verbose", &verbose, "with the ports and what went through them"}};
    int status, operands = take_options(argc, argv, options, 1, 0, 0, &status);
    struct bridge_info info;
    if (operands < 0)
        return status;
    if (!bridge_info(0, &info)) {
        print("dom0 has found no network card; bridge-create makes a bridge between guests only\n");
        return DONE;
    }
    print("%-16s %-10s %-12s %-18s %-5s %s\n", "Name", "Uplink", "Driver", "Mac Addr.", "Link", "Ports");
    for (size_t i = 0; bridge_info(i, &info); i++) {
        char mac[MAC_TEXT];
        bool uplink = *info.uplink;
        print("%-16s %-10s %-12s %-18s %-5s %u\n", info.name, uplink ? info.uplink : "-",
              uplink ? info.driver : "internal", uplink ? mac_format(mac, info.mac) : "-",
              !uplink     ? "-"
              : info.link ? "up"
                          : "down",
              info.ports);
        if (verbose)
            print_ports(info.name);
    }
    return DONE;
}

int verb_bridge_create(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    struct vif_config vif;
    struct why why;
    char text[SIZE_TEXT + BRIDGE_MAX];
    if (operands < 0)
        return status;
    /* A name that no vif could name would be good for nothing. */
    snprintf(text, sizeof text, "bridge=%s", argv[1]);
    const char *string = text;
    if (!vif_parse(&string, 1, &vif, &why) || strcmp(vif.bridge, argv[1])) {
        print("%s: %s: a bridge's name has 1 to %d characters, no spaces, slashes or commas\n", argv[0],
              argv[1], BRIDGE_MAX - 1);
        return USAGE;
    }
    int error = bridge_add(argv[1]);
    return error
               ? errno_failed(argv[0], argv[1], error, error == XEN_EEXIST ? "there is such a bridge" : NULL)
               : DONE;
}

int verb_bridge_destroy(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    if (operands < 0)
        return status;
    int error = bridge_remove(argv[1]);
    if (!error)
        return DONE;
    return errno_failed(argv[0], argv[1], error,
                        error == XEN_ENOENT  ? "there is no such bridge: bridge-list shows them"
                        : error == XEN_EBUSY ? "a guest's card is on it: bridge-list -v shows which"
                        : error == XEN_EPERM ? "it belongs to dom0's network card and stays"
                                             : NULL);
}
