/* The state in which a PVH domain's CPUs start (xen/arch-x86/hvm/start_info.h). */
#ifndef TOOL_CONTEXT_H
#define TOOL_CONTEXT_H

#include <stdint.h>
#include <xen/xen.h>

#include <lib/why.h>

/* CPU 0: flat 32-bit protected mode without paging at entry, EBX = start_info; the others wait to be started.
 */
bool set_first_context(domid_t domid, unsigned vcpus, uint32_t entry, uint32_t start_info, struct why *why);

#endif
