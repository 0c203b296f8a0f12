/* The meaning of a guest's configuration (config.h). Reads tables only; no locking. */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "config.h"
#include "format.h"

#define DEFAULT_MEMORY (128ull << 20)
#define MOST_VCPUS     128 /* HVM_MAX_VCPUS of xen/hvm/hvm_info_table.h */
#define MOST_MIB       (1ull << 24)
#define GRUB_FILE      "grub" /* of the archive: grub-i386-xen_pvh.bin */

static const char *const known_keys[] = {
    "name",     "kernel",      "ramdisk",       "extra", "cmdline", "root",        "memory",
    "maxmem",   "vcpus",       "maxvcpus",      "type",  "uuid",    "on_poweroff", "on_reboot",
    "on_crash", "on_watchdog", "on_soft_reset", "disk",  "vif",     "firmware",    "bootloader",
    "cpus",     "cpus_soft",   "cpu_weight",    "cap",   NULL,
};

/* Keys of xl that ask for what a PVH guest gets anyway, or that change nothing that it could see. */
static const char *const silent_keys[] = {"hap",    "apic", "acpi", "builder", "localtime",
                                          "serial", "vnc",  "sdl",  NULL};

static const char *const action_names[] = {"destroy", "restart", "rename-restart", "preserve"};

const char *action_name(enum action action)
{
    return action_names[action];
}

static const char *key_at(size_t i)
{
    return known_keys[i];
}

static const char *action_at(size_t i)
{
    return i < sizeof action_names / sizeof action_names[0] ? action_names[i] : NULL;
}

static bool among(const char *const *words, const char *word)
{
    while (*words && strcmp(*words, word))
        words++;
    return *words;
}

/* "debian.cfg:3: " or, for the command line, nothing. */
static void place(const struct guest_config *config, const struct cfg_setting *setting, char *buf,
                  size_t size)
{
    buf[0] = '\0';
    if (setting && setting->line)
        snprintf(buf, size, "%s:%u: ", config->cfg.file, setting->line);
    else if (!setting)
        snprintf(buf, size, "%s: ", config->cfg.file);
}

bool config_fail(const struct guest_config *config, const char *key, struct why *why, const char *format, ...)
{
    char where[80], text[200];
    const struct cfg_setting *setting = cfg_find(&config->cfg, key);
    place(config, setting, where, sizeof where);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (setting && setting->value->text)
        return fail(why, "%s%s=%s: %s", where, key, setting->value->text, text);
    return fail(why, "%s%s: %s", where, key, text);
}

static void warn_of_ignored_keys(const struct guest_config *config)
{
    for (const struct cfg_setting *s = config->cfg.settings; s; s = s->next) {
        char where[80], word[WORD_TEXT];
        if (among(known_keys, s->key) || among(silent_keys, s->key))
            continue;
        place(config, s, where, sizeof where);
        const char *nearest = nearest_word(s->key, key_at, word);
        if (nearest)
            print("warning: %s%s is not a key that is known here and is ignored; did you mean %s?\n", where,
                  s->key, nearest);
        else
            print("warning: %s%s is not a key that is known here and is ignored\n", where, s->key);
    }
}

/* *text stays as it is when the key is not set. */
static bool read_text(const struct guest_config *config, const char *key, const char **text, struct why *why)
{
    const struct cfg_setting *setting = cfg_find(&config->cfg, key);
    if (!setting)
        return true;
    if (!setting->value->text)
        return config_fail(config, key, why, "a string is needed, not a list");
    *text = setting->value->text;
    return true;
}

static bool read_number(const struct guest_config *config, const char *key, uint64_t least, uint64_t most,
                        uint64_t *number, struct why *why)
{
    const char *text = NULL;
    uint64_t value;
    if (!read_text(config, key, &text, why))
        return false;
    if (!text)
        return true;
    if (!parse_number(text, &value))
        return config_fail(config, key, why, "a number is needed");
    if (value < least || value > most)
        return config_fail(config, key, why, "%llu to %llu is possible", (unsigned long long)least,
                           (unsigned long long)most);
    *number = value;
    return true;
}

