/* SPDX-License-Identifier: MIT */
/*
 * A list of values, at most one for each name. A call is not refused before its
 * headers are complete, so that what went wrong is noted in its properties.
 */
#include "rpc/server_metadata.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/server_call_life.h"

#define AUTHORIZATION "authorization"

/* Returns the name as the row has it, or NULL if the method does not ask for
 * it. The path came before, because pseudo-headers come first. */
static const char *name_of_row(const struct km_server_call *call,
                               kama_bytes name)
{
    if (call->method == NULL || call->method->metadata == NULL) {
        return NULL;
    }
    for (const char *const *p = call->method->metadata; *p != NULL; p++) {
        if (km_bytes_eq(name, kama_bytes_str(*p))) {
            return *p;
        }
    }
    return NULL;
}

static const char *wanted_name(const struct km_server_call *call,
                               kama_bytes name)
{
    return km_bytes_eq(name, KM_LIT(AUTHORIZATION)) ? AUTHORIZATION
                                                    : name_of_row(call, name);
}

static void forget(struct km_server_call *call, struct km_server_metadata **at)
{
    struct km_server_metadata *old = *at;
    KM_ASSERT(call->metadata_bytes >= old->len);
    *at = old->next;
    call->metadata_bytes -= old->len;
    km_mem_free(call->server_loop->server->mem, old);
}

/* The last of several values of a name counts. */
static void forget_name(struct km_server_call *call, const char *name)
{
    for (struct km_server_metadata **at = &call->metadata; *at != NULL;
         at = &(*at)->next) {
        if (strcmp((*at)->name, name) == 0) {
            forget(call, at);
            return;
        }
    }
}

static void keep(struct km_server_call *call, const char *name,
                 kama_bytes value)
{
    struct km_server_metadata *kept =
        km_mem_alloc(call->server_loop->server->mem, sizeof *kept + value.len);
    if (kept == NULL) {
        call->properties |= KM_SERVER_REQUEST_METADATA_LOST;
        return;
    }
    kept->name = name;
    kept->len = value.len;
    if (value.len > 0) {
        memcpy(kept->bytes, value.data, value.len);
    }
    kept->next = call->metadata;
    call->metadata = kept;
    call->metadata_bytes += value.len;
}

void km_server_metadata_header(struct km_server_call *call, kama_bytes name,
                               kama_bytes value)
{
    const char *wanted = wanted_name(call, name);
    if (wanted == NULL) {
        return;
    }
    forget_name(call, wanted);
    if (value.len > KM_RPC_METADATA_BYTES_MAX - call->metadata_bytes) {
        call->properties |= KM_SERVER_REQUEST_METADATA_LARGE;
        return;
    }
    keep(call, wanted, value);
}

void km_server_metadata_refuse(struct km_server_call *call)
{
    if (call->properties & KM_SERVER_REQUEST_METADATA_LOST) {
        km_server_refuse(call, KAMA_ERR_NO_MEMORY, NULL);
    } else if (call->properties & KM_SERVER_REQUEST_METADATA_LARGE) {
        km_server_refuse(call, KAMA_ERR_TOO_LARGE,
                         "authorization and the other metadata that the method "
                         "reads are larger than " KM_TEXT_OF(
                             KM_RPC_METADATA_BYTES_MAX) " bytes");
    }
}

void km_server_metadata_drop(struct km_server_call *call)
{
    while (call->metadata != NULL) {
        forget(call, &call->metadata);
    }
    KM_ASSERT(call->metadata_bytes == 0);
}

kama_bytes km_server_call_metadata(const struct km_server_call *call,
                                   const char *name)
{
    for (const struct km_server_metadata *kept = call->metadata; kept != NULL;
         kept = kept->next) {
        if (strcmp(kept->name, name) == 0) {
            return kama_bytes_make(kept->bytes, kept->len);
        }
    }
    return kama_bytes_make(NULL, 0);
}
