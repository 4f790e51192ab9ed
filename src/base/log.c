/* SPDX-License-Identifier: MIT */
/*
 * The log is the one mutable global of the project: its level, its format, the
 * writer, and the number of lost lines.
 *
 * A caller formats its line on its own stack and copies it into the ring under
 * the lock. The writer thread writes from the ring without the lock, because
 * the bytes that the ring has shown to it stay as they are until it consumes
 * them.
 *
 * The descriptor may be a full pipe, or a file on a full disk. The writer polls
 * before each write, so that it never hangs in a write to a pipe, and drops the
 * lines that an error leaves. If it hangs nevertheless (on a dead network file
 * system), km_log_stop leaves it behind, and it frees itself if it ever
 * returns.
 */
#include "base/log.h"

#include "base/bytes.h"
#include "base/log_format.h"
#include "base/log_ring.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/sync.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SITE_INTERVAL_NS (KM_NS_PER_S / 10)
#define SITE_BURST 20
#define STOP_NS KM_NS_PER_S /* how long the writer may write after a stop */
#define STOP_SLACK_NS (KM_NS_PER_S / 4) /* and how much longer stop waits */
#define POLL_MS 50 /* the writer looks for a stop at least this often */

/*
 * The states of the writer:
 *
 *     RUNNING --km_log_stop--> CLOSING --rest written--> ENDED
 *                                 |
 *                                 +----time is over----> ABANDONED
 *
 * km_log_stop joins and frees a writer that has ENDED. An ABANDONED writer
 * frees itself.
 */
enum writer_state {
    WRITER_RUNNING,
    WRITER_CLOSING,
    WRITER_ENDED,
    WRITER_ABANDONED
};

struct writer {
    pthread_t thread;
    int fd;
    enum km_log_format format;
    bool mid_line; /* the last line was written in part; the thread's own */
    struct km_cond wake;
    struct km_cond done;
    enum writer_state state; /* the lock protects this and the rest */
    km_ns give_up_at;        /* unless the state is RUNNING */
    struct km_log_ring ring;
};

static struct {
    struct km_mutex lock;
    struct writer *writer; /* the lock protects it */
    atomic_int level;
    atomic_int format;
    _Atomic uint64_t dropped;
    _Atomic uint64_t reported; /* how many of these a line has reported */
} log_state = {
    .lock = {PTHREAD_MUTEX_INITIALIZER, KM_RANK_LOG},
    .level = KM_LOG_INFO,
    .format = KM_LOG_TEXT,
};

uint64_t km_log_dropped(void)
{
    return atomic_load(&log_state.dropped);
}

/* -- a call site's rate -------------------------------------------------- */

/*
 * Returns whether the site may write a line now, and counts the line.
 *
 * tokens_at is the time at which the whole burst is available again. Each line
 * moves it on by one interval, and a line is held back if that would move it
 * further ahead of now than the burst permits:
 *
 *     now                      now + 20 intervals
 *      |--line--line--line--......|
 *                     ^ tokens_at after three lines
 */
static bool take_token(struct km_log_site *site, km_ns now)
{
    uint64_t at = atomic_load_explicit(&site->tokens_at, memory_order_relaxed);
    uint64_t from;
    do {
        from = at > now ? at : now;
        if (from - now > (SITE_BURST - 1) * SITE_INTERVAL_NS) {
            atomic_fetch_add_explicit(&site->held_back, 1,
                                      memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &site->tokens_at, &at, from + SITE_INTERVAL_NS, memory_order_relaxed,
        memory_order_relaxed));
    return true;
}

/* -- writing ------------------------------------------------------------- */

/* Waits until fd can be written or has an error. Returns false if neither has
 * happened in time. */
static bool poll_writable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, timeout_ms) > 0;
}

/* Writes without raising SIGPIPE in a thread that may not have it blocked. A
 * SIGPIPE that this write has made pending is taken back, but one that was
 * pending before stays for the application. */
