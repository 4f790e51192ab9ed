/* SPDX-License-Identifier: MIT */
/* The level is checked before the function is called, so that an application is
 * never woken for an event that it did not ask for. */
#include "node/node_event.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/limits.h"
#include "base/text.h"
#include "node/node.h"

#include <stdarg.h>

/* The event function must not be stopped half-way by a cancellation of the
 * thread that it runs on: that may be a thread of the application. */
static KM_BOUNDARY_FUNCTION void call_event(const struct km_node_config *config,
                                            const kama_node_event *event)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the event function of a node", NULL, no_key);
    int cancel = km_cancel_defer();
    config->event(config->event_arg, event);
    km_cancel_allow(cancel);
    KM_BOUNDARY_END();
}

void km_node_tell(const kama_node *node, const kama_node_event *event)
{
    KM_ASSERT(event->level >= KM_NODE_DEBUG && event->level <= KM_NODE_ERROR);
    KM_ASSERT(event->name != NULL && event->message != NULL);
    if (node->config.event != NULL &&
        event->level >= node->config.event_level) {
        call_event(&node->config, event);
    }
}

/* Tells an event whose message is made of fmt and args. */
static void tell(const kama_node *node, kama_node_event *event, const char *fmt,
                 va_list args)
{
    char message[KM_ERROR_BYTES_MAX];
    (void)km_text_vprintf(message, sizeof message, fmt, args);
    event->struct_size = sizeof *event;
    event->message = message;
    km_node_tell(node, event);
}

void km_node_emit_event(const kama_node *node, enum km_node_level level,
                        const char *name, const char *fmt, ...)
{
    kama_node_event event = {.level = (int)level, .name = name};
    va_list args;
    va_start(args, fmt);
    tell(node, &event, fmt, args);
    va_end(args);
}

void km_node_tell_member(const kama_node *node, enum km_node_level level,
                         const char *name, const char *address, uint64_t count,
                         const char *fmt, ...)
{
    kama_node_event event = {
        .level = (int)level,
        .name = name,
        .address = address,
        .count = count,
    };
    va_list args;
    va_start(args, fmt);
    tell(node, &event, fmt, args);
    va_end(args);
}
