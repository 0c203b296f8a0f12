/* Building the first domain from the boot modules (hv/dom0.c): ELF with PHYS32_ENTRY, memory one to one,
 * start info. */
#ifndef HV_DOM0_H
#define HV_DOM0_H

struct boot_info;

/* Creates dom0 and makes it ready to run, paused. Panics with a line that says what is wrong and what to do.
 */
void dom0_build(const struct boot_info *info);

#endif
