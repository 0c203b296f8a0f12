/*
 * A vCPU's local APIC: registers and the choice of the next interrupt. Interface: vlapic.h.
 *
 * xAPIC and x2APIC are two ways to one file of registers. Level-triggered interrupts differ by their bit in
 * TMR only: their EOI goes to the domain's IO-APICs, which know the lines.
 *
 * Locking: none. The CPU that runs the vCPU owns the registers; other CPUs change bits of TMR and IRR
 * atomically and then kick.
 */
#include <hv/frame.h>
#include <hv/sched.h>
#include <lib/string.h>
#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/hvm/save.h>
#include "exit.h"
#include "vioapic.h"
#include "vlapic_internal.h"

#define VERSION       (0x14u | 5u << 16) /* an integrated APIC with six LVT entries */
#define SVR_VALID     0x1ffu
#define DFR_FIXED     0x0fffffffu
#define PRIORITY(x)   ((x)&0xf0u)
#define BASE_RESERVED 0x2ffull /* bits 0-7 and 9 of IA32_APIC_BASE */

/* Bits of the LVT entries that software may set, from the timer's on. */
static const uint32_t lvt_valid[] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

/* --- requests and priorities ---------------------------------------------------------------------------- */

static int highest_vector(const uint32_t *words)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = READ_ONCE(words[i]);
        if (word)
            return 32 * i + 31 - __builtin_clz(word);
    }
    return -1;
}

static void request(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = v->arch->vlapic;

    __atomic_fetch_or(&l->reg[APIC_IRR + vector / 32], 1u << vector % 32, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&v->arch->irr_words, 1u << vector / 32, __ATOMIC_SEQ_CST);
    vcpu_kick(v);
}

void vlapic_set_irq(struct vcpu *v, uint8_t vector)
{
    uint32_t *tmr = &v->arch->vlapic->reg[APIC_TMR + vector / 32], bit = 1u << vector % 32;

    if (vector < FIRST_LEGAL_VECTOR)
        return;
    if (unlikely(READ_ONCE(*tmr) & bit))
        __atomic_fetch_and(tmr, ~bit, __ATOMIC_SEQ_CST);
    request(v, vector);
}

void vlapic_set_irq_level(struct vcpu *v, uint8_t vector)
{
    if (vector < FIRST_LEGAL_VECTOR)
        return;
    __atomic_fetch_or(&v->arch->vlapic->reg[APIC_TMR + vector / 32], 1u << vector % 32, __ATOMIC_SEQ_CST);
    request(v, vector);
}

static void update_ppr(struct vlapic *l)
{
    int in_service = highest_vector(&l->reg[APIC_ISR]);
    uint32_t tpr = l->reg[APIC_TPR] & 0xff, isr = in_service < 0 ? 0 : (uint32_t)in_service;

    l->reg[APIC_PPR] = PRIORITY(tpr) >= PRIORITY(isr) ? tpr : PRIORITY(isr);
}

int vlapic_pending(const struct vcpu *v)
{
    const struct vlapic *l = v->arch->vlapic;
    uint32_t words = READ_ONCE(v->arch->irr_words);

    if (likely(!words) || !vlapic_usable(v))
        return -1;
    int vector = highest_vector(&l->reg[APIC_IRR]);
    return vector >= 0 && PRIORITY((uint32_t)vector) > PRIORITY(l->reg[APIC_PPR]) ? vector : -1;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = v->arch->vlapic;
    unsigned word = vector / 32;

    __atomic_fetch_and(&l->reg[APIC_IRR + word], ~(1u << vector % 32), __ATOMIC_SEQ_CST);
    if (!READ_ONCE(l->reg[APIC_IRR + word])) {
        __atomic_fetch_and(&v->arch->irr_words, ~(1u << word), __ATOMIC_SEQ_CST);
        if (READ_ONCE(l->reg[APIC_IRR + word])) /* one more came just now */
            __atomic_fetch_or(&v->arch->irr_words, 1u << word, __ATOMIC_SEQ_CST);
    }
    l->reg[APIC_ISR + word] |= 1u << vector % 32;
    update_ppr(l);
}

void vlapic_give_back(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = v->arch->vlapic;

    l->reg[APIC_ISR + vector / 32] &= ~(1u << vector % 32);
    update_ppr(l);
    request(v, vector);
}