static bool read_action(const struct guest_config *config, const char *key, enum action *action,
                        struct why *why)
{
    const char *text = NULL;
    if (!read_text(config, key, &text, why))
        return false;
    if (!text)
        return true;
    for (size_t i = 0; action_at(i); i++) {
        if (!strcmp(text, action_at(i))) {
            *action = (enum action)i;
            return true;
        }
    }
    if (!strcmp(text, "coredump-destroy") || !strcmp(text, "coredump-restart"))
        return config_fail(config, key, why, "there is no disk to dump to: use %s, or preserve to look at it",
                           text + strlen("coredump-"));
    char word[WORD_TEXT];
    const char *nearest = nearest_word(text, action_at, word);
    return config_fail(config, key, why, "%s%s%sit is destroy, restart, rename-restart or preserve",
                       nearest ? "did you mean " : "", nearest ? nearest : "", nearest ? "? " : "");
}

static bool read_actions(struct guest_config *config, struct why *why)
{
    config->on[SHUTDOWN_poweroff] = ACTION_DESTROY;
    config->on[SHUTDOWN_reboot] = ACTION_RESTART;
    config->on[SHUTDOWN_suspend] = ACTION_PRESERVE;
    config->on[SHUTDOWN_crash] = ACTION_DESTROY;
    config->on[SHUTDOWN_watchdog] = ACTION_DESTROY;
    config->on[SHUTDOWN_soft_reset] = ACTION_RESTART;
    return read_action(config, "on_poweroff", &config->on[SHUTDOWN_poweroff], why) &&
           read_action(config, "on_reboot", &config->on[SHUTDOWN_reboot], why) &&
           read_action(config, "on_crash", &config->on[SHUTDOWN_crash], why) &&
           read_action(config, "on_watchdog", &config->on[SHUTDOWN_watchdog], why) &&
           read_action(config, "on_soft_reset", &config->on[SHUTDOWN_soft_reset], why);
}

/* cmdline alone, or root and extra put together; config->command_line. */
static bool read_command_line(struct guest_config *config, struct why *why)
{
    const char *root = NULL, *extra = NULL, *whole = NULL;
    if (!read_text(config, "root", &root, why) || !read_text(config, "extra", &extra, why) ||
        !read_text(config, "cmdline", &whole, why))
        return false;
    if (whole && (root || extra))
        print("warning: %s: cmdline is set, so root and extra are ignored\n", config->cfg.file);
    if (!whole && root) {
        size_t size = strlen("root= ") + strlen(root) + (extra ? strlen(extra) : 0) + 1;
        char *joined = cfg_alloc(&config->cfg, size);
        if (!joined)
            return fail(why, "out of memory");
        snprintf(joined, size, "root=%s%s%s", root, extra ? " " : "", extra ? extra : "");
        whole = joined;
    }
    config->command_line = whole ? whole : extra ? extra : "";
    return true;
}

/* --- devices -------------------------------------------------------------------------------------------- */

bool config_add_disk(struct guest_config *config, const struct disk_config *disk)
{
    struct disk_config **last = &config->disks;
    while (*last)
        last = &(*last)->next;
    *last = mem_alloc(sizeof **last);
    if (!*last)
        return false;
    **last = *disk;
    (*last)->next = NULL;
    return true;
}

bool config_add_vif(struct guest_config *config, const struct vif_config *vif)
{
    struct vif_config **last = &config->vifs;
    while (*last)
        last = &(*last)->next;
    *last = mem_alloc(sizeof **last);
    if (!*last)
        return false;
    **last = *vif;
    (*last)->next = NULL;
    if (vif->devid >= config->next_vif)
        config->next_vif = vif->devid + 1;
    return true;
}

void config_drop_disk(struct guest_config *config, uint32_t devid)
{
    struct disk_config **at = &config->disks, *disk;
    while ((disk = *at) && disk->devid != devid)
        at = &disk->next;
    if (disk)
        *at = disk->next;
    mem_free(disk);
}

void config_drop_vif(struct guest_config *config, unsigned devid)
{
    struct vif_config **at = &config->vifs, *vif;
    while ((vif = *at) && vif->devid != devid)
        at = &vif->next;
    if (vif)
        *at = vif->next;
    mem_free(vif);
}

/* The reason with the place of an item of a list before it. */
static bool item_fail(const struct guest_config *config, const struct cfg_value *item,
                      const struct why *reason, struct why *why)
{
    if (!item->line)
        return fail(why, "%s", reason->text);
    return fail(why, "%s:%u: %s", config->cfg.file, item->line, reason->text);
}

