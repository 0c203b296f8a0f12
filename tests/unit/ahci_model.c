/* A pretended AHCI controller (ahci_model.h). It works when the driver waits, in ahci_tick(). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "ahci_model.h"
#include "drive_world.h"

#define IMPLEMENTED 5u
#define REGISTERS   32

struct ahci_model ahci;
static struct {
    uint32_t reg[REGISTERS]; /* by offset / 4 */
    bool ncq_error;          /* until the log is read or the link reset */
    bool halted;             /* by an error, until ST is cleared */
    unsigned bad_tag;
} port[MODEL_PORTS];
static uint32_t ghc, is, bohc;
static struct pci_function function;

#define REG(p, offset) port[p].reg[(offset) / 4]

static void update(void)
{
    for (unsigned i = 0; i < MODEL_PORTS; i++)
        if (REG(i, PORT_IS) & REG(i, PORT_IE))
            is |= 1u << i;
    if (is && ghc & GHC_IE && !ahci.lose_interrupts)
        world_interrupt(0);
}

void ahci_model_raise(unsigned p, uint32_t bits)
{
    REG(p, PORT_IS) |= bits;
    update();
}

static void link_state(unsigned p)
{
    struct model_drive *d = &ahci.drive[p];
    REG(p, PORT_SSTS) = d->present ? 0x123 : 0;
    REG(p, PORT_TFD) = d->present ? 0x50 : 0x7f;
    REG(p, PORT_SIG) = d->present ? d->signature : ~0u;
}

void ahci_model_plug(unsigned p, bool present)
{
    ahci.drive[p].present = present;
    ahci.drive[p].held = 0;
    REG(p, PORT_SACT) = REG(p, PORT_CI) = 0;
    link_state(p);
    ahci_model_raise(p, IS_PCS | IS_PRCS);
}

void ahci_model_set(unsigned p, uint32_t offset, uint32_t value)
{
    struct model_drive *d = &ahci.drive[p];
    if (offset == PORT_CI || offset == PORT_SACT) {
        /* A command that is not there any more is not worked on. */
        uint32_t cleared = REG(p, offset) & ~value;
        REG(p, offset) &= value;
        if (offset == PORT_SACT)
            REG(p, PORT_CI) &= ~cleared;
        d->held &= ~cleared;
    } else {
        REG(p, offset) = value;
    }
    update();
}

/* --- what drives do ------------------------------------------------------------------------------------- */

static void identify(const struct model_drive *d, uint16_t *id)
{
    memset(id, 0, 512);
    memcpy(&id[ID_MODEL], "OMED LFOA D IREV                        ", 40);
    memset(&id[ID_SERIAL], d->serial, 20);
    id[ID_SPECIFIC] = d->stand_by ? 0x37c8 : 0;
    id[ID_QUEUE_DEPTH] = (uint16_t)(d->queue_depth - 1) & 31;
    id[ID_SATA] = d->queue_depth ? 1 << 8 : 0;
    id[ID_COMMANDS_83] = 0x4000 | 1 << 10 | 1 << 13;
    id[ID_COMMANDS_84] = 0x4000 | (d->fua ? 1 << 6 : 0);
    id[ID_ENABLED_85] = 1 << 5;
    for (unsigned i = 0; i < 4; i++)
        id[ID_SECTORS + i] = (uint16_t)(d->sectors >> 16 * i);
    id[ID_SECTOR_SIZE] = 0x4000 | (d->shift == 12 ? 1 << 12 : 1 << 13 | 3);
    id[ID_SECTOR_WORDS] = 2048;
    id[ID_TRIM] = d->trim;
    id[ID_INTEGRITY] = 0xa5;
    uint8_t sum = 0;
    for (unsigned i = 0; i < 511; i++)
        sum += ((uint8_t *)id)[i];
    id[ID_INTEGRITY] |= (uint16_t)((uint8_t)-sum << 8);
}

