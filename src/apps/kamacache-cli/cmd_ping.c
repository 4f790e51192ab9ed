/* SPDX-License-Identifier: MIT */
/* ping: whether the node serves, or every member of its cluster. */
#include "call.h"
#include "commands.h"
#include "members.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "base/status.h"

/* A health check and what came of it. */
struct ping {
    kama_status status;
    bool serving;
    double ms;
};

static struct ping ping_once(struct cli *cli)
{
    struct ping ping = {.serving = false};
    km_ns begin = km_clock_mono(km_clock_system());
    ping.status = cli_health(cli, cli->options.timeout, &ping.serving);
    ping.ms = (double)(km_clock_mono(km_clock_system()) - begin) / 1e6;
    return ping;
}

static const char *word_of(const struct ping *ping)
{
    if (ping->status != KAMA_OK) {
        return "UNREACHABLE";
    }
    return ping->serving ? "SERVING" : "NOT_SERVING";
}

/* -- a cluster ----------------------------------------------------------- */

static enum cli_exit add_member(json_t *array, const char *address,
                                const struct ping *ping)
{
    json_t *object = json_pack("{s:s,s:s,s:f}", "address", address, "status",
                               word_of(ping), "ms", ping->ms);
    if (object != NULL && ping->status != KAMA_OK &&
        !cli_json_set_bytes(object, "message", KAMA_STR(km_last_error()))) {
        json_decref(object);
        object = NULL;
    }
    return object != NULL && json_array_append_new(array, object) == 0
               ? CLI_EXIT_OK
               : CLI_EXIT_OTHER;
}

/* arg: the JSON array, or NULL for lines. */
static enum cli_exit ping_member(struct cli *cli, const char *address,
                                 void *arg)
{
    struct ping ping = ping_once(cli);
    enum cli_exit code = CLI_EXIT_OK;
    if (arg != NULL) {
        code = add_member(arg, address, &ping);
    } else {
        cli_quote_write_sentence(stdout, address);
        printf("  %s  %.3f ms", word_of(&ping), ping.ms);
        if (ping.status != KAMA_OK) {
            fputs("  ", stdout);
            cli_quote_write_sentence(stdout, km_last_error());
        }
        putchar('\n');
    }
    return code == CLI_EXIT_OK && !ping.serving ? CLI_EXIT_UNREACHABLE : code;
}

static enum cli_exit ping_cluster(struct cli *cli)
{
    if (cli->mode != CLI_MODE_JSON) {
        return cli_members_each(cli, ping_member, NULL);
    }
    json_t *array = json_array();
    if (array == NULL) {
        return cli_print_json(NULL);
    }
    enum cli_exit code = cli_members_each(cli, ping_member, array);
    enum cli_exit printed = cli_print_json(array);
    return code != CLI_EXIT_OK ? code : printed;
}

/* -- ping ---------------------------------------------------------------- */

enum cli_exit cli_cmd_ping(struct cli *cli, const kama_bytes *args, int count)
{
    (void)args;
    (void)count;
    if (cli->options.cluster != 0) {
        return ping_cluster(cli);
    }
    struct ping ping = ping_once(cli);
    if (ping.status != KAMA_OK) {
        return cli_failed(cli, ping.status);
    }
    enum cli_exit code = CLI_EXIT_OK;
    if (cli->mode == CLI_MODE_JSON) {
        code = cli_print_json(
            json_pack("{s:s,s:f}", "status", word_of(&ping), "ms", ping.ms));
    } else {
        printf("%s %.3f ms\n", word_of(&ping), ping.ms);
    }
    return code == CLI_EXIT_OK && !ping.serving ? CLI_EXIT_UNREACHABLE : code;
}
