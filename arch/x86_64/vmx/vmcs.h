/*
 * The VMCS: numbers of its fields, bits of its controls (SDM vol. 3, chapter 25 and appendix B), and the
 * instructions that reach the one that is current on this CPU.
 */
#ifndef X86_VMX_VMCS_H
#define X86_VMX_VMCS_H

#include <hv/types.h>

/* clang-format off */
enum vmcs_field {
    VMCS_VPID = 0x0000,
    VMCS_HOST_ES = 0x0c00, VMCS_HOST_DS = 0x0c06, VMCS_HOST_FS = 0x0c08, VMCS_HOST_GS = 0x0c0a,
    VMCS_PAGE_FAULT_MASK = 0x4006, VMCS_PAGE_FAULT_MATCH = 0x4008, VMCS_CR3_TARGETS = 0x400a, VMCS_EXIT_MSRS_STORED = 0x400e,
    VMCS_EXIT_MSRS_LOADED = 0x4010, VMCS_ENTRY_MSRS_LOADED = 0x4014, VMCS_ENTRY_LENGTH = 0x401a,
    VMCS_GUEST_ACTIVITY = 0x4826, VMCS_GUEST_SMBASE = 0x4828, VMCS_HOST_SYSENTER_CS = 0x4c00,
    VMCS_GUEST_PENDING_DEBUG = 0x6822, VMCS_HOST_FS_BASE = 0x6c06, VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    /* Segment registers follow each other in the order ES, CS, SS, DS, FS, GS, LDTR, TR. */
    VMCS_GUEST_SELECTOR = 0x0800, VMCS_HOST_CS = 0x0c02, VMCS_HOST_SS = 0x0c04, VMCS_HOST_TR = 0x0c0c,
    VMCS_IO_BITMAP_A = 0x2000, VMCS_IO_BITMAP_B = 0x2002, VMCS_MSR_BITMAP = 0x2004, VMCS_TSC_OFFSET = 0x2010,
    VMCS_EPTP = 0x201a,
    VMCS_GUEST_PHYSICAL = 0x2400,
    VMCS_LINK = 0x2800, VMCS_GUEST_DEBUGCTL = 0x2802, VMCS_GUEST_PAT = 0x2804, VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PDPTE0 = 0x280a,
    VMCS_HOST_PAT = 0x2c00, VMCS_HOST_EFER = 0x2c02,
    VMCS_PIN_CONTROLS = 0x4000, VMCS_PRIMARY_CONTROLS = 0x4002, VMCS_EXCEPTIONS = 0x4004, VMCS_EXIT_CONTROLS = 0x400c,
    VMCS_ENTRY_CONTROLS = 0x4012, VMCS_ENTRY_EVENT = 0x4016, VMCS_ENTRY_ERROR = 0x4018,
    VMCS_SECONDARY_CONTROLS = 0x401e, VMCS_PAUSE_GAP = 0x4020, VMCS_PAUSE_WINDOW = 0x4022,
    VMCS_INSTRUCTION_ERROR = 0x4400, VMCS_EXIT_REASON = 0x4402, VMCS_EXIT_EVENT = 0x4404, VMCS_EXIT_ERROR = 0x4406,
    VMCS_INTERRUPTED_EVENT = 0x4408, VMCS_INTERRUPTED_ERROR = 0x440a, VMCS_INSTRUCTION_LENGTH = 0x440c,
    VMCS_GUEST_LIMIT = 0x4800, VMCS_GUEST_GDTR_LIMIT = 0x4810, VMCS_GUEST_IDTR_LIMIT = 0x4812, VMCS_GUEST_ACCESS = 0x4814,
    VMCS_INTERRUPTIBILITY = 0x4824, VMCS_GUEST_SYSENTER_CS = 0x482a, VMCS_PREEMPTION_TIMER = 0x482e,
    VMCS_CR0_MASK = 0x6000, VMCS_CR4_MASK = 0x6002, VMCS_CR0_SHADOW = 0x6004, VMCS_CR4_SHADOW = 0x6006,
    VMCS_QUALIFICATION = 0x6400,
    VMCS_GUEST_CR0 = 0x6800, VMCS_GUEST_CR3 = 0x6802, VMCS_GUEST_CR4 = 0x6804, VMCS_GUEST_BASE = 0x6806,
    VMCS_GUEST_GDTR_BASE = 0x6816, VMCS_GUEST_IDTR_BASE = 0x6818, VMCS_GUEST_DR7 = 0x681a, VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e, VMCS_GUEST_RFLAGS = 0x6820, VMCS_GUEST_SYSENTER_ESP = 0x6824, VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6c00, VMCS_HOST_CR3 = 0x6c02, VMCS_HOST_CR4 = 0x6c04, VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a, VMCS_HOST_GDTR_BASE = 0x6c0c, VMCS_HOST_IDTR_BASE = 0x6c0e, VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
};
/* clang-format on */

#define PIN_EXTERNAL_INTERRUPT (1u << 0)
#define PIN_NMI                (1u << 3)
#define PIN_VIRTUAL_NMI        (1u << 5)
#define PIN_PREEMPTION_TIMER   (1u << 6)

