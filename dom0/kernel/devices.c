/*
 * dom0's disks, cards and bridges as the toolstack sees them (dom0/below.h), over drivers/disk.h and
 * drivers/nic.h. No state; in thread context, without switches but for what the drivers do when a disk is
 * opened.
 */
#include <dom0/below.h>
#include <drivers/disk.h>
#include <drivers/nic.h>
#include <lib/string.h>
#include <xen/errno.h>

bool disk_info(size_t index, struct disk_info *info)
{
    const struct disk *disk = disk_at(index);
    if (!disk)
        return false;
    *info = (struct disk_info){
        .name = disk->name,
        .model = disk->model,
        .driver = disk->driver,
        .label = disk->partition_label,
        .uuid = disk->partition_uuid,
        .bytes = disk->sectors * DISK_SECTOR,
        .sector_size = disk->sector_size,
        .partition = !strcmp(disk->driver, "partition"),
        .read_only = disk->read_only,
        .users = disk->users,
    };
    return true;
}

bool disk_check(const char *target, bool writable, struct why *why)
{
    struct disk *disk = disk_open(target, writable, why);
    if (disk)
        disk_close(disk, writable);
    return disk;
}

int disk_ram_create(const char *name, uint64_t bytes, const char *file)
{
    return ramdisk_create(name, bytes, file);
}

int disk_ram_destroy(const char *name)
{
    return ramdisk_destroy(name);
}

bool bridge_info(size_t index, struct bridge_info *info)
{
    const struct bridge *bridge = bridge_at(index);
    if (!bridge)
        return false;
    const struct nic *uplink = bridge->uplink;
    *info = (struct bridge_info){
        .name = bridge->name, .uplink = uplink ? uplink->name : "", .driver = uplink ? uplink->driver : ""};
    if (uplink) {
        memcpy(info->mac, uplink->mac, sizeof info->mac);
        info->link = uplink->link;
    }
    for (const struct bridge_port *port = bridge->ports; port; port = port->next)
        info->ports += !uplink || port != &uplink->port;
    return true;
}

/* The card was put on its bridge when that was made, so it is the first port. */
bool bridge_port_info(const char *name, size_t index, struct port_info *info)
{
    const struct bridge *bridge = bridge_find(name);
    const struct bridge_port *port = bridge ? bridge->ports : NULL;
    while (port && index--)
        port = port->next;
    if (!port)
        return false;
    *info = (struct port_info){.name = port->name,
                               .received = port->received,
                               .received_bytes = port->received_bytes,
                               .sent = port->sent,
                               .sent_bytes = port->sent_bytes,
                               .dropped = port->dropped};
    return true;
}

int bridge_add(const char *name)
{
    if (bridge_find(name))
        return XEN_EEXIST;
    return bridge_create(name, NULL) ? 0 : XEN_ENOMEM;
}

int bridge_remove(const char *name)
{
    struct bridge *bridge = bridge_find(name);
    if (!bridge)
        return XEN_ENOENT;
    /* The bridge of a card comes and goes with the card: nobody could make it anew. */
    return bridge->uplink ? XEN_EPERM : bridge_destroy(bridge);
}
