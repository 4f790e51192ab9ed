/* SPDX-License-Identifier: MIT */
/*
 * The exec loader: a program prints the value for a key.
 *
 * Each load is one run of the program, on the thread of the host's pool that
 * runs the load, so that loader_concurrency bounds the number of processes.
 *
 *     exit code 0        the output is the value
 *     exit code 4        the key does not exist
 *     anything else      an error, with the first line of standard error
 */
#include "../common/call.h"
#include "command.h"
#include "process.h"

#include <kamacache/loader.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The exit code of a program that has found no such key. */
enum { EXIT_NOT_FOUND = 4 };

/* The longest quoted line, in which each byte has become \xNN. */
enum { QUOTED_BYTES = 4 * KM_PROCESS_STDERR_BYTES + 1 };

struct exec_loader {
    const kama_loader_host *host;
    struct km_command command;
    uint64_t max_value_bytes;
};

/* -- one load ----------------------------------------------------------- */

/* Writes ": LINE", or nothing if the program has written no line to standard
 * error. */
static void quote_complaint(const struct km_process *process, char *text,
                            size_t cap)
{
    const char *end = memchr(process->complaint, '\n', process->complaint_len);
    size_t len = end != NULL ? (size_t)(end - process->complaint)
                             : process->complaint_len;
    char line[QUOTED_BYTES];
    km_quote(line, sizeof line, kama_bytes_make(process->complaint, len));
    snprintf(text, cap, "%s%s", len > 0 ? ": " : "", line);
}

static kama_status fail_run(const struct km_load_call *call,
                            const struct km_process *process, const char *how)
{
    char complaint[QUOTED_BYTES + 2];
    quote_complaint(process, complaint, sizeof complaint);
    return km_load_call_fail(call, KAMA_ERR_LOADER, "%s: %s %d%s",
                             process->arguments[0], how, process->code,
                             complaint);
}

/* Fails for a program that was not started. A lack of descriptors or processes
 * passes, so that it is reported as an overload. */
static kama_status fail_start(const struct km_load_call *call,
                              const struct km_process *process)
{
    kama_status status = KAMA_ERR_LOADER;
    if (process->error == ENOMEM) {
        status = KAMA_ERR_NO_MEMORY;
    } else if (process->error == EMFILE || process->error == ENFILE ||
               process->error == EAGAIN) {
        status = KAMA_ERR_OVERLOADED;
    }
    char reason[64];
    return km_load_call_fail(call, status, "%s: cannot start: %s",
                             process->arguments[0],
                             strerror_r(process->error, reason, sizeof reason));
}

static kama_status answer_exit(const struct km_load_call *call,
                               const struct km_process *process)
{
    if (process->code == EXIT_NOT_FOUND) {
        return KAMA_MISS;
    }
    if (process->code != 0) {
        return fail_run(call, process, "exit code");
    }
    return km_load_call_set(
        call, kama_bytes_make(process->output.data, process->output.len), NULL);
}

static kama_status answer(const struct exec_loader *loader,
                          const struct km_load_call *call,
                          const struct km_process *process)
{
    switch (process->end) {
    case KM_PROCESS_EXITED:
        return answer_exit(call, process);
    case KM_PROCESS_SIGNALLED:
        return fail_run(call, process, "died of signal");
    case KM_PROCESS_OVERDUE:
        return km_load_call_timeout(call, process->arguments[0]);
    case KM_PROCESS_OUTPUT_FULL:
        return km_load_call_too_large(call, loader->max_value_bytes);
    case KM_PROCESS_NO_MEMORY:
        return KAMA_ERR_NO_MEMORY;
    case KM_PROCESS_NOT_STARTED:
        return fail_start(call, process);
    case KM_PROCESS_LOST:
        break;
    }
    return km_load_call_fail(call, KAMA_ERR_LOADER,
                             "%s: its exit code was lost; is SIGCHLD ignored?",
                             process->arguments[0]);
}

