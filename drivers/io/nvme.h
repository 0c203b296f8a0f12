/*
 * The NVMe driver's own contract: nvme.c (controller), nvme_queue.c (queues and the requests in them),
 * nvme_admin.c (admin commands), nvme_namespace.c (namespaces as disks).
 *
 * Each controller has a thread, nvme_service() in a loop, which does all that waits: time-outs, resets,
 * events. Submission and completion run in handler context. While the state is not NVME_RUNNING requests only
 * gather in the queues' lists.
 */
#ifndef DRIVERS_IO_NVME_H
#define DRIVERS_IO_NVME_H

#include <dom0/thread.h>
#include <drivers/pci.h>
#include "drive.h"
#include "nvme_spec.h"

#define NVME_PAGE        4096u
#define NVME_DEPTH       64 /* entries of a queue: submissions are one page */
#define NVME_IO_QUEUES   4
#define NVME_SEGMENTS    128 /* of a command */
#define NVME_NAME        8
#define NVME_ATTEMPTS    3
#define NVME_MOST_RESETS 3 /* with no request carried out in between */

/* A command of the driver's own, which its sender waits for. */
struct nvme_own {
    bool done;
    uint16_t status;
    uint32_t result;
};

struct nvme_slot {
    bool busy;
    uint16_t id;                  /* of the command: the slot's number and how often it was used */
    bool bounced;                 /* it moves one block through the slot's page */
    uint32_t sectors;             /* of the request that this command moves */
    struct disk_request *request; /* or */
    struct nvme_own *own;         /* both NULL: nobody waits any more */
    uint64_t deadline;
};

/* What a command points to, one for each slot. */
union nvme_list {
    uint64_t page[NVME_SEGMENTS];
    struct nvme_sgl sgl[NVME_SEGMENTS];
    struct nvme_range range;
};

struct nvme_queue {
    struct nvme *nvme;
    uint16_t id, vector, depth;
    uint16_t tail, head; /* where we put submissions, where we look for completions */
    bool phase;
    unsigned in_flight; /* at most depth - 1 */
    struct nvme_command *submissions;
    struct nvme_completion *completions;
    union nvme_list *lists;
    char *bounce; /* a page for each slot, of controllers without SGLs */
    struct nvme_slot slot[NVME_DEPTH];
    struct request_list waiting;
};

enum nvme_state { NVME_STARTING, NVME_RUNNING, NVME_RESETTING, NVME_DEAD };

struct nvme {
    struct pci_function *pci;
    char name[NVME_NAME];
    char model[48];
    enum nvme_state state;
    volatile void *registers, *doorbells;
    uint32_t doorbell_stride;
    uint64_t ready_time; /* within which the controller follows CC.EN */
    uint16_t depth;
    unsigned io_queues;
    struct nvme_queue queue[1 + NVME_IO_QUEUES]; /* the first is the admin queue */
    void *page;                                  /* that admin commands read into */

    uint32_t max_bytes, version;
    bool sgl, discard, write_cache, tells_changes;

    struct signal wake, admin_done;
    bool watching;      /* the thread looks after what is in flight once a second */
    const char *broken; /* why the controller has to be reset; NULL: it has not */
    unsigned resets;
    struct nvme_own event; /* of the asynchronous event request that is outstanding */
    bool event_sent;
    struct drive_said said;

    struct nvme_namespace *namespaces;
    bool announcing;
};

struct nvme_namespace {
    struct nvme_namespace *next;
    struct nvme *nvme;
    uint32_t nsid;
    uint32_t shift; /* of a block's size */
    bool announced, gone, seen;
    unsigned unfinished; /* requests */
    struct disk disk;
};

/* --- nvme.c */
/* One round of the controller's thread. May switch. */
void nvme_service(struct nvme *nvme);
/* The thread is to look at it: why is a constant text, or NULL where it is only work. */
void nvme_wake(struct nvme *nvme, const char *why);

/* --- nvme_queue.c */
bool nvme_queue_alloc(struct nvme *nvme, unsigned index);
void nvme_queue_free(struct nvme_queue *queue);
/* As the controller sees it after its own start. */
void nvme_queue_clear(struct nvme_queue *queue);
/* A command of our own; deadline is when the thread takes it for lost. NULL: no room. */
struct nvme_slot *nvme_send(struct nvme_queue *queue, const struct nvme_command *command,
                            struct nvme_own *own, uint64_t deadline);
void nvme_submit(struct nvme_queue *queue, struct disk_request *request);
/* Sends what waits, as far as there is room. */
void nvme_queue_start(struct nvme_queue *queue);
/* Looks for completions. */
void nvme_queue_poll(struct nvme_queue *queue);
/*
 * Takes back what is in flight; the controller's DMA has been stopped. Requests go again, or fail when that
 * was their last attempt.
 */
void nvme_queue_abandon(struct nvme_queue *queue);
void nvme_request_end(struct disk_request *request, int error);

/* --- nvme_admin.c; those that wait may switch and return an errno */
int nvme_admin(struct nvme *nvme, const struct nvme_command *command, uint32_t *result);
int nvme_identify(struct nvme *nvme, uint8_t cns, uint32_t nsid);
int nvme_identify_controller(struct nvme *nvme);
int nvme_set_feature(struct nvme *nvme, uint8_t feature, uint32_t value, uint32_t *result);
int nvme_create_queues(struct nvme *nvme);
int nvme_abort(struct nvme *nvme, const struct nvme_queue *queue, uint16_t command_id);
/* Asks for news. */
void nvme_event_arm(struct nvme *nvme);
/* Looks at the news that came. */
void nvme_event_handle(struct nvme *nvme);

/* --- nvme_namespace.c */
/* Compares the namespaces that there are with those that we know. May switch. */
int nvme_rescan(struct nvme *nvme);
/*
 * Makes the new ones known as disks. Reads from them, so the controller's thread must not. nvme->announcing
 * is set before. May switch.
 */
void nvme_announce(void *nvme);
/* The namespace is no more: requests that wait fail now, those in flight in their time. */
void nvme_namespace_lost(struct nvme_namespace *ns);
/* Takes the disks away of those that are lost and have nothing in flight, then has new ones announced. */
void nvme_namespaces_update(struct nvme *nvme);

#endif
