/*
 * NVM Express 1.4 and 2.0: registers, commands and structures that the driver uses, under the specification's
 * names.
 */
#ifndef NVME_SPEC_H
#define NVME_SPEC_H

#include <stdint.h>

/* --- registers (Base 2.0, 3.1.3) */
#define NVME_CAP_LOW   0x00
#define NVME_CAP_HIGH  0x04
#define NVME_CC        0x14
#define NVME_CSTS      0x1c
#define NVME_AQA       0x24
#define NVME_ASQ       0x28
#define NVME_ACQ       0x30
#define NVME_CRTO      0x68
#define NVME_DOORBELLS 0x1000

#define CAP_LOW_MQES(cap)    ((cap)&0xffff) /* entries of a queue, less one */
#define CAP_LOW_TO(cap)      ((cap) >> 24)  /* in 500 ms */
#define CAP_HIGH_DSTRD(cap)  ((cap)&15)
#define CAP_HIGH_CSS_NVM     (1u << 5)
#define CAP_HIGH_CSS_SEVERAL (1u << 11)
#define CAP_HIGH_MPSMIN(cap) ((cap) >> 16 & 15)
#define CAP_HIGH_CRWMS       (1u << 27) /* CRTO is there */

#define CC_EN          (1u << 0)
#define CC_CSS_SEVERAL (6u << 4)
#define CC_IOSQES      (6u << 16) /* entries of 2^6 bytes */
#define CC_IOCQES      (4u << 20)

#define CSTS_RDY  (1u << 0)
#define CSTS_CFS  (1u << 1)
#define CSTS_GONE (~0u) /* what reads of a device that was pulled out give */

/* --- queue entries (Base 2.0, 3.3.3) */
struct nvme_command {
    uint8_t opcode;
    uint8_t flags;
    uint16_t id;
    uint32_t nsid;
    uint64_t reserved, metadata;
    uint64_t data[2];  /* PRP1 and PRP2, or an SGL descriptor */
    uint32_t dword[6]; /* 10 to 15 */
};
#define DWORD(n) dword[(n)-10]

struct nvme_completion {
    uint32_t result, reserved;
    uint32_t queue;  /* head and id of the submission queue */
    uint32_t status; /* command id, phase, status */
};
#define COMPLETION_SQID(queue)    ((queue) >> 16)
#define COMPLETION_ID(status)     ((uint16_t)(status))
#define COMPLETION_PHASE          (1u << 16)
#define COMPLETION_STATUS(status) ((status) >> 17)

/* Of COMPLETION_STATUS(): type and code, do not retry. */
#define STATUS_CODE(status)      ((status)&0x7ff)
#define STATUS_DNR               (1u << 14)
#define STATUS_INVALID_OPCODE    0x001
#define STATUS_INVALID_FIELD     0x002
#define STATUS_INVALID_NAMESPACE 0x00b
#define STATUS_LBA_OUT_OF_RANGE  0x080
#define STATUS_CAPACITY_EXCEEDED 0x081

#define FLAGS_SGL (1u << 6)

struct nvme_sgl {
    uint64_t address;
    uint32_t length;
    uint8_t reserved[3];
    uint8_t type;
};
#define SGL_DATA         0x00
#define SGL_LAST_SEGMENT 0x30

struct nvme_range { /* of Dataset Management (NVM Command Set 1.0, 3.2.3) */
    uint32_t attributes, blocks;
    uint64_t first;
};

/* --- commands */
#define ADMIN_CREATE_SQ    0x01
#define ADMIN_LOG_PAGE     0x02
#define ADMIN_CREATE_CQ    0x05
#define ADMIN_IDENTIFY     0x06
#define ADMIN_ABORT        0x08
#define ADMIN_SET_FEATURES 0x09
#define ADMIN_ASYNC_EVENT  0x0c

#define CREATE_CONTIGUOUS (1u << 0)
#define CREATE_INTERRUPT  (1u << 1)

#define CNS_NAMESPACE  0
#define CNS_CONTROLLER 1
#define CNS_ACTIVE     2 /* ids of namespaces, ascending, ending with 0 */

#define FEATURE_QUEUES     0x07
#define FEATURE_EVENTS     0x0b
#define EVENT_NAMESPACES   (1u << 8)
#define EVENT_TYPE(result) ((result)&7)
#define EVENT_INFO(result) ((result) >> 8 & 0xff)
#define EVENT_LOG(result)  ((result) >> 16 & 0xff)
#define EVENT_TYPE_ERROR   0
#define EVENT_TYPE_HEALTH  1
#define EVENT_TYPE_NOTICE  2
#define NOTICE_NAMESPACES  0
#define EVERY_NAMESPACE    0xffffffffu

#define IO_FLUSH           0x00
#define IO_WRITE           0x01
#define IO_READ            0x02
#define IO_DATASET         0x09
#define RW_FUA             (1u << 30)
#define DATASET_DEALLOCATE (1u << 2)

/* --- what Identify gives (Base 2.0, 5.17.2; NVM Command Set 1.0, 4.1.5) */
struct nvme_controller_data {
    uint8_t before_model[24];
    uint8_t model[40];
    uint8_t before_mdts[13];
    uint8_t mdts; /* power of two of pages; 0: no limit */
    uint8_t before_version[2];
    uint32_t version;
    uint8_t before_oaes[8];
    uint32_t oaes;
    uint8_t before_nn[516 - 96];
    uint32_t nn;
    uint16_t oncs;
    uint8_t before_vwc[3];
    uint8_t vwc;
    uint8_t before_sgls[10];
    uint32_t sgls;
    uint8_t behind[4096 - 540];
};
#define ONCS_DATASET  (1u << 2)
#define VWC_PRESENT   (1u << 0)
#define SGLS_ANY      3u
#define VERSION(a, b) ((a) << 16 | (b) << 8)

struct nvme_namespace_data {
    uint64_t size;
    uint8_t before_nlbaf[17];
    uint8_t nlbaf; /* formats, less one */
    uint8_t flbas;
    uint8_t before_nsattr[99 - 27];
    uint8_t nsattr;
    uint8_t before_formats[128 - 100];
    uint32_t format[64];
    uint8_t behind[4096 - 384];
};
#define FLBAS_FORMAT(flbas)     (((flbas)&15) | ((flbas) >> 1 & 0x30))
#define FORMAT_METADATA(format) ((format)&0xffff)
#define FORMAT_SHIFT(format)    ((format) >> 16 & 0xff)
#define NSATTR_WRITE_PROTECTED  (1u << 0)

_Static_assert(sizeof(struct nvme_command) == 64, "submission queue entry");
_Static_assert(sizeof(struct nvme_completion) == 16, "completion queue entry");
_Static_assert(sizeof(struct nvme_sgl) == 16, "SGL descriptor");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, mdts) == 77, "MDTS");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, version) == 80, "VER");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, oaes) == 92, "OAES");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, nn) == 516, "NN");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, oncs) == 520, "ONCS");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, vwc) == 525, "VWC");
_Static_assert(__builtin_offsetof(struct nvme_controller_data, sgls) == 536, "SGLS");
_Static_assert(sizeof(struct nvme_controller_data) == 4096, "Identify Controller");
_Static_assert(__builtin_offsetof(struct nvme_namespace_data, nlbaf) == 25, "NLBAF");
_Static_assert(__builtin_offsetof(struct nvme_namespace_data, nsattr) == 99, "NSATTR");
_Static_assert(__builtin_offsetof(struct nvme_namespace_data, format) == 128, "LBAF0");
_Static_assert(sizeof(struct nvme_namespace_data) == 4096, "Identify Namespace");

#endif
