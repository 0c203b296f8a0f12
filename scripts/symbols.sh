#!/bin/sh
# Reads `nm -n` of the linked hypervisor on stdin and writes the C file with the table of function names that
# backtraces print (arch/x86_64/backtrace.c reads it). Nothing on stdin gives an empty table, which the first of
# the two link passes uses: the table lies behind all code, so its size moves no function.
#
#   symbol_offsets[i]   distance of function i from the symbol image_start, ascending
#   symbol_names[i]     where its name starts in symbol_text
set -eu
[ "${1:-}" != -h ] || { sed -n 's/^# \{0,1\}//p' "$0"; exit; }

exec awk '
    BEGIN { count = 0 }
    $3 == "image_start" { base = $1; next }
    $2 ~ /^[tT]$/ && $3 !~ /^\./ { address[count] = $1; name[count] = $3; count++ }
    END {
        print "#include <stdint.h>\n"
        print "extern const uint32_t symbol_count, symbol_offsets[], symbol_names[];\nextern const char symbol_text[];\n"
        offsets = names = text = ""
        for (i = 0; base != "" && i < count; i++) {
            # In text, because awk has no 64-bit integers. What is linked below the image is start-up code.
            if (address[i] < base || address[i] == last)
                continue
            last = address[i]
            offsets = offsets "    (uint32_t)(0x" address[i] "u - 0x" base "u),\n"
            names = names "    " at + 0 ",\n"
            text = text "    \"" name[i] "\\0\"\n"
            at += length(name[i]) + 1
            kept++
        }
        if (kept == 0)
            offsets = names = "    0,\n"
        print "const uint32_t symbol_count = " kept + 0 ";\n"
        print "const uint32_t symbol_offsets[] = {\n" offsets "};\n"
        print "const uint32_t symbol_names[] = {\n" names "};\n"
        print "const char symbol_text[] =\n" text "    \"\";"
    }'
