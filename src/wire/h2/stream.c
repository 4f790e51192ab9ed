/* SPDX-License-Identifier: MIT */
/*
 * The owner's calls on a stream. Those that make frames only submit them to
 * nghttp2, which writes them when net takes bytes.
 */
#include "wire/h2/stream.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "wire/h2/fail.h"
#include "wire/h2/keepalive.h"
#include "wire/h2/loop_cache.h"
#include "wire/h2/queue.h"
#include "wire/h2/stream_impl.h"

/* -- fields -------------------------------------------------------------- */

static uint8_t nv_flags(unsigned flags)
{
    uint8_t nv = NGHTTP2_NV_FLAG_NONE;
    if ((flags & KM_H2_FIELD_STATIC) != 0) {
        nv |= NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    }
    if ((flags & KM_H2_FIELD_NO_INDEX) != 0) {
        nv |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
    return nv;
}

static void nv_from_fields(nghttp2_nv *nv, const struct km_h2_field *fields,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nv[i] = (nghttp2_nv){.name = (uint8_t *)fields[i].name.data,
                             .value = (uint8_t *)fields[i].value.data,
                             .namelen = fields[i].name.len,
                             .valuelen = fields[i].value.len,
                             .flags = nv_flags(fields[i].flags)};
    }
}

static size_t copied_bytes(const struct km_h2_field *fields, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if ((fields[i].flags & KM_H2_FIELD_STATIC) == 0) {
            n += fields[i].name.len + fields[i].value.len;
        }
    }
    return n;
}

/* Copies the bytes to *to, lets *bytes point to the copy, and returns its
 * end. */
static uint8_t *copy_bytes(uint8_t **to, uint8_t **bytes, size_t len)
{
    uint8_t *copy = *to;
    if (len > 0) {
        memcpy(copy, *bytes, len);
    }
    *bytes = copy;
    return copy + len;
}

/* Copies trailers, which wait until the queue before them was sent, into one
 * block: the array first, then the bytes that are not static. */
static nghttp2_nv *keep_fields(struct km_h2 *h2,
                               const struct km_h2_field *fields, size_t count)
{
    nghttp2_nv *kept = km_h2_loop_cache_alloc(
        h2->cache, count * sizeof *kept + copied_bytes(fields, count));
    if (kept == NULL) {
        return NULL;
    }
    nv_from_fields(kept, fields, count);
    uint8_t *to = (uint8_t *)(kept + count);
    for (size_t i = 0; i < count; i++) {
        if ((fields[i].flags & KM_H2_FIELD_STATIC) == 0) {
            to = copy_bytes(&to, &kept[i].name, kept[i].namelen);
            to = copy_bytes(&to, &kept[i].value, kept[i].valuelen);
        }
    }
    return kept;
}

/* -- headers ------------------------------------------------------------- */

/* A stream without a function that reads its body ends with its headers. */
static enum km_h2_sending state_after_headers(
    nghttp2_data_source_read_callback read)
{
    return read != NULL ? KM_H2_SENDING_OPEN : KM_H2_SENDING_ENDED;
}

/* Submits a request, whose body nghttp2 reads with `read`; if that is NULL, the
 * request ends with its headers. The stream exists before nghttp2 knows its id,
 * because nghttp2 needs its address. */
static kama_status request(struct km_h2 *h2, const struct km_h2_field *fields,
                           size_t count, nghttp2_data_source_read_callback read,
                           void *user, struct km_h2_stream **ret_stream)
{
    KM_ASSERT(h2->role == KM_H2_CLIENT && count <= KM_H2_FIELDS_MAX);
    if (!km_h2_accepts(h2)) {
        return KAMA_ERR_CLOSED;
    }
    struct km_h2_stream_impl *stream = km_h2_stream_impl_new(h2, -1);
    if (stream == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    nghttp2_nv nv[KM_H2_FIELDS_MAX];
    nv_from_fields(nv, fields, count);
    nghttp2_data_provider body = {.source = {.ptr = stream},
                                  .read_callback = read};
    int32_t id = nghttp2_submit_request(h2->ng, NULL, nv, count,
                                        read != NULL ? &body : NULL, stream);
    if (id < 0) {
        km_h2_stream_impl_free(stream);
        return km_h2_fail_status(id);
    }
    stream->pub.id = id;
    stream->pub.user = user;
    km_h2_stream_impl_send_state(stream, state_after_headers(read));
    if (h2->stream_count == 1) {
        km_h2_keepalive_busy(h2);
    }
    *ret_stream = &stream->pub;
    return KAMA_OK;
}

kama_status km_h2_request(struct km_h2 *h2, const struct km_h2_field *fields,
                          size_t count, void *user,
                          struct km_h2_stream **ret_stream)
{
    return request(h2, fields, count, km_h2_queue_read, user, ret_stream);
}

kama_status km_h2_request_and_end(struct km_h2 *h2,
                                  const struct km_h2_field *fields,
                                  size_t count, void *user,
                                  struct km_h2_stream **ret_stream)
{
    return request(h2, fields, count, NULL, user, ret_stream);
}

/* Submits the headers of a response; read is as in request. */
static kama_status respond(struct km_h2_stream *pub,
                           const struct km_h2_field *fields, size_t count,
                           nghttp2_data_source_read_callback read)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    KM_ASSERT(pub->h2->role == KM_H2_SERVER && count <= KM_H2_FIELDS_MAX);
    if (km_h2_stream_impl_is_reset(stream)) {
        return KAMA_ERR_CLOSED;
    }
    KM_ASSERT(stream->sending == KM_H2_SENDING_IDLE);
    nghttp2_nv nv[KM_H2_FIELDS_MAX];
    nv_from_fields(nv, fields, count);
    nghttp2_data_provider body = {.source = {.ptr = stream},
                                  .read_callback = read};
    int rv = nghttp2_submit_response(pub->h2->ng, pub->id, nv, count,
                                     read != NULL ? &body : NULL);
    if (rv != 0) {
        return km_h2_fail_status(rv);
    }
    km_h2_stream_impl_send_state(stream, state_after_headers(read));
    return KAMA_OK;
}

