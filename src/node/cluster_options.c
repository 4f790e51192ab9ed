/* SPDX-License-Identifier: MIT */
/* A text is "given" if it is neither NULL nor empty: an empty flag or variable is
 * the same as none. */
#include "node/cluster_options.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"
#include "view/member.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME_BYTES_MAX 128
#define ENDPOINTS_MAX 16
#define LABELS_MAX 16
#define LABEL_BYTES_MAX 64
#define PASSWORD_BYTES_MAX 1024
#define WEIGHT_MAX 16

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static kama_status fail_no_memory(void)
{
    return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
}

/* -- lists --------------------------------------------------------------- */

static void texts_fini(struct km_node_texts *texts, const kama_allocator *mem)
{
    km_mem_free(mem, texts->copy);
    km_mem_free(mem, texts->items);
    *texts = (struct km_node_texts){0};
}

/* Cuts a text at its commas; blanks around an item do not count. */
static kama_status texts_init(struct km_node_texts *texts, const char *text,
                              const kama_allocator *mem)
{
    size_t count = 1;
    for (const char *p = text; *p != '\0'; p++) {
        count += *p == ',';
    }
    *texts = (struct km_node_texts){
        .copy = km_mem_strdup(mem, text),
        .items = km_mem_zalloc(mem, count, sizeof *texts->items),
    };
    if (texts->copy == NULL || texts->items == NULL) {
        texts_fini(texts, mem);
        return fail_no_memory();
    }
    for (char *p = texts->copy; p != NULL;) {
        char *comma = strchr(p, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        p += strspn(p, " ");
        for (size_t len = strlen(p); len > 0 && p[len - 1] == ' '; len--) {
            p[len - 1] = '\0';
        }
        texts->items[texts->count++] = p;
        p = comma != NULL ? comma + 1 : NULL;
    }
    return KAMA_OK;
}

static kama_status check_count(const char *option, const char *things,
                               const struct km_node_texts *texts, size_t max)
{
    return texts->count <= max
               ? KAMA_OK
               : km_fail(KAMA_ERR_TOO_LARGE,
                         "%s: %zu %s are more than the limit of %zu", option,
                         texts->count, things, max);
}

/* -- names --------------------------------------------------------------- */

/* Returns whether a text could be shown on a terminal as it is. */
static bool is_shown(const char *text)
{
    kama_bytes rest = KAMA_STR(text);
    while (rest.len > 0) {
        size_t n = km_text_shown(rest);
        if (n == 0) {
            return false;
        }
        rest = km_bytes_skip(rest, n);
    }
    return true;
}

static kama_status check_name(const char *option, const char *name, size_t max)
{
    size_t len = strlen(name);
    if (len == 0 || len > max) {
        return km_fail(KAMA_ERR_INVALID,
                       "%s: a name of %zu bytes; it must have 1 to %zu", option,
                       len, max);
    }
    return is_shown(name)
               ? KAMA_OK
               : km_fail(KAMA_ERR_INVALID,
                         "%s: the name has a control character or is not UTF-8",
                         option);
}

/* The names stand in the keys of etcd, between slashes. */
static kama_status check_names(const kama_node_options *options)
{
    const char *cluster = options->cluster;
    kama_status status = is_given(cluster)
                             ? check_name("cluster", cluster, NAME_BYTES_MAX)
                             : KAMA_OK;
    if (status != KAMA_OK || options->service == NULL ||
        !is_given(options->etcd)) {
        return status;
    }
    status = check_name("service", options->service, NAME_BYTES_MAX);
    if (status == KAMA_OK && strchr(options->service, '/') != NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "service: \"%.*s\" has a slash, which the keys in etcd "
                       "do not permit",
                       KM_TEXT_UP_TO(64, options->service));
    }
    return status;
}