/* Moves bytes through the PRDs; returns how many there was room for. */
static uint32_t move(struct ahci_header *header, bool to_host, uint8_t *disk, uint32_t bytes)
{
    const struct ahci_prd *prd = (const void *)(header->ctba + 128);
    uint32_t moved = 0;
    assert(!(header->flags & HEADER_WRITE) == to_host);
    for (unsigned i = 0; i < header->prdtl && moved < bytes; i++) {
        uint32_t n = (prd[i].bytes & 0x3fffff) + 1;
        assert(prd[i].address % 2 == 0 && n % 2 == 0);
        n = n < bytes - moved ? n : bytes - moved;
        if (to_host)
            memcpy((void *)prd[i].address, disk + moved, n);
        else
            memcpy(disk + moved, (const void *)prd[i].address, n);
        moved += n;
    }
    header->prdbc = moved;
    return moved;
}

static uint64_t lba_of(const struct ata_fis *fis)
{
    uint64_t lba = 0;
    for (unsigned i = 0; i < 3; i++)
        lba |= (uint64_t)fis->lba_low[i] << 8 * i | (uint64_t)fis->lba_high[i] << (24 + 8 * i);
    return lba;
}

static bool touches_bad(struct model_drive *d, uint64_t lba, uint32_t count)
{
    if (!d->fail_times || d->fail_sector < lba || d->fail_sector >= lba + count)
        return false;
    d->fail_times--;
    return true;
}

static bool read_write(struct model_drive *d, struct ahci_header *header, const struct ata_fis *fis)
{
    bool queued = fis->command == ATA_READ_FPDMA || fis->command == ATA_WRITE_FPDMA;
    bool to_host = fis->command == ATA_READ_FPDMA || fis->command == ATA_READ_DMA_EXT;
    uint32_t count = queued ? fis->features | (uint32_t)fis->features_high << 8
                            : fis->count | (uint32_t)fis->count_high << 8;
    uint64_t lba = lba_of(fis);
    assert(fis->device & DEVICE_LBA);
    count = count ? count : 65536;
    if (lba + count > d->sectors || touches_bad(d, lba, count))
        return false;
    d->forced += fis->command == ATA_WRITE_DMA_FUA_EXT || (queued && fis->device & DEVICE_FUA);
    uint32_t moved = move(header, to_host, d->store + (lba << d->shift), count << d->shift);
    assert(moved == count << d->shift);
    if (queued)
        header->prdbc = 0;
    else if (d->short_read)
        header->prdbc -= 512;
    return true;
}

static bool trim(struct model_drive *d, struct ahci_header *header, const struct ata_fis *fis)
{
    uint64_t range[64];
    assert(fis->features == DSM_TRIM && fis->count == 1);
    assert(move(header, false, (uint8_t *)range, sizeof range) == sizeof range);
    for (unsigned i = 0; i < 64 && range[i]; i++) {
        uint64_t first = range[i] & 0xffffffffffff, count = range[i] >> 48;
        assert(first + count <= d->sectors);
        memset(d->store + (first << d->shift), 0, count << d->shift);
        d->trims++;
    }
    return true;
}

static bool read_log(unsigned p, struct ahci_header *header, const struct ata_fis *fis)
{
    uint8_t page[512] = {(uint8_t)port[p].bad_tag};
    if (!ahci.drive[p].log || lba_of(fis) != LOG_NCQ_ERROR)
        return false;
    port[p].ncq_error = false;
    return move(header, true, page, sizeof page) == sizeof page;
}

static bool carry_out(unsigned p, struct ahci_header *header, const struct ata_fis *fis)
{
    struct model_drive *d = &ahci.drive[p];
    uint16_t id[256];
    switch (fis->command) {
    case ATA_IDENTIFY:
        identify(d, id);
        return move(header, true, (uint8_t *)id, 512) == 512;
    case ATA_SET_FEATURES:
        assert(fis->features == FEATURE_SPIN_UP);
        d->stand_by = false;
        return true;
    case ATA_READ_LOG_EXT:
        return read_log(p, header, fis);
    case ATA_FLUSH_CACHE_EXT:
        d->flushes++;
        return true;
    case ATA_DATA_SET_MANAGEMENT:
        return trim(d, header, fis);
    default:
        return read_write(d, header, fis);
    }
}

