/* SPDX-License-Identifier: MIT */
/* The command of the exec loader: text up to a NUL, then a key. */
#include "base/assert.h"
#include "loaders/exec/command.c"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = strndup((const char *)data, len);
    KM_ASSERT(text != NULL);
    size_t used = strlen(text) + (strlen(text) < len);
    kama_bytes key = kama_bytes_make(data + used, len - used);
    struct km_command command;
    if (km_command_new(text, &command) == NULL) {
        KM_ASSERT(command.count > 0 && command.text_bytes <= strlen(text) + 1);
        char **arguments = km_command_arguments(&command, key);
        KM_ASSERT(arguments != NULL && arguments[command.count] == NULL);
        KM_ASSERT(strcmp(arguments[0], command.words[0]) == 0);
        free(arguments);
        km_command_fini(&command);
    }
    free(text);
    return 0;
}
