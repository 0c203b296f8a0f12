/*
 * The store's client (drivers/front.h): one request at a time over the page that the domain was given. No
 * watches, so what comes back is the answer.
 */
#include <drivers/front.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/hypercall.h>
#include <pvh/memory.h>
#include <xen/errno.h>
#include <xen/hvm/params.h>
#include <xen/io/xs_wire.h>
#include "internal.h"

static struct xenstore_domain_interface *ring;
static evtchn_port_t port;

static const struct {
    const char *name;
    int number;
} errors[] = {
#define XEN_ERRNO(name, value) {#name, value},
#include <xen/errno.h>
};

bool store_connect(void)
{
    uint64_t frame, number;
    if (hvm_param_get(HVM_PARAM_STORE_PFN, &frame) || hvm_param_get(HVM_PARAM_STORE_EVTCHN, &number) ||
        !frame)
        return false;
    ring = (struct xenstore_domain_interface *)(frame << PAGE_SHIFT);
    port = (evtchn_port_t)number;
    return true;
}

static bool send(const void *from, size_t size, uint64_t deadline)
{
    for (const char *byte = from; size; event_send(port)) {
        uint32_t used = ring->req_prod - __atomic_load_n(&ring->req_cons, __ATOMIC_ACQUIRE);
        if (used == XENSTORE_RING_SIZE && !front_sleep(&port, 1, deadline))
            return false;
        for (; size && used < XENSTORE_RING_SIZE; used++, size--, byte++) {
            ring->req[MASK_XENSTORE_IDX(ring->req_prod)] = *byte;
            __atomic_store_n(&ring->req_prod, ring->req_prod + 1, __ATOMIC_RELEASE);
        }
    }
    return true;
}

/* to NULL: takes the bytes and drops them. */
static bool receive(void *to, size_t size, uint64_t deadline)
{
    for (char *byte = to; size;) {
        uint32_t used = __atomic_load_n(&ring->rsp_prod, __ATOMIC_ACQUIRE) - ring->rsp_cons;
        if (!used && !front_sleep(&port, 1, deadline))
            return false;
        for (; size && used; used--, size--) {
            if (byte)
                *byte++ = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons)];
            __atomic_store_n(&ring->rsp_cons, ring->rsp_cons + 1, __ATOMIC_RELEASE);
        }
        event_send(port);
    }
    return true;
}

static int error_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (!strcmp(errors[i].name, name))
            return errors[i].number;
    return XEN_EINVAL;
}

/* path goes with its zero, value (may be NULL) without. The reply, cut to size - 1, ends with a zero. */
static int talk(uint32_t type, const char *path, const char *value, char *reply, size_t size)
{
    uint64_t deadline = pvh_time_ns() + FRONT_PATIENCE;
    size_t path_length = strlen(path) + 1, value_length = value ? strlen(value) : 0;
    struct xsd_sockmsg head = {.type = type, .len = (uint32_t)(path_length + value_length)};
    if (!send(&head, sizeof head, deadline) || !send(path, path_length, deadline) ||
        !send(value, value_length, deadline) || !receive(&head, sizeof head, deadline))
        return XEN_ETIMEDOUT;
    size_t kept = head.len < size ? head.len : size - 1;
    if (!receive(reply, kept, deadline) || !receive(NULL, head.len - kept, deadline))
        return XEN_ETIMEDOUT;
    reply[kept] = 0;
    if (head.type == XS_ERROR)
        return error_number(reply);
    return kept < head.len ? XEN_E2BIG : 0;
}

int xs_read(const char *path, char *value, size_t size)
{
    char reply[256];
    int error = talk(XS_READ, path, NULL, reply, sizeof reply);
    if (!error && strlcpy(value, reply, size) >= size)
        return XEN_E2BIG;
    return error;
}

int xs_read_number(const char *path, uint64_t *number)
{
    char text[32];
    int error = xs_read(path, text, sizeof text);
    if (error)
        return error;
    return parse_number(text, number) ? 0 : XEN_EINVAL;
}

int xs_write(const char *path, const char *format, ...)
{
    char value[128], reply[32];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    return (size_t)length < sizeof value ? talk(XS_WRITE, path, value, reply, sizeof reply) : XEN_E2BIG;
}

int xs_rm(const char *path)
{
    char reply[32];
    return talk(XS_RM, path, NULL, reply, sizeof reply);
}
