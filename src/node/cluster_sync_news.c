/* SPDX-License-Identifier: MIT */
/*
 * What reaches the machine comes in one mail, `news`, which is filled under the lock and
 * emptied by the sync loop. Two things have a mail of their own: the growth of the log, which
 * may be told under the lock of a store's shard, so that it takes no lock; and mutations that
 * wait, because there may be many of them, and the streams are not shown anew for each.
 */
#include "base/container.h"
#include "base/text.h"
#include "node/cluster_state.h"
#include "node/cluster_sync_state.h"
#include "node/group_sync.h"
#include "node/node.h"
#include "node/sync_streams.h"
#include "sync/feed.h"

/* -- the sync loop ----------------------------------------------------------- */

/* R15. Whatever comes after a pause of the process or the machine meets streams that
 * begin anew. */
void km_cluster_sync_look_clock(void *arg)
{
    struct km_cluster_sync *sync = arg;
    km_ns now = km_clock_boot();
    km_ns before = sync->looked_at;
    sync->looked_at = now;
    if (before != 0 && now - before > KM_SYNC_PAUSE_MS * KM_NS_PER_MS &&
        !sync->closed) {
        km_sync_woke(sync->machine);
    }
}

void km_cluster_sync_on_grew(struct km_mail *mail)
{
    struct km_cluster_sync *sync =
        KM_CONTAINER_OF(mail, struct km_cluster_sync, grew_mail);
    atomic_store(&sync->grew_posted, false);
    km_cluster_sync_look_clock(sync);
    if (!sync->closed) {
        km_sync_grew(sync->machine);
    }
    km_sync_feed_own(sync->node->sync_feed);
}

/* The list is emptied before the callers are answered, who may make mutations that wait. */
void km_cluster_sync_on_waits(struct km_mail *mail)
{
    struct km_cluster_sync *sync =
        KM_CONTAINER_OF(mail, struct km_cluster_sync, waits_mail);
    struct km_list waits;
    struct km_list *node;
    km_list_init(&waits);
    km_mutex_lock(&sync->lock);
    km_list_splice(&waits, &sync->waits);
    sync->waits_posted = false;
    km_mutex_unlock(&sync->lock);
    km_cluster_sync_look_clock(sync);
    while ((node = km_list_pop_front(&waits)) != NULL) {
        km_sync_await(sync->machine,
                      KM_CONTAINER_OF(node, struct km_sync_wait, node));
    }
}

static void take_self(struct km_cluster_sync *sync,
                      const struct km_sync_news *news)
{
    if (!sync->has_self) {
        sync->has_self = true;
        km_cluster_sync_begin_to_show(sync);
    }
    km_cluster_life_renew(sync->node->sync_log,
                          km_sync_origin_number(&news->id), &news->prev);
    km_sync_set_self(sync->machine, &news->id, news->address, 0);
}

static void close_here(struct km_cluster_sync *sync)
{
    sync->closed = true;
    km_loop_timer_disarm(sync->loop, &sync->tick);
    km_sync_close(sync->machine);
    km_sync_streams_stop(sync->streams);
}

void km_cluster_sync_said_goodbye(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    sync->said_goodbye = true;
    km_cond_broadcast(&sync->changed);
    km_mutex_unlock(&sync->lock);
}

/* A node without an id has nobody to say goodbye to. */
static void say_goodbye(struct km_cluster_sync *sync, km_ns until)
{
    if (sync->has_self) {
        km_sync_say_goodbye(sync->machine, until);
    } else {
        km_cluster_sync_said_goodbye(sync);
    }
}

static void take_view(struct km_cluster_sync *sync, struct km_view *view,
                      bool adopted)
{
    if (adopted) {
        km_sync_adopt(sync->machine, view);
        km_view_unref(sync->view);
        sync->view = km_view_ref(view);
    } else {
        km_sync_notice(sync->machine, view);
    }
    atomic_store(&sync->has_witnesses, km_sync_has_witnesses(sync->machine));
}

