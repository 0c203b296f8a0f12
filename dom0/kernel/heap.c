/*
 * The heap (mem_alloc and mem_free of dom0/below.h).
 *
 * Blocks up to half a page come from free lists by power of two, cut from pages that stay in the heap; larger
 * ones are whole pages. A header in front of each says which, and catches what was freed twice or never
 * allocated.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include "kernel.h"

#define SMALLEST_SHIFT 5
#define LARGEST_SHIFT  11
#define CLASSES        (LARGEST_SHIFT - SMALLEST_SHIFT + 1)
#define MAGIC_USED     0x5ca1ab1eu
#define MAGIC_FREE     0xdeadbea7u

struct block {
    uint32_t magic;
    uint32_t class; /* CLASSES: whole pages */
    union {
        size_t pages;
        struct block *next;
    };
};

static struct block *free_blocks[CLASSES];
static size_t blocks_in_use;

size_t heap_blocks(void)
{
    return blocks_in_use;
}

static bool refill(uint32_t class)
{
    size_t size = 1ull << (class + SMALLEST_SHIFT);
    char *page = page_alloc(1);
    if (!page)
        return false;
    for (size_t at = 0; at < PAGE_SIZE; at += size) {
        struct block *block = (struct block *)(page + at);
        *block = (struct block){.magic = MAGIC_FREE, .class = class, .next = free_blocks[class]};
        free_blocks[class] = block;
    }
    return true;
}

/* Blocks end on words, and memset() is fastest with these. */
static size_t whole_words(size_t size)
{
    return (size + 7) & ~7ull;
}

static void *alloc_small(uint32_t class, size_t size)
{
    if (!free_blocks[class] && !refill(class))
        return NULL;
    struct block *block = free_blocks[class];
    free_blocks[class] = block->next;
    block->magic = MAGIC_USED;
    blocks_in_use++;
    return memset(block + 1, 0, whole_words(size));
}

void *mem_alloc(size_t size)
{
    size_t total;
    if (__builtin_add_overflow(size, sizeof(struct block) + PAGE_SIZE - 1, &total))
        return NULL;
    for (uint32_t class = 0; class < CLASSES; class ++)
        if (size + sizeof(struct block) <= 1ull << (class + SMALLEST_SHIFT))
            return alloc_small(class, size);
    struct block *block = page_alloc(total / PAGE_SIZE);
    if (!block)
        return NULL;
    *block = (struct block){.magic = MAGIC_USED, .class = CLASSES, .pages = total / PAGE_SIZE};
    blocks_in_use++;
    return memset(block + 1, 0, whole_words(size));
}

void mem_free(void *p)
{
    struct block *block = (struct block *)p - 1;
    if (!p)
        return;
    if (block->magic != MAGIC_USED || block->class > CLASSES)
        pvh_panic("mem_free(%p): not a block in use", p);
    block->magic = MAGIC_FREE;
    blocks_in_use--;
    if (block->class == CLASSES) {
        page_free(block, block->pages);
        return;
    }
    block->next = free_blocks[block->class];
    free_blocks[block->class] = block;
}
