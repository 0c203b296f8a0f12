/* The strings of virtual network cards (device_config.h). No state, no locking. */
#include <dom0/below.h>
#include <lib/number.h>
#include <lib/printf.h>
#include <lib/string.h>

#include "device_config.h"
#include "spec.h"

#define DEFAULT_BRIDGE "xenbr0"
#define DEFAULT_MTU    1500
#define LEAST_MTU      68    /* RFC 791 */
#define MOST_MTU       65521 /* XEN_NETIF_MAX_TX_SIZE of xen/io/netif.h, less an Ethernet header */
#define MOST_CARDS     128

#define SECOND_US        1000000u
#define DEFAULT_INTERVAL 50000u
#define MOST_INTERVAL    SECOND_US
#define MOST_RATE        1000000000000ull /* bytes in a second */

/* --- addresses ------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mac_parse(const char *text, uint8_t mac[6])
{
    uint8_t read[6];
    for (size_t i = 0; i < sizeof read; i++, text += 3) {
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
            return false;
        read[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(mac, read, sizeof read);
    return true;
}

const char *mac_format(char buf[MAC_TEXT], const uint8_t mac[6])
{
    snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return buf;
}

void vif_complete(struct vif_config *vif, unsigned devid, const xen_domain_handle_t uuid)
{
    /* FNV-1a: what differs in one bit gets another address. */
    uint32_t hash = 2166136261u;
    if (!vif->devid_given)
        vif->devid = devid;
    for (size_t i = 0; i < sizeof(xen_domain_handle_t); i++)
        hash = (hash ^ uuid[i]) * 16777619u;
    hash = (hash ^ vif->devid) * 16777619u;
    hash ^= hash >> 16;
    const uint8_t mac[6] = {0x00, 0x16, 0x3e, hash >> 16 & 0x7f, hash >> 8 & 0xff, hash & 0xff};
    if (!vif->mac_given)
        memcpy(vif->mac, mac, sizeof mac);
}

/* --- parameters ----------------------------------------------------------------------------------------- */

struct parser {
    struct spec spec;
    struct vif_config *vif;
};

/* A name of letters, digits, hyphen, underscore and point. */
static bool set_name(struct parser *p, const char *value, char *to, size_t size)
{
    bool good = *value && strlen(value) < size;
    for (const char *c = value; good && *c; c++)
        good = *c > ' ' && *c <= '~' && *c != '/' && *c != '"';
    if (!good)
        return spec_fail(&p->spec, value,
                         "a name of 1 to %u characters is needed, without spaces and slashes",
                         (unsigned)size - 1);
    strlcpy(to, value, size);
    return true;
}

static bool set_bridge(struct parser *p, const char *value)
{
    return set_name(p, value, p->vif->bridge, BRIDGE_MAX);
}

static bool set_ifname(struct parser *p, const char *value)
{
    return set_name(p, value, p->vif->name, IFNAME_MAX);
}

static bool set_mac(struct parser *p, const char *value)
{
    static const uint8_t zero[6];
    uint8_t *mac = p->vif->mac;
    if (!mac_parse(value, mac))
        return spec_fail(&p->spec, value, "an address is six bytes in hex with colons between them");
    if (mac[0] & 1)
        return spec_fail(&p->spec, value, "the first byte is odd, which makes it an address of a group");
    if (!memcmp(mac, zero, sizeof zero))
        return spec_fail(&p->spec, value, "no card has the address zero");
    p->vif->mac_given = true;
    return true;
}

static bool set_ip(struct parser *p, const char *value)
{
    return strlcpy(p->vif->ip, value, IP_MAX) < IP_MAX ||
           spec_fail(&p->spec, value, "addresses have at most %d characters", IP_MAX - 1);
}

static bool set_number(struct parser *p, const char *value, uint64_t least, uint64_t most, unsigned *number)
{
    uint64_t read;
    if (!parse_number(value, &read) || read < least || read > most)
        return spec_fail(&p->spec, value, "a number from %llu to %llu is needed", (unsigned long long)least,
                         (unsigned long long)most);
    *number = (unsigned)read;
    return true;
}

static bool set_mtu(struct parser *p, const char *value)
{
    return set_number(p, value, LEAST_MTU, MOST_MTU, &p->vif->mtu);
}

static bool set_devid(struct parser *p, const char *value)
{
    p->vif->devid_given = true;
    return set_number(p, value, 0, MOST_CARDS - 1, &p->vif->devid);
}

/* Digits, at most 9 of them. */
static bool take_digits(const char **at, uint64_t *value)
{
    const char *start = *at;
    for (*value = 0; **at >= '0' && **at <= '9' && *at - start < 9; (*at)++)
        *value = *value * 10 + (uint64_t)(**at - '0');
    return *at > start;
}