static bool read_disk(struct guest_config *config, const char *text, struct why *why)
{
    struct disk_config disk;
    if (!disk_parse(&text, 1, &disk, why))
        return false;
    for (const struct disk_config *other = config->disks; other; other = other->next)
        if (other->devid == disk.devid)
            return fail(why, "disk '%.80s': another disk is called %s already", text, other->vdev);
    return config_add_disk(config, &disk) || fail(why, "out of memory");
}

/* The lowest number that no card has. */
static unsigned free_vif(const struct guest_config *config)
{
    unsigned devid = 0;
    for (const struct vif_config *vif = config->vifs; vif;)
        if (vif->devid == devid) {
            devid++;
            vif = config->vifs;
        } else {
            vif = vif->next;
        }
    return devid;
}

static bool read_vif(struct guest_config *config, const char *text, struct why *why)
{
    struct vif_config vif;
    if (!vif_parse(&text, 1, &vif, why))
        return false;
    vif_complete(&vif, free_vif(config), config->uuid);
    for (const struct vif_config *other = config->vifs; other; other = other->next) {
        if (other->devid == vif.devid)
            return fail(why, "vif '%.80s': another card has the number %u already", text, vif.devid);
        if (!memcmp(other->mac, vif.mac, sizeof vif.mac))
            return fail(why, "vif '%.80s': another card of the guest has this address", text);
    }
    return config_add_vif(config, &vif) || fail(why, "out of memory");
}

/* A list of strings, each of which is given to read(). */
static bool read_list(struct guest_config *config, const char *key, const char *example,
                      bool (*read)(struct guest_config *config, const char *text, struct why *why),
                      struct why *why)
{
    const struct cfg_setting *setting = cfg_find(&config->cfg, key);
    struct why reason;
    if (!setting)
        return true;
    if (setting->value->text)
        return config_fail(config, key, why, "a list of strings is needed: %s = [ '%s' ]", key, example);
    for (const struct cfg_value *item = setting->value->items; item; item = item->next) {
        if (!item->text) {
            fail(&reason, "%s: a string is needed, not a list: '%s'", key, example);
            return item_fail(config, item, &reason, why);
        }
        if (!read(config, item->text, &reason))
            return item_fail(config, item, &reason, why);
    }
    return true;
}

static bool read_devices(struct guest_config *config, struct why *why)
{
    return read_list(config, "disk", "/dev/vda1,raw,xvda,rw", read_disk, why) &&
           read_list(config, "vif", "bridge=xenbr0", read_vif, why);
}

bool check_name(const char *name, struct why *why)
{
    uint64_t number;
    if (!*name)
        return fail(why, "a domain's name cannot be empty");
    if (strlen(name) >= NAME_MAX)
        return fail(why, "%.20s...: a domain's name has at most %d characters", name, NAME_MAX - 1);
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p == '/' || *p > '~')
            return fail(why, "%s: a domain's name has no spaces, slashes or special characters", name);
    if (parse_number(name, &number))
        return fail(why, "%s: a domain's name cannot be a number, which would be taken for its id", name);
    return true;
}

static bool read_identity(struct guest_config *config, struct why *why)
{
    const char *name = NULL, *type = "pvh", *uuid = NULL, *builder = "pvh";
    struct why reason;
    if (!read_text(config, "name", &name, why) || !read_text(config, "type", &type, why) ||
        !read_text(config, "builder", &builder, why) || !read_text(config, "uuid", &uuid, why))
        return false;
    if (!name)
        return config_fail(config, "name", why, "not set: add name = \"...\"");
    if (!check_name(name, &reason))
        return config_fail(config, "name", why, "%s", reason.text);
    strlcpy(config->name, name, sizeof config->name);
    if (strcmp(type, "pvh"))
        return config_fail(config, "type", why,
                           "only type=\"pvh\" guests run here; a stock Linux kernel is one");
    if (!strcmp(builder, "hvm"))
        return config_fail(config, "builder", why, "only type=\"pvh\" guests run here: remove the line");
    if (uuid && !parse_uuid(uuid, config->uuid))
        return config_fail(config, "uuid", why,
                           "32 hex digits are needed, as 01234567-89ab-cdef-0123-456789abcdef");
    if (!uuid)
        make_uuid(config->uuid);
    return true;
}