#define PRIMARY_INTERRUPT_WINDOW (1u << 2)
#define PRIMARY_TSC_OFFSET       (1u << 3)
#define PRIMARY_HLT              (1u << 7)
#define PRIMARY_MWAIT            (1u << 10)
#define PRIMARY_RDPMC            (1u << 11)
#define PRIMARY_CR3_LOAD         (1u << 15)
#define PRIMARY_CR3_STORE        (1u << 16)
#define PRIMARY_CR8_LOAD         (1u << 19)
#define PRIMARY_CR8_STORE        (1u << 20)
#define PRIMARY_NMI_WINDOW       (1u << 22)
#define PRIMARY_MOV_DR           (1u << 23)
#define PRIMARY_IO_BITMAPS       (1u << 25)
#define PRIMARY_MSR_BITMAPS      (1u << 28)
#define PRIMARY_MONITOR          (1u << 29)
#define PRIMARY_SECONDARY        (1u << 31)

#define SECONDARY_EPT          (1u << 1)
#define SECONDARY_RDTSCP       (1u << 3)
#define SECONDARY_VPID         (1u << 5)
#define SECONDARY_WBINVD       (1u << 6)
#define SECONDARY_UNRESTRICTED (1u << 7)
#define SECONDARY_PAUSE_LOOP   (1u << 10)
#define SECONDARY_INVPCID      (1u << 12)

#define EXIT_CONTROL_SAVE_DEBUG (1u << 2)
#define EXIT_CONTROL_HOST64     (1u << 9)
#define EXIT_CONTROL_SAVE_PAT   (1u << 18)
#define EXIT_CONTROL_LOAD_PAT   (1u << 19)
#define EXIT_CONTROL_LOAD_EFER  (1u << 21)

#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_LONG_MODE  (1u << 9)
#define ENTRY_LOAD_PAT   (1u << 14)
#define ENTRY_LOAD_EFER  (1u << 15)

/* Events entering and leaving: vector, type, and these. */
#define EVENT_INFO_VECTOR(info)  ((uint8_t)(info))
#define EVENT_INFO_TYPE(info)    ((info) >> 8 & 7)
#define EVENT_INFO_HAS_ERROR     (1u << 11)
#define EVENT_INFO_NMI_UNBLOCKED (1u << 12) /* the exit cut off an IRET that had ended an NMI's handler */
#define EVENT_INFO_VALID         (1u << 31)
#define EVENT_TYPE_ICEBP         5u

#define SHADOW_STI_MOV_SS 3u
#define BLOCKED_BY_NMI    8u

#define SEGMENT_UNUSABLE 0x10000u

enum vmx_exit {
    VMX_EXCEPTION_OR_NMI = 0,
    VMX_EXTERNAL_INTERRUPT = 1,
    VMX_TRIPLE_FAULT = 2,
    VMX_INIT = 3,
    VMX_SIPI = 4,
    VMX_INTERRUPT_WINDOW = 7,
    VMX_NMI_WINDOW = 8,
    VMX_TASK_SWITCH = 9,
    VMX_CPUID = 10,
    VMX_GETSEC = 11,
    VMX_HLT = 12,
    VMX_INVD = 13,
    VMX_RDPMC = 15,
    VMX_VMCALL = 18,
    VMX_VMCLEAR = 19,
    VMX_VMXON = 27,
    VMX_CR_ACCESS = 28,
    VMX_DR_ACCESS = 29,
    VMX_IO = 30,
    VMX_RDMSR = 31,
    VMX_WRMSR = 32,
    VMX_MWAIT = 36,
    VMX_MONITOR = 39,
    VMX_PAUSE = 40,
    VMX_EPT_VIOLATION = 48,
    VMX_INVEPT = 50,
    VMX_PREEMPTION_TIMER = 52,
    VMX_INVVPID = 53,
    VMX_WBINVD = 54,
    VMX_XSETBV = 55,
};
#define VMX_ENTRY_FAILED (1u << 31)

void vmcs_access_failed(uint64_t field) __attribute__((noreturn, cold));

static inline uint64_t vmcs_read(uint64_t field)
{
    uint64_t value;
    bool failed;
    asm volatile("vmread %2, %0" : "=rm"(value), "=@ccbe"(failed) : "r"(field) : "memory");
    if (unlikely(failed))
        vmcs_access_failed(field);
    return value;
}

static inline void vmcs_write(uint64_t field, uint64_t value)
{
    bool failed;
    asm volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "rm"(value), "r"(field) : "memory");
    if (unlikely(failed))
        vmcs_access_failed(field);
}

/* True: done. */
static inline bool vmx_clear(maddr_t vmcs)
{
    bool failed;
    asm volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs.v) : "memory");
    return !failed;
}

static inline bool vmx_load(maddr_t vmcs)
{
    bool failed;
    asm volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs.v) : "memory");
    return !failed;
}

#define INVEPT_SINGLE 1ull

/* Drops what this CPU keeps of translations through the tables of that EPTP, of all vCPUs. */
static inline bool vmx_invept(uint64_t eptp)
{
    struct {
        uint64_t eptp, reserved;
    } descriptor = {eptp, 0};
    bool failed;
    asm volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(INVEPT_SINGLE) : "memory");
    return !failed;
}

#endif
