/*
 * Debug registers (SDM vol. 3, 17.2). DR6 and DR7 are the vendor code's; DR0-3 stay in memory, and a guest's
 * use of them exits, until it uses them for the first time since it came onto the CPU. The hypervisor has no
 * breakpoints of its own.
 *
 * Interface: exit.h. Locking: none; the current vCPU's state.
 */
#include <x86/msr.h>
#include <x86/traps.h>
#include "decode.h"
#include "exit.h"
#include "guest_access.h"

#define DR7_ENABLED 0xffull
#define DR7_FIXED   0x400ull
#define DR7_VALID   0xffff2bffull
#define DR6_FIXED   0xffff0ff0ull
#define DR6_VALID   0xe00full /* B0-3, BD, BS, BT */

bool debug_registers_stay;

static void load(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    asm volatile("mov %0, %%db0; mov %1, %%db1; mov %2, %%db2; mov %3, %%db3"
                 :
                 : "r"(a->dr[0]), "r"(a->dr[1]), "r"(a->dr[2]), "r"(a->dr[3]));
    a->dr_loaded = true;
}

void debug_registers_switch_out(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    if (!a->dr_loaded)
        return;
    asm volatile("mov %%db0, %0; mov %%db1, %1; mov %%db2, %2; mov %%db3, %3"
                 : "=r"(a->dr[0]), "=r"(a->dr[1]), "=r"(a->dr[2]), "=r"(a->dr[3]));
    a->dr_loaded = false;
    a->dr_armed = vendor->get_register(v, REG_DR7) & DR7_ENABLED;
}

void debug_registers_switch_in(struct vcpu *v)
{
    if (unlikely(v->arch->dr_armed) && !debug_registers_stay)
        load(v);
}

void debug_registers_set_dr7(struct vcpu *v, uint64_t value)
{
    vendor->set_register(v, REG_DR7, value);
    v->arch->dr_armed = value & DR7_ENABLED;
}

void debug_registers_reset(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    for (unsigned i = 0; i < ARRAY_SIZE(a->dr); i++)
        a->dr[i] = 0;
    if (a->dr_loaded)
        load(v);
}

static uint64_t read(const struct vcpu *v, unsigned number)
{
    if (number < 4)
        return v->arch->dr[number];
    return vendor->get_register(v, number == 6 ? REG_DR6 : REG_DR7);
}

static bool write(struct vcpu *v, unsigned number, uint64_t value)
{
    if (number < 4) {
        v->arch->dr[number] = value;
        return true;
    }
    if (value >> 32)
        return false;
    if (number == 6)
        vendor->set_register(v, REG_DR6, (value & DR6_VALID) | DR6_FIXED);
    else
        debug_registers_set_dr7(v, (value & DR7_VALID) | DR7_FIXED);
    return true;
}

/* MOV to or from DRn in software: the guest finds what it wrote, but its breakpoints do not strike. */
static void emulate(struct vcpu *v)
{
    uint64_t *gpr = v->arch->gpr;
    uint8_t bytes[INSTRUCTION_MAX];
    struct instruction i;
    struct segment cs;
    vendor->get_segment(v, SEG_CS, &cs);
    unsigned mode = cs.access & SEGMENT_L ? 8 : cs.access & SEGMENT_DB ? 4 : 2;
    size_t count = fetch_guest(v, v->arch->rip, bytes, sizeof(bytes));

    if (!decode(bytes, count, mode, &i) || (i.opcode != 0x0f21 && i.opcode != 0x0f23))
        return; /* not there any more: the guest meets what is */
    unsigned number = i.reg;
    if (number >= 8 || (number / 2 == 2 && vendor->get_register(v, REG_CR4) & CR4_DE)) {
        inject_exception(v, TRAP_UD);
        return;
    }
    if (number / 2 == 2)
        number += 2; /* DR4 and DR5 are DR6 and DR7 */
    uint64_t mask = mode == 8 ? ~0ull : 0xffffffffull;
    if (i.opcode == 0x0f21)
        gpr[i.rm] = read(v, number) & mask;
    else if (!write(v, number, gpr[i.rm] & mask)) {
        inject_exception_error(v, TRAP_GP, 0);
        return;
    }
    advance_rip(v, i.length);
}

void exit_debug_registers(struct vcpu *v)
{
    if (debug_registers_stay)
        emulate(v);
    else
        load(v);
}
