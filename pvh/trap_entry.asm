; Entries of all 256 vectors, and the ways into and out of code that may fault (trap.c, pvh/trap.h).

        global  trap_stubs, try_call, try_trapped, user_enter, user_exit
        extern  trap_dispatch

USER_CODE       equ 0x1b
USER_DATA       equ 0x23
USER_EXIT       equ 0x80

section .text progbits alloc exec nowrite align=16
; One stub of 16 bytes per vector: makes the frame the same with and without an error code.
trap_stubs:
%assign vector 0
%rep 256
        align   16
  %if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17 \
      && vector != 21 && vector != 29 && vector != 30
        push    0
  %endif
        push    dword vector
        jmp     near trap_common
  %assign vector vector + 1
%endrep

trap_common:
        push    rax
        push    rbx
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        push    rbp
        push    r8
        push    r9
        push    r10
        push    r11
        push    r12
        push    r13
        push    r14
        push    r15
        cld
        mov     rdi, rsp
        call    trap_dispatch
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rbp
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rbx
        pop     rax
        add     rsp, 16
        iretq

; bool try_call(uint64_t *unwind, void (*fn)(void *), void *arg): 1 when fn returned. A trap that comes meanwhile
; resumes at try_trapped with RSP = *unwind.
try_call:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 8
        mov     [rdi], rsp
        mov     rdi, rdx
        call    rsi
        mov     eax, 1
try_out:
        add     rsp, 8
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret
try_trapped:
        xor     eax, eax
        jmp     try_out

; void user_enter(fn, arg, user_stack, rflags, uint64_t *rsp0): only a trap leads out again.
user_enter:
        mov     [r8], rsp
        push    USER_DATA
        push    rdx
        push    rcx
        push    USER_CODE
        push    rdi
        mov     rdi, rsi
        xor     ebp, ebp
        iretq

; Where a user-mode function returns to, in ring 3.
user_exit:
        int     USER_EXIT

section .note.GNU-stack noalloc noexec nowrite progbits
