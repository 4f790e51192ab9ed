/* SPDX-License-Identifier: MIT */
/* Sentences for SQLite's extended result codes. Where a code does not say
 * enough, the file itself is examined. */
#include "trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The two bytes in the header of a database that tell which version of the
 * format writers and readers need; 2 is WAL. */
enum { FORMAT_OFFSET = 18, FORMAT_WAL = 2 };

static const char HOT_JOURNAL[] =
    "a dead writer left a hot journal (-journal); roll it back by opening the "
    "database once with write access: sqlite3 FILE .tables";

static const char LEFT_WAL[] =
    "a dead writer left a log (-wal); recover it by opening the database once "
    "with write access: sqlite3 FILE .tables";

static const char NO_SHM[] =
    "it is in WAL mode and its -shm file cannot be made; make the folder "
    "writable for the daemon, keep a writer connected, or set "
    "journal_mode=DELETE";

/* Returns whether the database at path is in WAL mode. */
static bool is_wal(const char *path)
{
    unsigned char format[2] = {0, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t len = pread(fd, format, sizeof format, FORMAT_OFFSET);
    close(fd);
    return len == sizeof format && format[1] == FORMAT_WAL;
}

/* Returns our sentence for a code, or NULL if SQLite's own has to do. */
static const char *own_words(int code, const char *path)
{
    switch (code) {
    case SQLITE_READONLY_ROLLBACK:
        return HOT_JOURNAL;
    case SQLITE_READONLY_RECOVERY:
        return LEFT_WAL;
    case SQLITE_READONLY_CANTINIT:
        return NO_SHM;
    default:
        return (code & 0xff) == SQLITE_CANTOPEN && is_wal(path) ? NO_SHM : NULL;
    }
}

const char *km_sqlite_trouble(sqlite3 *db, int rc, const char *path,
                              char text[KM_SQLITE_TROUBLE_BYTES])
{
    int code = db != NULL ? sqlite3_extended_errcode(db) : rc;
    const char *words = own_words(code, path);
    char reason[64];
    if (words == NULL && (code & 0xff) == SQLITE_CANTOPEN &&
        access(path, R_OK) != 0) {
        words = strerror_r(errno, reason, sizeof reason);
    }
    if (words == NULL) {
        words = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    }
    snprintf(text, KM_SQLITE_TROUBLE_BYTES, "%s", words);
    return text;
}
