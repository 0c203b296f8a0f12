/*
 * The two 8259s: moved out of the exceptions' way and masked for good; interrupts come through the IO-APIC.
 * Boot only.
 */
#include <x86/asm.h>
#include <x86/irq.h>
#include <x86/platform.h>

#define PIC1 0x20
#define PIC2 0xa0
#define ELCR 0x4d0 /* of the ISA bridge (82371, 4.3.2): which interrupts are levels */

/* The timer, keyboard, cascade, clock and FPU are edges in every ELCR. */
#define ALWAYS_EDGES (1u << 0 | 1u << 1 | 1u << 2 | 1u << 8 | 1u << 13)

INIT_CODE void pic_disable(void)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } sequence[] = {
        {PIC1, 0x11},     {PIC1 + 1, VECTOR_LEGACY_FIRST},
        {PIC1 + 1, 4},    {PIC1 + 1, 1},
        {PIC2, 0x11},     {PIC2 + 1, VECTOR_LEGACY_FIRST + 8},
        {PIC2 + 1, 2},    {PIC2 + 1, 1},
        {PIC1 + 1, 0xff}, {PIC2 + 1, 0xff},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(sequence); i++)
        outb(sequence[i].port, sequence[i].value);
}

INIT_CODE uint16_t pic_levels(void)
{
    uint16_t levels = (uint16_t)(inb(ELCR) | inb(ELCR + 1) << 8);
    return levels & ALWAYS_EDGES ? 0 : levels;
}
