/* SPDX-License-Identifier: MIT */
/*
 * The reasons and sentences with which connections end. A connection may fail
 * more than once, for instance when the GOAWAY about a passed limit finds no
 * memory; only the first reason is kept and only its sentence is told.
 */
#include "wire/h2/fail.h"

#include <string.h>

kama_status km_h2_fail(struct km_h2 *h2, enum km_h2_why why, kama_status status)
{
    if (h2->why == KM_H2_WHY_NONE) {
        h2->why = why;
    }
    return status;
}

static void tell_abuse(struct km_h2 *h2, enum km_h2_abuse abuse,
                       const char *text)
{
    if (h2->why != KM_H2_WHY_NONE) {
        return;
    }
    h2->abuse = abuse;
    if (h2->ops->on_abuse != NULL) {
        h2->ops->on_abuse(h2->arg, text);
    }
}

kama_status km_h2_fail_ng(struct km_h2 *h2, ssize_t error)
{
    if (error == NGHTTP2_ERR_NOMEM || h2->life == KM_H2_NO_MEMORY) {
        return km_h2_fail(h2, KM_H2_WHY_MEMORY, KAMA_ERR_NO_MEMORY);
    }
    if (error == NGHTTP2_ERR_FLOODED) {
        tell_abuse(h2, KM_H2_ABUSE_FLOOD,
                   "too many frames that ask for an answer, or too many "
                   "CONTINUATION frames, came at once");
        return km_h2_fail(h2, KM_H2_WHY_ABUSE, KAMA_ERR_PROTOCOL);
    }
    return km_h2_fail(h2, KM_H2_WHY_PROTOCOL, KAMA_ERR_PROTOCOL);
}

/* nghttp2_session_terminate_session does nearly the same, but its GOAWAY
 * carries no text. */
int km_h2_fail_goaway(struct km_h2 *h2, enum km_h2_why why, uint32_t error_code,
                      const char *text)
{
    if (h2->why == KM_H2_WHY_NONE) {
        h2->why = why;
        (void)nghttp2_submit_goaway(
            h2->ng, NGHTTP2_FLAG_NONE,
            nghttp2_session_get_last_proc_stream_id(h2->ng), error_code,
            (const uint8_t *)text, strlen(text));
    }
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int km_h2_fail_abuse(struct km_h2 *h2, enum km_h2_abuse abuse, const char *text)
{
    tell_abuse(h2, abuse, text);
    return km_h2_fail_goaway(h2, KM_H2_WHY_ABUSE, NGHTTP2_ENHANCE_YOUR_CALM,
                             text);
}

int km_h2_fail_rate(struct km_h2 *h2, enum km_h2_rate kind)
{
    char text[KM_H2_FAIL_TEXT_BYTES];
    km_h2_rate_describe(&h2->rates, kind, h2->now, text, sizeof text);
    return km_h2_fail_abuse(h2, (enum km_h2_abuse)kind, text);
}

kama_status km_h2_fail_status(int result)
{
    if (result >= 0) {
        return KAMA_OK;
    }
    return result == NGHTTP2_ERR_NOMEM ? KAMA_ERR_NO_MEMORY : KAMA_ERR_CLOSED;
}
