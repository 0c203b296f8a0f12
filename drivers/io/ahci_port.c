/*
 * A port of an AHCI controller through its life: drives that come, fail and go (ahci.h; AHCI 1.3.1, 6.2, 7.3;
 * SATA 13.6.4).
 *
 * After an error the command engine is stopped, which ends all DMA of the port, and what was in flight goes
 * again. A drive with a queue tells by a log page which command was the bad one; if it does not, each goes by
 * itself until the bad one shows. Whatever cannot be helped by that takes the way of a newly plugged-in
 * drive, which begins with a reset of the link.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "ahci.h"
#include "registers.h"

#define LOG_TIME    (5 * SECOND)
#define MOST_RESETS 5
#define LOOKS       3 /* at a drive that does not answer well */
#define QUIET_TIME  SECOND

/* --- what is there -------------------------------------------------------------------------------------- */

static bool prepare_memory(struct ahci_port *port)
{
    if (!port->tables)
        port->tables = dma_alloc(port->hba->slots);
    return port->tables != NULL;
}

/* True with the identity of the drive that is there, whose port runs now. */
static bool look(struct ahci_port *port, struct ahci_identity *identity)
{
    for (unsigned i = 0; i < LOOKS && !port->hba->dead && !port->changed; i++) {
        const char *why;
        enum link link = ahci_link_reset(port);
        if (drive_is_gone(port->hba->pci, register_read(port->registers, PORT_SSTS))) {
            ahci_give_up(port->hba, "it does not answer any more");
            return false;
        }
        if (link == LINK_EMPTY || link == LINK_OTHER)
            return false;
        int error = link == LINK_STUCK ? XEN_ETIMEDOUT : ahci_identify(port, identity, &why);
        if (!error)
            return true;
        ahci_port_stop(port);
        if (error == XEN_EOPNOTSUPP) {
            print("%s: drive left alone: %s\n", port->name, why);
            return false;
        }
    }
    if (!port->hba->dead && !port->changed)
        print("%s: there is a drive that does not answer\n", port->name);
    return false;
}

static void run(struct ahci_port *port)
{
    if (port->changed)
        return;
    port->state = port->drive ? PORT_RUNNING : PORT_EMPTY;
    register_write(port->registers, PORT_IE, port->drive ? IS_WANTED : IS_CHANGES);
    if (port->drive)
        ahci_start_waiting(port);
}

static void announce_later(struct ahci_port *port)
{
    struct ahci_drive *drive = port->drive;
    drive->announcing = true;
    if (!thread_create(ahci_announce, drive)) {
        drive->announcing = false;
        print("%s: no memory for a new disk\n", port->name);
    }
}

/*
 * Everything from the beginning: whatever is there now, with the requests that were in flight where it is the
 * same drive as before.
 */
static void attach(struct ahci_port *port, uint32_t guilty, int error)
{
    struct ahci_identity identity;
    port->state = PORT_BUSY;
    port->changed = false;
    port->trouble = NULL;
    ahci_port_stop(port);
    ahci_take_back(port, guilty, error);
    bool found =
        !port->changed && port->resets++ < MOST_RESETS && prepare_memory(port) && look(port, &identity);
    /* The controller was reset meanwhile: everything again. */
    if (port->hba->dead || port->changed)
        return;
    if (port->drive && !(found && !memcmp(&identity, &port->drive->identity, sizeof identity)))
        ahci_drive_lost(port->drive);
    if (found && !port->drive) {
        port->drive = ahci_drive_create(port, &identity);
        if (port->drive && port->hba->running)
            announce_later(port);
    }
    if (!port->drive)
        port->resets = 0;
    run(port);
}

/* --- errors --------------------------------------------------------------------------------------------- */

static uint32_t overdue(const struct ahci_port *port)
{
    uint32_t slots = 0;
    uint64_t now = time_ns();
    for (unsigned i = 0; i < AHCI_SLOTS; i++)
        if (port->issued & port_bit(i) && port->slot[i].deadline <= now)
            slots |= port_bit(i);
    return slots;
}