static kama_status run(const struct exec_loader *loader,
                       const struct km_load_call *call, char **arguments)
{
    struct km_process process = {
        .arguments = arguments,
        .input = call->req->key,
        .deadline_ms = call->deadline_ms,
    };
    km_blob_init(&process.output, loader->max_value_bytes);
    km_process_run(&process);
    kama_status status = answer(loader, call, &process);
    km_blob_fini(&process.output);
    return status;
}

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    const struct exec_loader *loader = arg;
    struct km_load_call call;
    km_load_call_init(&call, loader->host, req, out);
    const char *reason = NULL;
    kama_status status = km_command_check(&loader->command, req->key, &reason);
    if (status == KAMA_ERR_INVALID) {
        return km_load_call_refuse_key(&call, reason);
    }
    if (status != KAMA_OK) {
        return status;
    }
    char **arguments = km_command_arguments(&loader->command, req->key);
    if (arguments == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    status = run(loader, &call, arguments);
    free(arguments);
    return status;
}

/* -- setup -------------------------------------------------------------- */

/* Refuses a program that cannot be run, so that a mistake is reported at the
 * start and not by the first load. */
static kama_status check_program(const char *path, char *error, size_t cap)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        char reason[64];
        return km_open_fail(error, cap, KAMA_ERR_INVALID, "%s: %s", path,
                            strerror_r(errno, reason, sizeof reason));
    }
    if (!S_ISREG(info.st_mode) || access(path, X_OK) != 0) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID,
                            "%s: it is not a program that can be run", path);
    }
    return KAMA_OK;
}

static void close_loader(void *arg)
{
    struct exec_loader *loader = arg;
    km_command_fini(&loader->command);
    free(loader);
}

static struct exec_loader *make(const kama_loader_host *host,
                                const kama_loader_config *config)
{
    struct exec_loader *loader = calloc(1, sizeof *loader);
    if (loader != NULL) {
        loader->host = host;
        loader->max_value_bytes = config->max_value_bytes;
    }
    return loader;
}

static kama_status open_loader(const kama_loader_host *host,
                               const kama_loader_config *config, char *error,
                               size_t cap, void **ret_loader)
{
    kama_status status = km_open_check(host, config, error, cap);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_command command;
    const char *wrong = km_command_new(config->config, &command);
    if (wrong != NULL) {
        return km_open_fail(error, cap, KAMA_ERR_INVALID, "\"%s\": %s",
                            config->config, wrong);
    }
    status = check_program(command.words[0], error, cap);
    struct exec_loader *loader = status == KAMA_OK ? make(host, config) : NULL;
    if (status == KAMA_OK && loader == NULL) {
        status = km_open_fail(error, cap, KAMA_ERR_NO_MEMORY, "out of memory");
    }
    if (status != KAMA_OK) {
        km_command_fini(&command);
        return status;
    }
    loader->command = command;
    *ret_loader = loader;
    return KAMA_OK;
}

static const char HELP[] =
    "exec:/PATH/PROGRAM ARGUMENT...\n"
    "  The program gets the key on its standard input and prints the value.\n"
    "  Exit code 0 means that the output is the value, 4 that there is no "
    "such\n"
    "  key. Any other is an error, whose sentence is the first line of "
    "standard\n"
    "  error. {key} in an argument stands for the key. Words are separated by\n"
    "  blanks; \"...\" and \\ keep blanks in a word. There is no shell.\n"
    "  exec:/usr/local/bin/find-user --id={key}\n";

static const kama_loader_plugin_info INFO = {
    .struct_size = sizeof INFO,
    .abi_version = KAMA_LOADER_ABI_VERSION,
    .name = "exec",
    .version = KAMA_VERSION_STRING,
    .help = HELP,
    .open = open_loader,
    .load = load,
    .close = close_loader,
};

const kama_loader_plugin_info *kama_loader_plugin(void)
{
    return &INFO;
}
