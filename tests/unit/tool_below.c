/* The pretended world below the toolstack (tool_below.h). Guests' memory is a list of pages. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include <lib/domain_state.h>
#include <lib/string.h>
#include <lib/why.h>
#include <xen/domctl.h>
#include <xen/elfnote.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xen/sysctl.h>

#include "tool_below.h"

#define DOMAINS 8
#define FILES   8
#define NODES   512
#define TOTAL   (2ull << 30 >> 12)

struct page {
    struct page *next;
    xen_pfn_t gfn;
    uint8_t *data;
};

static struct domain {
    int exists, paused;
    xen_domain_handle_t handle;
    uint16_t weight, cap;                 /* 0: 256 */
    uint8_t off_hard[128], off_soft[128]; /* CPUs that each vCPU does not use */
    struct page *pages;
    uint64_t count;
    unsigned vcpus;
} domains[DOMAINS];
static struct file files[FILES];
static struct {
    char path[160], value[160];
} nodes[NODES];

struct world world;
static char ramdisk_name[64], bridge_name[64]; /* of what people made; empty: nothing */

static void free_pages(struct domain *d)
{
    while (d->pages) {
        struct page *p = d->pages;
        d->pages = p->next;
        free(p->data);
        free(p);
    }
    world.pages -= d->count;
    world.free_pages += d->count;
    d->count = 0;
}

void world_reset(void)
{
    for (int i = 0; i < DOMAINS; i++)
        free_pages(&domains[i]);
    memset(domains, 0, sizeof domains);
    memset(files, 0, sizeof files);
    memset(nodes, 0, sizeof nodes);
    memset(&world, 0, sizeof world);
    ramdisk_name[0] = bridge_name[0] = '\0';
    world.free_pages = TOTAL;
    world.cpus = 1;
    domains[0].exists = 1;
}

/* Is it this call's turn to fail? */
static int unlucky(void)
{
    return ++world.calls == world.fail_at;
}

/* --- text, memory, files, time -------------------------------------------------------------------------- */

void vprint(const char *format, va_list args)
{
    size_t n = strlen(world.printed);
    vsnprintf(world.printed + n, sizeof world.printed - n, format, args);
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprint(format, args);
    va_end(args);
}

void *mem_alloc(size_t size)
{
    return unlucky() ? NULL : calloc(1, size);
}

void mem_free(void *p)
{
    free(p);
}

void world_file(const char *name, const void *data, size_t size)
{
    for (int i = 0; i < FILES; i++) {
        if (!files[i].name || !strcmp(files[i].name, name)) {
            files[i] = (struct file){name, data, size};
            return;
        }
    }
}

bool file_find(const char *path, struct file *file)
{
    for (int i = 0; i < FILES; i++) {
        if (files[i].name && !strcmp(files[i].name, path)) {
            *file = files[i];
            return true;
        }
    }
    return false;
}

bool file_at(size_t index, struct file *file)
{
    if (index >= FILES || !files[index].name)
        return false;
    *file = files[index];
    return true;
}

uint64_t time_ns(void)
{
    return world.now;
}

uint64_t time_unix_s(void)
{
    return 1700000000 + world.now / 1000000000;
}

void thread_yield(void)
{
}

static void run_back_ends(void);

void thread_sleep(uint64_t ns)
{
    world.now += ns;
    run_back_ends();
}

int key_wait(uint64_t ns)
{
    world.now += ns;
    return world.keys && *world.keys ? *world.keys++ : -1;
}

bool interrupted(void)
{
    return world.interrupted;
}

/* --- guests' memory ------------------------------------------------------------------------------------- */

static struct page *find_page(domid_t domid, xen_pfn_t gfn)
{
    struct page *p = domid < DOMAINS ? domains[domid].pages : NULL;
    while (p && p->gfn != gfn)
        p = p->next;
    return p;
}

static long add_page(domid_t domid, xen_pfn_t gfn)
{
    struct domain *d = &domains[domid];
    if (!world.free_pages || find_page(domid, gfn))
        return -1;
    struct page *p = calloc(1, sizeof *p);
    p->gfn = gfn;
    p->next = d->pages;
    d->pages = p;
    d->count++;
    world.pages++;
    world.free_pages--;
    return 0;
}

uint8_t world_byte(domid_t domid, uint64_t address)
{
    struct page *p = find_page(domid, address >> 12);
    assert(p);
    return p->data ? p->data[address & 4095] : 0xaa;
}

