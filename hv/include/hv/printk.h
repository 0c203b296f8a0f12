/*
 * Messages of the hypervisor.
 *
 * printk() formats one message and hands it to the console (hv/console.h): the ring, and the serial line and
 * screen when its level is below the threshold that loglvl= sets. Callable from anywhere, interrupt handlers
 * and any lock level included. A message longer than 255 bytes is cut.
 *
 * What a guest can cause goes through guest_printk(): it obeys guest_loglvl=, names the domain in front, and
 * is rate limited, so that no guest floods the log.
 */
#ifndef HV_PRINTK_H
#define HV_PRINTK_H

#include <hv/types.h>

/* Begins a message; without one of them a message is a warning. */
#define LOG_ERROR   "\0010"
#define LOG_WARNING "\0011"
#define LOG_INFO    "\0012"
#define LOG_DEBUG   "\0013"

void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct domain;
/* d NULL: the current vCPU's domain. A newline is added. */
void guest_printk(struct domain *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* While on, every message is printed, whatever loglvl= and guest_loglvl= say (debug keys, panic). */
void printk_everything(bool on);

#endif
