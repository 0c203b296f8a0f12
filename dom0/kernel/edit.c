/*
 * The line editor (edit.h). One line is edited at a time, by the shell's thread.
 *
 * A line longer than the screen is wide is shown as a window around the cursor, so one screen row is always
 * enough.
 */
#include <lib/printf.h>
#include <lib/string.h>
#include "edit.h"
#include "kernel.h"

#define COLUMNS     79
#define HISTORY_MAX 32
#define PASTE_WAIT  3000000ull
#define ESCAPE_WAIT 50000000ull /* between the bytes of one key */
#define CONTROL(c)  ((c)&0x1f)
#define KEY_ESCAPE  27
#define KEY_DELETE  127

enum key { KEY_UP = 256, KEY_DOWN, KEY_RIGHT, KEY_LEFT, KEY_HOME, KEY_END, KEY_ERASE, KEY_NONE };

static struct {
    const char *prompt;
    char *text;
    size_t length, cursor;
    size_t history_at; /* how many lines back in the history */
    bool active;
    size_t appended; /* characters at the end that the screen does not show yet */
    bool stale;      /* the screen shows something else altogether */
} line;

static char *history[HISTORY_MAX]; /* [0] is the newest */

/* --- the screen ----------------------------------------------------------------------------------------- */

static void write_text(const char *text)
{
    terminal_write(text, strlen(text));
}

static void draw_now(void)
{
    size_t room = COLUMNS - strlen(line.prompt);
    size_t start = line.cursor > room ? line.cursor - room : 0;
    size_t shown = line.length - start < room ? line.length - start : room;
    char move[16] = "";
    if (start + shown > line.cursor)
        snprintf(move, sizeof move, "\033[%zuD", start + shown - line.cursor);
    write_text("\r");
    write_text(line.prompt);
    terminal_write(line.text + start, shown);
    write_text("\033[K");
    write_text(move);
    line.stale = false;
    line.appended = 0;
}

static void draw(void)
{
    line.stale = true;
}

static void catch_up(void)
{
    if (line.stale)
        draw_now();
    else
        terminal_write(line.text + line.length - line.appended, line.appended);
    line.appended = 0;
}

/* Drawing waits until keys stop coming: those of a pasted line would be lost meanwhile. */
static int read_key(void)
{
    if (line.stale || line.appended) {
        int key = terminal_read(time_ns() + PASTE_WAIT);
        if (key >= 0)
            return key;
        catch_up();
    }
    return terminal_read(FOREVER);
}

void edit_hide(void)
{
    if (line.active)
        write_text("\r\033[K");
}

void edit_show(void)
{
    if (line.active)
        draw_now();
}

/* --- changing the line ---------------------------------------------------------------------------------- */

static void insert(const char *text, size_t count)
{
    if (line.length + count >= EDIT_MAX)
        return;
    bool at_end =
        !line.stale && line.cursor == line.length && strlen(line.prompt) + line.length + count < COLUMNS;
    memmove(line.text + line.cursor + count, line.text + line.cursor, line.length - line.cursor);
    memcpy(line.text + line.cursor, text, count);
    line.length += count;
    line.cursor += count;
    line.text[line.length] = '\0';
    if (at_end)
        line.appended += count;
    else
        draw();
}

static void remove(size_t from, size_t to)
{
    memmove(line.text + from, line.text + to, line.length - to + 1);
    line.length -= to - from;
    line.cursor = from;
    draw();
}

static void move_to(size_t cursor)
{
    line.cursor = cursor;
    draw();
}

static void erase_word(void)
{
    size_t start = line.cursor;
    while (start && line.text[start - 1] == ' ')
        start--;
    while (start && line.text[start - 1] != ' ')
        start--;
    remove(start, line.cursor);
}

static void replace(const char *text)
{
    line.length = line.cursor = strlcpy(line.text, text, EDIT_MAX);
    draw();
}

/* --- history -------------------------------------------------------------------------------------------- */

static void remember(void)
{
    if (!line.length || (history[0] && !strcmp(history[0], line.text)))
        return;
    char *copy = mem_alloc(line.length + 1);
    if (!copy)
        return;
    strlcpy(copy, line.text, line.length + 1);
    mem_free(history[HISTORY_MAX - 1]);
    memmove(history + 1, history, sizeof history - sizeof history[0]);
    history[0] = copy;
}

static void older(void)
{
    if (line.history_at < HISTORY_MAX && history[line.history_at])
        replace(history[line.history_at++]);
}