static kama_status copy_labels(struct km_node_texts *labels, const char *text,
                               const kama_allocator *mem)
{
    if (!is_given(text)) {
        return KAMA_OK;
    }
    kama_status status = texts_init(labels, text, mem);
    if (status == KAMA_OK) {
        status = check_count("labels", "labels", labels, LABELS_MAX);
    }
    for (size_t i = 0; i < labels->count && status == KAMA_OK; i++) {
        status = check_name("labels", labels->items[i], LABEL_BYTES_MAX);
    }
    return status;
}

/* -- addresses ----------------------------------------------------------- */

/* Every spelling that could not stand in a record is refused here, before anything
 * has begun. */
static kama_status check_advertise(const kama_node_options *options)
{
    struct km_address address;
    char canonical[KM_MEMBER_ADDRESS_BYTES];
    if (!is_given(options->advertise)) {
        return KAMA_OK;
    }
    if (km_address_split(options->advertise, &address) != KAMA_OK) {
        return km_fail(KAMA_ERR_INVALID, "advertise: %s", km_last_error());
    }
    if (km_address_is_wildcard(address.host) || atoi(address.port) == 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "advertise: nobody can connect to %.*s; it must be the "
                       "host and the port at which others reach this node",
                       KM_TEXT_UP_TO(64, options->advertise));
    }
    return km_member_address(options->advertise, canonical) == KAMA_OK
               ? KAMA_OK
               : km_fail(KAMA_ERR_INVALID, "advertise: %s", km_last_error());
}

/* Removes the scheme of an endpoint, and checks the rest. */
static kama_status read_endpoint(const char **endpoint)
{
    struct km_address address;
    kama_bytes text = KAMA_STR(*endpoint);
    if (km_bytes_starts(text, KM_LIT("https://"))) {
        return km_fail(KAMA_ERR_UNSUPPORTED,
                       "etcd: https:// is not in this version; an endpoint is "
                       "host:port or http://host:port");
    }
    if (km_bytes_starts(text, KM_LIT("http://"))) {
        *endpoint += strlen("http://");
    }
    if (km_address_split(*endpoint, &address) != KAMA_OK) {
        return km_fail(KAMA_ERR_INVALID, "etcd: %s", km_last_error());
    }
    if (km_address_is_wildcard(address.host) || atoi(address.port) == 0) {
        return km_fail(KAMA_ERR_INVALID,
                       "etcd: \"%.*s\" has no host or no port; an endpoint is "
                       "host:port, for example 127.0.0.1:2379",
                       KM_TEXT_UP_TO(64, *endpoint));
    }
    return KAMA_OK;
}

static kama_status copy_endpoints(struct km_node_texts *endpoints,
                                  const char *text, const kama_allocator *mem)
{
    if (!is_given(text)) {
        return KAMA_OK;
    }
    kama_status status = texts_init(endpoints, text, mem);
    if (status == KAMA_OK) {
        status = check_count("etcd", "endpoints", endpoints, ENDPOINTS_MAX);
    }
    for (size_t i = 0; i < endpoints->count && status == KAMA_OK; i++) {
        status = read_endpoint(&endpoints->items[i]);
    }
    return status;
}

/* -- the password -------------------------------------------------------- */

static kama_status check_user(const kama_node_options *options)
{
    bool user = is_given(options->etcd_user);
    bool file = is_given(options->etcd_password_file);
    if (user != file) {
        return km_fail(KAMA_ERR_INVALID,
                       "%s: a user and a password file are given together, and "
                       "there is no %s",
                       user ? "etcd_user" : "etcd_password_file",
                       user ? "password file" : "user");
    }
    return user && !is_given(options->etcd)
               ? km_fail(KAMA_ERR_INVALID,
                         "etcd_user: there is a user, and no endpoint of etcd")
               : KAMA_OK;
}

static kama_status fail_file(const char *path, const char *why)
{
    return km_fail(KAMA_ERR_IO, "etcd_password_file: %.*s: %s",
                   KM_TEXT_UP_TO(128, path), why);
}

