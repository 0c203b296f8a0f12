; vmx_enter: one guest entry and exit (SDM vol. 3, chapters 27 and 28). Called through the function of that name in vmx.h.
;
; In: RDI struct arch_vcpu, SIL whether the VMCS was launched. Out: RAX the same struct; CF if the entry did not take place (VMfail).
; All other registers but RBP and RSP are lost. The processor switches RSP, RIP, RFLAGS, the control and segment registers; the
; general registers are ours to switch. Interrupts are off on both sides.
%include "offsets.inc"
%include "arch/x86_64/guest/registers.inc"
%include "arch/x86_64/guest/rsb.inc"

extern cpu_features
global vmx_enter_stub, vmx_exit

%define VMCS_HOST_RSP 0x6c14

section .text
vmx_enter_stub:
    push rbp
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
    pop rax
    stc
    pop rbp
    ret

vmx_exit:
    mov [rsp], rax
    mov rax, [rsp + 8]
    EACH SAVE
    pop qword [rax + VCPU_GPR]
    cmp byte [rel cpu_features + FEATURES_RSB_FILL], 0
    je .filled
    FILL_RSB
.filled:
    CLEAR_SCRATCH
    xor ebx, ebx ; and no carry
    pop rax
    pop rbp
    ret
