; What boot loaders look for in the file: multiboot 1, multiboot 2 and PVH.
%include "boot/layout.inc"

extern pvh_entry_phys, multiboot1_checksum

; --- Multiboot 0.6.96, section 3.1. The checksum is right in the 32-bit file only, see linker.ld.
MB1_MAGIC       equ 0x1badb002
MB1_PAGE_ALIGN  equ 1
MB1_MEMORY_INFO equ 2

section .boot_headers progbits alloc noexec nowrite align=8
        dd MB1_MAGIC
        dd MB1_PAGE_ALIGN | MB1_MEMORY_INFO
        dd multiboot1_checksum

; --- Multiboot 2, section 3.1.
MB2_MAGIC equ 0xe85250d6
MB2_I386  equ 0

%macro tag 3                            ; type, flags (1: optional), size
        align 8, db 0
        dw %1, %2
        dd %3
%endmacro

        align 8, db 0
mb2_start:
        dd MB2_MAGIC, MB2_I386, mb2_end - mb2_start
        dd (0x100000000 - (MB2_MAGIC + MB2_I386 + (mb2_end - mb2_start))) & 0xffffffff
        tag 1, 0, 16                    ; information request
        dd 6, 3                         ;   memory map, modules
        tag 6, 0, 8                     ; modules page aligned
        tag 0, 0, 8
mb2_end:

; --- PVH: xen/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
section .note.pvh note alloc noexec nowrite align=4
        dd 4, 4, 18
        db "Xen", 0
        dd pvh_entry_phys
