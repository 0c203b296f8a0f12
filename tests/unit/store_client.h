/* A client of the xenstore server in a test: requests go in and replies come out as bytes of the wire
 * protocol. */
#ifndef TEST_STORE_CLIENT_H
#define TEST_STORE_CLIENT_H

#include <dom0/below.h>
#include "../../dom0/store/store.h"

/* The answer to the last request of ask(). */
extern struct answer {
    uint32_t type, length;
    char data[XENSTORE_PAYLOAD_MAX + 1];
} answer;

/* Sends one request with size bytes of data; the error it was answered with, 0 for none. */
int ask(struct client *client, uint32_t type, uint32_t transaction, const void *data, size_t size);
/* The same with one string as data, and with two. */
int ask1(struct client *client, uint32_t type, uint32_t transaction, const char *text);
int ask2(struct client *client, uint32_t type, uint32_t transaction, const char *path, const char *rest);
/* XS_WRITE, whose value has no terminating zero. */
int ask_write(struct client *client, uint32_t transaction, const char *path, const char *value);
uint32_t ask_start(struct client *client);
/* The next watch event's path; the token goes to token. NULL: no event waits. */
const char *next_event(struct client *client, char *token);
/* Blocks of memory in use. */
extern long blocks;
/* After this many more allocations there is no memory; negative: there always is. */
extern long blocks_left;

#endif