static void end_of_interrupt(struct vcpu *v)
{
    struct vlapic *l = v->arch->vlapic;
    int vector = highest_vector(&l->reg[APIC_ISR]);

    if (vector < 0)
        return;
    l->reg[APIC_ISR + vector / 32] &= ~(1u << vector % 32);
    update_ppr(l);
    if (unlikely(READ_ONCE(l->reg[APIC_TMR + vector / 32]) >> vector % 32 & 1))
        vioapic_eoi(v->domain, (uint8_t)vector);
}

void vlapic_error(struct vcpu *v, uint32_t bit)
{
    struct vlapic *l = v->arch->vlapic;
    uint32_t lvt = l->reg[APIC_LVT_ERROR];

    if (l->errors & bit)
        return;
    l->errors |= bit;
    if (!(lvt & APIC_LVT_MASKED))
        vlapic_set_irq(v, (uint8_t)lvt);
}

/* --- registers ------------------------------------------------------------------------------------------ */

static void set_x2apic_ldr(struct vcpu *v)
{
    uint32_t id = 2 * v->id;

    v->arch->vlapic->reg[APIC_LDR] = (id >> 4) << 16 | 1u << (id & 0xf);
}

static void write_svr(struct vcpu *v, uint32_t value)
{
    struct vlapic *l = v->arch->vlapic;
    bool was_enabled = l->reg[APIC_SVR] & APIC_SVR_ENABLE;

    l->reg[APIC_SVR] = value & SVR_VALID;
    if (value & APIC_SVR_ENABLE) {
        if (!was_enabled)
            upcall_again(v);
        return;
    }
    for (unsigned i = APIC_LVT_TIMER; i <= APIC_LVT_ERROR; i++)
        l->reg[i] |= APIC_LVT_MASKED;
}

static void write_lvt(struct vcpu *v, unsigned number, uint32_t value)
{
    struct vlapic *l = v->arch->vlapic;

    value &= lvt_valid[number - APIC_LVT_TIMER] | APIC_LVT_MASKED;
    if (!(l->reg[APIC_SVR] & APIC_SVR_ENABLE))
        value |= APIC_LVT_MASKED;
    if (number == APIC_LVT_TIMER)
        vlapic_timer_set_lvt(v, value);
    else
        l->reg[number] = value;
}

/* What both modes have. False: there is no such register to be read or written. */
static bool read_common(const struct vcpu *v, unsigned number, uint32_t *value)
{
    const struct vlapic *l = v->arch->vlapic;

    switch (number) {
    case APIC_VERSION:
    case APIC_TPR:
    case APIC_PPR:
    case APIC_LDR:
    case APIC_SVR:
    case APIC_ISR ... APIC_ESR:
    case APIC_ICR:
    case APIC_LVT_TIMER ... APIC_TIMER_INITIAL:
    case APIC_TIMER_DIVIDE:
        *value = l->reg[number];
        return true;
    case APIC_TIMER_CURRENT:
        *value = vlapic_timer_current(v);
        return true;
    default:
        return false;
    }
}

static bool write_common(struct vcpu *v, unsigned number, uint32_t value)
{
    struct vlapic *l = v->arch->vlapic;

    switch (number) {
    case APIC_TPR:
        l->reg[APIC_TPR] = value & 0xff;
        update_ppr(l);
        return true;
    case APIC_EOI:
        end_of_interrupt(v);
        return true;
    case APIC_SVR:
        write_svr(v, value);
        return true;
    case APIC_ESR:
        l->reg[APIC_ESR] = l->errors;
        l->errors = 0;
        return true;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        write_lvt(v, number, value);
        return true;
    case APIC_TIMER_INITIAL:
        l->reg[APIC_TIMER_INITIAL] = value;
        vlapic_timer_start(v);
        return true;
    case APIC_TIMER_DIVIDE:
        l->reg[APIC_TIMER_DIVIDE] = value & 0xb;
        vlapic_timer_start(v);
        return true;
    default:
        return false;
    }
}

/* --- x2APIC: model-specific registers ------------------------------------------------------------------- */

bool vlapic_read_msr(struct vcpu *v, uint32_t index, uint64_t *value)
{
    const struct vlapic *l = v->arch->vlapic;
    uint32_t low;

    if (index == MSR_TSC_DEADLINE) {
        bool armed = (l->reg[APIC_LVT_TIMER] & APIC_LVT_TIMER_MODE) == APIC_LVT_TSC_DEADLINE;
        *value = armed ? l->deadline : 0;
        return true;
    }
    unsigned number = index - MSR_X2APIC_BASE;
    if (!vlapic_x2apic(v))
        return false;
    if (number == APIC_ICR) {
        *value = (uint64_t)l->reg[APIC_ICR_HIGH] << 32 | l->reg[APIC_ICR];
        return true;
    }
    if (number == APIC_ID)
        low = 2 * v->id;
    else if (!read_common(v, number, &low))
        return false;
    *value = low;
    return true;
}

