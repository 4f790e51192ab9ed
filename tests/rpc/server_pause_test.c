/* SPDX-License-Identifier: MIT */
/* Bidi calls that stop to read: what waits, what is bounded, what goes on. */
#include "rpc/rpc_world.h"

#include "base/container.h"
#include "base/limits.h"
#include "rpc/server_held.h"
#include "rpc/server_loop.h"

/* -- handlers ------------------------------------------------------------ */

/* A call of /t/Pause, which pauses after each message and is resumed by a mail
 * from the test. */
struct pausing {
    struct km_mail mail;
};

/* At most one call of a test pauses. */
static struct pausing *the_pausing;

static void on_resume_mail(struct km_mail *mail)
{
    struct km_server_call *call = km_server_call_of_state(mail);
    struct world *world = world_of(call);
    km_server_call_resume_reading(call);
    world_count(world, &world->parked_count);
    km_server_call_release(call);
}

static void send_back(struct km_server_call *call, kama_bytes message)
{
    kama_status status = km_server_call_send(call, message, NULL);
    KM_ASSERT(status == KAMA_OK || status == KAMA_ERR_CLOSED);
}

static void on_pause(struct km_server_call *call, kama_bytes message)
{
    struct pausing *pausing = km_server_call_state(call);
    pausing->mail.run = on_resume_mail;
    the_pausing = pausing;
    km_server_call_pause_reading(call);
    km_server_call_pause_reading(call);
    send_back(call, message);
}

/* Pauses and resumes within each message. */
static void on_blink(struct km_server_call *call, kama_bytes message)
{
    km_server_call_pause_reading(call);
    km_server_call_resume_reading(call);
    send_back(call, message);
}

/* Ends the call while it is paused. */
static void on_leave(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    km_server_call_pause_reading(call);
    km_server_call_finish(call, KAMA_OK, NULL);
    km_server_call_resume_reading(call);
    km_server_call_pause_reading(call);
}

/* Pauses at the first message, and ends the call at the second one. */
static void on_second(struct km_server_call *call, kama_bytes message)
{
    struct pausing *pausing = km_server_call_state(call);
    if (pausing->mail.run != NULL) {
        km_server_call_finish(call, KAMA_OK, NULL);
        return;
    }
    on_pause(call, message);
}

/* Unary: nothing is paused. */
static void on_unary(struct km_server_call *call, kama_bytes message)
{
    km_server_call_resume_reading(call);
    km_server_call_pause_reading(call);
    km_server_call_reply(call, message, NULL);
}

static const struct km_server_method methods[] = {
    {.path = "/t/Pause",
     .kind = KM_RPC_BIDI_STREAM,
     .state_bytes = sizeof(struct pausing),
     .on_message = on_pause,
     .on_half_close = on_chat_half_close,
     .on_cancel = on_any_cancel},
    {.path = "/t/Second",
     .kind = KM_RPC_BIDI_STREAM,
     .state_bytes = sizeof(struct pausing),
     .on_message = on_second},
    {.path = "/t/Blink",
     .kind = KM_RPC_BIDI_STREAM,
     .on_message = on_blink,
     .on_half_close = on_chat_half_close},
    {.path = "/t/Leave", .kind = KM_RPC_BIDI_STREAM, .on_message = on_leave},
    {.path = "/t/Unary", .kind = KM_RPC_UNARY, .on_message = on_unary},
};

/* -- the rig ------------------------------------------------------------- */

struct rig {
    struct world world;
    struct wire_client client;
    struct seen *seen; /* the call that pauses */
};

static void rig_init(struct rig *rig, const char *path)
{
    const struct world_options options = {
        .methods = methods, .method_count = sizeof methods / sizeof methods[0]};
    assert_int_equal(world_init(&rig->world, &options), KAMA_OK);
    wire_client_open(&rig->client, rig->world.address);
    rig->seen = wire_begin(&rig->client, &(struct wire_request){.path = path});
}

