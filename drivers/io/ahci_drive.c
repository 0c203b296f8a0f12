/*
 * ATA drives as disks (ahci.h; IDENTIFY DEVICE: ATA8-ACS, 7.16). What may switch runs in the port's thread,
 * but for ahci_announce(), which waits for the drive's partition table while the port's thread sees to it
 * that requests end.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "ahci.h"

#define IDENTIFY_TIME (10 * SECOND)
#define SPIN_UP_TIME  (30 * SECOND)
#define MOST_NAMES    (27 * 26)

/* --- what it is ----------------------------------------------------------------------------------------- */

/* Texts in IDENTIFY have the first letter of each word in its upper half. */
static void read_text(char *to, size_t size, const uint16_t *word, unsigned count)
{
    uint8_t text[40];
    for (unsigned i = 0; i < count; i++) {
        text[2 * i] = (uint8_t)(word[i] >> 8);
        text[2 * i + 1] = (uint8_t)word[i];
    }
    drive_text(to, size, text, 2 * count);
}

/* A word that says by its upper two bits whether it is filled in. */
static bool has(const uint16_t *id, unsigned word, unsigned bit)
{
    return (id[word] & 0xc000) == 0x4000 && id[word] & 1u << bit;
}

static bool is_intact(const uint16_t *id)
{
    uint8_t sum = 0;
    for (unsigned i = 0; i < ID_WORDS; i++)
        sum += (uint8_t)(id[i] >> 8) + (uint8_t)id[i];
    return (id[ID_INTEGRITY] & 0xff) != 0xa5 || !sum;
}

static void read_sector_size(const uint16_t *id, struct ahci_identity *identity)
{
    identity->shift = 9;
    if (has(id, ID_SECTOR_SIZE, 12)) {
        uint32_t bytes = 2 * (id[ID_SECTOR_WORDS] | (uint32_t)id[ID_SECTOR_WORDS + 1] << 16);
        identity->shift = bytes == 4096 ? 12 : bytes == 512 ? 9 : 0;
    }
    identity->physical_shift = identity->shift;
    if (has(id, ID_SECTOR_SIZE, 13))
        identity->physical_shift += id[ID_SECTOR_SIZE] & 7;
}

/* NULL, or why the drive cannot be used. */
static const char *read_identity(const struct ahci *hba, const uint16_t *id, struct ahci_identity *identity)
{
    uint64_t sectors = 0;
    if (!is_intact(id))
        return "what it says of itself is damaged";
    if (id[0] & 0x8000)
        return "it is no ATA drive";
    if (!has(id, ID_COMMANDS_83, 10))
        return "it does not know 48-bit addresses";
    read_text(identity->model, sizeof identity->model, &id[ID_MODEL], 20);
    read_text(identity->serial, sizeof identity->serial, &id[ID_SERIAL], 10);
    read_sector_size(id, identity);
    if (!identity->shift)
        return "its sectors have neither 512 nor 4096 bytes";
    for (unsigned i = 0; i < 4; i++)
        sectors |= (uint64_t)id[ID_SECTORS + i] << 16 * i;
    if (!sectors || sectors >> 48)
        return "its size makes no sense";
    identity->sectors = sectors << (identity->shift - 9);
    if (hba->capabilities & CAP_SNCQ && id[ID_SATA] != 0xffff && id[ID_SATA] & 1u << 8) {
        uint32_t depth = (id[ID_QUEUE_DEPTH] & 31u) + 1;
        identity->queue_depth = depth < hba->slots ? depth : hba->slots;
    }
    identity->flush = has(id, ID_COMMANDS_83, 13);
    identity->fua = has(id, ID_COMMANDS_84, 6);
    identity->write_cache = id[ID_ENABLED_85] & 1u << 5;
    identity->trim = id[ID_TRIM] & 1;
    return NULL;
}

