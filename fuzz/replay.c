/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without libFuzzer: on the empty input, and then on each
 * file that the command line names, directly or by its directory. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int files_run;

/* A buffer of exactly the file's size, so that a read past it is seen. */
static int run_bytes(FILE *in, const char *path, size_t len)
{
    uint8_t *data = malloc(len > 0 ? len : 1);
    if (data == NULL || fread(data, 1, len, in) != len) {
        fprintf(stderr, "%s: cannot read\n", path);
        free(data);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, len);
    free(data);
    files_run++;
    return 0;
}

static int run_file(const char *path, size_t len)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int failed = run_bytes(in, path, len);
    fclose(in);
    return failed;
}

static int run_entry(const char *directory, const char *name)
{
    char path[4096];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        return 0;
    }
    return run_file(path, (size_t)info.st_size);
}

static int run_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    int failed = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        failed |= run_entry(path, entry->d_name);
    }
    closedir(directory);
    return failed;
}

static int run_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (S_ISDIR(info.st_mode)) {
        return run_directory(path);
    }
    return run_file(path, (size_t)info.st_size);
}

int main(int argc, char **argv)
{
    int failed = 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        failed |= run_path(argv[i]);
    }
    printf("%d inputs replayed\n", files_run);
    return failed;
}
