/*
 * GDT, TSS and IDT (SDM vol. 3, chapter 3, 6.14 and 7.7). Each CPU has its own GDT and TSS in struct
 * arch_cpu; the IDT is one for all and does not change after idt_init(). No locking.
 */
#include <lib/string.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/traps.h>

#define GDT_CODE64     0x00af9b000000ffffull /* present, ring 0, 64-bit, readable, accessed */
#define GDT_DATA       0x00cf93000000ffffull
#define TYPE_TSS       0x89ull
#define GATE_INTERRUPT 0x8eu

struct idt_gate {
    uint16_t offset0, selector;
    uint8_t ist, type;
    uint16_t offset16;
    uint32_t offset32, reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static struct idt_gate idt[256] __attribute__((aligned(16)));

/* Exceptions that may find the main stack unusable have one of their own: TSS ist[] index + 1. */
static INIT_CODE uint8_t ist_of(unsigned vector)
{
    switch (vector) {
    case TRAP_DF:
        return STACK_DOUBLE_FAULT;
    case TRAP_NMI:
        return STACK_NMI;
    case TRAP_MC:
        return STACK_MACHINE_CHECK;
    default:
        return 0;
    }
}

INIT_CODE void idt_init(void)
{
    for (unsigned vector = 0; vector < ARRAY_SIZE(idt); vector++) {
        uint64_t offset = (uint64_t)trap_stubs + vector * TRAP_STUB_SIZE;
        idt[vector] = (struct idt_gate){.offset0 = (uint16_t)offset,
                                        .selector = SELECTOR_CODE,
                                        .ist = ist_of(vector),
                                        .type = GATE_INTERRUPT,
                                        .offset16 = (uint16_t)(offset >> 16),
                                        .offset32 = (uint32_t)(offset >> 32)};
    }
}

uint64_t idt_base(void)
{
    return (uint64_t)idt;
}

void descriptors_load(struct arch_cpu *cpu)
{
    uint64_t tss = (uint64_t)&cpu->tss;
    uint64_t limit = sizeof cpu->tss - 1;
    cpu->tss.io_bitmap = sizeof cpu->tss;
    cpu->gdt[SELECTOR_CODE / 8] = GDT_CODE64;
    cpu->gdt[SELECTOR_DATA / 8] = GDT_DATA;
    cpu->gdt[SELECTOR_TSS / 8] = limit | (tss & 0xffffff) << 16 | TYPE_TSS << 40 | (tss >> 24 & 0xff) << 56;
    cpu->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;

    struct table_pointer gdtr = {.limit = sizeof cpu->gdt - 1, .base = (uint64_t)cpu->gdt};
    struct table_pointer idtr = {.limit = sizeof idt - 1, .base = (uint64_t)idt};
    asm volatile("lgdt %0\n"
                 "pushq %[code]\n"
                 "leaq 1f(%%rip), %%rax\n"
                 "pushq %%rax\n"
                 "lretq\n"
                 "1: movl %[data], %%eax\n"
                 "movl %%eax, %%ss\n"
                 "xorl %%eax, %%eax\n"
                 "movl %%eax, %%ds\n"
                 "movl %%eax, %%es\n"
                 "movl %%eax, %%fs\n"
                 "movl %%eax, %%gs\n"
                 "lidt %1\n"
                 :
                 : "m"(gdtr), "m"(idtr), [code] "i"(SELECTOR_CODE), [data] "i"(SELECTOR_DATA)
                 : "rax", "memory");
    asm volatile("ltr %w0" : : "r"(SELECTOR_TSS));
    asm volatile("lldt %w0" : : "r"(0));
    wrmsr(MSR_GS_BASE, (uint64_t)&cpu->cpu);
    wrmsr(MSR_FS_BASE, 0);
}
