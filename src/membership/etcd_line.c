/* SPDX-License-Identifier: MIT */
/* The registry counts its channels, because one that was closed lives on for a
 * while. */
#include "membership/etcd_line.h"

#include "base/assert.h"
#include "rpc/channel.h"

#include <string.h>

/* Cuts the port off: "10.0.0.1:51034" and "[::1]:51034" become hosts. */
static void tell_connected(struct km_etcd_line *line, const char *local)
{
    char host[128];
    struct km_etcd *etcd = line->etcd;
    const char *colon = strrchr(local, ':');
    size_t len = colon != NULL ? (size_t)(colon - local) : strlen(local);
    if (len >= 2 && local[0] == '[' && local[len - 1] == ']') {
        local++;
        len -= 2;
    }
    len = len < sizeof host ? len : sizeof host - 1;
    memcpy(host, local, len);
    host[len] = '\0';
    etcd->reachable = true;
    etcd->events->connected(etcd->owner, km_etcd_line_endpoint(line), host);
}

static void on_connected(void *arg, const char *local_address)
{
    struct km_etcd_line *line = arg;
    line->connected = true;
    if (line == &line->etcd->main) {
        tell_connected(line, local_address);
    }
}

int64_t km_etcd_line_patience_ms(const struct km_etcd_line *line)
{
    const struct km_etcd *etcd = line->etcd;
    return etcd->endpoints.count > 1 &&
                   line->silences < etcd->endpoints.count &&
                   etcd->request_timeout_ms > KM_ETCD_SILENT_MS
               ? KM_ETCD_SILENT_MS
               : etcd->request_timeout_ms;
}

void km_etcd_line_silent(struct km_etcd_line *line, unsigned generation)
{
    if (line->generation == generation &&
        line->silences < line->etcd->endpoints.count) {
        line->silences++;
    }
}

void km_etcd_line_answers(struct km_etcd_line *line, unsigned generation,
                          km_ns sent_at)
{
    const struct km_etcd *etcd = line->etcd;
    if (km_loop_now(etcd->loop) <
        km_ns_after_ms(sent_at, KM_ETCD_SILENT_MS / 2)) {
        line->silences = 0;
    }
    const char *local = line->channel != NULL && line->generation == generation
                            ? km_channel_local_address(line->channel)
                            : NULL;
    if (line == &etcd->main && !etcd->reachable && !etcd->closing &&
        local != NULL) {
        tell_connected(line, local);
    }
}

static const struct km_channel_ops channel_ops = {.on_connected = on_connected};

/* The watch begins at the endpoint that answers requests, because it takes long
 * to find out that the first one is silent. */
static void choose_first(struct km_etcd_line *line)
{
    const struct km_etcd_line *other = &line->etcd->main;
    if (line != other && line->generation == 0 && other->connected) {
        line->endpoint = other->endpoint;
    }
}

kama_status km_etcd_line_channel(struct km_etcd_line *line,
                                 struct km_channel **ret_channel)
{
    struct km_etcd *etcd = line->etcd;
    if (line->channel == NULL) {
        choose_first(line);
        const struct km_channel_options options = {
            .mem = etcd->mem,
            .clock = etcd->clock,
            .address = km_etcd_line_endpoint(line),
            .max_message_bytes = KM_ETCD_ANSWER_BYTES_MAX,
            .connect_timeout_ms = etcd->connect_timeout_ms,
            .keepalive_ms = KM_ETCD_PING_AFTER_MS,
            .keepalive_timeout_ms = KM_ETCD_PING_TIMEOUT_MS,
            .keepalive = KM_CHANNEL_KEEPALIVE_CALLS,
            .ops = &channel_ops,
            .arg = line};
        kama_status status =
            km_channel_new(etcd->loop, &options, &line->channel);
        if (status != KAMA_OK) {
            return status;
        }
        line->connected = false;
        etcd->channels++;
    }
    *ret_channel = line->channel;
    return KAMA_OK;
}

const char *km_etcd_line_endpoint(const struct km_etcd_line *line)
{
    return line->etcd->endpoints.at[line->endpoint];
}

static void on_freed(void *arg)
{
    struct km_etcd *etcd = arg;
    KM_ASSERT(etcd->channels > 0);
    etcd->channels--;
    if (etcd->closing) {
        km_etcd_wake(etcd);
    }
}

void km_etcd_line_close(struct km_etcd_line *line)
{
    struct km_channel *channel = line->channel;
    line->channel = NULL;
    if (channel != NULL) {
        km_channel_close(channel, on_freed, line->etcd);
    }
}

void km_etcd_line_move(struct km_etcd_line *line, unsigned generation)
{
    unsigned count = line->etcd->endpoints.count;
    if (line->generation != generation || (count == 1 && !line->connected)) {
        return;
    }
    line->generation++;
    line->endpoint = (line->endpoint + 1) % count;
    km_etcd_line_close(line);
}
