/* What the parts of the built-in dom0's kernel offer each other, beside dom0/below.h and dom0/thread.h. */
#ifndef DOM0_KERNEL_H
#define DOM0_KERNEL_H

#include <dom0/below.h>
#include <dom0/thread.h>

/* --- heap.c --------------------------------------------------------------------------------------------- */
/* How many blocks mem_alloc() has given out and not got back. */
size_t heap_blocks(void);

/* --- files.c -------------------------------------------------------------------------------------------- */
/* Reads the archives among the boot modules; says what is wrong with one and goes on. */
void files_init(void);

/* --- foreign.c ------------------------------------------------------------------------------------------ */
void foreign_init(void);

/* --- thread.c ------------------------------------------------------------------------------------------- */
struct trap_frame;
/* What an interrupt does beside noting that it came: the vCPU goes on behind its HLT, with interrupts off. */
void thread_end_sleep(struct trap_frame *frame);

/* --- hardware.c ----------------------------------------------------------------------------------------- */
/* Readies the local APIC and the vectors. After thread_init(). */
void irq_init(void);
/* Lets waiting interrupts in for a moment and runs the handlers of those that came. */
void irq_dispatch(void);

/* --- terminal.c: the hypervisor's console as our terminal ----------------------------------------------- */
enum terminal_mode {
    TERMINAL_EDITING, /* every character is delivered */
    TERMINAL_COMMAND, /* Ctrl-C throws away what was typed and makes interrupted() true */
    TERMINAL_RAW,     /* every character is delivered, and goes to a guest */
};
void terminal_init(void);
void terminal_write(const char *text, size_t length);
/* Entering TERMINAL_COMMAND forgets an earlier Ctrl-C. */
void terminal_mode(enum terminal_mode mode);
/* The next character, -1 when none came before the deadline. May switch. */
int terminal_read(uint64_t deadline);
/* Set when characters came. Whoever owns the terminal may have others set it too, and wait for both. */
struct signal *terminal_signal(void);

/* --- shell.c -------------------------------------------------------------------------------------------- */
/* The shell's thread: the script of the boot, then the prompt. Never returns. */
_Noreturn void shell_main(void);
/* Runs one line; returns the status of the last command of it. May switch. */
int shell_line(const char *line);
/* Runs a file of commands; a negative number when there is no such file. */
int shell_script(const char *name);

#endif
