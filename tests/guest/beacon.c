/* A guest that is simply well: answers each character typed on its console, and ends at q. For tests of the
 * others. */
#include "check.h"

int main(void)
{
    EXPECT_EQ(event_init(), 0);
    pvh_printf("beacon %s\n", pvh_cmdline());
    for (;;) {
        int c = pvh_getchar();
        if (c == 'q')
            return 0;
        if (c >= 0) {
            pvh_printf("alive %c\n", c);
            continue;
        }
        struct sched_poll poll = {.nr_ports = 0, .timeout = pvh_time_ns() + 20 * MILLISECOND};
        OP(sched_op, SCHEDOP_poll, &poll);
    }
}
