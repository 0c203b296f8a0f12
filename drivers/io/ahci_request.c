/*
 * Requests as ATA commands (ahci.h; ATA8-ACS chapter 7, SATA 13.6). Handler context.
 *
 * Reads and writes go into the drive's own queue where it has one; everything else, and what failed before
 * with nobody known to be guilty, goes alone: then an error says whose it is. ATA does not allow both at a
 * time, so the list waits when the kind changes.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "ahci.h"
#include "registers.h"

#define IO_TIME    (30 * SECOND)
#define OTHER_TIME (120 * SECOND) /* flush, trim */

/* request->tag: failures in the low bits, and */
#define ALONE 0x100u
/* request->part of a write that a flush must follow, as the drive has no FUA */
#define PART_FLUSH 1u

static bool is_queued(const struct ahci_drive *drive, const struct disk_request *request)
{
    return drive->identity.queue_depth &&
           (request->operation == DISK_READ || request->operation == DISK_WRITE) && !request->part &&
           !(request->tag & ALONE);
}

static void set_lba(struct ata_fis *fis, uint64_t lba)
{
    fis->device |= DEVICE_LBA;
    for (unsigned i = 0; i < 3; i++) {
        fis->lba_low[i] = (uint8_t)(lba >> 8 * i);
        fis->lba_high[i] = (uint8_t)(lba >> (24 + 8 * i));
    }
}

static void fill_data(const struct ahci_drive *drive, struct ata_fis *fis, const struct disk_request *request,
                      unsigned slot, bool queued)
{
    uint32_t shift = drive->identity.shift - 9;
    uint16_t count = (uint16_t)(request->sectors >> shift); /* 65536 is 0 */
    bool write = request->operation == DISK_WRITE;
    bool fua = write && request->force_unit_access && drive->identity.fua;
    set_lba(fis, request->sector >> shift);
    if (queued) {
        fis->command = write ? ATA_WRITE_FPDMA : ATA_READ_FPDMA;
        fis->features = (uint8_t)count;
        fis->features_high = (uint8_t)(count >> 8);
        fis->count = (uint8_t)(slot << 3);
        fis->device |= fua ? DEVICE_FUA : 0;
    } else {
        fis->command = !write ? ATA_READ_DMA_EXT : fua ? ATA_WRITE_DMA_FUA_EXT : ATA_WRITE_DMA_EXT;
        fis->count = (uint8_t)count;
        fis->count_high = (uint8_t)(count >> 8);
    }
}

static void fill_trim(const struct ahci_drive *drive, struct ahci_table *table,
                      const struct disk_request *request)
{
    uint64_t lba = request->sector >> (drive->identity.shift - 9);
    uint64_t left = request->sectors >> (drive->identity.shift - 9);
    memset(table->trim, 0, sizeof table->trim);
    for (unsigned i = 0; i < TRIM_RANGES && left; i++) {
        uint64_t count = left < TRIM_MOST ? left : TRIM_MOST;
        table->trim[i] = lba | count << TRIM_LENGTH;
        lba += count;
        left -= count;
    }
    table->fis.command = ATA_DATA_SET_MANAGEMENT;
    table->fis.features = DSM_TRIM;
    table->fis.device = DEVICE_LBA;
    table->fis.count = 1; /* block of ranges */
}

/* Returns the number of PRDs, and how many bytes they have. */
static uint16_t fill_prds(struct ahci_table *table, const struct disk_request *request, uint32_t *bytes)
{
    for (unsigned i = 0; i < request->segment_count; i++) {
        table->prd[i] =
            (struct ahci_prd){.address = request->segments[i].bus, .bytes = request->segments[i].bytes - 1};
        *bytes += request->segments[i].bytes;
    }
    return (uint16_t)request->segment_count;
}

static void fill(struct ahci_port *port, unsigned number, struct disk_request *request, bool queued)
{
    const struct ahci_drive *drive = port->drive;
    struct ahci_table *table = &port->tables[number];
    struct ahci_slot *slot = &port->slot[number];
    bool flush = request->operation == DISK_FLUSH || request->part == PART_FLUSH;
    struct ahci_header header = {.flags = HEADER_FIS_WORDS, .ctba = dma_address(table)};
    table->fis = (struct ata_fis){.type = FIS_HOST_TO_DEVICE, .flags = FIS_COMMAND};
    slot->request = request;
    slot->bytes = 0;
    slot->deadline = time_ns() + (flush || request->operation == DISK_DISCARD ? OTHER_TIME : IO_TIME);
    if (flush) {
        table->fis.command = ATA_FLUSH_CACHE_EXT;
        table->fis.device = DEVICE_LBA;
    } else if (request->operation == DISK_DISCARD) {
        fill_trim(drive, table, request);
        slot->bytes = sizeof table->trim;
        table->prd[0] =
            (struct ahci_prd){.address = dma_address(table->trim), .bytes = sizeof table->trim - 1};
        header.prdtl = 1;
        header.flags |= HEADER_WRITE;
    } else {
        fill_data(drive, &table->fis, request, number, queued);
        header.prdtl = fill_prds(table, request, &slot->bytes);
        header.flags |= request->operation == DISK_WRITE ? HEADER_WRITE : 0;
    }
    port->memory->header[number] = header;
}

