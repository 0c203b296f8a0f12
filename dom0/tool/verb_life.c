/* The verbs that act on a domain's life: console, pause, unpause, shutdown, reboot, destroy, rename. No
 * state.
 */
#include <lib/printf.h>
#include <lib/string.h>

#include "domain.h"
#include "nodes.h"
#include "verbs.h"

#define SECOND 1000000000ull
/* How long shutdown -w and reboot -w wait. Guests in emulators take a minute. */
#define PATIENCE (180 * SECOND)

int verb_console(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    struct why why;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!domain_find(argv[1], &domid, &why))
        return console_replay(argv[1]) ? DONE : verb_failed("console", &why);
    if (domid == 0) {
        print("console: this is domain 0: you are on its console\n");
        return FAILED;
    }
    if (!domain_await(domid, &why))
        return verb_failed_on("console", argv[1], &why);
    if (console_attach(domid)) {
        print("console: domain %s has no console here: it was not created by this dom0\n", argv[1]);
        return FAILED;
    }
    return DONE;
}

/* A verb that does one thing to one domain, but never to domain 0. */
static int act(int argc, char **argv, bool (*action)(domid_t domid, struct why *why))
{
    int status, operands = take_options(argc, argv, NULL, 0, 1, 1, &status);
    struct why why;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!whole_domain_operand(argv[0], argv[1], &domid))
        return FAILED;
    if (domid == 0) {
        print("%s: domain 0 runs this command: it cannot be done to it\n", argv[0]);
        return FAILED;
    }
    return action(domid, &why) ? DONE : verb_failed_on(argv[0], argv[1], &why);
}

int verb_pause(int argc, char **argv)
{
    return act(argc, argv, domain_pause);
}

int verb_unpause(int argc, char **argv)
{
    return act(argc, argv, domain_unpause);
}

int verb_destroy(int argc, char **argv)
{
    return act(argc, argv, domain_destroy);
}

int verb_rename(int argc, char **argv)
{
    int status, operands = take_options(argc, argv, NULL, 0, 2, 2, &status);
    struct why why;
    domid_t domid;
    if (operands < 0)
        return status;
    if (!whole_domain_operand("rename", argv[1], &domid))
        return FAILED;
    return domain_rename(domid, argv[2], &why) ? DONE : verb_failed("rename", &why);
}

/* --- shutdown and reboot: the guest is asked through its control/shutdown node -------------------------- */

/* Guests that serve the node say so; the others are asked all the same, as xl does, but the person is told.
 */
static bool ask(domid_t domid, const char *request, struct why *why)
{
    struct xen_domctl_getdomaininfo info;
    char path[PATH_MAX], feature[8] = "";
    if (!domain_info(domid, &info))
        return fail(why, "it is gone");
    if (info.flags & XEN_DOMINF_shutdown)
        return fail(why, "it has ended already: destroy removes it");
    snprintf(path, sizeof path, "/local/domain/%u/control/shutdown", domid);
    int error = store_write(path, "%s", request);
    if (error)
        return fail(why, "the store refused the request: %s", error_text(error));
    if (info.flags & XEN_DOMINF_paused) {
        print("note: the domain is paused and will see the request when it is unpaused\n");
        return true;
    }
    snprintf(path, sizeof path, "/local/domain/%u/control/feature-%s", domid, request);
    if (store_read(path, feature, sizeof feature, NULL) || strcmp(feature, "1"))
        print("note: the domain has not said that it heeds such requests; destroy ends it in any case\n");
    return true;
}

/* Until the domain has ended or is gone. Prints why when that does not happen. */
static bool wait_for_end(const char *verb, domid_t domid)
{
    struct xen_domctl_getdomaininfo info;
    uint64_t deadline = time_ns() + PATIENCE;
    while (domain_info(domid, &info) && !(info.flags & XEN_DOMINF_shutdown)) {
        if (interrupted()) {
            print("%s: domain %u: no longer waited for; the request stands\n", verb, domid);
            return false;
        }
        if (time_ns() > deadline) {
            print("%s: domain %u has not ended within %u seconds: destroy ends it in any case\n", verb, domid,
                  (unsigned)(PATIENCE / SECOND));
            return false;
        }
        thread_sleep(SECOND / 20);
    }
    return true;
}

static int request_all(const char *verb, const char *request, bool wait)
{
    struct xen_domctl_getdomaininfo info;
    struct why why;
    char name[NAME_MAX];
    int status = DONE;
    for (unsigned next = 1; domain_next(next, &info); next = info.domain + 1u)
        if (!(info.flags & XEN_DOMINF_shutdown) && !ask(info.domain, request, &why))
            status = verb_failed_on(verb, domain_name(info.domain, name), &why);
    for (unsigned next = 1; wait && domain_next(next, &info); next = info.domain + 1u)
        if (!wait_for_end(verb, info.domain))
            return FAILED;
    return status;
}

static int request(int argc, char **argv, const char *what)
{
    bool all = false, wait = false;
    const struct option options[] = {
        {'a', "all", &all, "all domains but domain 0"},
        {'w', "wait", &wait, "wait until it has happened"},
    };
    int status, operands = take_options(argc, argv, options, 2, 0, 1, &status);
    struct why why;
    domid_t domid;
    if (operands < 0)
        return status;
    if (all == (operands == 1)) {
        print("%s: name one domain, or -a for all\n", argv[0]);
        return USAGE;
    }
    if (all)
        return request_all(argv[0], what, wait);
    if (!whole_domain_operand(argv[0], argv[1], &domid))
        return FAILED;
    if (domid == 0) {
        print("%s: domain 0 runs this command: poweroff or reboot of the shell end the machine\n", argv[0]);
        return FAILED;
    }
    if (!ask(domid, what, &why))
        return verb_failed_on(argv[0], argv[1], &why);
    return !wait || wait_for_end(argv[0], domid) ? DONE : FAILED;
}

int verb_shutdown(int argc, char **argv)
{
    return request(argc, argv, "poweroff");
}

int verb_reboot(int argc, char **argv)
{
    return request(argc, argv, "reboot");
}
