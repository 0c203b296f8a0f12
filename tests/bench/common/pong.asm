; What the partner's only vCPU does (partner.c): waits for an event on its port and answers it, for ever. It is copied into
; that domain's memory and needs nothing but its registers:
; RBX port, RBP the pending bits of its shared info, R12 struct sched_poll, R13 struct evtchn_send.
bits 64

SCHED_OP         equ 29
SCHEDOP_POLL     equ 3
EVENT_CHANNEL_OP equ 32
EVTCHNOP_SEND    equ 4

section .rodata.pong
global pong_start, pong_end
pong_start:
    mov eax, SCHED_OP
    mov edi, SCHEDOP_POLL
    mov rsi, r12
    vmmcall ; a VMCALL on Intel's processors, where partner.c puts it
    lock btr [rbp], rbx
    mov eax, EVENT_CHANNEL_OP
    mov edi, EVTCHNOP_SEND
    mov rsi, r13
    vmmcall
    jmp pong_start
pong_end:

section .note.GNU-stack noalloc noexec nowrite progbits
