/* sources: dom0/tool/[a-z]*.c lib/number.c lib/why.c lib/elf.c lib/acpi.c tests/unit/tool_below.c */
/* Devices of domains: their nodes, who waits for whom and how long, that nothing of them is left, and the
 * verbs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../dom0/tool/devices.h"
#include "../../dom0/tool/domain.h"
#include "../../dom0/tool/verbs.h"
#include "tool_below.h"
#include <cmocka.h> /* after lib/why.h, whose fail() it makes a macro of */

#define SECOND 1000000000ull
#define BACK   "/local/domain/0/backend/"
#define FRONT  "/local/domain/1/device/"

static uint8_t kernel[1024];
static struct why why;

static int set_up(void **state)
{
    static const char config[] =
        "name='deb'\nkernel='k'\nmemory=8\nuuid='01234567-89ab-cdef-0123-456789abcdef'\n"
        "disk=['/dev/vda1,raw,xvda,rw', 'vdb,,xvdb,r']\nvif=['bridge=xenbr0,rate=10Mb/s']\n";
    (void)state;
    world_reset();
    tool_init();
    world_file("k", kernel, make_kernel(kernel, 0x3000));
    world_file("deb.cfg", config, sizeof config - 1);
    return 0;
}

/* Runs a line of words between single spaces; what it prints is in world.printed. */
static void expect(const char *line, int status, const char *text)
{
    char words[256], *argv[16];
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    world.printed[0] = '\0';
    for (size_t i = 0; i < tool_verb_count; i++) {
        if (strcmp(tool_verbs[i].name, argv[0]))
            continue;
        int actual = tool_verbs[i].run(argc, argv);
        if (*text ? !strstr(world.printed, text) : world.printed[0] != '\0')
            assert_string_equal(world.printed, text);
        assert_int_equal(actual, status);
        return;
    }
    fail();
}

static void expect_node(const char *path, const char *value)
{
    if (!world_node(path))
        assert_string_equal(path, "");
    assert_string_equal(world_node(path), value);
}

static void nodes_are_those_of_libxl(void **state)
{
    (void)state;
    expect("create -q deb", DONE, "");
    expect_node(BACK "vbd/1/51712/frontend", FRONT "vbd/51712");
    expect_node(BACK "vbd/1/51712/frontend-id", "1");
    expect_node(BACK "vbd/1/51712/online", "1");
    expect_node(BACK "vbd/1/51712/dev", "xvda");
    expect_node(BACK "vbd/1/51712/type", "phy");
    expect_node(BACK "vbd/1/51712/params", "/dev/vda1");
    expect_node(BACK "vbd/1/51712/mode", "w");
    expect_node(BACK "vbd/1/51712/device-type", "disk");
    expect_node(BACK "vbd/1/51712/discard-enable", "1");
    expect_node(BACK "vbd/1/51712/state", "2");
    expect_node(BACK "vbd/1/51728/mode", "r");
    expect_node(BACK "vbd/1/51728/discard-enable", "0");
    expect_node(FRONT "vbd/51712/backend", BACK "vbd/1/51712");
    expect_node(FRONT "vbd/51712/backend-id", "0");
    expect_node(FRONT "vbd/51712/virtual-device", "51712");
    expect_node(FRONT "vbd/51712/device-type", "disk");
    expect_node(FRONT "vbd/51712/state", "1");
    expect_node(BACK "vif/1/0/bridge", "xenbr0");
    expect_node(BACK "vif/1/0/rate", "62500,50000");
    expect_node(BACK "vif/1/0/handle", "0");
    expect_node(BACK "vif/1/0/type", "vif");
    expect_node(FRONT "vif/0/handle", "0");
    expect_node(FRONT "vif/0/mac", world_node(BACK "vif/1/0/mac"));
    expect_node(FRONT "vif/0/mtu", "1500");
    assert_memory_equal(world_node(FRONT "vif/0/mac"), "00:16:3e:", 9);
    assert_null(world_node(BACK "vif/1/0/ip"));
    expect("destroy deb", DONE, "");
    assert_int_equal(world_nodes(), 2 + 3); /* domain 0's own */
}

