/*
 * PVH kernels as ELF files (hv/elf.h). Pure: bytes in, description out; no state, no locking.
 *
 * The program headers of both classes are read into one form, then checked once.
 */
#include <hv/elf.h>
#include <lib/string.h>
#include <xen/elfnote.h>

#define PT_LOAD 1
#define PT_NOTE 4
#define EM_386    3
#define EM_X86_64 62

struct header64 {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum;
};
struct header32 {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum;
};
struct program64 {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
struct program32 {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
struct note {
    uint32_t namesz, descsz, type;
};

struct reader {
    const uint8_t *data;
    uint64_t size;
    uint64_t phoff;
    uint32_t phnum, phentsize;
    bool wide;
};

static bool inside(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static const char *read_header(struct reader *r)
{
    if (r->size < sizeof(struct header32) || memcmp(r->data, "\177ELF", 4))
        return "it is no ELF file";
    r->wide = r->data[4] == 2;
    if (r->wide) {
        struct header64 h;
        if (r->size < sizeof h)
            return "the ELF header is cut short";
        memcpy(&h, r->data, sizeof h);
        if (h.machine != EM_X86_64)
            return "it is an ELF file for another processor";
        r->phoff = h.phoff, r->phnum = h.phnum, r->phentsize = h.phentsize;
    } else {
        struct header32 h;
        memcpy(&h, r->data, sizeof h);
        if (h.machine != EM_386)
            return "it is an ELF file for another processor";
        r->phoff = h.phoff, r->phnum = h.phnum, r->phentsize = h.phentsize;
    }
    if (r->phentsize < (r->wide ? sizeof(struct program64) : sizeof(struct program32)))
        return "its program headers are too small";
    if (!inside(r->phoff, (uint64_t)r->phnum * r->phentsize, r->size))
        return "its program headers lie outside the file";
    return NULL;
}

static void read_program(const struct reader *r, uint32_t i, uint32_t *type, struct elf_segment *s)
{
    const uint8_t *at = r->data + r->phoff + (uint64_t)i * r->phentsize;
    if (r->wide) {
        struct program64 p;
        memcpy(&p, at, sizeof p);
        *type = p.type;
        *s = (struct elf_segment){p.paddr, p.memsz, p.offset, p.filesz};
    } else {
        struct program32 p;
        memcpy(&p, at, sizeof p);
        *type = p.type;
        *s = (struct elf_segment){p.paddr, p.memsz, p.offset, p.filesz};
    }
}

/* Looks through one PT_NOTE for the entry point; true when it is there. */
static bool find_entry(const uint8_t *notes, uint64_t size, uint32_t *entry)
{
    for (uint64_t at = 0; inside(at, sizeof(struct note), size);) {
        struct note n;
        memcpy(&n, notes + at, sizeof n);
        at += sizeof n;
        uint64_t name = at, desc = name + ((n.namesz + 3ull) & ~3ull);
        at = desc + ((n.descsz + 3ull) & ~3ull);
        if (!inside(desc, n.descsz, size))
            return false;
        if (n.type == XEN_ELFNOTE_PHYS32_ENTRY && n.namesz == 4 && !memcmp(notes + name, "Xen", 4) && n.descsz >= 4) {
            memcpy(entry, notes + desc, 4);
            return true;
        }
    }
    return false;
}

static const char *add_segment(struct elf_image *image, const struct elf_segment *s)
{
    if (s->file_size > s->memory_size)
        return "a segment is larger in the file than in memory";
    if (s->paddr + s->memory_size < s->paddr || s->paddr + s->memory_size > 1ull << 32)
        return "a segment lies above 4 GiB";
    if (image->segments == ELF_MAX_SEGMENTS)
        return "it has too many segments";
    uint64_t start = s->paddr & PAGE_MASK, end = (s->paddr + s->memory_size + PAGE_SIZE - 1) & PAGE_MASK;
    image->start = MIN(image->start, start);
    image->end = MAX(image->end, end);
    image->segment[image->segments++] = *s;
    return NULL;
}

const char *elf_parse(const void *data, uint64_t size, struct elf_image *image)
{
    struct reader r = {.data = data, .size = size};
    const char *error = read_header(&r);
    bool entry_found = false;
    *image = (struct elf_image){.data = data, .start = ~0ull};
    for (uint32_t i = 0; !error && i < r.phnum; i++) {
        uint32_t type;
        struct elf_segment s;
        read_program(&r, i, &type, &s);
        if (type != PT_LOAD && type != PT_NOTE)
            continue;
        if (!inside(s.offset, s.file_size, size))
            return "it is cut short: a segment lies outside the file";
        if (type == PT_NOTE)
            entry_found |= find_entry(r.data + s.offset, s.file_size, &image->entry);
        else if (s.memory_size)
            error = add_segment(image, &s);
    }
    if (error)
        return error;
    if (!image->segments)
        return "it has nothing to load";
    if (!entry_found)
        return "it has no PVH entry (ELF note XEN_ELFNOTE_PHYS32_ENTRY)";
    if (image->entry < image->start || image->entry >= image->end)
        return "its PVH entry lies outside its segments";
    return NULL;
}
