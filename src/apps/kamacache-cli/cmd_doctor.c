/* SPDX-License-Identifier: MIT */
/*
 * doctor: asks every member of the cluster at once, and looks for what is wrong.
 *
 *     the addresses of -e --Members--> the first one that answers
 *                              |
 *     all members --Doctor (and Get, for --probe-load)--> answers
 *                              |
 *     compare.h --> findings.h --> two lines each, or JSON
 *
 * Both rounds together take DOCTOR_MS at most, whatever stands still.
 */
#include "call.h"
#include "commands.h"
#include "compare.h"
#include "members.h"
#include "print.h"
#include "quote.h"
#include "report.h"

#include "base/mem.h"
#include "base/status.h"
#include "rpc/fan.h"

#define DOCTOR_MS 2000
#define MEMBERS_MS 1000 /* of it, for the list of the members */
#define V2 "/kama.v2.Cache/"

/* One examination. */
struct examination {
    struct cli *cli;
    km_ns until;
    struct km_fan_call first[CLI_ENDPOINTS_MAX];
    const char *asked; /* the address that has named the members */
    struct km_msg_members_response members;
    struct cli_patient *patients;
    size_t count;
    struct km_fan_call *calls; /* Doctor of each, then Get of each */
    size_t call_count;
    struct km_buf probe; /* the encoded GetRequest; empty: none */
    struct cli_findings findings;
};

static int64_t left_ms(const struct examination *e)
{
    km_ns now = km_clock_mono(km_clock_system());
    return now < e->until ? (int64_t)((e->until - now) / KM_NS_PER_MS) + 1 : 1;
}

/* -- the members ------------------------------------------------------------- */

/* Returns the call that has succeeded, or NULL. Then the last failure is kept as
 * this thread's error. */
static struct km_fan_call *find_success(struct examination *e,
                                        kama_status *ret_status)
{
    size_t count = e->cli->endpoints.count;
    for (size_t i = 0; i < count; i++) {
        if (e->first[i].status == KAMA_OK) {
            return &e->first[i];
        }
    }
    /* A node that stands still is as good as none for who asks. */
    *ret_status = e->first[0].status == KAMA_ERR_TIMEOUT ? KAMA_ERR_UNREACHABLE
                                                         : e->first[0].status;
    *ret_status = km_fail(*ret_status, "%s", e->first[0].text);
    return NULL;
}

/* Asks the addresses of the user for the members; the first answer counts. */
static kama_status ask_for_members(struct examination *e)
{
    const struct cli_endpoints *all = &e->cli->endpoints;
    int64_t ms = left_ms(e) < MEMBERS_MS ? left_ms(e) : MEMBERS_MS;
    kama_status st = km_fan(e->first, all->count, ms, KM_FAN_FIRST);
    if (st != KAMA_OK) {
        return st;
    }
    const struct km_fan_call *call = find_success(e, &st);
    if (call == NULL) {
        return st;
    }
    e->asked = call->address;
    return cli_decode(&km_msg_members_response_pb, km_buf_bytes(&call->reply),
                      &e->members);
}