bool vlapic_write_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
    struct vlapic *l = v->arch->vlapic;

    if (index == MSR_TSC_DEADLINE) {
        vlapic_timer_set_deadline(v, value);
        return true;
    }
    unsigned number = index - MSR_X2APIC_BASE;
    if (!vlapic_x2apic(v))
        return false;
    if (number == APIC_ICR) {
        l->reg[APIC_ICR] = (uint32_t)value & ~APIC_ICR_BUSY;
        l->reg[APIC_ICR_HIGH] = (uint32_t)(value >> 32);
        vlapic_send_ipi(v, (uint32_t)value, (uint32_t)(value >> 32));
        return true;
    }
    if (value >> 32 || ((number == APIC_EOI || number == APIC_ESR) && value))
        return false;
    if (number == APIC_SELF_IPI) {
        if (value < FIRST_LEGAL_VECTOR)
            vlapic_error(v, ESR_SEND_VECTOR);
        else
            vlapic_set_irq(v, (uint8_t)value);
        return true;
    }
    return write_common(v, number, (uint32_t)value);
}

/* --- xAPIC: memory -------------------------------------------------------------------------------------- */

uint32_t vlapic_read(struct vcpu *v, uint32_t offset)
{
    const struct vlapic *l = v->arch->vlapic;
    unsigned number = offset >> 4;
    uint32_t value = 0;

    switch (number) {
    case APIC_ID:
        return 2 * v->id << 24;
    case APIC_APR:
        return l->reg[APIC_PPR];
    case APIC_RRD:
        return 0;
    case APIC_DFR:
    case APIC_ICR_HIGH:
        return l->reg[number];
    default:
        if (offset >= APIC_REGISTERS << 4 || !read_common(v, number, &value))
            vlapic_error(v, ESR_REGISTER);
        return value;
    }
}

void vlapic_write(struct vcpu *v, uint32_t offset, uint32_t value)
{
    struct vlapic *l = v->arch->vlapic;
    unsigned number = offset >> 4;

    switch (number) {
    case APIC_ID: /* software may not change it: vCPU numbers follow from it */
        break;
    case APIC_LDR:
        l->reg[APIC_LDR] = value & 0xff000000u;
        break;
    case APIC_DFR:
        l->reg[APIC_DFR] = value | DFR_FIXED;
        break;
    case APIC_ICR:
        l->reg[APIC_ICR] = value & ~APIC_ICR_BUSY;
        vlapic_send_ipi(v, value, l->reg[APIC_ICR_HIGH] >> 24);
        break;
    case APIC_ICR_HIGH:
        l->reg[APIC_ICR_HIGH] = value & 0xff000000u;
        break;
    default:
        if (offset >= APIC_REGISTERS << 4 || !write_common(v, number, value))
            vlapic_error(v, ESR_REGISTER);
        break;
    }
}

/* --- priority by CR8, mode by IA32_APIC_BASE ------------------------------------------------------------ */

uint8_t vlapic_get_cr8(const struct vcpu *v)
{
    return (uint8_t)(v->arch->vlapic->reg[APIC_TPR] >> 4);
}

void vlapic_set_cr8(struct vcpu *v, uint8_t cr8)
{
    struct vlapic *l = v->arch->vlapic;

    l->reg[APIC_TPR] = (uint32_t)cr8 << 4;
    update_ppr(l);
}

static bool base_valid(uint64_t value)
{
    if (value & BASE_RESERVED || value >> guest_maxphysaddr())
        return false;
    return !(value & APIC_BASE_X2APIC) || value & APIC_BASE_ENABLE;
}

bool vlapic_write_base(struct vcpu *v, uint64_t value)
{
    uint64_t old = v->arch->apic_base, changed = old ^ value;
    bool was_enabled = old & APIC_BASE_ENABLE, was_x2apic = old & APIC_BASE_X2APIC;

    if (!base_valid(value))
        return false;
    /* From x2APIC only to disabled, to x2APIC only from xAPIC (SDM vol. 3, 11.12.5). */
    if (changed & APIC_BASE_X2APIC && (was_x2apic ? value & APIC_BASE_ENABLE : !was_enabled))
        return false;
    v->arch->apic_base = value;
    if (was_enabled && !(value & APIC_BASE_ENABLE)) {
        vlapic_reset(v);
    } else if (changed & APIC_BASE_X2APIC) {
        v->arch->vlapic->reg[APIC_ICR_HIGH] = 0;
        set_x2apic_ldr(v);
    }
    return true;
}

