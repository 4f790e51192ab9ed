/* SPDX-License-Identifier: MIT */
/*
 * Gets from an event loop, which must not block. The answers come on a thread
 * of the group's pool. That thread hands them to the loop through a pipe, and
 * the loop polls the pipe as it polls its sockets.
 */
#include <kamacache/kamacache.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define KEYS 3

static kama_status load_user(void *arg, const kama_load *req, kama_sink *out)
{
    char row[64];
    (void)arg;
    int n = snprintf(row, sizeof row, "user %.*s", (int)req->key.len,
                     (const char *)req->key.data);
    return kama_sink_set(out, KAMA_BYTES(row, (size_t)n), NULL);
}

/* The message that a callback sends to the loop. */
struct answer {
    int is_batch;
    kama_status status;
    kama_value *value;
    kama_item items[KEYS];
};

static void post(const int *pipe_in, const struct answer *answer)
{
    if (write(*pipe_in, answer, sizeof *answer) != (ssize_t)sizeof *answer) {
        fprintf(stderr, "the pipe is broken\n");
    }
}

/* The answer of kama_get_async. It is called exactly once, and never from
 * inside kama_get_async. The reference `v` travels to the loop, which gives it
 * back. */
static void on_user(void *arg, kama_status st, kama_value *v)
{
    struct answer answer = {0, st, v, {{KAMA_OK, NULL}}};
    post(arg, &answer);
}

/* The answer of kama_mget_async. The array is borrowed until this returns; the
 * references in it travel to the loop, which gives them back. */
static void on_users(void *arg, kama_status st, const kama_item *items,
                     size_t n)
{
    struct answer answer = {1, st, NULL, {{KAMA_OK, NULL}}};
    for (size_t i = 0; i < n && i < KEYS; i++) {
        answer.items[i] = items[i];
    }
    post(arg, &answer);
}

static void print_value(kama_status st, kama_value *v)
{
    if (st == KAMA_OK) {
        kama_bytes b = kama_value_bytes(v);
        printf("%.*s\n", (int)b.len, (const char *)b.data);
        kama_value_unref(v);
    } else {
        printf("%s\n", kama_strerror(st));
    }
}

/* The event loop. It ends when both answers have come. */
static int run_loop(int pipe_out)
{
    struct pollfd poll_fd = {pipe_out, POLLIN, 0};
    struct answer answer;
    for (int left = 2; left > 0; left--) {
        if (poll(&poll_fd, 1, 10000) != 1 ||
            read(pipe_out, &answer, sizeof answer) != (ssize_t)sizeof answer) {
            fprintf(stderr, "no answer\n");
            return 1;
        }
        if (!answer.is_batch) {
            print_value(answer.status, answer.value);
            continue;
        }
        for (int i = 0; i < KEYS; i++) {
            print_value(answer.items[i].status, answer.items[i].value);
        }
    }
    return 0;
}

static kama_status ask(kama_group *users, int *pipe_in)
{
    const kama_bytes keys[KEYS] = {KAMA_STR("jack"), KAMA_STR("sam"),
                                   KAMA_STR("tom")};
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 2000;
    kama_status st =
        kama_get_async(users, KAMA_STR("tom"), &ctx, on_user, pipe_in);
    if (st != KAMA_OK) {
        return st;
    }
    return kama_mget_async(users, keys, KEYS, &ctx, on_users, pipe_in);
}

int main(void)
{
    int fds[2];
    kama_group_options opts;
    kama_group_options_init(&opts);
    opts.name = "users";
    opts.loader = load_user;

    kama_group *users;
    kama_status st = kama_group_new(&opts, &users);
    if (st != KAMA_OK || pipe(fds) != 0) {
        fprintf(stderr, "start: %s\n", kama_strerror(st));
        return 1;
    }
    st = ask(users, &fds[1]);
    int rc = st == KAMA_OK ? run_loop(fds[0]) : 1;
    kama_group_free(users);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return rc;
}
