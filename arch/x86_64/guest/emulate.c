/*
 * Accesses to guest-physical addresses where no RAM is: device registers that are carried out in software.
 *
 * Interface: emulate.h. A table names the ranges and who reads and writes them: the local APIC, and for dom0
 * the IO-APICs and PCI configuration; everywhere else is an empty bus. One exit does one access; a repeated
 * string instruction exits for each item.
 *
 * Locking: none; the current vCPU's state.
 */
#include "emulate.h"
#include <hv/printk.h>
#include <x86/msr.h>
#include <x86/traps.h>
#include "execute.h"
#include "exit.h"
#include "guest_access.h"
#include "mmio.h"
#include "vioapic.h"
#include "vlapic.h"
#include "vpci.h"

/* --- who answers ---------------------------------------------------------------------------------------- */

struct device {
    bool (*covers)(const struct vcpu *v, gpa_t gpa);
    uint64_t (*read)(struct vcpu *v, gpa_t gpa, unsigned size);
    void (*write)(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value);
};

static bool apic_covers(const struct vcpu *v, gpa_t gpa)
{
    uint64_t base = v->arch->apic_base;

    return (base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE &&
           (base ^ gpa.v) >> PAGE_SHIFT == 0;
}

/* Registers are the first four bytes of each sixteen; software may read parts of them, but writes them whole.
 */
static uint64_t apic_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    (void)size;
    perfc_incr(apic_accesses);
    return gpa.v & 0xc ? 0 : vlapic_read(v, gpa.v & ~PAGE_MASK & ~3ull) >> 8 * (gpa.v & 3);
}

static void apic_write(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value)
{
    perfc_incr(apic_accesses);
    if (!(gpa.v & 0xf) && size >= 4)
        vlapic_write(v, gpa.v & ~PAGE_MASK, (uint32_t)value);
}

/*
 * Where nothing answers, a bus gives ones: software that looks for hardware relies on that. GRUB's PVH image
 * reads the last word below 4 GiB.
 */
static uint64_t bus_read(struct vcpu *v, gpa_t gpa, unsigned size)
{
    (void)size;
    if (!v->domain->privileged)
        guest_printk(v->domain, "vCPU %u reads from guest-physical %#lx, where nothing is, at %#lx", v->id,
                     gpa.v, v->arch->rip);
    return ~0ull;
}

static void bus_write(struct vcpu *v, gpa_t gpa, unsigned size, uint64_t value)
{
    (void)size, (void)value;
    if (!v->domain->privileged)
        guest_printk(v->domain, "vCPU %u writes to guest-physical %#lx, where nothing is, at %#lx", v->id,
                     gpa.v, v->arch->rip);
}

static const struct device devices[] = {
    {apic_covers, apic_read, apic_write},
    {vioapic_covers, vioapic_read, vioapic_write},
    {vpci_covers, vpci_read, vpci_write},
};
static const struct device bus = {.read = bus_read, .write = bus_write};

static const struct device *find_device(const struct vcpu *v, gpa_t gpa)
{
    for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
        if (devices[i].covers(v, gpa))
            return &devices[i];
    return &bus;
}

