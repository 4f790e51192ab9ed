/* SPDX-License-Identifier: MIT */
/* docs/OPTIONS.md has a line for each option of a group, with the words of its
 * row. If KAMA_PRINT is set, the test prints the lines that belong there. */
#include "group/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_document(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/docs/OPTIONS.md",
             getenv("KAMA_SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

static void make_line(size_t i, char *line, size_t cap)
{
    const struct km_option *row = &km_group_option_rows[i];
    bool has_default = row->fallback != NULL;
    snprintf(line, cap, "| `%s=%s` | %s%s%s | %s | %s |\n", row->name, row->arg,
             has_default ? "`" : "", has_default ? row->fallback : "",
             has_default ? "`" : "", km_group_option_details[i].since,
             row->help);
}

static void test_group_keys(void **state)
{
    (void)state;
    char line[512];
    char *text = read_document();
    for (size_t i = 0; i < km_group_option_count; i++) {
        make_line(i, line, sizeof line);
        if (getenv("KAMA_PRINT") != NULL) {
            fputs(line, stdout);
        } else if (strstr(text, line) == NULL) {
            fail_msg("docs/OPTIONS.md lacks: %s", line);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