static void nothing_is_left_whatever_fails(void **state)
{
    for (int i = 1;; i++) {
        domid_t id;
        set_up(state);
        int nodes = world_nodes();
        static const char text[] =
            "name='g'\nkernel='k'\nmemory=8\ndisk=['vda1,,xvda','vdb,,xvdb,r']\nvif=['','']\n";
        struct guest_config *config = config_load("g.cfg", text, sizeof text - 1, NULL, 0, &why);
        assert_non_null(config);
        world.calls = 0;
        world.fail_at = i;
        why.text[0] = '\0';
        if (domain_create(config, NULL, &id, &why)) {
            world.fail_at = 0;
            assert_true(domain_destroy(id, &why));
            assert_int_equal(world_nodes(), nodes);
            if (i > world.calls)
                break;
            continue;
        }
        config_free(config);
        assert_true(strlen(why.text) > 0);
        assert_int_equal(world.domains, 0);
        assert_int_equal(world.pages, 0);
        assert_int_equal(world.introductions, 0);
        world.fail_at = 0;
        /* What failed once while it was taken away may be there still; all else is gone. */
        assert_int_equal(world_nodes(), nodes);
    }
}

static void what_is_not_there_is_told_before_anything_is_built(void **state)
{
    (void)state;
    expect("create -q deb disk=['vdc,,xvda']", FAILED,
           "create: disk: xvda: 'vdc': there is no such disk: disk-list shows them\n");
    expect("create -q deb disk=['vdb,,xvda']", FAILED, "create: disk: xvda: 'vdb': it is read-only\n");
    expect(
        "create deb vif=['bridge=lan']", FAILED,
        "create: vif: no bridge 'lan': there is xenbr0; bridge-list shows them, bridge-create makes one\n");
    expect("create -n deb vif=['bridge=lan']", FAILED, "create: vif: no bridge 'lan'");
    expect("create -n deb", DONE,
           "  disk       xvda = /dev/vda1, rw\n  disk       xvdb = vdb, ro\n  vif        0 = 00:16:3e:");
    assert_int_equal(world.domains, 0);
}

static void a_back_end_may_refuse(void **state)
{
    (void)state;
    world.refusal = "vda1 is in use for writing by web";
    expect("create -q deb", FAILED,
           "create: xvda: dom0's back end refused it: vda1 is in use for writing by web\n");
    assert_int_equal(world.domains, 0);
    assert_int_equal(world.pages, 0);
    assert_int_equal(world_nodes(), 5);
    world.refusal = NULL;
    world.no_back_ends = 1;
    expect("create -q deb", FAILED, "create: xvda: dom0's back end has not taken it within 10 seconds\n");
    assert_true(world.now > 10 * SECOND && world.now < 12 * SECOND);
    assert_int_equal(world_nodes(), 5);
    world.no_back_ends = 0;
    world.interrupted = 1;
    expect("create -q deb", FAILED, "create: interrupted\n");
    assert_int_equal(world_nodes(), 5);
}

static void an_end_does_not_wait_for_the_guest(void **state)
{
    (void)state;
    world.stubborn_guests = 1;
    expect("create -q deb", DONE, "");
    uint64_t before = world.now;
    expect("destroy deb", DONE, "");
    assert_true(world.now - before < SECOND);
    assert_int_equal(world_nodes(), 5);
    /* A back end that hangs keeps nobody for ever. */
    expect("create -q deb", DONE, "");
    world.no_back_ends = 1;
    before = world.now;
    expect("destroy deb", DONE,
           "warning: dom0's back end has not closed xvdb of domain 1 within 10 seconds\n");
    assert_true(world.now - before < 12 * SECOND);
    assert_int_equal(world_nodes(), 5);
}

