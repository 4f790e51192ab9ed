/* SPDX-License-Identifier: MIT */
/* docs/DOCTOR.md has a line for each finding, with the words of its row, and no
 * other. If KAMA_PRINT is set, the test prints the lines that belong there. */
#include "services/finding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE(name, id, severities, meaning, advice)                            \
    "| `" id "` | " severities " | " meaning " | " advice " |\n",
static const char *const lines[] = {KM_FINDING_MAP(LINE)};

static char *read_document(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/docs/DOCTOR.md", getenv("KAMA_SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

static void test_each_finding_has_its_line(void **state)
{
    (void)state;
    char *text = read_document();
    size_t in_document = 0;
    for (const char *at = text; (at = strstr(at, "\n| `")) != NULL; at++) {
        in_document++;
    }
    for (size_t i = 0; i < KM_FINDING_COUNT; i++) {
        if (getenv("KAMA_PRINT") != NULL) {
            fputs(lines[i], stdout);
        } else if (strstr(text, lines[i]) == NULL) {
            fail_msg("docs/DOCTOR.md lacks: %s", lines[i]);
        }
    }
    if (getenv("KAMA_PRINT") == NULL) {
        assert_int_equal(in_document, KM_FINDING_COUNT);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_finding_has_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
