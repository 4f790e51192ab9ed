/* SPDX-License-Identifier: MIT */
/*
 * The message reader must return the same messages however the input is split,
 * and the functions for texts must give back each text that they have encoded.
 */
#include "wire/grpc/grpc.h"

#include <stdlib.h>

#define CAP 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Appends every message and the final status to out. */
static void read_all(kama_bytes input, enum km_grpc_encoding encoding,
                     size_t slice, struct km_buf *out)
{
    struct km_grpc_reader reader;
    km_grpc_reader_init(&reader, NULL, CAP);
    reader.encoding = encoding;
    kama_status status = KAMA_MISS;
    for (size_t at = 0; at < input.len && status == KAMA_MISS; at += slice) {
        size_t n = input.len - at < slice ? input.len - at : slice;
        uint8_t *copy = malloc(n);
        memcpy(copy, (const uint8_t *)input.data + at, n);
        kama_bytes chunk = kama_bytes_make(copy, n);
        kama_bytes message;
        while ((status = km_grpc_reader_next(&reader, &chunk, &message)) ==
               KAMA_OK) {
            if (message.len > CAP ||
                km_buf_printf(out, "[%zu]", message.len) != KAMA_OK ||
                km_buf_append(out, message.data, message.len) != KAMA_OK) {
                abort();
            }
        }
        free(copy);
    }
    if (km_buf_printf(out, "(%d %d)", (int)status,
                      status == KAMA_MISS && km_grpc_reader_partial(&reader)) !=
        KAMA_OK) {
        abort();
    }
    km_grpc_reader_fini(&reader);
}

static void check_reader(kama_bytes input, enum km_grpc_encoding encoding,
                         size_t slice)
{
    struct km_buf whole;
    struct km_buf split;
    km_buf_init(&whole, NULL, SIZE_MAX);
    km_buf_init(&split, NULL, SIZE_MAX);
    read_all(input, encoding, SIZE_MAX, &whole);
    read_all(input, encoding, slice, &split);
    if (!km_bytes_eq(km_buf_bytes(&whole), km_buf_bytes(&split))) {
        abort();
    }
    km_buf_fini(&whole);
    km_buf_fini(&split);
}

static void check_text(kama_bytes input)
{
    km_ns timeout;
    int code;
    if (km_grpc_timeout_parse(input, &timeout) == KAMA_OK) {
        char buf[KM_GRPC_TIMEOUT_CHARS];
        km_ns again;
        if (km_grpc_timeout_parse(
                kama_bytes_str(km_grpc_timeout_format(timeout, buf)), &again) !=
                KAMA_OK ||
            again < timeout) {
            abort();
        }
    }
    (void)!km_grpc_code_parse(input, &code);
    (void)km_grpc_content_type_ok(input);
    if (input.len > CAP) {
        return;
    }
    static char encoded[3 * CAP];
    static char decoded[CAP + 1];
    size_t n = km_grpc_message_encode(input, encoded, sizeof encoded);
    n = km_grpc_message_decode(kama_bytes_make(encoded, n), decoded,
                               sizeof decoded);
    if (!km_bytes_eq(kama_bytes_make(decoded, n), input)) {
        abort();
    }
    (void)km_grpc_message_decode(input, decoded, sizeof decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1) {
        return 0;
    }
    kama_bytes input = kama_bytes_make(data + 1, len - 1);
    check_reader(input, (enum km_grpc_encoding)(data[0] >> 6),
                 1 + data[0] % 64);
    check_text(input);
    return 0;
}
