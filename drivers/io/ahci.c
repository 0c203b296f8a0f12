/*
 * AHCI controllers (Serial ATA AHCI 1.3.1): taken over from the firmware, reset, their ports given to a
 * thread each. See ahci.h for who runs in which context.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/printf.h>
#include "ahci.h"
#include "drivers.h"
#include "registers.h"

#define CLASS_STORAGE  0x01
#define SUBCLASS_SATA  0x06
#define INTERFACE_AHCI 0x01
#define BAR_AHCI       5

#define HANDOFF_TIME (25 * MILLISECOND)
#define FINISH_TIME  (2 * SECOND)
#define RESET_TIME   SECOND
#define SETTLE_TIME  (60 * SECOND) /* what spins up later counts as plugged in */
#define ROUNDS       4

static uint32_t read_register(const struct ahci *hba, uint32_t offset)
{
    return register_read(hba->registers, offset);
}

static void write_register(struct ahci *hba, uint32_t offset, uint32_t value)
{
    register_write(hba->registers, offset, value);
}

/* Waits until a bit is off. */
static bool wait_off(const struct ahci *hba, uint32_t offset, uint32_t bit, uint64_t time)
{
    for (uint64_t deadline = time_ns() + time; read_register(hba, offset) & bit; thread_sleep(MILLISECOND))
        if (time_ns() >= deadline)
            return false;
    return true;
}

/* --- the whole controller ------------------------------------------------------------------------------- */

/* AHCI, 10.6.3. A firmware that does not let go is overruled by the reset. */
static void take_from_firmware(struct ahci *hba)
{
    if (!(read_register(hba, AHCI_CAP2) & CAP2_BOH))
        return;
    write_register(hba, AHCI_BOHC, read_register(hba, AHCI_BOHC) | BOHC_OOS);
    wait_off(hba, AHCI_BOHC, BOHC_BOS, HANDOFF_TIME);
    if (read_register(hba, AHCI_BOHC) & BOHC_BB)
        wait_off(hba, AHCI_BOHC, BOHC_BOS, FINISH_TIME);
}

static bool reset(struct ahci *hba)
{
    write_register(hba, AHCI_GHC, GHC_AE);
    write_register(hba, AHCI_GHC, GHC_AE | GHC_HR);
    if (!wait_off(hba, AHCI_GHC, GHC_HR, RESET_TIME))
        return false;
    write_register(hba, AHCI_GHC, GHC_AE);
    /* Some lose what their firmware wrote there. */
    if (!read_register(hba, AHCI_PI))
        write_register(hba, AHCI_PI, hba->implemented);
    write_register(hba, AHCI_IS, ~0u);
    write_register(hba, AHCI_GHC, GHC_AE | GHC_IE);
    return true;
}

static void wake_ports(struct ahci *hba)
{
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (hba->port[i]) {
            hba->port[i]->state = PORT_BUSY;
            hba->port[i]->changed = true;
            signal_set(&hba->port[i]->wake);
        }
}

void ahci_give_up(struct ahci *hba, const char *why)
{
    char where[PCI_NAME];
    if (hba->dead)
        return;
    print("%s: AHCI controller given up: %s\n", pci_name(hba->pci, where), why);
    hba->dead = true;
    pci_disable(hba->pci);
    pci_interrupts_off(hba->pci);
    wake_ports(hba);
}

void ahci_reset(struct ahci *hba)
{
    bool another = hba->resetting;
    while (hba->resetting)
        thread_sleep(MILLISECOND);
    if (hba->dead || another)
        return;
    /* First, as what ports find out about their links while this lasts is wrong. */
    wake_ports(hba);
    hba->resetting = true;
    bool good = reset(hba);
    hba->resetting = false;
    if (!good)
        ahci_give_up(hba, "it cannot be reset");
}

static void interrupt(void *arg)
{
    struct ahci *hba = arg;
    uint32_t pending, status[AHCI_PORTS];
    for (unsigned round = 0; round < ROUNDS && !hba->dead; round++) {
        pending = read_register(hba, AHCI_IS) & hba->implemented;
        if (!pending)
            return;
        /*
         * First the ports, then the controller, then what it was about: so nothing that comes meanwhile is
         * missed.
         */
        for (unsigned i = 0; i < AHCI_PORTS; i++)
            if (pending & port_bit(i)) {
                status[i] = read_register(hba, AHCI_PORT(i) + PORT_IS);
                write_register(hba, AHCI_PORT(i) + PORT_IS, status[i]);
            }
        write_register(hba, AHCI_IS, pending);
        for (unsigned i = 0; i < AHCI_PORTS; i++)
            if (pending & port_bit(i) && hba->port[i])
                ahci_port_event(hba->port[i], status[i]);
    }
}

