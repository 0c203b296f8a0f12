/*
 * vCPUs: creation, the place of their vcpu_info, release (hv/domain.h).
 *
 * vcpu_info of the first LEGACY_MAX_VCPUS vCPUs stands in shared_info from the start. The others have
 * private_info, which no guest sees, until they register one. Registering happens once per vCPU.
 *
 * Locking: LOCK_DOMAIN for publishing a vCPU and for moving its info. Whoever sends events reads v->info
 * without a lock, which is why frames are dropped only after a grace period (domain_dead).
 */
#include <hv/arch/guest_access.h>
#include <hv/arch/vcpu.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <lib/string.h>

static int init_subsystems(struct vcpu *v)
{
    int error = sched_vcpu_init(v);
    if (error)
        return error;
    error = arch_vcpu_create(v);
    if (error)
        sched_vcpu_destroy(v);
    return error;
}

int vcpu_create(struct domain *d, uint32_t id)
{
    if (id >= d->max_vcpus)
        return -XEN_EINVAL;
    if (d->vcpu[id])
        return -XEN_EEXIST;

    struct vcpu *v = heap_alloc(sizeof *v);
    if (!v)
        return -XEN_ENOMEM;
    v->id = id;
    v->domain = d;
    v->info_mfn = INVALID_MFN;
    v->private_info.evtchn_upcall_mask = 1;
    v->info = id < XEN_LEGACY_MAX_VCPUS ? &d->shared_info->vcpu_info[id] : &v->private_info;

    int error = init_subsystems(v);
    if (error) {
        heap_free(v);
        return error;
    }
    spin_lock(&d->lock);
    if (d->pause_count || d->shut_down || d->dying)
        vcpu_stop(v, VCPU_DOMAIN);
    __atomic_store_n(&d->vcpu[id], v, __ATOMIC_RELEASE);
    spin_unlock(&d->lock);
    return 0;
}

void vcpu_free(struct vcpu *v)
{
    arch_vcpu_free(v);
    sched_vcpu_destroy(v);
    heap_free(v);
}

int vcpu_register_info(struct vcpu *v, gfn_t gfn, uint32_t offset)
{
    struct domain *d = v->domain;
    int error = -XEN_EINVAL;

    if (offset > PAGE_SIZE - sizeof(struct vcpu_info) || offset % _Alignof(struct vcpu_info))
        return -XEN_ENXIO;

    spin_lock(&d->lock);
    if (!mfn_valid_value(v->info_mfn) && (v == current || (v->stopped & VCPU_DOWN))) {
        char *page = map_guest_frame(d, gfn, true);
        if (page) {
            struct vcpu_info *info = (struct vcpu_info *)(page + offset);
            memcpy(info, v->info, sizeof *info);
            v->info_mfn = virt_to_mfn(page);
            __atomic_store_n(&v->info, info, __ATOMIC_RELEASE);
            error = 0;
        }
    }
    spin_unlock(&d->lock);
    if (!error) {
        evtchn_vcpu_info_moved(v);
        arch_update_time_info(v);
    }
    return error;
}

void vcpu_release_info(struct vcpu *v)
{
    v->info = &v->private_info;
    if (mfn_valid_value(v->info_mfn))
        frame_put(v->info_mfn);
    v->info_mfn = INVALID_MFN;
}
