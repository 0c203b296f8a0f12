/* A pretended NVMe controller (nvme_model.h). It works when the driver waits, in nvme_tick(). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "drive_world.h"
#include "nvme_model.h"

#define PAGE    4096u
#define QUEUES  5
#define ENTRIES 64
#define HELD    64

struct queue {
    struct nvme_command *submissions;
    struct nvme_completion *completions;
    unsigned depth, completion_depth, vector;
    uint32_t head, tail; /* of submissions: ours, and the doorbell */
    uint32_t put;        /* of completions */
    uint32_t taken;      /* the doorbell of completions */
    bool phase;
    struct nvme_command held[HELD];
    unsigned held_count;
    uint64_t forgotten; /* submissions by their place, which were answered before they were looked at */
};

struct nvme_model model;
static struct queue queue[QUEUES];
static uint32_t cc, aqa, asq[2], acq[2];
static int event_id;
static struct pci_function function;

/* --- completions ---------------------------------------------------------------------------------------- */

/* It may use the driver's memory. */
static bool reaches_memory(void)
{
    return cc & CC_EN && world.master;
}

static void post(unsigned number, uint32_t result, uint32_t sq, uint32_t status)
{
    struct queue *q = &queue[number];
    if (!q->completions || !reaches_memory())
        return;
    q->completions[q->put] = (struct nvme_completion){
        result, 0, sq, (status & ~COMPLETION_PHASE) | (q->phase ? COMPLETION_PHASE : 0)};
    if (++q->put == q->completion_depth) {
        q->put = 0;
        q->phase = !q->phase;
    }
    if (!model.lose_interrupts)
        world_interrupt(q->vector);
}

void nvme_model_complete(unsigned number, uint32_t result, uint32_t sq, uint32_t status)
{
    struct queue *q = &queue[number];
    unsigned kept = 0;
    /* What was answered, however wrong, is not worked on any more. */
    for (unsigned i = 0; i < q->held_count; i++)
        if (q->held[i].id != (uint16_t)status)
            q->held[kept++] = q->held[i];
    q->held_count = kept;
    for (uint32_t i = q->head; reaches_memory() && q->submissions && i != q->tail; i = (i + 1) % q->depth)
        if (q->submissions[i].id == (uint16_t)status)
            q->forgotten |= 1ull << i;
    post(number, result, sq, status);
}

static void answer(unsigned number, uint16_t id, uint16_t status, uint32_t result)
{
    post(number, result, number << 16 | queue[number].head, (uint32_t)status << 17 | id);
}

void nvme_model_event(uint32_t result)
{
    int id = event_id;
    event_id = -1;
    if (id >= 0)
        answer(0, (uint16_t)id, 0, result);
}

int nvme_model_held(unsigned number, unsigned index)
{
    return index < queue[number].held_count ? queue[number].held[index].id : -1;
}

/* --- data (Base 2.0, 4.1) ------------------------------------------------------------------------------- */

static void move(bool to_host, uint64_t address, uint8_t *disk, uint64_t bytes)
{
    if (to_host)
        memcpy((void *)address, disk, bytes);
    else
        memcpy(disk, (const void *)address, bytes);
}

static void move_sgl(const struct nvme_command *c, bool to_host, uint8_t *disk, uint64_t bytes)
{
    struct nvme_sgl whole;
    memcpy(&whole, c->data, sizeof whole);
    assert(model.sgl && whole.type == SGL_LAST_SEGMENT && whole.length && whole.length % 16 == 0);
    const struct nvme_sgl *piece = (const void *)whole.address;
    for (unsigned i = 0; i < whole.length / 16; i++) {
        assert(piece[i].type == SGL_DATA && piece[i].length && piece[i].length <= bytes);
        move(to_host, piece[i].address, disk, piece[i].length);
        disk += piece[i].length;
        bytes -= piece[i].length;
    }
    assert(!bytes);
}

static void move_prps(const struct nvme_command *c, bool to_host, uint8_t *disk, uint64_t bytes)
{
    uint64_t n = PAGE - c->data[0] % PAGE;
    if (n > bytes)
        n = bytes;
    move(to_host, c->data[0], disk, n);
    disk += n;
    bytes -= n;
    bool in_list = bytes > PAGE;
    assert(!bytes || c->data[1] % (in_list ? 8 : PAGE) == 0);
    const uint64_t *list = in_list ? (const void *)c->data[1] : &c->data[1];
    for (unsigned i = 0; bytes; i++) {
        assert(list[i] % PAGE == 0);
        n = bytes < PAGE ? bytes : PAGE;
        move(to_host, list[i], disk, n);
        disk += n;
        bytes -= n;
    }
}