/* Which queued command was the bad one; reading that makes the drive take commands again. */
static bool read_error_log(struct ahci_port *port, uint32_t *guilty)
{
    static const struct ahci_command command = {
        .command = ATA_READ_LOG_EXT, .count = 1, .lba = LOG_NCQ_ERROR, .bytes = 512, .time = LOG_TIME};
    if (ahci_command(port, &command))
        return false;
    uint8_t first = port->memory->data[0];
    if (!(first & NCQ_ERROR_NQ))
        *guilty = port_bit(first & NCQ_ERROR_TAG) & port->issued;
    return true;
}

static void recover(struct ahci_port *port)
{
    uint32_t guilty = overdue(port), cause = port->cause;
    uint32_t file = register_read(port->registers, PORT_TFD);
    print("%s: %s: status %02x, error %02x, interrupts %08x\n", port->drive->disk.name, port->trouble,
          file & 0xff, TFD_ERROR(file), cause);
    port->trouble = NULL;
    port->cause = 0;
    bool link_is_good =
        !guilty && !(cause & ~IS_TFES & IS_ERRORS) && ahci_port_pause(port) && ahci_port_start(port);
    if (!link_is_good || (!port->exclusive && !read_error_log(port, &guilty))) {
        attach(port, guilty, guilty ? XEN_ETIMEDOUT : XEN_EIO);
        return;
    }
    ahci_take_back(port, guilty, XEN_EIO);
    run(port);
}

void ahci_port_event(struct ahci_port *port, uint32_t status)
{
    if (port->state == PORT_BUSY)
        return;
    port->changed |= (status & IS_CHANGES) != 0;
    if (port->state == PORT_RUNNING && status & IS_ERRORS) {
        port->trouble = "the drive reports an error";
        port->cause = status;
    }
    if (!port->changed && !port->trouble) {
        if (port->state == PORT_RUNNING)
            ahci_complete(port);
        return;
    }
    port->state = PORT_BUSY;
    register_write(port->registers, PORT_IE, 0);
    signal_set(&port->wake);
}

/* --- the thread ----------------------------------------------------------------------------------------- */

/* Once a second while something is in flight: interrupts may be lost, drives silent. */
static void look_after(struct ahci_port *port)
{
    uint32_t status = register_read(port->registers, PORT_IS);
    if (drive_is_gone(port->hba->pci, status)) {
        ahci_give_up(port->hba, "it does not answer any more");
        return;
    }
    register_write(port->registers, PORT_IS, status);
    ahci_port_event(port, status);
    if (port->state != PORT_RUNNING || !overdue(port))
        return;
    port->trouble = "a command got no answer in time";
    port->state = PORT_BUSY;
}

void ahci_port_service(struct ahci_port *port)
{
    if (!port->hba->dead && port->state == PORT_RUNNING)
        look_after(port);
    if (!port->hba->dead && port->changed)
        attach(port, 0, XEN_EIO);
    else if (!port->hba->dead && port->trouble)
        recover(port);
    if (port->hba->dead) {
        ahci_take_back(port, 0, XEN_EIO);
        if (port->drive)
            ahci_drive_lost(port->drive);
    }
    port->settled = true;
}

void ahci_port_serve(void *arg)
{
    struct ahci_port *port = arg;
    struct ahci *hba = port->hba;
    for (;;) {
        while (hba->resetting)
            thread_sleep(MILLISECOND);
        ahci_port_service(port);
        if (hba->dead)
            break;
        port->watching = port->issued != 0;
        signal_wait(&port->wake, port->watching ? time_ns() + QUIET_TIME : FOREVER);
    }
    dma_free(port->memory, 1);
    if (port->tables)
        dma_free(port->tables, hba->slots);
    hba->port[port->number] = NULL;
    mem_free(port);
    if (!--hba->threads)
        ahci_free(hba);
}
