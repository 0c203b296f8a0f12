/* Numbers and bits of registers: control registers, EFER, MSRs (SDM vol. 4, APM vol. 2 appendix A). */
#ifndef X86_MSR_H
#define X86_MSR_H

#define CR0_PE 0x00000001ull
#define CR0_MP 0x00000002ull
#define CR0_EM 0x00000004ull
#define CR0_TS 0x00000008ull
#define CR0_ET 0x00000010ull
#define CR0_NE 0x00000020ull
#define CR0_WP 0x00010000ull
#define CR0_AM 0x00040000ull
#define CR0_NW 0x20000000ull
#define CR0_CD 0x40000000ull
#define CR0_PG 0x80000000ull

#define CR4_VME        (1ull << 0)
#define CR4_PVI        (1ull << 1)
#define CR4_TSD        (1ull << 2)
#define CR4_DE         (1ull << 3)
#define CR4_PSE        (1ull << 4)
#define CR4_PAE        (1ull << 5)
#define CR4_MCE        (1ull << 6)
#define CR4_PGE        (1ull << 7)
#define CR4_PCE        (1ull << 8)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP       (1ull << 11)
#define CR4_LA57       (1ull << 12)
#define CR4_VMXE       (1ull << 13)
#define CR4_SMXE       (1ull << 14)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_PCIDE      (1ull << 17)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)
#define CR4_PKE        (1ull << 22)
#define CR4_CET        (1ull << 23)

#define EFER_SCE   (1ull << 0)
#define EFER_LME   (1ull << 8)
#define EFER_LMA   (1ull << 10)
#define EFER_NXE   (1ull << 11)
#define EFER_SVME  (1ull << 12)
#define EFER_LMSLE (1ull << 13)
#define EFER_FFXSR (1ull << 14)

#define RFLAGS_CF 0x000001ull
#define RFLAGS_1  0x000002ull
#define RFLAGS_ZF 0x000040ull
#define RFLAGS_TF 0x000100ull
#define RFLAGS_IF 0x000200ull
#define RFLAGS_DF 0x000400ull
#define RFLAGS_RF 0x010000ull
#define RFLAGS_VM 0x020000ull
#define RFLAGS_AC 0x040000ull

#define MSR_TSC                0x00000010u
#define MSR_PLATFORM_ID        0x00000017u
#define MSR_APIC_BASE          0x0000001bu
#define MSR_FEATURE_CONTROL    0x0000003au
#define MSR_TSC_ADJUST         0x0000003bu
#define MSR_SPEC_CTRL          0x00000048u
#define MSR_PRED_CMD           0x00000049u
#define MSR_BIOS_SIGN_ID       0x0000008bu
#define MSR_MTRR_CAP           0x000000feu
#define MSR_ARCH_CAPABILITIES  0x0000010au
#define MSR_FLUSH_CMD          0x0000010bu
#define MSR_SYSENTER_CS        0x00000174u
#define MSR_SYSENTER_ESP       0x00000175u
#define MSR_SYSENTER_EIP       0x00000176u
#define MSR_MCG_CAP            0x00000179u
#define MSR_MCG_STATUS         0x0000017au
#define MSR_MISC_ENABLE        0x000001a0u
#define MSR_DEBUGCTL           0x000001d9u
#define MSR_MTRR_PHYSBASE(n)   (0x00000200u + 2 * (n))
#define MSR_MTRR_PHYSMASK(n)   (0x00000201u + 2 * (n))
#define MSR_MTRR_FIX64K        0x00000250u
#define MSR_MTRR_FIX16K_80000  0x00000258u
#define MSR_MTRR_FIX16K_A0000  0x00000259u
#define MSR_MTRR_FIX4K(n)      (0x00000268u + (n))
#define MSR_PAT                0x00000277u
#define MSR_MTRR_DEF_TYPE      0x000002ffu
#define MSR_MC_CTL(n)          (0x00000400u + 4 * (n))
#define MSR_MC_STATUS(n)       (0x00000401u + 4 * (n))
#define MSR_MC_ADDR(n)         (0x00000402u + 4 * (n))
#define MSR_TSC_DEADLINE       0x000006e0u
#define MSR_X2APIC_BASE        0x00000800u
#define MSR_XSS                0x00000da0u
#define MSR_EFER               0xc0000080u
#define MSR_STAR               0xc0000081u
#define MSR_LSTAR              0xc0000082u
#define MSR_CSTAR              0xc0000083u
#define MSR_SYSCALL_MASK       0xc0000084u
#define MSR_FS_BASE            0xc0000100u
#define MSR_GS_BASE            0xc0000101u
#define MSR_KERNEL_GS_BASE     0xc0000102u
#define MSR_TSC_AUX            0xc0000103u
#define MSR_AMD_SYSCFG         0xc0010010u
#define MSR_AMD_VM_CR          0xc0010114u
#define MSR_AMD_VM_HSAVE_PA    0xc0010117u
#define MSR_AMD_VIRT_SPEC_CTRL 0xc001011fu
#define MSR_AMD_DE_CFG         0xc0011029u

#define APIC_BASE_BSP    (1ull << 8)
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)

#endif
