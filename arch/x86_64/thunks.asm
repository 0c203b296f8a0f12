; Indirect calls and jumps of C code (-mindirect-branch=thunk-extern). The return is predicted into the harmless loop,
; so no guest that trained the branch predictor chooses where the CPU speculates to.
section .text

%macro thunk 1
        global __x86_indirect_thunk_%1
        align 16
__x86_indirect_thunk_%1:
        call %%go
%%trap: pause
        lfence
        jmp %%trap
%%go:   mov [rsp], %1
        ret
%endmacro

        thunk rax
        thunk rbx
        thunk rcx
        thunk rdx
        thunk rsi
        thunk rdi
        thunk rbp
        thunk r8
        thunk r9
        thunk r10
        thunk r11
        thunk r12
        thunk r13
        thunk r14
        thunk r15
