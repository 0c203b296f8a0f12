/*
 * The verbs on domains' devices: block-list, -attach, -detach, network-list, -attach, -detach; in xl's
 * formats. No state, no locking; what a domain has is looked up anew after each wait.
 */
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "devices.h"
#include "domain.h"
#include "verbs.h"

/* The domain of an operand, which must be a guest. */
static bool guest_operand(const char *verb, const char *operand, domid_t *domid)
{
    if (!whole_domain_operand(verb, operand, domid))
        return false;
    if (*domid == 0)
        print("%s: domain 0 has the devices themselves: disk-list and bridge-list show them\n", verb);
    return *domid != 0;
}

/* --- lists ---------------------------------------------------------------------------------------------- */

/* A number at the guest's end; -1 when it has not said it. */
static int front_number(domid_t domid, enum device_kind kind, uint32_t devid, const char *key)
{
    char text[16];
    uint64_t number;
    bool there =
        device_read(domid, kind, devid, false, key, text, sizeof text) && parse_number(text, &number);
    return there && number <= INT32_MAX ? (int)number : -1;
}

static void block_line(domid_t domid, uint32_t devid)
{
    char path[DEVICE_PATH_MAX];
    print("%-5u %-3u %-6u %-5d %-6d %-8d %-30s\n", devid, 0u, domid,
          front_number(domid, DEVICE_VBD, devid, "state"),
          front_number(domid, DEVICE_VBD, devid, "event-channel"),
          front_number(domid, DEVICE_VBD, devid, "ring-ref"),
          device_path(path, domid, DEVICE_VBD, devid, true));
}

static void network_line(domid_t domid, uint32_t devid)
{
    char path[DEVICE_PATH_MAX], mac[MAC_TEXT] = "";
    device_read(domid, DEVICE_VIF, devid, true, "mac", mac, sizeof mac);
    print("%-3u %-2u %-17s%6u %5d %6d %5d/%-11d %-30s\n", devid, 0u, mac, devid,
          front_number(domid, DEVICE_VIF, devid, "state"),
          front_number(domid, DEVICE_VIF, devid, "event-channel"),
          front_number(domid, DEVICE_VIF, devid, "tx-ring-ref"),
          front_number(domid, DEVICE_VIF, devid, "rx-ring-ref"),
          device_path(path, domid, DEVICE_VIF, devid, true));
}

static int list(int argc, char **argv, enum device_kind kind, const char *heading,
                void (*line)(domid_t domid, uint32_t devid))
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, -1, &status);
    uint32_t devids[DEVICES_MAX];
    if (operands < 0)
        return status;
    status = DONE;
    for (int i = 1; i <= operands; i++) {
        domid_t domid;
        if (!domain_operand(argv[0], argv[i], &domid)) {
            status = FAILED;
            continue;
        }
        if (heading)
            print("%s\n", heading);
        heading = NULL;
        size_t count = device_list(domid, kind, devids);
        for (size_t n = 0; n < count; n++)
            line(domid, devids[n]);
    }
    return status;
}

int verb_block_list(int argc, char **argv)
{
    return list(argc, argv, DEVICE_VBD,
                "Vdev  BE  handle state evt-ch ring-ref BE-path                       ", block_line);
}

int verb_network_list(int argc, char **argv)
{
    return list(
        argc, argv, DEVICE_VIF,
        "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       ",
        network_line);
}

/* --- attaching ------------------------------------------------------------------------------------------ */

/* Waits for a device that was added; takes it back when its back end does not take it. */
static bool await_added(domid_t domid, enum device_kind kind, uint32_t devid, struct why *why)
{
    struct why other;
    if (device_await(domid, kind, devid, interrupted, why))
        return true;
    device_remove(domid, kind, devid, true, NULL, &other);
    return false;
}

static bool attach_disk(domid_t domid, const struct disk_config *disk, struct why *why)
{
    if (device_exists(domid, DEVICE_VBD, disk->devid))
        return fail(why, "%s: it has a disk of this name: block-list shows them", disk->vdev);
    if (!disk_possible(disk, why) || !device_add_disk(domid, disk, why) ||
        !await_added(domid, DEVICE_VBD, disk->devid, why))
        return false;
    /* So that it is there again after a reboot. */
    struct guest_config *config = domain_config(domid);
    return !config || config_add_disk(config, disk) ||
           fail(why, "it is attached, but will not be after a reboot");
}

int verb_block_attach(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 2, -1, &status);
    struct disk_config disk;
    struct why why;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!guest_operand(argv[0], argv[1], &domid))
        return FAILED;
    if (!disk_parse((const char *const *)argv + 2, (size_t)operands - 1, &disk, &why)) {
        verb_failed(argv[0], &why);
        return USAGE;
    }
    return attach_disk(domid, &disk, &why) ? DONE : verb_failed(argv[0], &why);
}

