/*
 * The line editor: cursor keys, Home, End, Delete, Ctrl-A E B F K U W L C D, history, Tab.
 */
#ifndef DOM0_EDIT_H
#define DOM0_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#define EDIT_MAX 512

/*
 * Candidate number index for the word that ends at the cursor: line is the text before the cursor, *start is
 * set to where that word begins. False past the last.
 */
typedef bool (*edit_complete)(const char *line, size_t index, char *candidate, size_t size, size_t *start);

/* Reads one line, without its end, into line[EDIT_MAX]. False: Ctrl-C, start anew. May switch. */
bool edit_line(const char *prompt, char *line, edit_complete complete);

/* Takes the line being edited off the screen and puts it back, so that another thread's text can come
 * between. */
void edit_hide(void);
void edit_show(void);

#endif