static struct ahci_header *header_of(unsigned p, unsigned slot)
{
    return (struct ahci_header *)(REG(p, PORT_CLB) | (uint64_t)REG(p, PORT_CLB + 4) << 32) + slot;
}

void ahci_model_scribble(unsigned p, unsigned slot, uint32_t value)
{
    if (world.master && REG(p, PORT_CMD) & CMD_FRE)
        header_of(p, slot)->prdbc = value;
}

static bool is_identify(unsigned p, unsigned slot)
{
    return ((const struct ata_fis *)header_of(p, slot)->ctba)->command == ATA_IDENTIFY;
}

static void execute(unsigned p, unsigned slot)
{
    struct model_drive *d = &ahci.drive[p];
    struct ahci_header *header = header_of(p, slot);
    const struct ata_fis *fis = (const void *)header->ctba;
    bool queued = fis->command == ATA_READ_FPDMA || fis->command == ATA_WRITE_FPDMA;
    assert((header->flags & 31) == 5 && fis->type == FIS_HOST_TO_DEVICE && fis->flags == FIS_COMMAND);
    assert(queued == !!(REG(p, PORT_SACT) & 1u << slot) && (!queued || fis->count >> 3 == slot));
    if (queued)
        REG(p, PORT_CI) &= ~(1u << slot);
    /* After a queued command failed only the log helps. */
    bool good = !(port[p].ncq_error && fis->command != ATA_READ_LOG_EXT) && carry_out(p, header, fis);
    *(queued ? &d->queued : &d->alone) += 1;
    REG(p, PORT_TFD) = good ? 0x50 : 0x4051;
    if (good) {
        REG(p, PORT_SACT) &= ~(1u << slot);
        REG(p, PORT_CI) &= ~(1u << slot);
    } else if (queued) {
        port[p].ncq_error = true;
        port[p].bad_tag = slot;
    }
    port[p].halted = !good;
    ahci_model_raise(p, good ? queued ? IS_SDBS : IS_DHRS : IS_TFES);
}

static void ahci_tick(void)
{
    if (world.pulled_out || !world.master)
        return;
    for (unsigned p = 0; p < MODEL_PORTS; p++) {
        struct model_drive *d = &ahci.drive[p];
        if (!d->present || !(REG(p, PORT_CMD) & CMD_ST))
            continue;
        uint32_t ready = REG(p, PORT_CI) | (d->mute ? 0 : d->held);
        if (d->dead)
            continue;
        unsigned at_once = (unsigned)__builtin_popcount(REG(p, PORT_CI) | REG(p, PORT_SACT));
        if (at_once > d->most_at_once)
            d->most_at_once = at_once;
        for (unsigned slot = 0; slot < 32 && !port[p].halted; slot++) {
            if (!(ready & 1u << slot))
                continue;
            d->commands += !(d->held & 1u << slot);
            d->held &= ~(1u << slot);
            if (d->mute && !is_identify(p, slot))
                d->held |= 1u << slot;
            else
                execute(p, slot);
        }
    }
}

/* --- registers ------------------------------------------------------------------------------------------ */

static uint32_t ahci_read(uint32_t offset)
{
    if (offset >= AHCI_PORT(0)) {
        unsigned p = (offset - AHCI_PORT(0)) / 0x80;
        assert(p < MODEL_PORTS && IMPLEMENTED & 1u << p);
        return REG(p, offset % 0x80);
    }
    switch (offset) {
    case AHCI_CAP:
        return CAP_S64A | CAP_SNCQ | CAP_SCLO | 31 << 8 | 2;
    case AHCI_GHC:
        return ghc;
    case AHCI_IS:
        return is;
    case AHCI_PI:
        return IMPLEMENTED;
    case AHCI_CAP2:
        return ahci.firmware ? CAP2_BOH : 0;
    case AHCI_BOHC:
        return bohc;
    default:
        return 0;
    }
}

