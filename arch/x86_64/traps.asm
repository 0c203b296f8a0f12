; Entry of every exception and interrupt: a struct trap_frame on the stack, then C.
;
; The hypervisor's GS is always loaded here: interrupts come in its own windows only, and NMIs and machine checks are held
; off (SVM: GIF) or find host state loaded by hardware (VMX) around guest mode.
%include "offsets.inc"

section .text
        extern trap_dispatch

trap_common:
        push rax
        push rbx
        push rcx
        push rdx
        push rbp
        push rsi
        push rdi
        push r8
        push r9
        push r10
        push r11
        push r12
        push r13
        push r14
        push r15
        cld
        mov rdi, rsp
        call trap_dispatch
        pop r15
        pop r14
        pop r13
        pop r12
        pop r11
        pop r10
        pop r9
        pop r8
        pop rdi
        pop rsi
        pop rbp
        pop rdx
        pop rcx
        pop rbx
        pop rax
        add rsp, 16                     ; vector, error code
        iretq

; Exceptions for which the CPU pushes an error code.
%define ERROR_CODES (1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30)

        global trap_stubs
        align 16
trap_stubs:                             ; TRAP_STUB_SIZE bytes each
%assign vector 0
%rep 256
  %if vector >= 32 || (ERROR_CODES & (1 << vector)) == 0
        push 0
  %endif
        push vector
        jmp near trap_common
        align TRAP_STUB_SIZE
  %assign vector vector + 1
%endrep
