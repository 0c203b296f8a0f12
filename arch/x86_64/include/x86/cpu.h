/* What an x86 CPU has for itself beside struct cpu: descriptor tables, stacks, APIC id. */
#ifndef X86_CPU_H
#define X86_CPU_H

#include <hv/cpu.h>
#include <hv/types.h>

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

/* Stacks of a CPU in the STACKS area, each with an unmapped page below it. */
enum cpu_stack { STACK_MAIN, STACK_DOUBLE_FAULT, STACK_NMI, STACK_MACHINE_CHECK, STACKS };
#define STACK_MAIN_SIZE 0x2000u
#define STACK_IST_SIZE  0x1000u

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[0] is IST 1 */
    uint64_t reserved2;
    uint16_t reserved3, io_bitmap;
} __attribute__((packed));

struct arch_cpu {
    struct cpu cpu; /* cpu.arch points back here */
    uint32_t apic_id;
    uint64_t stack_top; /* of STACK_MAIN: where cpu_loop() and each VM exit begin */
    uint64_t gdt[5];
    struct tss tss;
    uint32_t stage; /* of start-up (smp.c); atomic */
    volatile bool stopped;
    uint32_t nmis;      /* that nobody asked for; debug key d shows it */
    bool on_boot_stack; /* still on the stack of boot/entry.asm */

    /* Vendor's own. */
    void *vendor_page;    /* VMXON region or SVM host save area */
    maddr_t host_vmcb;    /* SVM: where the host's own VMSAVE state goes */
    void *loaded_vmcs;    /* VMX: struct vcpu whose VMCS is current here */
    uint64_t live_msr[5]; /* VMX: what the guest's MSRs here hold while no guest is on the CPU (vmx/vmx.h) */
    uint64_t asid_generation;
    uint32_t asid_next;
    struct vcpu *fpu_owner;  /* whose FPU state is in the registers */
    struct vcpu *last_guest; /* IBPB is needed when another vCPU comes */
};

static inline struct arch_cpu *this_arch_cpu(void)
{
    return this_cpu()->arch;
}

extern struct arch_cpu boot_cpu;

/* descriptors.c: the IDT, once; then GDT, TSS, IDT and GS of the CPU this runs on. */
void idt_init(void);
void descriptors_load(struct arch_cpu *cpu);
/* For VMX host state. */
uint64_t idt_base(void);

/* smp.c: where a started CPU arrives from the trampoline. */
void smp_cpu_start(struct arch_cpu *cpu) __attribute__((noreturn));

#endif