static void write_command(unsigned p, uint32_t value)
{
    struct model_drive *d = &ahci.drive[p];
    bool was = REG(p, PORT_CMD) & CMD_ST;
    if (value & CMD_CLO)
        REG(p, PORT_TFD) &= ~(TFD_BSY | TFD_DRQ);
    if (value & CMD_ST)
        assert(value & CMD_FRE && !(REG(p, PORT_TFD) & (TFD_BSY | TFD_DRQ)));
    value &= ~(CMD_CLO | CMD_CR | CMD_FR);
    value |= (value & CMD_FRE ? CMD_FR : 0) | (value & CMD_ST || (was && d->engine_hangs) ? CMD_CR : 0);
    if (was && !(value & CMD_ST) && !d->engine_hangs) {
        REG(p, PORT_CI) = REG(p, PORT_SACT) = 0;
        d->held = 0;
        port[p].halted = false;
    }
    REG(p, PORT_CMD) = value;
}

static void write_port(unsigned p, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case PORT_IS:
    case PORT_SERR:
        REG(p, offset) &= ~value;
        break;
    case PORT_CMD:
        write_command(p, value);
        break;
    case PORT_SCTL:
        if (value & SCTL_DET_INIT) {
            assert(!(REG(p, PORT_CMD) & CMD_ST) || ahci.drive[p].engine_hangs);
            ahci.drive[p].resets++;
            port[p].ncq_error = false;
            link_state(p);
        }
        REG(p, offset) = value;
        break;
    case PORT_CI:
        assert(REG(p, PORT_CMD) & CMD_ST);
        REG(p, offset) |= value;
        break;
    case PORT_SACT:
        REG(p, offset) |= value;
        break;
    default:
        REG(p, offset) = value;
    }
    update();
}

static void reset(void)
{
    ahci.resets++;
    memset(port, 0, sizeof port);
    is = 0;
    ghc = GHC_AE | (ahci.cannot_reset ? GHC_HR : 0);
    for (unsigned i = 0; i < MODEL_PORTS; i++) {
        ahci.drive[i].held = 0;
        ahci.drive[i].engine_hangs = false;
        link_state(i);
    }
}

static void ahci_write(uint32_t offset, uint32_t value)
{
    if (offset >= AHCI_PORT(0)) {
        write_port((offset - AHCI_PORT(0)) / 0x80, offset % 0x80, value);
        return;
    }
    switch (offset) {
    case AHCI_GHC:
        ghc = value;
        if (value & GHC_HR)
            reset();
        break;
    case AHCI_IS:
        is &= ~value;
        update();
        break;
    case AHCI_BOHC:
        bohc = value & BOHC_OOS ? BOHC_OOS : value;
        break;
    }
}

struct pci_function *ahci_model_reset(void)
{
    world_reset();
    ahci_model_end();
    world.read = ahci_read;
    world.write = ahci_write;
    world.tick = ahci_tick;
    world.vectors = 1;
    memset(port, 0, sizeof port);
    ghc = is = 0;
    bohc = BOHC_BOS;
    ahci = (struct ahci_model){.firmware = true};
    for (unsigned i = 0; i < MODEL_PORTS; i++)
        ahci.drive[i] = (struct model_drive){.signature = SIGNATURE_ATA,
                                             .shift = 9,
                                             .sectors = 4096,
                                             .queue_depth = 32,
                                             .trim = true,
                                             .log = true,
                                             .serial = (char)('A' + i),
                                             .store = calloc(4096, 4096)};
    ahci.drive[0].present = true;
    function = (struct pci_function){.vendor_id = 0x1234, .class_code = 1, .subclass = 6, .interface = 1};
    return &function;
}

void ahci_model_end(void)
{
    for (unsigned i = 0; i < MODEL_PORTS; i++) {
        free(ahci.drive[i].store);
        ahci.drive[i].store = NULL;
    }
}
