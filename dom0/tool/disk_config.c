/* The strings of virtual disks (device_config.h). No state, no locking. */
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "device_config.h"
#include "spec.h"

/* --- the numbers of virtual disks (Xen's docs/man/xen-vbd-interface.7) ---------------------------------- */

/*
 * The names that guests give their disks, and the numbers that stand for them: major << 8 | disk << shift |
 * partition. What no name reaches has the extended form.
 */
static const struct naming {
    const char *prefix;
    uint32_t first, disks; /* the disks that this line is for */
    uint32_t partitions;
    uint32_t major;
    unsigned shift;
} namings[] = {
    {"xvd", 0, 16, 15, 202, 4},
    {"sd", 0, 16, 15, 8, 4},
    {"hd", 0, 2, 63, 3, 6},
    {"hd", 2, 2, 63, 22, 6},
};
#define EXTENDED           (1u << 28)
#define EXTENDED_SHIFT     8
#define EXTENDED_DISKS     (1u << 20)
#define EXTENDED_PARTITION 255u

static bool devid_make(const char *prefix, uint32_t disk, uint32_t partition, uint32_t *devid)
{
    for (size_t i = 0; i < sizeof namings / sizeof namings[0]; i++) {
        const struct naming *n = &namings[i];
        if (!strcmp(n->prefix, prefix) && disk - n->first < n->disks && partition <= n->partitions) {
            *devid = n->major << 8 | (disk - n->first) << n->shift | partition;
            return true;
        }
    }
    if (strcmp(prefix, "xvd") || disk >= EXTENDED_DISKS || partition > EXTENDED_PARTITION)
        return false;
    *devid = EXTENDED | disk << EXTENDED_SHIFT | partition;
    return true;
}

/* A number without sign, prefix or leading zero, up to 7 digits; moves *at behind it. */
static bool take_decimal(const char **at, uint32_t *value)
{
    const char *start = *at;
    for (*value = 0; **at >= '0' && **at <= '9' && *at - start < 7; (*at)++)
        *value = *value * 10 + (uint32_t)(**at - '0');
    return *at > start && (*start != '0' || *at == start + 1);
}

/* "a" is 0, "z" 25, "aa" 26. */
static bool take_letters(const char **at, uint32_t *disk)
{
    uint64_t value = 0;
    const char *start = *at;
    for (; **at >= 'a' && **at <= 'z' && value <= EXTENDED_DISKS; (*at)++)
        value = value * 26 + (uint32_t)(**at - 'a' + 1);
    *disk = (uint32_t)value - 1;
    return *at > start && value <= EXTENDED_DISKS;
}

bool vdev_parse(const char *text, uint32_t *devid)
{
    static const char *const prefixes[] = {"xvd", "sd", "hd"};
    uint32_t disk, partition = 0;
    uint64_t number;
    if (parse_number(text, &number)) {
        *devid = (uint32_t)number;
        return number && number < 2 * EXTENDED;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        const char *at = text + strlen(prefixes[i]);
        if (!strncmp(text, prefixes[i], strlen(prefixes[i])) && take_letters(&at, &disk))
            return (!*at || (*at != '0' && take_decimal(&at, &partition) && !*at)) &&
                   devid_make(prefixes[i], disk, partition, devid);
    }
    const char *at = text + 1;
    if (*text != 'd' || !take_decimal(&at, &disk))
        return false;
    if (*at == 'p' && (at++, !take_decimal(&at, &partition)))
        return false;
    return !*at && devid_make("xvd", disk, partition, devid);
}

static const char *name_make(char buf[VDEV_MAX], const char *prefix, uint32_t disk, uint32_t partition)
{
    char letters[8];
    size_t at = sizeof letters - 1;
    letters[at] = '\0';
    for (uint32_t n = disk + 1; n; n = (n - 1) / 26)
        letters[--at] = (char)('a' + (n - 1) % 26);
    if (partition)
        snprintf(buf, VDEV_MAX, "%s%s%u", prefix, letters + at, partition);
    else
        snprintf(buf, VDEV_MAX, "%s%s", prefix, letters + at);
    return buf;
}

const char *vdev_name(char buf[VDEV_MAX], uint32_t devid)
{
    for (size_t i = 0; i < sizeof namings / sizeof namings[0]; i++) {
        const struct naming *n = &namings[i];
        uint32_t disk = (devid & 255) >> n->shift;
        if (devid >> 8 == n->major && disk < n->disks)
            return name_make(buf, n->prefix, disk + n->first, devid & ((1u << n->shift) - 1));
    }
    if (devid >> 28 == EXTENDED >> 28)
        return name_make(buf, "xvd", (devid & (EXTENDED - 1)) >> EXTENDED_SHIFT, devid & EXTENDED_PARTITION);
    snprintf(buf, VDEV_MAX, "%u", devid);
    return buf;
}

