/* sources: arch/x86_64/guest/vpci.c arch/x86_64/guest/vpci_function.c arch/x86_64/guest/vpci_msi.c
 * arch/x86_64/guest/vpci_msix.c tests/unit/fake/pci_world.c */
/* cflags: -Iarch/x86_64/include */
/*
 * A function whose configuration space is any bytes, and a domain that accesses it, and its MSI-X table, in
 * any way: what reaches the hardware is within bounds (fake/pci_world.c looks), nothing stays bound, and
 * nothing is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "../unit/fake/pci_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
    uint8_t kind, size;
    uint16_t offset;
    uint32_t value, value_high;
};

#define HEADER 0x100u /* bytes of the function that are given; the extended ones are the same again */

static gpa_t bar_address(const struct fake_function *f, unsigned bar, unsigned offset)
{
    uint32_t low = fake_get(f, 0x10 + 4 * bar, 4), high = (low & 6) == 4 ? fake_get(f, 0x14 + 4 * bar, 4) : 0;

    return GPA(((low & ~0xfull) | (uint64_t)high << 32) + offset);
}

static void take(struct fake_function *f, const struct step *s)
{
    unsigned size = 1u << (s->size & 3);
    uint64_t value = s->value | (uint64_t)s->value_high << 32;
    gpa_t config = GPA(WORLD_ECAM + (2u << 15) + s->offset % (s->kind & 0x80 ? 4096u : 0x80u));
    gpa_t table = s->kind & 0x80 ? bar_address(f, s->size % 6, s->offset)
                                 : bar_address(f, 0, (fake_get(f, 0x64, 4) & 0x3ff8) + s->offset % 128);

    switch (s->kind % 8) {
    case 0:
        vpci_read(&world_vcpu, config, size);
        break;
    case 1:
    case 2:
        vpci_write(&world_vcpu, config, size, value);
        break;
    case 3:
        if (vpci_covers(&world_vcpu, table))
            vpci_read(&world_vcpu, table, size);
        break;
    case 4:
        if (vpci_covers(&world_vcpu, table))
            vpci_write(&world_vcpu, table, size, value);
        break;
    case 5:
        vpci_out(&world_domain, 0xcf8, 4, s->value);
        vpci_out(&world_domain, (uint16_t)(0xcfc + s->offset % 4), MIN(size, 4u), s->value_high);
        vpci_in(&world_domain, (uint16_t)(0xcfc + s->offset % 4), MIN(size, 4u));
        break;
    case 6: /* another one in its place, or none for a while */
        if ((s->kind & 0xc0) == 0xc0)
            f->config[s->offset % 4] ^= (uint8_t)s->value;
        f->present = s->kind & 0x38;
        break;
    default:
        world_move(s->value & 0xff);
        world_storm(s->size & 1);
        break;
    }
}

/* Bytes alone seldom make a function that has anything. Bits of how: what is left to chance. */
static void make_likely(struct fake_function *f, uint8_t how)
{
    f->config[0x00] &= 0x7f; /* somebody */
    f->writable[0x00] = f->writable[0x01] = f->writable[0x06] = 0;
    f->config[0x06] |= 0x10;
    if (!(how & 1))
        f->config[0x0e] = 0; /* a device */
    if (!(how & 2)) {        /* with one memory BAR */
        fake_set(f, 0x10, 4, how & 4 ? 0xfe00000c : 0xfe000000);
        fake_set_writable(f, 0x10, 4, ~0x3fffu);
        fake_set_writable(f, 0x14, 4, ~0u);
        fake_set_writable(f, 0x04, 2, 7);
    }
    if (!(how & 8)) {
        f->config[0x34] = 0x40;
        fake_capability(f, 0x40, 0x05, 0x60);
        fake_set_writable(f, 0x42, 2, 0x71);
        fake_capability(f, 0x60, 0x11, 0x40);
        fake_set_writable(f, 0x62, 2, 0xc000);
    }
    if (how & 0x40)
        fake_set(f, 0x100, 4, 0x10010010); /* SR-IOV */
    if ((how & 0x30) != 0x30) {
        fake_set(f, 0x62, 2, how >> 6);
        fake_set(f, 0x64, 4, (uint32_t)(how >> 6) << 10);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct step step;

    if (size < 2 * HEADER)
        return 0;
    pci_world_begin();
    struct fake_function *f = fake_function(0, 2, 0);
    memcpy(f->config, data, HEADER);
    memcpy(f->writable, data + HEADER, HEADER);
    memcpy(f->config + 0x100, data, HEADER);
    make_likely(f, data[0]);
    world_anywhere = true;
    for (size_t at = 2 * HEADER; at + sizeof step <= size; at += sizeof step) {
        memcpy(&step, data + at, sizeof step);
        take(f, &step);
    }
    f->present = true;
    pci_world_end();
    return 0;
}