static ssize_t write_quietly(int fd, kama_bytes text)
{
    sigset_t pipe_set;
    sigset_t before;
    sigset_t pending;
    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
    ssize_t n = write(fd, text.data, text.len);
    if (n < 0 && errno == EPIPE && sigismember(&pending, SIGPIPE) == 0) {
        static const struct timespec at_once;
        (void)sigtimedwait(&pipe_set, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

/* Writes to stderr, for lines without a writer thread. A line that stderr does
 * not take at once is lost. */
static void write_directly(kama_bytes line)
{
    if (!poll_writable(STDERR_FILENO, 0) ||
        write_quietly(STDERR_FILENO, line) != (ssize_t)line.len) {
        atomic_fetch_add(&log_state.dropped, 1);
    }
}

/* Returns whether km_log_stop waits and the time for the rest is over. */
static bool is_past_end(struct writer *w)
{
    km_mutex_lock(&log_state.lock);
    bool past = w->state != WRITER_RUNNING &&
                km_clock_mono(km_clock_system()) >= w->give_up_at;
    km_mutex_unlock(&log_state.lock);
    return past;
}

/* Returns whether the same write may succeed after this error. Sleeps for a
 * moment if the descriptor is full. */
static bool may_try_again(int err)
{
    if (err == EAGAIN) {
        (void)poll(NULL, 0, 10);
    }
    return err == EAGAIN || err == EINTR;
}

/* Returns how many bytes of text the descriptor took, until there was an error
 * or the time was over. */
static size_t write_some(struct writer *w, kama_bytes text)
{
    size_t done = 0;
    while (done < text.len && !is_past_end(w)) {
        if (!poll_writable(w->fd, POLL_MS)) {
            continue;
        }
        kama_bytes rest = km_bytes_skip(text, done);
        ssize_t n = write(w->fd, rest.data, rest.len);
        if (n >= 0) {
            done += (size_t)n;
        } else if (!may_try_again(errno)) {
            break;
        }
    }
    return done;
}

/* Writes whole lines and returns how many of them were lost. The rest of a line
 * that was written in part is lost, and its beginning is ended by a newline
 * before the next line. */
static size_t write_lines(struct writer *w, kama_bytes text)
{
    if (w->mid_line && write_some(w, KM_LIT("\n")) != 1) {
        return km_log_count_lines(text);
    }
    w->mid_line = false;
    size_t done = write_some(w, text);
    const char *p = text.data;
    w->mid_line = done > 0 && p[done - 1] != '\n';
    return km_log_count_lines(km_bytes_skip(text, done));
}

/* Writes a line about the lines that were lost since the last such line. */
static void report_dropped(struct writer *w)
{
    char buf[KM_LOG_LINE_BYTES_MAX];
    uint64_t dropped = atomic_load(&log_state.dropped);
    uint64_t lost = dropped - atomic_load(&log_state.reported);
    if (lost == 0) {
        return;
    }
    struct km_field count = km_f_int("count", (int64_t)lost);
    struct km_log_event event = {
        .wall_us = km_clock_wall_us(),
        .level = KM_LOG_WARN,
        .component = "log",
        .msg = "lines were lost",
        .fields = &count,
        .field_count = 1,
    };
    size_t len = km_log_format(w->format, &event, buf);
    if (write_lines(w, kama_bytes_make(buf, len)) == 0) {
        atomic_store(&log_state.reported, dropped);
    }
}

/* -- the writer thread --------------------------------------------------- */

/* Waits for lines and returns them. Returns an empty text when the ring is
 * empty and the log is being stopped. */
static kama_bytes next_lines_locked(struct writer *w)
{
    KM_ASSERT_HELD(&log_state.lock);
    kama_bytes lines = km_log_ring_peek(&w->ring);
    while (lines.len == 0 && w->state == WRITER_RUNNING) {
        km_cond_wait(&w->wake, &log_state.lock);
        lines = km_log_ring_peek(&w->ring);
    }
    return lines;
}

static void free_writer(struct writer *w)
{
    km_cond_fini(&w->done);
    km_cond_fini(&w->wake);
    km_mem_free(km_mem_default(), w);
}

static void *run_writer(void *arg)
{
    struct writer *w = arg;
    kama_bytes lines;
    km_mutex_lock(&log_state.lock);
    while ((lines = next_lines_locked(w)).len > 0) {
        km_mutex_unlock(&log_state.lock);
        report_dropped(w);
        size_t lost = write_lines(w, lines);
        atomic_fetch_add(&log_state.dropped, lost);
        km_mutex_lock(&log_state.lock);
        km_log_ring_consume(&w->ring, lines);
    }
    km_mutex_unlock(&log_state.lock);
    report_dropped(w);
    km_mutex_lock(&log_state.lock);
    bool abandoned = w->state == WRITER_ABANDONED;
    w->state = WRITER_ENDED;
    km_cond_signal(&w->done);
    km_mutex_unlock(&log_state.lock);
    if (abandoned) {
        free_writer(w);
    }
    return NULL;
}

/* -- life ---------------------------------------------------------------- */

/* Returns a writer without a thread, or NULL without memory or resources. */
static struct writer *make_writer(int fd, enum km_log_format format)
{
    struct writer *w = km_mem_alloc(km_mem_default(), sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    /* The ring is large and need not be zeroed. */
    memset(w, 0, offsetof(struct writer, ring));
    km_log_ring_init(&w->ring);
    w->fd = fd;
    w->format = format;
    if (!km_cond_init(&w->wake)) {
        goto fail_wake;
    }
    if (!km_cond_init(&w->done)) {
        goto fail_done;
    }
    return w;
fail_done:
    km_cond_fini(&w->wake);
fail_wake:
    km_mem_free(km_mem_default(), w);
    return NULL;
}

kama_status km_log_start(int fd, enum km_log_level level,
                         enum km_log_format format)
{
    km_mutex_lock(&log_state.lock);
    bool started = log_state.writer != NULL;
    km_mutex_unlock(&log_state.lock);
    if (started) {
        return km_fail(KAMA_ERR_STATE, "the log is started already");
    }
    struct writer *w = make_writer(fd, format);
    if (w == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the log");
    }
    if (!km_thread_start(&w->thread, "kama-log", run_writer, w)) {
        free_writer(w);
        return km_fail(KAMA_ERR_THREADS, "cannot start the log's thread");
    }
    atomic_store(&log_state.level, (int)level);
    atomic_store(&log_state.format, (int)format);
    km_mutex_lock(&log_state.lock);
    log_state.writer = w;
    km_mutex_unlock(&log_state.lock);
    return KAMA_OK;
}

/* Lets the thread write the rest. Returns false if it has not ended in time; it
 * is then abandoned. */
static bool end_locked(struct writer *w)
{
    KM_ASSERT_HELD(&log_state.lock);
    km_ns now = km_clock_mono(km_clock_system());
    bool in_time = true;
    w->give_up_at = now + STOP_NS;
    w->state = WRITER_CLOSING;
    km_cond_signal(&w->wake);
    while (w->state != WRITER_ENDED && in_time) {
        in_time = km_cond_wait_until(&w->done, &log_state.lock,
                                     w->give_up_at + STOP_SLACK_NS);
    }
    if (w->state == WRITER_ENDED) {
        return true;
    }
    w->state = WRITER_ABANDONED;
    return false;
}

void km_log_stop(void)
{
    km_mutex_lock(&log_state.lock);
    struct writer *w = log_state.writer;
    log_state.writer = NULL;
    if (w == NULL) {
        km_mutex_unlock(&log_state.lock);
        return;
    }
    pthread_t thread = w->thread;
    bool ended = end_locked(w);
    km_mutex_unlock(&log_state.lock);
    if (ended) {
        (void)pthread_join(thread, NULL);
        free_writer(w);
    } else {
        (void)pthread_detach(thread);
    }
}

/* -- an event ------------------------------------------------------------ */

/* Puts the line into the ring. Returns false if there is no writer. */
static bool queue_line(kama_bytes line)
{
    km_mutex_lock(&log_state.lock);
    struct writer *w = log_state.writer;
    if (w != NULL) {
        if (!km_log_ring_put(&w->ring, line)) {
            atomic_fetch_add(&log_state.dropped, 1);
        }
        km_cond_signal(&w->wake);
    }
    km_mutex_unlock(&log_state.lock);
    return w != NULL;
}

void km_log_write(struct km_log_site *site, enum km_log_level level,
                  const char *component, const char *msg,
                  const struct km_field *fields, size_t field_count)
{
    char buf[KM_LOG_LINE_BYTES_MAX];
    if ((int)level < atomic_load(&log_state.level) ||
        !take_token(site, km_clock_mono(km_clock_system()))) {
        return;
    }
    struct km_log_event event = {
        .wall_us = km_clock_wall_us(),
        .level = level,
        .component = component,
        .msg = msg,
        .fields = fields,
        .field_count = field_count,
        .held_back = atomic_exchange(&site->held_back, 0),
    };
    int format = atomic_load(&log_state.format);
    size_t len = km_log_format((enum km_log_format)format, &event, buf);
    kama_bytes line = kama_bytes_make(buf, len);
    if (!queue_line(line)) {
        write_directly(line);
    }
}
