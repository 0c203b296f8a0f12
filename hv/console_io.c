/*
 * console_io: the machine's console for dom0. Other domains have a PV console and get -EPERM, as on Xen.
 *
 * Locking: none here; hv/console.c has its own.
 */
#include <hv/arch/guest_access.h>
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>

#define CHUNK 256u
/* How much one run writes or reads. */
#define RUN_BYTES 4096u

/* arg[1]: how many bytes, arg[2]: where; both then say what remains. */
static int64_t console_io_write(uint64_t arg[6])
{
    char text[CHUNK];
    uint32_t left = (uint32_t)arg[1], run = 0;

    while (left) {
        if (run >= RUN_BYTES)
            return HYPERCALL_RESTART;
        uint32_t n = MIN(left, CHUNK);
        if (copy_from_guest(text, GVA(arg[2]), n))
            return -XEN_EFAULT;
        console_write_guest(current->domain, text, n);
        run += n;
        arg[2] += n;
        arg[1] = left -= n;
    }
    return 0;
}

/* Returns how many bytes there were, at most `count`. */
static int64_t console_io_read(uint32_t count, gva_t to)
{
    char text[CHUNK];
    uint32_t done = 0;

    if (count > INT32_MAX)
        return -XEN_E2BIG;
    for (size_t n = CHUNK; done < MIN(count, RUN_BYTES) && n == CHUNK; done += n) {
        n = console_read(text, MIN(count - done, CHUNK));
        if (n && copy_to_guest(GVA(to.v + done), text, n))
            return -XEN_EFAULT;
    }
    return done;
}

/* arg: operation, number of bytes, their address. */
int64_t do_console_io(uint64_t arg[6])
{
    if (!current->domain->privileged)
        return -XEN_EPERM;
    switch ((uint32_t)arg[0]) {
    case CONSOLEIO_write:
        return console_io_write(arg);
    case CONSOLEIO_read:
        return console_io_read((uint32_t)arg[1], GVA(arg[2]));
    default:
        return -XEN_ENOSYS;
    }
}
