/* sources: dom0/kernel/words.c lib/printf.c */
/* The shell's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../dom0/kernel/words.h"

static struct command command;

/* The words of the next command, joined by |; the problem when there is one. */
static const char *next(const char **line)
{
    static char joined[2048];
    const char *problem = words_next(line, 7, &command);
    joined[0] = '\0';
    for (int i = 0; !problem && i < command.argc; i++) {
        strcat(joined, i ? "|" : "");
        strcat(joined, command.argv[i]);
    }
    if (!problem)
        assert_null(command.argv[command.argc]);
    return problem ? problem : joined;
}

static void words_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"", ""},
        {"  \t ", ""},
        {"one", "one"},
        {" create  a.cfg name=x ", "create|a.cfg|name=x"},
        {"echo 'a b' \"c  d\"", "echo|a b|c  d"},
        {"echo a'b c'd", "echo|ab cd"},
        {"echo ''", "echo|"},
        {"echo a\\ b \\\"", "echo|a b|\""},
        {"echo \"a\\\"b\"", "echo|a\"b"},
        {"echo $? \"$?\" '$?' a$?b $", "echo|7|7|$?|a7b|$"},
        {"echo a # comment 'not closed", "echo|a"},
        {"# all", ""},
        {"echo a&b", "echo|a&b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *line = cases[i].line;
        assert_string_equal(next(&line), cases[i].words);
        assert_int_equal(command.then, THEN_END);
    }
}

static void commands_are_split(void **state)
{
    (void)state;
    const char *line = "a 1;b&&c ';' ; ; d";
    assert_string_equal(next(&line), "a|1");
    assert_int_equal(command.then, THEN_ALWAYS);
    assert_string_equal(next(&line), "b");
    assert_int_equal(command.then, THEN_IF_OK);
    assert_string_equal(next(&line), "c|;");
    assert_int_equal(command.then, THEN_ALWAYS);
    assert_string_equal(next(&line), "");
    assert_int_equal(command.then, THEN_ALWAYS);
    assert_string_equal(next(&line), "d");
    assert_int_equal(command.then, THEN_END);
}

static void nonsense_is_told(void **state)
{
    (void)state;
    char many[2 * WORDS_MAX + 8] = "", longest[sizeof command.text + 8];
    for (unsigned i = 0; i <= WORDS_MAX; i++)
        strcat(many, "w ");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *lines[] = {"echo 'a", "echo \"a", "&& b", many, longest};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_non_null(words_next(&lines[i], 0, &command));
    longest[sizeof command.text - 1] = '\0';
    const char *fits = longest;
    assert_null(words_next(&fits, 0, &command));
    assert_string_equal(command.argv[0], longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split),
        cmocka_unit_test(commands_are_split),
        cmocka_unit_test(nonsense_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
