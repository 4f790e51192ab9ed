/* SPDX-License-Identifier: MIT */
/*
 * The options of a group: set by name from text, and checked when a group is
 * made. Both work on arrays that are made from the table in option_table.h.
 *
 * A detail says how wide the member of its row is, so that nothing is written
 * past the end of an older program's shorter struct.
 */
#include "group/options.h"

#include "base/option_value.h"
#include "base/status.h"
#include "base/text.h"
#include "group/option_table.h"

#include <inttypes.h>
#include <stdio.h>

/* -- the rows ------------------------------------------------------------ */

const struct km_option km_group_option_rows[] = {
#define OPTION_ROW(name, member, kind, unit, initial, shown, min, max, since,  \
                   sentence)                                                   \
    {name, kind,    offsetof(kama_group_options, member), unit, shown, min,    \
     max,  sentence},
    KM_GROUP_OPTION_MAP(OPTION_ROW)
#undef OPTION_ROW
#define LATER_ROW(name) {name, KM_OPTION_LATER, 0, NULL, NULL, 0, 0, ""},
        KM_GROUP_OPTION_LATER_MAP(LATER_ROW)
#undef LATER_ROW
};

const size_t km_group_option_row_count =
    sizeof km_group_option_rows / sizeof km_group_option_rows[0];

#define MEMBER_BYTES(member) sizeof(((kama_group_options *)0)->member)

const struct km_group_option_detail km_group_option_details[] = {
#define OPTION_DETAIL(name, member, kind, unit, initial, shown, min, max,      \
                      since, sentence)                                         \
    {#member, MEMBER_BYTES(member), since},
    KM_GROUP_OPTION_MAP(OPTION_DETAIL)
#undef OPTION_DETAIL
};

const size_t km_group_option_count =
    sizeof km_group_option_details / sizeof km_group_option_details[0];

/* The members of kama_group_options, as rows and as those that have no text
 * form. A member that is missing here, or that has two rows, does not compile. */
struct all_members {
#define ONE_MEMBER(name, member, kind, unit, initial, shown, min, max, since,  \
                   sentence)                                                   \
    char member[MEMBER_BYTES(member)];
    KM_GROUP_OPTION_MAP(ONE_MEMBER)
#undef ONE_MEMBER
    char struct_size[MEMBER_BYTES(struct_size)];
    char name[MEMBER_BYTES(name)];
    char loader[MEMBER_BYTES(loader)];
    char loader_arg[MEMBER_BYTES(loader_arg)];
    char loader_free[MEMBER_BYTES(loader_free)];
    char allocator[MEMBER_BYTES(allocator)];
};
_Static_assert(sizeof(struct all_members) == sizeof(kama_group_options),
               "each member of kama_group_options needs a row, no padding");

/* -- setting ------------------------------------------------------------- */

/* Puts the name of the option in front of the sentence of this thread's last
 * error. */
static kama_status name_option(kama_status status, const char *name)
{
    return km_fail(status, "%.*s: %s", KM_TEXT_UP_TO(64, name),
                   km_last_error());
}

static kama_status unknown_name(const char *name)
{
    const char *nearest = km_option_nearest(
        km_group_option_rows, km_group_option_row_count, kama_bytes_str(name));
    return nearest != NULL
               ? km_fail(KAMA_ERR_INVALID,
                         "unknown group option, did you mean %s?", nearest)
               : km_fail(KAMA_ERR_INVALID, "unknown group option");
}

static kama_status find_row(const char *name, const struct km_option **ret_row)
{
    if (strcmp(name, "loader") == 0 || strcmp(name, "name") == 0) {
        return km_fail(KAMA_ERR_INVALID, "is not set by name here");
    }
    const struct km_option *row = km_option_find(
        km_group_option_rows, km_group_option_row_count, kama_bytes_str(name));
    if (row == NULL) {
        return unknown_name(name);
    }
    *ret_row = row;
    return KAMA_OK;
}

/* Writes the value into the member of its row. A member that is a number may
 * have 32 bits, because the bounds of its row permit no more. */
static void store(kama_group_options *options, const struct km_option *row,
                  size_t size, union km_option_value value)
{
    char *member = (char *)options + row->offset;
    uint32_t narrow = (uint32_t)value.number;
    if (row->kind == KM_OPTION_UINT && size == sizeof narrow) {
        memcpy(member, &narrow, size);
    } else {
        memcpy(member, &value, size);
    }
}

kama_status kama_group_options_set(kama_group_options *options,
                                   const char *name, const char *value)
{
    const struct km_option *row = NULL;
    union km_option_value parsed;
    if (options == NULL || name == NULL || value == NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "group options: options, name or value is NULL");
    }
    kama_status st = find_row(name, &row);
    if (st == KAMA_OK) {
        st = km_option_parse(row, value, &parsed);
    }
    if (st != KAMA_OK) {
        return name_option(st, name);
    }
    size_t size =
        km_group_option_details[row - km_group_option_rows].member_bytes;
    if (row->offset + size > options->struct_size) {
        (void)km_fail(KAMA_ERR_UNSUPPORTED, "the program is older than it");
        return name_option(KAMA_ERR_UNSUPPORTED, name);
    }
    store(options, row, size, parsed);
    return KAMA_OK;
}

/* -- checking ------------------------------------------------------------ */

/* Reads a member that is a number of 32 or 64 bits. */
static uint64_t read_number(const char *member, size_t bytes)
{
    uint32_t narrow;
    uint64_t wide;
    if (bytes == sizeof narrow) {
        memcpy(&narrow, member, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, member, sizeof wide);
    return wide;
}

/* Fails for a number outside the range of its row. The number is shown in the
 * unit that the name of its member says. */
static kama_status refuse(const struct km_option *row, const char *member,
                          uint64_t number)
{
    char shown[24];
    bool is_time = row->kind != KM_OPTION_UINT && row->kind != KM_OPTION_BYTES;
    if (is_time) {
        (void)snprintf(shown, sizeof shown, "%" PRId64, (int64_t)number);
    } else {
        (void)snprintf(shown, sizeof shown, "%" PRIu64, number);
    }
    if (row->max == 0) {
        return km_fail(KAMA_ERR_INVALID, "%s: %s is less than %" PRIu64, member,
                       shown, row->min);
    }
    kama_status status = row->kind == KM_OPTION_BYTES && number > row->max
                             ? KAMA_ERR_TOO_LARGE
                             : KAMA_ERR_INVALID;
    return km_fail(status, "%s: %s is outside %" PRIu64 "..%" PRIu64, member,
                   shown, row->min, row->max);
}

kama_status km_group_options_check(const kama_group_options *options)
{
    kama_group_options defaults;
    kama_group_options_init(&defaults);
    for (size_t i = 0; i < km_group_option_count; i++) {
        const struct km_option *row = &km_group_option_rows[i];
        const struct km_group_option_detail *detail =
            &km_group_option_details[i];
        const char *member = (const char *)options + row->offset;
        if (row->kind == KM_OPTION_STRING ||
            memcmp(member, (const char *)&defaults + row->offset,
                   detail->member_bytes) == 0) {
            continue;
        }
        uint64_t number = read_number(member, detail->member_bytes);
        if (!km_option_allows(row, number)) {
            return refuse(row, detail->member, number);
        }
    }
    return KAMA_OK;
}
