#!/usr/bin/python3
"""trim-elf.py IN OUT: the 64-bit ELF IN without what loading it does not need: section headers, the zeros at the
end of each segment (the loader makes them) and the gaps between segments. What lands in memory stays the same."""
import struct
import sys

HEADER, PROGRAM = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
PT_LOAD = 1


def trim(data):
    ident, *_, ehsize, phentsize, phnum, _, _, _ = header = HEADER.unpack_from(data)
    if ident[:5] != b"\x7fELF\x02":
        sys.exit("trim-elf.py: not a 64-bit ELF")
    out = bytearray(HEADER.size + phnum * PROGRAM.size)
    moved = []  # (old start, old end, new start) of each loaded segment
    programs = [PROGRAM.unpack_from(data, header[5] + i * phentsize) for i in range(phnum)]
    # Loaded segments first, so that a note inside one of them moves with it.
    for i, (kind, flags, offset, vaddr, paddr, filesz, memsz, align) in sorted(
            enumerate(programs), key=lambda program: program[1][0] != PT_LOAD):
        inside = [start + offset - old for old, end, start in moved if old <= offset < end]
        if kind == PT_LOAD or not inside:
            body = data[offset:offset + filesz]
            if kind == PT_LOAD:
                body = body.rstrip(b"\0")
                filesz = len(body)
            out += bytes(-len(out) % 4096)
            inside = [len(out)]
            moved.append((offset, offset + filesz, len(out)))
            out += body
        PROGRAM.pack_into(out, HEADER.size + i * PROGRAM.size, kind, flags, inside[0], vaddr, paddr, filesz, memsz, align)
    # e_phoff behind the header; no sections.
    HEADER.pack_into(out, 0, *header[:5], HEADER.size, 0, header[7], ehsize, PROGRAM.size, phnum, 0, 0, 0)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
        target.write(trim(source.read()))