static bool read_sizes(struct guest_config *config, struct why *why)
{
    uint64_t memory = DEFAULT_MEMORY >> 20, vcpus = 1;
    if (!read_number(config, "memory", 1, MOST_MIB, &memory, why))
        return false;
    uint64_t max_memory = memory;
    if (!read_number(config, "maxmem", memory, MOST_MIB, &max_memory, why) ||
        !read_number(config, "vcpus", 1, MOST_VCPUS, &vcpus, why))
        return false;
    uint64_t max_vcpus = vcpus;
    if (!read_number(config, "maxvcpus", vcpus, MOST_VCPUS, &max_vcpus, why))
        return false;
    config->memory = memory << 20;
    config->max_memory = max_memory << 20;
    config->vcpus = (unsigned)vcpus;
    config->max_vcpus = (unsigned)max_vcpus;
    return true;
}

/* A text, or a list of texts of which each is for one vCPU. What CPUs there are is for share.c to see. */
static bool read_cpus(const struct guest_config *config, const char *key, const struct cfg_value **value,
                      struct why *why)
{
    const struct cfg_setting *setting = cfg_find(&config->cfg, key);
    for (const struct cfg_value *item = setting ? setting->value->items : NULL; item; item = item->next)
        if (!item->text)
            return config_fail(config, key, why,
                               "a list has one text for each virtual CPU: [ \"0\", \"1-3\" ]");
    *value = setting ? setting->value : NULL;
    return true;
}

static bool read_share(struct guest_config *config, struct why *why)
{
    uint64_t weight = 0, cap = 0;
    if (!read_cpus(config, "cpus", &config->cpus, why) ||
        !read_cpus(config, "cpus_soft", &config->cpus_soft, why) ||
        !read_number(config, "cpu_weight", 1, UINT16_MAX, &weight, why) ||
        !read_number(config, "cap", 0, 100ull * config->max_vcpus, &cap, why))
        return false;
    config->cpu_weight = (uint16_t)weight;
    config->cap = (uint16_t)cap;
    return true;
}

/* A kernel of the archive, or GRUB, which finds one on the guest's disk. */
static bool read_kernel(struct guest_config *config, struct why *why)
{
    const char *firmware = NULL, *bootloader = NULL;
    if (!read_text(config, "kernel", &config->kernel, why) ||
        !read_text(config, "ramdisk", &config->ramdisk, why) ||
        !read_text(config, "firmware", &firmware, why) || !read_text(config, "bootloader", &bootloader, why))
        return false;
    if (bootloader && *bootloader)
        return config_fail(
            config, "bootloader", why,
            "this dom0 runs no such programs: firmware = \"pvgrub32\" boots the kernel that is on "
            "the guest's disk");
    if (firmware && strcmp(firmware, "pvgrub32"))
        return config_fail(config, "firmware", why, "it is pvgrub32, or a kernel is given");
    if (firmware && config->kernel)
        return config_fail(config, "firmware", why, "a kernel is given, too: remove one of them");
    if (firmware)
        config->kernel = GRUB_FILE;
    if (!config->kernel || !*config->kernel)
        return config_fail(config, "kernel", why,
                           "not set: add kernel = \"...\", a vmlinux or another PVH kernel");
    if (config->ramdisk && !*config->ramdisk)
        config->ramdisk = NULL;
    return true;
}

static bool interpret(struct guest_config *config, struct why *why)
{
    warn_of_ignored_keys(config);
    return read_identity(config, why) && read_devices(config, why) && read_sizes(config, why) &&
           read_share(config, why) && read_actions(config, why) && read_command_line(config, why) &&
           read_kernel(config, why);
}

struct guest_config *config_load(const char *file, const char *text, size_t size, char *const *arguments,
                                 size_t argument_count, struct why *why)
{
    struct guest_config *config = mem_alloc(sizeof *config);
    if (!config) {
        fail(why, "out of memory");
        return NULL;
    }
    /* The caller's name may not live as long as the configuration does. */
    size_t name_size = strlen(file) + 1;
    char *name = cfg_alloc(&config->cfg, name_size);
    bool ok = name ? cfg_read(&config->cfg, memcpy(name, file, name_size), text, size, why)
                   : fail(why, "out of memory");
    for (size_t i = 0; ok && i < argument_count; i++)
        ok = cfg_read_argument(&config->cfg, arguments[i], why);
    if (ok && interpret(config, why))
        return config;
    config_free(config);
    return NULL;
}

void config_free(struct guest_config *config)
{
    while (config->disks)
        config_drop_disk(config, config->disks->devid);
    while (config->vifs)
        config_drop_vif(config, config->vifs->devid);
    cfg_free(&config->cfg);
    mem_free(config);
}
