/* What server.c offers the parts of the store that serve dom0 itself, local.c and listen.c. */
#ifndef DOM0_STORE_SERVER_H
#define DOM0_STORE_SERVER_H

#include <stdbool.h>
#include <xen/xen.h>

/* Some client has watch events to be sent, or dom0 has some to be told of. */
void server_kick(void);
/* dom0's own client; false: no memory. */
bool local_init(void);
/* Removes what a domain that is gone left behind. */
void local_forget(domid_t domid);

#endif