static uint16_t io_command(const struct nvme_command *c)
{
    uint64_t first = c->DWORD(10) | (uint64_t)c->DWORD(11) << 32, count = (c->DWORD(12) & 0xffff) + 1;
    bool write = c->opcode == IO_WRITE;
    assert(c->opcode == IO_READ || write);
    if (c->nsid < 1 || c->nsid > MODEL_NAMESPACES || !model.blocks[c->nsid - 1])
        return STATUS_INVALID_NAMESPACE | STATUS_DNR;
    if (first + count > model.blocks[c->nsid - 1])
        return STATUS_LBA_OUT_OF_RANGE | STATUS_DNR;
    if (model.fail_times && first <= model.fail_block && model.fail_block < first + count) {
        model.fail_times--;
        return model.fail_status;
    }
    assert(!model.mdts || count << model.shift <= (uint64_t)PAGE << model.mdts);
    model.forced += write && c->DWORD(12) & RW_FUA;
    uint8_t *disk = model.store + (first << model.shift);
    (c->flags & FLAGS_SGL ? move_sgl : move_prps)(c, !write, disk, count << model.shift);
    return 0;
}

static uint16_t dataset(const struct nvme_command *c)
{
    const struct nvme_range *range = (const void *)c->data[0];
    assert(c->DWORD(10) == 0 && c->DWORD(11) == DATASET_DEALLOCATE);
    if (range->first + range->blocks > model.blocks[0])
        return STATUS_LBA_OUT_OF_RANGE | STATUS_DNR;
    memset(model.store + (range->first << model.shift), 0, (uint64_t)range->blocks << model.shift);
    model.discards++;
    return 0;
}

/* --- admin commands ------------------------------------------------------------------------------------- */

static uint16_t identify(const struct nvme_command *c)
{
    void *page = (void *)c->data[0];
    memset(page, 0, PAGE);
    if (c->DWORD(10) == CNS_CONTROLLER) {
        struct nvme_controller_data *data = page;
        memcpy(data->model, "MODEL OF A DRIVE\x01                   ", 36);
        data->mdts = model.mdts;
        data->version = VERSION(1, 4);
        data->oaes = EVENT_NAMESPACES;
        data->nn = MODEL_NAMESPACES;
        data->oncs = ONCS_DATASET;
        data->vwc = model.write_cache;
        data->sgls = model.says_sgl;
    } else if (c->DWORD(10) == CNS_ACTIVE) {
        uint32_t *ids = page;
        for (unsigned i = 0; i < MODEL_NAMESPACES; i++)
            if (model.blocks[i])
                *ids++ = i + 1;
    } else if (c->nsid >= 1 && c->nsid <= MODEL_NAMESPACES) {
        struct nvme_namespace_data *data = page;
        data->size = model.blocks[c->nsid - 1];
        data->flbas = 1;
        data->nlbaf = 1;
        data->format[1] = model.shift << 16 | model.metadata;
        data->nsattr = model.write_protected;
    }
    return 0;
}

static uint16_t create(const struct nvme_command *c)
{
    unsigned number = c->DWORD(10) & 0xffff, depth = (c->DWORD(10) >> 16) + 1;
    assert(number >= 1 && number <= model.queues && depth >= 2 && depth <= ENTRIES);
    assert(c->DWORD(11) & CREATE_CONTIGUOUS && c->data[0] % PAGE == 0);
    struct queue *q = &queue[number];
    if (c->opcode == ADMIN_CREATE_CQ) {
        q->completions = (void *)c->data[0];
        q->completion_depth = depth;
        q->vector = c->DWORD(11) >> 16;
        q->put = 0;
        q->phase = true;
    } else {
        assert(q->completions && c->DWORD(11) >> 16 == number);
        q->submissions = (void *)c->data[0];
        q->depth = depth;
        q->head = q->tail = 0;
    }
    return 0;
}

static uint16_t abort_command(const struct nvme_command *c, uint32_t *result)
{
    struct queue *q = &queue[c->DWORD(10) & 0xffff];
    model.aborts++;
    *result = 1;
    for (unsigned i = 0; model.abort_works && i < q->held_count; i++)
        if (q->held[i].id == c->DWORD(10) >> 16) {
            *result = 0;
            answer((unsigned)(q - queue), q->held[i].id, 7, 0);
            memmove(&q->held[i], &q->held[i + 1], (--q->held_count - i) * sizeof q->held[0]);
            break;
        }
    return 0;
}

static void admin_command(const struct nvme_command *c)
{
    uint16_t status = 0;
    uint32_t result = 0;
    switch (c->opcode) {
    case ADMIN_IDENTIFY:
        status = identify(c);
        break;
    case ADMIN_SET_FEATURES:
        result = c->DWORD(10) == FEATURE_QUEUES ? (model.queues - 1) << 16 | (model.queues - 1) : 0;
        break;
    case ADMIN_CREATE_CQ:
    case ADMIN_CREATE_SQ:
        status = create(c);
        break;
    case ADMIN_ABORT:
        status = abort_command(c, &result);
        break;
    case ADMIN_LOG_PAGE:
        memset((void *)c->data[0], 0, ((c->DWORD(10) >> 16) + 1) * 4);
        break;
    case ADMIN_ASYNC_EVENT:
        event_id = c->id;
        return;
    default:
        status = STATUS_INVALID_OPCODE;
    }
    answer(0, c->id, status, result);
}

