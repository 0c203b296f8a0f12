/*
 * The vocabulary of the hypervisor: address kinds that the compiler keeps apart, and a few macros.
 *
 *   mfn_t    machine frame number: a page of the machine's memory
 *   gfn_t    guest frame number: a page of what a domain takes for its memory
 *   maddr_t  machine address, gpa_t guest-physical address, gva_t guest-virtual address
 *
 * mfn <-> hypervisor pointer: mfn_to_virt, virt_to_mfn (hv/frame.h). gfn -> mfn: hv/arch/p2m.h.
 */
#ifndef HV_TYPES_H
#define HV_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t v;
} mfn_t;
typedef struct {
    uint64_t v;
} gfn_t;
typedef struct {
    uint64_t v;
} maddr_t;
typedef struct {
    uint64_t v;
} gpa_t;
typedef struct {
    uint64_t v;
} gva_t;

#define MFN(n)      ((mfn_t){(n)})
#define GFN(n)      ((gfn_t){(n)})
#define MADDR(n)    ((maddr_t){(n)})
#define GPA(n)      ((gpa_t){(n)})
#define GVA(n)      ((gva_t){(n)})
#define INVALID_MFN MFN(~0ul)
#define INVALID_GFN GFN(~0ul)

/* Nanoseconds since the hypervisor's clock started. */
typedef uint64_t ns_t;
#define NS_NEVER    (~0ul)
#define MILLISECOND 1000000ul
#define SECOND      1000000000ul

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ul << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

/* Orders of the page sizes that p2m entries come in. */
#define ORDER_4K 0u
#define ORDER_2M 9u
#define ORDER_1G 18u

static inline mfn_t mfn_plus(mfn_t mfn, uint64_t n)
{
    return MFN(mfn.v + n);
}
static inline gfn_t gfn_plus(gfn_t gfn, uint64_t n)
{
    return GFN(gfn.v + n);
}
static inline bool mfn_valid_value(mfn_t mfn)
{
    return mfn.v != ~0ull;
}
static inline gfn_t gpa_to_gfn(gpa_t gpa)
{
    return GFN(gpa.v >> PAGE_SHIFT);
}
static inline mfn_t maddr_to_mfn(maddr_t maddr)
{
    return MFN(maddr.v >> PAGE_SHIFT);
}
static inline maddr_t mfn_to_maddr(mfn_t mfn)
{
    return MADDR(mfn.v << PAGE_SHIFT);
}

#define ARRAY_SIZE(a)              (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                  ((a) < (b) ? (a) : (b))
#define MAX(a, b)                  ((a) > (b) ? (a) : (b))
#define DIV_ROUND_UP(n, d)         (((n) + (d)-1) / (d))
#define container_of(ptr, type, m) ((type *)((char *)(ptr)-offsetof(type, m)))
#define likely(x)                  __builtin_expect(!!(x), 1)
#define unlikely(x)                __builtin_expect(!!(x), 0)

/* A value in memory that a guest may change at any time: exactly one load or store. */
#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * An index that was checked against limit, made 0 where a CPU only guesses that the check went well (Spectre
 * v1). For indices that a guest chooses.
 */
static inline uint64_t index_nospec(uint32_t checked, uint32_t limit)
{
    uint64_t index = checked;
    asm volatile("" : "+r"(index)); /* the compiler must not conclude anything from the check */
    if (__builtin_constant_p(limit) && !(limit & (limit - 1)))
        return index & (limit - 1);
    return index & (uint64_t)((int64_t)(index - limit) >> 63);
}

/* Code and data that are freed after boot. */
#define INIT_CODE __attribute__((section(".init.text"), cold))
#define INIT_DATA __attribute__((section(".init.data")))
#define INIT_BSS  __attribute__((section(".bss.init")))

#endif
