/* Registers and stacks of all CPUs, asked for by NMI (dump.c). */
#ifndef X86_DUMP_H
#define X86_DUMP_H

#include <hv/types.h>
#include <x86/traps.h>

/* From the NMI handler: true when this CPU was asked for its state. */
bool dump_answer(const struct trap_frame *frame);

#endif
