/* create: from a configuration to a running domain. No state, no locking. */
#include <lib/printf.h>
#include <lib/string.h>

#include "domain.h"
#include "format.h"
#include "plan.h"
#include "verbs.h"

static const char *file_name_at(size_t i)
{
    struct file file;
    return file_at(i, &file) ? file.name : NULL;
}

/* FILE, or FILE.cfg. */
static bool find_config(const char *name, struct file *file, struct why *why)
{
    char longer[256], nearest[WORD_TEXT];
    snprintf(longer, sizeof longer, "%s.cfg", name);
    if (file_find(name, file) || file_find(longer, file))
        return true;
    if (nearest_word(longer, file_name_at, nearest) || nearest_word(name, file_name_at, nearest))
        return fail(why, "%s: no such file in the archive: did you mean %s?", name, nearest);
    return fail(why, "%s: neither it nor %s is in the archive: ls shows its files", name, longer);
}

static int dry_run(const struct guest_config *config)
{
    struct why why;
    struct plan *plan = mem_alloc(sizeof *plan);
    bool ok = plan ? plan_make(config, plan, &why) : fail(&why, "out of memory");
    if (ok) {
        plan_print(plan);
        ok = plan_affordable(plan, &why);
    }
    mem_free(plan);
    if (ok)
        print("Nothing is short: it can be created.\n");
    return ok ? DONE : verb_failed("create", &why);
}

static int create(struct guest_config *config, bool paused, bool attach)
{
    struct why why;
    domid_t domid;
    if (!domain_create(config, interrupted, &domid, &why)) {
        config_free(config);
        return verb_failed("create", &why);
    }
    if (!paused && !domain_unpause(domid, &why))
        return verb_failed_on("create", config->name, &why);
    /* Nothing is lost although it runs already: no other thread had a chance to read the console in between.
     */
    if (attach && console_attach(domid))
        print("create: the console of %s could not be joined: try console %s\n", config->name, config->name);
    return DONE;
}

int verb_create(int argc, char **argv)
{
    bool attach = false, paused = false, dry = false, quiet = false;
    const struct option options[] = {
        {'c', NULL, &attach, "join its console at once; Ctrl-] leaves it"},
        {'p', NULL, &paused, "leave it paused"},
        {'n', "dry-run", &dry, "only say what would be built and what is short"},
        {0, "dryrun", &dry, "the same"},
        {'q', "quiet", &quiet, "do not say that it was created"},
    };
    int status,
        operands = take_options(argc, argv, options, sizeof options / sizeof options[0], 1, -1, &status);
    if (operands < 0)
        return status;

    struct file file;
    struct why why;
    if (!find_config(argv[1], &file, &why))
        return verb_failed("create", &why);
    struct guest_config *config =
        config_load(file.name, file.data, file.size, argv + 2, (size_t)operands - 1, &why);
    if (!config)
        return verb_failed("create", &why);
    if (dry) {
        status = dry_run(config);
        config_free(config);
        return status;
    }
    if (!quiet)
        print("Parsing config from %s\n", file.name);
    return create(config, paused, attach);
}
