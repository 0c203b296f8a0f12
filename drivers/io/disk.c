/*
 * Which disks there are, who uses them, and who is told when that changes (drivers/disk.h).
 *
 * One list, each disk followed by its partitions. A disk's users and writers include those of its partitions,
 * so a whole disk is free for a writer only when they all are. Nothing here switches threads but disk_add(),
 * which reads the partition table.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <lib/why.h>
#include "registry.h"

static struct disk *disks;
static struct disk_listener *listeners;

/* --- the list ------------------------------------------------------------------------------------------- */

struct disk *registry_next(const struct disk *disk)
{
    return disk ? disk->next : disks;
}

struct disk *disk_at(size_t index)
{
    struct disk *disk = disks;
    while (disk && index--)
        disk = disk->next;
    return disk;
}

static struct disk *find_name(const char *name)
{
    struct disk *disk = disks;
    while (disk && strcmp(disk->name, name))
        disk = disk->next;
    return disk;
}

bool registry_add(struct disk *disk)
{
    struct disk **link = &disks;
    if (find_name(disk->name))
        return false;
    if (disk->parent)
        link = &disk->parent->next;
    while (*link && (!disk->parent || (*link)->parent == disk->parent))
        link = &(*link)->next;
    disk->next = *link;
    *link = disk;
    return true;
}

void registry_remove(struct disk *disk)
{
    struct disk **link = &disks;
    while (*link && *link != disk)
        link = &(*link)->next;
    if (*link)
        *link = disk->next;
}

void registry_tell(struct disk *disk)
{
    for (struct disk_listener *l = listeners, *next; l; l = next) {
        next = l->next;
        l->changed(l, disk);
    }
}

void disk_listen(struct disk_listener *listener)
{
    listener->next = listeners;
    listeners = listener;
}

void disk_unlisten(struct disk_listener *listener)
{
    struct disk_listener **link = &listeners;
    while (*link && *link != listener)
        link = &(*link)->next;
    if (*link)
        *link = listener->next;
}

/* --- coming, going, growing ----------------------------------------------------------------------------- */

bool disk_add(struct disk *disk)
{
    if (!registry_add(disk))
        return false;
    registry_tell(disk);
    partition_scan(disk);
    return true;
}

void disk_remove(struct disk *disk)
{
    disk->removed = true;
    partition_remove_all(disk);
    registry_remove(disk);
    registry_tell(disk);
}

void disk_resized(struct disk *disk, uint64_t sectors)
{
    if (disk->sectors == sectors)
        return;
    disk->sectors = sectors;
    registry_tell(disk);
}

/* --- opening -------------------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool same_uuid(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool same_label(const char *a, const char *b)
{
    return !strcmp(a, b);
}

/* What follows prefix in text, NULL when it does not begin with it. */
static const char *behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) ? NULL : text + length;
}

/* The only partition that has the value; copies of a disk have their partitions' names and numbers, too. */
static struct disk *find_partition(const char *kind, const char *value, size_t field,
                                   bool (*same)(const char *, const char *), struct why *why)
{
    struct disk *found = NULL;
    for (struct disk *disk = disks; disk; disk = disk->next) {
        const char *has = (const char *)disk + field;
        if (!*has || !same(has, value))
            continue;
        if (found) {
            fail(why, "%s=%s stands for both %s and %s: name one of them", kind, value, found->name,
                 disk->name);
            return NULL;
        }
        found = disk;
    }
    if (!found)
        fail(why, "no partition has %s=%s; disk-list shows what there is", kind, value);
    return found;
}

static struct disk *find_target(const char *target, bool writable, struct why *why)
{
    static const struct {
        const char *prefix, *kind;
        size_t field;
        bool (*same)(const char *, const char *);
    } ways[] = {
        {"PARTUUID=", "PARTUUID", offsetof(struct disk, partition_uuid), same_uuid},
        {"/dev/disk/by-partuuid/", "PARTUUID", offsetof(struct disk, partition_uuid), same_uuid},
        {"PARTLABEL=", "PARTLABEL", offsetof(struct disk, partition_label), same_label},
        {"/dev/disk/by-partlabel/", "PARTLABEL", offsetof(struct disk, partition_label), same_label},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const char *value = behind(target, ways[i].prefix);
        if (value)
            return find_partition(ways[i].kind, value, ways[i].field, ways[i].same, why);
    }
    const char *name = behind(target, "/dev/");
    struct disk *disk = find_name(name ? name : target);
    struct file file;
    if (disk)
        return disk;
    if (name || !file_find(target, &file)) {
        fail(why, "%s is no disk%s; disk-list shows the disks%s", target,
             name ? "" : " and no file of the archive", name ? "" : ", ls the files");
        return NULL;
    }
    disk = ramdisk_over_file(&file, writable);
    if (!disk)
        fail(why, "no memory for a disk over %s: raise dom0_mem", target);
    return disk;
}

/* Who has the whole disk open, not one of its partitions. */
static void count_direct(const struct disk *disk, unsigned *users, unsigned *writers)
{
    *users = disk->users;
    *writers = disk->writers;
    for (const struct disk *d = disks; d; d = d->next)
        if (d->parent == disk) {
            *users -= d->users;
            *writers -= d->writers;
        }
}

static bool is_free(const struct disk *disk, bool writable, struct why *why)
{
    unsigned users = 0, writers = 0;
    if (disk->parent)
        count_direct(disk->parent, &users, &writers);
    bool written = disk->writers || writers;
    if (!written && !(writable && (disk->users || users)))
        return true;
    const char *other = disk->writers || disk->users ? disk->name : disk->parent->name;
    return fail(why, "%s is in use: %s is open for %s; %s", disk->name, other,
                written ? "writing" : "reading",
                written || disk->read_only ? "detach it there first"
                                           : "detach it there first, or use mode r here, too");
}

struct disk *disk_open(const char *target, bool writable, struct why *problem)
{
    struct disk *disk = find_target(target, writable, problem);
    if (!disk)
        return NULL;
    if (writable && disk->read_only) {
        fail(problem, "%s is read-only: use mode r", disk->name);
        return NULL;
    }
    if (!is_free(disk, writable, problem))
        return NULL;
    for (struct disk *d = disk; d; d = d->parent) {
        d->users++;
        d->writers += writable;
    }
    return disk;
}

void disk_close(struct disk *disk, bool writable)
{
    for (struct disk *d = disk; d; d = d->parent) {
        d->users--;
        d->writers -= writable;
    }
    /* closed() may free its disk. */
    for (struct disk *d = disk, *parent; d; d = parent) {
        parent = d->parent;
        if (!d->users && d->operations->closed)
            d->operations->closed(d);
    }
}
