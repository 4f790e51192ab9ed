/* SPDX-License-Identifier: MIT */
/* One question is one message, and its answer another; the handlers of the
 * stream are at the end. */
#include "services/reflection.h"

#include "base/assert.h"
#include "base/status.h"
#include "services/descriptors.h"
#include "services/service.h"
#include "wire/msg/msg.h"

/* Codes of gRPC: an answer may carry an error without ending the stream. */
enum { CODE_INVALID_ARGUMENT = 3, CODE_NOT_FOUND = 5, CODE_UNIMPLEMENTED = 12 };

/* -- answers ------------------------------------------------------------- */

static void set_error(struct km_msg_reflect_response *response, int code,
                      const char *text)
{
    response->error_response.error_code = code;
    response->error_response.error_message = KAMA_STR(text);
}

/* Appends the full name of a service: its package, a dot, and its own name. */
static kama_status append_service(struct km_buf *list,
                                  const struct km_msg_desc_file *file,
                                  kama_bytes service)
{
    struct km_msg_desc_owner desc;
    char name[256];
    if (km_pb_decode(&km_msg_desc_owner_pb, service, &desc) != KAMA_OK) {
        return KAMA_ERR_INTERNAL;
    }
    size_t len = file->package.len + 1 + desc.name.len;
    KM_ASSERT(len <= sizeof name); /* the names are our own */
    memcpy(name, file->package.data, file->package.len);
    name[file->package.len] = '.';
    memcpy(name + file->package.len + 1, desc.name.data, desc.name.len);
    struct km_msg_reflect_service message = {.name =
                                                 kama_bytes_make(name, len)};
    return km_pb_append_element(list, KM_MSG_REFLECT_ELEMENT,
                                &km_msg_reflect_service_pb, &message);
}

static kama_status list_services(struct km_buf *list)
{
    struct km_pb_list files = km_descriptors_files();
    kama_bytes bytes;
    struct km_msg_desc_file file;
    kama_status st = KAMA_OK;
    while (st == KAMA_OK && km_pb_next(&files, &bytes)) {
        kama_bytes service;
        st = km_pb_decode(&km_msg_desc_file_pb, bytes, &file);
        while (st == KAMA_OK && km_pb_next(&file.services, &service)) {
            st = append_service(list, &file, service);
        }
    }
    return st;
}

/* The question of a request is a one-of. Returns the field of it that was set
 * last, which counts, or NULL if none was: fields are views of the request, so
 * the last one is the one with the highest address. */
static const kama_bytes *question_of(const struct km_msg_reflect_request *r)
{
    const kama_bytes *const fields[] = {
        &r->file_by_filename,
        &r->file_containing_symbol,
        &r->file_containing_extension,
        &r->all_extension_numbers_of_type,
        &r->list_services,
    };
    const kama_bytes *last = NULL;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i]->data != NULL &&
            (last == NULL || fields[i]->data > last->data)) {
            last = fields[i];
        }
    }
    return last;
}

/* Answers a question for one file: its descriptor, or that there is none. */
static kama_status answer_file(bool (*find)(kama_bytes name,
                                            kama_bytes *ret_file),
                               kama_bytes name, struct km_buf *list,
                               struct km_msg_reflect_response *response)
{
    kama_bytes file;
    if (!find(name, &file)) {
        set_error(response, CODE_NOT_FOUND,
                  "no file has that name or defines that symbol");
        return KAMA_OK;
    }
    kama_status st = km_pb_append_bytes(list, KM_MSG_REFLECT_ELEMENT, file);
    response->file_descriptor_response = km_buf_bytes(list);
    return st;
}

/* Fills *response, which borrows *list: the memory for its repeated field.
 * Nothing in the set extends a message, so both questions about extensions have
 * one answer. */
static kama_status answer(const struct km_msg_reflect_request *request,
                          struct km_buf *list,
                          struct km_msg_reflect_response *response)
{
    const kama_bytes *question = question_of(request);
    if (question == &request->list_services) {
        kama_status st = list_services(list);
        response->list_services_response = km_buf_bytes(list);
        return st;
    }
    if (question == &request->file_by_filename) {
        return answer_file(km_descriptors_find_name, *question, list, response);
    }
    if (question == &request->file_containing_symbol) {
        return answer_file(km_descriptors_find_symbol, *question, list,
                           response);
    }
    if (question == NULL) {
        set_error(response, CODE_INVALID_ARGUMENT,
                  "the request asks for nothing");
    } else if (question == &request->file_containing_extension) {
        set_error(response, CODE_NOT_FOUND,
                  "no message of this node has extensions");
    } else {
        set_error(response, CODE_UNIMPLEMENTED,
                  "no message of this node has extensions");
    }
    return KAMA_OK;
}

static kama_status send_answer(struct km_server_call *call, kama_bytes message,
                               const struct km_msg_reflect_request *request)
{
    struct km_buf list;
    struct km_buf reply;
    struct km_msg_reflect_response response = {
        .valid_host = request->host,
        .original_request = message,
    };
    const kama_allocator *mem = km_service_env_of(call)->mem;
    km_buf_init(&list, mem, SIZE_MAX);
    km_buf_init(&reply, mem, SIZE_MAX);
    kama_status st = answer(request, &list, &response);
    if (st == KAMA_OK) {
        st = km_pb_append(&reply, &km_msg_reflect_response_pb, &response);
    }
    if (st == KAMA_OK) {
        st = km_server_call_send(call, km_buf_bytes(&reply), NULL);
    }
    km_buf_fini(&reply);
    km_buf_fini(&list);
    return st;
}

/* -- the stream ---------------------------------------------------------- */

static void on_change(struct km_server_call *call)
{
    struct km_service_reflect *reflect = km_server_call_state(call);
    if (km_service_env_is_closing(reflect->long_call.env)) {
        km_long_call_finish(call, KAMA_ERR_CLOSED, "the node shuts down");
    }
}

void km_service_reflect(struct km_server_call *call, kama_bytes message)
{
    struct km_service_reflect *reflect = km_server_call_state(call);
    struct km_msg_reflect_request request;
    /* Only the first question finds the call not joined. */
    if (!km_long_call_has_joined(&reflect->long_call)) {
        km_long_call_join(call, on_change);
    }
    /* Answers of a client that does not read would pile up in our memory. */
    if (!km_server_call_writable(call)) {
        km_long_call_finish(
            call, KAMA_ERR_OVERLOADED,
            "the client does not read the answers to its questions");
        return;
    }
    kama_status st =
        km_pb_decode(&km_msg_reflect_request_pb, message, &request);
    if (st == KAMA_OK) {
        st = send_answer(call, message, &request);
    }
    if (st != KAMA_OK) {
        km_long_call_finish(call, st, NULL);
        return;
    }
    on_change(call);
}

void km_service_reflect_half_closed(struct km_server_call *call)
{
    km_long_call_finish(call, KAMA_OK, NULL);
}
