/*
 * The runtime that every kernel built here for a domain starts on: dom0 and the test guests.
 *
 * The kernel supplies main(); it runs on vCPU 0 in ring 0 and 64-bit mode with interrupts off, its own GDT,
 * IDT and stack (64 KiB above a guard page), and memory mapped one to one (pvh/memory.h). What it returns
 * becomes the shutdown: 0 powers off, anything else is reported as a crash.
 */
#ifndef PVH_PVH_H
#define PVH_PVH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

int main(void);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- what the loader handed over (xen/arch-x86/hvm/start_info.h) ---------------------------------------- */
extern const struct hvm_start_info *pvh_start_info;
/* True in the initial domain. */
bool pvh_is_dom0(void);
/* Never NULL. */
const char *pvh_cmdline(void);
/*
 * Looks for "name" or "name=value" among the words of the command line; copies the value, cut to size.
 * False when the word is not there. An empty value is left for a word without '='.
 */
bool pvh_option(const char *name, char *value, size_t size);
/* Module number index in *module; false past the last. The archive of files is the last one. */
bool pvh_module(unsigned index, struct hvm_modlist_entry *module);

/* --- console -------------------------------------------------------------------------------------------- */
/*
 * dom0: CONSOLEIO_write. Other domains: the PV console ring, waiting a bounded time for room; after that, and
 * where there is no ring, port 0xe9. '\n' goes out as "\r\n" on the ring. Works from the first line of main()
 * on.
 */
void pvh_write(const char *text, size_t length);
void pvh_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pvh_vprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
/* One waiting character of the domain's own PV console ring, or -1. Not for dom0. */
int pvh_getchar(void);

/* --- the end -------------------------------------------------------------------------------------------- */
/* SCHEDOP_shutdown with a SHUTDOWN_* reason of xen/sched.h. */
_Noreturn void pvh_shutdown(unsigned reason);
/* Prints and ends with SHUTDOWN_crash. */
_Noreturn void pvh_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
