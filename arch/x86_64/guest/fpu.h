/* FPU state in memory (SDM vol. 1, 10.5.1 and 13.4) and what guests may have of it. */
#ifndef X86_GUEST_FPU_H
#define X86_GUEST_FPU_H

#include <hv/types.h>
#include <lib/string.h>

#define XCR0_X87    0x001ull
#define XCR0_SSE    0x002ull
#define XCR0_AVX    0x004ull
#define XCR0_AVX512 0x0e0ull
#define XCR0_PKRU   0x200ull
#define XCR0_GUEST  (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

struct fxsave_area {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t registers[512 - 32];
};
_Static_assert(sizeof(struct fxsave_area) == 512, "SDM vol. 1, 10.5.1");

struct xsave_area {
    struct fxsave_area legacy;
    uint64_t xstate_bv, xcomp_bv, reserved[6];
    uint8_t extended[];
};
_Static_assert(sizeof(struct xsave_area) == 576, "SDM vol. 1, 13.4.2");

struct vcpu;

uint64_t fpu_xcr0(void);         /* what XCR0 may have at most; 0: no XSAVE */
uint64_t fpu_current_xcr0(void); /* of the current vCPU */
uint32_t fpu_area_size(void);    /* bytes of a vCPU's xsave_area */
void fpu_reset(struct vcpu *v);  /* as after power-on */
bool fpu_xcr0_valid(uint64_t xcr0);

#endif