/* R10. A member has come and gone unseen. */
static void forget(struct km_cluster_sync *sync)
{
    km_sync_forget(sync->machine);
    km_sync_feed_missed(sync->node->sync_feed, UINT32_MAX);
}

/* A member may have come and gone in a view that is missing (R10). */
static void take_newest(struct km_cluster_sync *sync,
                        const struct km_sync_news *news)
{
    if (news->noticed == NULL && news->adopted == NULL) {
        return;
    }
    forget(sync);
    if (news->noticed != NULL) {
        take_view(sync, news->noticed, false);
    }
    if (news->adopted != NULL) {
        take_view(sync, news->adopted, true);
    }
}

static void handle(struct km_cluster_sync *sync,
                   const struct km_sync_news *news, struct km_list *views)
{
    struct km_list *node;
    struct km_list *tmp;
    if (news->refuse) {
        km_sync_streams_refuse(sync->streams);
    }
    if (news->has_self) {
        take_self(sync, news);
    }
    if (news->forget) {
        forget(sync);
    }
    KM_LIST_FOREACH(node, tmp, views) {
        struct km_sync_view_news *v =
            KM_CONTAINER_OF(node, struct km_sync_view_news, node);
        take_view(sync, v->view, v->adopted);
    }
    take_newest(sync, news);
    if (news->regrouped) {
        km_sync_regrouped(sync->machine);
    }
    if (news->goodbye_until != 0) {
        say_goodbye(sync, news->goodbye_until);
    }
    if (news->close) {
        close_here(sync);
    }
}

void km_cluster_sync_drop_views(struct km_cluster_sync *sync,
                                const struct km_sync_news *news,
                                struct km_list *views)
{
    struct km_list *node;
    while ((node = km_list_pop_front(views)) != NULL) {
        struct km_sync_view_news *v =
            KM_CONTAINER_OF(node, struct km_sync_view_news, node);
        km_view_unref(v->view);
        km_mem_free(&sync->node->mem, v);
    }
    km_view_unref(news->noticed);
    km_view_unref(news->adopted);
}

void km_cluster_sync_on_news(struct km_mail *mail)
{
    struct km_cluster_sync *sync =
        KM_CONTAINER_OF(mail, struct km_cluster_sync, news_mail);
    struct km_list views;
    km_list_init(&views);
    km_mutex_lock(&sync->lock);
    struct km_sync_news news = sync->news;
    sync->news = (struct km_sync_news){0};
    km_list_splice(&views, &sync->views);
    sync->posted = false;
    km_mutex_unlock(&sync->lock);
    km_cluster_sync_look_clock(sync);
    if (!sync->closed) {
        handle(sync, &news, &views);
        km_cluster_sync_look_standing(sync);
    }
    if (!sync->closed) {
        km_cluster_sync_show(sync); /* with the members that are new */
    }
    km_cluster_sync_drop_views(sync, &news, &views);
}

/* -- other threads ----------------------------------------------------------- */

/* Ends a change of the news: takes the lock back, and posts the mail unless it is
 * under way. */
static void unlock_and_post(struct km_cluster_sync *sync)
{
    bool post = !sync->posted;
    sync->posted = true;
    km_mutex_unlock(&sync->lock);
    if (post) {
        km_loop_post(sync->loop, &sync->news_mail);
    }
}

void km_cluster_sync_set_self(struct km_cluster_sync *sync,
                              const struct km_member_id *id,
                              const char *address,
                              const struct km_member_goodbye *prev)
{
    km_mutex_lock(&sync->lock);
    sync->news.has_self = true;
    sync->news.id = *id;
    sync->news.prev = *prev;
    (void)km_text_printf(sync->news.address, sizeof sync->news.address, "%s",
                         address);
    unlock_and_post(sync);
}

