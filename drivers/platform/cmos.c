/* The CMOS clock (MC146818), read once at boot for the wall clock; it keeps UTC. */
#include <x86/asm.h>
#include <x86/clock.h>

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define STATUS_A   0x0a
#define STATUS_B   0x0b
#define UPDATING   0x80 /* of status A */
#define BINARY     0x04 /* of status B */
#define HOURS_24   0x02
#define PM         0x80 /* of the hours */
#define PATIENCE   100000

static const uint8_t fields[] = {0, 2, 4, 7, 8, 9}; /* second, minute, hour, day, month, year */
enum { FIELD_SECOND, FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_YEAR, FIELDS };

static INIT_CODE uint8_t cmos_read(uint8_t index)
{
    outb(CMOS_INDEX, index);
    return inb(CMOS_DATA);
}

static INIT_CODE void read_fields(uint8_t value[FIELDS])
{
    for (unsigned i = 0; i < PATIENCE && cmos_read(STATUS_A) & UPDATING; i++)
        continue;
    for (unsigned i = 0; i < FIELDS; i++)
        value[i] = cmos_read(fields[i]);
}

static INIT_CODE unsigned from_bcd(uint8_t v)
{
    return (v >> 4) * 10u + (v & 15);
}

/* Days from 1970 to the given date: years are counted from March, so that the leap day comes last. */
static INIT_CODE uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    if (month <= 2) {
        month += 12;
        year--;
    }
    return 365ull * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 -
           719468;
}

INIT_CODE uint64_t cmos_time(void)
{
    uint8_t raw[FIELDS], again[FIELDS];
    unsigned v[FIELDS], tries = 0, differences;
    do { /* an update may have come in between */
        read_fields(raw);
        read_fields(again);
        differences = 0;
        for (unsigned i = 0; i < FIELDS; i++)
            differences += raw[i] != again[i];
    } while (differences && ++tries < 5);

    uint8_t status = cmos_read(STATUS_B);
    bool pm = raw[FIELD_HOUR] & PM;
    raw[FIELD_HOUR] &= (uint8_t)~PM;
    for (unsigned i = 0; i < FIELDS; i++)
        v[i] = status & BINARY ? raw[i] : from_bcd(raw[i]);
    if (!(status & HOURS_24))
        v[FIELD_HOUR] = v[FIELD_HOUR] % 12 + (pm ? 12 : 0);
    uint64_t days = days_since_1970(2000 + v[FIELD_YEAR], v[FIELD_MONTH], v[FIELD_DAY]);
    return ((days * 24 + v[FIELD_HOUR]) * 60 + v[FIELD_MINUTE]) * 60 + v[FIELD_SECOND];
}
