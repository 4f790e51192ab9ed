/* SPDX-License-Identifier: MIT */
/* Fills a command of the exec loader. The input is the command up to a NUL, and
 * a key behind it. */
#include "base/assert.h"
#include "loaders/common/path.c"
#include "loaders/exec/command.c"

#include <stdint.h>

/* If a key was accepted, no word that begins with it has become an option. */
static void check_arguments(const struct km_command *command, char **arguments)
{
    for (size_t i = 1; i < command->options_end; i++) {
        KM_ASSERT(command->words[i][0] == '-' || arguments[i][0] != '-');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = strndup((const char *)data, len);
    KM_ASSERT(text != NULL);
    size_t used = strlen(text) + (strlen(text) < len);
    kama_bytes key = kama_bytes_make(data + used, len - used);
    struct km_command command;
    if (km_command_new(text, &command) == NULL) {
        KM_ASSERT(command.count > 0 && command.text_bytes <= strlen(text) + 1);
        const char *reason = NULL;
        kama_status status = km_command_check(&command, key, &reason);
        KM_ASSERT(status == KAMA_OK || reason != NULL);
        char **arguments = km_command_arguments(&command, key);
        KM_ASSERT(arguments != NULL && arguments[command.count] == NULL);
        KM_ASSERT(strcmp(arguments[0], command.words[0]) == 0);
        if (status == KAMA_OK) {
            check_arguments(&command, arguments);
        }
        free(arguments);
        km_command_fini(&command);
    }
    free(text);
    return 0;
}