/* --- the controller ------------------------------------------------------------------------------------- */

static void serve(unsigned number)
{
    struct queue *q = &queue[number];
    assert((q->tail + q->depth - q->head) % q->depth < q->depth);
    while (q->head != q->tail) {
        struct nvme_command c = q->submissions[q->head];
        bool forgotten = q->forgotten >> q->head & 1;
        q->forgotten &= ~(1ull << q->head);
        q->head = (q->head + 1) % q->depth;
        if (forgotten)
            continue;
        if (number)
            model.commands++;
        if (number ? model.mute : model.mute_admin) {
            assert(q->held_count < HELD);
            q->held[q->held_count++] = c;
            if (q->held_count > model.most_at_once)
                model.most_at_once = q->held_count;
            continue;
        }
        if (!number)
            admin_command(&c);
        else if (c.opcode == IO_FLUSH)
            answer(number, c.id, model.flushes++ * 0, 0);
        else
            answer(number, c.id, c.opcode == IO_DATASET ? dataset(&c) : io_command(&c), 0);
    }
}

static void nvme_tick(void)
{
    if (!reaches_memory() || model.fatal || world.pulled_out)
        return;
    for (unsigned i = 0; i < QUEUES; i++) {
        struct queue *q = &queue[i];
        if (!q->submissions || q->tail >= q->depth)
            continue;
        /* What was held comes first again. */
        if (i && !model.mute)
            for (; q->held_count; q->held_count--) {
                struct nvme_command *c = &q->held[q->held_count - 1];
                answer(i, c->id,
                       c->opcode == IO_FLUSH     ? 0
                       : c->opcode == IO_DATASET ? dataset(c)
                                                 : io_command(c),
                       0);
            }
        serve(i);
    }
}

static void enable(void)
{
    model.starts++;
    memset(queue, 0, sizeof queue);
    event_id = -1;
    queue[0] = (struct queue){.submissions = (void *)(asq[0] | (uint64_t)asq[1] << 32),
                              .completions = (void *)(acq[0] | (uint64_t)acq[1] << 32),
                              .depth = (aqa & 0xfff) + 1,
                              .completion_depth = (aqa >> 16) + 1,
                              .phase = true};
}

static uint32_t nvme_read(uint32_t offset)
{
    switch (offset) {
    case NVME_CAP_LOW:
        return 2u << 24 | 1023;
    case NVME_CAP_HIGH:
        return CAP_HIGH_CSS_NVM;
    case NVME_CC:
        return cc;
    case NVME_CSTS:
        if (model.never_stops && !(cc & CC_EN))
            return CSTS_RDY;
        return (cc & CC_EN && !model.never_starts ? CSTS_RDY : 0) | (model.fatal ? CSTS_CFS : 0);
    default:
        return 0;
    }
}

static void nvme_write(uint32_t offset, uint32_t value)
{
    if (offset >= NVME_DOORBELLS) {
        unsigned index = (offset - NVME_DOORBELLS) / 4, number = index / 2;
        assert(number < QUEUES && value < ENTRIES);
        *(index % 2 ? &queue[number].taken : &queue[number].tail) = value;
        return;
    }
    switch (offset) {
    case NVME_CC:
        if (value & CC_EN && !(cc & CC_EN))
            enable();
        else if (!(value & CC_EN))
            memset(queue, 0, sizeof queue);
        if (!(value & CC_EN))
            model.fatal = false;
        cc = value;
        model.enabled = value & CC_EN;
        break;
    case NVME_AQA:
        aqa = value;
        break;
    case NVME_ASQ:
    case NVME_ASQ + 4:
        asq[(offset - NVME_ASQ) / 4] = value;
        break;
    case NVME_ACQ:
    case NVME_ACQ + 4:
        acq[(offset - NVME_ACQ) / 4] = value;
        break;
    }
}

struct pci_function *nvme_model_reset(void)
{
    world_reset();
    nvme_model_end();
    world.read = nvme_read;
    world.write = nvme_write;
    world.tick = nvme_tick;
    cc = 0;
    memset(queue, 0, sizeof queue);
    model = (struct nvme_model){.blocks = {4096},
                                .shift = 9,
                                .queues = 4,
                                .sgl = true,
                                .says_sgl = true,
                                .write_cache = true,
                                .mdts = 7,
                                .fail_status = 0x281,
                                .abort_works = true,
                                .store = calloc(4096, 4096)};
    function = (struct pci_function){.vendor_id = 0x1234, .class_code = 1, .subclass = 8, .interface = 2};
    return &function;
}

void nvme_model_end(void)
{
    free(model.store);
    model.store = NULL;
}
