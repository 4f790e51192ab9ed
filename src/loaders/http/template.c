/* SPDX-License-Identifier: MIT */
/* Checking a key, and putting it into a template. */
#include "template.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char SLOT[] = KM_PATH_SLOT;
enum { SLOT_LEN = sizeof SLOT - 1 };

/* -- filling ------------------------------------------------------------ */

/* Returns how often {key} occurs. */
static size_t count_slots(const char *template)
{
    size_t count = 0;
    while ((template = strstr(template, SLOT)) != NULL) {
        template += SLOT_LEN;
        count++;
    }
    return count;
}

/* Returns whether the byte stands for itself in a URL. */
static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* Writes the encoded key to out. Returns the end of it. */
static char *encode(kama_bytes key, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *in = key.data;
    for (size_t i = 0; i < key.len; i++) {
        if (is_plain(in[i])) {
            *out++ = (char)in[i];
            continue;
        }
        *out++ = '%';
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    return out;
}

char *km_template_fill(const char *prefix, const char *template, kama_bytes key)
{
    size_t prefix_len = strlen(prefix);
    char *url = malloc(prefix_len + strlen(template) + 1 +
                       count_slots(template) * 3 * key.len);
    if (url == NULL) {
        return NULL;
    }
    memcpy(url, prefix, prefix_len);
    char *out = url + prefix_len;
    const char *slot;
    while ((slot = strstr(template, SLOT)) != NULL) {
        memcpy(out, template, (size_t)(slot - template));
        out = encode(key, out + (slot - template));
        template = slot + SLOT_LEN;
    }
    strcpy(out, template);
    return url;
}

/* -- keys --------------------------------------------------------------- */

/* Returns whether the template writes a parameter of the query as a path. */
static bool has_slash(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '/' || strncasecmp(text + i, "%2f", 3) == 0 ||
            strncasecmp(text + i, "%5c", 3) == 0) {
            return true;
        }
    }
    return false;
}

/* Checks the parameters of the query that contain {key} and are paths. */
static enum km_path_verdict check_parameters(const char *query, kama_bytes key)
{
    enum km_path_verdict verdict = KM_PATH_STAYS;
    while (verdict == KM_PATH_STAYS) {
        size_t len = strcspn(query, "&");
        if (memmem(query, len, SLOT, SLOT_LEN) != NULL &&
            has_slash(query, len)) {
            verdict = km_path_check(kama_bytes_make(query, len), key);
        }
        if (query[len] == '\0') {
            break;
        }
        query += len + 1;
    }
    return verdict;
}

enum km_path_verdict km_template_check(const char *template, kama_bytes key)
{
    size_t len = strcspn(template, "?");
    enum km_path_verdict verdict = KM_PATH_STAYS;
    if (memmem(template, len, SLOT, SLOT_LEN) != NULL) {
        verdict = km_path_check(kama_bytes_make(template, len), key);
    }
    if (verdict == KM_PATH_STAYS && template[len] == '?') {
        verdict = check_parameters(template + len + 1, key);
    }
    return verdict;
}
