/*
 * The files of all boot modules (file_find and file_at of dom0/below.h): a table made once at boot.
 */
#include <lib/string.h>
#include <pvh/pvh.h>
#include "archive.h"
#include "kernel.h"

static struct file *files;
static size_t file_count;

/* One walk over all archives: counts the files, and writes them down when there is a table. */
static size_t walk(struct file *table, bool report)
{
    struct hvm_modlist_entry module;
    size_t count = 0;
    for (unsigned i = 0; pvh_module(i, &module); i++) {
        struct archive archive = {(const uint8_t *)module.paddr, module.size, 0};
        struct file file;
        const char *problem;
        for (; archive_next(&archive, &file, &problem); count++)
            if (table)
                table[count] = file;
        if (problem && report)
            print("archive (boot module %u, %lu bytes): %s\n", i + 2, module.size, problem);
    }
    return count;
}

void files_init(void)
{
    struct hvm_modlist_entry module;
    if (!pvh_module(0, &module))
        print("no archive: give the guests' files as the second boot module, a newc archive\n");
    size_t count = walk(NULL, true);
    files = mem_alloc((count + 1) * sizeof *files);
    if (!files) {
        print("archive: no memory for a table of %zu files: raise dom0_mem\n", count);
        return;
    }
    file_count = walk(files, false);
}

bool file_at(size_t index, struct file *file)
{
    if (index >= file_count)
        return false;
    *file = files[index];
    return true;
}

bool file_find(const char *path, struct file *file)
{
    while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
        path += path[0] == '/' ? 1 : 2;
    /* The last of a name counts, as it does where archives are unpacked. */
    for (size_t i = file_count; i-- > 0;)
        if (!strcmp(files[i].name, path)) {
            *file = files[i];
            return true;
        }
    return false;
}
