/*
 * A guest that does one thing no guest should, as the word on its command line says. It cannot give a
 * verdict: the runner looks at everybody else.
 *
 *   triple   a fault with no way to handle it      spin     computes for ever with interrupts off
 *   flood    events without end                    hold     dies with grants mapped and channels half bound
 *   wild     jumps into memory that is not there   port     hammers ports and MSRs
 */
#include "check.h"
#include <pvh/apic.h>
#include <xen/grant_table.h>

static void triple(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    asm volatile("lidt %0; int3" : : "m"(none));
}

static void spin(void)
{
    interrupts_off();
    for (;;)
        asm volatile("");
}

static void flood(void)
{
    uint64_t store = 0, console = 0;
    hvm_param_get(HVM_PARAM_STORE_EVTCHN, &store);
    hvm_param_get(HVM_PARAM_CONSOLE_EVTCHN, &console);
    for (;;) {
        event_send((evtchn_port_t)store);
        event_send((evtchn_port_t)console);
        long port = event_alloc_unbound(DOMID_SELF, 0); /* until there are no more */
        event_send((evtchn_port_t)port);
    }
}

static void hold(void)
{
    uint64_t space = memory_reserve_space(64 * PAGE_SIZE);
    uint64_t at = memory_reserve_space(PAGE_SIZE);
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = at >> PAGE_SHIFT};
    OP(memory_op, XENMEM_add_to_physmap, &add);
    volatile struct grant_entry_v1 *table = (volatile struct grant_entry_v1 *)at;
    for (unsigned i = 0; i < 64; i++) {
        table[100 + i].domid = own_domid();
        table[100 + i].frame = (uint32_t)frame_of(page_alloc(1));
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        table[100 + i].flags = GTF_permit_access;
        struct gnttab_map_grant_ref map = {
            .host_addr = space + i * PAGE_SIZE, .flags = GNTMAP_host_map, .ref = 100 + i, .dom = own_domid()};
        hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)&map, 1, 0, 0);
        event_alloc_unbound(DOMID_SELF, 0);
        event_bind_interdomain(DOMID_SELF, (evtchn_port_t)event_alloc_unbound(DOMID_SELF, DOMID_SELF));
    }
    pvh_printf("holding\n");
    pvh_shutdown(SHUTDOWN_crash);
}

static void jump_away(void)
{
    uint64_t hole = memory_reserve_space(PAGE_SIZE);
    ((void (*)(void))hole)();
}

static void read_msr(void *msr)
{
    rdmsr((uint32_t)(uintptr_t)msr);
}

static void ports(void)
{
    for (unsigned port = 0; port < 0x10000; port++) {
        inb((uint16_t)port);
        outb((uint16_t)port, 0xff);
        outl((uint16_t)port, ~0u);
    }
    for (uintptr_t msr = 0; msr < 0x2000; msr++) {
        pvh_try(read_msr, (void *)msr, NULL);
        pvh_try(read_msr, (void *)(0xc0000000 + msr), NULL);
        pvh_try(read_msr, (void *)(0xc0010000 + msr), NULL);
    }
    pvh_printf("done\n");
}

int main(void)
{
    static const struct {
        const char *name;
        void (*act)(void);
    } acts[] = {{"triple", triple}, {"spin", spin},      {"flood", flood},
                {"hold", hold},     {"wild", jump_away}, {"port", ports}};
    char value[2];
    for (unsigned i = 0; i < ARRAY_SIZE(acts); i++)
        if (pvh_option(acts[i].name, value, sizeof(value))) {
            pvh_printf("mischief: %s\n", acts[i].name);
            acts[i].act();
            return 0;
        }
    pvh_printf("mischief: what? %s\n", pvh_cmdline());
    return 0;
}
