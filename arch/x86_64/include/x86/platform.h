/* Small parts of drivers/platform that arch start-up calls. */
#ifndef X86_PLATFORM_H
#define X86_PLATFORM_H

void pic_disable(void);
void uart_register(void); /* com1, com2: console_register() */
void vga_register(void);

/* The text screen's memory; in the direct map at all times. */
#define VGA_TEXT      0xb8000ull
#define VGA_TEXT_SIZE 0x1000u

#endif
