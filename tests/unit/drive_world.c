/* The world below the drivers of drives (drive_world.h). Threads are fibers, which run until they wait. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <sanitizer/common_interface_defs.h>
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <dom0/thread.h>
#include "../../drivers/io/registers.h"
#include "drive_world.h"

#define PAGE    4096u
#define THREADS 48
#define STACK   (256u << 10)
#define VECTORS 8
#define MINUTE  (60000 * MS)

struct thread {
    ucontext_t context;
    void (*fn)(void *arg);
    void *arg, *stack;
    uint64_t wake_at;
    struct signal *signal;
    bool there;
};

struct world world;
static struct thread threads[THREADS], *current;
static char region[1u << 20];
static bool raised[VECTORS];
static irq_handler handler;
static void *handler_arg[VECTORS];
static unsigned vectors;

/* --- threads and time ----------------------------------------------------------------------------------- */

static void deliver(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        if (!raised[i])
            continue;
        raised[i] = false;
        if (handler && i < vectors)
            handler(handler_arg[i]);
    }
}

void world_interrupt(unsigned vector)
{
    assert(vector < VECTORS);
    raised[vector] = true;
}

static bool is_ready(const struct thread *t)
{
    return t->there && (t->wake_at <= world.now || (t->signal && t->signal->set));
}

static const void *process_bottom; /* the stack of the first thread, as the sanitizer knows it */
static size_t process_size;

static void go(struct thread *to)
{
    struct thread *from = current;
    bool first = to == &threads[0];
    void *fake = NULL;
    if (to == from)
        return;
    current = to;
    __sanitizer_start_switch_fiber(from->there ? &fake : NULL, first ? process_bottom : to->stack,
                                   first ? process_size : STACK);
    swapcontext(&from->context, &to->context);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

static void schedule(void)
{
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 100000000);
        if (world.tick)
            world.tick();
        deliver();
        unsigned start = (unsigned)(current - threads);
        uint64_t nearest = FOREVER;
        for (unsigned i = 1; i <= THREADS; i++) {
            struct thread *t = &threads[(start + i) % THREADS];
            if (is_ready(t)) {
                go(t);
                return;
            }
            if (t->there && t->wake_at < nearest)
                nearest = t->wake_at;
        }
        assert(nearest != FOREVER);
        world.now = nearest;
    }
}

static void enter(void)
{
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    if (!process_size) {
        process_bottom = bottom;
        process_size = size;
    }
    current->fn(current->arg);
    current->there = false;
    world.threads--;
    schedule();
}

/* A function of its own, as getcontext() may return twice. */
static void prepare(ucontext_t *context, void *stack)
{
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK;
    makecontext(context, enter, 0);
}

struct thread *thread_create(void (*fn)(void *arg), void *arg)
{
    unsigned i = 1;
    while (i < THREADS && threads[i].there)
        i++;
    if (i == THREADS)
        return NULL;
    struct thread *t = &threads[i];
    void *stack = t->stack ? t->stack : malloc(STACK);
    *t = (struct thread){.fn = fn, .arg = arg, .stack = stack, .wake_at = world.now, .there = true};
    prepare(&t->context, stack);
    world.threads++;
    return t;
}

void thread_sleep(uint64_t ns)
{
    current->wake_at = world.now + ns;
    current->signal = NULL;
    schedule();
}

void signal_set(struct signal *signal)
{
    signal->set = true;
}

bool signal_wait(struct signal *signal, uint64_t deadline)
{
    current->wake_at = signal->set ? world.now : deadline;
    current->signal = signal;
    schedule();
    current->signal = NULL;
    bool was_set = signal->set;
    signal->set = false;
    return was_set;
}

uint64_t time_ns(void)
{
    return world.now;
}

void world_run(uint64_t ns)
{
    thread_sleep(ns);
}

bool world_run_until(const bool *flag)
{
    for (uint64_t end = world.now + MINUTE * 5; !*flag && world.now < end;)
        thread_sleep(MS);
    return *flag;
}

void world_end(void)
{
    for (unsigned i = 1; i < THREADS; i++)
        threads[i].there = false;
    handler = NULL;
}

void world_reset(void)
{
    world_end();
    memset(raised, 0, sizeof raised);
    world = (struct world){.now = 1, .vectors = VECTORS, .bar_size = sizeof region};
    current = &threads[0];
    threads[0].there = true;
}

/* --- the rest of dom0 ----------------------------------------------------------------------------------- */

void print(const char *format, ...)
{
    size_t at = strlen(world.printed);
    va_list args;
    va_start(args, format);
    if (at + 300 < sizeof world.printed)
        vsnprintf(world.printed + at, sizeof world.printed - at, format, args);
    va_end(args);
    if (getenv("VERBOSE"))
        fputs(world.printed + at, stderr);
}

