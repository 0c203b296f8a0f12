/*
 * Exceptions, interrupts and user mode (pvh/trap.h).
 *
 * One IDT and one GDT for all CPUs, one TSS each; the TSS selector in TR tells a CPU which one it is, so no
 * segment base is needed that user mode could change. Double faults and NMIs have a stack of their own.
 */
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/memory.h>
#include "internal.h"

#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define TSS_SELECTOR  0x30
#define RFLAGS_IF     0x200
#define IST_FAULT     1

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_bitmap;
} __attribute__((packed));

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct cpu {
    struct tss tss;
    uint64_t unwind; /* stack pointer of the try_call() under way, 0: none */
    uint64_t unwind_flags;
    struct pvh_trap trap;
};

extern const char trap_stubs[], try_trapped[], user_exit[];
extern uint64_t pvh_gdt[];
bool try_call(uint64_t *unwind, void (*fn)(void *), void *arg);
void user_enter(uint64_t (*fn)(void *), void *arg, uint64_t stack, uint64_t rflags, void *rsp0);
void trap_dispatch(struct trap_frame *frame);

static struct gate idt[256] __attribute__((aligned(16)));
static struct cpu cpus[SMP_MAX_CPUS];
static interrupt_handler handlers[256];
static uint8_t fault_stack[PAGE_SIZE] __attribute__((aligned(16)));

unsigned cpu_index(void)
{
    uint16_t selector;
    asm("str %0" : "=r"(selector));
    return (selector - TSS_SELECTOR) / 16u;
}

static void set_gate(unsigned vector, unsigned ist, unsigned privilege)
{
    uint64_t stub = (uint64_t)trap_stubs + vector * 16;
    idt[vector] = (struct gate){.offset_low = (uint16_t)stub,
                                .selector = CODE_SELECTOR,
                                .ist = (uint8_t)ist,
                                .type = (uint8_t)(0x8e | privilege << 5),
                                .offset_middle = (uint16_t)(stub >> 16),
                                .offset_high = (uint32_t)(stub >> 32)};
}

void trap_init_cpu(unsigned index, void *fault_stack_top)
{
    struct tss *tss = &cpus[index].tss;
    uint64_t base = (uint64_t)tss;
    tss->ist[IST_FAULT - 1] = (uint64_t)fault_stack_top;
    tss->io_bitmap = sizeof *tss;
    uint64_t *descriptor = &pvh_gdt[TSS_SELECTOR / 8 + 2 * index];
    descriptor[0] = (sizeof *tss - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    descriptor[1] = base >> 32;
    struct {
        uint16_t limit;
        uint64_t address;
    } __attribute__((packed)) pointer = {sizeof idt - 1, (uint64_t)idt};
    asm volatile("lidt %0; ltr %1" : : "m"(pointer), "r"((uint16_t)(TSS_SELECTOR + 16 * index)) : "memory");
}

static void ignore(struct trap_frame *frame)
{
    (void)frame;
}

void trap_init(void)
{
    for (unsigned vector = 0; vector < 256; vector++)
        set_gate(vector, vector == TRAP_DOUBLE_FAULT || vector == TRAP_NMI ? IST_FAULT : 0,
                 vector == TRAP_USER_EXIT || vector == TRAP_BREAKPOINT ? 3 : 0);
    interrupt_set(TRAP_SPURIOUS, ignore);
    trap_init_cpu(0, fault_stack + sizeof fault_stack);
}

void interrupt_set(unsigned vector, interrupt_handler handler)
{
    handlers[vector & 0xff] = handler;
}

static const char *vector_name(uint64_t vector)
{
    static const char *const names[] = {"divide error",
                                        "debug",
                                        "NMI",
                                        "breakpoint",
                                        "overflow",
                                        "bound",
                                        "invalid opcode",
                                        "no FPU",
                                        "double fault",
                                        "9",
                                        "invalid TSS",
                                        "segment not present",
                                        "stack fault",
                                        "general protection",
                                        "page fault",
                                        "15",
                                        "FPU error",
                                        "alignment check",
                                        "machine check",
                                        "SIMD error"};
    return vector < ARRAY_SIZE(names) ? names[vector] : "unexpected interrupt";
}

static _Noreturn void report(const struct trap_frame *f)
{
    pvh_printf("\nCPU %u: %s (vector %lu, error %#lx) at %#lx, CR2 %#lx\n", cpu_index(),
               vector_name(f->vector), f->vector, f->error, f->rip, read_cr2());
    pvh_printf("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    pvh_printf("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
    pvh_printf("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
    pvh_printf("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
    pvh_printf("cs %04lx ss %04lx rflags %08lx cr3 %016lx\n", f->cs, f->ss, f->rflags, read_cr3());
    pvh_panic("unexpected exception");
}

void trap_dispatch(struct trap_frame *frame)
{
    struct cpu *cpu = &cpus[cpu_index()];
    interrupt_handler handler = handlers[frame->vector];
    if (handler) {
        handler(frame);
        return;
    }
    if (!cpu->unwind)
        report(frame);
    cpu->trap = (struct pvh_trap){.vector = (unsigned)frame->vector,
                                  .error = frame->error,
                                  .rip = frame->rip,
                                  .cr2 = read_cr2(),
                                  .value = frame->rax};
    frame->rip = (uint64_t)try_trapped;
    frame->cs = CODE_SELECTOR;
    frame->ss = DATA_SELECTOR;
    frame->rsp = cpu->unwind;
    frame->rflags = cpu->unwind_flags;
    cpu->unwind = 0;
}

static uint64_t read_rflags(void)
{
    uint64_t flags;
    asm volatile("pushfq; pop %0" : "=r"(flags));
    return flags;
}

bool pvh_try(void (*fn)(void *arg), void *arg, struct pvh_trap *trap)
{
    struct cpu *cpu = &cpus[cpu_index()];
    cpu->unwind_flags = read_rflags();
    if (try_call(&cpu->unwind, fn, arg)) {
        cpu->unwind = 0;
        return true;
    }
    if (trap)
        *trap = cpu->trap;
    return false;
}

struct user_call {
    uint64_t (*fn)(void *arg);
    void *arg;
    uint64_t stack, flags;
};

static void enter_user(void *arg)
{
    const struct user_call *call = arg;
    user_enter(call->fn, call->arg, call->stack, call->flags, &cpus[cpu_index()].tss.rsp[0]);
}

void pvh_user_run(uint64_t (*fn)(void *arg), void *arg, uint64_t flags, struct pvh_trap *trap)
{
    uint64_t *stack = page_alloc(1);
    if (!stack)
        pvh_panic("no memory for a user stack");
    uint64_t *top = stack + PAGE_SIZE / sizeof *stack - 2;
    *--top = (uint64_t)user_exit;
    struct user_call call = {fn, arg, (uint64_t)top, (read_rflags() & RFLAGS_IF) | 2 | flags};
    pvh_try(enter_user, &call, trap);
    page_free(stack, 1);
}
