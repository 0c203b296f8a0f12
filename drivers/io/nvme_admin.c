/*
 * NVMe admin commands (nvme.h; Base 2.0, chapter 5). Those that wait may switch; one thread at a time does
 * so: the one that probes, then the controller's own. What they read comes to nvme->page.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "nvme.h"
#include "registers.h"

#define ADMIN_TIME (20 * SECOND)
#define POLL_TIME  MILLISECOND /* an interrupt comes earlier, once there are any */

/* Nobody waits for it any more; the answer may still come. */
static void forget(struct nvme_queue *queue, const struct nvme_own *own)
{
    for (unsigned i = 0; i < NVME_DEPTH; i++)
        if (queue->slot[i].own == own)
            queue->slot[i].own = NULL;
}

int nvme_admin(struct nvme *nvme, const struct nvme_command *command, uint32_t *result)
{
    struct nvme_queue *admin = &nvme->queue[0];
    struct nvme_own own;
    uint64_t deadline = time_ns() + ADMIN_TIME;
    if (nvme->broken || !nvme_send(admin, command, &own, FOREVER))
        return XEN_EIO;
    nvme_queue_poll(admin);
    while (!own.done) {
        if (nvme->broken || time_ns() >= deadline || register_read(nvme->registers, NVME_CSTS) == CSTS_GONE) {
            forget(admin, &own);
            nvme_wake(nvme, "an admin command was not answered");
            return XEN_ETIMEDOUT;
        }
        signal_wait(&nvme->admin_done, time_ns() + POLL_TIME);
        nvme_queue_poll(admin);
    }
    if (result)
        *result = own.result;
    if (!STATUS_CODE(own.status))
        return 0;
    return STATUS_CODE(own.status) == STATUS_INVALID_NAMESPACE ? XEN_ENOENT : XEN_EIO;
}

int nvme_identify(struct nvme *nvme, uint8_t cns, uint32_t nsid)
{
    struct nvme_command command = {
        .opcode = ADMIN_IDENTIFY, .nsid = nsid, .data = {dma_address(nvme->page)}, .DWORD(10) = cns};
    memset(nvme->page, 0, NVME_PAGE);
    return nvme_admin(nvme, &command, NULL);
}

/* Only at the start: what was said then holds, whatever a reset may have changed. */
static void keep_identity(struct nvme *nvme)
{
    const volatile struct nvme_controller_data *data = nvme->page;
    uint8_t mdts = data->mdts;
    drive_text(nvme->model, sizeof nvme->model, (const uint8_t *)data->model, sizeof data->model);
    nvme->version = data->version;
    nvme->max_bytes = NVME_SEGMENTS * NVME_PAGE;
    if (mdts && mdts < 16 && NVME_PAGE << mdts < nvme->max_bytes)
        nvme->max_bytes = NVME_PAGE << mdts;
    nvme->sgl = data->sgls & SGLS_ANY;
    nvme->discard = data->oncs & ONCS_DATASET;
    nvme->write_cache = data->vwc & VWC_PRESENT;
    nvme->tells_changes = data->oaes & EVENT_NAMESPACES;
}

int nvme_identify_controller(struct nvme *nvme)
{
    int error = nvme_identify(nvme, CNS_CONTROLLER, 0);
    if (error)
        return error;
    if (nvme->state == NVME_STARTING)
        keep_identity(nvme);
    return nvme->tells_changes ? nvme_set_feature(nvme, FEATURE_EVENTS, EVENT_NAMESPACES, NULL) : 0;
}

int nvme_set_feature(struct nvme *nvme, uint8_t feature, uint32_t value, uint32_t *result)
{
    struct nvme_command command = {.opcode = ADMIN_SET_FEATURES, .DWORD(10) = feature, .DWORD(11) = value};
    return nvme_admin(nvme, &command, result);
}

static int create_queue(struct nvme *nvme, uint8_t opcode, const struct nvme_queue *queue, const void *memory,
                        uint32_t how)
{
    struct nvme_command command = {.opcode = opcode,
                                   .data = {dma_address(memory)},
                                   .DWORD(10) = (queue->depth - 1u) << 16 | queue->id,
                                   .DWORD(11) = how | CREATE_CONTIGUOUS};
    return nvme_admin(nvme, &command, NULL);
}

int nvme_create_queues(struct nvme *nvme)
{
    int error = 0;
    for (unsigned i = 1; i <= nvme->io_queues && !error; i++) {
        struct nvme_queue *queue = &nvme->queue[i];
        nvme_queue_clear(queue);
        error = create_queue(nvme, ADMIN_CREATE_CQ, queue, queue->completions,
                             (uint32_t)queue->vector << 16 | CREATE_INTERRUPT);
        if (!error)
            error = create_queue(nvme, ADMIN_CREATE_SQ, queue, queue->submissions, (uint32_t)queue->id << 16);
    }
    return error;
}

int nvme_abort(struct nvme *nvme, const struct nvme_queue *queue, uint16_t command_id)
{
    struct nvme_command command = {.opcode = ADMIN_ABORT,
                                   .DWORD(10) = (uint32_t)command_id << 16 | queue->id};
    return nvme_admin(nvme, &command, NULL);
}

/* --- events (Base 2.0, 5.2) ----------------------------------------------------------------------------- */

void nvme_event_arm(struct nvme *nvme)
{
    struct nvme_command command = {.opcode = ADMIN_ASYNC_EVENT};
    nvme->event_sent = nvme_send(&nvme->queue[0], &command, &nvme->event, FOREVER) != NULL;
}

/* Reading its log page is what makes an event come again. */
static int read_log(struct nvme *nvme, uint32_t log)
{
    struct nvme_command command = {.opcode = ADMIN_LOG_PAGE,
                                   .nsid = EVERY_NAMESPACE,
                                   .data = {dma_address(nvme->page)},
                                   .DWORD(10) = (512 / 4 - 1) << 16 | log};
    return nvme_admin(nvme, &command, NULL);
}

void nvme_event_handle(struct nvme *nvme)
{
    struct nvme_own event = nvme->event;
    nvme->event_sent = false;
    nvme->event.done = false;
    /* A controller that refuses to send events is not asked again. */
    if (STATUS_CODE(event.status) || read_log(nvme, EVENT_LOG(event.result)))
        return;
    unsigned type = EVENT_TYPE(event.result), info = EVENT_INFO(event.result);
    if (type == EVENT_TYPE_NOTICE && info == NOTICE_NAMESPACES) {
        if (nvme_rescan(nvme))
            print("%s: the namespaces changed, but cannot be read\n", nvme->name);
    } else if (type == EVENT_TYPE_ERROR || type == EVENT_TYPE_HEALTH) {
        print("%s: the controller reports %s, code %u\n", nvme->name,
              type == EVENT_TYPE_ERROR ? "an error" : "a problem of its health", info);
    }
    if (!nvme->broken)
        nvme_event_arm(nvme);
}
