/* sources: arch/x86_64/guest/hvm_context.c arch/x86_64/guest/hvm_context_cpu.c arch/x86_64/guest/cr.c */
/* cflags: -Iarch/x86_64/include */
/* HVM contexts: what was saved can be loaded, what no CPU could run is refused, and a refused one changes
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hv/arch/time.h>
#include <hv/arch/vcpu.h>
#include <hv/evtchn.h>
#include <hv/sched.h>
#include <x86/features.h>
#include <x86/msr.h>
#include <xen/errno.h>
#include <xen/hvm/save.h>
#include "../../arch/x86_64/guest/exit.h"
#include "../../arch/x86_64/guest/fpu.h"
#include "../../arch/x86_64/guest/vlapic.h"

/* --- a processor that only remembers -------------------------------------------------------------------- */

struct cpu_features cpu_features;
uint32_t tsc_khz = 1000000;
static uint64_t registers[8];
static struct segment segments[SEGMENTS];
static uint64_t table_base[2], msrs[16];
static uint16_t table_limit[2];
static unsigned changes; /* how often anything of the guest's was written */

static void get_segment(const struct vcpu *v, enum segment_name which, struct segment *segment)
{
    (void)v;
    *segment = segments[which];
}
static void set_segment(struct vcpu *v, enum segment_name which, const struct segment *segment)
{
    (void)v;
    segments[which] = *segment;
    changes++;
}
static void get_table(const struct vcpu *v, enum table_name which, uint64_t *base, uint16_t *limit)
{
    (void)v;
    *base = table_base[which];
    *limit = table_limit[which];
}
static void set_table(struct vcpu *v, enum table_name which, uint64_t base, uint16_t limit)
{
    (void)v;
    table_base[which] = base;
    table_limit[which] = limit;
}
static uint64_t get_register(const struct vcpu *v, enum guest_register which)
{
    (void)v;
    return registers[which];
}
static void set_register(struct vcpu *v, enum guest_register which, uint64_t value)
{
    (void)v;
    registers[which] = value;
    changes++;
}
static bool get_msr(const struct vcpu *v, uint32_t index, uint64_t *value)
{
    (void)v;
    *value = msrs[index % 16];
    return true;
}
static bool set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
    (void)v;
    msrs[index % 16] = value;
    return true;
}
static void flush_tlb(struct vcpu *v)
{
    (void)v;
}
static const struct vendor_ops ops = {.get_segment = get_segment,
                                      .set_segment = set_segment,
                                      .get_table = get_table,
                                      .set_table = set_table,
                                      .get_register = get_register,
                                      .set_register = set_register,
                                      .get_msr = get_msr,
                                      .set_msr = set_msr,
                                      .flush_tlb = flush_tlb};
const struct vendor_ops *vendor = &ops;

void debug_registers_set_dr7(struct vcpu *v, uint64_t value)
{
    vendor->set_register(v, REG_DR7, value);
}

/* --- what the rest of the guest side would do ----------------------------------------------------------- */

#define AREA_SIZE 832
static uint64_t area[AREA_SIZE / 8];

uint64_t fpu_xcr0(void)
{
    return 7;
}
uint32_t fpu_area_size(void)
{
    return AREA_SIZE;
}
bool fpu_xcr0_valid(uint64_t xcr0)
{
    return xcr0 & 1 && !(xcr0 & ~7ull);
}
void fpu_reset(struct vcpu *v)
{
    memset(v->arch->xsave_area, 0, AREA_SIZE);
    changes++;
}
bool pat_valid(uint64_t pat)
{
    return pat != 0x0202020202020202ull;
}
bool mtrr_valid(uint32_t index, uint64_t value)
{
    (void)index;
    return value != 0xbad;
}
bool spec_ctrl_valid(uint64_t value)
{
    return cpu_features.spec_ctrl && value <= 7;
}
bool canonical(uint64_t address)
{
    return (int64_t)(address << 16) >> 16 == (int64_t)address;
}
uint64_t guest_cr4_valid(void)
{
    return CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_OSFXSR;
}
uint64_t guest_efer_valid(void)
{
    return EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
}
unsigned guest_maxphysaddr(void)
{
    return 40;
}
bool msr_read(struct vcpu *v, uint32_t index, uint64_t *value)
{
    (void)v, (void)index;
    *value = 0x508;
    return true;
}
void vlapic_save(const struct vcpu *v, struct hvm_hw_lapic *lapic, struct hvm_hw_lapic_regs *regs)
{
    (void)v;
    if (lapic)
        lapic->apic_base_msr = 0xfee00900;
    if (regs)
        regs->data[0x20] = 9;
}
int vlapic_check(const struct hvm_hw_lapic *lapic)
{
    return lapic->apic_base_msr == 0xfee00900 ? 0 : -XEN_EINVAL;
}
void vlapic_load(struct vcpu *v, const struct hvm_hw_lapic *lapic)
{
    (void)v, (void)lapic;
}
void vlapic_load_regs(struct vcpu *v, const struct hvm_hw_lapic_regs *regs)
{
    (void)v, (void)regs;
}
void vlapic_set_cr8(struct vcpu *v, uint8_t cr8)
{
    (void)v, (void)cr8;
}
uint8_t vlapic_get_cr8(const struct vcpu *v)
{
    (void)v;
    return 0;
}
void inject_exception(struct vcpu *v, uint8_t vector)
{
    (void)v, (void)vector;
}
void inject_exception_error(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
    (void)v, (void)vector, (void)error_code;
}
void vcpu_set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    v->arch->tsc_offset = offset;
}
void run_forget(const struct vcpu *v)
{
    (void)v;
}
void vcpu_ready(struct vcpu *v)
{
    v->initialised = true;
}
void vcpu_wake(struct vcpu *v, uint32_t bits)
{
    v->stopped &= ~bits;
}

