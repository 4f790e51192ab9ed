/* SPDX-License-Identifier: MIT */
/* Fills a URL of the http loader and reads a response. The input is the URL up
 * to a NUL; the rest is used as the key, as a header line and as a body. */
#include "base/assert.h"
#include "loaders/common/blob.c"
#include "loaders/common/call.c"
#include "loaders/common/path.c"
#include "loaders/http/coding.c"
#include "loaders/http/config.c"
#include "loaders/http/field.c"
#include "loaders/http/freshness.c"
#include "loaders/http/template.c"

/* A filled path is still one path: no character of the key ends it or begins a
 * query. */
static void check_filled(const char *template, const char *filled)
{
    KM_ASSERT(filled[0] == '/');
    KM_ASSERT(!has_bad_character(filled) && !has_bad_percent(filled));
    KM_ASSERT((strchr(filled, '?') != NULL) == (strchr(template, '?') != NULL));
}

/* Decodes %XX in place, once. Returns the new length. */
static size_t decode_once(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        int byte = i + 2 < len && text[i] == '%'
                       ? hex_number((unsigned char *)text + i + 1, 2)
                       : -1;
        text[out++] = byte < 0 ? text[i] : (char)byte;
        i += byte < 0 ? 0 : 2;
    }
    return out;
}

/* Counts the segments of dots that a server sees in a path when it decodes it
 * `rounds` times. This is slower and simpler than the loader's own way. */
static size_t dots_after(const char *path, unsigned rounds)
{
    size_t len = strcspn(path, "?");
    char *text = malloc(len + 1);
    KM_ASSERT(text != NULL);
    memcpy(text, path, len);
    for (unsigned i = 0; i < rounds; i++) {
        len = decode_once(text, len);
    }
    size_t count = count_dots((unsigned char *)text, len);
    free(text);
    return count;
}

/* However often a server decodes the path, it must not see more segments of
 * dots than with a harmless key. */
static void check_dots(const char *template, const char *filled)
{
    char *harmless = km_template_fill("", template, kama_bytes_str("x"));
    KM_ASSERT(harmless != NULL);
    for (unsigned rounds = 0; rounds < 6; rounds++) {
        KM_ASSERT(dots_after(filled, rounds) <= dots_after(harmless, rounds));
    }
    free(harmless);
}

static void read_headers(kama_bytes line)
{
    struct km_freshness freshness;
    km_freshness_init(&freshness);
    km_freshness_read(&freshness, line.data, line.len);
    km_freshness_read(&freshness, line.data, line.len);
    kama_sink_options options;
    km_freshness_options(&freshness, &options);
    KM_ASSERT(options.ttl_ms >= 0 && options.ttl_ms <= SECONDS_MAX * 1000);
    KM_ASSERT(options.flags == 0 || options.ttl_ms == 1);
}

static void decode_body(kama_bytes bytes)
{
    static const char *const lines[] = {"content-encoding:gzip",
                                        "content-encoding:deflate"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct km_coding coding;
        struct km_blob body;
        km_coding_init(&coding);
        km_blob_init(&body, 1 << 16);
        KM_ASSERT(km_coding_read(&coding, lines[i], strlen(lines[i])));
        size_t half = bytes.len / 2;
        enum km_coding_result result =
            km_coding_decode(&coding, bytes.data, half, &body);
        if (result == KM_CODING_OK) {
            result = km_coding_decode(&coding, (const char *)bytes.data + half,
                                      bytes.len - half, &body);
        }
        KM_ASSERT(body.len <= body.max);
        KM_ASSERT(result != KM_CODING_BROKEN || coding.reason != NULL);
        km_blob_fini(&body);
        (void)km_coding_read(&coding, bytes.data, bytes.len);
        km_coding_fini(&coding);
    }
}

static void fill_path(const char *template, kama_bytes key)
{
    char *filled = km_template_fill("", template, key);
    KM_ASSERT(filled != NULL);
    check_filled(template, filled);
    if (km_template_check(template, key) == KM_PATH_STAYS) {
        check_dots(template, filled);
    }
    free(filled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = strndup((const char *)data, len);
    KM_ASSERT(text != NULL);
    size_t used = strlen(text) + (strlen(text) < len);
    kama_bytes key = kama_bytes_make(data + used, len - used);
    struct km_http_config config;
    char error[256];
    if (km_http_config_parse(text, &config, error, sizeof error) == KAMA_OK) {
        fill_path(config.path, key);
        km_http_config_fini(&config);
    }
    read_headers(key);
    decode_body(key);
    free(text);
    return 0;
}