/* "10Mb/s" or "250KB/s" as bytes in a second: b are bits, B bytes, K, M and G decimal. */
static bool take_rate(const char **at, uint64_t *rate)
{
    if (!take_digits(at, rate))
        return false;
    uint64_t scale = **at == 'G' ? 1000000000 : **at == 'M' ? 1000000 : **at == 'K' ? 1000 : 1;
    *rate *= scale;
    *at += scale > 1;
    bool bits = **at == 'b';
    if ((!bits && **at != 'B') || strncmp(*at + 1, "/s", 2))
        return false;
    *at += 3;
    if (bits)
        *rate /= 8;
    return *rate && *rate <= MOST_RATE;
}

/* "20ms", "500us", "1s" as microseconds. */
static bool take_interval(const char **at, uint64_t *interval)
{
    if (!take_digits(at, interval))
        return false;
    *interval *= **at == 'u' ? 1 : **at == 'm' ? 1000 : SECOND_US;
    *at += **at == 'u' || **at == 'm';
    if (**at != 's')
        return false;
    (*at)++;
    return *interval && *interval <= MOST_INTERVAL;
}

static bool set_rate(struct parser *p, const char *value)
{
    uint64_t rate, interval = DEFAULT_INTERVAL;
    const char *at = value;
    bool good = take_rate(&at, &rate);
    if (good && *at == '@') {
        at++;
        good = take_interval(&at, &interval);
    }
    if (!good || *at)
        return spec_fail(&p->spec, value, "a rate is as 10Mb/s, 250KB/s or 1MB/s@20ms");
    p->vif->rate_interval_us = (uint32_t)interval;
    p->vif->rate_bytes = rate * interval / SECOND_US;
    return true;
}

static bool set_type(struct parser *p, const char *value)
{
    if (!strcmp(value, "vif") || !strcmp(value, "netfront"))
        return true;
    return spec_fail(&p->spec, value, "a PVH guest has no emulated card: leave type= out");
}

static bool set_backend(struct parser *p, const char *value)
{
    if (!strcmp(value, "0") || !strcmp(value, "Domain-0"))
        return true;
    return spec_fail(&p->spec, value, "cards are served by domain 0 only: leave backend= out");
}

static bool set_gateway(struct parser *p, const char *value)
{
    return spec_fail(&p->spec, value, "this dom0 does not route, it has bridges: use bridge=");
}

static bool ignore_model(struct parser *p, const char *value)
{
    (void)p;
    print("warning: model=%s is ignored: a PVH guest has no emulated card\n", value);
    return true;
}

static bool ignore_script(struct parser *p, const char *value)
{
    (void)p;
    print("warning: script=%s is ignored: bridge= is enough here\n", value);
    return true;
}

/* Whether the guest should trust the back end: that is dom0, and it has to. accel never did anything. */
static bool ignore(struct parser *p, const char *value)
{
    (void)p, (void)value;
    return true;
}

static const struct key {
    const char *name;
    bool (*set)(struct parser *p, const char *value);
} keys[] = {
    {"mac", set_mac},         {"bridge", set_bridge},  {"vifname", set_ifname},   {"ip", set_ip},
    {"rate", set_rate},       {"mtu", set_mtu},        {"devid", set_devid},      {"type", set_type},
    {"backend", set_backend}, {"model", ignore_model}, {"script", ignore_script}, {"gatewaydev", set_gateway},
    {"netdev", set_gateway},  {"accel", ignore},       {"trusted", ignore},
};
#define KEYS (sizeof keys / sizeof keys[0])

static const char *key_at(size_t i)
{
    return i < KEYS ? keys[i].name : NULL;
}

static bool take_key(struct parser *p, const char *key, const char *value)
{
    for (size_t i = 0; i < KEYS; i++)
        if (!strcmp(key, keys[i].name))
            return keys[i].set(p, value);
    return spec_unknown(&p->spec, key, "no parameter of a network card", key_at);
}

/* What the strings would be if they were right, out of what could be made of them. */
static void right_one(const struct vif_config *vif, char *buf, size_t size)
{
    char mac[MAC_TEXT];
    snprintf(buf, size, "mac=%s,bridge=%s", vif->mac_given ? mac_format(mac, vif->mac) : "00:16:3e:12:34:56",
             vif->bridge);
}

bool vif_parse(const char *const *strings, size_t count, struct vif_config *vif, struct why *why)
{
    struct parser p = {.spec = {.strings = strings, .count = count}, .vif = vif};
    char word[SPEC_WORD], right[96];
    *vif = (struct vif_config){.bridge = DEFAULT_BRIDGE, .mtu = DEFAULT_MTU};
    while (spec_next(&p.spec, NULL, word)) {
        char *value = spec_value(word);
        if (value)
            take_key(&p, word, value);
        else if (*word)
            spec_fail(&p.spec, word, "key=value is needed");
    }
    if (!p.spec.failed)
        return true;
    right_one(vif, right, sizeof right);
    return spec_refuse(&p.spec, "vif", right, why);
}
