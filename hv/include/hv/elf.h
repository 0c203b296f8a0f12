/*
 * Just enough of ELF to start a PVH kernel: loadable segments and the note that names its 32-bit entry
 * (XEN_ELFNOTE_PHYS32_ENTRY, xen/elfnote.h). 32- and 64-bit files for x86. Everything in the file is suspect.
 */
#ifndef HV_ELF_H
#define HV_ELF_H

#include <hv/types.h>

#define ELF_MAX_SEGMENTS 16

struct elf_segment {
    uint64_t paddr, memory_size;
    uint64_t offset, file_size; /* lies inside the file; file_size <= memory_size */
};

struct elf_image {
    const uint8_t *data;
    struct elf_segment segment[ELF_MAX_SEGMENTS]; /* those with memory_size > 0 */
    uint32_t segments;
    uint64_t start, end; /* of the memory that the segments cover, page aligned outwards */
    uint32_t entry;      /* guest-physical; inside [start, end) */
};

/* NULL, or what is wrong with the file. */
const char *elf_parse(const void *data, uint64_t size, struct elf_image *image);

#endif