/* A mapping is a copy that is written back when it is undone; in front of it stands what is mapped. */
struct mapping {
    domid_t domid;
    size_t count;
    xen_pfn_t *gfns;
    uint8_t *data;
    struct mapping *next;
};
static struct mapping *mappings;

static void *map(domid_t domid, const xen_pfn_t *gfns, size_t count)
{
    struct mapping *m = calloc(1, sizeof *m);
    m->domid = domid;
    m->count = count;
    m->gfns = calloc(count, sizeof *gfns);
    m->data = malloc(count * 4096);
    memset(m->data, 0xaa, count * 4096);
    for (size_t i = 0; gfns && i < count; i++) {
        struct page *p = find_page(domid, gfns[i]);
        m->gfns[i] = gfns[i];
        if (p->data)
            memcpy(m->data + i * 4096, p->data, 4096);
    }
    if (!gfns)
        m->domid = DOMID_INVALID;
    m->next = mappings;
    mappings = m;
    world.mappings++;
    return m->data;
}

void *foreign_map(domid_t domid, const xen_pfn_t *gfns, size_t count)
{
    if (unlucky())
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!find_page(domid, gfns[i]))
            return NULL;
    return map(domid, gfns, count);
}

void *resource_map(domid_t domid, uint32_t type, uint32_t id, uint64_t first, size_t count)
{
    (void)type, (void)id, (void)first;
    return unlucky() ? NULL : map(domid, NULL, count);
}

void foreign_unmap(void *data, size_t count)
{
    struct mapping **at = &mappings, *m;
    while ((*at)->data != data)
        at = &(*at)->next;
    m = *at;
    *at = m->next;
    assert(m->count == count);
    for (size_t i = 0; m->domid != DOMID_INVALID && i < count; i++) {
        struct page *p = find_page(m->domid, m->gfns[i]);
        if (!p->data)
            p->data = malloc(4096);
        memcpy(p->data, m->data + i * 4096, 4096);
    }
    free(m->gfns);
    free(m->data);
    free(m);
    world.mappings--;
}

/* --- the hypervisor ------------------------------------------------------------------------------------- */

static void describe(domid_t domid, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof *info);
    info->domain = domid;
    info->tot_pages = domains[domid].count;
    info->nr_online_vcpus = 1;
    info->max_vcpu_id = domains[domid].vcpus ? domains[domid].vcpus - 1 : 0;
    info->cpu_time = 1234567890 + world.now * world.per_second[domid % 8] / 1000000000;
    info->flags = domains[domid].paused ? XEN_DOMINF_paused : XEN_DOMINF_running;
    if (domid && world.shutdown_code)
        info->flags = XEN_DOMINF_shutdown | (world.shutdown_code - 1) << XEN_DOMINF_shutdownshift;
    memcpy(info->handle, domains[domid].handle, sizeof info->handle);
}

static long hvm_context(struct xen_domctl *op)
{
    struct {
        struct hvm_save_descriptor header_d;
        HVM_SAVE_TYPE(HEADER) header;
        struct hvm_save_descriptor end;
    } records = {.header_d = {HVM_SAVE_CODE(HEADER), 0, HVM_SAVE_LENGTH(HEADER)},
                 .header = {.magic = 0x54381286}};
    if (op->cmd == XEN_DOMCTL_sethvmcontext)
        return 0;
    if (op->u.hvmcontext.buffer.p)
        memcpy(op->u.hvmcontext.buffer.p, &records, sizeof records);
    op->u.hvmcontext.size = sizeof records;
    return 0;
}

static long do_credit(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    assert(op->sched_id == XEN_SCHEDULER_CREDIT2);
    if (op->cmd == XEN_DOMCTL_SCHEDOP_getinfo) {
        op->u.credit2.weight = d->weight ? d->weight : 256;
        op->u.credit2.cap = d->cap;
    } else {
        d->weight = op->u.credit2.weight ? op->u.credit2.weight : d->weight;
        d->cap = op->u.credit2.cap;
    }
    return 0;
}

