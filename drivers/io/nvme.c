/*
 * NVMe controllers (NVM Express Base 2.0, NVM Command Set 1.0, PCIe Transport 1.0): found, started, watched,
 * reset, given up.
 *
 * A request that gets no answer is aborted; if that does not help, or the controller reports its own failure,
 * the controller is reset, which ends its DMA, and everything goes again. One that does not come back is cut
 * off from memory, and its disks are gone. See nvme.h for who runs in which context.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "nvme.h"
#include "drivers.h"
#include "registers.h"

#define CLASS_STORAGE  0x01
#define SUBCLASS_NVM   0x08
#define INTERFACE_NVME 0x02

#define READY_UNIT (500 * MILLISECOND)

static unsigned controllers;

static uint32_t read_register(const struct nvme *nvme, uint32_t offset)
{
    return register_read(nvme->registers, offset);
}

static void write_register(struct nvme *nvme, uint32_t offset, uint32_t value)
{
    register_write(nvme->registers, offset, value);
}

void nvme_wake(struct nvme *nvme, const char *why)
{
    if (why && !nvme->broken)
        nvme->broken = why;
    signal_set(&nvme->wake);
}

/* --- start and stop (Base 2.0, 3.5, 3.6) ---------------------------------------------------------------- */

static bool wait_ready(const struct nvme *nvme, bool ready)
{
    for (uint64_t deadline = time_ns() + nvme->ready_time;;) {
        uint32_t status = read_register(nvme, NVME_CSTS);
        if (status == CSTS_GONE || (ready && status & CSTS_CFS))
            return false;
        if (!(status & CSTS_RDY) == !ready)
            return true;
        if (time_ns() >= deadline)
            return false;
        thread_sleep(MILLISECOND);
    }
}

/* True: the controller does no DMA any more. */
static bool stop(struct nvme *nvme)
{
    uint32_t configuration = read_register(nvme, NVME_CC);
    if (configuration & CC_EN) {
        /* It must have become ready before it is stopped. */
        wait_ready(nvme, true);
        write_register(nvme, NVME_CC, configuration & ~CC_EN);
    }
    return wait_ready(nvme, false);
}

static int enable(struct nvme *nvme)
{
    struct nvme_queue *admin = &nvme->queue[0];
    uint64_t submissions = dma_address(admin->submissions), completions = dma_address(admin->completions);
    uint32_t high = read_register(nvme, NVME_CAP_HIGH);
    bool several = !(high & CAP_HIGH_CSS_NVM) && high & CAP_HIGH_CSS_SEVERAL;
    if (!stop(nvme))
        return XEN_ETIMEDOUT;
    nvme_queue_clear(admin);
    write_register(nvme, NVME_AQA, (admin->depth - 1u) << 16 | (admin->depth - 1u));
    write_register(nvme, NVME_ASQ, (uint32_t)submissions);
    write_register(nvme, NVME_ASQ + 4, (uint32_t)(submissions >> 32));
    write_register(nvme, NVME_ACQ, (uint32_t)completions);
    write_register(nvme, NVME_ACQ + 4, (uint32_t)(completions >> 32));
    write_register(nvme, NVME_CC, CC_EN | CC_IOSQES | CC_IOCQES | (several ? CC_CSS_SEVERAL : 0));
    if (!wait_ready(nvme, true))
        return XEN_ETIMEDOUT;
    nvme->broken = NULL;
    nvme->event_sent = nvme->event.done = false;
    return nvme_identify_controller(nvme);
}

/* Asks for want I/O queues; *granted is how many there may be. */
static int ask_queues(struct nvme *nvme, unsigned want, unsigned *granted)
{
    uint32_t result;
    int error = nvme_set_feature(nvme, FEATURE_QUEUES, (want - 1) << 16 | (want - 1), &result);
    if (error)
        return error;
    uint32_t submission = (result & 0xffff) + 1, completion = (result >> 16) + 1;
    *granted = submission < completion ? submission : completion;
    if (*granted > want)
        *granted = want;
    return 0;
}

/* --- trouble -------------------------------------------------------------------------------------------- */

/* Nothing more is expected of the controller. */
static void give_up(struct nvme *nvme, const char *why)
{
    print("%s: %s: its disks are gone\n", nvme->name, why);
    nvme->state = NVME_DEAD;
    pci_disable(nvme->pci);
    pci_interrupts_off(nvme->pci);
    for (unsigned i = 0; i <= nvme->io_queues; i++)
        nvme_queue_abandon(&nvme->queue[i]);
    for (struct nvme_namespace *ns = nvme->namespaces; ns; ns = ns->next)
        nvme_namespace_lost(ns);
}

