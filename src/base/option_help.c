/* SPDX-License-Identifier: MIT */
/*
 * The listings made from option rows.
 *
 * All of them write through one small writer, which remembers the column it is
 * in and the first error, so that the code below needs no checks.
 */
#include "base/option_help.h"

#include "base/option_text.h"

#define HELP_COLUMNS 80
#define HELP_INDENT 28

/* -- writing ------------------------------------------------------------- */

struct writer {
    struct km_buf *out;
    kama_status status; /* the first error stays */
    size_t column;      /* bytes since the beginning of the line */
};

static void put(struct writer *w, const char *text, size_t len)
{
    kama_status status = km_buf_append(w->out, text, len);
    w->status = w->status == KAMA_OK ? status : w->status;
    w->column += len;
}

static void put_str(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_line_end(struct writer *w)
{
    put_str(w, "\n");
    w->column = 0;
}

/* Writes blanks up to a column. */
static void put_indent(struct writer *w, size_t column)
{
    while (w->column < column) {
        put_str(w, " ");
    }
}

/* Writes a word in the column of help texts, on the next line if it does not
 * fit into this one. A word that is longer than a line is cut into lines. */
static void put_word(struct writer *w, const char *word, size_t len)
{
    if (w->column > HELP_INDENT && w->column + 1 + len > HELP_COLUMNS) {
        put_line_end(w);
    } else if (w->column > HELP_INDENT) {
        put_str(w, " ");
    }
    put_indent(w, HELP_INDENT);
    while (len > HELP_COLUMNS - HELP_INDENT) {
        put(w, word, HELP_COLUMNS - HELP_INDENT);
        put_line_end(w);
        put_indent(w, HELP_INDENT);
        word += HELP_COLUMNS - HELP_INDENT;
        len -= HELP_COLUMNS - HELP_INDENT;
    }
    put(w, word, len);
}

static void put_words(struct writer *w, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (len > 0) {
            put_word(w, text, len);
        }
        text += len + (text[len] == ' ' ? 1 : 0);
    }
}

/* -- help ---------------------------------------------------------------- */

/* Returns whether a row is a BOOL whose default is true, so that its flag is
 * only useful as --no-NAME. */
static bool is_on_by_default(const struct km_option *row)
{
    return row->kind == KM_OPTION_BOOL && row->fallback != NULL &&
           strcmp(row->fallback, "0") != 0 &&
           strcmp(row->fallback, "false") != 0;
}

static bool has_default(const struct km_option *row)
{
    return row->fallback != NULL && row->fallback[0] != '\0' &&
           row->kind != KM_OPTION_BOOL;
}

/* Writes "--max-connections=N", or "--[no-]log". */
static void put_flag(struct writer *w, const struct km_option *row)
{
    char shown[KM_OPTION_SHOWN_BYTES];
    km_option_show_name(row->name, shown);
    put_str(w, is_on_by_default(row) ? "--[no-]" : "--");
    put_str(w, shown);
    if (row->kind != KM_OPTION_BOOL && row->arg != NULL) {
        put_str(w, "=");
        put_str(w, row->arg);
    }
}

/* Writes the sentence and the default of a row behind its name, in the column of
 * help texts. */
static void put_help_text(struct writer *w, const struct km_option *row)
{
    if (w->column + 2 > HELP_INDENT) {
        put_line_end(w);
    }
    put_indent(w, HELP_INDENT);
    put_words(w, row->help);
    if (row->kind == KM_OPTION_LIST) {
        put_words(w, "(repeatable)");
    }
    if (has_default(row)) {
        put_words(w, "[default:");
        put_words(w, row->fallback);
        put_str(w, "]");
    }
    put_line_end(w);
}

/* Returns whether a heading has a row that is shown. */
static bool has_rows(const struct km_options *o, size_t heading)
{
    for (size_t i = heading + 1; i < o->row_count; i++) {
        if (o->rows[i].kind == KM_OPTION_HEADING) {
            return false;
        }
        if (o->rows[i].kind != KM_OPTION_LATER) {
            return true;
        }
    }
    return false;
}

kama_status km_options_help(const struct km_options *o, struct km_buf *out)
{
    struct writer w = {.out = out};
    for (size_t i = 0; i < o->row_count; i++) {
        const struct km_option *row = &o->rows[i];
        if (row->kind == KM_OPTION_HEADING && has_rows(o, i)) {
            put_str(&w, i > 0 ? "\n" : "");
            put_str(&w, row->help);
            put_str(&w, ":");
            put_line_end(&w);
        } else if (row->kind < KM_OPTION_LATER) {
            put_str(&w, "  ");
            put_flag(&w, row);
            put_help_text(&w, row);
        }
    }
    return w.status;
}

kama_status km_option_keys_help(const struct km_option *rows, size_t row_count,
                                struct km_buf *out)
{
    struct writer w = {.out = out};
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].kind < KM_OPTION_LATER) {
            put_str(&w, "  ");
            put_str(&w, rows[i].name);
            put_str(&w, "=");
            put_str(&w, rows[i].arg);
            put_help_text(&w, &rows[i]);
        }
    }
    return w.status;
}

