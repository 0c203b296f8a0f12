; void thread_switch(uint64_t *save, uint64_t load): leaves the stack in *save, goes on where load was left.

        global  thread_switch

section .text progbits alloc exec nowrite align=16
thread_switch:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [rdi], rsp
        mov     rsp, rsi
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

section .note.GNU-stack noalloc noexec nowrite progbits