static int restart(struct nvme *nvme)
{
    unsigned granted;
    int error = enable(nvme);
    if (!error)
        error = ask_queues(nvme, nvme->io_queues, &granted);
    if (!error && granted < nvme->io_queues)
        error = XEN_EIO;
    if (!error)
        error = nvme_create_queues(nvme);
    return error;
}

static void reset(struct nvme *nvme)
{
    if (nvme->resets++ >= NVME_MOST_RESETS) {
        give_up(nvme, "does not work in spite of resets");
        return;
    }
    print("%s: %s: it is reset\n", nvme->name, nvme->broken);
    nvme->state = NVME_RESETTING;
    if (!stop(nvme)) {
        give_up(nvme, "cannot be stopped");
        return;
    }
    for (unsigned i = 0; i <= nvme->io_queues; i++)
        nvme_queue_abandon(&nvme->queue[i]);
    if (restart(nvme)) {
        give_up(nvme, "does not start again");
        return;
    }
    nvme->state = NVME_RUNNING;
    nvme_event_arm(nvme);
    for (unsigned i = 1; i <= nvme->io_queues; i++)
        nvme_queue_start(&nvme->queue[i]);
    if (nvme_rescan(nvme))
        nvme_wake(nvme, "the namespaces cannot be read");
}

static void abort_overdue(struct nvme *nvme, struct nvme_queue *queue)
{
    for (unsigned i = 0; i < NVME_DEPTH && !nvme->broken; i++) {
        const struct nvme_slot *slot = &queue->slot[i];
        uint16_t id = slot->id;
        if (!slot->busy || slot->deadline > time_ns())
            continue;
        print("%s: a command got no answer in time: it is aborted\n", nvme->name);
        nvme_abort(nvme, queue, id);
        nvme_queue_poll(queue);
        if (slot->busy && slot->id == id)
            nvme_wake(nvme, "a command can not be aborted");
    }
}

static void look_after(struct nvme *nvme)
{
    for (unsigned i = 0; i <= nvme->io_queues; i++)
        nvme_queue_poll(&nvme->queue[i]);
    uint32_t status = read_register(nvme, NVME_CSTS);
    if (drive_is_gone(nvme->pci, status)) {
        give_up(nvme, "does not answer any more");
        return;
    }
    if (status & CSTS_CFS)
        nvme_wake(nvme, "it reports a fatal error");
    else if (!(status & CSTS_RDY))
        nvme_wake(nvme, "it stopped");
    for (unsigned i = 1; i <= nvme->io_queues; i++)
        abort_overdue(nvme, &nvme->queue[i]);
    if (nvme->broken)
        reset(nvme);
    if (nvme->state == NVME_RUNNING && nvme->event_sent && nvme->event.done)
        nvme_event_handle(nvme);
}

void nvme_service(struct nvme *nvme)
{
    if (nvme->state == NVME_RUNNING)
        look_after(nvme);
    nvme_namespaces_update(nvme);
}

static bool busy(const struct nvme *nvme)
{
    for (unsigned i = 1; i <= nvme->io_queues; i++)
        if (nvme->queue[i].in_flight)
            return true;
    return nvme->broken != NULL;
}

/* The controller does no DMA. */
static void release(struct nvme *nvme)
{
    for (unsigned i = 0; i <= NVME_IO_QUEUES; i++)
        nvme_queue_free(&nvme->queue[i]);
    if (nvme->page)
        dma_free(nvme->page, 1);
    nvme->pci->driver_data = NULL;
    mem_free(nvme);
}

static void serve(void *arg)
{
    struct nvme *nvme = arg;
    while (nvme->state != NVME_DEAD || nvme->namespaces) {
        nvme->watching = busy(nvme);
        signal_wait(&nvme->wake, nvme->watching ? time_ns() + SECOND : FOREVER);
        nvme_service(nvme);
    }
    release(nvme);
}

static void interrupt(void *arg)
{
    const struct nvme_queue *first = arg;
    struct nvme *nvme = first->nvme;
    for (unsigned i = 0; i <= nvme->io_queues && nvme->state != NVME_DEAD; i++)
        if (nvme->queue[i].vector == first->vector)
            nvme_queue_poll(&nvme->queue[i]);
}

/* --- finding it ----------------------------------------------------------------------------------------- */

