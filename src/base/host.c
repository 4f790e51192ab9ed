/* SPDX-License-Identifier: MIT */
#include "base/host.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define FILE_BYTES 8192
#define KIB 1024u

bool km_host_read_file(const char *path, char *text, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t len = read(fd, text, cap - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return len > 0;
}

static bool read_file(const char *root, const char *path, char text[FILE_BYTES])
{
    char full[PATH_BYTES];
    int n = snprintf(full, sizeof full, "%s%s", root, path);
    return n > 0 && (size_t)n < sizeof full &&
           km_host_read_file(full, text, FILE_BYTES);
}

/* Reads a file with one number. Returns 0 for "max", and if it has none. */
static uint64_t read_number(const char *root, const char *path)
{
    char text[FILE_BYTES];
    return read_file(root, path, text) ? strtoull(text, NULL, 10) : 0;
}

/* Returns the smaller one of two limits, of which 0 is none. */
static uint64_t smaller(uint64_t a, uint64_t b)
{
    return b == 0 || (a != 0 && a < b) ? a : b;
}

/* Returns the number of a line "NAME:   123 kB" of /proc/meminfo, in bytes. */
static uint64_t meminfo_bytes(const char *meminfo, const char *name)
{
    const char *line = strstr(meminfo, name);
    return line != NULL ? strtoull(line + strlen(name), NULL, 10) * KIB : 0;
}

/* -- control groups --------------------------------------------------------- */

/* Returns the smallest limit of a group and of the groups that it is in. below:
 * where the groups lie; group: "/a/b", which is cut. */
static uint64_t smallest_limit(const char *root, const char *below, char *group,
                               const char *file)
{
    uint64_t limit = 0;
    for (;;) {
        char path[PATH_BYTES];
        char *slash = strrchr(group, '/');
        int n = snprintf(path, sizeof path, "%s%s/%s", below, group, file);
        if (n > 0 && (size_t)n < sizeof path) {
            limit = smaller(limit, read_number(root, path));
        }
        if (slash == NULL) {
            return limit;
        }
        *slash = '\0';
    }
}

/* Returns whether a list "cpu,memory" has the word "memory". */
static bool has_memory(const char *list)
{
    const char *at = strstr(list, "memory");
    return at != NULL && (at == list || at[-1] == ',') &&
           (at[6] == '\0' || at[6] == ',');
}

/* Returns the limit of one line of /proc/self/cgroup, "ID:CONTROLLERS:GROUP",
 * which is cut into its parts; 0 for a line of other controllers. */
static uint64_t line_limit(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) {
        return 0;
    }
    *controllers++ = '\0';
    *group++ = '\0';
    if (controllers[0] == '\0') {
        return smallest_limit(root, "/sys/fs/cgroup", group, "memory.max");
    }
    return has_memory(controllers)
               ? smallest_limit(root, "/sys/fs/cgroup/memory", group,
                                "memory.limit_in_bytes")
               : 0;
}

static uint64_t cgroup_limit(const char *root)
{
    char text[FILE_BYTES];
    uint64_t limit = 0;
    char *rest = NULL;
    if (!read_file(root, "/proc/self/cgroup", text)) {
        return 0;
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        limit = smaller(limit, line_limit(root, line));
    }
    return limit;
}

/* -- the whole --------------------------------------------------------------- */

static enum km_overcommit overcommit_of(const char *root)
{
    char text[FILE_BYTES];
    if (!read_file(root, "/proc/sys/vm/overcommit_memory", text) ||
        text[0] < '0' || text[0] > '2') {
        return KM_OVERCOMMIT_UNKNOWN;
    }
    return (enum km_overcommit)(text[0] - '0' + KM_OVERCOMMIT_GUESS);
}

void km_host_read_at(const char *root, struct km_host *ret_host)
{
    char meminfo[FILE_BYTES] = "";
    struct rlimit files;
    *ret_host = (struct km_host){.overcommit = overcommit_of(root)};
    (void)read_file(root, "/proc/meminfo", meminfo);
    ret_host->commit_limit_bytes = meminfo_bytes(meminfo, "CommitLimit:");
    ret_host->memory_limit_bytes =
        smaller(cgroup_limit(root), meminfo_bytes(meminfo, "MemTotal:"));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        files.rlim_cur != RLIM_INFINITY) {
        ret_host->descriptors_max = files.rlim_cur;
    }
}

void km_host_read(struct km_host *ret_host)
{
    km_host_read_at("", ret_host);
}
