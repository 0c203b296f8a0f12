/*
 * Reads archives in cpio's newc format (as `cpio -o -H newc` writes them). Looks only at the bytes it is
 * given.
 */
#ifndef DOM0_ARCHIVE_H
#define DOM0_ARCHIVE_H

#include <dom0/below.h>

struct archive {
    const uint8_t *data;
    size_t size;
    size_t at; /* where the next member begins; 0 to start with */
};

/*
 * The next regular file, its name without leading "/" and "./". False at the end, and then *problem is NULL
 * for an archive that ended as it should, or says in one line what is wrong with it and what to do.
 */
bool archive_next(struct archive *archive, struct file *file, const char **problem);

#endif
