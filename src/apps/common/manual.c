/* SPDX-License-Identifier: MIT */
/* Writing a manual page: escaping for roff, the parts of a page, and the rows
 * of option tables. */
#include "manual.h"

#include "base/option_text.h"

#include <stdio.h>

/* -- text ---------------------------------------------------------------- */

/* Appends bytes, unless there was an error before. */
static void put(struct manual *m, const char *text, size_t len)
{
    if (m->status == KAMA_OK) {
        m->status = km_buf_append(m->out, text, len);
    }
}

static void put_str(struct manual *m, const char *text)
{
    put(m, text, strlen(text));
}

/* Returns the escape for a character that means something to roff, or NULL. */
static const char *escape_of(char c)
{
    static const struct {
        char c;
        const char *escape;
    } escapes[] = {{'\\', "\\e"},
                   {'-', "\\-"},
                   {'\'', "\\(aq"},
                   {'^', "\\(ha"},
                   {'~', "\\(ti"}};
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
        if (escapes[i].c == c) {
            return escapes[i].escape;
        }
    }
    return NULL;
}

/* Writes the character of text at `at` as roff has it. A line that begins with
 * a dot or a quote would be a request, so that these are escaped there. */
static void put_char(struct manual *m, const char *text, const char *at)
{
    const char *escape = escape_of(*at);
    bool begins_line = at == text || at[-1] == '\n';
    if (begins_line && (*at == '.' || *at == '\'')) {
        put_str(m, "\\&");
    }
    if (escape != NULL) {
        put_str(m, escape);
    } else {
        put(m, at, 1);
    }
}

/* Writes a text without markup. */
static void put_plain(struct manual *m, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        put_char(m, text, at);
    }
}

/* Writes a text in which backquotes turn bold on and off. */
static void put_marked(struct manual *m, const char *text)
{
    bool bold = false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '`') {
            bold = !bold;
            put_str(m, bold ? "\\fB" : "\\fR");
        } else {
            put_char(m, text, at);
        }
    }
    put_str(m, bold ? "\\fR" : "");
}

/* -- parts --------------------------------------------------------------- */

void manual_begin(struct manual *m, struct km_buf *out, const char *name,
                  const char *section, const char *brief)
{
    m->out = out;
    m->status = km_buf_printf(
        out, ".TH \"%s\" \"%s\" \"\" \"KamaCache %s\" \"KamaCache\"\n", name,
        section, kama_version());
    /* Names of variables and flags must not be cut at the end of a line. */
    put_str(m, ".nh\n.ad l\n");
    manual_section(m, "NAME");
    put_plain(m, name);
    put_str(m, " \\- ");
    put_plain(m, brief);
    put_str(m, "\n");
}

/* Writes a heading with the request of its level. */
static void put_heading(struct manual *m, const char *request,
                        const char *title)
{
    put_str(m, request);
    put_str(m, " \"");
    put_plain(m, title);
    put_str(m, "\"\n");
    m->after_heading = true;
}

/* Makes the space between two paragraphs, which a heading has made already. */
static void begin_paragraph(struct manual *m)
{
    put_str(m, m->after_heading ? "" : ".PP\n");
    m->after_heading = false;
}

void manual_section(struct manual *m, const char *title)
{
    put_heading(m, ".SH", title);
}

void manual_subsection(struct manual *m, const char *title)
{
    put_heading(m, ".SS", title);
}

void manual_text(struct manual *m, const char *text)
{
    begin_paragraph(m);
    put_marked(m, text);
    put_str(m, "\n");
}

/* Writes the term of an item. Its meaning follows in lines of its own. */
static void begin_item(struct manual *m, const char *term)
{
    m->after_heading = false;
    put_str(m, ".TP\n\\fB");
    put_plain(m, term);
    put_str(m, "\\fR\n");
}

void manual_item(struct manual *m, const char *term, const char *text)
{
    begin_item(m, term);
    put_marked(m, text);
    put_str(m, "\n");
}

void manual_example(struct manual *m, const char *lines)
{
    size_t len = strlen(lines);
    bool is_complete = len > 0 && lines[len - 1] == '\n';
    begin_paragraph(m);
    put_str(m, ".RS 4\n.nf\n");
    put_plain(m, lines);
    put_str(m, is_complete ? "" : "\n");
    put_str(m, ".fi\n.RE\n");
}

kama_status manual_end(const struct manual *m)
{
    return m->status;
}

/* -- rows ---------------------------------------------------------------- */

/* Begins the item of an option: "--max-connections=N". */
static void put_flag(struct manual *m, const struct km_option *row)
{
    char shown[KM_OPTION_SHOWN_BYTES];
    char term[2 * KM_OPTION_SHOWN_BYTES];
    bool has_arg = row->kind != KM_OPTION_BOOL && row->arg != NULL;
    km_option_show_name(row->name, shown);
    snprintf(term, sizeof term, "--%s%s%s", shown, has_arg ? "=" : "",
             has_arg ? row->arg : "");
    begin_item(m, term);
}

/* Writes the sentences behind the one of the row: whether it can be repeated,
 * its default and its variable. */
static void put_details(struct manual *m, const struct km_option *row,
                        const char *prefix)
{
    if (row->kind == KM_OPTION_LIST) {
        put_plain(m, "It may be given more than once.\n");
    }
    if (row->kind != KM_OPTION_BOOL && row->fallback != NULL) {
        put_str(m, "Default: \\fB");
        put_plain(m, row->fallback);
        put_str(m, "\\fR.\n");
    }
    if (prefix != NULL) {
        char variable[2 * KM_OPTION_SHOWN_BYTES];
        km_option_env_name(prefix, row->name, sizeof variable, variable);
        put_str(m, "Variable: \\fB");
        put_plain(m, variable);
        put_str(m, "\\fR.\n");
    }
}

void manual_options(struct manual *m, const struct km_option *rows,
                    size_t row_count, const char *prefix)
{
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].kind == KM_OPTION_HEADING) {
            manual_subsection(m, rows[i].help);
        } else if (rows[i].kind != KM_OPTION_LATER) {
            put_flag(m, &rows[i]);
            put_marked(m, rows[i].help);
            put_str(m, "\n");
            put_details(m, &rows[i], prefix);
        }
    }
}

void manual_keys(struct manual *m, const struct km_option *rows,
                 size_t row_count)
{
    for (size_t i = 0; i < row_count; i++) {
        char term[2 * KM_OPTION_SHOWN_BYTES];
        if (rows[i].kind >= KM_OPTION_LATER) {
            continue;
        }
        snprintf(term, sizeof term, "%s=%s", rows[i].name, rows[i].arg);
        begin_item(m, term);
        put_marked(m, rows[i].help);
        put_str(m, "\n");
        put_details(m, &rows[i], NULL);
    }
}