/* --- parameters ----------------------------------------------------------------------------------------- */

#define NOT_RAW "only raw disks are served: convert it (qemu-img convert -O raw)"

struct parser {
    struct spec spec;
    struct disk_config *disk;
    bool target_seen, format_seen, vdev_seen, access_seen;
};

static bool set_once(struct parser *p, bool *seen, const char *key, const char *value)
{
    if (*seen)
        return spec_fail(&p->spec, value, "%s is given twice", key);
    *seen = true;
    return true;
}

static bool set_target(struct parser *p, const char *value)
{
    if (!set_once(p, &p->target_seen, "target", value))
        return false;
    if (strlcpy(p->disk->target, value, TARGET_MAX) >= TARGET_MAX)
        return spec_fail(&p->spec, value, "a target has at most %d characters", TARGET_MAX - 1);
    return true;
}

static bool set_format(struct parser *p, const char *value)
{
    if (!set_once(p, &p->format_seen, "format", value))
        return false;
    if (!*value || !strcmp(value, "raw"))
        return true;
    if (!strcmp(value, "empty"))
        return spec_fail(&p->spec, value, "a PVH guest has no drive without a disk in it");
    if (!strncmp(value, "qcow", 4) || !strcmp(value, "vhd") || !strcmp(value, "qed"))
        return spec_fail(&p->spec, value, NOT_RAW);
    return spec_fail(&p->spec, value, "no format: raw is the only one");
}

static bool set_vdev(struct parser *p, const char *value)
{
    if (!set_once(p, &p->vdev_seen, "vdev", value))
        return false;
    /* The old way to say devtype=. */
    char name[SPEC_WORD];
    strlcpy(name, value, sizeof name);
    char *colon = strrchr(name, ':');
    if (colon) {
        *colon = '\0';
        p->disk->cdrom = !strcmp(colon + 1, "cdrom");
        if (!p->disk->cdrom && strcmp(colon + 1, "disk"))
            return spec_fail(&p->spec, value, "behind the colon can be disk or cdrom");
    }
    if (strlen(name) < VDEV_MAX && vdev_parse(name, &p->disk->devid)) {
        strlcpy(p->disk->vdev, name, VDEV_MAX);
        return true;
    }
    if (!strncmp(name, "/dev/", 5))
        return spec_fail(&p->spec, value, "the guest's name of the disk goes without /dev/");
    return spec_fail(&p->spec, value, "no name that a guest has for a disk, as xvda, xvda1, sda or hda are");
}

static bool set_access(struct parser *p, const char *value)
{
    if (!set_once(p, &p->access_seen, "access", value))
        return false;
    p->disk->writable = strcmp(value, "r") && strcmp(value, "ro");
    if (!p->disk->writable || !*value || !strcmp(value, "w") || !strcmp(value, "rw"))
        return true;
    return spec_fail(&p->spec, value, "access is ro (r) or rw (w)");
}

static bool set_backend(struct parser *p, const char *value)
{
    if (!strcmp(value, "0") || !strcmp(value, "Domain-0"))
        return true;
    return spec_fail(&p->spec, value, "disks are served by domain 0 only: leave backend= out");
}

static bool set_backend_type(struct parser *p, const char *value)
{
    if (!strcmp(value, "phy"))
        return true;
    return spec_fail(&p->spec, value, "dom0's own back end is the only one: leave backendtype= out");
}

static bool set_device_type(struct parser *p, const char *value)
{
    p->disk->cdrom = !strcmp(value, "cdrom");
    return p->disk->cdrom || !strcmp(value, "disk") || spec_fail(&p->spec, value, "devtype is disk or cdrom");
}

static bool set_script(struct parser *p, const char *value)
{
    return spec_fail(&p->spec, value, "this dom0 runs no scripts: the target must be a disk that it has");
}

static bool set_specification(struct parser *p, const char *value)
{
    return !strcmp(value, "xen") || spec_fail(&p->spec, value, "specification is xen");
}

