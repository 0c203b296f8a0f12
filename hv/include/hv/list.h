/* Doubly linked circular lists, linked through a member of their elements. The caller's lock protects them.
 */
#ifndef HV_LIST_H
#define HV_LIST_H

#include <hv/types.h>

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name)                                                                                      \
    {                                                                                                        \
        &(name), &(name)                                                                                     \
    }

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_add_between(struct list *item, struct list *prev, struct list *next)
{
    item->prev = prev;
    item->next = next;
    prev->next = item;
    next->prev = item;
}
static inline void list_add_head(struct list *head, struct list *item)
{
    list_add_between(item, head, head->next);
}
static inline void list_add_tail(struct list *head, struct list *item)
{
    list_add_between(item, head->prev, head);
}
/* Leaves the item as an empty list of its own, so that removing it again is harmless. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}
#define list_entry(item, type, member) container_of(item, type, member)
#define list_for_each(item, head)      for (struct list *item = (head)->next; item != (head); item = item->next)

#endif
