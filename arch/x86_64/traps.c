/*
 * Exceptions of the hypervisor itself: the fixup table, non-maskable interrupts, machine checks, and the
 * panic for all others (x86/traps.h). Interrupts go on to irq.c. No locking: each CPU handles its own.
 */
#include <hv/panic.h>
#include <hv/printk.h>
#include <x86/asm.h>
#include <x86/backtrace.h>
#include <x86/cpu.h>
#include <x86/dump.h>
#include <x86/features.h>
#include <x86/irq.h>
#include <x86/traps.h>

struct fixup {
    uint64_t fault, resume;
};
extern const struct fixup fixups_start[], fixups_end[];

void trap_dispatch(struct trap_frame *frame);

static const char *const trap_names[] = {
    [TRAP_DE] = "divide error",         [TRAP_DB] = "debug exception",
    [TRAP_BP] = "breakpoint",           [TRAP_OF] = "overflow",
    [TRAP_BR] = "bound range exceeded", [TRAP_UD] = "invalid opcode",
    [TRAP_NM] = "FPU not available",    [TRAP_DF] = "double fault",
    [TRAP_TS] = "invalid TSS",          [TRAP_NP] = "segment not present",
    [TRAP_SS] = "stack segment fault",  [TRAP_GP] = "general protection fault",
    [TRAP_PF] = "page fault",           [TRAP_MF] = "FPU error",
    [TRAP_AC] = "alignment check",      [TRAP_XM] = "SIMD error",
    [TRAP_CP] = "control protection",
};

static bool fixup(struct trap_frame *frame)
{
    for (const struct fixup *f = fixups_start; f < fixups_end; f++) {
        if (f->fault == frame->rip) {
            frame->rip = f->resume;
            return true;
        }
    }
    return false;
}

void trap_frame_print(const struct trap_frame *f)
{
    printk(LOG_ERROR "rip %016lx %s\n", f->rip, symbol_text_at(f->rip));
    printk(LOG_ERROR "rsp %016lx  rflags %08lx  cs %04lx  ss %04lx\n", f->rsp, f->rflags, f->cs, f->ss);
    printk(LOG_ERROR "rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    printk(LOG_ERROR "rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
    printk(LOG_ERROR "r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
    printk(LOG_ERROR "r13 %016lx  r14 %016lx  r15 %016lx\n", f->r13, f->r14, f->r15);
}

/* Double faults are mostly what a stack overflow becomes: the page below the stack is not mapped. */
static const char *stack_hint(const struct trap_frame *frame)
{
    uint64_t bottom = this_arch_cpu()->stack_top - STACK_MAIN_SIZE;
    return frame->rsp < bottom + 256 && frame->rsp > bottom - PAGE_SIZE ? ", stack overflow" : "";
}

static void __attribute__((noreturn)) trap_fatal(struct trap_frame *frame)
{
    const char *name = frame->vector < ARRAY_SIZE(trap_names) ? trap_names[frame->vector] : NULL;
    panic_begin("CPU %u: %s (vector %lu, error code 0x%lx)%s", this_cpu()->id,
                name ? name : "unexpected exception", frame->vector, frame->error_code,
                frame->vector == TRAP_DF ? stack_hint(frame) : "");
    uint64_t callers[BACKTRACE_MAX];
    trap_frame_print(frame);
    printk(LOG_ERROR "cr0 %08lx  cr2 %016lx  cr3 %09lx  cr4 %08lx\n", read_cr0(), read_cr2(), read_cr3(),
           read_cr4());
    backtrace_print(frame->rip, callers, backtrace_collect(frame, callers));
    panic_end();
}

#define NMI_STATUS_PORT  0x61
#define NMI_STATUS_SERR  0x80
#define NMI_STATUS_IOCHK 0x40

/* May come while this CPU holds any lock, the console's too: nothing is printed unless the end is near
 * anyway. */
static void handle_nmi(const struct trap_frame *frame)
{
    if (machine_stopping())
        cpu_stop_self();
    if (dump_answer(frame))
        return;
    if (inb(NMI_STATUS_PORT) & (NMI_STATUS_SERR | NMI_STATUS_IOCHK))
        panic("NMI: the hardware reports a system or I/O channel error");
    this_arch_cpu()->nmis++;
}

#define MC_STATUS_VALID (1ull << 63)
#define MC_STATUS_ADDRV (1ull << 58)

/* SDM vol. 3, 15.10. Corrected errors do not come this way; what does cannot be contained. */
void machine_check_handle(void)
{
    uint64_t status = cpu_features.mca ? rdmsr(MSR_MCG_STATUS) : 0;
    unsigned banks = cpu_features.mca ? rdmsr(MSR_MCG_CAP) & 0xff : 0;
    panic_begin("machine check (MCG status 0x%lx): the hardware failed", status);
    for (unsigned i = 0; i < banks; i++) {
        uint64_t bank = rdmsr(MSR_MC_STATUS(i));
        if (bank & MC_STATUS_VALID)
            printk(LOG_ERROR "  bank %u: status %016lx, address %016lx\n", i, bank,
                   bank & MC_STATUS_ADDRV ? rdmsr(MSR_MC_ADDR(i)) : 0);
    }
    panic_end();
}

void trap_dispatch(struct trap_frame *frame)
{
    if (frame->vector >= 32)
        irq_dispatch((uint8_t)frame->vector);
    else if (frame->vector == TRAP_NMI)
        handle_nmi(frame);
    else if (frame->vector == TRAP_MC)
        machine_check_handle();
    else if (!fixup(frame))
        trap_fatal(frame);
}

/* In all of these, ok becomes 1 behind the instruction; a fault goes on at label 2, past it. */
bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    uint32_t low, high, ok = 0;
    asm volatile("1: rdmsr\n"
                 "incl %0\n"
                 "2:\n" FIXUP
                 : "+r"(ok), "=a"(low), "=d"(high)
                 : "c"(index)
                 : "memory");
    if (ok)
        *value = (uint64_t)high << 32 | low;
    return ok;
}

#define WRITE_SAFE(name, instruction)                                                                        \
    bool name(uint32_t index, uint64_t value)                                                                \
    {                                                                                                        \
        uint32_t ok = 0;                                                                                     \
        asm volatile("1: " instruction "\n"                                                                  \
                     "incl %0\n"                                                                             \
                     "2:\n" FIXUP                                                                            \
                     : "+r"(ok)                                                                              \
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))                        \
                     : "memory");                                                                            \
        return ok;                                                                                           \
    }
WRITE_SAFE(wrmsr_safe, "wrmsr")
WRITE_SAFE(xsetbv_safe, "xsetbv")

bool xrstor_safe(const void *area, uint64_t mask)
{
    uint32_t ok = 0;
    asm volatile("1: xrstor64 (%1)\n"
                 "incl %0\n"
                 "2:\n" FIXUP
                 : "+r"(ok)
                 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                 : "memory");
    return ok;
}

bool fxrstor_safe(const void *area)
{
    uint32_t ok = 0;
    asm volatile("1: fxrstor64 (%1)\n"
                 "incl %0\n"
                 "2:\n" FIXUP
                 : "+r"(ok)
                 : "r"(area)
                 : "memory");
    return ok;
}
