/*
 * The console: output to a ring, the serial line and the screen; input for dom0 or the debug keys.
 *
 * Everything printed lands in a ring of CONSOLE_RING_SIZE bytes that sysctl readconsole reads. Output devices
 * register themselves as console_output; console= on the command line chooses among them by name (default
 * com1,vga). Input comes from the serial line byte by byte; Ctrl-A three times moves it between dom0 and the
 * debug keys.
 *
 * Locking: LOCK_CONSOLE around ring and devices.
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <hv/types.h>

#define CONSOLE_RING_SIZE 16384u

struct domain;

struct console_output {
    const char *name; /* as console= names it */
    /* False: the hardware is not there. */
    bool (*start)(void);
    /* Never waits for long: what does not fit is kept by the driver. Sees '\n' as the line end. */
    void (*write)(const char *text, size_t length);
    /* While on, write() returns only when everything is out. */
    void (*synchronous)(bool on);
    /* Interrupts and timers work: input may begin. NULL: output only. */
    void (*start_input)(void);
};

/* Before console_init(), by arch_console_init(). */
void console_register(const struct console_output *output);
/* Starts the devices that console= names; what was printed so far appears on them. */
void console_init(void);
/* Interrupts and timers work from here on; dom0 gets the input. */
void console_start_input(void);

/* Text as it is, to ring and devices. */
void console_write(const char *text, size_t length);
/* While on, nothing is dropped because a device is slow; the CPU waits (panic, debug keys). */
void console_synchronous(bool on);

/*
 * console_io write: dom0's goes out as it is; another domain's goes line by line with "(dN) " in front, if
 * guest_loglvl= lets it. The text was copied from the guest already.
 */
void console_write_guest(struct domain *d, const char *text, size_t length);
/* console_io read: at most size bytes of pending input for dom0; returns how many. */
size_t console_read(char *to, size_t size);

/*
 * sysctl readconsole: what lies in the ring, from position *index on (incremental) or all of it, at most max
 * bytes, as two pieces of the ring (lengths may be 0). *index becomes the position behind it. The text may
 * change while it is read, when the ring wraps. console_ring_clear: what is there now is not shown again.
 */
struct console_piece {
    const char *text;
    uint32_t length;
};
void console_ring_pieces(bool incremental, uint32_t *index, uint32_t max, struct console_piece piece[2]);
void console_ring_clear(void);

/* A byte arrived on the input device (interrupt handlers, polling). Raises SOFTIRQ_CONSOLE. */
void console_input(char c);
/* SOFTIRQ_CONSOLE: input is handed on, VIRQ_CON_RING raised. */
void console_softirq(void);

#endif
