/* SPDX-License-Identifier: MIT */
/*
 * A loader that finishes later: it puts the load into a queue and returns at
 * once, and a thread of the application answers it. A program whose database
 * has an asynchronous interface works like this.
 */
#include <kamacache/kamacache.h>
#include <pthread.h>
#include <stdio.h>

/* A queue with room for one load, which is enough here. */
struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    kama_bytes key;
    kama_deferred *deferred;
    int closed;
};

static void queue_push(struct queue *q, kama_bytes key, kama_deferred *d)
{
    pthread_mutex_lock(&q->mutex);
    while (q->deferred != NULL) {
        pthread_cond_wait(&q->changed, &q->mutex);
    }
    q->key = key;
    q->deferred = d;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mutex);
}

/* The key and `d` stay valid until kama_load_finish returns, so the queue can
 * keep them without a copy. */
static kama_status load_later(void *arg, const kama_load *req, kama_sink *out)
{
    kama_deferred *d = kama_load_defer(out);
    if (d == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    queue_push(arg, req->key, d);
    return KAMA_DEFERRED;
}

static void answer(struct queue *q)
{
    char row[64];
    int n = snprintf(row, sizeof row, "later: %.*s", (int)q->key.len,
                     (const char *)q->key.data);
    kama_load_finish(q->deferred, KAMA_OK, KAMA_BYTES(row, (size_t)n), NULL);
    q->deferred = NULL;
}

static void *work(void *arg)
{
    struct queue *q = arg;
    pthread_mutex_lock(&q->mutex);
    while (!q->closed) {
        if (q->deferred != NULL) {
            answer(q);
            pthread_cond_broadcast(&q->changed);
        } else {
            pthread_cond_wait(&q->changed, &q->mutex);
        }
    }
    pthread_mutex_unlock(&q->mutex);
    return NULL;
}

static int get(kama_group *group, const char *key)
{
    char buf[64];
    size_t len;
    kama_status st =
        kama_get_copy(group, KAMA_STR(key), NULL, buf, sizeof buf, &len);
    if (st != KAMA_OK) {
        fprintf(stderr, "%s: %s\n", key, kama_strerror(st));
        return 1;
    }
    printf("%.*s\n", (int)len, buf);
    return 0;
}

int main(void)
{
    struct queue queue = {PTHREAD_MUTEX_INITIALIZER,
                          PTHREAD_COND_INITIALIZER,
                          {NULL, 0},
                          NULL,
                          0};
    pthread_t worker;
    kama_group_options opts;
    kama_group_options_init(&opts);
    opts.name = "later";
    opts.loader = load_later;
    opts.loader_arg = &queue;

    kama_group *group;
    kama_status st = kama_group_new(&opts, &group);
    if (st != KAMA_OK || pthread_create(&worker, NULL, work, &queue) != 0) {
        fprintf(stderr, "start: %s\n", kama_strerror(st));
        return 1;
    }
    int rc = get(group, "tom") | get(group, "jack") | get(group, "tom");
    pthread_mutex_lock(&queue.mutex);
    queue.closed = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.mutex);
    pthread_join(worker, NULL);
    kama_group_free(group);
    return rc;
}
