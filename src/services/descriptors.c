/* SPDX-License-Identifier: MIT */
/* Names are compared component by component along the nesting of the
 * descriptors, so that no table of full names has to be built at the start. */
#include "services/descriptors.h"

#include "descriptor_set.h"

#include "wire/msg/msg.h"

/* Removes the prefix and the dot that follows it from the front of *name.
 * Returns false, and changes nothing, if the name does not begin with them. */
static bool strip_prefix(kama_bytes *name, kama_bytes prefix)
{
    if (prefix.len == 0) {
        return true;
    }
    if (name->len <= prefix.len || !km_bytes_starts(*name, prefix) ||
        ((const char *)name->data)[prefix.len] != '.') {
        return false;
    }
    *name = km_bytes_skip(*name, prefix.len + 1);
    return true;
}

/* Returns whether the symbol names the owner (a service or an enum) or, as
 * owner.member, one of its members. */
static bool is_in_owner(kama_bytes owner, kama_bytes symbol)
{
    struct km_msg_desc_owner desc;
    if (km_pb_decode(&km_msg_desc_owner_pb, owner, &desc) != KAMA_OK) {
        return false;
    }
    if (km_bytes_eq(symbol, desc.name)) {
        return true;
    }
    kama_bytes element;
    struct km_msg_desc_named member;
    if (!strip_prefix(&symbol, desc.name)) {
        return false;
    }
    while (km_pb_next(&desc.members, &element)) {
        if (km_pb_decode(&km_msg_desc_named_pb, element, &member) == KAMA_OK &&
            km_bytes_eq(symbol, member.name)) {
            return true;
        }
    }
    return false;
}

static bool is_in_owners(struct km_pb_list owners, kama_bytes symbol)
{
    kama_bytes owner;
    while (km_pb_next(&owners, &owner)) {
        if (is_in_owner(owner, symbol)) {
            return true;
        }
    }
    return false;
}

/* Returns whether the symbol names a message, a field of it, or anything that
 * is nested in it. Each turn of the loop goes one level deeper, into the only
 * message whose name the symbol begins with. */
static bool is_in_messages(struct km_pb_list messages, kama_bytes symbol)
{
    kama_bytes element;
    struct km_msg_desc_message message;
    while (km_pb_next(&messages, &element)) {
        if (km_pb_decode(&km_msg_desc_message_pb, element, &message) !=
            KAMA_OK) {
            return false;
        }
        if (is_in_owner(element, symbol)) {
            return true;
        }
        kama_bytes inner = symbol;
        if (strip_prefix(&inner, message.name)) {
            if (is_in_owners(message.enums, inner)) {
                return true;
            }
            symbol = inner;
            messages = message.messages;
        }
    }
    return false;
}

static bool is_in_file(const struct km_msg_desc_file *file, kama_bytes symbol)
{
    return strip_prefix(&symbol, file->package) &&
           (is_in_owners(file->services, symbol) ||
            is_in_messages(file->messages, symbol) ||
            is_in_owners(file->enums, symbol));
}

static bool is_named(const struct km_msg_desc_file *file, kama_bytes name)
{
    return km_bytes_eq(file->name, name);
}

/* -- files --------------------------------------------------------------- */

struct km_pb_list km_descriptors_files(void)
{
    struct km_msg_desc_set set;
    kama_bytes bytes =
        kama_bytes_make(km_descriptor_set, sizeof km_descriptor_set);
    if (km_pb_decode(&km_msg_desc_set_pb, bytes, &set) != KAMA_OK) {
        return (struct km_pb_list){0};
    }
    return set.files;
}

/* Writes the first file for which `matches` says yes. Returns false if there is
 * none. */
static bool find_file(bool (*matches)(const struct km_msg_desc_file *file,
                                      kama_bytes name),
                      kama_bytes name, kama_bytes *ret_file)
{
    struct km_pb_list files = km_descriptors_files();
    kama_bytes bytes;
    struct km_msg_desc_file file;
    while (km_pb_next(&files, &bytes)) {
        if (km_pb_decode(&km_msg_desc_file_pb, bytes, &file) == KAMA_OK &&
            matches(&file, name)) {
            *ret_file = bytes;
            return true;
        }
    }
    return false;
}

bool km_descriptors_find_name(kama_bytes name, kama_bytes *ret_file)
{
    return find_file(is_named, name, ret_file);
}

bool km_descriptors_find_symbol(kama_bytes symbol, kama_bytes *ret_file)
{
    return find_file(is_in_file, symbol, ret_file);
}
