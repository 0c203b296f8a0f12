/* The format of extended page tables (SDM vol. 3, 29.3.2), with accessed and dirty flags (29.3.5) where there
 * are any. */
#include "../guest/p2m_format.h"

#define EPT_READ       0x01ull
#define EPT_WRITE      0x02ull
#define EPT_EXECUTE    0x04ull
#define EPT_WB         (6ull << 3)
#define EPT_UC         (0ull << 3) /* the guest's PAT may still turn it into WC: frame buffers */
#define EPT_IGNORE_PAT 0x40ull
#define EPT_ACCESSED   0x100ull
#define EPT_DIRTY      0x200ull

/* Accessed from the start: nobody asks, and the processor need not write that. */
#define EPT_RAM (EPT_READ | EPT_WB | EPT_IGNORE_PAT | EPT_ACCESSED)

/* EPTP: tables are read as write-back memory; page-walk length minus one. */
#define EPTP_WB       6ull
#define EPTP_4_LEVELS (3ull << 3)
#define EPTP_DIRTY    0x40ull

_Static_assert(P2M_BITS_VALID(EPT_RAM | EPT_WRITE | EPT_EXECUTE | EPT_DIRTY),
               "hardware's bits are not software's");
_Static_assert(P2M_NONE == 0, "entry 0 of the table below is not used");

const struct p2m_format ept_format = {
    .name = "EPT",
    .root = EPTP_WB | EPTP_4_LEVELS,
    .table = EPT_READ | EPT_WRITE | EPT_EXECUTE | EPT_ACCESSED,
    .leaf =
        {
            [P2M_RAM] = EPT_RAM | EPT_WRITE | EPT_EXECUTE,
            [P2M_RAM_RO] = EPT_RAM | EPT_EXECUTE,
            [P2M_SHARED] = EPT_RAM | EPT_WRITE,
            [P2M_FOREIGN] = EPT_RAM | EPT_WRITE,
            [P2M_GRANT_RW] = EPT_RAM | EPT_WRITE,
            [P2M_GRANT_RO] = EPT_RAM,
            [P2M_DEVICE] = EPT_READ | EPT_WRITE | EPT_UC | EPT_ACCESSED,
        },
    .dirty = EPT_DIRTY,
    .track_dirty = EPTP_DIRTY,
};