static kama_status add_patient(void *arg, const void *message)
{
    struct examination *e = arg;
    const struct km_msg_member *member = message;
    struct cli_patient *p = &e->patients[e->count];
    p->address = km_mem_strndup(km_mem_default(), member->address.data,
                                member->address.len);
    p->id = member->id;
    if (p->address == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    e->count++;
    return KAMA_OK;
}

/* A node that is in no view yet names no members, and is examined alone. */
static kama_status list_patients(struct examination *e)
{
    struct km_msg_member member = {.address = KAMA_STR(e->asked)};
    e->patients = km_mem_zalloc(km_mem_default(), e->members.members.count + 1,
                                sizeof *e->patients);
    if (e->patients == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    return e->members.members.count == 0
               ? add_patient(e, &member)
               : cli_each(e->members.members, &km_msg_member_pb, &member,
                          add_patient, e);
}

/* -- the questions ----------------------------------------------------------- */

/* Writes the message of a Get that each member answers by itself. The option is
 * GROUP:KEY. */
static kama_status write_probe(struct examination *e)
{
    struct km_msg_get_request request = {.local_only = true};
    const char *option = e->cli->options.probe_load;
    const char *colon = option != NULL ? strchr(option, ':') : NULL;
    if (option == NULL) {
        return KAMA_OK;
    }
    if (colon == NULL || colon[1] == '\0') {
        return km_fail(KAMA_ERR_INVALID,
                       "--probe-load: \"%s\" is no GROUP:KEY, such as "
                       "users:tom",
                       option);
    }
    request.group = kama_bytes_make(option, (size_t)(colon - option));
    request.key = KAMA_STR(colon + 1);
    /* The option lies in argv and may be changed. */
    if (e->cli->options.quoted != 0 &&
        cli_unquote((char *)(uintptr_t)(colon + 1), &request.key) != KAMA_OK) {
        return km_fail(KAMA_ERR_INVALID, "--probe-load: %s", km_last_error());
    }
    return km_pb_append(&e->probe, &km_msg_get_request_pb, &request);
}

static kama_status ask_all(struct examination *e)
{
    bool probes = e->probe.len > 0;
    e->call_count = probes ? 2 * e->count : e->count;
    e->calls =
        km_mem_zalloc(km_mem_default(), e->call_count + 1, sizeof *e->calls);
    if (e->calls == NULL) {
        e->call_count = 0;
        return KAMA_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < e->count; i++) {
        km_fan_call_init(&e->calls[i], e->patients[i].address, V2 "Doctor",
                         KAMA_STR(""));
        if (probes) {
            km_fan_call_init(&e->calls[e->count + i], e->patients[i].address,
                             V2 "Get", km_buf_bytes(&e->probe));
        }
    }
    return km_fan(e->calls, e->call_count, left_ms(e), KM_FAN_ALL);
}

/* -- the answers -------------------------------------------------------------- */

static void take_answer(struct cli_patient *p, const struct km_fan_call *call)
{
    p->status = call->status;
    p->text = call->text;
    p->begin_ms = call->begin_ms;
    p->end_ms = call->end_ms;
    if (p->status == KAMA_OK &&
        km_pb_decode(&km_msg_doctor_response_pb, km_buf_bytes(&call->reply),
                     &p->answer) != KAMA_OK) {
        p->status = KAMA_ERR_PROTOCOL;
        p->text = "its answer cannot be decoded";
    } else if (p->status == KAMA_ERR_TIMEOUT) {
        p->text = "it did not answer in time";
    }
}

/* A key that does not exist is an answer. A member that is silent has been told
 * already. */
static void take_probe(struct examination *e, const struct cli_patient *p,
                       const struct km_fan_call *call)
{
    const struct cli_pair pair = {.member = p->address};
    if (call->status != KAMA_OK && p->status == KAMA_OK) {
        cli_findings_add(&e->findings, KM_FINDING_LOADER_FAILED,
                         KM_SEVERITY_FAIL, &pair, "the load of %s: %s (%s)",
                         e->cli->options.probe_load, call->text,
                         kama_status_name(call->status));
    }
}

static void take_answers(struct examination *e)
{
    for (size_t i = 0; i < e->count; i++) {
        take_answer(&e->patients[i], &e->calls[i]);
    }
    cli_compare(e->patients, e->count, &e->findings);
    for (size_t i = e->count; i < e->call_count; i++) {
        take_probe(e, &e->patients[i - e->count], &e->calls[i]);
    }
}

/* -- printing ----------------------------------------------------------------- */

static json_t *patient_json(const struct cli_patient *p)
{
    json_t *o = json_object();
    bool made =
        cli_json_set_bytes(o, "address", KAMA_STR(p->address)) &&
        cli_json_set(o, "status", json_string(kama_status_name(p->status))) &&
        cli_json_set_bytes(o, "version", p->answer.node.version) &&
        cli_json_set(o, "wall_ms", cli_json_uint(p->answer.wall_ms)) &&
        cli_json_set(o, "took_ms", cli_json_uint(p->end_ms - p->begin_ms)) &&
        cli_json_set(o, "lease_ttl_ms",
                     cli_json_uint(p->answer.registry.lease_ttl_ms)) &&
        cli_json_set(o, "lease_age_ms",
                     cli_json_uint(p->answer.registry.lease_age_ms)) &&
        cli_json_set(o, "etcd_latency_ns",
                     cli_json_uint(p->answer.registry.latency_ns));
    return cli_json_made(o, made);
}

static void print_json(const struct examination *e)
{
    json_t *members = json_array();
    json_t *o = json_object();
    bool made = true;
    for (size_t i = 0; i < e->count; i++) {
        made = json_array_append_new(members, patient_json(&e->patients[i])) ==
                   0 &&
               made;
    }
    made = cli_json_set(o, "members", members) && made;
    made = made && !e->findings.failed &&
           cli_json_set(o, "findings", cli_findings_json(&e->findings)) &&
           cli_json_set(o, "failures", cli_json_uint(e->findings.failures)) &&
           cli_json_set(o, "warnings", cli_json_uint(e->findings.warnings));
    (void)cli_print_json(cli_json_made(o, made));
}

static void print_lines(const struct examination *e)
{
    cli_findings_print(&e->findings);
    printf("%zu member%s, %zu failure%s, %zu warning%s\n", e->count,
           e->count == 1 ? "" : "s", e->findings.failures,
           e->findings.failures == 1 ? "" : "s", e->findings.warnings,
           e->findings.warnings == 1 ? "" : "s");
}

static enum cli_exit print_examination(const struct examination *e)
{
    if (e->cli->mode == CLI_MODE_JSON) {
        print_json(e);
    } else {
        print_lines(e);
    }
    if (e->findings.failed) {
        fputs("kamacache-cli: doctor: out of memory\n", stderr);
        return CLI_EXIT_OTHER;
    }
    return e->findings.failures > 0   ? CLI_EXIT_OTHER
           : e->findings.warnings > 0 ? CLI_EXIT_MISS
                                      : CLI_EXIT_OK;
}

/* -- the command --------------------------------------------------------------- */

static void examination_init(struct examination *e, struct cli *cli)
{
    int64_t ms = cli->options.timeout;
    *e = (struct examination){.cli = cli};
    e->until = km_ns_after_ms(km_clock_mono(km_clock_system()),
                              ms < DOCTOR_MS ? ms : DOCTOR_MS);
    km_buf_init(&e->probe, km_mem_default(), SIZE_MAX);
    for (size_t i = 0; i < cli->endpoints.count; i++) {
        km_fan_call_init(&e->first[i], cli->endpoints.items[i], V2 "Members",
                         KAMA_STR(""));
    }
}

static void examination_fini(struct examination *e)
{
    const kama_allocator *mem = km_mem_default();
    for (size_t i = 0; i < e->cli->endpoints.count; i++) {
        km_fan_call_fini(&e->first[i]);
    }
    for (size_t i = 0; i < e->call_count; i++) {
        km_fan_call_fini(&e->calls[i]);
    }
    for (size_t i = 0; i < e->count; i++) {
        km_mem_free(mem, (char *)(uintptr_t)e->patients[i].address);
    }
    km_mem_free(mem, e->calls);
    km_mem_free(mem, e->patients);
    km_buf_fini(&e->probe);
    cli_findings_fini(&e->findings);
}

static kama_status examine(struct examination *e)
{
    kama_status st = ask_for_members(e);
    if (st == KAMA_OK) {
        st = list_patients(e);
    }
    if (st == KAMA_OK) {
        st = ask_all(e);
    }
    if (st == KAMA_OK) {
        take_answers(e);
    }
    return st;
}

enum cli_exit cli_cmd_doctor(struct cli *cli, const kama_bytes *args, int count)
{
    struct examination e;
    enum cli_exit code;
    (void)args;
    (void)count;
    examination_init(&e, cli);
    kama_status st = write_probe(&e);
    if (st == KAMA_ERR_INVALID) {
        code = cli_usage_error("%s", km_last_error());
    } else {
        st = st == KAMA_OK ? examine(&e) : st;
        code = st == KAMA_OK ? print_examination(&e) : cli_failed(cli, st);
    }
    examination_fini(&e);
    return code;
}
