/* SPDX-License-Identifier: MIT */
/* The URL of the http loader and the headers of a response: text up to a NUL,
 * then a key that is also a header line. */
#include "base/assert.h"
#include "loaders/http/freshness.c"
#include "loaders/http/template.c"

static void check_url(const struct km_template *template, const char *url)
{
    KM_ASSERT(strncasecmp(url, "http", 4) == 0);
    KM_ASSERT(!has_bad_character(url));
    size_t host_len = strcspn(skip_scheme(url), "/?");
    KM_ASSERT(strncmp(url, template->url,
                      (size_t)(skip_scheme(url) - url) + host_len) == 0);
}

static void read_headers(kama_bytes line)
{
    struct km_freshness freshness;
    km_freshness_init(&freshness);
    km_freshness_read(&freshness, line.data, line.len);
    km_freshness_read(&freshness, line.data, line.len);
    int64_t ttl_ms = km_freshness_ttl_ms(&freshness);
    KM_ASSERT(ttl_ms >= 0 && ttl_ms <= SECONDS_MAX * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = strndup((const char *)data, len);
    KM_ASSERT(text != NULL);
    size_t used = strlen(text) + (strlen(text) < len);
    kama_bytes key = kama_bytes_make(data + used, len - used);
    struct km_template template;
    if (km_template_new(text, &template) == NULL) {
        char *url = km_template_url(&template, key);
        KM_ASSERT(url != NULL);
        check_url(&template, url);
        free(url);
        km_template_fini(&template);
    }
    read_headers(key);
    free(text);
    return 0;
}
