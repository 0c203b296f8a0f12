/*
 * What of an ELF kernel the domain builder needs: its load segments and the PVH entry point that the note
 * XEN_ELFNOTE_PHYS32_ENTRY (xen/elfnote.h) gives. 32-bit and 64-bit little-endian x86 files. Pure functions:
 * the file is not trusted, every offset is checked against its size.
 */
#ifndef LIB_ELF_H
#define LIB_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lib/why.h>

#define ELF_MAX_SEGMENTS 16

/* file_size bytes of data go to guest-physical address; from there to memory_size it is zero. */
struct elf_segment {
    uint64_t address, memory_size;
    const uint8_t *data;
    uint64_t file_size;
};

struct elf_image {
    unsigned bits;       /* 32 or 64 */
    uint64_t entry;      /* guest-physical, entered in 32-bit protected mode */
    uint64_t start, end; /* of all segments, guest-physical */
    unsigned segment_count;
    struct elf_segment segments[ELF_MAX_SEGMENTS]; /* in file order; their data points into the file */
};

/* The reason in why reads on from "FILE: ". */
bool elf_parse(const void *file, size_t size, struct elf_image *image, struct why *why);

#endif