/* The card of a domain that has the address; false when none has. */
static bool find_mac(domid_t domid, const uint8_t mac[6], uint32_t *devid)
{
    uint32_t devids[DEVICES_MAX];
    for (size_t n = device_list(domid, DEVICE_VIF, devids); n--;) {
        char text[MAC_TEXT];
        uint8_t other[6];
        *devid = devids[n];
        if (device_read(domid, DEVICE_VIF, *devid, true, "mac", text, sizeof text) &&
            mac_parse(text, other) && !memcmp(mac, other, sizeof other))
            return true;
    }
    return false;
}

static bool attach_vif(domid_t domid, struct vif_config *vif, struct why *why)
{
    struct xen_domctl_getdomaininfo info;
    if (!domain_info(domid, &info))
        return fail(why, "it is gone");
    /* No number comes again: a slow guest would say goodbye to the last card in the nodes of this one. */
    struct guest_config *config = domain_config(domid);
    uint32_t devid = config ? config->next_vif : 0;
    while (device_exists(domid, DEVICE_VIF, devid))
        devid++;
    vif_complete(vif, devid, info.handle);
    if (device_exists(domid, DEVICE_VIF, vif->devid))
        return fail(why, "%u: it has a card of this number: network-list shows them", vif->devid);
    if (find_mac(domid, vif->mac, &devid))
        return fail(why, "its card %u has this address already", devid);
    if (!vif_possible(vif, why) || !device_add_vif(domid, vif, why) ||
        !await_added(domid, DEVICE_VIF, vif->devid, why))
        return false;
    config = domain_config(domid);
    return !config || config_add_vif(config, vif) ||
           fail(why, "it is attached, but will not be after a reboot");
}

int verb_network_attach(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, -1, &status);
    struct vif_config vif;
    struct why why;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!guest_operand(argv[0], argv[1], &domid))
        return FAILED;
    if (!vif_parse((const char *const *)argv + 2, (size_t)operands - 1, &vif, &why)) {
        verb_failed(argv[0], &why);
        return USAGE;
    }
    return attach_vif(domid, &vif, &why) ? DONE : verb_failed(argv[0], &why);
}

/* --- detaching ------------------------------------------------------------------------------------------ */

static bool find_vbd(domid_t domid, const char *operand, uint32_t *devid, struct why *why)
{
    if (!vdev_parse(operand, devid))
        return fail(why, "%s: a disk is named as the guest does, xvda, or by its number: block-list shows it",
                    operand);
    return device_exists(domid, DEVICE_VBD, *devid) ||
           fail(why, "%s: the domain has no such disk: block-list shows what it has", operand);
}

static bool find_vif(domid_t domid, const char *operand, uint32_t *devid, struct why *why)
{
    uint8_t mac[6];
    uint64_t number;
    bool by_number = parse_number(operand, &number) && number <= UINT32_MAX;
    if (!by_number && !mac_parse(operand, mac))
        return fail(why, "%s: a card is named by its number or its address: network-list shows them",
                    operand);
    *devid = by_number ? (uint32_t)number : 0;
    return (by_number ? device_exists(domid, DEVICE_VIF, *devid) : find_mac(domid, mac, devid)) ||
           fail(why, "%s: the domain has no such card: network-list shows what it has", operand);
}

static int detach(int argc, char **argv, enum device_kind kind,
                  bool (*find)(domid_t domid, const char *operand, uint32_t *devid, struct why *why))
{
    bool force = false;
    const struct option options[] = {{'f', "force", &force, "without asking the guest, which may lose data"}};
    int status, operands = take_options(argc, argv, options, 1, 2, 2, &status);
    struct why why;
    domid_t domid;
    uint32_t devid;
    if (operands < 0)
        return status;
    if (!guest_operand(argv[0], argv[1], &domid))
        return FAILED;
    if (!find(domid, argv[2], &devid, &why) || !device_remove(domid, kind, devid, force, interrupted, &why))
        return verb_failed(argv[0], &why);
    struct guest_config *config = domain_config(domid);
    if (config && kind == DEVICE_VBD)
        config_drop_disk(config, devid);
    else if (config)
        config_drop_vif(config, devid);
    return DONE;
}

int verb_block_detach(int argc, char **argv)
{
    return detach(argc, argv, DEVICE_VBD, find_vbd);
}

int verb_network_detach(int argc, char **argv)
{
    return detach(argc, argv, DEVICE_VIF, find_vif);
}
