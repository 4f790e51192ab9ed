/* SPDX-License-Identifier: MIT */
/*
 * Parsing the specification of a group.
 *
 * The parser works on a copy of the text and cuts it into strings in place: the
 * character that ends a word becomes its NUL, and quotes and backslashes are
 * removed by moving the rest of the word to the left.
 */
#include "group_spec.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"

#define KEYS_MAX 64 /* more keys than exist; each may be given once */

struct cursor {
    char *at;
    char stop; /* the character that ended the last word; '\0' at the end */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* -- words --------------------------------------------------------------- */

/* Reads a word behind its opening quote, and removes quotes and backslashes.
 * Returns NULL if the closing quote is missing. */
static char *read_quoted(struct cursor *c)
{
    char *word = c->at;
    char *to = word;
    while (*c->at != '"') {
        c->at += *c->at == '\\' ? 1 : 0;
        if (*c->at == '\0') {
            return NULL;
        }
        *to++ = *c->at++;
    }
    c->at++;
    *to = '\0';
    return word;
}

/* Ends the word at c->at. Returns false if the character there is neither one
 * of stops nor the end of the text. */
static bool take_stop(struct cursor *c, const char *stops)
{
    c->stop = *c->at;
    if (c->stop == '\0') {
        return true;
    }
    if (strchr(stops, c->stop) == NULL) {
        return false;
    }
    *c->at++ = '\0';
    return true;
}

/* Returns the next word, which ends at one of stops. Returns NULL for a
 * malformed one, and a sentence in *ret_why. */
static char *read_word(struct cursor *c, const char *stops,
                       const char **ret_why)
{
    if (*c->at == '"') {
        c->at++;
        char *word = read_quoted(c);
        if (word == NULL) {
            *ret_why = "a quote is not closed";
            return NULL;
        }
        *ret_why = "something follows a closing quote";
        return take_stop(c, stops) ? word : NULL;
    }
    char *word = c->at;
    while (*c->at != '\0' && strchr(stops, *c->at) == NULL) {
        if (is_blank(*c->at) || *c->at == '"') {
            *ret_why = "blanks and quotes have to stand in \"...\"";
            return NULL;
        }
        c->at++;
    }
    (void)take_stop(c, stops);
    return word;
}

/* -- keys ---------------------------------------------------------------- */

static kama_status set_key(struct group_spec *spec, const char *key,
                           const char *value)
{
    if (strcmp(key, "loader") == 0) {
        spec->loader = value[0] != '\0' ? value : NULL;
        return KAMA_OK;
    }
    if (strcmp(key, "name") == 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "name: not a key; the name of a group stands before "
                       "the colon");
    }
    return kama_group_options_set(&spec->options, key, value);
}

/* Refuses a key that was given before. */
static kama_status check_once(const char *const *seen, unsigned count,
                              const char *key)
{
    if (count == KEYS_MAX) {
        return km_fail(KAMA_ERR_INVALID, "too many keys");
    }
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(seen[i], key) == 0) {
            return km_fail(KAMA_ERR_INVALID, "%s: given twice", key);
        }
    }
    return KAMA_OK;
}

/* before: how many pairs were read. */
static kama_status refuse_word(const char *word, unsigned before)
{
    char shown[64];
    return km_fail(KAMA_ERR_INVALID, "\"%s\" is not KEY=VALUE%s",
                   km_bytes_quote(KAMA_STR(word), shown, sizeof shown),
                   before > 0 && word[0] != '\0'
                       ? "; a value with commas stands in \"...\""
                       : "");
}

static kama_status read_pair(struct group_spec *spec, struct cursor *c,
                             unsigned before, const char **ret_key)
{
    const char *why = NULL;
    const char *key = read_word(c, "=,", &why);
    if (key == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s", why);
    }
    if (c->stop != '=' || key[0] == '\0') {
        return refuse_word(key, before);
    }
    const char *value = read_word(c, ",", &why);
    if (value == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s: %s", key, why);
    }
    *ret_key = key;
    return set_key(spec, key, value);
}

static kama_status read_pairs(struct group_spec *spec, struct cursor *c)
{
    const char *seen[KEYS_MAX];
    unsigned count = 0;
    while (c->stop != '\0') {
        const char *key = NULL;
        kama_status status = read_pair(spec, c, count, &key);
        if (status == KAMA_OK) {
            status = check_once(seen, count, key);
        }
        if (status != KAMA_OK) {
            return status;
        }
        seen[count++] = key;
    }
    return KAMA_OK;
}

/* -- the whole ----------------------------------------------------------- */

static kama_status parse(struct group_spec *spec)
{
    const char *why = NULL;
    struct cursor c = {.at = spec->text, .stop = ':'};
    bool is_quoted = spec->text[0] == '"';
    spec->name = read_word(&c, ":", &why);
    if (spec->name == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s", why);
    }
    if (spec->name[0] == '\0') {
        return km_fail(KAMA_ERR_INVALID, "a name is needed");
    }
    if (!is_quoted && strchr(spec->name, ',') != NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "NAME:KEY=VALUE has a colon behind the name; a name "
                       "with commas stands in \"...\"");
    }
    spec->options.name = spec->name;
    return read_pairs(spec, &c);
}

/* Fails with the last sentence and the name of the group in front of it. If the
 * name could not be read, the text in its place is used. */
static kama_status name_group(kama_status status, const struct group_spec *spec,
                              const char *text)
{
    kama_bytes name = spec->name != NULL
                          ? KAMA_STR(spec->name)
                          : kama_bytes_make(text, strcspn(text, ":"));
    return km_fail(status, "group %s%.*s: %s", name.len == 0 ? "\"\"" : "",
                   (int)km_text_cut(name, 64), (const char *)name.data,
                   km_last_error());
}

kama_status group_spec_init(struct group_spec *ret_spec, const char *text)
{
    struct group_spec spec = {.text = km_mem_strdup(km_mem_default(), text)};
    if (spec.text == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a group");
    }
    kama_group_options_init(&spec.options);
    kama_status status = parse(&spec);
    if (status != KAMA_OK) {
        status = name_group(status, &spec, text);
        group_spec_fini(&spec);
        return status;
    }
    *ret_spec = spec;
    return KAMA_OK;
}

void group_spec_fini(struct group_spec *spec)
{
    km_mem_free(km_mem_default(), spec->text);
    memset(spec, 0, sizeof *spec);
}

/* -- passwords ----------------------------------------------------------- */

void group_spec_hide_passwords(char *text)
{
    char *at = text;
    while ((at = strstr(at, "//")) != NULL) {
        at += 2;
        char *end = at + strcspn(at, "/?# \"");
        char *colon = memchr(at, ':', (size_t)(end - at));
        char *host = NULL;
        for (char *p = at; p < end; p++) {
            host = *p == '@' ? p : host;
        }
        if (colon == NULL || host == NULL || colon > host) {
            continue;
        }
        size_t hidden = (size_t)(host - colon) - 1;
        size_t stars = hidden < 3 ? hidden : 3;
        memset(colon + 1, '*', stars);
        memmove(colon + 1 + stars, host, strlen(host) + 1);
    }
}
