/* SPDX-License-Identifier: MIT */
/*
 * Metrics for Prometheus, from a program that serves them itself. This one prints
 * them; a program with a web server would send them as the answer to /metrics.
 *
 *     metrics group          the metrics of a group without a node
 *     metrics                a node: each line "prometheus" or "openmetrics" that is
 *                            typed prints the metrics in that format and then an
 *                            empty line; the end of the input stops the node
 *     metrics node 127.0.0.1:2379
 *                            the same for a member of the cluster in this etcd
 */
#include <kamacache/kamacache.h>
#include <stdio.h>
#include <string.h>

static kama_status load_user(void *arg, const kama_load *req, kama_sink *out)
{
    char row[64];
    (void)arg;
    if (req->key.len > 40) {
        return KAMA_MISS;
    }
    int n = snprintf(row, sizeof row, "user %.*s", (int)req->key.len,
                     (const char *)req->key.data);
    return kama_sink_set(out, KAMA_BYTES(row, (size_t)n), NULL);
}

static int failed(const char *what, kama_status st)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    fprintf(stderr, "%s: %s (%s)\n", what, kama_strerror(st), sentence);
    return 1;
}

/* Takes one piece of the text; a web server would append it to its answer. */
static kama_status print(void *arg, const void *data, size_t len)
{
    return fwrite(data, 1, len, arg) == len ? KAMA_OK : KAMA_ERR_IO;
}

static void set_up_group(kama_group_options *opts)
{
    kama_group_options_init(opts);
    opts->name = "users";
    opts->loader = load_user;
}

static int show_group(void)
{
    char buf[64];
    size_t len;
    kama_group *users;
    kama_group_options opts;
    set_up_group(&opts);
    kama_status st = kama_group_new(&opts, &users);
    if (st != KAMA_OK) {
        return failed("kama_group_new", st);
    }
    st = kama_get_copy(users, KAMA_STR("tom"), NULL, buf, sizeof buf, &len);
    if (st == KAMA_OK) {
        st = kama_metrics_write(NULL, users, KAMA_METRICS_PROMETHEUS, print,
                                stdout);
    }
    kama_group_free(users);
    return st == KAMA_OK ? 0 : failed("kama_metrics_write", st);
}

/* Prints the metrics of the node once for each line of the input. */
static int answer_lines(kama_node *node)
{
    char line[32];
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint32_t format = strcmp(line, "openmetrics\n") == 0
                              ? KAMA_METRICS_OPENMETRICS
                              : KAMA_METRICS_PROMETHEUS;
        kama_status st = kama_metrics_write(node, NULL, format, print, stdout);
        if (st != KAMA_OK) {
            return failed("kama_metrics_write", st);
        }
        printf("\n");
        fflush(stdout);
    }
    return 0;
}

static int run(kama_node *node)
{
    kama_group *users;
    kama_group_options opts;
    set_up_group(&opts);
    kama_status st = kama_node_add_group(node, &opts, &users);
    if (st == KAMA_OK) {
        st = kama_node_start(node);
    }
    if (st != KAMA_OK) {
        return failed("the node", st);
    }
    printf("serving on %s\n", kama_node_address(node));
    fflush(stdout);
    int result = answer_lines(node);
    st = kama_node_stop(node);
    return st == KAMA_OK ? result : failed("kama_node_stop", st);
}

int main(int argc, char **argv)
{
    kama_node *node;
    kama_node_options opts;
    if (argc > 1 && strcmp(argv[1], "group") == 0) {
        return show_group();
    }
    kama_node_options_init(&opts);
    opts.listen = "127.0.0.1:0";
    opts.etcd = argc > 2 ? argv[2] : NULL;
    kama_status st = kama_node_new(&opts, &node);
    if (st != KAMA_OK) {
        return failed("kama_node_new", st);
    }
    int result = run(node);
    kama_node_free(node);
    return result;
}
