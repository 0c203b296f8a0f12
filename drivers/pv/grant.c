/*
 * Guests' pages in dom0 (drivers/grant.h).
 *
 * For devices a page is only pinned (GNTMAP_device_map): it stays, and its machine address is known; no map
 * changes. For the processor it is put into a window of dom0's address space above all RAM. A hypervisor that
 * knows no mappings for devices, as Xen in front of an IOMMU, has such pages in the window, too, and the
 * device is told their place there. Nothing here switches threads.
 */
#include <dom0/below.h>
#include <drivers/grant.h>
#include <pvh/memory.h>

#define WINDOW_FRAMES 4096u
#define WORD          64u
#define BATCH         256u
#define RING_MAX      16u

static uint64_t window;
static uint64_t used[WINDOW_FRAMES / WORD];
static unsigned hint; /* the word where a frame was last free */
static enum { UNTRIED, KNOWN, NOT_KNOWN } device_maps;

/* --- the window ----------------------------------------------------------------------------------------- */

/* Addresses of count frames side by side, count at most RING_MAX; 0: none left. */
static uint64_t window_take(unsigned count)
{
    uint64_t run = (1ull << count) - 1;
    if (!window)
        window = memory_reserve_space(WINDOW_FRAMES * PAGE_SIZE);
    for (unsigned n = 0; window && n < WINDOW_FRAMES / WORD; n++) {
        unsigned word = (hint + n) % (WINDOW_FRAMES / WORD);
        for (unsigned bit = 0; ~used[word] && bit + count <= WORD; bit++) {
            if (used[word] & run << bit)
                continue;
            used[word] |= run << bit;
            hint = word;
            return window + (word * WORD + bit) * PAGE_SIZE;
        }
    }
    return 0;
}

static void window_give(uint64_t address, unsigned count)
{
    uint64_t frame = (address - window) / PAGE_SIZE, run = (1ull << count) - 1;
    used[frame / WORD] &= ~(run << frame % WORD);
}

static bool in_window(uint64_t address)
{
    return window && address - window < WINDOW_FRAMES * PAGE_SIZE;
}

static long grant_operation(unsigned op, void *array, size_t count)
{
    return hypercall(__HYPERVISOR_grant_table_op, op, (uint64_t)array, count, 0, 0);
}

/* --- rings ---------------------------------------------------------------------------------------------- */

static void unmap_pages(uint64_t at, size_t count, const grant_handle_t *handles, const bool *mapped)
{
    struct gnttab_unmap_grant_ref ops[RING_MAX];
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!mapped || mapped[i])
            ops[n++] = (struct gnttab_unmap_grant_ref){.host_addr = at + i * PAGE_SIZE, .handle = handles[i]};
    if (n)
        grant_operation(GNTTABOP_unmap_grant_ref, ops, n);
    window_give(at, (unsigned)count);
}

void *grant_map_ring(domid_t domid, const grant_ref_t *refs, size_t count, grant_handle_t *handles)
{
    struct gnttab_map_grant_ref ops[RING_MAX];
    bool mapped[RING_MAX], all = true;
    uint64_t at = count && count <= RING_MAX ? window_take((unsigned)count) : 0;
    if (!at)
        return NULL;
    for (size_t i = 0; i < count; i++)
        ops[i] = (struct gnttab_map_grant_ref){.host_addr = at + i * PAGE_SIZE,
                                               .flags = GNTMAP_host_map,
                                               .ref = refs[i],
                                               .dom = domid,
                                               .status = GNTST_general_error};
    grant_operation(GNTTABOP_map_grant_ref, ops, count);
    for (size_t i = 0; i < count; i++) {
        mapped[i] = ops[i].status == GNTST_okay;
        handles[i] = ops[i].handle;
        all &= mapped[i];
    }
    if (all)
        return (void *)at;
    unmap_pages(at, count, handles, mapped);
    return NULL;
}

void grant_unmap_ring(void *ring, size_t count, const grant_handle_t *handles)
{
    if (ring)
        unmap_pages((uint64_t)ring, count, handles, NULL);
}

/* --- pages of requests ---------------------------------------------------------------------------------- */

static struct gnttab_map_grant_ref pin_operation(domid_t domid, const struct grant_pin *pin, bool host)
{
    uint32_t flags = (host ? GNTMAP_host_map : GNTMAP_device_map) | (pin->read_only ? GNTMAP_readonly : 0);
    return (struct gnttab_map_grant_ref){.host_addr = host ? window_take(1) : 0,
                                         .flags = flags,
                                         .ref = pin->ref,
                                         .dom = domid,
                                         .status = GNTST_general_error};
}