static const struct key {
    const char *name;
    bool (*set)(struct parser *p, const char *value);
} keys[] = {
    {"target", set_target},       {"format", set_format},   {"vdev", set_vdev},
    {"access", set_access},       {"backend", set_backend}, {"backendtype", set_backend_type},
    {"devtype", set_device_type}, {"script", set_script},   {"specification", set_specification},
};
#define KEYS (sizeof keys / sizeof keys[0])

static const char *key_at(size_t i)
{
    return i < KEYS ? keys[i].name : NULL;
}

static bool take_key(struct parser *p, const char *key, const char *value)
{
    for (size_t i = 0; i < KEYS; i++)
        if (!strcmp(key, keys[i].name))
            return keys[i].set(p, value);
    return spec_unknown(&p->spec, key, "no parameter of a disk", key_at);
}

static bool take_flag(struct disk_config *disk, const char *word)
{
    const struct {
        const char *word;
        bool *flag, value;
    } flags[] = {
        {"cdrom", &disk->cdrom, true},
        {"discard", &disk->discard, true},
        {"no-discard", &disk->discard, false},
        {"direct-io-safe", &disk->direct_io_safe, true},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (!strcmp(word, flags[i].word)) {
            *flags[i].flag = flags[i].value;
            return true;
        }
    /* Whether the guest should trust the back end: that is dom0, and it has to. */
    return !strcmp(word, "trusted") || !strcmp(word, "untrusted");
}

/* Whether word starts with one of the prefixes, which NULL ends; *length is that one's. */
static bool starts_with(const char *word, const char *const *prefixes, size_t *length)
{
    for (; *prefixes; prefixes++) {
        *length = strlen(*prefixes);
        if (!strncmp(word, *prefixes, *length))
            return true;
    }
    return false;
}

/* The old prefixes of a target, taken off: most say nothing; the rest ask for what is not here. */
static const char *take_prefixes(struct parser *p, const char *word)
{
    static const char *const silent[] = {
        "phy:", "file:", "raw:", "tap:", "tap2:", "tapdisk:", "aio:", "ioemu:", NULL};
    static const char *const formats[] = {"qcow:", "qcow2:", "vhd:", NULL};
    static const char *const scripts[] = {"iscsi:", "nbd:", "enbd:", "drbd:", NULL};
    size_t length = 0;
    while (starts_with(word, silent, &length)) {
        word += length;
        p->format_seen = true;
    }
    if (starts_with(word, formats, &length))
        spec_fail(&p->spec, word, NOT_RAW);
    else if (starts_with(word, scripts, &length))
        set_script(p, word);
    else
        return word;
    p->format_seen = true;
    return word + length;
}

static bool take_positional(struct parser *p, const char *word)
{
    if (!p->target_seen)
        return set_target(p, take_prefixes(p, word));
    if (!p->format_seen)
        return set_format(p, word);
    if (!p->vdev_seen)
        return set_vdev(p, word);
    if (!p->access_seen)
        return set_access(p, word);
    return spec_fail(&p->spec, word, "one too many: they are target, format, vdev, access, then key=value");
}

/* What the strings would be if they were right, out of what could be made of them. */
static void right_one(const struct parser *p, char *buf, size_t size)
{
    const struct disk_config *disk = p->disk;
    bool plain = *disk->target && !strchr(disk->target, ',') && strlen(disk->target) <= 48;
    snprintf(buf, size, "%.48s,raw,%s,%s", plain ? disk->target : "/dev/vda1",
             *disk->vdev ? disk->vdev : "xvda", disk->writable ? "rw" : "ro");
}

bool disk_parse(const char *const *strings, size_t count, struct disk_config *disk, struct why *why)
{
    struct parser p = {.spec = {.strings = strings, .count = count}, .disk = disk};
    char word[SPEC_WORD], right[96];
    *disk = (struct disk_config){.writable = true, .discard = true};
    /* On after a mistake: what follows goes into the string that is shown as the right one. */
    while (spec_next(&p.spec, "target=", word)) {
        if (take_flag(disk, word))
            continue;
        char *value = spec_value(word);
        if (value)
            take_key(&p, word, value);
        else
            take_positional(&p, word);
    }
    if (!*disk->target)
        spec_fail(&p.spec, NULL, "the target is missing: disk-list shows what there is");
    if (!*disk->vdev)
        spec_fail(&p.spec, NULL, "the guest's name for the disk is missing (vdev)");
    if (disk->cdrom)
        disk->writable = false;
    disk->discard = disk->discard && disk->writable;
    if (!p.spec.failed)
        return true;
    right_one(&p, right, sizeof right);
    return spec_refuse(&p.spec, "disk", right, why);
}
