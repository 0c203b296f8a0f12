/* sources: dom0/tool/config.c dom0/tool/disk_config.c dom0/tool/vif_config.c dom0/tool/spec.c dom0/tool/syntax.c dom0/tool/format.c lib/why.c lib/number.c tests/unit/tool_below.c */
/* The strings of disks and network cards: what they mean, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "../../dom0/tool/config.h"
#include <cmocka.h> /* after lib/why.h, whose fail() it makes a macro of */
#include "tool_below.h"

static struct why why;

/* --- numbers of disks ----------------------------------------------------------------------------------- */

static void numbers_of_disks(void **state)
{
    (void)state;
    /* From the examples and formulas of Xen's xen-vbd-interface(7). */
    static const struct {
        const char *name;
        uint32_t devid;
        const char *again;
    } cases[] = {
        {"xvda", 51712, "xvda"},
        {"xvdb3", 51731, "xvdb3"},
        {"xvdp15", 51967, "xvdp15"},
        {"xvdq", 1 << 28 | 16 << 8, "xvdq"},
        {"xvda16", 1 << 28 | 16, "xvda16"},
        {"xvdaa1", 1 << 28 | 26 << 8 | 1, "xvdaa1"},
        {"xvdzz255", 1 << 28 | 701 << 8 | 255, "xvdzz255"},
        {"sda", 0x800, "sda"},
        {"sdp15", 0x8ff, "sdp15"},
        {"hda", 0x300, "hda"},
        {"hdb63", 0x37f, "hdb63"},
        {"hdc1", 0x1601, "hdc1"},
        {"hdd", 0x1640, "hdd"},
        {"d0", 51712, "xvda"},
        {"d1p4", 51732, "xvdb4"},
        {"d20p1", 1 << 28 | 20 << 8 | 1, "xvdu1"},
        {"51712", 51712, "xvda"},
        {"0xca00", 51712, "xvda"},
        {"77", 77, "77"},
    };
    static const char *const bad[] = {
        "",        "xvd",      "xvda0",  "xvdA",      "xvda01",
        "xvda256", "sdq",      "sda16",  "hde",       "hda64",
        "d",       "d0p",      "dp1",    "d0p1x",     "0",
        "-1",      "xvd-a",    "xvda1 ", "vda",       "d01",
        "xvda1p",  "d1048576", "nvme0",  "536870912", "xvdzzzzzzzzzzzzzzzzzzzzzz"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[VDEV_MAX];
        uint32_t devid = 0;
        assert_true(vdev_parse(cases[i].name, &devid));
        assert_int_equal(devid, cases[i].devid);
        assert_string_equal(vdev_name(name, devid), cases[i].again);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t devid;
        if (vdev_parse(bad[i], &devid))
            assert_string_equal(bad[i], "refused");
    }
}

/* --- disks ---------------------------------------------------------------------------------------------- */

static struct disk_config disk(const char *text)
{
    struct disk_config d;
    if (!disk_parse(&text, 1, &d, &why))
        assert_string_equal(why.text, "");
    return d;
}

static void disks_in_every_form(void **state)
{
    (void)state;
    /* The examples of xl-disk-configuration(5), and others that mean the same. */
    static const char *const same[] = {
        "/dev/vg/guest-volume,,hda",
        "/dev/vg/guest-volume,raw,hda,rw",
        "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
        "raw:/dev/vg/guest-volume,hda,w",
        "phy:/dev/vg/guest-volume,hda,w",
        "file:/dev/vg/guest-volume,hda,w",
        " /dev/vg/guest-volume , raw ,\thda , w ,",
        "vdev=hda,access=w,backendtype=phy,backend=0,devtype=disk,specification=xen,target=/dev/vg/"
        "guest-volume",
        "/dev/vg/guest-volume,raw,0x300",
        "/dev/vg/guest-volume,vdev=hda,raw",
        "/dev/vg/guest-volume,raw,hda:disk,w,direct-io-safe",
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct disk_config d = disk(same[i]);
        assert_string_equal(d.target, "/dev/vg/guest-volume");
        assert_int_equal(d.devid, 0x300);
        assert_true(d.writable && d.discard && !d.cdrom);
    }
    struct disk_config d = disk("/root/image.iso,,hdc,devtype=cdrom");
    assert_true(d.cdrom && !d.writable && !d.discard);
    d = disk("/root/image.iso,raw,hdc:cdrom,r");
    assert_true(d.cdrom && !d.writable);
    d = disk("PARTUUID=01234567-89ab-cdef-0123-456789abcdef,raw,xvda1,ro,no-discard");
    assert_string_equal(d.target, "PARTUUID=01234567-89ab-cdef-0123-456789abcdef");
    assert_int_equal(d.devid, 51713);
    assert_false(d.writable);
    d = disk("vdev=xvdb,no-discard,target=a file, with commas=");
    assert_string_equal(d.target, "a file, with commas=");
    assert_true(d.writable && !d.discard);

    /* As an operand in several words. */
    static const char *const words[] = {"phy:vda2", "xvdb", "target", "r"};
    assert_true(disk_parse(words, 2, &d, &why));
    assert_string_equal(d.target, "vda2");
    assert_string_equal(d.vdev, "xvdb");
    static const char *const pairs[] = {"target=a,b", "vdev=xvdb", "access=ro"};
    assert_true(disk_parse(pairs, 3, &d, &why));
    assert_string_equal(d.target, "a,b");
    assert_false(d.writable);
}