void ahci_start_waiting(struct ahci_port *port)
{
    struct disk_request *request;
    uint32_t new = 0, room = 0;
    if (port->state != PORT_RUNNING)
        return;
    uint32_t depth = port->drive->identity.queue_depth;
    room = depth >= 32 ? ~0u : depth ? port_bit(depth) - 1 : 1;
    while ((request = port->waiting.first) && !(port->issued && port->exclusive)) {
        bool queued = is_queued(port->drive, request);
        uint32_t available = room & ~port->issued;
        if (queued ? !available : port->issued != 0)
            break;
        unsigned number = (unsigned)__builtin_ctz(available);
        fill(port, number, request_take(&port->waiting), queued);
        port->exclusive = !queued;
        port->issued |= port_bit(number);
        new |= port_bit(number);
    }
    if (!new)
        return;
    if (!port->exclusive)
        register_write(port->registers, PORT_SACT, new);
    register_write(port->registers, PORT_CI, new);
    if (!port->watching) {
        port->watching = true;
        signal_set(&port->wake);
    }
}

void ahci_submit(struct disk *disk, struct disk_request *request)
{
    struct ahci_drive *drive = disk->driver_data;
    struct ahci_port *port = drive->port;
    if (drive->gone) {
        request->done(request, XEN_EIO);
        return;
    }
    request->tag = request->part = 0;
    request_append(&port->waiting, request);
    ahci_start_waiting(port);
}

/* --- the end of requests -------------------------------------------------------------------------------- */

/* It failed once more. */
static void failed(struct ahci_port *port, struct disk_request *request, int error)
{
    if ((++request->tag & (ALONE - 1)) < AHCI_ATTEMPTS) {
        request->tag |= ALONE;
        request_prepend(&port->waiting, request);
        return;
    }
    drive_complain(&port->said, &port->drive->disk, request, error);
    request->done(request, error);
}

static void carried_out(struct ahci_port *port, unsigned number)
{
    struct disk_request *request = port->slot[number].request;
    const struct ahci_drive *drive = port->drive;
    uint32_t moved = *(volatile uint32_t *)&port->memory->header[number].prdbc;
    /* The count of bytes means nothing for commands of the drive's queue (AHCI, 4.2.2). */
    if (port->exclusive && request->operation == DISK_READ && moved != port->slot[number].bytes) {
        failed(port, request, XEN_EIO);
        return;
    }
    port->resets = 0;
    if (request->operation == DISK_WRITE && request->force_unit_access && !drive->identity.fua &&
        drive->identity.flush && !request->part) {
        request->part = PART_FLUSH;
        request_prepend(&port->waiting, request);
        return;
    }
    request->done(request, 0);
}

void ahci_complete(struct ahci_port *port)
{
    uint32_t busy = register_read(port->registers, PORT_CI);
    if (!port->exclusive)
        busy |= register_read(port->registers, PORT_SACT);
    uint32_t finished = port->issued & ~busy;
    port->issued &= ~finished;
    /* done() submits more; those must not take slots whose end is still to come. */
    port->state = PORT_BUSY;
    for (; finished; finished &= finished - 1)
        carried_out(port, (unsigned)__builtin_ctz(finished));
    port->state = PORT_RUNNING;
    ahci_start_waiting(port);
}

void ahci_take_back(struct ahci_port *port, uint32_t guilty, int error)
{
    uint32_t left = port->issued;
    port->issued = 0;
    if (port->exclusive)
        guilty = left;
    while (left) {
        unsigned number = 31 - (unsigned)__builtin_clz(left);
        struct disk_request *request = port->slot[number].request;
        left &= ~port_bit(number);
        if (guilty & port_bit(number)) {
            failed(port, request, error);
        } else {
            request->tag |= guilty ? 0 : ALONE;
            request_prepend(&port->waiting, request);
        }
    }
}
