/*
 * The small rest of dom0/below.h: text and time. Memory is in heap.c, files in files.c, foreign memory in
 * foreign.c, threads in thread.c, consoles in console.c, the store in dom0/store/local.c.
 */
#include <lib/printf.h>
#include <pvh/event.h>
#include "edit.h"
#include "kernel.h"

/* A line that the shell edits is kept whole under what other threads print. */
static void write_text(const char *text, size_t length)
{
    edit_hide();
    terminal_write(text, length);
    edit_show();
}

void vprint(const char *format, va_list args)
{
    char text[256];
    va_list again;
    va_copy(again, args);
    size_t length = (size_t)vsnprintf(text, sizeof text, format, args);
    char *longer = length < sizeof text ? NULL : mem_alloc(length + 1);
    if (longer)
        vsnprintf(longer, length + 1, format, again);
    va_end(again);
    if (longer)
        write_text(longer, length);
    else
        write_text(text, length < sizeof text ? length : sizeof text - 1);
    mem_free(longer);
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprint(format, args);
    va_end(args);
}

uint64_t time_ns(void)
{
    return pvh_time_ns();
}

uint64_t time_unix_s(void)
{
    return pvh_wall_time_s();
}