static void rig_fini(struct rig *rig)
{
    wire_client_close(&rig->client);
    world_fini(&rig->world);
}

static void say(struct rig *rig, const char *text)
{
    assert_int_equal(
        km_grpc_send(rig->seen->stream, kama_bytes_str(text), NULL), KAMA_OK);
}

/* A call of the same connection there and back. What was sent before it has
 * been read. */
static void sync_with(struct rig *rig)
{
    struct seen *seen = wire_call(&rig->client, "/t/Unary", KM_LIT("sync"));
    assert_status(seen, KAMA_OK);
    rig->client.pair.client.opened--;
}

struct check {
    struct km_mail mail;
    struct world *world;
    unsigned done;
};

static void on_check(struct km_mail *mail)
{
    struct check *check = KM_CONTAINER_OF(mail, struct check, mail);
    km_server_held_check(&check->world->server->server_loops[0]);
    world_count(check->world, &check->done);
}

static void check_held(struct rig *rig)
{
    struct check check = {.mail = {.run = on_check}, .world = &rig->world};
    km_loop_post(rig->world.loops[0], &check.mail);
    world_wait(&rig->world, &check.done, 1);
}

/* Resumes the call that has paused, and waits until that was asked for. */
static void resume(struct rig *rig)
{
    unsigned before = world_read(&rig->world, &rig->world.parked_count);
    struct km_server_call *call = km_server_call_of_state(the_pausing);
    km_server_call_hold(call);
    km_loop_post(rig->world.loops[0], &the_pausing->mail);
    world_wait(&rig->world, &rig->world.parked_count, before + 1);
}

#define MESSAGE(n) ((n) * (KM_GRPC_PREFIX_BYTES + 1))

/* -- tests --------------------------------------------------------------- */

/* Messages that come together are delivered one for each resume, and the end of
 * the request after the last one. */
static void test_one_message_per_resume(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Pause");
    say(&rig, "a");
    say(&rig, "b");
    say(&rig, "c");
    wire_end(rig.seen);
    wire_flush(&rig.client);
    for (size_t n = 1; n <= 3; n++) {
        wire_wait_body(&rig.client, rig.seen, MESSAGE(n));
        sync_with(&rig);
        check_held(&rig);
        assert_int_equal(rig.seen->body.len, MESSAGE(n));
        assert_int_equal(world_read(&rig.world, &rig.world.half_closed), 0);
        resume(&rig);
    }
    wire_wait(&rig.client, rig.seen);
    assert_status(rig.seen, KAMA_OK);
    assert_int_equal(rig.seen->body.data[MESSAGE(3) - 1], 'c');
    assert_int_equal(world_read(&rig.world, &rig.world.half_closed), 1);
    rig_fini(&rig);
}

/* A paused stream gets no window: what waits here is bounded by it, although
 * the client has more to send, and other calls go on. */
static void test_window_bounds_what_waits(void **state)
{
    (void)state;
    struct rig rig;
    static uint8_t zeros[1 << 20];
    rig_init(&rig, "/t/Pause");
    say(&rig, "a");
    wire_wait_body(&rig.client, rig.seen, MESSAGE(1));
    assert_int_equal(km_grpc_send(rig.seen->stream,
                                  kama_bytes_make(zeros, sizeof zeros), NULL),
                     KAMA_OK);
    for (int i = 0; i < 10; i++) {
        sync_with(&rig);
    }
    check_held(&rig);
    size_t sent =
        sizeof zeros + KM_GRPC_PREFIX_BYTES - km_h2_queued(rig.seen->stream);
    assert_in_range(sent, 1, KM_H2_STREAM_WINDOW_BYTES);
    assert_true(world_metric(&rig.world, KM_SERVER_M_HELD_BYTES) <=
                2 * KM_H2_STREAM_WINDOW_BYTES);
    resume(&rig);
    wire_wait_body(&rig.client, rig.seen,
                   MESSAGE(1) + KM_GRPC_PREFIX_BYTES + sizeof zeros);
    check_held(&rig);
    rig_fini(&rig);
}

