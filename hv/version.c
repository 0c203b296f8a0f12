/*
 * xen_version: what guests are told about the hypervisor (xen/version.h, xen/features.h).
 *
 * The version is that of the ABI, Xen 4.17; extraversion and the rest name Hospes. What tells of the
 * machine's owner rather than of the ABI (command line, build) is for privileged domains; others get
 * "<denied>" or -EPERM, as on Xen.
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/vcpu.h>
#include <hv/cmdline.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/hypercall.h>
#include <lib/string.h>
#include <xen/features.h>
#include <xen/version.h>

#define VERSION_MAJOR 4
#define VERSION_MINOR 17
#define EXTRAVERSION  ".0-hospes"
#define DENIED        "<denied>"

static int64_t put_text(gva_t to, const char *text, size_t size)
{
    size_t length = strnlen(text, size - 1);
    if (copy_to_guest(to, text, length) || clear_guest(GVA(to.v + length), size - length))
        return -XEN_EFAULT;
    return 0;
}

static int64_t compile_info(gva_t to)
{
    static const struct xen_compile_info info = {
        .compiler = "gcc " __VERSION__,
        .compile_by = "hospes",
        .compile_domain = "",
        .compile_date = "", /* the same sources give the same image */
    };
    return copy_to_guest(to, &info, sizeof(info));
}

static uint32_t features(const struct domain *d)
{
    uint32_t set = 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
                   1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock |
                   1u << XENFEAT_memory_op_vnode_supported;
    if (d->privileged)
        set |= 1u << XENFEAT_dom0;
    /* dom0's memory is mapped one to one (hv/dom0.c). */
    set |= d == dom0 ? 1u << XENFEAT_direct_mapped : 1u << XENFEAT_not_direct_mapped;
    return set;
}

static int64_t get_features(gva_t guest)
{
    struct xen_feature_info info;
    if (copy_from_guest(&info, guest, sizeof(info)))
        return -XEN_EFAULT;
    if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
        return -XEN_EINVAL;
    info.submap = features(current->domain);
    return copy_to_guest(guest, &info, sizeof(info));
}

static __attribute__((noinline)) int64_t answer(uint32_t op, gva_t guest)
{
    const struct domain *d = current->domain;

    switch (op) {
    case XENVER_extraversion:
        return put_text(guest, EXTRAVERSION, sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(guest);
    case XENVER_capabilities:
        return put_text(guest, arch_capabilities(), sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return put_text(guest, "Hospes " HOSPES_VERSION, sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters: {
        const struct xen_platform_parameters parameters = {.virt_start = HYPERVISOR_VIRT_START};
        return copy_to_guest(guest, &parameters, sizeof(parameters));
    }
    case XENVER_get_features:
        return get_features(guest);
    case XENVER_pagesize:
        return guest.v ? -XEN_EINVAL : (int64_t)PAGE_SIZE;
    case XENVER_guest_handle:
        return copy_to_guest(guest, d->handle, sizeof(d->handle));
    case XENVER_commandline:
        if (!d->privileged)
            return copy_to_guest(guest, DENIED, sizeof(DENIED));
        return put_text(guest, cmdline_text(), sizeof(xen_commandline_t));
    case XENVER_build_id:
        return d->privileged ? -XEN_ENODATA : -XEN_EPERM; /* the image carries none */
    default:
        return -XEN_ENOSYS;
    }
}

/* arg: operation, where the answer goes. Guests ask for the version when they want nothing but an exit. */
int64_t do_xen_version(uint64_t arg[6])
{
    if ((uint32_t)arg[0] == XENVER_version)
        return VERSION_MAJOR << 16 | VERSION_MINOR;
    return answer((uint32_t)arg[0], GVA(arg[1]));
}
