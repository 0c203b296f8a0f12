/*
 * A pretended world below the toolstack: one hypervisor that counts domains and pages, a store, files, and
 * the text that was printed. Any of its calls can be made to fail, so that tests see what is undone.
 */
#ifndef TESTS_TOOL_BELOW_H
#define TESTS_TOOL_BELOW_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

struct world {
    int fail_at;            /* the n-th call that can fail does; 0: none */
    int calls;              /* such calls so far */
    int domains;            /* that exist */
    int mappings;           /* foreign ones that are there */
    int introductions;      /* of the store and the console, less releases */
    uint64_t pages;         /* of guests */
    uint64_t free_pages;    /* of the machine */
    unsigned shutdown_code; /* of all guests, plus 1; 0: they run */
    int tells_changes;      /* the hypervisor says which domains have changed */
    uint64_t changed;       /* those that have, a bit each */
    int lists;              /* of all domains that were asked for */
    uint64_t now;           /* time_ns() */
    int stubborn_guests;    /* do not let go of their devices */
    int no_back_ends;       /* nobody serves devices */
    const char *refusal;    /* what back ends write when they refuse a device; NULL: they take it */
    int interrupted;
    uint32_t ratelimit;        /* of the scheduler */
    unsigned cpus;             /* of the machine */
    const char *keys;          /* that the person types, one each time somebody waits for one */
    uint32_t exits_per_second; /* of the first CPU */
    uint32_t other_exits;      /* so many more counters of exits, which count 100, 200, … a second */
    uint64_t per_second[8];    /* how much CPU time domains use meanwhile, in ns */
    int no_counters;           /* the hypervisor has none */
    uint32_t counted[2 + 64];  /* exits of two CPUs, hypercalls by number */
    char printed[65536];
};
extern struct world world;

/* A fresh world, with 2 GiB of which all is free, and no files; with the disks vda, vda1 and vdb and the
 * bridge xenbr0. */
void world_reset(void);
/* data must stay. */
void world_file(const char *name, const void *data, size_t size);
/* NULL when there is no such node. */
const char *world_node(const char *path);
int world_nodes(void);
/* A byte of a guest's memory. */
uint8_t world_byte(domid_t domid, uint64_t address);

/* A PVH kernel in one segment at 2 MiB; returns its size. */
size_t make_kernel(uint8_t file[1024], uint64_t memory_size);

#endif
