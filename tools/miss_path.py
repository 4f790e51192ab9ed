#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Follows one get through the files of the core.

    miss_path.py [--print] [ROOT]

Builds the core of ROOT (src/base, store, flight, group) with
-finstrument-functions beside a small program, lets that program do one hit and
one miss in a group without a pool that has some entries, and counts how often the path goes from one
file to another: the number of consecutive function entries from different files
of src/, with the inline functions of headers and without them. The same run counts the mutexes that each of the two gets locks.
--print shows the files that the miss goes through, in order.
"""
import os
import subprocess
import sys
import tempfile

FOLDERS = ("base", "store", "flight", "group")
FLAGS = ["-std=gnu17", "-O1", "-g", "-fno-inline", "-no-pie",
         "-DXXH_INLINE_ALL", "-D_GNU_SOURCE", "-w"]

PROGRAM = r"""
#include <kamacache/kamacache.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES_MAX 100000

static int tracing;
static unsigned locks;
static void *entries[ENTRIES_MAX];
static unsigned entry_count;

__attribute__((no_instrument_function)) void
__cyg_profile_func_enter(void *function, void *caller)
{
    (void)caller;
    if (tracing && entry_count < ENTRIES_MAX) {
        entries[entry_count++] = function;
    }
}

__attribute__((no_instrument_function)) void
__cyg_profile_func_exit(void *function, void *caller)
{
    (void)function;
    (void)caller;
}

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

__attribute__((no_instrument_function)) int
__wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks += tracing;
    return __real_pthread_mutex_lock(mutex);
}

__attribute__((no_instrument_function)) static kama_status
load(void *arg, const kama_load *request, kama_sink *out)
{
    (void)arg;
    (void)request;
    return kama_sink_set(out, KAMA_STR("value"), NULL);
}

__attribute__((no_instrument_function)) static void
get(kama_group *group, const char *name, const char *key)
{
    kama_value *value;
    entry_count = 0;
    locks = 0;
    tracing = 1;
    kama_status status = kama_get(group, kama_bytes_str(key), NULL, &value);
    tracing = 0;
    if (status != KAMA_OK) {
        abort();
    }
    kama_value_unref(value);
    printf("%s %u", name, locks);
    for (unsigned i = 0; i < entry_count; i++) {
        printf(" %p", entries[i]);
    }
    printf("\n");
}

__attribute__((no_instrument_function)) int main(void)
{
    kama_group *group;
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "path";
    options.loader = load;
    if (kama_group_new(&options, &group) != KAMA_OK) {
        return 1;
    }
    for (int i = 0; i < 2000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        if (kama_set(group, kama_bytes_str(key), KAMA_STR("value"), NULL) !=
            KAMA_OK) {
            return 1;
        }
    }
    get(group, "warm", "first");
    get(group, "hit", "first");
    get(group, "miss", "second");
    kama_group_free(group);
    return 0;
}
"""


def sources(root):
    for folder in FOLDERS:
        for top, _, names in os.walk(os.path.join(root, "src", folder)):
            for name in sorted(names):
                if name.endswith(".c"):
                    yield os.path.join(top, name)


def build(root, folder):
    """The path of the instrumented program."""
    main = os.path.join(folder, "main.c")
    version = os.path.join(folder, "kamacache_build.h")
    program = os.path.join(folder, "path")
    with open(main, "w", encoding="utf-8") as out:
        out.write(PROGRAM)
    with open(version, "w", encoding="utf-8") as out:
        out.write('#define KAMACACHE_BUILD_VERSION "path"\n'
                  '#define KM_BUILD_VERSION "path"\n')
    subprocess.run(["gcc", *FLAGS, "-finstrument-functions",
                    "-I", os.path.join(root, "include"),
                    "-I", os.path.join(root, "src"), "-I", folder,
                    main, *sources(root), "-o", program, "-pthread", "-lm",
                    "-Wl,--wrap=pthread_mutex_lock"], check=True)
    return program


def files_of(root, program, addresses):
    """The files of functions, relative to src/; other files are left out."""
    answer = subprocess.run(["addr2line", "-e", program, *addresses],
                            check=True, capture_output=True, text=True).stdout
    top = os.path.join(os.path.realpath(root), "src")
    files = (os.path.realpath(line.rsplit(":", 1)[0])
             for line in answer.splitlines())
    return [os.path.relpath(path, top) for path in files
            if path.startswith(top + os.sep)]


def without_headers(files):
    return [path for path in files if path.endswith(".c")]


def steps_of(files):
    """The files in the order of the path, each once per visit."""
    return [path for i, path in enumerate(files)
            if i == 0 or path != files[i - 1]]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--print"]
    default = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = arguments[0] if arguments else default
    with tempfile.TemporaryDirectory() as folder:
        program = build(root, folder)
        lines = subprocess.run([program], check=True, capture_output=True,
                               text=True).stdout.splitlines()
        for line in lines[1:]:
            name, locks, *addresses = line.split()
            files = files_of(root, program, addresses)
            steps = steps_of(files)
            sources_only = steps_of(without_headers(files))
            print(f"{name}: {len(steps) - 1} switches between "
                  f"{len(set(steps))} files ({len(sources_only) - 1} and "
                  f"{len(set(sources_only))} without inline functions), "
                  f"{len(addresses)} functions, {locks} mutexes")
            if name == "miss" and "--print" in sys.argv[1:]:
                print("\n".join(f"  {path}" for path in steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
