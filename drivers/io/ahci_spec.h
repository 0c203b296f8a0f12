/*
 * Serial ATA AHCI 1.3.1 (registers, structures in memory), Serial ATA 3.x (FISes) and ATA8-ACS (commands,
 * IDENTIFY data), as far as the driver uses them.
 */
#ifndef AHCI_SPEC_H
#define AHCI_SPEC_H

#include <stdint.h>

/* --- registers of the controller (AHCI, 3.1) */
#define AHCI_CAP     0x00
#define AHCI_GHC     0x04
#define AHCI_IS      0x08
#define AHCI_PI      0x0c
#define AHCI_CAP2    0x24
#define AHCI_BOHC    0x28
#define AHCI_PORT(n) (0x100 + 0x80 * (n))
#define AHCI_SIZE    AHCI_PORT(32)

#define CAP_S64A     (1u << 31)
#define CAP_SNCQ     (1u << 30)
#define CAP_SSS      (1u << 27)
#define CAP_SCLO     (1u << 24)
#define CAP_NCS(cap) ((cap) >> 8 & 31) /* command slots, less one */
#define GHC_AE       (1u << 31)
#define GHC_IE       (1u << 1)
#define GHC_HR       (1u << 0)
#define CAP2_BOH     (1u << 0)
#define BOHC_BOS     (1u << 0)
#define BOHC_OOS     (1u << 1)
#define BOHC_BB      (1u << 4)

/* --- registers of a port (AHCI, 3.3) */
#define PORT_CLB  0x00
#define PORT_FB   0x08
#define PORT_IS   0x10
#define PORT_IE   0x14
#define PORT_CMD  0x18
#define PORT_TFD  0x20
#define PORT_SIG  0x24
#define PORT_SSTS 0x28
#define PORT_SCTL 0x2c
#define PORT_SERR 0x30
#define PORT_SACT 0x34
#define PORT_CI   0x38

#define IS_DHRS    (1u << 0)
#define IS_PSS     (1u << 1)
#define IS_SDBS    (1u << 3)
#define IS_PCS     (1u << 6)
#define IS_PRCS    (1u << 22)
#define IS_OFS     (1u << 24)
#define IS_IFS     (1u << 27)
#define IS_HBDS    (1u << 28)
#define IS_HBFS    (1u << 29)
#define IS_TFES    (1u << 30)
#define IS_CHANGES (IS_PCS | IS_PRCS)
#define IS_FATAL   (IS_OFS | IS_IFS | IS_HBDS | IS_HBFS)
#define IS_ERRORS  (IS_FATAL | IS_TFES)
#define IS_WANTED  (IS_DHRS | IS_PSS | IS_SDBS | IS_CHANGES | IS_ERRORS)

#define CMD_ST         (1u << 0)
#define CMD_SUD        (1u << 1)
#define CMD_POD        (1u << 2)
#define CMD_CLO        (1u << 3)
#define CMD_FRE        (1u << 4)
#define CMD_FR         (1u << 14)
#define CMD_CR         (1u << 15)
#define CMD_ALPE       (1u << 26)
#define CMD_ICC_MASK   (15u << 28)
#define CMD_ICC_ACTIVE (1u << 28)

#define TFD_ERR        (1u << 0)
#define TFD_DRQ        (1u << 3)
#define TFD_BSY        (1u << 7)
#define TFD_ERROR(tfd) ((tfd) >> 8 & 0xff)

#define SIGNATURE_ATA   0x00000101u
#define SIGNATURE_ATAPI 0xeb140101u
#define SIGNATURE_PM    0x96690101u

#define SSTS_DET(ssts)       ((ssts)&15)
#define DET_NONE             0
#define DET_READY            3
#define SCTL_DET_INIT        (1u << 0)
#define SCTL_IPM_ACTIVE_ONLY (3u << 8)

#define GONE (~0u) /* what reads of a device that was pulled out give */

/* --- structures in memory (AHCI, 4.2) */
struct ahci_header {
    uint16_t flags; /* length of the FIS in words of 32 bits, and: */
    uint16_t prdtl;
    uint32_t prdbc; /* bytes moved, by the controller */
    uint64_t ctba;
    uint32_t reserved[4];
};
#define HEADER_FIS_WORDS 5
#define HEADER_WRITE     (1u << 6)

struct ahci_prd {
    uint64_t address;
    uint32_t reserved;
    uint32_t bytes; /* less one */
};

struct ata_fis { /* Register, host to device (SATA, 10.5.5) */
    uint8_t type, flags, command, features;
    uint8_t lba_low[3], device;
    uint8_t lba_high[3], features_high;
    uint8_t count, count_high, icc, control;
    uint8_t auxiliary[4];
};
#define FIS_HOST_TO_DEVICE 0x27
#define FIS_COMMAND        0x80
#define DEVICE_LBA         0x40
#define DEVICE_FUA         0x80 /* of queued commands */

/* --- commands (ATA8-ACS, chapter 7) */
#define ATA_DATA_SET_MANAGEMENT 0x06
#define ATA_READ_DMA_EXT        0x25
#define ATA_READ_LOG_EXT        0x2f
#define ATA_WRITE_DMA_EXT       0x35
#define ATA_WRITE_DMA_FUA_EXT   0x3d
#define ATA_READ_FPDMA          0x60
#define ATA_WRITE_FPDMA         0x61
#define ATA_FLUSH_CACHE_EXT     0xea
#define ATA_IDENTIFY            0xec
#define ATA_SET_FEATURES        0xef

#define DSM_TRIM        1
#define FEATURE_SPIN_UP 7
#define LOG_NCQ_ERROR   0x10
#define NCQ_ERROR_NQ    0x80 /* it was not a queued command; otherwise the tag is in the low bits */
#define NCQ_ERROR_TAG   0x1f
#define TRIM_MOST       0xffffu /* sectors of a range */
#define TRIM_RANGES     64      /* of one block of 512 bytes */
#define TRIM_LENGTH     48      /* shift, above the LBA */

/* --- IDENTIFY DEVICE, words (ATA8-ACS, 7.16) */
#define ID_SPECIFIC     2 /* 0x37c8, 0x738c: it spins up by SET FEATURES only */
#define ID_SERIAL       10
#define ID_MODEL        27
#define ID_QUEUE_DEPTH  75
#define ID_SATA         76
#define ID_COMMANDS_83  83
#define ID_COMMANDS_84  84
#define ID_ENABLED_85   85
#define ID_SECTORS      100
#define ID_SECTOR_SIZE  106
#define ID_SECTOR_WORDS 117
#define ID_TRIM         169
#define ID_INTEGRITY    255
#define ID_WORDS        256

_Static_assert(sizeof(struct ahci_header) == 32, "command header");
_Static_assert(sizeof(struct ahci_prd) == 16, "PRD");
_Static_assert(sizeof(struct ata_fis) == 20, "Register FIS");

#endif