/* --- a domain of two vCPUs, of which the second was never created --------------------------------------- */

static struct arch_vcpu arch_vcpu;
static struct arch_domain arch_domain;
static struct vcpu vcpu, *vcpus[2] = {&vcpu, NULL};
static struct domain domain = {.vcpu = vcpus, .max_vcpus = 2, .arch = &arch_domain};
static uint8_t *buffer; /* as saved */
static size_t size;

static int fresh(void **state)
{
    (void)state;
    memset(registers, 0, sizeof(registers));
    memset(segments, 0, sizeof(segments));
    memset(area, 0, sizeof(area));
    arch_vcpu = (struct arch_vcpu){.rip = 0x1000, .rflags = 2, .xcr0 = 7, .xsave_area = (void *)area};
    vcpu = (struct vcpu){.domain = &domain, .arch = &arch_vcpu, .stopped = VCPU_DOWN};
    cpu_features = (struct cpu_features){.spec_ctrl = true};
    registers[REG_CR0] = CR0_PE | CR0_ET;
    segments[SEG_CS] = (struct segment){.access = 0xc9b, .limit = ~0u};
    segments[SEG_SS] = segments[SEG_DS] = (struct segment){.access = 0xc93, .limit = ~0u};
    segments[SEG_TR] = (struct segment){.access = 0x8b, .limit = 0x67};
    for (unsigned i = 0; i < GPRS; i++)
        arch_vcpu.gpr[i] = 0x100 + i;

    int64_t limit = arch_get_hvm_context(&domain, NULL, 0);
    assert_true(limit > 0);
    assert_int_equal(arch_get_hvm_context(&domain, &limit, (size_t)limit - 1), -XEN_ENOSPC);
    buffer = malloc((size_t)limit);
    int64_t used = arch_get_hvm_context(&domain, buffer, (size_t)limit);
    assert_in_range(used, 1, limit);
    size = (size_t)used;
    changes = 0;
    return 0;
}

static int done(void **state)
{
    (void)state;
    free(buffer);
    return 0;
}

/* From a block of exactly that size, so that reading behind it is caught. */
static int64_t set(const void *bytes, size_t count)
{
    uint8_t *copy = malloc(count ? count : 1);
    memcpy(copy, bytes, count);
    int64_t result = arch_set_hvm_context(&domain, copy, count);
    free(copy);
    return result;
}

static void *record(uint16_t code)
{
    size_t at = 0;
    for (;;) {
        struct hvm_save_descriptor *d = (void *)(buffer + at);
        assert_true(at + sizeof(*d) + d->length <= size);
        if (d->typecode == code)
            return d + 1;
        at += sizeof(*d) + d->length;
    }
}

static void refuse(void)
{
    assert_int_equal(set(buffer, size), -XEN_EINVAL);
    assert_int_equal(changes, 0);
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    struct arch_vcpu before = arch_vcpu;
    memset(arch_vcpu.gpr, 0, sizeof(arch_vcpu.gpr));
    arch_vcpu.rip = 0;
    assert_int_equal(set(buffer, size), 0);
    assert_memory_equal(arch_vcpu.gpr, before.gpr, sizeof(before.gpr));
    assert_int_equal(arch_vcpu.rip, before.rip);
    assert_true(vcpu.initialised);
    assert_false(vcpu.stopped & VCPU_DOWN);
    assert_int_equal(segments[SEG_CS].access, 0xc9b);
    assert_int_equal(segments[SEG_TR].limit, 0x67);
}

static void test_cut_short(void **state)
{
    (void)state;
    for (size_t n = 0; n < size; n++)
        assert_int_equal(set(buffer, n), -XEN_EINVAL);
    assert_int_equal(changes, 0);
}

