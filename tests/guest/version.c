/* xen_version: every sub-operation that a guest may call (xen/version.h). */
#include "check.h"
#include <xen/features.h>

#define VERSION(command, argument) OP(xen_version, command, argument)

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

int main(void)
{
    EXPECT_EQ(VERSION(XENVER_version, NULL), 4 << 16 | 17);
    EXPECT_EQ(VERSION(XENVER_pagesize, NULL), 4096);

    xen_extraversion_t extra;
    memset(extra, 'x', sizeof(extra));
    EXPECT_EQ(VERSION(XENVER_extraversion, extra), 0);
    if (EXPECT(ends(extra, sizeof(extra))))
        pvh_printf("extraversion %s\n", extra);

    static xen_capabilities_info_t capabilities;
    EXPECT_EQ(VERSION(XENVER_capabilities, capabilities), 0);
    EXPECT(ends(capabilities, sizeof(capabilities)) && strstr(capabilities, "hvm-3.0-x86_64") != NULL);
    EXPECT(strstr(capabilities, "hvm-3.0-x86_32") != NULL);

    struct xen_compile_info compile;
    memset(&compile, 'x', sizeof(compile));
    EXPECT_EQ(VERSION(XENVER_compile_info, &compile), 0);
    EXPECT(ends(compile.compiler, sizeof(compile.compiler)) &&
           ends(compile.compile_date, sizeof(compile.compile_date)));

    xen_changeset_info_t changeset;
    EXPECT_EQ(VERSION(XENVER_changeset, changeset), 0);
    EXPECT(ends(changeset, sizeof(changeset)));

    struct xen_platform_parameters platform;
    EXPECT_EQ(VERSION(XENVER_platform_parameters, &platform), 0);

    struct xen_feature_info features = {.submap_idx = 0};
    EXPECT_EQ(VERSION(XENVER_get_features, &features), 0);
    const unsigned must = 1u << XENFEAT_auto_translated_physmap | 1u << XENFEAT_hvm_callback_vector |
                          1u << XENFEAT_hvm_safe_pvclock | 1u << XENFEAT_memory_op_vnode_supported;
    EXPECT_EQ(features.submap & must, must);
    EXPECT_EQ(features.submap >> XENFEAT_dom0 & 1, pvh_is_dom0());
    EXPECT_EQ(features.submap >> XENFEAT_hvm_pirqs & 1, 0);
    features.submap_idx = 1;
    EXPECT_EQ(VERSION(XENVER_get_features, &features), -XEN_EINVAL);

    xen_domain_handle_t handle;
    EXPECT_EQ(VERSION(XENVER_guest_handle, handle), 0);

    /* The command line is dom0's business; others are told that it is denied, not what it is. */
    static xen_commandline_t command_line;
    EXPECT_EQ(VERSION(XENVER_commandline, command_line), 0);
    EXPECT(ends(command_line, sizeof(command_line)));
    if (!pvh_is_dom0())
        EXPECT(strstr(command_line, "com1") == NULL);

    EXPECT_EQ(VERSION(11, NULL), -XEN_ENOSYS);
    EXPECT_EQ(VERSION(0x7fffffff, NULL), -XEN_ENOSYS);
    EXPECT_EQ(VERSION(XENVER_extraversion, BAD_POINTER), -XEN_EFAULT);
    EXPECT_EQ(VERSION(XENVER_get_features, BAD_POINTER), -XEN_EFAULT);
    return verdict("version");
}
