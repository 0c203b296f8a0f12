/*
 * The FIFO ABI: an event word per port in pages of the guest's, and for each vCPU and priority a queue of
 * ports linked through these words (xen/event_channel.h).
 *
 * A queue belongs to both sides: we add at the tail, the guest takes from the head. We remember the tails and
 * never follow a link, so whatever the guest writes into its words costs us nothing and harms only itself.
 *
 * Locking: LOCK_EVTFIFO of the receiving domain around linking and around what is remembered in struct evtchn
 * for it. Setting up and giving back: LOCK_EVTCHN; nobody sends any more when pages are given back.
 */
#include <hv/arch/guest_access.h>
#include <hv/evtchn_port.h>
#include <hv/frame.h>
#include <hv/hypercall.h>

#define PENDING   (1u << EVTCHN_FIFO_PENDING)
#define MASKED    (1u << EVTCHN_FIFO_MASKED)
#define LINKED    (1u << EVTCHN_FIFO_LINKED)
#define BUSY      (1u << EVTCHN_FIFO_BUSY)
#define LINK_MASK ((1u << EVTCHN_FIFO_LINK_BITS) - 1)

#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(event_word_t))
#define MAX_PAGES      (EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE)

struct evtchn_fifo {
    spinlock_t lock; /* LOCK_EVTFIFO */
    uint32_t words;  /* ports below this have a word; grows under both locks */
    event_word_t *page[MAX_PAGES];
};

struct evtchn_fifo_vcpu {
    struct evtchn_fifo_control_block *control;
    evtchn_port_t tail[EVTCHN_FIFO_MAX_QUEUES]; /* 0: certainly empty */
};

static event_word_t *word_of(const struct domain *d, evtchn_port_t port)
{
    const struct evtchn_fifo *fifo = d->evtchn->fifo;
    if (port >= __atomic_load_n(&fifo->words, __ATOMIC_ACQUIRE))
        return NULL;
    return &fifo->page[port / WORDS_PER_PAGE][port % WORDS_PER_PAGE];
}

static event_word_t word_value(const struct domain *d, const struct evtchn *chn)
{
    const event_word_t *word = word_of(d, chn->port);
    return word ? __atomic_load_n(word, __ATOMIC_SEQ_CST) : MASKED;
}

/*
 * Hangs port behind the tail whose word is given. False: the guest has taken that one off already, the queue
 * is empty. BUSY keeps a well-behaved guest from changing the word; with another one we try a few times and
 * let it lose its event.
 */
