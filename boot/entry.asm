; From the boot loader to C: 32-bit protected mode without paging -> long mode at the linked address.
;
; All three protocols start with flat segments, paging off, and EBX pointing at the boot information. EAX says which
; protocol it is; PVH has no such number, its entry point supplies one. The tables made here map the first 4 GiB three
; times: at their own address (for the jump), in the direct map, and the first GiB as the image.
%include "boot/layout.inc"
%include "offsets.inc"

CPUID_LONG_MODE equ 1 << 29
CR0_BITS equ 0x80010031                 ; PG WP NE ET PE
CR4_PAE  equ 1 << 5
MSR_EFER equ 0xc0000080
EFER_LME equ 1 << 8
PTE_TABLE equ 3                         ; writable, present
PTE_2M    equ 0x83
SERIAL   equ 0x3f8
VGA_TEXT equ 0xb8000

        bits 32
section .init.entry progbits alloc exec nowrite align=16
        global boot_entry, pvh_entry
        extern boot_start

pvh_entry:
        mov eax, PVH_MAGIC
boot_entry:
        cli
        cld
        mov esp, PHYS(boot_stack_top)
        mov esi, eax                    ; protocol
        mov edi, ebx                    ; boot information
        mov eax, 0x80000000
        cpuid
        cmp eax, 0x80000001
        jb no_long_mode
        mov eax, 0x80000001
        cpuid
        test edx, CPUID_LONG_MODE
        jz no_long_mode
        call make_tables
        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, PHYS(boot_pml4)
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        mov eax, CR0_BITS
        mov cr0, eax
        lgdt [PHYS(boot_gdt_pointer)]
        jmp SELECTOR_CODE:PHYS(long_mode)

make_tables:
        xor ecx, ecx                    ; 4 GiB of 2 MiB pages
.fill:  mov eax, ecx
        shl eax, 21
        or eax, PTE_2M
        mov [PHYS(boot_pd) + ecx * 8], eax
        mov edx, ecx
        shr edx, 11
        mov [PHYS(boot_pd) + ecx * 8 + 4], edx
        inc ecx
        cmp ecx, 4 * 512
        jb .fill
        mov eax, PHYS(boot_pd) + PTE_TABLE
        mov dword [PHYS(boot_pdpt_image) + 510 * 8], eax
        mov dword [PHYS(boot_pdpt)], eax
        add eax, 0x1000
        mov dword [PHYS(boot_pdpt) + 8], eax
        add eax, 0x1000
        mov dword [PHYS(boot_pdpt) + 16], eax
        add eax, 0x1000
        mov dword [PHYS(boot_pdpt) + 24], eax
        mov dword [PHYS(boot_pml4)], PHYS(boot_pdpt) + PTE_TABLE
        mov dword [PHYS(boot_pml4) + DIRECTMAP_SLOT * 8], PHYS(boot_pdpt) + PTE_TABLE
        mov dword [PHYS(boot_pml4) + 511 * 8], PHYS(boot_pdpt_image) + PTE_TABLE
        ret

; There is no console yet: the line goes to the screen and to the first serial port as they are.
no_long_mode:
        mov esi, PHYS(no_long_mode_text)
        mov edi, VGA_TEXT
        mov ah, 0x4f
.next:  lodsb
        test al, al
        jz .halt
        stosw
        mov cl, al
        mov dx, SERIAL + 5
.wait:  in al, dx
        test al, 0x20                   ; transmitter empty; a port that is not there reads all ones
        jz .wait
        mov dx, SERIAL
        mov al, cl
        out dx, al
        jmp .next
.halt:  hlt
        jmp .halt

        bits 64
long_mode:
        mov rax, .high
        jmp rax
.high:  mov eax, SELECTOR_DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov rsp, boot_stack_top
        xor ebp, ebp
        mov eax, esi
        mov esi, edi
        mov edi, eax
        push 0                          ; where backtraces end
        jmp boot_start                  ; (protocol, boot information), does not return

section .init.data progbits alloc noexec write align=8
no_long_mode_text:
        db "Hospes: this processor has no 64-bit mode; use one that has (x86-64, with VMX/EPT or SVM/NPT).", 13, 10, 0
        align 8
boot_gdt:
        dq 0
        dq 0x00af9b000000ffff           ; 64-bit code
        dq 0x00cf93000000ffff           ; data
boot_gdt_pointer:
        dw $ - boot_gdt - 1
        dd PHYS(boot_gdt)

section .bss.init nobits alloc noexec write align=4096
boot_pml4:       resb 0x1000
boot_pdpt:       resb 0x1000
boot_pdpt_image: resb 0x1000
boot_pd:         resb 0x4000
boot_stack:      resb 0x4000
boot_stack_top:
