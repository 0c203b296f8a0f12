; bool vmx_enter(struct arch_vcpu *vcpu, bool launched): one guest entry and exit (SDM vol. 3, chapters 27 and 28).
;
; The processor switches RSP, RIP, RFLAGS, the control and segment registers; the general registers are ours to switch.
; Interrupts are off on both sides. False: the entry did not take place (VMfail).
%include "offsets.inc"

extern cpu_features
global vmx_enter, vmx_exit

%define VMCS_HOST_RSP 0x6c14

%macro LOAD 2
    mov %1, [rdi + VCPU_GPR + 8 * %2]
%endmacro
%macro SAVE 2
    mov [rax + VCPU_GPR + 8 * %2], %1
%endmacro
%macro EACH 1 ; but for RAX and RSP; RDI last
    %1 rcx, 1
    %1 rdx, 2
    %1 rbx, 3
    %1 rbp, 5
    %1 rsi, 6
    %assign n 8
    %rep 8
        %1 r %+ n, n
        %assign n n + 1
    %endrep
    %1 rdi, 7
%endmacro

section .text
vmx_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    lea rax, [rsp - 8] ; exits arrive with room for one register
    cmp rax, [rdi + VCPU_VMX_HOST_RSP]
    je .host_rsp_known
    mov [rdi + VCPU_VMX_HOST_RSP], rax
    mov edx, VMCS_HOST_RSP
    vmwrite rdx, rax
.host_rsp_known:
    test sil, sil ; no flags change until the entry
    LOAD rax, 0
    EACH LOAD
    jz .launch
    vmresume
    jmp .failed
.launch:
    vmlaunch
.failed:
    xor eax, eax
    jmp vmx_left

vmx_exit:
    mov [rsp], rax
    mov rax, [rsp + 8]
    EACH SAVE
    pop qword [rax + VCPU_GPR]
    cmp byte [rel cpu_features + FEATURES_RSB_FILL], 0 ; no RET before this
    jne .fill_rsb
.filled:
    xor ecx, ecx ; nothing of the guest's is left for speculation to start from
    xor edx, edx
    xor esi, esi
    xor edi, edi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    mov eax, 1
vmx_left:
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

vmx_exit.fill_rsb:
    mov ecx, 16
.pair:
    call .first
    int3
.first:
    call .second
    int3
.second:
    dec ecx
    jnz .pair
    add rsp, 32 * 8
    jmp vmx_exit.filled
