/*
 * The verbs that people type, one function each, and what they share. A verb prints its own errors, each in
 * one line behind its name, and returns one of enum status.
 */
#ifndef TOOL_VERBS_H
#define TOOL_VERBS_H

#include <dom0/below.h>
#include <dom0/tool.h>

#include <lib/why.h>

enum status { DONE = 0, FAILED = 1, USAGE = 2 };

/* verb_create.c */
int verb_create(int argc, char **argv);
/* verb_life.c */
int verb_console(int argc, char **argv);
int verb_pause(int argc, char **argv);
int verb_unpause(int argc, char **argv);
int verb_shutdown(int argc, char **argv);
int verb_reboot(int argc, char **argv);
int verb_destroy(int argc, char **argv);
int verb_rename(int argc, char **argv);
/* verb_size.c */
int verb_mem_max(int argc, char **argv);
int verb_mem_set(int argc, char **argv);
int verb_vcpu_set(int argc, char **argv);
/* verb_list.c */
int verb_list(int argc, char **argv);
int verb_domid(int argc, char **argv);
int verb_domname(int argc, char **argv);
int verb_vcpu_list(int argc, char **argv);
int verb_uptime(int argc, char **argv);
/* verb_host.c */
int verb_info(int argc, char **argv);
int verb_dmesg(int argc, char **argv);
/* verb_perf.c */
int verb_perf(int argc, char **argv);
/* verb_top.c */
int verb_top(int argc, char **argv);
/* verb_device.c */
int verb_block_list(int argc, char **argv);
int verb_block_attach(int argc, char **argv);
int verb_block_detach(int argc, char **argv);
int verb_network_list(int argc, char **argv);
int verb_network_attach(int argc, char **argv);
int verb_network_detach(int argc, char **argv);
/* verb_hardware.c */
int verb_disk_list(int argc, char **argv);
int verb_ramdisk_create(int argc, char **argv);
int verb_ramdisk_destroy(int argc, char **argv);
int verb_bridge_list(int argc, char **argv);
int verb_bridge_create(int argc, char **argv);
int verb_bridge_destroy(int argc, char **argv);
/* verb_sched.c */
int verb_sched_credit2(int argc, char **argv);
int verb_vcpu_pin(int argc, char **argv);
/* verb_store.c */
int verb_store_ls(int argc, char **argv);
int verb_store_list(int argc, char **argv);
int verb_store_read(int argc, char **argv);
int verb_store_write(int argc, char **argv);
int verb_store_rm(int argc, char **argv);

/* An option is a letter, a word, or both. */
struct option {
    char letter;      /* 0: none */
    const char *word; /* without the hyphens; NULL: none */
    bool *set;        /* becomes true when it is given */
    const char *help;
    const char **value; /* instead of set: becomes what follows, as in -dX, -d X, --delay=X or --delay X */
};

/*
 * Takes the options out of argv, wherever they stand; -- ends them. The operands then are argv[1] on, and
 * their number, which is checked to be from least to most (-1: any), is returned. -1: nothing is left to do
 * but return *status; that is after -h, --help, or a mistake that was printed.
 */
int take_options(int argc, char **argv, const struct option *options, size_t count, int least, int most,
                 int *status);

/* Prints "VERB: reason" or "VERB: what: reason" and returns FAILED. */
int verb_failed(const char *verb, const struct why *why);
int verb_failed_on(const char *verb, const char *what, const struct why *why);

/* Finds the domain that an operand names, or prints why there is none. */
bool domain_operand(const char *verb, const char *operand, domid_t *domid);
/* The same for verbs that act on it: one that is being made is waited for. May switch. */
bool whole_domain_operand(const char *verb, const char *operand, domid_t *domid);

/* Prints text of any length; what is no printable character but newline and tab is shown as in C. */
void print_text(const char *text, size_t length);

#endif
