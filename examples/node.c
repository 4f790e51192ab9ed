/* SPDX-License-Identifier: MIT */
/*
 * A node: the same group as in alone.c, also served over gRPC. The program
 * starts a node on a free port, uses the group directly, and stops the node.
 *
 *     node                  a node alone
 *     node 127.0.0.1:2379   a member of the cluster in this etcd, until Enter is
 *                           pressed; start it twice, and the second one shows
 *                           both
 */
#include <kamacache/kamacache.h>
#include <stdio.h>

static kama_status load_user(void *arg, const kama_load *req, kama_sink *out)
{
    char row[64];
    (void)arg;
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

static void print_member(void *arg, const kama_member *member)
{
    (void)arg;
    printf("member %s (%s)\n", member->address, member->reach);
}

static int use(kama_group *users)
{
    char buf[64];
    size_t len;
    kama_status st =
        kama_get_copy(users, KAMA_STR("tom"), NULL, buf, sizeof buf, &len);
    if (st != KAMA_OK) {
        return failed("kama_get_copy", st);
    }
    printf("%.*s\n", (int)len, buf);
    /* In a cluster, the value is not kept while its owner changes; then there is
     * nothing to delete. */
    st = kama_del(users, KAMA_STR("tom"), NULL);
    return st == KAMA_OK || st == KAMA_MISS ? 0 : failed("kama_del", st);
}

/* Lets the node be a member until Enter is pressed. */
static void wait_for_enter(void)
{
    printf("Enter stops the node.\n");
    fflush(stdout);
    (void)getchar();
}

/* in_cluster: whether other members may want to find the node. */
static int run(kama_node *node, int in_cluster)
{
    kama_group_options group_opts;
    kama_group_options_init(&group_opts);
    group_opts.name = "users";
    group_opts.loader = load_user;

    kama_group *users;
    kama_status st = kama_node_add_group(node, &group_opts, &users);
    if (st != KAMA_OK) {
        return failed("kama_node_add_group", st);
    }
    st = kama_node_start(node);
    if (st != KAMA_OK) {
        return failed("kama_node_start", st);
    }
    printf("serving on %s\n", kama_node_address(node));
    st = kama_node_members(node, print_member, NULL);
    if (st != KAMA_OK) {
        return failed("kama_node_members", st);
    }
    int rc = use(users);
    if (in_cluster) {
        wait_for_enter();
    }
    st = kama_node_stop(node);
    return st == KAMA_OK ? rc : failed("kama_node_stop", st);
}

int main(int argc, char **argv)
{
    kama_node_options opts;
    kama_node_options_init(&opts);
    opts.listen = "127.0.0.1:0";
    opts.etcd = argc > 1 ? argv[1] : NULL;

    kama_node *node;
    kama_status st = kama_node_new(&opts, &node);
    if (st != KAMA_OK) {
        return failed("kama_node_new", st);
    }
    int rc = run(node, opts.etcd != NULL);
    kama_node_free(node);
    return rc;
}
