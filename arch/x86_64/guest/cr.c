/*
 * Control registers, where the processor leaves a guest's write to us (SDM vol. 3, 2.5 and 4.1).
 *
 * Interface: exit.h. Locking: none; the current vCPU's state.
 */
#include <x86/msr.h>
#include <x86/traps.h>
#include "exit.h"
#include "vlapic.h"

#define CR0_DEFINED                                                                                          \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR0_FLUSHES (CR0_PG | CR0_WP)
#define CR4_FLUSHES (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR3_NOFLUSH (1ull << 63)

bool cr0_valid(uint64_t cr0)
{
    if (cr0 >> 32)
        return false;
    if (cr0 & CR0_PG && !(cr0 & CR0_PE))
        return false;
    return !(cr0 & CR0_NW) || cr0 & CR0_CD;
}

bool cr4_valid(uint64_t cr4)
{
    return !(cr4 & ~guest_cr4_valid());
}

bool efer_valid(uint64_t efer)
{
    return !(efer & ~guest_efer_valid());
}

bool paging_valid(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    bool long_mode = cr0 & CR0_PG && efer & EFER_LME;
    if (!cr0_valid(cr0) || !cr4_valid(cr4) || !efer_valid(efer))
        return false;
    if (!(efer & EFER_LMA) != !long_mode)
        return false;
    return long_mode ? (cr4 & CR4_PAE) != 0 : !(cr4 & CR4_PCIDE);
}

static bool write_cr0(struct vcpu *v, uint64_t value)
{
    uint64_t old = vendor->get_register(v, REG_CR0), efer = vendor->get_register(v, REG_EFER);
    uint64_t cr4 = vendor->get_register(v, REG_CR4);
    if (!cr0_valid(value))
        return false;
    value = (value & CR0_DEFINED) | CR0_ET;

    if ((value ^ old) & CR0_PG) {
        struct segment cs;
        vendor->get_segment(v, SEG_CS, &cs);
        if (value & CR0_PG && efer & EFER_LME) {
            if (!(cr4 & CR4_PAE) || cs.access & SEGMENT_L)
                return false;
            efer |= EFER_LMA;
        } else if (!(value & CR0_PG)) {
            if (cr4 & CR4_PCIDE || (efer & EFER_LMA && cs.access & SEGMENT_L))
                return false;
            efer &= ~EFER_LMA;
        }
    }
    vendor->set_register(v, REG_CR0, value);
    vendor->set_register(v, REG_EFER, efer);
    if ((value ^ old) & CR0_FLUSHES)
        vendor->flush_tlb(v);
    return true;
}

static bool write_cr3(struct vcpu *v, uint64_t value)
{
    uint64_t cr4 = vendor->get_register(v, REG_CR4);
    bool keep = cr4 & CR4_PCIDE && value & CR3_NOFLUSH;
    if (cr4 & CR4_PCIDE)
        value &= ~CR3_NOFLUSH;
    if (vendor->get_register(v, REG_EFER) & EFER_LMA && value >> guest_maxphysaddr())
        return false;
    vendor->set_register(v, REG_CR3, value);
    if (!keep)
        vendor->flush_tlb(v);
    return true;
}

static bool write_cr4(struct vcpu *v, uint64_t value)
{
    uint64_t old = vendor->get_register(v, REG_CR4);
    bool long_mode = vendor->get_register(v, REG_EFER) & EFER_LMA;
    if (!cr4_valid(value))
        return false;
    if (long_mode && !(value & CR4_PAE))
        return false;
    if (value & ~old & CR4_PCIDE && (!long_mode || vendor->get_register(v, REG_CR3) & ~PAGE_MASK))
        return false;
    vendor->set_register(v, REG_CR4, value);
    if ((value ^ old) & CR4_FLUSHES)
        vendor->flush_tlb(v);
    return true;
}

bool cr_write(struct vcpu *v, unsigned cr, uint64_t value)
{
    bool done;
    switch (cr) {
    case 0:
        done = write_cr0(v, value);
        break;
    case 3:
        done = write_cr3(v, value);
        break;
    case 4:
        done = write_cr4(v, value);
        break;
    case 8:
        done = !(value & ~0xfull);
        if (done)
            vlapic_set_cr8(v, (uint8_t)value);
        break;
    default:
        inject_exception(v, TRAP_UD);
        return false;
    }
    if (!done)
        inject_exception_error(v, TRAP_GP, 0);
    return done;
}

uint64_t cr_read(struct vcpu *v, unsigned cr)
{
    switch (cr) {
    case 0:
        return vendor->get_register(v, REG_CR0);
    case 3:
        return vendor->get_register(v, REG_CR3);
    case 4:
        return vendor->get_register(v, REG_CR4);
    default:
        return vlapic_get_cr8(v);
    }
}
