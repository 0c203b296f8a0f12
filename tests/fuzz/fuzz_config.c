/* sources: dom0/tool/config.c dom0/tool/disk_config.c dom0/tool/vif_config.c dom0/tool/spec.c dom0/tool/syntax.c dom0/tool/format.c lib/why.c lib/number.c tests/unit/tool_below.c */
/*
 * Any bytes as a guest's configuration, and as an argument that overrides it: reading ends, gives a
 * configuration that keeps the promises of config.h or a reason, and leaves nothing behind.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../dom0/tool/config.h"
#include "../unit/tool_below.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Random bytes seldom are a key: half of them become words and signs of the language. */
static size_t translate(const uint8_t *data, size_t size, char *text, size_t room)
{
    static const char *const words[] = {"name",     "kernel",  "memory",     "vcpus",   "on_crash",
                                        "uuid",     "disk",    "'restart'",  "\"pvh\"", "'k'",
                                        "=",        "+=",      "[",          "]",       ",",
                                        ";",        "\n",      "'g'",        "64",      "0x10",
                                        "#",        "\\x41",   "'",          "\"",      "extra",
                                        "maxvcpus", "type",    "ramdisk",    "maxmem",  " ",
                                        "1",        "root",    "vif",        "vda",     "raw",
                                        "xvd",      "a",       "rw",         "target=", "vdev=",
                                        "format=",  "access=", "cdrom",      "phy:",    "hd",
                                        "d1p1",     "discard", "bridge=",    "mac=",    "00:16:3e:12:34:56",
                                        "rate=",    "10Mb/s",  "@20ms",      "mtu=",    "devid=",
                                        "vifname=", "ip=",     "no-discard", "disk=['", "vif=['",
                                        "']",       "qcow2:",  "script=",    "w"};
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        const char *word = words[data[i] & 63];
        size_t length = data[i] & 0x80 ? strlen(word) : 1;
        if (n + length >= room)
            break;
        memcpy(text + n, data[i] & 0x80 ? word : (const char *)&data[i], length);
        n += length;
    }
    text[n] = '\0';
    return n;
}

static void check_devices(const struct guest_config *config)
{
    static const uint8_t zero[6];
    for (const struct disk_config *disk = config->disks; disk; disk = disk->next) {
        char name[VDEV_MAX];
        uint32_t devid;
        assert(disk->target[0] && strlen(disk->target) < TARGET_MAX);
        assert(vdev_parse(disk->vdev, &devid) && devid == disk->devid && !(disk->cdrom && disk->writable));
        assert(vdev_parse(vdev_name(name, devid), &devid));
        for (const struct disk_config *other = disk->next; other; other = other->next)
            assert(other->devid != disk->devid);
    }
    for (const struct vif_config *vif = config->vifs; vif; vif = vif->next) {
        assert(vif->bridge[0] && vif->mtu >= 68 && vif->mtu <= 65521 && vif->rate_interval_us <= 1000000);
        assert(!(vif->mac[0] & 1) && memcmp(vif->mac, zero, sizeof zero));
        for (const struct vif_config *other = vif->next; other; other = other->next)
            assert(other->devid != vif->devid);
    }
}

/* The same bytes as a disk's and as a card's string, which a configuration seldom gets to. */
static void check_strings(const char *text)
{
    struct disk_config disk;
    struct vif_config vif;
    struct why why = {.text = ""};
    if (disk_parse(&text, 1, &disk, &why))
        assert(disk.target[0] && disk.vdev[0]);
    else
        assert(strstr(why.text, "; right would be '"));
    if (vif_parse(&text, 1, &vif, &why))
        assert(vif.bridge[0] && vif.mtu >= 68);
    else
        assert(strstr(why.text, "; right would be '"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[65536];
    struct why why = {.text = ""};
    world_reset();
    size_t length = translate(data, size, text, sizeof text), half = length / 2;
    /* The copy ends where the heap block does, so that reading past it is caught. */
    char *copy = malloc(half ? half : 1);
    memcpy(copy, text, half);
    check_strings(text + half);
    char *arguments[] = {text + half};
    struct guest_config *config = config_load("f.cfg", copy, half, arguments, size & 1, &why);
    free(copy);
    if (!config) {
        assert(why.text[0]);
        return 0;
    }
    assert(config->name[0] && strlen(config->name) < NAME_MAX && config->kernel[0] && config->command_line);
    assert(config->memory >= 1 << 20 && config->memory <= config->max_memory);
    assert(config->vcpus >= 1 && config->vcpus <= config->max_vcpus && config->max_vcpus <= 128);
    check_devices(config);
    config_free(config);
    return 0;
}
