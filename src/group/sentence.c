/* SPDX-License-Identifier: MIT */
/*
 * The parts of a sentence have fixed room: the name and the key at most as much as
 * the numbers below say, and the middle part all the rest. So the key, which people
 * need to find the cause, is never cut off by a long middle part.
 */
#include "group/sentence.h"

#include "base/assert.h"
#include "base/status.h"
#include "base/text.h"

#include <stdarg.h>

#define NAME_SHOWN_BYTES 60
#define KEY_SHOWN_BYTES 48
/* The room of a sentence without its middle part: name, key and fixed words. */
#define FRAME_BYTES (NAME_SHOWN_BYTES + KEY_SHOWN_BYTES + 19)

/* Writes the sentence. cap is the room, and must be larger than the frame. A clear has the
 * empty key, which is not shown. */
static void write_sentence(const kama_group *group, kama_bytes key,
                           char *ret_sentence, size_t cap, const char *fmt,
                           va_list args)
{
    char shown[KEY_SHOWN_BYTES];
    char middle[KM_EVENT_BYTES_MAX];
    KM_ASSERT(cap > FRAME_BYTES && cap <= sizeof middle);
    size_t middle_cap = cap - FRAME_BYTES;
    size_t name_len = strlen(group->name);
    (void)km_bytes_quote(key, shown, sizeof shown);
    (void)km_text_vprintf(middle, middle_cap, fmt, args);
    (void)km_text_printf(ret_sentence, cap, "group %.*s%s: %s%s%s%s",
                         KM_TEXT_UP_TO(NAME_SHOWN_BYTES, group->name),
                         name_len > NAME_SHOWN_BYTES ? "..." : "", middle,
                         key.len > 0 ? " (key \"" : "", shown,
                         key.len > 0 ? "\")" : "");
}

void km_group_sentence(const kama_group *group, kama_bytes key,
                       char ret_sentence[KM_ERROR_BYTES_MAX], const char *fmt,
                       ...)
{
    va_list args;
    va_start(args, fmt);
    write_sentence(group, key, ret_sentence, KM_ERROR_BYTES_MAX, fmt, args);
    va_end(args);
}

void km_group_event_sentence(const kama_group *group, kama_bytes key,
                             char ret_sentence[KM_EVENT_BYTES_MAX],
                             const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_sentence(group, key, ret_sentence, KM_EVENT_BYTES_MAX, fmt, args);
    va_end(args);
}

kama_status km_group_fail_key(const kama_group *group, kama_status status,
                              kama_bytes key, const char *fmt, ...)
{
    char sentence[KM_ERROR_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    write_sentence(group, key, sentence, sizeof sentence, fmt, args);
    va_end(args);
    return km_fail(status, "%s", sentence);
}

kama_status km_group_fail_join(const kama_group *group, kama_status status,
                               kama_bytes key)
{
    switch (status) {
    case KAMA_ERR_BUSY:
        return km_group_fail_key(group, status, key,
                                 "%d callers already wait for this load",
                                 KM_FLIGHT_WAITERS_MAX);
    case KAMA_ERR_REENTRANT:
        return km_group_fail_key(
            group, status, key,
            "the loader was called from inside its own load");
    case KAMA_ERR_WOULD_DEADLOCK:
        return km_group_fail_key(group, status, key,
                                 "this call would wait for the pool whose "
                                 "thread it blocks; use kama_get_async here");
    default:
        return km_group_fail_key(group, status, key, "cannot wait: %s",
                                 kama_strerror(status));
    }
}
