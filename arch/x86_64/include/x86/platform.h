/* Small parts of drivers/platform that arch start-up calls. */
#ifndef X86_PLATFORM_H
#define X86_PLATFORM_H

#include <hv/types.h>

#include <hv/types.h>

void pic_disable(void);
/* Bit per ISA interrupt that firmware made a level in the ELCR; 0 where there is no ELCR. */
uint16_t pic_levels(void);
void uart_register(void); /* com1, com2: console_register() */
void vga_register(void);
/* Some of these ports are a serial line's that the console uses. */
bool uart_uses_ports(uint32_t first, uint32_t count);

/* The text screen's memory; in the direct map at all times. */
#define VGA_TEXT      0xb8000ull
#define VGA_TEXT_SIZE 0x1000u

#endif