static void newer(void)
{
    if (line.history_at > 1)
        replace(history[--line.history_at - 1]);
    else if (line.history_at) {
        line.history_at = 0;
        replace("");
    }
}

/* --- completion ----------------------------------------------------------------------------------------- */

static size_t common_prefix(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static void list_candidates(const char *before, edit_complete complete)
{
    char candidate[EDIT_MAX];
    size_t start;
    catch_up();
    write_text("\n");
    for (size_t i = 0; complete(before, i, candidate, sizeof candidate, &start); i++) {
        write_text(candidate);
        write_text("  ");
    }
    write_text("\n");
    draw();
}

/* Adds what all candidates have in common; lists them when that adds nothing. */
static void complete_word(edit_complete complete)
{
    char before[EDIT_MAX], candidate[EDIT_MAX], common[EDIT_MAX];
    size_t start = 0, count = 0;
    strlcpy(before, line.text, line.cursor + 1);
    for (; complete(before, count, candidate, sizeof candidate, &start); count++) {
        if (!count)
            strlcpy(common, candidate, sizeof common);
        common[common_prefix(common, candidate)] = '\0';
    }
    if (!count)
        return;
    if (count == 1 && strlen(common) + 1 < sizeof common)
        strlcpy(common + strlen(common), " ", 2);
    size_t have = line.cursor - start;
    if (strlen(common) > have)
        insert(common + have, strlen(common) - have);
    else
        list_candidates(before, complete);
}

/* --- keys ----------------------------------------------------------------------------------------------- */

static int read_escape(void)
{
    int c = terminal_read(time_ns() + ESCAPE_WAIT);
    if (c != '[' && c != 'O')
        return KEY_NONE;
    int parameter = 0;
    do {
        c = terminal_read(time_ns() + ESCAPE_WAIT);
        if (c >= '0' && c <= '9')
            parameter = (parameter * 10 + c - '0') % 1000;
    } while ((c >= '0' && c <= '9') || c == ';');
    switch (c) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case '~':
        return parameter == 3                     ? KEY_ERASE
               : parameter == 1 || parameter == 7 ? KEY_HOME
               : parameter == 4 || parameter == 8 ? KEY_END
                                                  : KEY_NONE;
    default:
        return KEY_NONE;
    }
}

static void handle_movement(int key)
{
    switch (key) {
    case KEY_LEFT:
    case CONTROL('B'):
        if (line.cursor)
            move_to(line.cursor - 1);
        break;
    case KEY_RIGHT:
    case CONTROL('F'):
        if (line.cursor < line.length)
            move_to(line.cursor + 1);
        break;
    case KEY_HOME:
    case CONTROL('A'):
        move_to(0);
        break;
    case KEY_END:
    case CONTROL('E'):
        move_to(line.length);
        break;
    case KEY_UP:
    case CONTROL('P'):
        older();
        break;
    case KEY_DOWN:
    case CONTROL('N'):
        newer();
        break;
    }
}

static void handle_key(int key, edit_complete complete)
{
    switch (key) {
    case '\b':
    case KEY_DELETE:
        if (line.cursor)
            remove(line.cursor - 1, line.cursor);
        break;
    case KEY_ERASE:
    case CONTROL('D'):
        if (line.cursor < line.length)
            remove(line.cursor, line.cursor + 1);
        break;
    case CONTROL('K'):
        remove(line.cursor, line.length);
        break;
    case CONTROL('U'):
        remove(0, line.cursor);
        break;
    case CONTROL('W'):
        erase_word();
        break;
    case CONTROL('L'):
        write_text("\033[H\033[2J");
        draw();
        break;
    case '\t':
        complete_word(complete);
        break;
    default:
        if (key >= ' ' && key < 256) {
            char c = (char)key;
            insert(&c, 1);
        } else {
            handle_movement(key);
        }
    }
}

bool edit_line(const char *prompt, char *text, edit_complete complete)
{
    line = (typeof(line)){.prompt = prompt, .text = text, .active = true};
    text[0] = '\0';
    write_text(prompt);
    int key;
    do {
        key = read_key();
        if (key == KEY_ESCAPE)
            key = read_escape();
        if (key != '\r' && key != '\n' && key != CONTROL('C'))
            handle_key(key, complete);
    } while (key != '\r' && key != '\n' && key != CONTROL('C'));
    catch_up();
    line.active = false;
    write_text(key == CONTROL('C') ? "^C\n" : "\n");
    if (key != CONTROL('C'))
        remember();
    return key != CONTROL('C');
}