static void test_frame(void **state)
{
    (void)state;
    struct hvm_save_descriptor *cpu = (struct hvm_save_descriptor *)record(HVM_SAVE_CODE(CPU)) - 1;
    const struct hvm_save_descriptor good = *cpu;
    cpu->instance = 1; /* not created */
    refuse();
    cpu->instance = 0xffff;
    refuse();
    *cpu = good;
    cpu->length = ~0u;
    refuse();
    cpu->length = good.length - 8;
    refuse();
    *cpu = good;
    cpu->typecode = 99;
    refuse();
    *cpu = good;
    struct hvm_save_header *header = record(HVM_SAVE_CODE(HEADER));
    header->magic++;
    refuse();
}

#define REFUSE(field, value)                                                                                 \
    do {                                                                                                     \
        struct hvm_hw_cpu *cpu = record(HVM_SAVE_CODE(CPU)), good = *cpu;                                    \
        cpu->field = (value);                                                                                \
        refuse();                                                                                            \
        *cpu = good;                                                                                         \
    } while (0)

static void test_registers(void **state)
{
    (void)state;
    REFUSE(cr0, CR0_PG);          /* without PE */
    REFUSE(cr0, CR0_PE | CR0_NW); /* without CD */
    REFUSE(cr0, CR0_PE | 1ull << 32);
    REFUSE(cr4, CR4_VMXE);
    REFUSE(cr4, CR4_PCIDE); /* outside long mode */
    REFUSE(cr3, 1ull << 40);
    REFUSE(msr_efer, EFER_SVME);
    REFUSE(msr_efer, EFER_LMA); /* without paging */
    REFUSE(rip, 1ull << 32);    /* in 32-bit code */
    REFUSE(dr7, 1ull << 32);
    REFUSE(dr6, 1ull << 63);
    REFUSE(fs_base, 1ull << 47);
    REFUSE(msr_lstar, 0x8000000000000000ull);
    REFUSE(cs_base, 1ull << 32);
    REFUSE(tr_arbytes, 0x89); /* not busy */
    REFUSE(tr_arbytes, 0);
    REFUSE(cs_arbytes, 0xe9b); /* L and D */
    REFUSE(cs_arbytes, 0);
    REFUSE(ds_arbytes, 0x1c93);
    REFUSE(ds_limit, 0x12345678); /* not whole pages */
    REFUSE(ldtr_arbytes, 0x93);   /* not an LDT */
    REFUSE(gdtr_limit, 0x10000);
    REFUSE(ss_sel, 0x10000);
    REFUSE(msr_tsc_aux, 1ull << 32);
    REFUSE(flags, 2);
    REFUSE(pending_event, 0x80000b0e);
    assert_int_equal(set(buffer, size), 0);
}

static void test_xsave(void **state)
{
    (void)state;
    struct hvm_hw_cpu_xsave *x = record(CPU_XSAVE_CODE), good = *x;
    x->xcr0 = 6;
    refuse();
    *x = good;
    x->save_area.xsave_hdr.xstate_bv = 8; /* XRSTOR would fault */
    refuse();
    *x = good;
    x->save_area.xsave_hdr.xcomp_bv = 1ull << 63;
    refuse();
    *x = good;
    x->save_area.xsave_hdr.reserved[5] = 1;
    refuse();
    *x = good;
    memset(x->save_area.fpu_sse.x + 24, 0xff, 4); /* MXCSR */
    refuse();
}

static void test_others(void **state)
{
    (void)state;
    struct hvm_hw_mtrr *m = record(HVM_SAVE_CODE(MTRR)), good = *m;
    m->msr_mtrr_def_type = 0xbad;
    refuse();
    *m = good;
    m->msr_pat_cr = 0x0202020202020202ull;
    refuse();
    *m = good;
    struct hvm_hw_lapic *l = record(HVM_SAVE_CODE(LAPIC));
    l->apic_base_msr = 0;
    refuse();
}

/* Any bytes at all: an answer, and nothing behind the buffer is touched (the sanitizer looks). */
static void test_random(void **state)
{
    (void)state;
    srand(1);
    uint8_t *bytes = malloc(size);
    for (unsigned n = 0; n < 20000; n++) {
        memcpy(bytes, buffer, size);
        for (unsigned i = 0; i < 4; i++)
            bytes[(size_t)rand() % (rand() & 1 ? size : 64)] = (uint8_t)rand();
        set(bytes, (size_t)rand() % 4 ? size : (size_t)rand() % size);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, fresh, done),
        cmocka_unit_test_setup_teardown(test_cut_short, fresh, done),
        cmocka_unit_test_setup_teardown(test_frame, fresh, done),
        cmocka_unit_test_setup_teardown(test_registers, fresh, done),
        cmocka_unit_test_setup_teardown(test_xsave, fresh, done),
        cmocka_unit_test_setup_teardown(test_others, fresh, done),
        cmocka_unit_test_setup_teardown(test_random, fresh, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
