/* SPDX-License-Identifier: MIT */
/* Texts of the network are escaped when they are printed. */
#include "findings.h"
#include "print.h"
#include "quote.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/msg/diagnose.h"

#include <stdarg.h>

static const struct {
    const char *id;
    const char *advice;
} rows[] = {
#define ROW(name, id, severities, meaning, advice) {id, advice},
    KM_FINDING_MAP(ROW)
#undef ROW
};

static const char *severity_name(enum km_severity severity)
{
    return severity == KM_SEVERITY_FAIL ? "fail" : "warn";
}

/* -- collecting ------------------------------------------------------------ */

static void found_fini(struct cli_found *found)
{
    const kama_allocator *mem = km_mem_default();
    km_mem_free(mem, found->id);
    km_mem_free(mem, found->advice);
    km_mem_free(mem, found->member);
    km_mem_free(mem, found->other);
    km_mem_free(mem, found->text);
}

static bool make_room(struct cli_findings *findings)
{
    if (findings->count < findings->cap) {
        return true;
    }
    size_t cap = findings->cap > 0 ? 2 * findings->cap : 16;
    struct cli_found *larger =
        km_mem_resize(km_mem_default(), findings->items, cap * sizeof *larger);
    if (larger != NULL) {
        findings->items = larger;
        findings->cap = cap;
    }
    return larger != NULL;
}

/* Takes the texts of the finding. */
static void add(struct cli_findings *findings, struct cli_found *found)
{
    if (found->id == NULL || found->advice == NULL || found->member == NULL ||
        found->text == NULL || !make_room(findings)) {
        found_fini(found);
        findings->failed = true;
        return;
    }
    findings->items[findings->count++] = *found;
    findings->failures += found->severity == KM_SEVERITY_FAIL;
    findings->warnings += found->severity == KM_SEVERITY_WARN;
}

void cli_findings_add(struct cli_findings *findings, enum km_finding finding,
                      enum km_severity severity, const struct cli_pair *about,
                      const char *fmt, ...)
{
    const kama_allocator *mem = km_mem_default();
    char text[2 * KM_ERROR_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)km_text_vprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct cli_found found = {
        .id = km_mem_strdup(mem, rows[finding].id),
        .advice = km_mem_strdup(mem, rows[finding].advice),
        .member = km_mem_strdup(mem, about->member),
        .other = about->other != NULL ? km_mem_strdup(mem, about->other) : NULL,
        .text = km_mem_strdup(mem, text),
        .severity = severity,
    };
    add(findings, &found);
}

static char *copy(kama_bytes bytes)
{
    return km_mem_strndup(km_mem_default(), bytes.len > 0 ? bytes.data : "",
                          bytes.len);
}

void cli_findings_add_check(struct cli_findings *findings, const char *member,
                            const struct km_msg_doctor_check *check)
{
    struct cli_found found = {
        .id = copy(check->name),
        .advice = copy(check->advice),
        .member = km_mem_strdup(km_mem_default(), member),
        .text = copy(check->text),
        .severity = check->result == KM_MSG_CHECK_FAIL ? KM_SEVERITY_FAIL
                                                       : KM_SEVERITY_WARN,
    };
    if (check->result == KM_MSG_CHECK_OK) {
        found_fini(&found);
        return;
    }
    add(findings, &found);
}

void cli_findings_fini(struct cli_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        found_fini(&findings->items[i]);
    }
    km_mem_free(km_mem_default(), findings->items);
    *findings = (struct cli_findings){0};
}

/* -- printing -------------------------------------------------------------- */

void cli_findings_print(const struct cli_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct cli_found *found = &findings->items[i];
        fputs(found->severity == KM_SEVERITY_FAIL ? "FAIL  " : "WARN  ",
              stdout);
        cli_quote_write_sentence(stdout, found->id);
        fputs("  ", stdout);
        cli_quote_write(stdout, KAMA_STR(found->member));
        fputs(": ", stdout);
        cli_quote_write_sentence(stdout, found->text);
        fputs("\n      ", stdout);
        cli_quote_write_sentence(stdout, found->advice);
        putchar('\n');
    }
}

static json_t *found_json(const struct cli_found *found)
{
    json_t *o = json_object();
    bool made = cli_json_set_bytes(o, "id", KAMA_STR(found->id)) &&
                cli_json_set(o, "severity",
                             json_string(severity_name(found->severity))) &&
                cli_json_set_bytes(o, "member", KAMA_STR(found->member)) &&
                (found->other != NULL
                     ? cli_json_set_bytes(o, "other", KAMA_STR(found->other))
                     : cli_json_set(o, "other", json_null())) &&
                cli_json_set_bytes(o, "text", KAMA_STR(found->text)) &&
                cli_json_set_bytes(o, "advice", KAMA_STR(found->advice));
    return cli_json_made(o, made);
}

json_t *cli_findings_json(const struct cli_findings *findings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < findings->count; i++) {
        if (json_array_append_new(array, found_json(&findings->items[i])) !=
            0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