/* Adds a view to the list. Without memory, or behind such a view, only the newest ones are
 * kept. */
static void add_view(struct km_cluster_sync *sync, struct km_view *view,
                     bool adopted)
{
    const kama_allocator *mem = &sync->node->mem;
    struct km_sync_view_news *v = km_mem_zalloc(mem, 1, sizeof *v);
    struct km_view **newest =
        adopted ? &sync->news.adopted : &sync->news.noticed;
    struct km_view *before = NULL;
    (void)km_view_ref(view);
    km_mutex_lock(&sync->lock);
    bool listed =
        v != NULL && sync->news.noticed == NULL && sync->news.adopted == NULL;
    if (listed) {
        v->view = view;
        v->adopted = adopted;
        km_list_push_back(&sync->views, &v->node);
    } else {
        before = *newest;
        *newest = view;
    }
    unlock_and_post(sync);
    if (!listed) {
        km_view_unref(before);
        km_mem_free(mem, v);
    }
}

void km_cluster_sync_notice(struct km_cluster_sync *sync, struct km_view *view)
{
    add_view(sync, view, false);
}

void km_cluster_sync_adopt(struct km_cluster_sync *sync, struct km_view *view)
{
    add_view(sync, view, true);
}

void km_cluster_sync_watch(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    atomic_store(&sync->watched, true);
    unlock_and_post(sync);
}

void km_cluster_sync_unwatch(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    atomic_store(&sync->watched, false);
    km_mutex_unlock(&sync->lock);
}

void km_cluster_sync_forget(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    sync->news.forget = true;
    unlock_and_post(sync);
}

void km_cluster_sync_regrouped(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    sync->news.regrouped = true;
    unlock_and_post(sync);
}

void km_cluster_sync_refuse(struct km_cluster_sync *sync)
{
    km_mutex_lock(&sync->lock);
    sync->news.refuse = true;
    unlock_and_post(sync);
}

void km_cluster_sync_goodbye(struct km_cluster_sync *sync, km_ns until)
{
    km_ns now = km_clock_mono(sync->node->clock);
    km_ns least = km_ns_after_ms(now, KM_SYNC_GOODBYE_MS);
    until = until > least ? until : least;
    km_mutex_lock(&sync->lock);
    sync->news.goodbye_until = until;
    unlock_and_post(sync);
    km_mutex_lock(&sync->lock);
    while (!sync->said_goodbye) {
        km_cond_wait(&sync->changed, &sync->lock);
    }
    km_mutex_unlock(&sync->lock);
}

void km_cluster_sync_close(struct km_cluster_sync *sync)
{
    if (!km_loop_is_started(sync->loop) || sync->joined) {
        return;
    }
    sync->joined = true;
    km_mutex_lock(&sync->lock);
    sync->news.close = true;
    unlock_and_post(sync);
    km_pulse_remove(&sync->node->pulse, &sync->beat);
    km_loop_join(sync->loop);
}

/* The flag is lowered before the machine reads the log, so that nothing is missed. */
void km_cluster_sync_grew(const struct km_cluster *cluster)
{
    struct km_cluster_sync *sync = cluster->sync;
    if (!atomic_exchange(&sync->grew_posted, true)) {
        km_loop_post(sync->loop, &sync->grew_mail);
    }
}

bool km_cluster_sync_has_witnesses(const struct km_cluster *cluster)
{
    return atomic_load(&cluster->sync->has_witnesses);
}

void km_cluster_sync_await(const struct km_cluster *cluster,
                           struct km_sync_wait *wait)
{
    struct km_cluster_sync *sync = cluster->sync;
    km_mutex_lock(&sync->lock);
    km_list_push_back(&sync->waits, &wait->node);
    bool post = !sync->waits_posted;
    sync->waits_posted = true;
    km_mutex_unlock(&sync->lock);
    if (post) {
        km_loop_post(sync->loop, &sync->waits_mail);
    }
}