/* Of eight CPUs at most. */
static long do_affinity(struct domain *d, bool set, struct xen_domctl_vcpuaffinity *a)
{
    const struct {
        uint32_t flag;
        struct xenctl_bitmap *map;
        uint8_t *kept;
    } kinds[] = {{XEN_VCPUAFFINITY_HARD, &a->cpumap_hard, &d->off_hard[a->vcpu]},
                 {XEN_VCPUAFFINITY_SOFT, &a->cpumap_soft, &d->off_soft[a->vcpu]}};
    for (int i = 0; i < 2; i++) {
        if (!(a->flags & kinds[i].flag))
            continue;
        assert(kinds[i].map->nr_bits >= world.cpus);
        if (set)
            *kinds[i].kept = (uint8_t)~kinds[i].map->bitmap.p[0];
        kinds[i].map->bitmap.p[0] = (uint8_t)(~*kinds[i].kept & ((1u << world.cpus) - 1));
    }
    return 0;
}

/* A hypervisor that does not know the call knows no such version. */
static long tell_change(struct xen_domctl *op)
{
    if (!world.tells_changes)
        return -XEN_EACCES;
    assert(op->interface_version == 0 && op->domain == DOMID_INVALID);
    if (!world.changed)
        return -XEN_ENOENT;
    op->domain = (domid_t)__builtin_ctzll(world.changed);
    world.changed &= world.changed - 1;
    return 0;
}

