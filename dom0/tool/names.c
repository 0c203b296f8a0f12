/*
 * Names of domains (names.h): a hash table of what nodes.c has written. What it says is checked against the
 * store before it is believed. Threads are cooperative, so there is no lock.
 */
#include <dom0/below.h>
#include <lib/string.h>

#include "names.h"
#include "nodes.h"
#include "xen.h"

#define BUCKETS 256u

struct named {
    struct named *next;
    domid_t domid;
    char name[];
};

static struct named *buckets[BUCKETS];
static bool incomplete;

static struct named **bucket_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return &buckets[hash % BUCKETS];
}

void names_add(const char *name, domid_t domid)
{
    size_t size = strlen(name) + 1;
    struct named **bucket = bucket_of(name), *named = mem_alloc(sizeof *named + size);
    if (!named) {
        incomplete = true;
        return;
    }
    named->domid = domid;
    strlcpy(named->name, name, size);
    named->next = *bucket;
    *bucket = named;
}

void names_remove(const char *name, domid_t domid)
{
    struct named **link = bucket_of(name), *named;
    while ((named = *link) && (named->domid != domid || strcmp(named->name, name)))
        link = &named->next;
    if (named) {
        *link = named->next;
        mem_free(named);
    }
}

void names_distrust(void)
{
    incomplete = true;
}

static bool is_name_of(domid_t domid, const char *name)
{
    char other[NAME_MAX];
    return nodes_name(domid, other, sizeof other) && !strcmp(other, name);
}

static bool search(const char *name, domid_t *domid)
{
    struct domain_list list;
    const struct xen_domctl_getdomaininfo *info;
    domain_list_start(&list, 0);
    while ((info = domain_list_next(&list)))
        if (is_name_of(info->domain, name)) {
            *domid = info->domain;
            return true;
        }
    return false;
}

bool names_find(const char *name, domid_t *domid)
{
    for (const struct named *named = *bucket_of(name); named; named = named->next)
        if (!strcmp(named->name, name) && is_name_of(named->domid, name)) {
            *domid = named->domid;
            return true;
        }
    return incomplete && search(name, domid);
}
