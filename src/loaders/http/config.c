/* SPDX-License-Identifier: MIT */
/*
 * Reading a URL and the options behind it.
 *
 * libcurl parses the site later (origin.c). The parts that a key could change are
 * checked here: the place of {key}, and characters that would end the path.
 */
#include "config.h"

#include "../common/call.h"
#include "../common/path.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char BLANKS[] = " \t\r\n";
static const char SHORT_SCHEME[] = "http:";

/* -- the URL ------------------------------------------------------------ */

/* Returns the text behind the scheme, or NULL for another scheme. */
static const char *skip_scheme(const char *url)
{
    static const char *const schemes[] = {"//", "http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(url, schemes[i], len) == 0) {
            return url + len;
        }
    }
    return NULL;
}

/* Returns whether the URL has a blank, a control character, a fragment or a
 * backslash. */
static bool has_bad_character(const char *url)
{
    for (; *url != '\0'; url++) {
        unsigned char c = (unsigned char)*url;
        if (c <= ' ' || c == 0x7f || c == '#' || c == '\\') {
            return true;
        }
    }
    return false;
}

/* Returns whether there is a % that does not begin an encoded byte. A key
 * behind it could complete one. */
static bool has_bad_percent(const char *url)
{
    while ((url = strchr(url, '%')) != NULL) {
        if (!isxdigit((unsigned char)url[1]) ||
            !isxdigit((unsigned char)url[2])) {
            return true;
        }
        url++;
    }
    return false;
}

/* Returns NULL, or a sentence about the fault of the URL, whose path begins at
 * path. */
static const char *check_url(const char *url, const char *path)
{
    const char *host = skip_scheme(url);
    const char *slot = strstr(host, KM_PATH_SLOT);
    if (has_bad_character(url)) {
        return "a control character, # or \\ cannot be in the URL";
    }
    if (path == host) {
        return "the URL names no host";
    }
    if (slot == NULL || (slot < path && strstr(path, KM_PATH_SLOT) == NULL)) {
        return "the URL has no {key} in its path or query";
    }
    if (slot < path) {
        return "{key} cannot choose the host";
    }
    if (has_bad_percent(url)) {
        return "a % in the URL is not followed by two hexadecimal digits";
    }
    return NULL;
}

/* Returns prefix and text as one string for free(), or NULL without memory. */
static char *join(const char *prefix, const char *text, size_t len)
{
    size_t prefix_len = strlen(prefix);
    char *joined = malloc(prefix_len + len + 1);
    if (joined != NULL) {
        memcpy(joined, prefix, prefix_len);
        memcpy(joined + prefix_len, text, len);
        joined[prefix_len + len] = '\0';
    }
    return joined;
}

/* Takes url apart into config, whose strings are NULL without memory. Returns
 * NULL, or a sentence about the fault. */
static const char *split_url(const char *url, struct km_http_config *config)
{
    const char *host = skip_scheme(url);
    if (host == NULL) {
        return "it is not a URL of http or https";
    }
    const char *path = host + strcspn(host, "/?");
    const char *wrong = check_url(url, path);
    if (wrong != NULL) {
        return wrong;
    }
    config->site =
        join(url[0] == '/' ? SHORT_SCHEME : "", url, (size_t)(path - url));
    config->path = join(path[0] == '?' ? "/" : "", path, strlen(path));
    return NULL;
}

/* -- options ------------------------------------------------------------ */

static kama_status parse_option(const char *word, struct km_http_config *config,
                                char *error, size_t cap)
{
    static const char NAME[] = "redirects=";
    const char *value = word + sizeof NAME - 1;
    if (strncmp(word, NAME, sizeof NAME - 1) != 0) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID,
                            "\"%.64s\" behind a blank is no option; after "
                            "the URL there may be redirects=same (the "
                            "default) or redirects=any",
                            word);
    }
    if (strcmp(value, "same") != 0 && strcmp(value, "any") != 0) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID,
                            "redirects: \"%.64s\" is neither same nor any",
                            value);
    }
    config->redirects = value[0] == 'a' ? KM_REDIRECTS_ANY : KM_REDIRECTS_SAME;
    return KAMA_OK;
}

static kama_status parse_options(char *rest, struct km_http_config *config,
                                 char *error, size_t cap)
{
    char *more = NULL;
    char *word = strtok_r(rest, BLANKS, &more);
    kama_status status = KAMA_OK;
    while (word != NULL && status == KAMA_OK) {
        status = parse_option(word, config, error, cap);
        word = strtok_r(NULL, BLANKS, &more);
    }
    return status;
}

/* -- the whole ---------------------------------------------------------- */

/* Parses text, a copy that is cut into pieces. */
static kama_status parse(char *text, struct km_http_config *config, char *error,
                         size_t cap)
{
    size_t url_len = strcspn(text, BLANKS);
    char *rest = text + url_len + (text[url_len] != '\0');
    text[url_len] = '\0';
    const char *wrong = split_url(text, config);
    if (wrong != NULL) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID, "%s", wrong);
    }
    if (config->site == NULL || config->path == NULL) {
        return km_open_fail(error, cap, KAMA_ERR_NO_MEMORY, "out of memory");
    }
    return parse_options(rest, config, error, cap);
}

kama_status km_http_config_parse(const char *text,
                                 struct km_http_config *ret_config, char *error,
                                 size_t cap)
{
    struct km_http_config config = {.redirects = KM_REDIRECTS_SAME};
    char *copy = strdup(text);
    if (copy == NULL) {
        return km_open_fail(error, cap, KAMA_ERR_NO_MEMORY, "out of memory");
    }
    kama_status status = parse(copy, &config, error, cap);
    free(copy);
    if (status != KAMA_OK) {
        km_http_config_fini(&config);
        return status;
    }
    *ret_config = config;
    return KAMA_OK;
}

void km_http_config_fini(struct km_http_config *config)
{
    free(config->site);
    free(config->path);
    config->site = NULL;
    config->path = NULL;
}