static void attaching(void **state)
{
    (void)state;
    expect("create -q deb disk=[] vif=[]", DONE, "");
    int nodes = world_nodes();
    expect("block-attach deb /dev/vda1,raw,xvdc,rw", DONE, "");
    expect_node(BACK "vbd/1/51744/state", "2");
    expect("block-attach deb vdb,,xvdc,r", FAILED,
           "block-attach: xvdc: it has a disk of this name: block-list shows them\n");
    expect("block-attach deb phy:vdb xvdd r", DONE, "");
    expect("block-attach deb vdz,,xvde", FAILED, "block-attach: xvde: 'vdz': there is no such disk");
    expect("block-attach deb vda1,rwa,xvde", USAGE,
           "block-attach: disk 'vda1,rwa,xvde': 'rwa': no format: raw is the "
           "only one; right would be 'vda1,raw,xvde,rw'\n");
    expect("block-attach 0 vda1,raw,xvde", FAILED, "block-attach: domain 0 has the devices themselves");
    expect("network-attach deb", DONE, "");
    expect("network-attach deb mac=00:16:3e:00:00:07 mtu=9000", DONE, "");
    expect("network-attach deb mac=00:16:3e:00:00:07", FAILED,
           "network-attach: its card 1 has this address already\n");
    expect("network-attach deb devid=1", FAILED, "network-attach: 1: it has a card of this number");
    expect("network-attach deb bridge=lan", FAILED, "network-attach: no bridge 'lan'");
    expect_node(BACK "vif/1/1/mtu", "9000");
    world.refusal = "no";
    expect("block-attach deb vda,,xvdz", FAILED, "block-attach: xvdz: dom0's back end refused it: no\n");
    expect("network-attach deb", FAILED, "network-attach: network card 2: dom0's back end refused it: no\n");
    world.refusal = NULL;
    /* A reboot has them, too. */
    world.shutdown_code = 1 + SHUTDOWN_reboot;
    const struct guest_config *config = domain_config(1);
    assert_string_equal(config->disks->vdev, "xvdc");
    assert_string_equal(config->disks->next->vdev, "xvdd");
    assert_null(config->disks->next->next);
    assert_int_equal(config->vifs->next->mac[5], 7);
    world.shutdown_code = 0;

    expect("block-detach deb xvdc", DONE, "");
    expect("block-detach deb 51760", DONE, "");
    expect("block-detach deb xvdc", FAILED,
           "block-detach: xvdc: the domain has no such disk: block-list shows what");
    expect("block-detach deb vda", FAILED,
           "block-detach: vda: a disk is named as the guest does, xvda, or by its");
    expect("network-detach deb 00:16:3e:00:00:07", DONE, "");
    expect("network-detach deb 0", DONE, "");
    expect("network-detach deb 0", FAILED, "network-detach: 0: the domain has no such card");
    /* Not the number of one that the guest may still be busy with. */
    expect("network-attach deb", DONE, "");
    expect("network-detach deb 2", DONE, "");
    expect("network-detach deb eth0", FAILED,
           "network-detach: eth0: a card is named by its number or its address");
    assert_null(domain_config(1)->disks);
    assert_null(domain_config(1)->vifs);
    assert_int_equal(world_nodes(), nodes);
    expect("destroy deb", DONE, "");
}

static void a_guest_may_hold_on(void **state)
{
    (void)state;
    expect("create -q deb", DONE, "");
    world.stubborn_guests = 1;
    expect("block-detach deb xvda", FAILED,
           "waiting for the guest to let go of xvda; Ctrl-C ends that\nblock-detach: xvda: the guest has not "
           "let go of it "
           "within 10 seconds: unmount it there and try again, or use --force\n");
    expect_node(BACK "vbd/1/51712/state", "5");
    expect_node(BACK "vbd/1/51712/online", "0");
    assert_non_null(domain_config(1)->disks);
    world.interrupted = 1;
    expect("block-detach deb xvda", FAILED,
           "block-detach: xvda: no longer waited for; the guest stays asked to let go of it\n");
    world.interrupted = 0;
    expect("block-detach --force deb xvda", DONE, "");
    assert_null(world_node(BACK "vbd/1/51712/state"));
    assert_null(world_node(FRONT "vbd/51712/state"));
    expect("network-detach -f deb 0", DONE, "");
    expect("destroy deb", DONE, "");
    assert_int_equal(world_nodes(), 5);
}

