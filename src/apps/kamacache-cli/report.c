/* SPDX-License-Identifier: MIT */
/* The exit codes of statuses, sentences on standard error, and the end of
 * standard output. */
#include "report.h"
#include "commands.h"
#include "quote.h"

#include "base/status.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

/* The codes are made for scripts: after 3 it is worth trying again when the
 * node serves, while the same command usually fails with 4 again. */
enum cli_exit cli_exit_of(kama_status status)
{
    switch (status) {
    case KAMA_OK:
        return CLI_EXIT_OK;
    case KAMA_MISS:
        return CLI_EXIT_MISS;
    case KAMA_ERR_UNREACHABLE:
    case KAMA_ERR_DISCONNECTED:
    case KAMA_ERR_NOT_READY:
    case KAMA_ERR_CLOSED:
        return CLI_EXIT_UNREACHABLE;
    case KAMA_ERR_INVALID:
    case KAMA_ERR_MALFORMED:
    case KAMA_ERR_TOO_LARGE:
    case KAMA_ERR_NO_GROUP:
    case KAMA_ERR_EXISTS:
    case KAMA_ERR_UNSUPPORTED:
    case KAMA_ERR_UNAUTHENTICATED:
    case KAMA_ERR_PERMISSION:
    case KAMA_ERR_OVERLOADED:
    case KAMA_ERR_BUSY:
        return CLI_EXIT_REFUSED;
    default:
        return CLI_EXIT_OTHER;
    }
}

/* Prints a hint of what to do next, for errors that have one. */
static void advise(const struct cli *cli, kama_status status)
{
    if (status == KAMA_ERR_NOT_READY) {
        fputs("'kamacache-cli node' names the steps that are missing; --wait "
              "waits for the node.\n",
              stderr);
    } else if (cli_exit_of(status) == CLI_EXIT_UNREACHABLE) {
        fputs("Is a node running at ", stderr);
        cli_quote_write_sentence(stderr, cli->options.endpoint);
        fputs(cli->options.wait == 0
                  ? "? -e ADDR names another, --wait waits for it.\n"
                  : "? -e ADDR names another.\n",
              stderr);
    } else if (status == KAMA_ERR_NO_GROUP) {
        fputs("-g NAME names another; 'kamacache-cli groups' lists them.\n",
              stderr);
    } else if (status == KAMA_ERR_TIMEOUT) {
        fprintf(stderr,
                "An answer may take --timeout (now %lld ms), a load the "
                "group's loader_timeout.\n",
                (long long)cli->options.timeout);
    }
}

/* The sentence may come from the node, so that it is escaped. */
enum cli_exit cli_failed(const struct cli *cli, kama_status status)
{
    const char *sentence = km_last_error();
    if (sentence[0] == '\0') {
        sentence = kama_strerror(status);
    }
    fprintf(stderr, "kamacache-cli: %s: ", cli->command->name);
    cli_quote_write_sentence(stderr, sentence);
    fprintf(stderr, " (%s)\n", kama_status_name(status));
    advise(cli, status);
    return cli_exit_of(status);
}

enum cli_exit cli_usage_error(const char *fmt, ...)
{
    char text[2 * KM_ERROR_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)km_text_vprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "kamacache-cli: %s\nTry 'kamacache-cli --help'.\n", text);
    return CLI_EXIT_USAGE;
}

/* Returns the errno of writing to stdout, or 0 if everything was written. After
 * an earlier failure there may be only its mark and an empty buffer. Then one
 * more byte is written, which fails for the same reason. */
static int output_error(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return 0;
    }
    if (errno == 0 && write(STDOUT_FILENO, "\n", 1) == 1) {
        return EIO;
    }
    return errno;
}

enum cli_exit cli_close_output(enum cli_exit code)
{
    int error = output_error();
    if (error == 0) {
        return code;
    }
    if (error != EPIPE) {
        fprintf(stderr, "kamacache-cli: standard output: %s\n",
                strerror(error));
    }
    return CLI_EXIT_OTHER;
}
