/* Who may do what with a node (store.h). No state. */
#include <lib/printf.h>
#include <lib/string.h>
#include "store.h"

unsigned perms_of(const struct node *node, domid_t domid)
{
    if (domid == 0 || node->perms[0].domid == domid)
        return PERM_READ | PERM_WRITE | PERM_OWNER;
    for (size_t i = 1; i < node->perm_count; i++)
        if (node->perms[i].domid == domid)
            return node->perms[i].access;
    return node->perms[0].access;
}

static const char letters[] = {'n', 'r', 'w', 'b'}; /* by access: PERM_READ, PERM_WRITE, both */

bool perm_parse(const char *text, struct perm *perm)
{
    const char *letter = memchr(letters, text[0], sizeof letters);
    uint64_t domid = 0;
    if (!letter || !text[1])
        return false;
    for (const char *p = text + 1; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        domid = domid * 10 + (uint64_t)(*p - '0');
        if (domid >= DOMID_FIRST_RESERVED)
            return false;
    }
    *perm = (struct perm){.domid = (domid_t)domid, .access = (uint16_t)(letter - letters)};
    return true;
}

void perm_format(const struct perm *perm, char *text)
{
    snprintf(text, 8, "%c%u", letters[perm->access & 3], perm->domid);
}