static void expect_disk_error(const char *text, const char *error)
{
    struct disk_config d;
    why.text[0] = '\0';
    assert_false(disk_parse(&text, 1, &d, &why));
    assert_string_equal(why.text, error);
}

static void wrong_disks_are_explained(void **state)
{
    (void)state;
    expect_disk_error("vda,qcow2,xvdb,r",
                      "disk 'vda,qcow2,xvdb,r': 'qcow2': only raw disks are served: convert it "
                      "(qemu-img convert -O raw); right would be 'vda,raw,xvdb,ro'");
    expect_disk_error("qcow2:a.img,xvda,w",
                      "disk 'qcow2:a.img,xvda,w': 'qcow2:a.img': only raw disks are served: "
                      "convert it (qemu-img convert -O raw); right would be 'a.img,raw,xvda,rw'");
    expect_disk_error("vda,rwa,xvda", "disk 'vda,rwa,xvda': 'rwa': no format: raw is the only one; "
                                      "right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vda,raw,vda",
                      "disk 'vda,raw,vda': 'vda': no name that a guest has for a disk, as xvda, xvda1, "
                      "sda or hda are; right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vda,raw,/dev/xvda",
                      "disk 'vda,raw,/dev/xvda': '/dev/xvda': the guest's name of the disk goes "
                      "without /dev/; right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vda,raw,xvda,w!", "disk 'vda,raw,xvda,w!': 'w!': access is ro (r) or rw (w); "
                                         "right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vda,raw,xvda,w,x",
                      "disk 'vda,raw,xvda,w,x': 'x': one too many: they are target, format, vdev, "
                      "access, then key=value; right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vda", "disk 'vda': the guest's name for the disk is missing (vdev); "
                             "right would be 'vda,raw,xvda,rw'");
    expect_disk_error("", "disk '': the target is missing: disk-list shows what there is; "
                          "right would be '/dev/vda1,raw,xvda,rw'");
    expect_disk_error(",,hdc,cdrom",
                      "disk ',,hdc,cdrom': the target is missing: disk-list shows what there is; "
                      "right would be '/dev/vda1,raw,hdc,ro'");
    expect_disk_error("vda,vdve=xvda",
                      "disk 'vda,vdve=xvda': 'vdve': no parameter of a disk; did you mean vdev?; "
                      "right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vda,raw,xvda,script=block-x",
                      "disk 'vda,raw,xvda,script=block-x': 'block-x': this dom0 runs no "
                      "scripts: the target must be a disk that it has; right would be "
                      "'vda,raw,xvda,rw'");
    expect_disk_error("vda,raw,xvda,backend=drv",
                      "disk 'vda,raw,xvda,backend=drv': 'drv': disks are served by domain 0 "
                      "only: leave backend= out; right would be 'vda,raw,xvda,rw'");
    expect_disk_error("vdev=xvda,vdev=xvdb,target=vda",
                      "disk 'vdev=xvda,vdev=xvdb,target=vda': 'xvdb': vdev is given "
                      "twice; right would be 'vda,raw,xvda,rw'");
    /* The reason stays whole however long the string is. */
    char text[600], expected[] = "right would be '/dev/vda1,raw,xvda,rw'";
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct disk_config d;
    const char *one = text;
    assert_false(disk_parse(&one, 1, &d, &why));
    assert_non_null(strstr(why.text, "longer than 255 characters"));
    assert_non_null(strstr(why.text, expected));
    memcpy(text, "vda,raw,", 8);
    text[200] = '\0';
    assert_false(disk_parse(&one, 1, &d, &why));
    assert_non_null(strstr(why.text, "; right would be 'vda,raw,xvda,rw'"));
}

/* --- cards ---------------------------------------------------------------------------------------------- */

static struct vif_config vif(const char *text)
{
    struct vif_config v;
    if (!vif_parse(&text, 1, &v, &why))
        assert_string_equal(why.text, "");
    return v;
}

