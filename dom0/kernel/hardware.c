/*
 * The machine's devices as dom0's drivers reach them (dom0/hardware.h): memory, registers, interrupts.
 *
 * An interrupt only notes its vector and ends the sleep of the vCPU; irq_dispatch() runs the handlers where
 * the scheduler looks for work. So handlers need no locks. A vector of a level-triggered pin is acknowledged
 * after its handlers ran, for until then the pin stays raised and would interrupt again.
 */
#include <dom0/hardware.h>
#include <drivers/pci.h>
#include <lib/string.h>
#include <lib/x86.h>
#include <pvh/acpi.h>
#include <pvh/apic.h>
#include <pvh/memory.h>
#include <pvh/pvh.h>
#include <pvh/trap.h>
#include "kernel.h"

#define FIND_TIME    10000000000ull /* that the boot waits for devices */
#define FIRST_VECTOR 0x30u
#define END_VECTOR   TRAP_EVENT

struct vector {
    irq_handler handler; /* NULL: free */
    void *arg;
    bool level;
};

static struct vector vectors[256];
/* Noted by interrupts, which come in windows and sleep only: so no atomic access. */
static uint64_t pending[256 / 64];
static unsigned unacknowledged;

/* --- memory and registers ------------------------------------------------------------------------------- */

void *dma_alloc(size_t count)
{
    void *pages = page_alloc(count);
    return pages ? memset(pages, 0, count * PAGE_SIZE) : NULL;
}

void dma_free(void *pages, size_t count)
{
    page_free(pages, count);
}

volatile void *registers_map(uint64_t address, uint64_t size)
{
    uint64_t limit = 1ull << (cpuid(0x80000008, 0).eax & 0xff);
    if (!address || !size || size > limit || address > limit - size)
        return NULL;
    for (uint64_t page = address & -PAGE_SIZE; page < address + size; page += PAGE_SIZE)
        if (!page_map(page, page, PAGE_PRESENT | PAGE_WRITE | PAGE_NOCACHE | PAGE_NX))
            return NULL;
    return (volatile void *)address;
}

/* --- vectors -------------------------------------------------------------------------------------------- */

static void interrupt(struct trap_frame *frame)
{
    pending[frame->vector / 64] |= 1ull << frame->vector % 64;
    if (vectors[frame->vector].level)
        unacknowledged++;
    else
        apic_eoi();
    thread_end_sleep(frame);
}

void irq_init(void)
{
    apic_init();
    for (unsigned vector = FIRST_VECTOR; vector < END_VECTOR; vector++)
        if (vector != TRAP_USER_EXIT)
            interrupt_set(vector, interrupt);
}

static void dispatch_word(unsigned word)
{
    uint64_t left = pending[word];
    pending[word] = 0;
    for (; left; left &= left - 1) {
        struct vector vector = vectors[word * 64 + (unsigned)__builtin_ctzll(left)];
        if (vector.handler)
            vector.handler(vector.arg);
    }
}

void irq_dispatch(void)
{
    interrupts_window();
    for (unsigned word = 0; word < ARRAY_SIZE(pending); word++)
        if (pending[word])
            dispatch_word(word);
    for (; unacknowledged; unacknowledged--)
        apic_eoi();
}

uint8_t irq_alloc(irq_handler handler, void *arg)
{
    for (unsigned vector = FIRST_VECTOR; vector < END_VECTOR; vector++) {
        if (vector == TRAP_USER_EXIT || vectors[vector].handler)
            continue;
        vectors[vector] = (struct vector){.handler = handler, .arg = arg};
        return (uint8_t)vector;
    }
    return 0;
}

void irq_free(uint8_t vector)
{
    /* What the device still had under way is acknowledged and dropped. */
    vectors[vector] = (struct vector){.handler = NULL};
}

#define MESSAGE_ADDRESS     0xfee00000ull
#define MESSAGE_DESTINATION 12 /* shift */

uint64_t irq_message_address(void)
{
    return MESSAGE_ADDRESS | (uint64_t)(apic_id() & 0xff) << MESSAGE_DESTINATION;
}

uint32_t irq_message_data(uint8_t vector)
{
    return vector; /* fixed delivery, edge */
}

/* --- pins of IO-APICs (82093AA; ACPI 6.3, 5.2.12) ------------------------------------------------------- */

#define IOAPIC_INDEX        0 /* words of the register window */
#define IOAPIC_DATA         4
#define IOAPIC_WINDOW       0x20
#define REGISTER_VERSION    1
#define REGISTER_ENTRY(pin) (0x10 + 2 * (pin))
#define ENTRY_LOW           (1u << 13)
#define ENTRY_LEVEL         (1u << 15)
#define ENTRY_MASKED        (1u << 16)
#define ENTRY_DESTINATION   24 /* shift in the entry's second word */

#define MADT_ENTRIES  44 /* offset of the first */
#define MADT_IOAPIC   1
#define MADT_OVERRIDE 2
#define POLARITY_MASK 3
#define POLARITY_HIGH 1
#define TRIGGER_MASK  (3 << 2)
#define TRIGGER_EDGE  (1 << 2)

struct madt_entry {
    uint8_t type, length;
    union {
        struct {
            uint8_t id, reserved;
            uint32_t address, gsi_base;
        } __attribute__((packed)) ioapic;
        struct {
            uint8_t bus, source;
            uint32_t gsi;
            uint16_t flags;
        } __attribute__((packed)) override;
    };
} __attribute__((packed));

struct pin_user {
    struct pin_user *next;
    irq_handler handler;
    void *arg;
};

