/*
 * A port's engines, its link, and single commands (ahci.h; AHCI 1.3.1, 10.1, 10.3, 10.4). Runs in the port's
 * thread and may switch.
 */
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <lib/string.h>
#include <xen/errno.h>
#include "ahci.h"
#include "registers.h"

#define ENGINE_TIME (500 * MILLISECOND)
#define PRESENT_TIME                                                                                         \
    (20 * MILLISECOND) /* within which a drive shows at all; a later one counts as plugged in */
#define LINK_TIME    SECOND
#define SPIN_UP_TIME (30 * SECOND)
#define RESET_TIME   (2 * MILLISECOND)

static uint32_t read_port(const struct ahci_port *port, uint32_t offset)
{
    return register_read(port->registers, offset);
}

static void write_port(struct ahci_port *port, uint32_t offset, uint32_t value)
{
    register_write(port->registers, offset, value);
}

/* Waits until the bits of mask have that value. */
static bool wait_for(const struct ahci_port *port, uint32_t offset, uint32_t mask, uint32_t value,
                     uint64_t time)
{
    for (uint64_t deadline = time_ns() + time;;) {
        uint32_t now = read_port(port, offset);
        if (now == GONE)
            return false;
        if ((now & mask) == value)
            return true;
        if (time_ns() >= deadline)
            return false;
        thread_sleep(MILLISECOND);
    }
}

static bool clear_command(struct ahci_port *port, uint32_t request, uint32_t running)
{
    uint32_t command = read_port(port, PORT_CMD);
    if (command & request)
        write_port(port, PORT_CMD, command & ~request);
    return wait_for(port, PORT_CMD, running, 0, ENGINE_TIME);
}

bool ahci_port_pause(struct ahci_port *port)
{
    write_port(port, PORT_IE, 0);
    return clear_command(port, CMD_ST, CMD_CR);
}

static void reset_signal(struct ahci_port *port)
{
    write_port(port, PORT_SCTL, SCTL_IPM_ACTIVE_ONLY | SCTL_DET_INIT);
    thread_sleep(RESET_TIME);
    write_port(port, PORT_SCTL, SCTL_IPM_ACTIVE_ONLY);
}

static bool try_stop(struct ahci_port *port)
{
    return ahci_port_pause(port) && clear_command(port, CMD_FRE, CMD_FR);
}

void ahci_port_stop(struct ahci_port *port)
{
    if (port->hba->dead || try_stop(port))
        return;
    reset_signal(port);
    if (!try_stop(port))
        ahci_reset(port->hba);
}

bool ahci_port_start(struct ahci_port *port)
{
    uint32_t busy = read_port(port, PORT_TFD) & (TFD_BSY | TFD_DRQ);
    uint32_t command = read_port(port, PORT_CMD);
    /* The whole controller was reset meanwhile, and has forgotten where our memory is. */
    if (!(command & CMD_FRE))
        return false;
    write_port(port, PORT_SERR, ~0u);
    write_port(port, PORT_IS, ~0u);
    if (busy) {
        if (!(port->hba->capabilities & CAP_SCLO))
            return false;
        write_port(port, PORT_CMD, command | CMD_CLO);
        if (!wait_for(port, PORT_CMD, CMD_CLO, 0, ENGINE_TIME))
            return false;
    }
    write_port(port, PORT_CMD, command | CMD_ST);
    return true;
}

static void write_address(struct ahci_port *port, uint32_t offset, uint64_t address)
{
    write_port(port, offset, (uint32_t)address);
    write_port(port, offset + 4, (uint32_t)(address >> 32));
}

static bool shows(const struct ahci_port *port)
{
    for (uint64_t deadline = time_ns() + PRESENT_TIME; time_ns() < deadline; thread_sleep(MILLISECOND))
        if (SSTS_DET(read_port(port, PORT_SSTS)) != DET_NONE)
            return true;
    return false;
}

static void set_up(struct ahci_port *port)
{
    write_address(port, PORT_CLB, dma_address(port->memory->header));
    write_address(port, PORT_FB, dma_address(port->memory->received));
    write_port(port, PORT_CMD, CMD_FRE | CMD_SUD | CMD_POD | CMD_ICC_ACTIVE);
}

enum link ahci_link_reset(struct ahci_port *port)
{
    set_up(port);
    reset_signal(port);
    if (!shows(port) || !wait_for(port, PORT_SSTS, SSTS_DET(~0u), DET_READY, LINK_TIME)) {
        write_port(port, PORT_SERR, ~0u);
        write_port(port, PORT_IS, ~0u);
        return LINK_EMPTY;
    }
    write_port(port, PORT_SERR, ~0u);
    /*
     * The drive's first FIS comes when it has spun up; controllers that held it back take it with the second
     * write.
     */
    if (!wait_for(port, PORT_TFD, TFD_BSY, 0, SPIN_UP_TIME))
        return LINK_STUCK;
    set_up(port);
    if (!wait_for(port, PORT_TFD, TFD_BSY | TFD_DRQ, 0, SPIN_UP_TIME))
        return LINK_STUCK;
    uint32_t signature = read_port(port, PORT_SIG);
    if (signature == SIGNATURE_ATA)
        return ahci_port_start(port) ? LINK_DRIVE : LINK_STUCK;
    print("%s: left alone: %s\n", port->name,
          signature == SIGNATURE_ATAPI ? "a drive for removable media (ATAPI)"
          : signature == SIGNATURE_PM  ? "a port multiplier"
                                       : "not a disk");
    return LINK_OTHER;
}

static void fill(struct ahci_port *port, const struct ahci_command *command)
{
    struct ahci_table *table = port->tables;
    memset(&table->fis, 0, sizeof table->fis);
    table->fis = (struct ata_fis){.type = FIS_HOST_TO_DEVICE,
                                  .flags = FIS_COMMAND,
                                  .command = command->command,
                                  .features = command->features,
                                  .lba_low = {(uint8_t)command->lba, (uint8_t)(command->lba >> 8)},
                                  .count = command->count};
    table->prd[0] =
        (struct ahci_prd){.address = dma_address(port->memory->data), .bytes = command->bytes - 1};
    port->memory->header[0] = (struct ahci_header){
        .flags = HEADER_FIS_WORDS, .prdtl = command->bytes ? 1 : 0, .ctba = dma_address(table)};
}

int ahci_command(struct ahci_port *port, const struct ahci_command *command)
{
    if (port->changed)
        return XEN_EIO;
    memset(port->memory->data, 0, sizeof port->memory->data);
    fill(port, command);
    write_port(port, PORT_CI, port_bit(0));
    for (uint64_t deadline = time_ns() + command->time;;) {
        uint32_t status = read_port(port, PORT_IS);
        if (status == GONE || port->hba->dead || port->changed || status & IS_ERRORS)
            return XEN_EIO;
        if (!(read_port(port, PORT_CI) & port_bit(0)))
            break;
        if (time_ns() >= deadline)
            return XEN_ETIMEDOUT;
        thread_sleep(MILLISECOND);
    }
    write_port(port, PORT_IS, ~0u);
    uint32_t moved = *(volatile uint32_t *)&port->memory->header[0].prdbc;
    return read_port(port, PORT_TFD) & TFD_ERR || moved != command->bytes ? XEN_EIO : 0;
}
