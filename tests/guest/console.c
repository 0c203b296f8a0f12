/* console_io: what the first domain may do with the console, and that others may not. */
#include "check.h"

static long console(unsigned command, unsigned count, void *buffer)
{
    return hypercall(__HYPERVISOR_console_io, command, count, (uintptr_t)buffer, 0, 0);
}

int main(void)
{
    static char text[] = "written by console_io\n";
    if (pvh_is_dom0()) {
        EXPECT_EQ(console(CONSOLEIO_write, sizeof(text) - 1, text), 0);
        EXPECT_EQ(console(CONSOLEIO_write, 0, NULL), 0);
        static char longer[3000];
        memset(longer, '.', sizeof(longer));
        longer[sizeof(longer) - 1] = '\n';
        EXPECT_EQ(console(CONSOLEIO_write, sizeof(longer), longer), 0);
        char in[16];
        EXPECT_EQ(console(CONSOLEIO_read, sizeof(in), in), 0); /* nobody typed */
        EXPECT_EQ(console(CONSOLEIO_write, 4, BAD_POINTER), -XEN_EFAULT);
        EXPECT_EQ(console(99, 0, NULL), -XEN_ENOSYS);
    } else {
        /* A guest's own text goes to the hypervisor's log at most; it never reads what is typed. */
        EXPECT(console(CONSOLEIO_read, 16, text) <= 0);
    }
    return verdict("console");
}
