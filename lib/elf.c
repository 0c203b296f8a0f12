/*
 * Reads an ELF kernel (lib/elf.h). No state, no locking.
 *
 * Both classes are read into the 64-bit structures first, so that the checks are written once. The layouts
 * are those of the System V ABI, chapter "Object files".
 */
#include <lib/string.h>
#include <xen/elfnote.h>

#include <lib/elf.h>

#define PT_LOAD   1
#define PT_NOTE   4
#define SHT_NOTE  7
#define EM_386    3
#define EM_X86_64 62
/* Nothing that a PVH kernel is entered at or loaded to lies higher: it starts without paging. */
#define LOAD_LIMIT (1ull << 32)

struct reader {
    const uint8_t *file;
    size_t size;
    unsigned bits;
};

struct program_header {
    uint32_t type;
    uint64_t offset, address, file_size, memory_size, align;
};

static bool inside(const struct reader *r, uint64_t offset, uint64_t length)
{
    return offset <= r->size && length <= r->size - offset;
}

/* An unsigned little-endian field of 2, 4 or 8 bytes; the caller has checked that it is inside. */
static uint64_t field(const struct reader *r, uint64_t offset, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)r->file[offset + i] << (8 * i);
    return value;
}

/* A field whose offset and width depend on the class. */
static uint64_t word(const struct reader *r, uint64_t base, unsigned offset32, unsigned offset64)
{
    return r->bits == 64 ? field(r, base + offset64, 8) : field(r, base + offset32, 4);
}

static struct program_header program_header(const struct reader *r, uint64_t at)
{
    return (struct program_header){.type = (uint32_t)field(r, at, 4),
                                   .offset = word(r, at, 4, 8),
                                   .address = word(r, at, 12, 24),
                                   .file_size = word(r, at, 16, 32),
                                   .memory_size = word(r, at, 20, 40),
                                   .align = word(r, at, 28, 48)};
}

/* Looks for the entry point among the notes in [offset, offset + length). */
static bool find_entry(const struct reader *r, uint64_t offset, uint64_t length, uint64_t align,
                       uint64_t *entry)
{
    if (!inside(r, offset, length))
        return false;
    /* Names and descriptors are padded to 4 bytes; only GNU property notes use 8, and those are not Xen's. */
    align = align == 8 ? 8 : 4;
    uint64_t end = offset + length;
    while (end - offset >= 12) {
        uint64_t name_size = field(r, offset, 4), descriptor_size = field(r, offset + 4, 4);
        uint32_t type = (uint32_t)field(r, offset + 8, 4);
        uint64_t name = offset + 12;
        uint64_t descriptor = name + ((name_size + align - 1) & ~(align - 1));
        uint64_t next = descriptor + ((descriptor_size + align - 1) & ~(align - 1));
        if (descriptor > end || descriptor_size > end - descriptor)
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 && !memcmp(r->file + name, "Xen", 4) &&
            (descriptor_size == 4 || descriptor_size == 8)) {
            *entry = field(r, descriptor, (unsigned)descriptor_size);
            return true;
        }
        if (next > end)
            return false;
        offset = next;
    }
    return false;
}

/* Kernels that have no note segment may still have note sections. */
static bool find_entry_in_sections(const struct reader *r, uint64_t *entry)
{
    uint64_t table = word(r, 0, 32, 40);
    unsigned entry_size = r->bits == 64 ? 64 : 40;
    unsigned count = (unsigned)field(r, r->bits == 64 ? 60 : 48, 2);
    if (field(r, r->bits == 64 ? 58 : 46, 2) != entry_size || !inside(r, table, (uint64_t)count * entry_size))
        return false;
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = table + (uint64_t)i * entry_size;
        if (field(r, at + 4, 4) == SHT_NOTE &&
            find_entry(r, word(r, at, 16, 24), word(r, at, 20, 32), word(r, at, 32, 48), entry))
            return true;
    }
    return false;
}