static void note_result(struct grant_pin *pin, const struct gnttab_map_grant_ref *op, bool data)
{
    bool okay = op->status == GNTST_okay;
    pin->status = op->status;
    pin->handle = op->handle;
    pin->data = okay && data ? (void *)op->host_addr : NULL;
    if (okay)
        pin->bus = device_maps == NOT_KNOWN ? op->host_addr : op->dev_bus_addr;
    else if (op->host_addr)
        window_give(op->host_addr, 1);
}

/* Returns how many pages are pinned now. At most BATCH. */
static size_t pin_batch(domid_t domid, struct grant_pin *const *pins, size_t count, bool data, bool host)
{
    static struct gnttab_map_grant_ref ops[BATCH];
    size_t n = 0, pinned = 0;
    for (; n < count; n++) {
        ops[n] = pin_operation(domid, pins[n], host);
        if (host && !ops[n].host_addr)
            break;
    }
    if (n)
        grant_operation(GNTTABOP_map_grant_ref, ops, n);
    for (size_t i = 0; i < n; i++) {
        note_result(pins[i], &ops[i], data);
        pinned += ops[i].status == GNTST_okay;
    }
    for (size_t i = n; i < count; i++) {
        pins[i]->status = GNTST_no_space;
        pins[i]->data = NULL;
    }
    return pinned;
}

/* Until a page was pinned the hypervisor may be one that knows no mappings for devices. */
static size_t pin_first(domid_t domid, struct grant_pin *const *pins, size_t count)
{
    size_t pinned = pin_batch(domid, pins, count, false, false);
    if (pinned) {
        device_maps = KNOWN;
        return pinned;
    }
    device_maps = NOT_KNOWN;
    pinned = pin_batch(domid, pins, count, false, true);
    if (!pinned)
        device_maps = UNTRIED;
    return pinned;
}

bool grant_pin_list(domid_t domid, struct grant_pin *const *pins, size_t count, bool data)
{
    bool all = true;
    for (size_t n; count; count -= n, pins += n) {
        n = count < BATCH ? count : BATCH;
        if (data || device_maps != UNTRIED)
            all &= pin_batch(domid, pins, n, data, data || device_maps == NOT_KNOWN) == n;
        else
            all &= pin_first(domid, pins, n) == n;
    }
    return all;
}

/* At most BATCH. */
static void unpin_batch(struct grant_pin *const *pins, size_t count)
{
    static struct gnttab_unmap_grant_ref ops[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bus = pins[i]->bus, host = pins[i]->data    ? (uint64_t)pins[i]->data
                                            : in_window(bus) ? bus
                                                             : 0;
        if (pins[i]->status != GNTST_okay)
            continue;
        ops[n++] = (struct gnttab_unmap_grant_ref){
            .host_addr = host, .dev_bus_addr = host ? 0 : bus, .handle = pins[i]->handle};
        pins[i]->status = GNTST_general_error;
    }
    if (n)
        grant_operation(GNTTABOP_unmap_grant_ref, ops, n);
    while (n--)
        if (ops[n].host_addr)
            window_give(ops[n].host_addr, 1);
}

void grant_unpin_list(struct grant_pin *const *pins, size_t count)
{
    for (size_t n; count; count -= n, pins += n) {
        n = count < BATCH ? count : BATCH;
        unpin_batch(pins, n);
    }
}

bool grant_pin(domid_t domid, struct grant_pin *pins, size_t count, bool data)
{
    struct grant_pin *list[BATCH];
    bool all = true;
    for (size_t n; count; count -= n, pins += n) {
        n = count < BATCH ? count : BATCH;
        for (size_t i = 0; i < n; i++)
            list[i] = &pins[i];
        all &= grant_pin_list(domid, list, n, data);
    }
    return all;
}

void grant_unpin(struct grant_pin *pins, size_t count)
{
    struct grant_pin *list[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        list[n++] = &pins[i];
        if (n == BATCH || i + 1 == count) {
            unpin_batch(list, n);
            n = 0;
        }
    }
}

/* --- copies --------------------------------------------------------------------------------------------- */

bool grant_copy(struct gnttab_copy *pieces, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++)
        pieces[i].status = GNTST_general_error;
    if (count)
        grant_operation(GNTTABOP_copy, pieces, count);
    for (size_t i = 0; i < count; i++)
        all &= pieces[i].status == GNTST_okay;
    return all;
}