int ahci_identify(struct ahci_port *port, struct ahci_identity *identity, const char **why)
{
    static const struct ahci_command identify = {
        .command = ATA_IDENTIFY, .bytes = 512, .time = IDENTIFY_TIME};
    static const struct ahci_command spin_up = {
        .command = ATA_SET_FEATURES, .features = FEATURE_SPIN_UP, .time = SPIN_UP_TIME};
    uint16_t id[ID_WORDS];
    int error = ahci_command(port, &identify);
    memcpy(id, port->memory->data, sizeof id);
    if (!error && (id[ID_SPECIFIC] == 0x37c8 || id[ID_SPECIFIC] == 0x738c)) {
        error = ahci_command(port, &spin_up);
        if (!error)
            error = ahci_command(port, &identify);
        memcpy(id, port->memory->data, sizeof id);
    }
    if (error)
        return error;
    memset(identity, 0, sizeof *identity);
    *why = read_identity(port->hba, id, identity);
    return *why ? XEN_EOPNOTSUPP : 0;
}

/* --- as a disk ------------------------------------------------------------------------------------------ */

static void closed(struct disk *disk)
{
    if (disk->removed)
        mem_free(disk->driver_data);
}

static const struct disk_operations operations = {.submit = ahci_submit, .closed = closed};

struct ahci_drive *ahci_drive_create(struct ahci_port *port, const struct ahci_identity *identity)
{
    struct ahci_drive *drive = mem_alloc(sizeof *drive);
    if (!drive)
        return NULL;
    *drive = (struct ahci_drive){.port = port, .identity = *identity};
    drive->disk = (struct disk){.driver = "ahci",
                                .operations = &operations,
                                .sectors = identity->sectors,
                                .sector_size = 1u << identity->shift,
                                .physical_sector_size = 1u << identity->physical_shift,
                                .max_segments = AHCI_PRDS,
                                .max_bytes = AHCI_PRDS * 4096u,
                                .max_discard = (uint64_t)TRIM_RANGES * TRIM_MOST << (identity->shift - 9),
                                .queues = 1,
                                .discard_granularity = identity->trim ? 1u << identity->shift : 0,
                                .flush = identity->flush && identity->write_cache,
                                .driver_data = drive};
    strlcpy(drive->disk.model, identity->model, sizeof drive->disk.model);
    return drive;
}

static bool name_taken(const char *name)
{
    const struct disk *disk;
    for (size_t i = 0; (disk = disk_at(i)); i++)
        if (!strcmp(disk->name, name))
            return true;
    return false;
}

/* sda to sdz, sdaa to sdzz; false: none is free. */
static bool choose_name(char *name, size_t size)
{
    for (unsigned i = 0; i < MOST_NAMES; i++) {
        char first[2] = {i >= 26 ? (char)('a' + i / 26 - 1) : '\0', '\0'};
        snprintf(name, size, "sd%s%c", first, 'a' + i % 26);
        if (!name_taken(name))
            return true;
    }
    return false;
}

static void describe(const struct ahci_drive *drive)
{
    const struct ahci_identity *id = &drive->identity;
    char size[DRIVE_SIZE_TEXT], queue[24] = "no queue";
    if (id->queue_depth)
        snprintf(queue, sizeof queue, "NCQ of %u", id->queue_depth);
    print("%s: %s, %s in sectors of %u bytes (%u physically), %s%s%s%s at %s\n", drive->disk.name, id->model,
          drive_size(&drive->disk, size), drive->disk.sector_size, drive->disk.physical_sector_size, queue,
          id->write_cache ? ", write cache" : "", id->fua ? ", FUA" : "", id->trim ? ", discard" : "",
          drive->port->name);
}

void ahci_announce(void *arg)
{
    struct ahci_drive *drive = arg;
    if (!drive->gone && choose_name(drive->disk.name, sizeof drive->disk.name)) {
        describe(drive);
        drive->announced = disk_add(&drive->disk);
    }
    drive->announcing = false;
}

void ahci_drive_lost(struct ahci_drive *drive)
{
    struct ahci_port *port = drive->port;
    struct request_list failed = port->waiting;
    struct disk_request *request;
    port->waiting = (struct request_list){.first = NULL};
    drive->gone = true;
    port->drive = NULL;
    while ((request = request_take(&failed)))
        request->done(request, XEN_EIO);
    while (drive->announcing)
        thread_sleep(MILLISECOND);
    if (!drive->announced) {
        mem_free(drive);
        return;
    }
    print("%s: is gone\n", drive->disk.name);
    /* Ours is the last use, so that it is not freed while it is taken away. */
    drive->disk.users++;
    disk_remove(&drive->disk);
    if (!--drive->disk.users)
        mem_free(drive);
}
