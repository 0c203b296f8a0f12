/* Names of functions and stack traces (backtrace.c), from the table that scripts/symbols.sh made. */
#ifndef X86_BACKTRACE_H
#define X86_BACKTRACE_H

#include <hv/types.h>

/* "function+0x12", in a buffer of this CPU's that the next call overwrites; "" for an address outside the image. */
const char *symbol_text_at(uint64_t address);
/* rip first, then the callers found through the frame pointers from rbp on. */
void backtrace_print(uint64_t rip, uint64_t rsp, uint64_t rbp);

#endif
