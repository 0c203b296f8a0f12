/* The format of nested page tables (APM vol. 2, 5.3 and 15.25): the processor's own, walked as for user
 * accesses. */
#include "../guest/p2m_format.h"

#define NPT_PRESENT  0x001ull
#define NPT_WRITE    0x002ull
#define NPT_USER     0x004ull /* every nested access counts as one from user mode */
#define NPT_PCD      0x010ull /* PAT entry 2 of the host, UC-: the guest's PAT may turn it into WC */
#define NPT_ACCESSED 0x020ull
#define NPT_DIRTY    0x040ull
#define NPT_NX       (1ull << 63)

/* Accessed from the start: nobody asks, and the processor need not write that. */
#define NPT_READ (NPT_PRESENT | NPT_USER | NPT_ACCESSED)

_Static_assert(P2M_BITS_VALID(NPT_READ | NPT_WRITE | NPT_DIRTY | NPT_PCD | NPT_NX),
               "hardware's bits are not software's");
_Static_assert(P2M_NONE == 0, "entry 0 of the table below is not used");

const struct p2m_format npt_format = {
    .name = "NPT",
    .root = 0,
    .table = NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED,
    .leaf =
        {
            [P2M_RAM] = NPT_READ | NPT_WRITE,
            [P2M_RAM_RO] = NPT_READ,
            [P2M_SHARED] = NPT_READ | NPT_WRITE | NPT_NX,
            [P2M_FOREIGN] = NPT_READ | NPT_WRITE | NPT_NX,
            [P2M_GRANT_RW] = NPT_READ | NPT_WRITE | NPT_NX,
            [P2M_GRANT_RO] = NPT_READ | NPT_NX,
            [P2M_DEVICE] = NPT_READ | NPT_WRITE | NPT_NX | NPT_PCD,
        },
    .dirty = NPT_DIRTY, /* the processor always does (APM vol. 2, 15.25.5) */
};
