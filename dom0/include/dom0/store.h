/* The xenstore server's start; what it does for dom0 itself is in dom0/below.h. */
#ifndef DOM0_STORE_H
#define DOM0_STORE_H

/* Makes the root of the tree and the server's thread. */
void store_init(void);

#endif
