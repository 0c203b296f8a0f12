/* Lists of requests, and what is said about drives (drive.h). Handler context. */
#include <dom0/below.h>
#include <lib/printf.h>
#include "drive.h"

#define SAY_LINES 5
#define SAY_TIME  (10 * SECOND)

void request_append(struct request_list *list, struct disk_request *request)
{
    request->next = NULL;
    if (list->first)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
}

void request_prepend(struct request_list *list, struct disk_request *request)
{
    request->next = list->first;
    if (!list->first)
        list->last = request;
    list->first = request;
}

struct disk_request *request_take(struct request_list *list)
{
    struct disk_request *request = list->first;
    if (request)
        list->first = request->next;
    return request;
}

void drive_text(char *to, size_t size, const uint8_t *from, size_t length)
{
    size_t n = 0;
    while (length && from[length - 1] <= ' ')
        length--;
    for (size_t i = 0; i < length && n + 1 < size; i++)
        if (from[i] > ' ' ? from[i] < 0x7f : n && from[i] == ' ')
            to[n++] = (char)from[i];
    to[n] = '\0';
}

const char *drive_size(const struct disk *disk, char buf[DRIVE_SIZE_TEXT])
{
    static const char unit[][4] = {"KiB", "MiB", "GiB", "TiB"};
    uint64_t value = disk->sectors / 2;
    unsigned i = 0;
    for (; value >= 8192 && i < 3; i++)
        value /= 1024;
    snprintf(buf, DRIVE_SIZE_TEXT, "%llu %s", (unsigned long long)value, unit[i]);
    return buf;
}

bool drive_may_say(struct drive_said *said)
{
    uint64_t now = time_ns();
    if (now - said->since >= SAY_TIME)
        *said = (struct drive_said){.since = now};
    return ++said->lines <= SAY_LINES;
}

void drive_complain(struct drive_said *said, const struct disk *disk, const struct disk_request *request,
                    int code)
{
    static const char *const what[] = {"read", "write", "flush", "discard"};
    if (drive_may_say(said))
        print("%s: %s of %llu sectors at %llu failed: code %#x\n", disk->name, what[request->operation],
              (unsigned long long)request->sectors, (unsigned long long)request->sector, (unsigned)code);
}

bool drive_is_gone(const struct pci_function *f, uint32_t value)
{
    return value == ~0u || pci_read16(f, 0) == 0xffff;
}