static bool link_behind(event_word_t *word, evtchn_port_t port)
{
    event_word_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (unsigned tries = 0; tries < 5; tries++) {
        if (!(seen & LINKED)) {
            if (tries)
                __atomic_fetch_and(word, ~BUSY, __ATOMIC_SEQ_CST);
            return false;
        }
        event_word_t linked = (seen & ~(BUSY | LINK_MASK)) | port;
        if (__atomic_compare_exchange_n(word, &seen, linked, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
        if (!tries)
            seen = __atomic_or_fetch(word, BUSY, __ATOMIC_SEQ_CST);
    }
    __atomic_fetch_and(word, ~BUSY, __ATOMIC_SEQ_CST);
    return true;
}

/* Puts chn at the tail of v's queue for its priority; true when that queue was empty. */
static bool enqueue_locked(struct domain *d, struct vcpu *v, struct evtchn *chn, uint8_t priority)
{
    struct evtchn_fifo_vcpu *old = d->vcpu[chn->last_vcpu]->fifo;
    evtchn_port_t *tail = &v->fifo->tail[priority];

    /* Its old queue ended with it, and is empty, or else it would still be linked. */
    if (old && old->tail[chn->last_priority] == chn->port)
        old->tail[chn->last_priority] = 0;
    chn->last_vcpu = (uint8_t)v->id;
    chn->last_priority = priority;

    bool linked = *tail && link_behind(word_of(d, *tail), chn->port);
    if (!linked)
        __atomic_store_n(&v->fifo->control->head[priority], chn->port, __ATOMIC_SEQ_CST);
    *tail = chn->port;
    return !linked;
}

static void set_pending(struct domain *d, struct evtchn *chn)
{
    struct evtchn_fifo *fifo = d->evtchn->fifo;
    struct vcpu *v = d->vcpu[READ_ONCE(chn->vcpu)];
    uint8_t priority = READ_ONCE(chn->priority);
    bool first = false, was_pending = true;

    spin_lock(&fifo->lock);
    event_word_t *word = word_of(d, chn->port);
    if (!word) {
        chn->saved_pending = true; /* until expand_array brings a word for it */
    } else if (v->fifo) {          /* otherwise: not to be unmasked before the vCPU has a control block */
        event_word_t before = __atomic_fetch_or(word, PENDING, __ATOMIC_SEQ_CST);
        was_pending = before & PENDING;
        if (!(before & MASKED) && !(__atomic_fetch_or(word, LINKED, __ATOMIC_SEQ_CST) & LINKED))
            first = enqueue_locked(d, v, chn, priority);
    }
    spin_unlock(&fifo->lock);

    if (first &&
        !(__atomic_fetch_or(&v->fifo->control->ready, 1u << priority, __ATOMIC_SEQ_CST) & 1u << priority))
        evtchn_upcall(v);
    if (!was_pending)
        evtchn_check_pollers(d, chn->port);
}

static void clear_pending(struct domain *d, struct evtchn *chn)
{
    event_word_t *word = word_of(d, chn->port);
    chn->saved_pending = false;
    if (word)
        __atomic_fetch_and(word, ~PENDING, __ATOMIC_SEQ_CST); /* the guest unlinks it when it comes by */
}

static void unmask(struct domain *d, struct evtchn *chn)
{
    event_word_t *word = word_of(d, chn->port);
    if (word && (__atomic_and_fetch(word, ~MASKED, __ATOMIC_SEQ_CST) & PENDING))
        set_pending(d, chn);
}

static bool is_pending(struct domain *d, const struct evtchn *chn)
{
    return word_value(d, chn) & PENDING;
}

static bool is_masked(struct domain *d, const struct evtchn *chn)
{
    return word_value(d, chn) & MASKED;
}

static bool is_busy(struct domain *d, const struct evtchn *chn)
{
    return word_value(d, chn) & LINKED;
}

const struct evtchn_abi evtchn_fifo = {
    .ports = EVTCHN_FIFO_NR_CHANNELS,
    .set_pending = set_pending,
    .clear_pending = clear_pending,
    .unmask = unmask,
    .is_pending = is_pending,
    .is_masked = is_masked,
    .is_busy = is_busy,
};

/* --- setting up ----------------------------------------------------------------------------------------- */

static void release(void *in_page)
{
    if (in_page)
        frame_put(virt_to_mfn(in_page));
}

void evtchn_fifo_destroy_locked(struct domain *d)
{
    struct evtchn_domain *e = d->evtchn;
    assert_locked(&e->lock);

    __atomic_store_n(&e->abi, &evtchn_2l, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpu[i];
        if (!v || !v->fifo)
            continue;
        release(v->fifo->control);
        heap_free(v->fifo);
        v->fifo = NULL;
    }
    if (e->fifo)
        for (uint32_t i = 0; i < e->fifo->words / WORDS_PER_PAGE; i++)
            release(e->fifo->page[i]);
    heap_free(e->fifo);
    e->fifo = NULL;
}

/* The guest's first control block makes it a user of this ABI. What is pending by now stays so. */
static void switch_abi_locked(struct domain *d, struct evtchn_fifo *fifo)
{
    struct evtchn_domain *e = d->evtchn;
    e->fifo = fifo;
    __atomic_store_n(&e->abi, &evtchn_fifo, __ATOMIC_SEQ_CST);
    for (evtchn_port_t port = 1; port < MIN(e->valid, evtchn_2l.ports); port++) {
        struct evtchn *chn = evtchn_find_locked(d, port);
        chn->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
        if (evtchn_2l.is_pending(d, chn))
            chn->saved_pending = true;
    }
}

static int init_control_locked(struct domain *d, struct vcpu *v, gfn_t gfn, uint32_t offset)
{
    if (v->fifo)
        return -XEN_EINVAL;

    struct evtchn_fifo *fifo = d->evtchn->fifo;
    struct evtchn_fifo_vcpu *mine = heap_alloc(sizeof(*mine));
    if (mine && !fifo) {
        fifo = heap_alloc(sizeof(*fifo));
        if (fifo)
            spin_lock_init(&fifo->lock, LOCK_EVTFIFO);
    }
    char *page = mine && fifo ? map_guest_frame(d, gfn, true) : NULL;
    if (!page) {
        int error = mine && fifo ? -XEN_EINVAL : -XEN_ENOMEM;
        heap_free(mine);
        if (!d->evtchn->fifo)
            heap_free(fifo);
        return error;
    }
    mine->control = (struct evtchn_fifo_control_block *)(page + offset);
    __atomic_store_n(&v->fifo, mine, __ATOMIC_RELEASE);
    if (!d->evtchn->fifo)
        switch_abi_locked(d, fifo);
    return 0;
}

int evtchn_fifo_init_control(struct domain *d, const struct evtchn_init_control *op)
{
    struct vcpu *v = domain_vcpu(d, op->vcpu);
    if (!v)
        return -XEN_ENOENT;
    if (op->offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || op->offset % 8)
        return -XEN_EINVAL;

    spin_lock(&d->evtchn->lock);
    int error = d->dying ? -XEN_EINVAL : init_control_locked(d, v, GFN(op->control_gfn), op->offset);
    spin_unlock(&d->evtchn->lock);
    return error;
}

static int expand_locked(struct domain *d, gfn_t gfn)
{
    struct evtchn_fifo *fifo = d->evtchn->fifo;
    if (!fifo)
        return -XEN_EOPNOTSUPP;
    uint32_t first = fifo->words;
    if (first == EVTCHN_FIFO_NR_CHANNELS)
        return -XEN_ENOSPC;
    event_word_t *page = map_guest_frame(d, gfn, true);
    if (!page)
        return -XEN_EINVAL;

    spin_lock(&fifo->lock);
    fifo->page[first / WORDS_PER_PAGE] = page;
    __atomic_store_n(&fifo->words, first + WORDS_PER_PAGE, __ATOMIC_RELEASE);
    spin_unlock(&fifo->lock);

    for (evtchn_port_t port = first; port < MIN(d->evtchn->valid, first + WORDS_PER_PAGE); port++) {
        struct evtchn *chn = evtchn_find_locked(d, port);
        if (chn->saved_pending) {
            chn->saved_pending = false;
            set_pending(d, chn);
        }
    }
    return 0;
}

int evtchn_fifo_expand_array(struct domain *d, gfn_t gfn)
{
    spin_lock(&d->evtchn->lock);
    int error = d->dying ? -XEN_EINVAL : expand_locked(d, gfn);
    spin_unlock(&d->evtchn->lock);
    return error;
}
