; First instructions of a PVH domain (xen/arch-x86/hvm/start_info.h), and of each application processor.
;
; pvh_entry: 32-bit protected mode without paging, EBX = start info. It maps the low 4 GiB one to one in 2 MiB pages,
; goes to 64-bit mode and calls pvh_main(). smp_trampoline: copied to a page of low memory by smp.c; goes from
; real mode straight to 64-bit mode on the tables, the stack and the function that smp.c left in smp_boot.

        global  pvh_entry, pvh_gdt, pvh_gdt_pointer, pvh_stack_guard, pvh_pml4
        global  smp_trampoline, smp_trampoline_end
        extern  pvh_main, smp_boot

XEN_ELFNOTE_PHYS32_ENTRY equ 18
STACK_SIZE      equ 64 * 1024
CR0_ON          equ 0x80010033                  ; PG WP NE ET MP PE
CR4_ON          equ 0x620                       ; PAE OSFXSR OSXMMEXCPT
MSR_EFER        equ 0xc0000080
EFER_ON         equ 0x900                       ; LME NXE
PAGE_FLAGS      equ 7                           ; present, writable, user
LARGE           equ 0x80
CODE64          equ 0x08
DATA            equ 0x10
CPUS            equ 64

section .note.xen note alloc noexec nowrite align=4
        dd      4, 4, XEN_ELFNOTE_PHYS32_ENTRY
        db      "Xen", 0
        dd      pvh_entry

section .text.entry progbits alloc exec nowrite align=16
bits 32
pvh_entry:
        cld
        mov     esp, stack_top
        mov     dword [pvh_pml4], pdpt + PAGE_FLAGS
        mov     edi, pdpt
        mov     eax, directories + PAGE_FLAGS
        mov     ecx, 4
.pdpt:  mov     [edi], eax
        add     eax, 4096
        add     edi, 8
        loop    .pdpt
        mov     edi, directories
        mov     eax, PAGE_FLAGS | LARGE
        mov     ecx, 4 * 512
.large: mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        loop    .large

        mov     esi, ebx                        ; wrmsr needs no EBX, but cpuid users below may
        mov     eax, CR4_ON
        mov     cr4, eax
        mov     eax, pvh_pml4
        mov     cr3, eax
        mov     ecx, MSR_EFER
        mov     eax, EFER_ON
        xor     edx, edx
        wrmsr
        mov     eax, CR0_ON
        mov     cr0, eax
        lgdt    [pvh_gdt_pointer]
        jmp     CODE64:.long
bits 64
.long:  call    load_data_segments
        mov     edi, esi
        xor     ebp, ebp
        call    pvh_main

load_data_segments:
        mov     eax, DATA
        mov     ss, eax
        mov     ds, eax
        mov     es, eax
        xor     eax, eax
        mov     fs, eax
        mov     gs, eax
        ret

; Where an application processor reaches 64-bit mode. smp_boot: stack, function, argument (smp.c).
ap_long:
        mov     rsp, [smp_boot]
        call    load_data_segments
        mov     rdi, [smp_boot + 16]
        xor     ebp, ebp
        call    [smp_boot + 8]

section .rodata progbits alloc noexec nowrite align=16
bits 16
smp_trampoline:
        cli
        mov     ax, cs
        mov     ds, ax
        mov     eax, CR4_ON
        mov     cr4, eax
        mov     eax, pvh_pml4
        mov     cr3, eax
        mov     ecx, MSR_EFER
        mov     eax, EFER_ON
        xor     edx, edx
        wrmsr
        o32 lgdt [.gdt - smp_trampoline]
        mov     eax, CR0_ON
        mov     cr0, eax
        jmp     dword CODE64:ap_long
        align   4
.gdt:   dw      gdt_end - pvh_gdt - 1
        dd      pvh_gdt
smp_trampoline_end:

section .data progbits alloc noexec write align=16
pvh_gdt_pointer:
        dw      gdt_end - pvh_gdt - 1
        dq      pvh_gdt
        align   16
pvh_gdt:
        dq      0
        dq      0x00af9b000000ffff              ; 0x08 code, ring 0
        dq      0x00cf93000000ffff              ; 0x10 data, ring 0
        dq      0x00affb000000ffff              ; 0x18 code, ring 3
        dq      0x00cff3000000ffff              ; 0x20 data, ring 3
        dq      0
        times   2 * CPUS dq 0                   ; 0x30 on: one TSS per CPU (trap.c)
gdt_end:

section .bss.pages nobits alloc noexec write align=4096
pvh_pml4:       resb 4096
pdpt:           resb 4096
directories:    resb 4 * 4096
pvh_stack_guard: resb 4096
                resb STACK_SIZE
stack_top:

section .note.GNU-stack noalloc noexec nowrite progbits