static const char *map_registers(struct nvme *nvme)
{
    nvme->registers = pci_bar_map(nvme->pci, 0, 0, NVME_DOORBELLS);
    if (!nvme->registers)
        return "no registers";
    uint32_t low = read_register(nvme, NVME_CAP_LOW), high = read_register(nvme, NVME_CAP_HIGH);
    if (low == ~0u)
        return "it does not answer";
    if (CAP_HIGH_MPSMIN(high))
        return "it knows no pages of 4 KiB";
    if (!(high & (CAP_HIGH_CSS_NVM | CAP_HIGH_CSS_SEVERAL)))
        return "it has no I/O commands";
    nvme->doorbell_stride = 4u << CAP_HIGH_DSTRD(high);
    nvme->doorbells =
        pci_bar_map(nvme->pci, 0, NVME_DOORBELLS, 2 * (1 + NVME_IO_QUEUES) * nvme->doorbell_stride);
    if (!nvme->doorbells)
        return "no doorbells";
    uint32_t units = CAP_LOW_TO(low);
    if (high & CAP_HIGH_CRWMS && (read_register(nvme, NVME_CRTO) & 0xffff) > units)
        units = read_register(nvme, NVME_CRTO) & 0xffff;
    nvme->ready_time = (units + 1) * READY_UNIT;
    uint32_t entries = CAP_LOW_MQES(low) + 1;
    nvme->depth = entries < NVME_DEPTH ? (uint16_t)entries : NVME_DEPTH;
    return entries < 2 ? "its queues have one entry" : NULL;
}

/* As many queues as there are, and a vector for each, if possible. */
static const char *make_queues(struct nvme *nvme)
{
    void *arg[1 + NVME_IO_QUEUES];
    unsigned vectors = pci_msix_count(nvme->pci), granted;
    unsigned want = vectors > NVME_IO_QUEUES ? NVME_IO_QUEUES : vectors > 1 ? vectors - 1 : 1;
    if (ask_queues(nvme, want, &granted))
        return "it grants no queues";
    for (unsigned i = 0; i <= granted; i++) {
        if (i && !nvme_queue_alloc(nvme, i))
            return "no memory for its queues";
        arg[i] = &nvme->queue[i];
    }
    vectors = pci_interrupts(nvme->pci, granted + 1, interrupt, arg);
    if (!vectors)
        return "no interrupt";
    nvme->io_queues = granted;
    for (unsigned i = 0; i <= granted; i++)
        nvme->queue[i].vector = i < vectors ? (uint16_t)i : 0;
    return nvme_create_queues(nvme) ? "its queues cannot be created" : NULL;
}

static const char *start(struct nvme *nvme)
{
    const char *why = map_registers(nvme);
    if (why)
        return why;
    nvme->page = dma_alloc(1);
    if (!nvme->page || !nvme_queue_alloc(nvme, 0))
        return "no memory";
    if (enable(nvme))
        return "it does not start";
    why = make_queues(nvme);
    if (why)
        return why;
    if (nvme_rescan(nvme))
        return "its namespaces cannot be read";
    nvme->announcing = true;
    nvme->state = NVME_RUNNING;
    return thread_create(serve, nvme) ? NULL : "no memory for a thread";
}

static bool probe(struct pci_function *f)
{
    char where[PCI_NAME];
    if (f->class_code != CLASS_STORAGE || f->subclass != SUBCLASS_NVM || f->interface != INTERFACE_NVME)
        return false;
    struct nvme *nvme = mem_alloc(sizeof *nvme);
    if (!nvme)
        return false;
    *nvme = (struct nvme){.pci = f, .state = NVME_STARTING};
    snprintf(nvme->name, sizeof nvme->name, "nvme%u", controllers);
    pci_enable(f);
    const char *why = start(nvme);
    if (why) {
        print("%s: NVMe controller left alone: %s\n", pci_name(f, where), why);
        pci_disable(f);
        pci_interrupts_off(f);
        while (nvme->namespaces) {
            struct nvme_namespace *ns = nvme->namespaces;
            nvme->namespaces = ns->next;
            mem_free(ns);
        }
        release(nvme);
        return false;
    }
    controllers++;
    f->driver_data = nvme;
    nvme_event_arm(nvme);
    if (!nvme->namespaces)
        print("%s: %s without namespaces at %s\n", nvme->name, nvme->model, pci_name(f, where));
    nvme_announce(nvme);
    return true;
}

const struct pci_driver nvme_driver = {.name = "nvme", .probe = probe};