static uint64_t device_read(struct vcpu *v, const struct device *device, gpa_t gpa, unsigned size)
{
    uint64_t value = device->read(v, gpa, size);

    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

/* --- string instructions -------------------------------------------------------------------------------- */

static gva_t string_address(const struct vcpu *v, const struct instruction *i, enum segment_name segment,
                            uint64_t offset)
{
    struct segment s = {.base = 0};

    if (i->address_size != 8)
        offset &= i->address_size == 4 ? 0xffffffffu : 0xffffu;
    if (vendor->get_register(v, REG_EFER) & EFER_LMA) { /* of long mode's segments only FS and GS count */
        struct segment cs;
        vendor->get_segment(v, SEG_CS, &cs);
        if ((cs.access & SEGMENT_L) && segment != SEG_FS && segment != SEG_GS)
            return GVA(offset);
    }
    vendor->get_segment(v, segment, &s);
    return GVA(i->address_size == 8 ? s.base + offset : (uint32_t)(s.base + offset));
}

static void advance_pointer(uint64_t *pointer, const struct instruction *i, int64_t step)
{
    switch (i->address_size) {
    case 8:
        *pointer += (uint64_t)step;
        break;
    case 4:
        *pointer = (uint32_t)(*pointer + (uint64_t)step);
        break;
    default:
        *pointer = (*pointer & ~0xffffull) | (uint16_t)(*pointer + (uint64_t)step);
        break;
    }
}

/* The other side of a MOVS, which may be RAM or a device too. False: it faulted, and #PF is on its way. */
static bool move_other_side(struct vcpu *v, gva_t at, uint64_t *value, unsigned size, uint32_t access)
{
    uint32_t error_code;
    gva_t fault;
    gpa_t gpa;
    enum walk_result result = guest_linear_access(v, at, value, size, access, &error_code, &fault);

    if (result == WALK_NOT_RAM && guest_translate(v, at, access, &gpa, &error_code) == WALK_OK) {
        const struct device *device = find_device(v, gpa);
        if (access & ACCESS_WRITE)
            device->write(v, gpa, size, *value);
        else
            *value = device_read(v, device, gpa, size);
        return true;
    }
    if (result == WALK_FAULT)
        inject_page_fault(v, fault.v, error_code);
    return result == WALK_OK;
}

/* MOVS and STOS, one item. True when RIP may move on. */
static bool string_item(struct vcpu *v, const struct instruction *i, const struct device *device,
                        const struct vmexit *exit)
{
    uint64_t *gpr = v->arch->gpr, value = gpr[RAX];
    unsigned size = i->operand_size;
    int64_t step = v->arch->rflags & RFLAGS_DF ? -(int64_t)size : (int64_t)size;
    bool moves = (i->opcode & 0xfe) == 0xa4;

    if (moves && exit->fault.write) {
        gva_t from = string_address(v, i, i->segment >= 0 ? (enum segment_name)i->segment : SEG_DS, gpr[RSI]);
        if (!move_other_side(v, from, &value, size, ACCESS_READ))
            return false;
        device->write(v, exit->fault.gpa, size, value);
    } else if (moves) {
        value = device_read(v, device, exit->fault.gpa, size);
        if (!move_other_side(v, string_address(v, i, SEG_ES, gpr[RDI]), &value, size, ACCESS_WRITE))
            return false;
    } else {
        device->write(v, exit->fault.gpa, size, size == 8 ? value : value & ((1ull << 8 * size) - 1));
    }
    if (moves)
        advance_pointer(&gpr[RSI], i, step);
    advance_pointer(&gpr[RDI], i, step);
    if (!i->rep && !i->repne)
        return true;
    advance_pointer(&gpr[RCX], i, -1);
    return i->address_size == 8   ? gpr[RCX] == 0
           : i->address_size == 4 ? (uint32_t)gpr[RCX] == 0
                                  : (uint16_t)gpr[RCX] == 0;
}

/* --- the exit ------------------------------------------------------------------------------------------- */

static unsigned code_size(const struct vcpu *v)
{
    struct segment cs;

    vendor->get_segment(v, SEG_CS, &cs);
    return cs.access & SEGMENT_L ? 8 : cs.access & SEGMENT_DB ? 4 : 2;
}

static void emulate(struct vcpu *v, const struct device *device, const struct vmexit *exit)
{
    struct arch_vcpu *a = v->arch;
    uint8_t bytes[INSTRUCTION_MAX] = {0};
    struct instruction i;
    struct memory_use use;
    size_t count = fetch_guest(v, a->rip, bytes, sizeof(bytes));
    bool decoded = decode(bytes, count, code_size(v), &i);

    if (decoded && (i.opcode == 0xaa || i.opcode == 0xab || i.opcode == 0xa4 || i.opcode == 0xa5)) {
        if (string_item(v, &i, device, exit))
            advance_rip(v, i.length);
        return;
    }
    if (!decoded || !memory_use(&i, &use)) {
        guest_printk(v->domain, "vCPU %u: cannot carry out %02x %02x %02x %02x at %#lx on device memory %#lx",
                     v->id, bytes[0], bytes[1], bytes[2], bytes[3], a->rip, exit->fault.gpa.v);
        inject_exception(v, TRAP_UD);
        return;
    }
    uint64_t value = use.loads ? device_read(v, device, exit->fault.gpa, use.size) : 0;
    execute(&i, a->gpr, &a->rflags, &value);
    if (use.stores)
        device->write(v, exit->fault.gpa, use.size, value);
    advance_rip(v, i.length);
}

/* The access would be carried out by now: the map changed after the processor looked. */
static bool allowed(enum p2m_type type, const struct vmexit *exit)
{
    switch (type) {
    case P2M_NONE:
        return false;
    case P2M_RAM:
        return true;
    case P2M_RAM_RO:
        return !exit->fault.write;
    case P2M_GRANT_RO:
        return !exit->fault.write && !exit->fault.fetch;
    default:
        return !exit->fault.fetch;
    }
}

void emulate_p2m_fault(struct vcpu *v, const struct vmexit *exit)
{
    gpa_t gpa = exit->fault.gpa;

    guest_access_begin(v->domain);
    enum p2m_type type = p2m_lookup(v->domain, gpa_to_gfn(gpa)).type;
    guest_access_end();
    if (allowed(type, exit))
        return;
    /* Not an access of the instruction at RIP: the processor fetched code, walked tables or delivered an
     * event there. */
    bool other_access = exit->fault.fetch || exit->fault.during_walk || v->arch->event_queued;
    const struct device *device = other_access ? NULL : find_device(v, gpa);
    if (type != P2M_NONE)
        inject_exception_error(v, TRAP_GP, 0); /* a page that must not be written, or run */
    else if (device == &bus && mmio_map(v->domain, gpa))
        return; /* the access is made once more */
    else if (device)
        emulate(v, device, exit);
    else
        domain_crash(v->domain, "%s guest-physical address %#lx, where nothing is%s",
                     exit->fault.fetch   ? "ran code at"
                     : exit->fault.write ? "wrote to"
                                         : "read from",
                     gpa.v, exit->fault.during_walk ? ", for a page table" : "");
}
