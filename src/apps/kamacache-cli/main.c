/* SPDX-License-Identifier: MIT */
/* kamacache-cli: reads the options that stand before the command, finds the
 * command in the table and runs it. */
#include "cli.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/option.h"
#include "base/status.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_ENDPOINT "127.0.0.1:8001"
#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_WAIT_MS 10000

static const char usage_head[] =
    "Usage: kamacache-cli [OPTION...] COMMAND [ARGUMENT...]\n"
    "\n"
    "Options:\n"
    "  -e, --endpoint=ADDR   the node (KAMACACHE_ENDPOINT); "
    "127.0.0.1:8001\n"
    "  -g, --group=NAME      the group (KAMACACHE_GROUP); default\n"
    "      --json            print JSON\n"
    "      --raw             print bytes as they are, nothing added\n"
    "      --timeout=TIME    of a call; 10s\n"
    "      --wait[=SECONDS]  wait until the node answers; 10\n"
    "      --help, --version\n"
    "\n"
    "Commands:\n";

static const char usage_tail[] =
    "\n"
    "Keys and values that begin with a double quote are read as \"quoted\"\n"
    "bytes: \\\" \\\\ \\n \\r \\t \\xNN. What is printed that way can be "
    "typed.\n"
    "\n"
    "Exit: 0 ok, 1 miss, 2 usage, 3 unreachable, 4 refused, 5 other.\n";

static void print_help(void)
{
    fputs(usage_head, stdout);
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        printf("  %s %s\n      %s\n", c->name, c->usage, c->help);
    }
    fputs(usage_tail, stdout);
}

static void print_version(void)
{
    printf("kamacache-cli %s\n", kama_version());
}

enum cli_exit cli_usage_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("kamacache-cli: ", stderr);
    vfprintf(stderr, fmt, args);
    fputs("\nTry 'kamacache-cli --help'.\n", stderr);
    va_end(args);
    return CLI_EXIT_USAGE;
}

static enum cli_exit exit_of(kama_status status)
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

enum cli_exit cli_failed(const struct cli *cli, const char *what,
                         kama_status status)
{
    char shown[KM_ERROR_BYTES_MAX * 4];
    const char *sentence = km_last_error();
    if (sentence[0] == '\0') {
        sentence = kama_strerror(status);
    }
    km_bytes_quote(kama_bytes_str(sentence), shown, sizeof shown);
    fprintf(stderr, "kamacache-cli: %s: %s (%s)\n", what, shown,
            kama_status_name(status));
    enum cli_exit code = exit_of(status);
    if (code == CLI_EXIT_UNREACHABLE) {
        fprintf(stderr,
                "Is a node running at %s? -e ADDR names another, "
                "--wait waits for it.\n",
                cli->endpoint);
    }
    return code;
}

bool cli_write(const void *data, size_t len)
{
    if (len == 0 || fwrite(data, 1, len, stdout) == len) {
        return true;
    }
    fputs("kamacache-cli: cannot write the output\n", stderr);
    return false;
}

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].name, name) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

static const char *env_or(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : fallback;
}

/* --wait=SECONDS: a bare number is seconds, as sleep(1) takes it. */
static kama_status parse_wait(const char *text, struct cli *cli)
{
    uint64_t seconds = DEFAULT_WAIT_MS / 1000;
    cli->wait = true;
    if (text != NULL) {
        kama_status st = km_parse_uint(text, 1, 86400, &seconds);
        if (st != KAMA_OK) {
            return st;
        }
    }
    cli->timeout_ms = (int64_t)seconds * 1000;
    return KAMA_OK;
}

enum { OPT_JSON = 256, OPT_RAW, OPT_TIMEOUT, OPT_WAIT, OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
    {"endpoint", required_argument, NULL, 'e'},
    {"group", required_argument, NULL, 'g'},
    {"json", no_argument, NULL, OPT_JSON},
    {"raw", no_argument, NULL, OPT_RAW},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"wait", optional_argument, NULL, OPT_WAIT},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0}};

/* Takes one option. KAMA_MISS: print help or version and end. */
static kama_status take_option(struct cli *cli, int option)
{
    switch (option) {
    case 'e':
        cli->endpoint = optarg;
        return KAMA_OK;
    case 'g':
        cli->group = optarg;
        return KAMA_OK;
    case OPT_JSON:
        cli->mode = CLI_MODE_JSON;
        return KAMA_OK;
    case OPT_RAW:
        cli->mode = CLI_MODE_RAW;
        cli->raw_given = true;
        return KAMA_OK;
    case OPT_TIMEOUT:
        return km_parse_duration_ms(optarg, &cli->timeout_ms);
    case OPT_WAIT:
        return parse_wait(optarg, cli);
    case OPT_HELP:
        print_help();
        return KAMA_MISS;
    case OPT_VERSION:
        print_version();
        return KAMA_MISS;
    default:
        return km_fail(KAMA_ERR_INVALID, "see above");
    }
}

static kama_status take_options(struct cli *cli, int argc, char **argv)
{
    int option;
    /* '+': options behind the command are the command's. */
    while ((option = getopt_long(argc, argv, "+e:g:", long_options, NULL)) !=
           -1) {
        kama_status st = take_option(cli, option);
        if (st != KAMA_OK) {
            return st;
        }
    }
    if (cli->timeout_ms <= 0) {
        return km_fail(KAMA_ERR_INVALID, "--timeout: must be more than 0");
    }
    return KAMA_OK;
}

static enum cli_exit run_command(struct cli *cli,
                                 const struct cli_command *command, int argc,
                                 char **argv)
{
    if (argc < command->args_min ||
        (command->args_max >= 0 && argc > command->args_max)) {
        return cli_usage_error("usage: %s %s", command->name, command->usage);
    }
    const struct km_channel_options options = {
        .mem = cli->mem,
        .clock = km_clock_system(),
        .address = cli->endpoint,
        .max_message_bytes = KM_VALUE_BYTES_LOCAL_MAX + (64u << 10),
    };
    kama_status st = km_client_new(&options, &cli->client);
    if (st != KAMA_OK) {
        return cli_failed(cli, cli->endpoint, st);
    }
    enum cli_exit code = command->run(cli, argc, argv);
    km_client_free(cli->client);
    if (fflush(stdout) != 0 && code == CLI_EXIT_OK) {
        fputs("kamacache-cli: cannot write the output\n", stderr);
        return CLI_EXIT_OTHER;
    }
    return code;
}

int main(int argc, char **argv)
{
    struct cli cli = {
        .mem = km_mem_default(),
        .endpoint = env_or("KAMACACHE_ENDPOINT", DEFAULT_ENDPOINT),
        .group = env_or("KAMACACHE_GROUP", "default"),
        .mode = isatty(STDOUT_FILENO) ? CLI_MODE_PEOPLE : CLI_MODE_RAW,
        .timeout_ms = DEFAULT_TIMEOUT_MS,
    };
    signal(SIGPIPE, SIG_IGN);
    kama_status st = take_options(&cli, argc, argv);
    if (st == KAMA_MISS) {
        return fflush(stdout) == 0 ? CLI_EXIT_OK : CLI_EXIT_OTHER;
    }
    if (st != KAMA_OK) {
        return cli_usage_error("%s", km_last_error());
    }
    if (optind >= argc) {
        return cli_usage_error("a command is missing; the interactive shell "
                               "is not in this version");
    }
    const struct cli_command *command = cli_command_find(argv[optind]);
    if (command == NULL) {
        return cli_usage_error("no such command: %s", argv[optind]);
    }
    return run_command(&cli, command, argc - optind - 1, argv + optind + 1);
}
