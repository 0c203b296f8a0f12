/* One-line reasons (lib/why.h). The only state is the buffer for errors without a name; no locking. */
#include <lib/printf.h>
#include <stddef.h>
#include <xen/errno.h>

#include <lib/why.h>

bool fail(struct why *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

static const struct {
    int error;
    const char *text;
} texts[] = {
    {XEN_EPERM, "not permitted"},
    {XEN_ENOENT, "does not exist"},
    {XEN_ESRCH, "no such domain"},
    {XEN_EIO, "input/output error"},
    {XEN_E2BIG, "too big"},
    {XEN_EAGAIN, "temporarily unavailable"},
    {XEN_ENOMEM, "out of memory"},
    {XEN_EACCES, "access denied"},
    {XEN_EFAULT, "bad address"},
    {XEN_EBUSY, "busy"},
    {XEN_EEXIST, "exists already"},
    {XEN_EISDIR, "is a directory"},
    {XEN_EINVAL, "invalid argument"},
    {XEN_ENOSPC, "no space left, a quota is full"},
    {XEN_EROFS, "read only"},
    {XEN_ENOSYS, "not offered by this hypervisor"},
    {XEN_EOPNOTSUPP, "not supported by this hypervisor"},
};

const char *error_text(long error)
{
    static char unknown[32];
    if (error < 0)
        error = -error;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].error == error)
            return texts[i].text;
    snprintf(unknown, sizeof unknown, "error %ld", error);
    return unknown;
}
