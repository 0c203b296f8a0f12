/*
 * VGA text, 80x25, as console output. The screen is kept in memory and copied to the card, because reading
 * back from the card in order to scroll is slow. Escape sequences (dom0's shell sends some) are swallowed.
 * Under the console's lock.
 */
#include <hv/boot_info.h>
#include <hv/console.h>
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/paging.h>
#include <x86/platform.h>

#define COLUMNS     80u
#define ROWS        25u
#define CELLS       (COLUMNS * ROWS)
#define ATTRIBUTE   0x0700u /* grey on black */
#define CRTC_INDEX  0x3d4
#define CRTC_DATA   0x3d5
#define CURSOR_HIGH 0x0e
#define CURSOR_LOW  0x0f

static uint16_t screen[CELLS];
static uint32_t column, row;
static enum { TEXT, ESCAPE, SEQUENCE } state;
static uint32_t dirty_first; /* row from which on the card shows something else */
static uint16_t *card;

static void scroll(void)
{
    memmove(screen, screen + COLUMNS, (CELLS - COLUMNS) * sizeof screen[0]);
    for (uint32_t i = CELLS - COLUMNS; i < CELLS; i++)
        screen[i] = ATTRIBUTE | ' ';
    row = ROWS - 1;
    dirty_first = 0;
}

static void control(char c)
{
    if (c == '\n') {
        column = 0;
        row++;
    } else if (c == '\r') {
        column = 0;
    } else if (c == '\b') {
        column -= column > 0;
    } else if (c == '\t') {
        column = (column + 8) & ~7u;
    } else if (c == '\033') {
        state = ESCAPE;
    }
}

static void put(char c)
{
    if (state == ESCAPE) {
        state = c == '[' ? SEQUENCE : TEXT;
        return;
    }
    if (state == SEQUENCE) {
        if (c >= '@' && c <= '~')
            state = TEXT;
        return;
    }
    if ((unsigned char)c < ' ')
        control(c);
    else
        screen[row * COLUMNS + column++] = ATTRIBUTE | (unsigned char)c;
    if (column >= COLUMNS) {
        column = 0;
        row++;
    }
    if (row >= ROWS)
        scroll();
}

static void set_cursor(uint32_t position)
{
    outb(CRTC_INDEX, CURSOR_HIGH);
    outb(CRTC_DATA, (uint8_t)(position >> 8));
    outb(CRTC_INDEX, CURSOR_LOW);
    outb(CRTC_DATA, (uint8_t)position);
}

static void vga_write(const char *text, size_t length)
{
    dirty_first = row;
    for (size_t i = 0; i < length; i++)
        put(text[i]);
    uint32_t first = dirty_first * COLUMNS;
    memcpy(card + first, screen + first, ((row + 1) * COLUMNS - first) * sizeof screen[0]);
    set_cursor(row * COLUMNS + column);
}

static void vga_synchronous(bool on)
{
    (void)on; /* it always is */
}

static INIT_CODE bool vga_start(void)
{
    if (boot_info.efi) /* which leaves the card in a graphics mode */
        return false;
    card = maddr_to_virt(MADDR(VGA_TEXT));
    for (uint32_t i = 0; i < CELLS; i++)
        screen[i] = ATTRIBUTE | ' ';
    return true;
}

static const struct console_output vga = {
    .name = "vga", .start = vga_start, .write = vga_write, .synchronous = vga_synchronous};

INIT_CODE void vga_register(void)
{
    console_register(&vga);
}