bool world_said(const char *text)
{
    return strstr(world.printed, text) != NULL;
}

void *mem_alloc(size_t size)
{
    world.allocations++;
    return calloc(1, size);
}

void mem_free(void *p)
{
    world.allocations -= p != NULL;
    free(p);
}

void *dma_alloc(size_t count)
{
    void *pages = aligned_alloc(PAGE, count * PAGE);
    world.pages += count;
    return memset(pages, 0, count * PAGE);
}

void dma_free(void *pages, size_t count)
{
    world.pages -= count;
    free(pages);
}

uint32_t register_read(const volatile void *base, uint32_t offset)
{
    return world.pulled_out ? ~0u : world.read((uint32_t)((const volatile char *)base - region) + offset);
}

void register_write(volatile void *base, uint32_t offset, uint32_t value)
{
    if (!world.pulled_out)
        world.write((uint32_t)((volatile char *)base - region) + offset, value);
}

uint16_t pci_read16(const struct pci_function *f, uint16_t offset)
{
    assert(offset == 0);
    return world.pulled_out ? 0xffff : f->vendor_id;
}

const char *pci_name(const struct pci_function *f, char buf[PCI_NAME])
{
    (void)f;
    return strcpy(buf, "00:05.0");
}

void pci_enable(struct pci_function *f)
{
    (void)f;
    world.master = true;
}

void pci_disable(struct pci_function *f)
{
    (void)f;
    world.master = false;
}

volatile void *pci_bar_map(const struct pci_function *f, unsigned bar, uint64_t offset, uint64_t size)
{
    (void)f;
    (void)bar;
    return offset + size <= world.bar_size ? region + offset : NULL;
}

unsigned pci_interrupts(struct pci_function *f, unsigned count, irq_handler irq, void *const *arg)
{
    (void)f;
    vectors = count < world.vectors ? count : world.vectors;
    handler = irq;
    for (unsigned i = 0; i < vectors; i++)
        handler_arg[i] = arg[i];
    return vectors;
}

void pci_interrupts_off(struct pci_function *f)
{
    (void)f;
    handler = NULL;
}

unsigned pci_msix_count(const struct pci_function *f)
{
    (void)f;
    return world.vectors > 1 ? world.vectors : 0;
}

/* --- disks ---------------------------------------------------------------------------------------------- */

struct disk *disk_at(size_t index)
{
    return index < world.disks ? world.disk[index] : NULL;
}

bool disk_add(struct disk *disk)
{
    for (unsigned i = 0; i < world.disks; i++)
        if (!strcmp(world.disk[i]->name, disk->name))
            return false;
    assert(world.disks < WORLD_DISKS);
    world.disk[world.disks++] = disk;
    world.added++;
    return true;
}

void disk_remove(struct disk *disk)
{
    unsigned i = 0;
    while (i < world.disks && world.disk[i] != disk)
        i++;
    assert(i < world.disks);
    memmove(&world.disk[i], &world.disk[i + 1], (--world.disks - i) * sizeof world.disk[0]);
    disk->removed = true;
    world.removed++;
}

void disk_resized(struct disk *disk, uint64_t sectors)
{
    disk->sectors = sectors;
    world.resized++;
}

/* --- requests ------------------------------------------------------------------------------------------- */

static void finished(struct disk_request *request, int error)
{
    struct io *io = request->owner;
    io->done = true;
    io->error = error;
    io->times_done++;
    assert(io->times_done == 1);
    if (io->then)
        io->then(io);
}

struct io *io_new(enum disk_operation operation, uint64_t sector, unsigned count, const uint32_t (*shape)[2],
                  const uint8_t *data)
{
    struct io *io = calloc(1, sizeof *io);
    uint64_t bytes = 0;
    io->pages = count ? aligned_alloc(PAGE, count * PAGE) : NULL;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *at = io->pages + i * PAGE + shape[i][0];
        io->segment[i] = (struct disk_segment){(uint64_t)at, at, shape[i][1]};
        if (data)
            memcpy(at, data + bytes, shape[i][1]);
        bytes += shape[i][1];
    }
    io->request = (struct disk_request){.operation = operation,
                                        .sector = sector,
                                        .sectors = bytes / DISK_SECTOR,
                                        .segments = io->segment,
                                        .segment_count = count,
                                        .done = finished,
                                        .owner = io};
    return io;
}

void io_submit(struct disk *disk, struct io *io)
{
    disk->operations->submit(disk, &io->request);
}

void io_gather(const struct io *io, uint8_t *to)
{
    for (unsigned i = 0; i < io->request.segment_count; i++) {
        memcpy(to, (const void *)io->segment[i].bus, io->segment[i].bytes);
        to += io->segment[i].bytes;
    }
}

void io_free(struct io *io)
{
    free(io->pages);
    free(io);
}