/* -- the values ---------------------------------------------------------- */

static void put_quoted(struct writer *w, const char *text)
{
    size_t cap = 4 * strlen(text) + 4; /* if every byte becomes \xNN */
    put_str(w, "\"");
    if (w->status == KAMA_OK) {
        w->status = km_buf_reserve(w->out, cap);
    }
    if (w->status == KAMA_OK) {
        char *to = (char *)w->out->data + w->out->len;
        w->out->len += strlen(km_bytes_quote(KAMA_STR(text), to, cap));
    }
    put_str(w, "\"");
}

static void put_text(struct writer *w, const char *text)
{
    if (text != NULL) {
        put_quoted(w, text);
    } else {
        put_str(w, "(none)");
    }
}

static void put_number(struct writer *w, const struct km_option *row,
                       const void *field)
{
    char text[KM_OPTION_NUMBER_BYTES];
    uint64_t number;
    memcpy(&number, field, sizeof number); /* it is an int64_t or a uint64_t */
    km_option_format_number(row->kind, number, text);
    put_str(w, text);
}

/* Writes value number i of a row. Only a LIST row has more than one value. */
static void put_value(struct writer *w, const struct km_option *row,
                      const void *field, size_t i)
{
    if (row->kind == KM_OPTION_BOOL) {
        put_str(w, *(const uint32_t *)field != 0 ? "true" : "false");
    } else if (row->kind == KM_OPTION_STRING) {
        put_text(w, *(const char *const *)field);
    } else if (row->kind == KM_OPTION_LIST) {
        const struct km_option_list *list = field;
        put_text(w, i < list->count ? list->items[i] : NULL);
    } else {
        put_number(w, row, field);
    }
}

/* Writes "name = value  # origin". */
static void put_setting(struct writer *w, const struct km_options *o,
                        const struct km_option *row, size_t i)
{
    static const char *const origins[] = {
        [KM_ORIGIN_DEFAULT] = "default",
        [KM_ORIGIN_FILE] = "file",
        [KM_ORIGIN_ENV] = "environment",
        [KM_ORIGIN_FLAG] = "flag",
    };
    char shown[KM_OPTION_SHOWN_BYTES];
    km_option_show_name(row->name, shown);
    put_str(w, shown);
    put_str(w, " = ");
    put_value(w, row, km_option_field(o, row), i);
    put_str(w, "  # ");
    put_str(w, origins[o->origins[row - o->rows]]);
    put_line_end(w);
}

kama_status km_options_print(const struct km_options *o, struct km_buf *out)
{
    struct writer w = {.out = out};
    for (size_t i = 0; i < o->row_count; i++) {
        const struct km_option *row = &o->rows[i];
        if (row->kind >= KM_OPTION_LATER) {
            continue;
        }
        put_setting(&w, o, row, 0);
        if (row->kind == KM_OPTION_LIST) {
            const struct km_option_list *list = km_option_field(o, row);
            for (size_t item = 1; item < list->count; item++) {
                put_setting(&w, o, row, item);
            }
        }
    }
    return w.status;
}

/* -- the documentation --------------------------------------------------- */

/* Writes a row of the Markdown table. */
static void put_document_row(struct writer *w, const struct km_option *row,
                             const char *prefix)
{
    char env[2 * KM_OPTION_SHOWN_BYTES];
    km_option_env_name(prefix, row->name, sizeof env, env);
    put_str(w, "| `");
    put_flag(w, row);
    put_str(w, "` | `");
    put_str(w, env);
    put_str(w, has_default(row) ? "` | `" : "` | ");
    put_str(w, has_default(row) ? row->fallback : "");
    put_str(w, has_default(row) ? "` | " : "| ");
    put_str(w, row->help);
    put_str(w, row->kind == KM_OPTION_LIST ? " Repeatable. |" : " |");
    put_line_end(w);
}

/* Begins a Markdown table, under a heading unless that is NULL. */
static void put_document_head(struct writer *w, const char *heading)
{
    if (heading != NULL) {
        put_str(w, w->out->len > 0 ? "\n## " : "## ");
        put_str(w, heading);
        put_str(w, "\n\n");
    }
    put_str(w, "| flag | environment | default | what it does |\n"
               "| --- | --- | --- | --- |\n");
}

kama_status km_options_document(const struct km_options *o, const char *prefix,
                                struct km_buf *out)
{
    struct writer w = {.out = out};
    bool has_head = false;
    for (size_t i = 0; i < o->row_count; i++) {
        const struct km_option *row = &o->rows[i];
        if (row->kind == KM_OPTION_HEADING && has_rows(o, i)) {
            put_document_head(&w, row->help);
            has_head = true;
        } else if (row->kind < KM_OPTION_LATER) {
            if (!has_head) {
                put_document_head(&w, NULL);
                has_head = true;
            }
            put_document_row(&w, row, prefix);
        }
    }
    return w.status;
}
