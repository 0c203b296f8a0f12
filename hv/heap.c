/*
 * Small objects: pages cut into equal pieces, one set of pages per size class.
 *
 * A page of pieces begins with struct slab; what needs more than the largest class gets a page of its own,
 * which is why page-aligned objects are known to be whole pages. A slab is on its class's list while it has a
 * free piece and goes back to the frame allocator when all are free.
 *
 * Locking: LOCK_HEAP around everything; page_alloc is called without it (LOCK_FRAME is lower).
 */
#include <hv/frame.h>
#include <hv/list.h>
#include <hv/lock.h>
#include <hv/panic.h>
#include <lib/string.h>

struct slab {
    struct list link; /* in partial[class] unless full */
    void *free;       /* first free piece, which begins with a pointer to the next */
    uint16_t used, class;
};

/* As many pieces as fit after the header: 126, 63, 42, 31, 21, 15, 10, 7, 6, 5, 4, 3, 2. */
static const uint16_t class_size[] = {32, 64, 96, 128, 192, 256, 400, 576, 672, 800, 1008, 1344, 2016};
#define CLASSES     ARRAY_SIZE(class_size)
#define HEADER_SIZE ((sizeof(struct slab) + 31) & ~31ull)

static spinlock_t lock = SPINLOCK_INIT(LOCK_HEAP);
static struct list partial[CLASSES];

static bool is_full(const struct slab *slab)
{
    return !slab->free;
}

static struct slab *slab_create(unsigned class)
{
    struct slab *slab = page_alloc(0);
    if (!slab)
        return NULL;

    slab->class = (uint16_t) class;
    list_init(&slab->link);
    for (size_t at = HEADER_SIZE; at + class_size[class] <= PAGE_SIZE; at += class_size[class]) {
        void **piece = (void **)((char *)slab + at);
        *piece = slab->free;
        slab->free = piece;
    }
    return slab;
}

static void *take_piece_locked(struct slab *slab)
{
    void **piece = slab->free;

    slab->free = *piece;
    slab->used++;
    if (is_full(slab))
        list_remove(&slab->link);
    return piece;
}

void *heap_alloc(size_t size)
{
    unsigned class = 0;
    void *piece = NULL;

    if (size > PAGE_SIZE)
        return NULL;
    while (class < CLASSES && class_size[class] < size)
        class ++;
    if (class == CLASSES)
        return page_alloc(0);

    spin_lock(&lock);
    if (partial[class].next && !list_empty(&partial[class]))
        piece = take_piece_locked(list_entry(partial[class].next, struct slab, link));
    spin_unlock(&lock);

    if (!piece) {
        struct slab *slab = slab_create(class);
        if (!slab)
            return NULL;
        spin_lock(&lock);
        if (!partial[class].next)
            list_init(&partial[class]);
        list_add_head(&partial[class], &slab->link);
        piece = take_piece_locked(slab);
        spin_unlock(&lock);
    }
    return memset(piece, 0, class_size[class]);
}

void heap_free(void *p)
{
    struct slab *empty = NULL;

    if (!p)
        return;
    if (!((uintptr_t)p & (PAGE_SIZE - 1))) {
        page_free(p, 0);
        return;
    }

    struct slab *slab = (struct slab *)((uintptr_t)p & PAGE_MASK);
    spin_lock(&lock);
    ASSERT(slab->used > 0);
    if (is_full(slab))
        list_add_head(&partial[slab->class], &slab->link);
    *(void **)p = slab->free;
    slab->free = p;
    if (--slab->used == 0) {
        list_remove(&slab->link);
        empty = slab;
    }
    spin_unlock(&lock);
    page_free(empty, 0);
}