/* --- life ----------------------------------------------------------------------------------------------- */

void vlapic_reset(struct vcpu *v)
{
    struct vlapic *l = v->arch->vlapic;

    vlapic_timer_stop(v);
    memset(l->reg, 0, sizeof(l->reg));
    v->arch->irr_words = 0;
    l->errors = 0;
    l->reg[APIC_VERSION] = VERSION;
    l->reg[APIC_DFR] = ~0u;
    write_svr(v, 0xff);
    if (vlapic_x2apic(v))
        set_x2apic_ldr(v);
}

int vlapic_create(struct vcpu *v)
{
    int error = timer_reserve();

    if (error)
        return error;
    v->arch->vlapic = heap_alloc(sizeof(*v->arch->vlapic));
    if (!v->arch->vlapic) {
        timer_release();
        return -XEN_ENOMEM;
    }
    v->arch->apic_base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | (v->id == 0 ? APIC_BASE_BSP : 0);
    vlapic_timer_init(v);
    vlapic_reset(v);
    return 0;
}

void vlapic_free(struct vcpu *v)
{
    timer_kill(&v->arch->vlapic->timer);
    timer_release();
    heap_free(v->arch->vlapic);
}

/* --- HVM context ---------------------------------------------------------------------------------------- */

void vlapic_save(const struct vcpu *v, struct hvm_hw_lapic *lapic, struct hvm_hw_lapic_regs *regs)
{
    const struct vlapic *l = v->arch->vlapic;

    if (lapic)
        *lapic = (struct hvm_hw_lapic){
            .apic_base_msr = v->arch->apic_base,
            .disabled = (l->reg[APIC_SVR] & APIC_SVR_ENABLE ? 0 : 1) |
                        (v->arch->apic_base & APIC_BASE_ENABLE ? 0 : 2),
            .tdt_msr = l->deadline,
        };
    if (!regs)
        return;
    memset(regs, 0, sizeof(*regs));
    for (unsigned i = 0; i < APIC_REGISTERS; i++)
        memcpy(&regs->data[16 * i], &l->reg[i], sizeof(l->reg[i]));
    uint32_t id = vlapic_x2apic(v) ? 2 * v->id : 2 * v->id << 24;
    uint32_t count = vlapic_timer_current(v);
    memcpy(&regs->data[16 * APIC_ID], &id, sizeof(id));
    memcpy(&regs->data[16 * APIC_TIMER_CURRENT], &count, sizeof(count));
}

int vlapic_check(const struct hvm_hw_lapic *lapic)
{
    return base_valid(lapic->apic_base_msr) ? 0 : -XEN_EINVAL;
}

void vlapic_load(struct vcpu *v, const struct hvm_hw_lapic *lapic)
{
    v->arch->apic_base = lapic->apic_base_msr;
    if ((v->arch->vlapic->reg[APIC_LVT_TIMER] & APIC_LVT_TIMER_MODE) == APIC_LVT_TSC_DEADLINE)
        vlapic_timer_set_deadline(v, lapic->tdt_msr);
    else
        v->arch->vlapic->deadline = lapic->tdt_msr; /* the registers come next */
}

void vlapic_load_regs(struct vcpu *v, const struct hvm_hw_lapic_regs *regs)
{
    struct vlapic *l = v->arch->vlapic;
    uint64_t deadline = l->deadline;

    vlapic_reset(v);
    for (unsigned i = 0; i < APIC_REGISTERS; i++)
        memcpy(&l->reg[i], &regs->data[16 * i], sizeof(l->reg[i]));
    l->reg[APIC_VERSION] = VERSION;
    l->reg[APIC_SVR] &= SVR_VALID;
    l->reg[APIC_DFR] |= DFR_FIXED;
    l->reg[APIC_TIMER_DIVIDE] &= 0xb;
    for (unsigned i = APIC_LVT_TIMER; i <= APIC_LVT_ERROR; i++)
        l->reg[i] &= lvt_valid[i - APIC_LVT_TIMER] | APIC_LVT_MASKED;
    l->reg[APIC_IRR] &= ~0xffffu; /* vectors below 16 are never requested */
    for (unsigned i = 0; i < 8; i++)
        if (l->reg[APIC_IRR + i])
            v->arch->irr_words |= 1u << i;
    if (vlapic_x2apic(v))
        set_x2apic_ldr(v);
    update_ppr(l);
    vlapic_timer_start(v);
    vlapic_timer_set_deadline(v, deadline);
}