kama_status km_h2_respond(struct km_h2_stream *stream,
                          const struct km_h2_field *fields, size_t count)
{
    return respond(stream, fields, count, km_h2_queue_read);
}

kama_status km_h2_respond_and_end(struct km_h2_stream *stream,
                                  const struct km_h2_field *fields,
                                  size_t count)
{
    return respond(stream, fields, count, NULL);
}

/* -- body and end -------------------------------------------------------- */

kama_status km_h2_send_parts(struct km_h2_stream *pub, kama_bytes prefix,
                             kama_bytes head, kama_value *body)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    if (km_h2_stream_impl_is_reset(stream)) {
        return KAMA_ERR_CLOSED;
    }
    KM_ASSERT(km_h2_stream_impl_is_open(stream));
    return km_h2_queue_push(stream, prefix, head, body);
}

kama_status km_h2_end(struct km_h2_stream *pub,
                      const struct km_h2_field *trailers, size_t count)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    KM_ASSERT(count <= KM_H2_FIELDS_MAX);
    if (km_h2_stream_impl_is_reset(stream)) {
        return KAMA_ERR_CLOSED;
    }
    KM_ASSERT(km_h2_stream_impl_is_open(stream));
    if (count > 0) {
        stream->trailers = keep_fields(pub->h2, trailers, count);
        if (stream->trailers == NULL) {
            return KAMA_ERR_NO_MEMORY;
        }
        stream->trailer_count = count;
    }
    km_list_remove(&stream->writable);
    kama_status status = km_h2_queue_resume(stream);
    km_h2_stream_impl_send_state(stream, KM_H2_SENDING_ENDED);
    return status;
}

void km_h2_reset(struct km_h2_stream *pub, uint32_t error_code)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    if (km_h2_stream_impl_is_reset(stream)) {
        return;
    }
    km_h2_stream_impl_send_state(stream, KM_H2_SENDING_RESET);
    km_list_remove(&stream->linger);
    km_h2_queue_drop(stream);
    (void)nghttp2_submit_rst_stream(pub->h2->ng, NGHTTP2_FLAG_NONE, pub->id,
                                    error_code);
}

/* -- input --------------------------------------------------------------- */

void km_h2_consume_connection(struct km_h2_stream *pub, size_t n)
{
    (void)nghttp2_session_consume_connection(pub->h2->ng, n);
}

/* The bytes are fewer than the window, so that their sum has room. */
void km_h2_consume_stream(struct km_h2_stream *pub, size_t n)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    if (stream->reading == KM_H2_PAUSED) {
        stream->withheld_bytes += (uint32_t)n;
    } else if (stream->receiving < KM_H2_RECEIVING_LAST_DATA) {
        (void)nghttp2_session_consume_stream(pub->h2->ng, pub->id, n);
    } /* Otherwise nothing more comes, and its window does not matter. */
}

void km_h2_consume(struct km_h2_stream *pub, size_t n)
{
    km_h2_consume_connection(pub, n);
    km_h2_consume_stream(pub, n);
}

void km_h2_pause(struct km_h2_stream *pub)
{
    km_h2_stream_impl_of(pub)->reading = KM_H2_PAUSED;
}

void km_h2_resume(struct km_h2_stream *pub)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    uint32_t n = stream->withheld_bytes;
    stream->reading = KM_H2_READING;
    stream->withheld_bytes = 0;
    if (n > 0) {
        km_h2_consume_stream(pub, n);
    }
}

/* -- questions ----------------------------------------------------------- */

/* A stream that finds the connection full is noted as crowded, so that its
 * owner is told when there is room again. */
bool km_h2_has_room(struct km_h2_stream *pub)
{
    struct km_h2_stream_impl *stream = km_h2_stream_impl_of(pub);
    struct km_h2 *h2 = pub->h2;
    if (stream->queued_bytes >= KM_H2_LOW_WATER_BYTES) {
        return false;
    }
    if (h2->queued_bytes < KM_H2_OUTBOUND_BYTES_MAX) {
        return true;
    }
    if (km_list_empty(&stream->writable)) {
        km_list_push_back(&h2->crowded, &stream->writable);
    }
    return false;
}

size_t km_h2_queued(const struct km_h2_stream *pub)
{
    return ((const struct km_h2_stream_impl *)(const void *)pub)->queued_bytes;
}

bool km_h2_remote_ended(const struct km_h2_stream *pub)
{
    const struct km_h2_stream_impl *stream =
        (const struct km_h2_stream_impl *)(const void *)pub;
    return stream->receiving == KM_H2_RECEIVING_ENDED;
}

bool km_h2_request_taken(const struct km_h2_stream *pub)
{
    KM_ASSERT(pub->h2->role == KM_H2_CLIENT);
    return pub->id <= pub->h2->taken_id;
}