static void cards_in_every_form(void **state)
{
    (void)state;
    world_reset();
    struct vif_config v = vif("");
    assert_string_equal(v.bridge, "xenbr0");
    assert_false(v.mac_given || v.devid_given);
    assert_int_equal(v.mtu, 1500);
    v = vif("mac=00:16:3E:5f:48:E4, bridge=xenbr1 ,vifname=web0,ip=10.0.0.2 "
            "10.0.0.3,mtu=9000,rate=10Mb/s,type=vif,"
            "backend=0,devid=3");
    assert_true(v.mac_given);
    assert_int_equal(v.mac[5], 0xe4);
    assert_string_equal(v.bridge, "xenbr1");
    assert_string_equal(v.name, "web0");
    assert_string_equal(v.ip, "10.0.0.2 10.0.0.3");
    assert_int_equal(v.mtu, 9000);
    assert_int_equal(v.devid, 3);
    assert_string_equal(world.printed, "");
    v = vif("model=e1000,script=vif-nat");
    assert_string_equal(world.printed, "warning: model=e1000 is ignored: a PVH guest has no emulated card\n"
                                       "warning: script=vif-nat is ignored: bridge= is enough here\n");
}

static void rates(void **state)
{
    (void)state;
    /* The examples of xl-network-configuration(5). */
    static const struct {
        const char *text;
        uint64_t bytes;
        uint32_t interval;
    } cases[] = {
        {"rate=10Mb/s", 62500, 50000},     {"rate=250KB/s", 12500, 50000},
        {"rate=1MB/s@20ms", 20000, 20000}, {"rate=1Gb/s@500us", 62500, 500},
        {"rate=8b/s@1s", 1, 1000000},      {"rate=999GB/s@1s", 999000000000, 1000000},
    };
    static const char *const bad[] = {"rate=",        "rate=10",      "rate=10Mb",     "rate=10Mb/h",
                                      "rate=Mb/s",    "rate=10Mb/s@", "rate=10Mb/s@5", "rate=0b/s",
                                      "rate=1b/s@0s", "rate=10Mb/sx", "rate=1b/s@2s",  "rate=9999999GB/s",
                                      "rate=10TB/s"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vif_config v = vif(cases[i].text);
        assert_int_equal(v.rate_bytes, cases[i].bytes);
        assert_int_equal(v.rate_interval_us, cases[i].interval);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vif_config v;
        assert_false(vif_parse(&bad[i], 1, &v, &why));
        assert_non_null(strstr(why.text, "a rate is as 10Mb/s, 250KB/s or 1MB/s@20ms"));
    }
}

static void expect_vif_error(const char *text, const char *error)
{
    struct vif_config v;
    assert_false(vif_parse(&text, 1, &v, &why));
    assert_string_equal(why.text, error);
}

