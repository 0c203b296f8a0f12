/*
 * The world around the real guest-physical map: two CPUs, one domain, pages that are handed out once,
 * references that are counted. For tests of arch/x86_64/guest, which cannot go with fake.h: that brings its
 * own struct arch_domain.
 */
#ifndef FAKE_P2M_WORLD_H
#define FAKE_P2M_WORLD_H

#include "../../../arch/x86_64/guest/guest.h"

extern struct vendor_ops world_ops; /* what vendor points to */
extern struct domain world_domain;
extern struct arch_domain world_arch;
extern volatile unsigned world_kicks; /* of CPU 0 */

/* A fresh domain whose map has that format; this thread is CPU 0. */
int world_begin(const struct p2m_format *format);
/* The domain dies; every page and every reference must have been given back. */
void world_end(void);
extern bool world_dirty[]; /* by frame: not clean any more; all are at first */
/* Frames of the domain, aligned to their size, with a reference each. */
mfn_t world_ram(unsigned order);

#endif
