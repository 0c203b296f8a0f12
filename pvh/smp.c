/*
 * Application processors (pvh/apic.h): which there are, by the ACPI MADT, and how one is started.
 *
 * One CPU is started at a time, by CPU 0: smp_boot and the trampoline's page have one user.
 */
#include <lib/string.h>
#include <lib/relax.h>
#include <lib/x86.h>
#include <pvh/acpi.h>
#include <pvh/event.h>
#include <pvh/memory.h>
#include "internal.h"

#define LOW_END       0xa0000ull /* where RAM below 1 MiB ends at the latest; none of it is in the free pages */
#define AP_STACK      16384
#define START_TIME_NS 1000000000ull
#define SIPI_AFTER_NS 200000ull

enum madt_type { MADT_LOCAL_APIC = 0, MADT_LOCAL_X2APIC = 9 };

struct madt_entry {
    uint8_t type, length;
    union {
        struct {
            uint8_t processor, id;
            uint32_t flags;
        } __attribute__((packed)) apic;
        struct {
            uint16_t reserved;
            uint32_t id, flags;
        } __attribute__((packed)) x2apic;
    };
} __attribute__((packed));

extern const char smp_trampoline[], smp_trampoline_end[];

/* Read by entry.asm in this order. */
struct {
    void *stack;
    void (*enter)(void *arg);
    void *arg;
} smp_boot;

static struct {
    void (*fn)(void *arg);
    void *arg;
    void *fault_stack;
    unsigned index;
    bool up;
} starting;
static unsigned cpu_count = 1;

unsigned cpu_apic_ids(uint32_t *ids, unsigned max)
{
    const struct acpi_table *madt = acpi_find("APIC");
    unsigned count = 0;
    if (!madt)
        return 0;
    for (uint32_t at = sizeof *madt + 8; at + 2 <= madt->length;) {
        const struct madt_entry *entry = (const void *)((const char *)madt + at);
        bool is_x2apic = entry->type == MADT_LOCAL_X2APIC;
        if (entry->length < 2)
            break;
        at += entry->length;
        if (!is_x2apic && entry->type != MADT_LOCAL_APIC)
            continue;
        if (!((is_x2apic ? entry->x2apic.flags : entry->apic.flags) & 1))
            continue;
        if (count < max)
            ids[count] = is_x2apic ? entry->x2apic.id : entry->apic.id;
        count++;
    }
    return count;
}

static void ap_main(void *unused)
{
    (void)unused;
    void (*fn)(void *arg) = starting.fn;
    void *arg = starting.arg;
    trap_init_cpu(starting.index, starting.fault_stack);
    apic_init();
    __atomic_store_n(&starting.up, true, __ATOMIC_RELEASE);
    fn(arg);
    for (;;)
        asm volatile("cli; hlt");
}

static bool wait_until_up(uint64_t ns)
{
    uint64_t end = pvh_time_ns() + ns;
    while (!__atomic_load_n(&starting.up, __ATOMIC_ACQUIRE)) {
        if (pvh_time_ns() >= end)
            return false;
        cpu_relax();
    }
    return true;
}

/* The highest page of RAM from which a CPU can start, which all use in turn; 0: there is none. */
static uint64_t trampoline_page(void)
{
    struct hvm_memmap_table_entry entry;
    uint64_t page = 0;
    for (unsigned i = 0; memory_map_entry(i, &entry); i++) {
        uint64_t end = entry.addr + entry.size < LOW_END ? entry.addr + entry.size : LOW_END;
        end &= ~(PAGE_SIZE - 1);
        if (entry.type == XEN_HVM_MEMMAP_TYPE_RAM && end >= entry.addr + PAGE_SIZE && end - PAGE_SIZE > page)
            page = end - PAGE_SIZE;
    }
    return page;
}

bool smp_start(uint32_t apic_id_of_cpu, void (*fn)(void *arg), void *arg)
{
    char *stack = page_alloc(AP_STACK / PAGE_SIZE + 1);
    uint64_t trampoline = trampoline_page();
    if (!stack || !trampoline || cpu_count == SMP_MAX_CPUS || event_init())
        return false;
    apic_init();
    memcpy((void *)trampoline, smp_trampoline, (size_t)(smp_trampoline_end - smp_trampoline));
    smp_boot.stack = stack + PAGE_SIZE + AP_STACK;
    smp_boot.enter = ap_main;
    starting.fn = fn;
    starting.arg = arg;
    starting.fault_stack = stack + PAGE_SIZE;
    starting.index = cpu_count++;
    __atomic_store_n(&starting.up, false, __ATOMIC_RELEASE);
    uint64_t target = (uint64_t)apic_id_of_cpu << 32;
    apic_icr(target | APIC_ICR_ASSERT | APIC_ICR_INIT);
    wait_until_up(SIPI_AFTER_NS);
    apic_icr(target | APIC_ICR_ASSERT | APIC_ICR_STARTUP | trampoline >> PAGE_SHIFT);
    if (wait_until_up(SIPI_AFTER_NS))
        return true;
    apic_icr(target | APIC_ICR_ASSERT | APIC_ICR_STARTUP | trampoline >> PAGE_SHIFT);
    return wait_until_up(START_TIME_NS);
}
