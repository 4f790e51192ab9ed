/* SPDX-License-Identifier: MIT */
/* A user's first program, built against an installed library. */
#include <kamacache/kamacache.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "greetings";
    kama_group *group;
    kama_status status = kama_group_new(&options, &group);
    if (status == KAMA_OK) {
        char copy[16];
        size_t len = 0;
        status = kama_set(group, KAMA_STR("en"), KAMA_STR("hello"), NULL);
        if (status == KAMA_OK) {
            status = kama_get_copy(group, KAMA_STR("en"), NULL, copy,
                                   sizeof copy, &len);
        }
        if (status == KAMA_OK && memcmp(copy, "hello", len) == 0) {
            printf("%s %.*s\n", kama_version(), (int)len, copy);
        }
        kama_group_free(group);
    }
    return status == KAMA_OK ? 0 : 1;
}
