/* What the files of the runtime share among themselves. */
#ifndef PVH_INTERNAL_H
#define PVH_INTERNAL_H

#include <pvh/apic.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>

/* Builds the IDT and readies CPU 0. */
void trap_init(void);
/* Loads IDT and TSS on the calling CPU, which becomes number index. */
void trap_init_cpu(unsigned index, void *fault_stack_top);
/* Reads the memory map, maps RAM, and takes away page 0 and the page below the stack. */
void memory_init(void);
/* vCPU id of the calling CPU, from CPUID. */
uint32_t vcpu_id(void);

#endif
