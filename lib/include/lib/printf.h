/*
 * Formatted text without a C library.
 *
 * Conversions: d i u x X o c s p %, flags - 0 space + #, width and precision (also *), lengths hh h l ll z t.
 * Return: the length that the whole text would have, as ISO C's snprintf; size 0 writes nothing.
 */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include <stdarg.h>
#include <stddef.h>

int snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *to, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
