/* SPDX-License-Identifier: MIT */
/* Parses the input as a value of kamacached --group, and hides its
 * passwords. */
#include "apps/kamacached/group_spec.c"

#include "base/assert.h"

#include <stdlib.h>

static void check_spec(const struct group_spec *spec, size_t size)
{
    KM_ASSERT(spec->name == spec->options.name);
    KM_ASSERT(spec->name >= spec->text && spec->name <= spec->text + size);
    KM_ASSERT(spec->loader == NULL ||
              (spec->loader > spec->name && spec->loader <= spec->text + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct group_spec spec;
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    if (group_spec_init(&spec, text) == KAMA_OK) {
        check_spec(&spec, size);
        group_spec_fini(&spec);
    }
    size_t len = strlen(text);
    group_spec_hide_passwords(text);
    KM_ASSERT(strlen(text) <= len);
    free(text);
    return 0;
}