void ahci_free(struct ahci *hba)
{
    hba->pci->driver_data = NULL;
    mem_free(hba);
}

/* --- finding it ----------------------------------------------------------------------------------------- */

static bool create_port(struct ahci *hba, unsigned number)
{
    char where[PCI_NAME];
    struct ahci_port *port = mem_alloc(sizeof *port);
    struct ahci_memory *memory = dma_alloc(1);
    if (!port || !memory)
        goto fail;
    *port = (struct ahci_port){.hba = hba,
                               .number = number,
                               .registers = (volatile char *)hba->registers + AHCI_PORT(number),
                               .memory = memory,
                               .changed = true};
    snprintf(port->name, sizeof port->name, "%s.%u", pci_name(hba->pci, where), number);
    if (!thread_create(ahci_port_serve, port))
        goto fail;
    hba->port[number] = port;
    hba->threads++;
    return true;
fail:
    print("%s: no memory for port %u of the AHCI controller\n", pci_name(hba->pci, where), number);
    mem_free(port);
    if (memory)
        dma_free(memory, 1);
    return false;
}

static bool settled(const struct ahci *hba)
{
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (hba->port[i] && !hba->port[i]->settled)
            return false;
    return true;
}

static void wait_settled(const struct ahci *hba)
{
    for (uint64_t deadline = time_ns() + SETTLE_TIME; !settled(hba) && time_ns() < deadline;)
        thread_sleep(MILLISECOND);
}

/*
 * All ports look at their links at the same time, one after another only where all drives spinning up at once
 * would be too much.
 */
static void start_ports(struct ahci *hba)
{
    /* The last thread takes hba with it if it dies; this use of it counts, too. */
    hba->threads++;
    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (hba->implemented & port_bit(i) && create_port(hba, i) && hba->capabilities & CAP_SSS)
            wait_settled(hba);
    wait_settled(hba);
    hba->running = true;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        struct ahci_drive *drive = hba->port[i] ? hba->port[i]->drive : NULL;
        if (!drive || drive->announced || drive->announcing)
            continue;
        drive->announcing = true;
        ahci_announce(drive);
    }
    if (--hba->threads)
        return;
    pci_disable(hba->pci);
    pci_interrupts_off(hba->pci);
    ahci_free(hba);
}

static const char *start(struct ahci *hba)
{
    void *arg[1] = {hba};
    hba->registers = pci_bar_map(hba->pci, BAR_AHCI, 0, AHCI_PORT(0));
    if (!hba->registers)
        return "no registers";
    write_register(hba, AHCI_GHC, read_register(hba, AHCI_GHC) | GHC_AE);
    hba->capabilities = read_register(hba, AHCI_CAP);
    hba->implemented = read_register(hba, AHCI_PI);
    hba->slots = CAP_NCS(hba->capabilities) + 1;
    if (hba->capabilities == GONE || !hba->implemented)
        return "it does not answer";
    if (!(hba->capabilities & CAP_S64A))
        return "it reaches only the first 4 GiB of memory";
    unsigned ports = 32 - (unsigned)__builtin_clz(hba->implemented);
    hba->registers = pci_bar_map(hba->pci, BAR_AHCI, 0, AHCI_PORT(ports));
    if (!hba->registers)
        return "not all its ports have registers";
    take_from_firmware(hba);
    if (!reset(hba))
        return "it cannot be reset";
    return pci_interrupts(hba->pci, 1, interrupt, arg) ? NULL : "no interrupt";
}

static bool probe(struct pci_function *f)
{
    char where[PCI_NAME];
    if (f->class_code != CLASS_STORAGE || f->subclass != SUBCLASS_SATA || f->interface != INTERFACE_AHCI)
        return false;
    struct ahci *hba = mem_alloc(sizeof *hba);
    if (!hba)
        return false;
    *hba = (struct ahci){.pci = f};
    pci_enable(f);
    const char *why = start(hba);
    if (why) {
        print("%s: AHCI controller left alone: %s\n", pci_name(f, where), why);
        pci_disable(f);
        pci_interrupts_off(f);
        mem_free(hba);
        return false;
    }
    f->driver_data = hba;
    start_ports(hba);
    return true;
}

const struct pci_driver ahci_driver = {.name = "ahci", .probe = probe};
