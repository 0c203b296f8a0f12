/*
 * Backtraces with function names. Reads the frame-pointer chain; a pointer that leaves the stacks, or does
 * not rise, ends it, so a broken stack prints less but never faults. No locking.
 */
#include <hv/panic.h>
#include <hv/printk.h>
#include <lib/printf.h>
#include <x86/backtrace.h>
#include <x86/cpu.h>
#include <x86/paging.h>

/* The generated table: offsets from image_start, ascending. */
extern const uint32_t symbol_count, symbol_offsets[], symbol_names[];
extern const char symbol_text[];

extern const char image_start[], text_end[], init_start[], init_text_end[], init_bss_start[], init_bss_end[];

static bool is_code(uint64_t address)
{
    return (address >= (uint64_t)image_start && address < (uint64_t)text_end) ||
           (address >= (uint64_t)init_start && address < (uint64_t)init_text_end);
}

const char *symbol_text_at(uint64_t address)
{
    static char buffer[MAX_CPUS][64];
    char *text = buffer[this_cpu()->id];
    text[0] = '\0';
    if (!is_code(address) || !symbol_count)
        return text;
    uint32_t offset = (uint32_t)(address - (uint64_t)image_start);
    uint32_t low = 0, high = symbol_count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (symbol_offsets[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    snprintf(text, sizeof buffer[0], "%s+0x%x", symbol_text + symbol_names[low],
             offset - symbol_offsets[low]);
    return text;
}

/* The stack that holds address: its end, 0 when it is none of ours (or not mapped). */
static uint64_t stack_end(uint64_t address)
{
    const struct arch_cpu *cpu = this_arch_cpu();
    if (address >= (uint64_t)init_bss_start && address < (uint64_t)init_bss_end)
        return cpu->on_boot_stack ? (uint64_t)init_bss_end : 0;
    if (address < cpu->stack_top && address >= cpu->stack_top - STACK_MAIN_SIZE)
        return cpu->stack_top;
    for (unsigned i = 0; i < STACKS - 1; i++)
        if (address < cpu->tss.ist[i] && address >= cpu->tss.ist[i] - STACK_IST_SIZE)
            return cpu->tss.ist[i];
    return 0;
}

unsigned backtrace_collect(const struct trap_frame *frame, uint64_t callers[BACKTRACE_MAX])
{
    unsigned count = 0;
    uint64_t rbp = frame->rbp;
    /* After a call to nowhere, who called is on top of the stack. */
    if (!is_code(frame->rip) && frame->rsp % 8 == 0 && stack_end(frame->rsp))
        callers[count++] = *(const uint64_t *)frame->rsp;
    while (count < BACKTRACE_MAX) {
        uint64_t end = stack_end(rbp);
        if (!end || rbp % 8 || end - rbp < 16)
            break;
        const uint64_t *link = (const uint64_t *)rbp;
        if (!link[1])
            break;
        callers[count++] = link[1];
        if (link[0] <= rbp)
            break;
        rbp = link[0];
    }
    return count;
}

void backtrace_print(uint64_t rip, const uint64_t callers[], unsigned count)
{
    printk(LOG_ERROR "  [%016lx] %s\n", rip, symbol_text_at(rip));
    /* A call that does not return may be the last instruction of its function: look at the call, not behind
     * it. */
    for (unsigned i = 0; i < count; i++)
        printk(LOG_ERROR "  [%016lx] %s\n", callers[i], symbol_text_at(callers[i] - 1));
}

void arch_backtrace(void)
{
    const uint64_t *link = __builtin_frame_address(0);
    struct trap_frame here = {.rip = link[1], .rsp = (uint64_t)(link + 2), .rbp = link[0]};
    uint64_t callers[BACKTRACE_MAX];
    backtrace_print(here.rip, callers, backtrace_collect(&here, callers));
}
