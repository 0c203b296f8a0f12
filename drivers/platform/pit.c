/* The 8254's channel 2 as a reference clock, where nothing better is there. It runs for 54 ms at most. Boot
 * only. */
#include <x86/asm.h>
#include <x86/clock.h>

#define PIT_CHANNEL2    0x42
#define PIT_COMMAND     0x43
#define PIT_LATCH2      0x80
#define PIT_COUNT_DOWN2 0xb0 /* channel 2, both bytes, mode 0 */
#define GATE_PORT       0x61
#define GATE_ON         0x01
#define SPEAKER_ON      0x02

static uint64_t read_count(void)
{
    outb(PIT_COMMAND, PIT_LATCH2);
    uint8_t low = inb(PIT_CHANNEL2);
    return 0xffffu - (low | inb(PIT_CHANNEL2) << 8);
}

INIT_CODE const struct reference_clock *pit_clock(void)
{
    static const struct reference_clock clock = {"PIT", 1193182, 0xffff, read_count};
    outb(GATE_PORT, (uint8_t)((inb(GATE_PORT) & ~SPEAKER_ON) | GATE_ON));
    outb(PIT_COMMAND, PIT_COUNT_DOWN2);
    outb(PIT_CHANNEL2, 0xff);
    outb(PIT_CHANNEL2, 0xff);
    return &clock;
}