static long do_domctl(struct xen_domctl *op)
{
    if (op->cmd == XEN_DOMCTL_get_domain_state)
        return tell_change(op);
    assert(op->interface_version == 0x15);
    if (op->cmd == XEN_DOMCTL_createdomain) {
        for (domid_t i = 1; i < DOMAINS; i++) {
            if (domains[i].exists)
                continue;
            domains[i] = (struct domain){.exists = 1, .paused = 1};
            memcpy(domains[i].handle, op->u.createdomain.handle, sizeof domains[i].handle);
            world.domains++;
            op->domain = i;
            return 0;
        }
        return -XEN_ENOMEM;
    }
    if (op->domain >= DOMAINS || !domains[op->domain].exists)
        return -XEN_ESRCH;
    struct domain *d = &domains[op->domain];
    switch (op->cmd) {
    case XEN_DOMCTL_destroydomain:
        free_pages(d);
        d->exists = 0;
        world.domains--;
        return 0;
    case XEN_DOMCTL_pausedomain:
    case XEN_DOMCTL_unpausedomain:
        d->paused = op->cmd == XEN_DOMCTL_pausedomain;
        return 0;
    case XEN_DOMCTL_setdomainhandle:
        memcpy(d->handle, op->u.setdomainhandle.handle, sizeof d->handle);
        return 0;
    case XEN_DOMCTL_gethvmcontext:
    case XEN_DOMCTL_sethvmcontext:
        return hvm_context(op);
    case XEN_DOMCTL_max_vcpus:
        d->vcpus = op->u.max_vcpus.max;
        return 0;
    case XEN_DOMCTL_getvcpuinfo: /* one runs, one is blocked, one waits, one is off; and again */
        op->u.getvcpuinfo.running = op->u.getvcpuinfo.vcpu % 4 == 0 && !d->paused;
        op->u.getvcpuinfo.blocked = op->u.getvcpuinfo.vcpu % 4 == 1;
        op->u.getvcpuinfo.online = op->u.getvcpuinfo.vcpu % 4 != 3;
        return 0;
    case XEN_DOMCTL_scheduler_op:
        return do_credit(d, &op->u.scheduler_op);
    case XEN_DOMCTL_setvcpuaffinity:
    case XEN_DOMCTL_getvcpuaffinity:
        return do_affinity(d, op->cmd == XEN_DOMCTL_setvcpuaffinity, &op->u.vcpuaffinity);
    case XEN_DOMCTL_max_mem:
    case XEN_DOMCTL_set_paging_mempool_size:
    case XEN_DOMCTL_settscinfo:
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

static long do_perfc(struct xen_sysctl_perfc_op *op)
{
    const uint32_t first = sizeof world.counted / sizeof world.counted[0];
    if (world.no_counters)
        return -XEN_ENOSYS;
    op->nr_counters = 2 + world.other_exits;
    op->nr_vals = first + world.other_exits;
    if (op->desc.p) {
        op->desc.p[0] = (xen_sysctl_perfc_desc_t){"exits: CPUID", 2};
        op->desc.p[1] = (xen_sysctl_perfc_desc_t){"hypercalls", 64};
    }
    if (op->val.p) {
        memcpy(op->val.p, world.counted, sizeof world.counted);
        op->val.p[0] += (uint32_t)(world.now * world.exits_per_second / 1000000000);
    }
    for (uint32_t i = 0; i < world.other_exits && op->desc.p && op->val.p; i++) {
        op->desc.p[2 + i].nr_vals = 1;
        snprintf(op->desc.p[2 + i].name, sizeof op->desc.p[0].name, "exits: reason number %u", i + 1);
        op->val.p[first + i] = (uint32_t)(world.now * (i + 1) / 10000000);
    }
    if (op->cmd == XEN_SYSCTL_PERFCOP_reset)
        memset(world.counted, 0, sizeof world.counted);
    return 0;
}

static long do_sysctl(struct xen_sysctl *op)
{
    assert(op->interface_version == 0x15);
    if (op->cmd == XEN_SYSCTL_physinfo) {
        op->u.physinfo.total_pages = TOTAL;
        op->u.physinfo.free_pages = world.free_pages;
        op->u.physinfo.nr_cpus = world.cpus;
        op->u.physinfo.max_cpu_id = world.cpus - 1;
        return 0;
    }
    if (op->cmd == XEN_SYSCTL_getcpuinfo) {
        op->u.getcpuinfo.nr_cpus = 1;
        op->u.getcpuinfo.info.p->idletime = world.now / 4;
        return 0;
    }
    if (op->cmd == XEN_SYSCTL_perfc_op)
        return do_perfc(&op->u.perfc_op);
    if (op->cmd == XEN_SYSCTL_scheduler_op) {
        if (op->u.scheduler_op.cmd == XEN_SYSCTL_SCHEDOP_putinfo)
            world.ratelimit = op->u.scheduler_op.u.sched_credit2.ratelimit_us;
        op->u.scheduler_op.u.sched_credit2.ratelimit_us = world.ratelimit;
        return 0;
    }
    if (op->cmd != XEN_SYSCTL_getdomaininfolist)
        return -XEN_ENOSYS;
    struct xen_sysctl_getdomaininfolist *list = &op->u.getdomaininfolist;
    list->num_domains = 0;
    world.lists += list->max_domains > 1;
    for (unsigned i = list->first_domain; i < DOMAINS && list->num_domains < list->max_domains; i++)
        if (domains[i].exists)
            describe((domid_t)i, &list->buffer.p[list->num_domains++]);
    return 0;
}

static long do_populate(struct xen_memory_reservation *r)
{
    long done = 0;
    for (; done < (long)r->nr_extents; done++)
        for (xen_pfn_t i = 0; i < 1ull << r->extent_order; i++)
            if (add_page(r->domid, r->extent_start.p[done] + i))
                return done;
    return done;
}

long hypercall(unsigned op, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)a3, (void)a4, (void)a5;
    struct xen_domctl *domctl = (void *)a1;
    struct xen_sysctl *sysctl = (void *)a1;
    int undoing = op == __HYPERVISOR_domctl &&
                  (domctl->cmd == XEN_DOMCTL_destroydomain || domctl->cmd == XEN_DOMCTL_pausedomain);
    if (!undoing && !(op == __HYPERVISOR_sysctl && sysctl->cmd == XEN_SYSCTL_getdomaininfolist) && unlucky())
        return -XEN_ENOMEM;
    switch (op) {
    case __HYPERVISOR_domctl:
        return do_domctl(domctl);
    case __HYPERVISOR_sysctl:
        return do_sysctl(sysctl);
    case __HYPERVISOR_memory_op:
        return a1 == XENMEM_populate_physmap ? do_populate((void *)a2) : 0;
    case __HYPERVISOR_event_channel_op:
        ((struct evtchn_alloc_unbound *)a2)->port = 7;
        return 0;
    default:
        return 0;
    }
}

/* --- the store and consoles ----------------------------------------------------------------------------- */

static int node_index(const char *path)
{
    for (int i = 0; i < NODES; i++)
        if (!strcmp(nodes[i].path, path))
            return i;
    return -1;
}

const char *world_node(const char *path)
{
    int i = node_index(path);
    return i < 0 ? NULL : nodes[i].value;
}

int world_nodes(void)
{
    int n = 0;
    for (int i = 0; i < NODES; i++)
        n += nodes[i].path[0] != '\0';
    return n;
}

int store_write(const char *path, const char *format, ...)
{
    int i = node_index(path);
    if (unlucky())
        return XEN_ENOSPC;
    if (i < 0)
        i = node_index("");
    strlcpy(nodes[i].path, path, sizeof nodes[i].path);
    va_list args;
    va_start(args, format);
    vsnprintf(nodes[i].value, sizeof nodes[i].value, format, args);
    va_end(args);
    return 0;
}

int store_mkdir(const char *path)
{
    return node_index(path) < 0 ? store_write(path, "%s", "") : 0;
}

int store_rm(const char *path)
{
    size_t n = strlen(path);
    for (int i = 0; i < NODES; i++)
        if (!strncmp(nodes[i].path, path, n) && (!nodes[i].path[n] || nodes[i].path[n] == '/'))
            nodes[i].path[0] = '\0';
    return 0;
}

int store_set_perms(const char *path, const char *const *perms, size_t count)
{
    assert(world_node(path) && count && perms[0][0] == 'n');
    return unlucky() ? XEN_ENOMEM : 0;
}

int store_get_perms(const char *path, char *buf, size_t size)
{
    strlcpy(buf, "n0,r1", size);
    return world_node(path) ? 0 : XEN_ENOENT;
}

int store_read(const char *path, char *buf, size_t size, size_t *length)
{
    const char *value = world_node(path);
    if (!value)
        return XEN_ENOENT;
    strlcpy(buf, value, size);
    if (length)
        *length = strlen(buf);
    return 0;
}

int store_directory(const char *path, void (*each)(const char *name, void *arg), void *arg)
{
    size_t n = strlen(path);
    for (int i = 0; i < NODES; i++)
        if (!strncmp(nodes[i].path, path, n) && nodes[i].path[n] == '/' &&
            !strchr(nodes[i].path + n + 1, '/'))
            each(nodes[i].path + n + 1, arg);
    return 0;
}

static int introduce(void)
{
    if (unlucky())
        return XEN_ENOMEM;
    world.introductions++;
    return 0;
}

int store_introduce(domid_t domid, xen_pfn_t gfn, evtchn_port_t port)
{
    (void)domid, (void)gfn, (void)port;
    return introduce();
}

int console_introduce(domid_t domid, xen_pfn_t gfn, evtchn_port_t port)
{
    (void)domid, (void)gfn, (void)port;
    return introduce();
}

int store_release(domid_t domid)
{
    (void)domid;
    world.introductions = 0;
    return 0;
}

void console_release(domid_t domid, const char *name)
{
    (void)domid, (void)name;
}

int console_attach(domid_t domid)
{
    print("[console of %u]\n", domid);
    return 0;
}

bool console_replay(const char *name)
{
    return !strcmp(name, "ghost");
}

/* --- dom0's devices ------------------------------------------------------------------------------------- */

/* One step of every back end, and of the guest at its other end. */
static void run_back_ends(void)
{
    static const char base[] = "/local/domain/0/backend/";
    for (int i = 0; i < NODES && !world.no_back_ends; i++) {
        char *state = strstr(nodes[i].path, "/state"), error[160];
        if (strncmp(nodes[i].path, base, sizeof base - 1) || !state)
            continue;
        char *value = nodes[i].value;
        bool starts = !strcmp(value, "1"), ends = !strcmp(value, "5");
        /* Without its nodes there is no guest that could be asked. */
        snprintf(error, sizeof error, "%.*s/frontend", (int)(state - nodes[i].path), nodes[i].path);
        bool guest = world_node(error) && world_node(world_node(error));
        if (starts && world.refusal) {
            snprintf(error, sizeof error, "%.*s/error", (int)(state - nodes[i].path), nodes[i].path);
            strlcpy(value, "6", sizeof nodes[i].value);
            i = node_index(error) < 0 ? node_index("") : node_index(error);
            strlcpy(nodes[i].path, error, sizeof nodes[i].path);
            strlcpy(nodes[i].value, world.refusal, sizeof nodes[i].value);
            return;
        }
        if (starts || (ends && !(guest && world.stubborn_guests)))
            strlcpy(value, starts ? "2" : "6", sizeof nodes[i].value);
    }
}

bool disk_info(size_t index, struct disk_info *info)
{
    static const struct disk_info disks[] = {
        {.name = "vda",
         .model = "QEMU HARDDISK",
         .driver = "virtio-blk",
         .label = "",
         .uuid = "",
         .bytes = 2ull << 30,
         .sector_size = 512},
        {.name = "vda1",
         .model = "",
         .driver = "partition",
         .label = "root",
         .uuid = "01234567-89ab-cdef-0123-456789abcdef",
         .bytes = 1ull << 30,
         .sector_size = 512,
         .partition = true,
         .users = 1},
        {.name = "vdb",
         .model = "QEMU HARDDISK",
         .driver = "nvme",
         .label = "",
         .uuid = "",
         .bytes = 700,
         .sector_size = 4096,
         .read_only = true,
         .users = 1},
    };
    if (index < sizeof disks / sizeof disks[0])
        *info = disks[index];
    return index < sizeof disks / sizeof disks[0];
}

bool disk_check(const char *target, bool writable, struct why *why)
{
    struct disk_info info;
    const char *name = !strncmp(target, "/dev/", 5) ? target + 5 : target;
    for (size_t i = 0; disk_info(i, &info); i++)
        if (!strcmp(name, info.name) || (!strncmp(name, "PARTLABEL=", 10) && !strcmp(name + 10, info.label)))
            return !(writable && info.read_only) || fail(why, "it is read-only");
    return fail(why, "there is no such disk: disk-list shows them");
}

int disk_ram_create(const char *name, uint64_t bytes, const char *file)
{
    snprintf(ramdisk_name, sizeof ramdisk_name, "%s", name);
    print("[%s of %llu bytes from %s]", name, (unsigned long long)bytes, file ? file : "nothing");
    return !strcmp(name, "vda") ? XEN_EEXIST : 0;
}

int disk_ram_destroy(const char *name)
{
    return !strcmp(name, ramdisk_name) ? 0 : !strcmp(name, "vda") ? XEN_EINVAL : XEN_ENOENT;
}

bool bridge_info(size_t index, struct bridge_info *info)
{
    if (index == 0)
        *info = (struct bridge_info){"xenbr0", "eth0", "e1000e", {0x52, 0x54, 0, 1, 2, 3}, true, 1};
    else if (index == 1)
        *info = (struct bridge_info){.name = bridge_name, .uplink = "", .driver = ""};
    return index == 0 || (index == 1 && *bridge_name);
}

bool bridge_port_info(const char *bridge, size_t index, struct port_info *info)
{
    *info = (struct port_info){"eth0", 1, 60, 2, 1500, 3};
    return !strcmp(bridge, "xenbr0") && index == 0;
}

int bridge_add(const char *name)
{
    if (!strcmp(name, "xenbr0") || *bridge_name)
        return XEN_EEXIST;
    snprintf(bridge_name, sizeof bridge_name, "%s", name);
    return 0;
}

int bridge_remove(const char *name)
{
    if (!strcmp(name, "xenbr0"))
        return XEN_EPERM;
    if (strcmp(name, bridge_name))
        return XEN_ENOENT;
    bridge_name[0] = '\0';
    return 0;
}

/* --- a kernel ------------------------------------------------------------------------------------------- */

static void put(uint8_t *file, unsigned at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        file[at + i] = (uint8_t)(value >> (8 * i));
}

/* Fields are at the offsets that ELF-64 gives them. */
size_t make_kernel(uint8_t file[1024], uint64_t memory_size)
{
    enum { PHDR = 64, PHDR_SIZE = 56, NOTE = 200, TEXT = 256, SIZE = 768 };
    memset(file, 0, 1024);
    memcpy(file, "\177ELF\2\1\1", 7);
    put(file, 18, 62, 2);
    put(file, 32, PHDR, 8);
    put(file, 54, PHDR_SIZE, 2);
    put(file, 56, 2, 2);
    put(file, PHDR, 1, 4);
    put(file, PHDR + 8, TEXT, 8);
    put(file, PHDR + 24, 0x200000, 8);
    put(file, PHDR + 32, SIZE - TEXT, 8);
    put(file, PHDR + 40, memory_size, 8);
    put(file, PHDR + PHDR_SIZE, 4, 4);
    put(file, PHDR + PHDR_SIZE + 8, NOTE, 8);
    put(file, PHDR + PHDR_SIZE + 32, 20, 8);
    put(file, NOTE, 4, 4);
    put(file, NOTE + 4, 4, 4);
    put(file, NOTE + 8, XEN_ELFNOTE_PHYS32_ENTRY, 4);
    memcpy(file + NOTE + 12, "Xen", 4);
    put(file, NOTE + 16, 0x200010, 4);
    memset(file + TEXT, 0x90, SIZE - TEXT);
    return SIZE;
}
