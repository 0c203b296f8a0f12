/*
 * Debug keys: one letter on the serial console, after Ctrl-A three times, prints a part of the hypervisor's
 * state. Handlers run from SOFTIRQ_CONSOLE on the boot CPU with no lock held and interrupts off.
 */
#ifndef HV_DEBUGKEYS_H
#define HV_DEBUGKEYS_H

#include <hv/types.h>

void debugkeys_init(void);
/* description: what `h` prints beside the key. A key that is taken is replaced. */
void debugkey_register(char key, void (*handler)(void), const char *description);
/* XEN_SYSCTL_debug_keys, and console input. An unknown key prints a hint. */
void debugkey_press(char key);

#endif