struct pin {
    struct pin *next;
    uint32_t gsi;
    uint8_t vector;
    struct pin_user *users;
};

static struct pin *pins;

/* The entry of that type behind another; NULL: start with the first. */
static const struct madt_entry *madt_next(uint8_t type, const struct madt_entry *after)
{
    const struct acpi_table *madt = acpi_find("APIC");
    if (!madt)
        return NULL;
    const char *end = (const char *)madt + madt->length;
    const char *at = after ? (const char *)after + after->length : (const char *)madt + MADT_ENTRIES;
    while (at + 2 <= end) {
        const struct madt_entry *entry = (const void *)at;
        if (entry->length < 2 || at + entry->length > end)
            return NULL;
        if (entry->type == type && entry->length >= 2 + sizeof entry->override)
            return entry;
        at += entry->length;
    }
    return NULL;
}

uint32_t irq_of_line(uint8_t line, bool *level, bool *low)
{
    *level = *low = true;
    for (const struct madt_entry *e = NULL; (e = madt_next(MADT_OVERRIDE, e));)
        if (e->override.bus == 0 && e->override.source == line) {
            *level = (e->override.flags & TRIGGER_MASK) != TRIGGER_EDGE;
            *low = (e->override.flags & POLARITY_MASK) != POLARITY_HIGH;
            return e->override.gsi;
        }
    return line;
}

/* Writes the redirection entry of a pin; false: no IO-APIC has it. */
static bool pin_write(uint32_t gsi, uint32_t low_word)
{
    for (const struct madt_entry *e = NULL; (e = madt_next(MADT_IOAPIC, e));) {
        uint32_t pin = gsi - e->ioapic.gsi_base;
        volatile uint32_t *registers = registers_map(e->ioapic.address, IOAPIC_WINDOW);
        if (gsi < e->ioapic.gsi_base || !registers)
            continue;
        registers[IOAPIC_INDEX] = REGISTER_VERSION;
        if (pin > (registers[IOAPIC_DATA] >> 16 & 0xff))
            continue;
        registers[IOAPIC_INDEX] = REGISTER_ENTRY(pin);
        registers[IOAPIC_DATA] = low_word | ENTRY_MASKED;
        registers[IOAPIC_INDEX] = REGISTER_ENTRY(pin) + 1;
        registers[IOAPIC_DATA] = apic_id() << ENTRY_DESTINATION;
        registers[IOAPIC_INDEX] = REGISTER_ENTRY(pin);
        registers[IOAPIC_DATA] = low_word;
        return true;
    }
    return false;
}

static void pin_interrupt(void *arg)
{
    const struct pin *pin = arg;
    for (struct pin_user *user = pin->users, *next; user; user = next) {
        next = user->next;
        user->handler(user->arg);
    }
}

static struct pin *pin_find(uint32_t gsi)
{
    struct pin *pin = pins;
    while (pin && pin->gsi != gsi)
        pin = pin->next;
    return pin;
}

static struct pin *pin_create(uint32_t gsi, bool level, bool low)
{
    struct pin *pin = mem_alloc(sizeof *pin);
    uint8_t vector = pin ? irq_alloc(pin_interrupt, pin) : 0;
    if (!vector) {
        mem_free(pin);
        return NULL;
    }
    *pin = (struct pin){.next = pins, .gsi = gsi, .vector = vector};
    vectors[vector].level = level;
    if (!pin_write(gsi, vector | (level ? ENTRY_LEVEL : 0) | (low ? ENTRY_LOW : 0))) {
        irq_free(vector);
        mem_free(pin);
        return NULL;
    }
    return pins = pin;
}

bool irq_route_pin(uint32_t gsi, bool level, bool low, irq_handler handler, void *arg)
{
    struct pin *pin = pin_find(gsi);
    if (pin && !(level && vectors[pin->vector].level))
        return false;
    struct pin_user *user = mem_alloc(sizeof *user);
    if (!user)
        return false;
    /*
     * On a pin that is raised the first interrupt may be there before pin_create() returns; it is handled
     * later.
     */
    if (!pin && !(pin = pin_create(gsi, level, low))) {
        mem_free(user);
        return false;
    }
    *user = (struct pin_user){.next = pin->users, .handler = handler, .arg = arg};
    pin->users = user;
    return true;
}

void irq_unroute_pin(uint32_t gsi, irq_handler handler, void *arg)
{
    struct pin **link = &pins;
    while (*link && (*link)->gsi != gsi)
        link = &(*link)->next;
    struct pin *pin = *link;
    if (!pin)
        return;
    for (struct pin_user **at = &pin->users; *at; at = &(*at)->next)
        if ((*at)->handler == handler && (*at)->arg == arg) {
            struct pin_user *user = *at;
            *at = user->next;
            mem_free(user);
            break;
        }
    if (pin->users)
        return;
    pin_write(gsi, ENTRY_MASKED);
    irq_free(pin->vector);
    *link = pin->next;
    mem_free(pin);
}

/* --- finding devices ------------------------------------------------------------------------------------ */

static struct signal found;

static void find(void *arg)
{
    (void)arg;
    pci_scan();
    pci_probe();
    signal_set(&found);
}

void hardware_init(void)
{
    /* A disk that does not answer must not keep the shell away for minutes. */
    if (!thread_create(find, NULL))
        print("no memory to look for devices: raise dom0_mem\n");
    else if (!signal_wait(&found, time_ns() + FIND_TIME))
        print("a device takes long to start; going on without it for now\n");
}
