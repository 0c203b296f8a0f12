/* sources: tests/unit/store_client.c dom0/store/node.c dom0/store/tree.c dom0/store/perms.c dom0/store/path.c dom0/store/transaction.c dom0/store/edit.c dom0/store/watch.c dom0/store/watched.c dom0/store/listen.c dom0/store/request.c dom0/store/client.c lib/printf.c */
/*
 * Requests of any kind and form to the xenstore server from dom0 and two domains, who reconnect now and then.
 * Each gets one answer (store_client.c sees to that), no domain passes its limits, and when all are gone
 * their memory is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../unit/store_client.h"

#define DOMAINS 3

static const uint8_t *input;
static size_t left;
static struct client *client[DOMAINS];

static uint8_t byte(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

/* A request's data: words that mean something to the server, sometimes anything, with zeroes here and there.
 */
static size_t make_data(char *data, size_t room)
{
    static const char *const words[] = {"/",
                                        "a",
                                        "b",
                                        "/local/domain/1",
                                        "/local/domain/2",
                                        "data",
                                        "@releaseDomain",
                                        "n1",
                                        "b2",
                                        "r0",
                                        "w1",
                                        "T",
                                        "F",
                                        "..",
                                        "//",
                                        "1",
                                        "tok",
                                        "/tool",
                                        "",
                                        "/a/b",
                                        "@introduceDomain"};
    size_t size = 0;
    for (uint8_t pieces = byte() % 6; pieces; pieces--) {
        uint8_t what = byte();
        const char *word = words[what % (sizeof(words) / sizeof(words[0]))];
        size_t length = strlen(word);
        if (what >= 250) {
            length = byte() * 16u;
            for (size_t i = 0; i < length && size + i < room; i++)
                data[size + i] = (char)byte();
        } else if (size + length < room) {
            memcpy(data + size, word, length);
        }
        if (size + length + 1 >= room)
            break;
        size += length;
        if (what & 1)
            data[size++] = '\0';
        else if (what & 2)
            data[size++] = '/';
    }
    return size;
}

static void reconnect(unsigned who)
{
    client_free(client[who]);
    if (who)
        edit_forget_domain(client[0], (domid_t)who);
    client[who] = client_new((domid_t)who);
}

static void one_request(void)
{
    static char data[XENSTORE_PAYLOAD_MAX];
    unsigned who = byte() % DOMAINS;
    uint8_t what = byte();
    if (what >= 250) {
        if (who)
            reconnect(who);
        return;
    }
    uint32_t transaction = byte() % 8 == 0 ? byte() % 8 : 0;
    size_t size = make_data(data, sizeof(data));
    ask(client[who], what % (XS_TYPE_COUNT + 1), transaction, data, size);
    if (who) {
        struct usage *usage = tree_usage((domid_t)who);
        if (usage && (usage->nodes > LIMIT_NODES || usage->bytes > LIMIT_BYTES))
            abort();
        if (client[who]->watch_count > LIMIT_WATCHES || client[who]->transaction_count > LIMIT_TRANSACTIONS)
            abort();
    }
    while (next_event(client[who], data))
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (!tree_init())
        abort();
    long before = blocks;
    input = bytes;
    left = size;
    for (unsigned i = 0; i < DOMAINS; i++)
        client[i] = client_new((domid_t)i);
    for (unsigned i = 1; i < DOMAINS; i++) {
        char path[32], owner[8];
        snprintf(path, sizeof(path), "/local/domain/%u", i);
        snprintf(owner, sizeof(owner), "n%u", i);
        ask1(client[0], XS_MKDIR, 0, path);
        ask2(client[0], XS_SET_PERMS, 0, path, owner);
    }
    while (left)
        one_request();
    for (unsigned i = DOMAINS; i--;) {
        if (i)
            edit_forget_domain(client[0], (domid_t)i);
        client_free(client[i]);
    }
    if (!tree_init() || blocks != before)
        abort();
    return 0;
}
