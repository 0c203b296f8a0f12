/* Names of functions and stack traces (backtrace.c), from the table that scripts/symbols.sh made. */
#ifndef X86_BACKTRACE_H
#define X86_BACKTRACE_H

#include <hv/types.h>
#include <x86/traps.h>

/* "function+0x12", in a buffer of this CPU's that the next call overwrites; "" for an address outside the
 * image. */
const char *symbol_text_at(uint64_t address);
#define BACKTRACE_MAX 24

/* Who called the code at frame->rip, nearest first; how many. On the CPU whose stack it is. */
unsigned backtrace_collect(const struct trap_frame *frame, uint64_t callers[BACKTRACE_MAX]);
void backtrace_print(uint64_t rip, const uint64_t callers[], unsigned count);

#endif
