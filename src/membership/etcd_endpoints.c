/* SPDX-License-Identifier: MIT */
/* Cutting the list of endpoints in place, in one copy of the text. */
#include "membership/etcd_endpoints.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"

#include <string.h>

#define SHOWN_BYTES 80 /* of an endpoint, in a sentence */

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Ends the element at the spaces behind it. Returns it without those before. */
static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t')) {
        len--;
    }
    text[len] = '\0';
    return text;
}

/* Returns the part of a URL between "http://" and an optional "/". */
static kama_status strip_url(char *text, char **ret_address)
{
    if (begins(text, "https://")) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "etcd endpoint \"%.*s\": https is not in this version; "
                       "use http://host:port",
                       KM_TEXT_UP_TO(SHOWN_BYTES, text));
    }
    char *address = begins(text, "http://") ? text + strlen("http://") : text;
    size_t len = strlen(address);
    if (address != text && len > 0 && address[len - 1] == '/') {
        address[len - 1] = '\0';
    }
    *ret_address = address;
    return KAMA_OK;
}

static kama_status check_address(const char *address)
{
    struct km_address parts;
    kama_status status = km_address_split(address, &parts);
    if (status != KAMA_OK) {
        return km_fail(status, "etcd endpoint \"%.*s\": %s",
                       KM_TEXT_UP_TO(SHOWN_BYTES, address), km_last_error());
    }
    if (parts.host[0] == '\0' || strcmp(parts.port, "0") == 0 ||
        strchr(address, '/') != NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "etcd endpoint \"%.*s\": not an address to connect to; "
                       "write http://host:port",
                       KM_TEXT_UP_TO(SHOWN_BYTES, address));
    }
    return KAMA_OK;
}

static kama_status add(struct km_etcd_endpoints *endpoints, char *text)
{
    char *address = NULL;
    if (endpoints->count == KM_ETCD_ENDPOINTS_MAX) {
        return km_fail(KAMA_ERR_INVALID,
                       "etcd endpoint \"%.*s\" is one too many; at most "
                       "" KM_TEXT_OF(KM_ETCD_ENDPOINTS_MAX) " are allowed",
                       KM_TEXT_UP_TO(SHOWN_BYTES, text));
    }
    kama_status status = strip_url(text, &address);
    if (status == KAMA_OK) {
        status = check_address(address);
    }
    if (status == KAMA_OK) {
        endpoints->at[endpoints->count++] = address;
    }
    return status;
}

kama_status km_etcd_endpoints_init(struct km_etcd_endpoints *endpoints,
                                   const kama_allocator *mem, const char *text)
{
    *endpoints = (struct km_etcd_endpoints){.mem = km_mem_or_default(mem)};
    endpoints->texts = km_mem_strdup(endpoints->mem, text);
    if (endpoints->texts == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for etcd's endpoints");
    }
    kama_status status = KAMA_OK;
    char *next = endpoints->texts;
    while (next != NULL && status == KAMA_OK) {
        char *element = next;
        next = strchr(element, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
        status = add(endpoints, trim(element));
    }
    if (status != KAMA_OK) {
        km_etcd_endpoints_fini(endpoints);
    }
    return status;
}

void km_etcd_endpoints_fini(struct km_etcd_endpoints *endpoints)
{
    km_mem_free(endpoints->mem, endpoints->texts);
    *endpoints = (struct km_etcd_endpoints){0};
}
