/*
 * The console: output to a ring, the serial line and the screen; input for dom0 or the debug keys.
 *
 * Everything printed lands in a ring of CONSOLE_RING_SIZE bytes that sysctl readconsole reads. Output devices register
 * themselves as console_output; console= on the command line chooses among them by name (default com1,vga).
 * Input comes from the serial line byte by byte; Ctrl-A three times moves it between dom0 and the debug keys.
 *
 * Locking: LOCK_CONSOLE around ring and devices.
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <hv/types.h>

#define CONSOLE_RING_SIZE 16384u

struct domain;

struct console_output {
    const char *name;
    /* Never waits for long: what does not fit is kept by the driver. '\n' is the only line end it sees. */
    void (*write)(const char *text, size_t length);
    /* From now on write() returns only when everything is out (panic, shutdown). */
    void (*synchronous)(void);
    struct console_output *next;
};

/* Reads console= and starts the devices that it names; from here on messages are seen. */
void console_init(void);
/* Input starts to work: interrupts and timers do. */
void console_start_input(void);
void console_register(struct console_output *output);

/* Text as it is, to ring and devices. */
void console_write(const char *text, size_t length);
void console_synchronous(void);

/*
 * console_io write: dom0's goes out as it is; another domain's goes line by line with "(dN) " in front, if guest_loglvl=
 * lets it. The text was copied from the guest already.
 */
void console_write_guest(struct domain *d, const char *text, size_t length);
/* console_io read: at most size bytes of pending input for dom0; returns how many. */
size_t console_read(char *to, size_t size);

/*
 * sysctl readconsole: copies what lies in the ring from position *index on (incremental) or all of it, at most *count bytes;
 * *index becomes the position after the last copied byte, *count how many were copied. clear drops what was there.
 * Returns the bytes through two pieces of the ring: first and second (length may be 0).
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
