/*
 * Virtual disks and network cards as people write them: the strings in `disk = [ … ]` and `vif = [ … ]` and
 * the operands of block-attach and network-attach (xl-disk-configuration(5), xl-network-configuration(5)).
 * Pure functions.
 */
#ifndef TOOL_DEVICE_CONFIG_H
#define TOOL_DEVICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#include <lib/why.h>

#define TARGET_MAX 256 /* each with its zero */
#define VDEV_MAX   24
#define BRIDGE_MAX 24 /* as drivers/nic.h has it */
#define IFNAME_MAX 16 /* as Linux has it */
#define IP_MAX     128
#define MAC_TEXT   18

struct disk_config {
    struct disk_config *next;
    char target[TARGET_MAX]; /* as disk_check() takes it */
    char vdev[VDEV_MAX];     /* as written: "xvda" */
    uint32_t devid;          /* what it stands for (Xen's docs/man/xen-vbd-interface.7) */
    bool writable, cdrom, discard, direct_io_safe;
};

struct vif_config {
    struct vif_config *next;
    unsigned devid;
    bool devid_given, mac_given;
    uint8_t mac[6];
    char bridge[BRIDGE_MAX], name[IFNAME_MAX], ip[IP_MAX]; /* name and ip may be empty */
    unsigned mtu;
    uint64_t rate_bytes;       /* that may be sent in each interval */
    uint32_t rate_interval_us; /* 0: any rate */
};

/*
 * Several strings are parts of one, as on a command line. The reason quotes what is wrong, and ends with a
 * string that would be right.
 */
bool disk_parse(const char *const *strings, size_t count, struct disk_config *disk, struct why *why);
/* The same. Warns with print() about what is ignored. Neither devid nor mac are made up: vif_complete(). */
bool vif_parse(const char *const *strings, size_t count, struct vif_config *vif, struct why *why);

/* "xvda", "sdb2", "d0p1", "51712". False: no such thing. */
bool vdev_parse(const char *text, uint32_t *devid);
/* The other way round; a number where there is no name. Returns buf. */
const char *vdev_name(char buf[VDEV_MAX], uint32_t devid);
/* "00:16:3e:12:34:56", in either case. */
bool mac_parse(const char *text, uint8_t mac[6]);
const char *mac_format(char buf[MAC_TEXT], const uint8_t mac[6]);
/* Gives a card without one an address of Xen's range, the same for the same guest and card each time. */
void vif_complete(struct vif_config *vif, unsigned devid, const xen_domain_handle_t uuid);

#endif
