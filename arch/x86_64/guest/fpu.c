/*
 * FPU, SSE and AVX state, switched eagerly with the vCPU: the hypervisor itself uses none of it, so the
 * registers stay the guest's until another vCPU comes.
 *
 * The state is kept in the standard format of XSAVE for everything that guests may use (host_xcr0), whatever
 * XCR0 the guest has chosen: what it switched off it finds again when it switches it on. A vCPU that comes
 * back to a CPU on which no other has been finds its registers still loaded.
 *
 * While a guest runs, XCR0 is its own; it is read back from the register because not every emulator lets
 * XSETBV exit.
 *
 * Locking: none; a vCPU's state belongs to the CPU that runs it.
 */
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/panic.h>
#include <x86/asm.h>
#include <x86/cpu.h>
#include <x86/features.h>
#include <x86/traps.h>
#include <xen/errno.h>
#include "exit.h"
#include "fpu.h"

#define FCW_RESET     0x0040
#define MXCSR_DEFAULT 0x1f80

static uint64_t host_xcr0; /* 0: no XSAVE */
static uint32_t area_size = sizeof(struct fxsave_area);

void fpu_cpu_init(void)
{
    if (!cpu_features.xsave)
        return;
    struct cpuid leaf = cpuid(0xd, 0);
    host_xcr0 = (leaf.eax | (uint64_t)leaf.edx << 32) & XCR0_GUEST;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    xsetbv(0, host_xcr0);
    area_size = cpuid(0xd, 0).ebx;
}

uint64_t fpu_xcr0(void)
{
    return host_xcr0;
}

uint32_t fpu_area_size(void)
{
    return area_size;
}

/*
 * struct arch_vcpu has a page of its own (arch_vcpu_create). Where the area fits behind it, as without
 * AVX-512, it stands there. Aligned to 64 bytes: SDM vol. 1, 13.4.
 */
#define AREA_OFFSET ((sizeof(struct arch_vcpu) + 63) & ~63ull)

static bool area_fits(void)
{
    return area_size <= PAGE_SIZE - AREA_OFFSET;
}

static unsigned area_order(void)
{
    return area_size > PAGE_SIZE;
}

int fpu_vcpu_create(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    if (area_size > 2 * PAGE_SIZE)
        return -XEN_EOPNOTSUPP;
    a->xsave_area = area_fits() ? (void *)((char *)a + AREA_OFFSET) : page_alloc(area_order());
    if (!a->xsave_area)
        return -XEN_ENOMEM;
    fpu_reset(v);
    return 0;
}

void fpu_vcpu_free(struct vcpu *v)
{
    if (!area_fits())
        page_free(v->arch->xsave_area, area_order());
}

void fpu_reset(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    struct xsave_area *area = a->xsave_area;
    memset(area, 0, area_size);
    area->legacy.fcw = FCW_RESET;
    area->legacy.mxcsr = MXCSR_DEFAULT;
    if (host_xcr0)
        area->xstate_bv = XCR0_X87 | XCR0_SSE;
    a->xcr0 = XCR0_X87;
    a->fpu_cpu = NULL;
    if (v == current)
        fpu_load(v);
}

void fpu_save(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    if (!host_xcr0) {
        asm volatile("fxsave64 %0" : "=m"(*a->xsave_area));
    } else {
        a->xcr0 = xgetbv(0);
        if (a->xcr0 != host_xcr0)
            xsetbv(0, host_xcr0);
        if (cpu_features.xsaveopt)
            asm volatile("xsaveopt64 %0" : "+m"(*a->xsave_area) : "a"(~0u), "d"(~0u) : "memory");
        else
            asm volatile("xsave64 %0" : "+m"(*a->xsave_area) : "a"(~0u), "d"(~0u) : "memory");
    }
    a->fpu_cpu = this_cpu();
    this_arch_cpu()->fpu_owner = v;
}

/* The area's contents were checked before they got here (fpu_set), so the processor does not refuse them. */
void fpu_load(struct vcpu *v)
{
    struct arch_vcpu *a = v->arch;
    if (a->fpu_cpu != this_cpu() || this_arch_cpu()->fpu_owner != v) {
        if (!host_xcr0) {
            asm volatile("fxrstor64 %0" : : "m"(*a->xsave_area));
        } else {
            xsetbv(0, host_xcr0);
            asm volatile("xrstor64 %0" : : "m"(*a->xsave_area), "a"(~0u), "d"(~0u) : "memory");
        }
        a->fpu_cpu = this_cpu();
        this_arch_cpu()->fpu_owner = v;
    }
    if (host_xcr0 && a->xcr0 != host_xcr0)
        xsetbv(0, a->xcr0);
}

uint64_t fpu_current_xcr0(void)
{
    return host_xcr0 ? xgetbv(0) : 0;
}

bool fpu_xcr0_valid(uint64_t xcr0)
{
    if (!host_xcr0 || xcr0 & ~host_xcr0 || !(xcr0 & XCR0_X87))
        return false;
    if (xcr0 & XCR0_AVX && !(xcr0 & XCR0_SSE))
        return false;
    uint64_t avx512 = xcr0 & XCR0_AVX512;
    return !avx512 || (avx512 == XCR0_AVX512 && xcr0 & XCR0_AVX);
}

/* v is current. */
bool exit_xsetbv(struct vcpu *v, uint32_t index, uint64_t value)
{
    if (index != 0 || !fpu_xcr0_valid(value) || !(vendor->get_register(v, REG_CR4) & CR4_OSXSAVE))
        return false;
    xsetbv(0, value);
    return true;
}
