/* SPDX-License-Identifier: MIT */
/*
 * Dealing out descriptors. The counts are atomic, because the first loop reads
 * them while the others count connections that were closed. A count that is a
 * moment old only makes the distribution a little uneven.
 */
#include "net/acceptor.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"
#include "net/listener.h"

#include <stdatomic.h>
#include <unistd.h>

struct km_acceptor {
    struct km_acceptor_options options;
    struct km_listener *listener;
    char address[KM_ADDRESS_TEXT_BYTES]; /* "" before listen */
    atomic_uint connections;             /* open, on all loops */
    atomic_uint of_loop[];               /* open, per loop */
};

/* -- life ---------------------------------------------------------------- */

kama_status km_acceptor_new(const struct km_acceptor_options *options,
                            struct km_acceptor **ret_acceptor)
{
    KM_ASSERT(options->loop_count > 0);
    struct km_acceptor *acceptor = km_mem_zalloc(
        options->mem, 1,
        sizeof *acceptor + options->loop_count * sizeof(acceptor->of_loop[0]));
    if (acceptor == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    acceptor->options = *options;
    *ret_acceptor = acceptor;
    return KAMA_OK;
}

void km_acceptor_free(struct km_acceptor *acceptor)
{
    if (acceptor != NULL) {
        KM_ASSERT(acceptor->listener == NULL);
        KM_ASSERT(atomic_load(&acceptor->connections) == 0);
        km_mem_free(acceptor->options.mem, acceptor);
    }
}

/* -- counting ------------------------------------------------------------ */

/* Counts a connection, unless there are too many. Returns whether it was
 * counted. */
static bool count_in(struct km_acceptor *acceptor,
                     enum km_acceptor_place *ret_place)
{
    const struct km_acceptor_options *options = &acceptor->options;
    unsigned max = options->max_connections;
    unsigned open = atomic_load(&acceptor->connections);
    if (max > 0 && open >= max && open - max >= options->reserved_connections) {
        options->on_refused(options->arg);
        return false;
    }
    *ret_place =
        max > 0 && open >= max ? KM_ACCEPTOR_RESERVED : KM_ACCEPTOR_ORDINARY;
    atomic_fetch_add(&acceptor->connections, 1);
    options->on_accepted(options->arg);
    return true;
}

void km_acceptor_count_closed(struct km_acceptor *acceptor, unsigned loop_index)
{
    unsigned of_loop = atomic_fetch_sub(&acceptor->of_loop[loop_index], 1);
    unsigned of_all = atomic_fetch_sub(&acceptor->connections, 1);
    KM_ASSERT(of_loop > 0 && of_all > 0);
}

static unsigned least_loaded(const struct km_acceptor *acceptor)
{
    unsigned best = 0;
    unsigned least = atomic_load(&acceptor->of_loop[0]);
    for (unsigned i = 1; i < acceptor->options.loop_count; i++) {
        unsigned n = atomic_load(&acceptor->of_loop[i]);
        if (n < least) {
            least = n;
            best = i;
        }
    }
    return best;
}

/* -- dealing out --------------------------------------------------------- */

/* A descriptor on its way to another loop. */
struct handover {
    struct km_mail mail;
    struct km_acceptor *acceptor;
    unsigned loop_index;
    int fd;
    enum km_acceptor_place place;
};

static void on_handover(struct km_mail *mail)
{
    struct handover *handover = KM_CONTAINER_OF(mail, struct handover, mail);
    const struct handover copy = *handover;
    const struct km_acceptor_options *options = &copy.acceptor->options;
    km_mem_free(options->mem, handover);
    options->on_connection(options->arg, copy.loop_index, copy.fd, copy.place);
}

/* Returns the loop that gets the descriptor. If there is no memory for the
 * mail to another loop, the first one keeps it. */
static unsigned deal(struct km_acceptor *acceptor, struct handover **ret_mail)
{
    unsigned index = least_loaded(acceptor);
    *ret_mail = index == 0 ? NULL
                           : km_mem_alloc(acceptor->options.mem,
                                          sizeof(struct handover));
    return *ret_mail != NULL ? index : 0;
}

static void on_accept(void *arg, int fd)
{
    struct km_acceptor *acceptor = arg;
    const struct km_acceptor_options *options = &acceptor->options;
    struct handover *handover;
    enum km_acceptor_place place;
    if (!count_in(acceptor, &place)) {
        close(fd);
        return;
    }
    unsigned index = deal(acceptor, &handover);
    atomic_fetch_add(&acceptor->of_loop[index], 1);
    if (handover == NULL) {
        options->on_connection(options->arg, index, fd, place);
        return;
    }
    *handover = (struct handover){.mail = {.run = on_handover},
                                  .acceptor = acceptor,
                                  .loop_index = index,
                                  .fd = fd,
                                  .place = place};
    km_loop_post(options->loops[index], &handover->mail);
}

/* -- listening ----------------------------------------------------------- */

static kama_status listen_here(struct km_acceptor *acceptor,
                               const char *address)
{
    kama_status status =
        km_listener_open(acceptor->options.loops[0], address, on_accept,
                         acceptor, &acceptor->listener);
    if (status == KAMA_OK) {
        (void)km_text_printf(acceptor->address, sizeof acceptor->address, "%s",
                             km_listener_address(acceptor->listener));
    }
    return status;
}

/* Lives on the stack of the thread that waits for the first loop. */
struct listen_request {
    struct km_mail mail;
    struct km_acceptor *acceptor;
    const char *address;
    struct km_event listened;
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX];
};

static void on_listen(struct km_mail *mail)
{
    struct listen_request *request =
        KM_CONTAINER_OF(mail, struct listen_request, mail);
    request->status = listen_here(request->acceptor, request->address);
    (void)km_text_printf(request->sentence, sizeof request->sentence, "%s",
                         km_last_error());
    km_event_set(&request->listened);
}

static kama_status wait_listening(struct listen_request *request)
{
    (void)km_event_wait(&request->listened, KM_NS_NEVER);
    return request->status == KAMA_OK
               ? KAMA_OK
               : km_fail(request->status, "%s", request->sentence);
}

static kama_status listen_there(struct km_acceptor *acceptor,
                                const char *address)
{
    struct listen_request request = {
        .mail = {.run = on_listen}, .acceptor = acceptor, .address = address};
    if (!km_event_init(&request.listened)) {
        return KAMA_ERR_THREADS;
    }
    km_loop_post(acceptor->options.loops[0], &request.mail);
    kama_status status = wait_listening(&request);
    km_event_fini(&request.listened);
    return status;
}

kama_status km_acceptor_listen(struct km_acceptor *acceptor,
                               const char *address)
{
    struct km_loop *loop = acceptor->options.loops[0];
    return !km_loop_is_started(loop) || km_loop_is_inside(loop)
               ? listen_here(acceptor, address)
               : listen_there(acceptor, address);
}

const char *km_acceptor_address(const struct km_acceptor *acceptor)
{
    return acceptor->address[0] != '\0' ? acceptor->address : NULL;
}

void km_acceptor_close(struct km_acceptor *acceptor)
{
    km_listener_close(acceptor->listener);
    acceptor->listener = NULL;
}
