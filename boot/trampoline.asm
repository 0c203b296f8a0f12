; Where every CPU but the first begins: real mode, at the start of a page below 1 MiB that smp.c copied this to.
; Addresses inside are relative to that page, which CS gives; struct trampoline_data is at its end.
%include "offsets.inc"

CR0_PE   equ 1
CR0_BITS equ 0x80010031                 ; PG WP NE ET PE
CR4_PAE  equ 1 << 5
MSR_EFER equ 0xc0000080
%define AT(symbol) (symbol - trampoline_start)

section .init.data progbits alloc noexec write align=16
        global trampoline_start, trampoline_end

        bits 16
trampoline_start:
        cli
        cld
        mov ax, cs
        mov ds, ax
        movzx ebx, ax
        shl ebx, 4                      ; the page's address
        lea eax, [ebx + AT(gdt)]
        mov [AT(gdt_pointer) + 2], eax
        lea eax, [ebx + AT(protected)]
        mov [AT(far_protected)], eax
        lea eax, [ebx + AT(long_mode)]
        mov [AT(far_long)], eax
        o32 lgdt [AT(gdt_pointer)]
        mov eax, cr0
        or al, CR0_PE
        and eax, ~0x60000000            ; CD and NW are set after INIT
        mov cr0, eax
        jmp far dword [AT(far_protected)]

        bits 32
protected:
        mov ax, SELECTOR_DATA
        mov ds, ax
        mov ss, ax
        mov eax, [ebx + TRAMPOLINE_DATA + TRAMPOLINE_CR4]
        mov cr4, eax
        mov eax, [ebx + TRAMPOLINE_DATA + TRAMPOLINE_CR3]
        mov cr3, eax
        mov ecx, MSR_EFER
        mov eax, [ebx + TRAMPOLINE_DATA + TRAMPOLINE_EFER]
        xor edx, edx
        wrmsr
        mov eax, CR0_BITS
        mov cr0, eax
        jmp far dword [ebx + AT(far_long)]

        bits 64
long_mode:
        mov rsp, [rbx + TRAMPOLINE_DATA + TRAMPOLINE_STACK]
        mov rdi, [rbx + TRAMPOLINE_DATA + TRAMPOLINE_CPU]
        mov rax, [rbx + TRAMPOLINE_DATA + TRAMPOLINE_ENTRY]
        xor ebp, ebp
        push 0                          ; where backtraces end
        jmp rax                         ; smp_cpu_start(cpu), does not return

        align 8
gdt:    dq 0
        dq 0x00af9b000000ffff           ; SELECTOR_CODE: 64-bit
        dq 0x00cf93000000ffff           ; SELECTOR_DATA
        dq 0x00cf9b000000ffff           ; 32-bit code, for here only
CODE32  equ 0x18
gdt_pointer:
        dw $ - gdt - 1
        dd 0
far_protected:
        dd 0
        dw CODE32
far_long:
        dd 0
        dw SELECTOR_CODE
trampoline_end:
