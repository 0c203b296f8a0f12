/*
 * The AHCI driver's own contract: ahci.c (controller), ahci_link.c (a port's engines and link, single
 * commands), ahci_port.c (recovery and the port's thread), ahci_request.c (requests as commands),
 * ahci_drive.c (drives as disks).
 *
 * Each port has a thread, ahci_port_service() in a loop, which does all that waits. Submission and completion
 * run in handler context. Requests are given to the drive only while the state is PORT_RUNNING; while it is
 * PORT_BUSY the port's interrupts are off and its thread's own commands go.
 */
#ifndef DRIVERS_IO_AHCI_H
#define DRIVERS_IO_AHCI_H

#include <dom0/thread.h>
#include <drivers/pci.h>
#include "ahci_spec.h"
#include "drive.h"

#define AHCI_PORTS    32
#define AHCI_SLOTS    32
#define AHCI_PRDS     216
#define AHCI_ATTEMPTS 3
#define AHCI_NAME     16

/* What the command of one slot consists of: a page. */
struct ahci_table {
    struct ata_fis fis;
    uint8_t behind_fis[128 - sizeof(struct ata_fis)];
    struct ahci_prd prd[AHCI_PRDS];
    uint64_t trim[TRIM_RANGES];
};
_Static_assert(sizeof(struct ahci_table) == 4096, "a page, and the trim ranges on whole words");

struct ahci_memory {
    struct ahci_header header[AHCI_SLOTS];
    uint8_t received[256];
    uint8_t unused[2048 - 1024 - 256];
    uint8_t data[512]; /* of the driver's own commands */
    uint8_t unused_too[4096 - 2560];
};
_Static_assert(sizeof(struct ahci_memory) == 4096, "a page, and everything aligned as AHCI wants it");

/* What IDENTIFY said. Zeroed before it is filled, so that two can be compared as memory. */
struct ahci_identity {
    char model[41], serial[21];
    uint64_t sectors; /* of 512 bytes */
    uint32_t shift, physical_shift;
    uint32_t queue_depth; /* 0: no native queuing */
    bool fua, flush, write_cache, trim;
};

struct ahci_drive {
    struct disk disk;
    struct ahci_port *port;
    struct ahci_identity identity;
    bool gone, announced, announcing;
};

struct ahci_slot {
    struct disk_request *request;
    uint32_t bytes;
    uint64_t deadline;
};

enum port_state {
    PORT_BUSY,   /* its thread works at it */
    PORT_EMPTY,  /* waits for a drive to be plugged in */
    PORT_RUNNING /* takes requests */
};

struct ahci_port {
    struct ahci *hba;
    unsigned number;
    char name[AHCI_NAME];
    volatile void *registers;
    enum port_state state;
    struct ahci_memory *memory;
    struct ahci_table *tables;
    struct ahci_drive *drive; /* NULL: nothing that we use */

    struct ahci_slot slot[AHCI_SLOTS];
    uint32_t issued; /* slots in flight */
    bool exclusive;  /* what is in flight is one command outside the drive's queue */
    struct request_list waiting;

    struct signal wake;
    bool watching;       /* the thread looks after what is in flight once a second */
    bool changed;        /* the link or the controller: look at what is there */
    const char *trouble; /* why the port stopped; NULL: it has not */
    uint32_t cause;      /* PORT_IS by then */
    unsigned resets;     /* with no request carried out in between */
    struct drive_said said;
    bool settled; /* looked at once */
};

struct ahci {
    struct pci_function *pci;
    volatile void *registers;
    uint32_t capabilities, implemented;
    unsigned slots;
    bool dead;      /* its DMA is stopped for good */
    bool resetting; /* ports keep away */
    bool running;   /* the drives that were there at the start are disks; from now on ports announce theirs */
    unsigned threads;
    struct ahci_port *port[AHCI_PORTS]; /* NULL: not implemented */
};

/* One command of the driver's own. */
struct ahci_command {
    uint8_t command, features, count;
    uint64_t lba;
    uint32_t bytes; /* read to memory->data */
    uint64_t time;
};

static inline uint32_t port_bit(unsigned number)
{
    return 1u << number;
}

/* --- ahci.c */
/*
 * Resets the controller, since a port cannot be stopped; all ports look at their links anew. When that fails
 * the controller is cut off from memory, which stops it, too. May switch.
 */
void ahci_reset(struct ahci *hba);
/* It does not answer or cannot be stopped: no DMA from now on, its disks are lost. */
void ahci_give_up(struct ahci *hba, const char *why);
/* Its last thread is at its end, and its DMA stopped. */
void ahci_free(struct ahci *hba);

/* --- ahci_link.c; all may switch */
/* Both engines stand: no DMA from the port. Resorts to the link, the controller, the bus. */
void ahci_port_stop(struct ahci_port *port);
/* Only the command engine, as the first step after an error. False: the link has to be reset. */
bool ahci_port_pause(struct ahci_port *port);
/* The command engine runs. False: the drive is not ready. */
bool ahci_port_start(struct ahci_port *port);
enum link { LINK_EMPTY, LINK_DRIVE, LINK_OTHER, LINK_STUCK };
/*
 * Resets the link and waits for a drive; the port is stopped before, and runs afterwards where there is one.
 */
enum link ahci_link_reset(struct ahci_port *port);
/* Nothing is in flight and the port runs. Returns an errno. */
int ahci_command(struct ahci_port *port, const struct ahci_command *command);

/* --- ahci_port.c */
/* The port's thread; ends when the controller is dead. */
void ahci_port_serve(void *port);
void ahci_port_service(struct ahci_port *port);
/* What PORT_IS said; handler context. */
void ahci_port_event(struct ahci_port *port, uint32_t status);

/* --- ahci_request.c; handler context */
void ahci_submit(struct disk *disk, struct disk_request *request);
/* Gives the drive what waits, as far as it can go now. */
void ahci_start_waiting(struct ahci_port *port);
/* Ends what the drive has carried out. */
void ahci_complete(struct ahci_port *port);
/*
 * The port is stopped: what was in flight goes again. Requests of the slots in guilty have failed once more;
 * with none guilty each one is tried by itself.
 */
void ahci_take_back(struct ahci_port *port, uint32_t guilty, int error);

/* --- ahci_drive.c */
/* Into *identity; an errno, EOPNOTSUPP with *why for a drive that cannot be used. May switch. */
int ahci_identify(struct ahci_port *port, struct ahci_identity *identity, const char **why);
struct ahci_drive *ahci_drive_create(struct ahci_port *port, const struct ahci_identity *identity);
/*
 * Makes it known as a disk. Reads from it, so the port's thread must not. drive->announcing is set before.
 * May switch.
 */
void ahci_announce(void *drive);
/* It is not there any more, and nothing is in flight. May switch. */
void ahci_drive_lost(struct ahci_drive *drive);

#endif