static void wrong_cards_are_explained(void **state)
{
    (void)state;
    expect_vif_error("mac=00:16:3e:12:34",
                     "vif 'mac=00:16:3e:12:34': '00:16:3e:12:34': an address is six bytes in hex "
                     "with colons between them; right would be "
                     "'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_vif_error(
        "mac=01:16:3e:12:34:56,bridge=lan",
        "vif 'mac=01:16:3e:12:34:56,bridge=lan': '01:16:3e:12:34:56': the first byte is odd, which makes it "
        "an address of a group; right would be 'mac=00:16:3e:12:34:56,bridge=lan'");
    expect_vif_error("mac=00:00:00:00:00:00",
                     "vif 'mac=00:00:00:00:00:00': '00:00:00:00:00:00': no card has the address "
                     "zero; right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_vif_error("xenbr0", "vif 'xenbr0': 'xenbr0': key=value is needed; "
                               "right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_vif_error("brigde=lan",
                     "vif 'brigde=lan': 'brigde': no parameter of a network card; did you mean bridge?; "
                     "right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_vif_error("type=ioemu",
                     "vif 'type=ioemu': 'ioemu': a PVH guest has no emulated card: leave type= out; "
                     "right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_vif_error("mtu=40", "vif 'mtu=40': '40': a number from 68 to 65521 is needed; "
                               "right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_vif_error("bridge=a/b",
                     "vif 'bridge=a/b': 'a/b': a name of 1 to 23 characters is needed, without spaces and "
                     "slashes; right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
}

static void addresses_are_made_of_the_uuid(void **state)
{
    (void)state;
    xen_domain_handle_t one = {1}, two = {2};
    struct vif_config a = {0}, b = {0}, c = {0}, again = {0},
                      given = {.mac_given = true, .mac = {2, 1, 1, 1, 1, 1}};
    vif_complete(&a, 0, one);
    vif_complete(&b, 1, one);
    vif_complete(&c, 0, two);
    vif_complete(&again, 0, one);
    vif_complete(&given, 0, one);
    assert_memory_equal(a.mac, "\x00\x16\x3e", 3);
    assert_memory_not_equal(a.mac, b.mac, 6);
    assert_memory_not_equal(a.mac, c.mac, 6);
    assert_memory_equal(a.mac, again.mac, 6);
    assert_int_equal(given.mac[0], 2);
    assert_int_equal(b.devid, 1);
}

/* --- in a configuration --------------------------------------------------------------------------------- */

#define BASE "name='g'\nkernel='k'\nuuid='01234567-89ab-cdef-0123-456789abcdef'\n"

static struct guest_config *load(const char *text)
{
    why.text[0] = '\0';
    return config_load("g.cfg", text, strlen(text), NULL, 0, &why);
}

static void lists_of_devices(void **state)
{
    (void)state;
    world_reset();
    struct guest_config *c = load(BASE "disk = [ 'vda,raw,xvda,rw',\n 'vdb,raw,xvdb,r', ]\n"
                                       "vif = [ '', 'devid=0', 'bridge=lan' ]\n");
    assert_null(c);
    assert_string_equal(why.text, "g.cfg:6: vif 'devid=0': another card has the number 0 already");
    c = load(BASE
             "disk = [ 'vda,raw,xvda,rw',\n 'vdb,raw,xvdb,r', ]\nvif = [ '', 'devid=4', 'bridge=lan' ]\n");
    assert_non_null(c);
    assert_string_equal(c->disks->target, "vda");
    assert_string_equal(c->disks->next->vdev, "xvdb");
    assert_null(c->disks->next->next);
    assert_int_equal(c->vifs->devid, 0);
    assert_int_equal(c->vifs->next->devid, 4);
    assert_int_equal(c->vifs->next->next->devid, 1);
    assert_string_equal(c->vifs->next->next->bridge, "lan");
    config_drop_disk(c, 51712);
    assert_string_equal(c->disks->target, "vdb");
    config_drop_vif(c, 4);
    config_drop_vif(c, 99);
    assert_int_equal(c->vifs->next->devid, 1);
    config_free(c);
}

static void expect_error(const char *text, const char *error)
{
    assert_null(load(text));
    assert_string_equal(why.text, error);
}

static void mistakes_have_their_place(void **state)
{
    (void)state;
    world_reset();
    expect_error(BASE "disk = [ 'vda,raw,xvda',\n'vdb,row,xvdb' ]",
                 "g.cfg:5: disk 'vdb,row,xvdb': 'row': no format: raw is the only one; "
                 "right would be 'vdb,raw,xvdb,rw'");
    expect_error(
        BASE "disk = 'vda,raw,xvda'",
        "g.cfg:4: disk=vda,raw,xvda: a list of strings is needed: disk = [ '/dev/vda1,raw,xvda,rw' ]");
    expect_error(BASE "disk = [ [ 'vda' ] ]",
                 "g.cfg:4: disk: a string is needed, not a list: '/dev/vda1,raw,xvda,rw'");
    expect_error(BASE "disk = [ 'vda,,xvda', 'vdb,,d0' ]",
                 "g.cfg:4: disk 'vdb,,d0': another disk is called xvda already");
    expect_error(BASE "vif = [ 'mac=00:16:3e:0:0:1' ]",
                 "g.cfg:4: vif 'mac=00:16:3e:0:0:1': '00:16:3e:0:0:1': an address is six bytes in hex with "
                 "colons between "
                 "them; right would be 'mac=00:16:3e:12:34:56,bridge=xenbr0'");
    expect_error(
        BASE "vif = [ 'mac=00:16:3e:00:00:01', 'mac=00:16:3e:00:00:01,bridge=lan' ]",
        "g.cfg:4: vif 'mac=00:16:3e:00:00:01,bridge=lan': another card of the guest has this address");
    char *arguments[] = {"disk=['vda,raw,vda']"};
    assert_null(config_load("g.cfg", BASE, strlen(BASE), arguments, 1, &why));
    assert_string_equal(
        why.text, "disk 'vda,raw,vda': 'vda': no name that a guest has for a disk, as xvda, xvda1, sda or "
                  "hda are; right would be 'vda,raw,xvda,rw'");
}

static void out_of_memory(void **state)
{
    (void)state;
    for (int i = 1; i < 100; i++) {
        world_reset();
        world.fail_at = i;
        struct guest_config *c = load(BASE "disk=['a,,xvda','b,,xvdb']\nvif=['','']");
        if (c) {
            config_free(c);
            assert_true(i > 20);
            return;
        }
        assert_non_null(strstr(why.text, "out of memory"));
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_disks),
        cmocka_unit_test(disks_in_every_form),
        cmocka_unit_test(wrong_disks_are_explained),
        cmocka_unit_test(cards_in_every_form),
        cmocka_unit_test(rates),
        cmocka_unit_test(wrong_cards_are_explained),
        cmocka_unit_test(addresses_are_made_of_the_uuid),
        cmocka_unit_test(lists_of_devices),
        cmocka_unit_test(mistakes_have_their_place),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