/* A handler may pause and resume within each message. */
static void test_pause_and_resume_at_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Blink");
    for (int i = 0; i < 2000; i++) {
        say(&rig, "x");
    }
    wire_end(rig.seen);
    wire_wait(&rig.client, rig.seen);
    assert_status(rig.seen, KAMA_OK);
    assert_int_equal(rig.seen->body.len, MESSAGE(2000));
    check_held(&rig);
    rig_fini(&rig);
}

/* A paused call can be reset, and frees what waits. */
static void test_cancel_while_paused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Pause");
    say(&rig, "a");
    say(&rig, "b");
    wire_wait_body(&rig.client, rig.seen, MESSAGE(1));
    sync_with(&rig);
    km_h2_reset(rig.seen->stream, KM_H2_CANCEL);
    wire_flush(&rig.client);
    world_wait(&rig.world, &rig.world.cancelled, 1);
    check_held(&rig);
    assert_int_equal(world_metric(&rig.world, KM_SERVER_M_HELD_BYTES), 0);
    rig_fini(&rig);
}

/* A call can be ended while it is paused; unary calls are never paused. */
static void test_end_while_paused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Leave");
    say(&rig, "a");
    say(&rig, "b");
    wire_end(rig.seen);
    wire_wait(&rig.client, rig.seen);
    assert_status(rig.seen, KAMA_OK);
    sync_with(&rig);
    check_held(&rig);
    rig_fini(&rig);
}

/* A call can be ended while what waited is delivered, and frees the rest. */
static void test_end_while_resumed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Second");
    say(&rig, "a");
    say(&rig, "b");
    say(&rig, "c");
    wire_end(rig.seen);
    wire_wait_body(&rig.client, rig.seen, MESSAGE(1));
    sync_with(&rig);
    resume(&rig);
    wire_wait(&rig.client, rig.seen);
    assert_status(rig.seen, KAMA_OK);
    sync_with(&rig);
    check_held(&rig);
    assert_int_equal(world_metric(&rig.world, KM_SERVER_M_HELD_BYTES), 0);
    rig_fini(&rig);
}

/* A request that is cut off is refused after the messages in front of it. */
static void test_cut_off_while_paused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Pause");
    say(&rig, "a");
    wire_body(rig.seen, KM_LIT("\0\0\0"));
    wire_end(rig.seen);
    wire_wait_body(&rig.client, rig.seen, MESSAGE(1));
    sync_with(&rig);
    assert_int_equal(world_read(&rig.world, &rig.world.cancelled), 0);
    resume(&rig);
    wire_wait(&rig.client, rig.seen);
    assert_status(rig.seen, KAMA_ERR_PROTOCOL);
    world_wait(&rig.world, &rig.world.cancelled, 1);
    rig_fini(&rig);
}

/* A message that breaks the rules is refused when it is its turn, also when the
 * client has ended the request long before. */
static void test_bad_message_while_paused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "/t/Pause");
    say(&rig, "a");
    wire_body(rig.seen, KM_LIT("\7\0\0\0\1x"));
    wire_end(rig.seen);
    wire_wait_body(&rig.client, rig.seen, MESSAGE(1));
    sync_with(&rig);
    resume(&rig);
    wire_wait(&rig.client, rig.seen);
    assert_status(rig.seen, KAMA_ERR_PROTOCOL);
    check_held(&rig);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_message_per_resume),
        cmocka_unit_test(test_window_bounds_what_waits),
        cmocka_unit_test(test_pause_and_resume_at_once),
        cmocka_unit_test(test_cancel_while_paused),
        cmocka_unit_test(test_end_while_paused),
        cmocka_unit_test(test_end_while_resumed),
        cmocka_unit_test(test_cut_off_while_paused),
        cmocka_unit_test(test_bad_message_while_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