/* Reads the first line of the file into a new text. */
static kama_status read_password(const char *path, const kama_allocator *mem,
                                 char **ret_password)
{
    char line[PASSWORD_BYTES_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_file(path, strerror(errno));
    }
    ssize_t n = read(fd, line, sizeof line - 1);
    int error = errno;
    close(fd);
    if (n < 0) {
        return fail_file(path, strerror(error));
    }
    line[n] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    kama_status status = KAMA_OK;
    if (line[0] == '\0' || strlen(line) > PASSWORD_BYTES_MAX) {
        status = fail_file(path, line[0] == '\0'
                                     ? "the first line is empty"
                                     : "the first line has more than 1024 "
                                       "bytes");
    } else {
        *ret_password = km_mem_strdup(mem, line);
        status = *ret_password != NULL ? KAMA_OK : fail_no_memory();
    }
    explicit_bzero(line, sizeof line);
    return status;
}

/* -- the whole ----------------------------------------------------------- */

static kama_status check(const kama_node_options *options)
{
    if (options->peers != NULL) {
        return km_fail(KAMA_ERR_UNSUPPORTED, "peers: not in this version");
    }
    if (options->weight < 1 || options->weight > WEIGHT_MAX) {
        return km_fail(KAMA_ERR_INVALID, "weight: %u is outside 1..%d",
                       options->weight, WEIGHT_MAX);
    }
    kama_status status = check_names(options);
    if (status == KAMA_OK) {
        status = check_advertise(options);
    }
    return status == KAMA_OK ? check_user(options) : status;
}

/* Copies a text that may be missing. */
static kama_status copy_text(char **copy, const char *text,
                             const kama_allocator *mem)
{
    if (!is_given(text)) {
        return KAMA_OK;
    }
    *copy = km_mem_strdup(mem, text);
    return *copy != NULL ? KAMA_OK : fail_no_memory();
}

static kama_status copy(struct km_node_cluster_config *config,
                        const kama_node_options *options,
                        const kama_allocator *mem)
{
    const struct {
        char **copy;
        const char *text;
    } texts[] = {
        {&config->etcd, options->etcd},
        {&config->etcd_user, options->etcd_user},
        {&config->advertise, options->advertise},
        {&config->name,
         is_given(options->cluster) ? options->cluster : "default"},
    };
    kama_status status = KAMA_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (status == KAMA_OK) {
            status = copy_text(texts[i].copy, texts[i].text, mem);
        }
    }
    if (status == KAMA_OK) {
        status = copy_endpoints(&config->endpoints, options->etcd, mem);
    }
    if (status == KAMA_OK) {
        status = copy_labels(&config->labels, options->labels, mem);
    }
    if (status == KAMA_OK && config->etcd_user != NULL) {
        status = read_password(options->etcd_password_file, mem,
                               &config->etcd_password);
    }
    return status;
}

kama_status km_node_cluster_config_init(
    const kama_node_options *options, struct km_node_cluster_config *ret_config,
    const kama_allocator *mem)
{
    struct km_node_cluster_config config = {
        .weight = options->weight,
        .require_discovery = options->require_discovery != 0,
    };
    kama_status status = check(options);
    if (status == KAMA_OK) {
        status = copy(&config, options, mem);
    }
    if (status != KAMA_OK) {
        km_node_cluster_config_fini(&config, mem);
        return status;
    }
    *ret_config = config;
    return KAMA_OK;
}

void km_node_cluster_config_fini(struct km_node_cluster_config *config,
                                 const kama_allocator *mem)
{
    if (config->etcd_password != NULL) {
        explicit_bzero(config->etcd_password, strlen(config->etcd_password));
    }
    km_mem_free(mem, config->etcd_password);
    km_mem_free(mem, config->etcd);
    km_mem_free(mem, config->etcd_user);
    km_mem_free(mem, config->advertise);
    km_mem_free(mem, config->name);
    texts_fini(&config->endpoints, mem);
    texts_fini(&config->labels, mem);
    *config = (struct km_node_cluster_config){0};
}
