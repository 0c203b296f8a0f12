/* Intel's virtualization (SDM vol. 3, chapters 24-30): detection. */
#include "../guest/p2m_format.h"
#include "../guest/vendor.h"
#include <x86/features.h>

static INIT_CODE const char *vmx_probe(void)
{
    return cpu_features.vmx ? "VMX is not driven yet" : "the processor has no VMX (Intel VT-x)";
}

const struct vendor_ops vmx_ops = {
    .name = "VMX",
    .p2m_format = &ept_format,
    .probe = vmx_probe,
};