static void lists(void **state)
{
    (void)state;
    expect("create -q deb", DONE, "");
    store_write(FRONT "vbd/51712/state", "4");
    store_write(FRONT "vbd/51712/ring-ref", "8");
    store_write(FRONT "vbd/51712/event-channel", "15");
    expect("block-list deb", DONE,
           "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n"
           "51712 0   1      4     15     8        /local/domain/0/backend/vbd/1/51712\n"
           "51728 0   1      1     -1     -1       /local/domain/0/backend/vbd/1/51728\n");
    char line[256];
    snprintf(line, sizeof line,
             "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n"
             "0   0  %s     0     1     -1    -1/-1          /local/domain/0/backend/vif/1/0",
             world_node(BACK "vif/1/0/mac"));
    expect("network-list deb", DONE, line);
    expect("block-list ghost", FAILED, "block-list: no domain is called ghost");
    expect("list -l deb", DONE, "\"pdev_path\": \"/dev/vda1\"");
    expect(
        "disk-list", DONE,
        "Name              Size Sector    Driver        Model or label           PARTUUID                  "
        "           "
        "Used by\n"
        "vda              2 GiB    512 rw virtio-blk    QEMU HARDDISK                                      "
        "           "
        "-\n"
        "vda1             1 GiB    512 rw partition     root                     "
        "01234567-89ab-cdef-0123-456789abcdef "
        "deb:xvda\n"
        "vdb          700 bytes   4096 ro nvme          QEMU HARDDISK                                      "
        "           "
        "deb:xvdb\n");
    expect("destroy deb", DONE, "");
}

static void names_of_partitions(void **state)
{
    (void)state;
    expect("create -q deb disk=['PARTLABEL=root,,xvda']", DONE, "");
    expect("disk-list", DONE, "01234567-89ab-cdef-0123-456789abcdef deb:xvda\n");
    expect("destroy deb", DONE, "");
}

static void ramdisks_and_bridges(void **state)
{
    (void)state;
    expect("ramdisk-create r0 64", DONE, "[r0 of 67108864 bytes from nothing]");
    expect("ramdisk-create r0 512K k", DONE, "[r0 of 524288 bytes from k]");
    expect("ramdisk-create r0 k", DONE, "[r0 of 0 bytes from k]");
    expect("ramdisk-create r0 lots", FAILED,
           "ramdisk-create: lots: neither a size, as 64M is, nor a file of the archive\n");
    expect("ramdisk-create r0 1b k", FAILED, "ramdisk-create: 1b: the file is larger than that\n");
    expect("ramdisk-create r0 0", FAILED, "ramdisk-create: 0: that is no disk\n");
    expect("ramdisk-create r0 lots k", USAGE, "ramdisk-create: lots: a size is a number of MiB");
    expect("ramdisk-create vda 1", FAILED, "dom0 has a disk of this name: disk-list shows it\n");
    expect("ramdisk-destroy nothing", FAILED, "ramdisk-destroy: nothing: there is no RAM disk of this name");
    expect("ramdisk-destroy vda", DONE, "");

    expect("bridge-create lan", DONE, "");
    expect("bridge-create lan", FAILED, "bridge-create: lan: there is such a bridge\n");
    expect("bridge-create a,b", USAGE, "bridge-create: a,b: a bridge's name has 1 to 23 characters");
    expect("bridge-create aaaaaaaaaaaaaaaaaaaaaaaa", USAGE, "a bridge's name has 1 to 23 characters");
    expect("bridge-list -v", DONE,
           "Name             Uplink     Driver       Mac Addr.          Link  Ports\n"
           "xenbr0           eth0       e1000e       52:54:00:01:02:03  up    1\n"
           "  eth0           received 1 packets, 60 bytes; sent 2 packets, 1500 bytes; dropped 3\n"
           "lan              -          internal     -                  -     0\n");
    expect("bridge-destroy lan", DONE, "");
    expect("bridge-destroy lan", FAILED,
           "bridge-destroy: lan: there is no such bridge: bridge-list shows them\n");
    expect("bridge-destroy xenbr0", FAILED,
           "bridge-destroy: xenbr0: it belongs to dom0's network card and stays\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nodes_are_those_of_libxl, set_up),
        cmocka_unit_test_setup(nothing_is_left_whatever_fails, set_up),
        cmocka_unit_test_setup(what_is_not_there_is_told_before_anything_is_built, set_up),
        cmocka_unit_test_setup(a_back_end_may_refuse, set_up),
        cmocka_unit_test_setup(an_end_does_not_wait_for_the_guest, set_up),
        cmocka_unit_test_setup(attaching, set_up),
        cmocka_unit_test_setup(a_guest_may_hold_on, set_up),
        cmocka_unit_test_setup(lists, set_up),
        cmocka_unit_test_setup(names_of_partitions, set_up),
        cmocka_unit_test_setup(ramdisks_and_bridges, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