static bool add_segment(const struct reader *r, const struct program_header *ph, struct elf_image *image,
                        struct why *why)
{
    if (!ph->memory_size)
        return true;
    if (!inside(r, ph->offset, ph->file_size))
        return fail(why, "cut short: a segment ends at byte %llu of a file of %llu; copy the file again",
                    (unsigned long long)(ph->offset + ph->file_size), (unsigned long long)r->size);
    if (ph->file_size > ph->memory_size)
        return fail(why, "damaged ELF: a segment is larger in the file than in memory");
    if (ph->address >= LOAD_LIMIT || ph->memory_size > LOAD_LIMIT - ph->address)
        return fail(why, "damaged ELF, or not a kernel: a segment goes to 0x%llx, above 4 GiB",
                    (unsigned long long)ph->address);
    if (image->segment_count == ELF_MAX_SEGMENTS)
        return fail(why, "has more than %d segments to load", ELF_MAX_SEGMENTS);
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct elf_segment *other = &image->segments[i];
        if (ph->address < other->address + other->memory_size &&
            other->address < ph->address + ph->memory_size)
            return fail(why, "damaged ELF: two segments overlap at 0x%llx", (unsigned long long)ph->address);
    }
    image->segments[image->segment_count++] = (struct elf_segment){.address = ph->address,
                                                                   .memory_size = ph->memory_size,
                                                                   .data = r->file + ph->offset,
                                                                   .file_size = ph->file_size};
    if (ph->address < image->start)
        image->start = ph->address;
    if (ph->address + ph->memory_size > image->end)
        image->end = ph->address + ph->memory_size;
    return true;
}

/* Says what a file that is no ELF is, as far as its first bytes tell. */
static bool not_elf(const struct reader *r, struct why *why)
{
    if (inside(r, 0x202, 4) && !memcmp(r->file + 0x202, "HdrS", 4))
        return fail(why, "a bzImage, the compressed form of a Linux kernel: take the vmlinux out of it "
                         "(scripts/extract-vmlinux of the kernel source) and name that");
    if (inside(r, 0, 2) && r->file[0] == 0x1f && r->file[1] == 0x8b)
        return fail(why, "compressed with gzip: gunzip it first");
    if (!r->size)
        return fail(why, "an empty file");
    return fail(why, "not an ELF file: a PVH kernel is one, as vmlinux is");
}

static bool check_header(struct reader *r, struct why *why)
{
    if (!inside(r, 0, 20) || memcmp(r->file, "\177ELF", 4))
        return not_elf(r, why);
    unsigned machine = (unsigned)field(r, 18, 2);
    r->bits = r->file[4] == 2 ? 64 : 32;
    if (r->file[4] < 1 || r->file[4] > 2 || r->file[5] != 1 || (machine != EM_386 && machine != EM_X86_64))
        return fail(why, "an ELF file for another processor: an x86 kernel is needed");
    if (!inside(r, 0, r->bits == 64 ? 64 : 52))
        return fail(why, "cut short: it ends within the ELF header; copy the file again");
    return true;
}

bool elf_parse(const void *file, size_t size, struct elf_image *image, struct why *why)
{
    struct reader r = {.file = file, .size = size};
    if (!check_header(&r, why))
        return false;

    uint64_t table = word(&r, 0, 28, 32);
    unsigned entry_size = r.bits == 64 ? 56 : 32;
    unsigned count = (unsigned)field(&r, r.bits == 64 ? 56 : 44, 2);
    if (field(&r, r.bits == 64 ? 54 : 42, 2) != entry_size || !count)
        return fail(why, "an ELF file without program headers: no kernel");
    if (!inside(&r, table, (uint64_t)count * entry_size))
        return fail(why, "cut short: it ends within the program headers; copy the file again");

    bool entry = false;
    *image = (struct elf_image){.bits = r.bits, .start = UINT64_MAX};
    for (unsigned i = 0; i < count; i++) {
        struct program_header ph = program_header(&r, table + (uint64_t)i * entry_size);
        if (ph.type == PT_LOAD && !add_segment(&r, &ph, image, why))
            return false;
        if (ph.type == PT_NOTE && !entry)
            entry = find_entry(&r, ph.offset, ph.file_size, ph.align, &image->entry);
    }
    if (!image->segment_count)
        return fail(why, "an ELF file with nothing to load: no kernel");
    if (!entry && !find_entry_in_sections(&r, &image->entry))
        return fail(why,
                    "not a PVH kernel: the note PHYS32_ENTRY is missing; Linux has it with CONFIG_PVH=y");
    if (image->entry < image->start || image->entry >= image->end)
        return fail(why, "damaged ELF: the entry point 0x%llx lies outside of the kernel",
                    (unsigned long long)image->entry);
    return true;
}
