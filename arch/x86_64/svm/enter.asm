; void svm_enter(struct arch_vcpu *vcpu, maddr_t vmcb, maddr_t host_vmcb): one guest entry and exit (APM vol. 2, 15.5).
;
; VMRUN switches RSP, RAX, RIP, RFLAGS and the control registers; VMLOAD and VMSAVE the rest that the guest may change:
; FS, GS, TR, LDTR and the system call MSRs. The general registers are ours to switch. GIF is clear from before the guest's
; state is loaded until the host's is back, so that no interrupt or NMI handler meets the guest's GS. IF is set over VMRUN
; because that is what lets physical interrupts end guest mode.
%include "offsets.inc"
%include "arch/x86_64/guest/registers.inc"
%include "arch/x86_64/guest/rsb.inc"

extern cpu_features
global svm_enter

section .text
svm_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    push rdx
    mov rax, rsi
    clgi
    vmload
    EACH LOAD
    sti
    nop ; QEMU's TCG would take STI's shadow along into the guest
    vmrun
    cli
    vmsave
    mov rax, [rsp]
    vmload
    mov rax, [rsp + 8]
    EACH SAVE
    stgi
    cmp byte [rel cpu_features + FEATURES_RSB_FILL], 0
    je .filled
    FILL_RSB
.filled:
    CLEAR_SCRATCH
    add rsp, 16
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
