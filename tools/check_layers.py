#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks which files of src/ and include/ include which others.

    check_layers.py [ROOT]

Each folder of src/ has a level. A file may include headers of its own folder
and of lower levels; the tables below name the exceptions. A macro and a limit
belong to a folder as well: a lower folder that uses the limit of a higher one
would not compile without it, although no #include says so. Every violation is
printed as file:line, and any violation makes the exit status 1.
"""
import os
import re
import sys

LEVELS = {
    "base": 0,
    "store": 1, "flight": 1, "net": 1, "wire": 1, "view": 1,
    "rpc": 2, "group": 2,
    "membership": 3, "peers": 3, "sync": 3, "admin": 3, "services": 3,
    "node": 4,
}
PUBLIC = "include/kamacache"

# The core knows no network, although net and wire are below group.
ALLOWED = {
    "group": {"base", "store", "flight"},
}
# Parts of the tree that only some of the higher folders may include: the
# messages of the wire are for all of them, sockets and protocols are not.
ONLY_FROM = (
    ("src/wire/msg/", None),
    ("src/wire/", {"rpc", "node", "admin"}),
    ("src/net/", {"rpc", "node", "admin", "membership"}),
)
# The file of all limits, and the folder that the first word of a limit's name
# (KM_NET_...) names. Other words are for all folders.
LIMITS = "src/base/limits.h"
LIMIT_FOLDERS = {
    "STORE": "store", "FLIGHT": "flight", "NET": "net", "H2": "wire",
    "GRPC": "wire", "PB": "wire", "RPC": "rpc", "NODE": "node",
    "MEMBERSHIP": "membership", "PEERS": "peers", "SYNC": "sync",
    "ADMIN": "admin",
}
# Units outside the levels: (path prefix, what of ours they may include).
UNITS = (
    ("src/loaders/", {"kamacache/loader.h"}),
    ("src/apps/common/", {PUBLIC, "base"}),
    ("src/apps/kamacached/", {PUBLIC, "base", "admin"}),
    ("src/apps/kamacache-cli/", {PUBLIC, "rpc", "wire", "base"}),
    ("include/kamacache/", {PUBLIC}),
)
# Single headers that a unit may include besides: what is compiled into each
# program, the tables of a group's options (for the manual), of its counters
# (for `stats`) and of findings (for `doctor`), the node as its admin port sees
# it, and the table of the other program, whose variables of the environment
# each of them knows.
UNIT_HEADERS = {
    "src/apps/kamacached/": {"src/apps/common/manual.h",
                             "src/apps/common/completion.h",
                             "src/group/options.h",
                             "src/node/node_admin.h",
                             "src/apps/kamacache-cli/options.h"},
    "src/apps/kamacache-cli/": {"src/apps/common/manual.h",
                                "src/apps/common/completion.h",
                                "src/group/counters.h",
                                "src/services/finding.h",
                                "src/apps/kamacached/options.h"},
}
# Headers of third parties and of libc that only some folders may use.
SYSTEM = {
    re.compile(r"^uv\.h$"): {"net", "rpc", "node"},
    re.compile(r"^nghttp2/"): {"wire", "rpc", "node"},
    re.compile(r"^sys/socket\.h$|^netinet/|^arpa/inet\.h$|^netdb\.h$"):
        {"net", "rpc", "node", "apps", "loaders", "view"},
}
GENERATED = {"kamacache_build.h", "descriptor_set.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"^\s*#\s*define\s+(KM_[A-Z0-9_]+)")
MACRO = re.compile(r"\bKM_[A-Z0-9_]+\b")


class Tree:
    """The files of src/ and include/, and where an include leads."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._walk("src")) + sorted(self._walk("include"))

    def _walk(self, top):
        for folder, _, names in os.walk(os.path.join(self.root, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    yield os.path.relpath(path, self.root)

    def lines(self, path):
        """(line number, line) of a file."""
        with open(os.path.join(self.root, path), encoding="utf-8") as source:
            yield from enumerate(source, 1)

    def includes(self, path):
        """(line number, style, name) of each #include of a file."""
        for number, line in self.lines(path):
            found = INCLUDE.match(line)
            if found:
                yield number, found.group(1), found.group(2)

    def macros(self):
        """The folder that each macro belongs to, by the macro's name."""
        owners = {}
        for path in self.files:
            for _, line in self.lines(path):
                found = DEFINE.match(line)
                if found and path.endswith(".h"):
                    owners[found.group(1)] = macro_folder(path, found.group(1))
        return owners

    def resolve(self, path, style, name):
        """The path in the tree that an include means, or None."""
        candidates = [os.path.join("src", name), os.path.join("include", name)]
        if style == '"':
            beside = os.path.join(os.path.dirname(path), name)
            candidates.insert(0, os.path.normpath(beside))
        for candidate in candidates:
            if os.path.isfile(os.path.join(self.root, candidate)):
                return candidate
        return None


def folder_of(path):
    parts = path.split(os.sep)
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def macro_folder(path, name):
    if path == LIMITS:
        return LIMIT_FOLDERS.get(name.split("_")[1], "base")
    return folder_of(path)


def is_public(path):
    return path.startswith(PUBLIC + os.sep)


def unit_of(path):
    """(own folder, allowed things) of a file outside the levels."""
    for prefix, allowed in UNITS:
        if path.startswith(prefix):
            return prefix, allowed
    return None


def unit_error(unit, target):
    prefix, allowed = unit
    if target.startswith(prefix) or folder_of(target) in allowed or \
            target in UNIT_HEADERS.get(prefix, ()):
        return None
    public_name = os.path.relpath(target, "include")
    if is_public(target) and (PUBLIC in allowed or public_name in allowed):
        return None
    return f"{prefix} may include only {', '.join(sorted(allowed))} of ours"


def level_error(folder, target):
    if is_public(target):
        return None
    other = folder_of(target)
    if other == folder:
        return None
    if other not in LEVELS:
        return f"{folder} may not include {target}"
    if LEVELS[other] == LEVELS[folder]:
        return f"{folder} and {other} are of one level ({LEVELS[folder]})"
    if LEVELS[other] > LEVELS[folder]:
        return (f"{folder} (level {LEVELS[folder]}) may not include "
                f"{other} (level {LEVELS[other]})")
    if folder in ALLOWED and other not in ALLOWED[folder]:
        return f"{folder} may include only {', '.join(sorted(ALLOWED[folder]))}"
    return reserved_error(folder, target)


def reserved_error(folder, target):
    for prefix, folders in ONLY_FROM:
        if target.startswith(prefix):
            if folders is None or folder in folders:
                return None
            return f"only {', '.join(sorted(folders))} may include {prefix}"
    return None


def macro_errors(tree):
    """Uses of a macro in a folder below the one that it belongs to."""
    owners = tree.macros()
    for path in tree.files:
        folder = folder_of(path)
        if folder not in LEVELS or path == LIMITS:
            continue
        for number, line in tree.lines(path):
            for name in MACRO.findall(line):
                owner = owners.get(name, folder)
                if LEVELS.get(owner, -1) > LEVELS[folder]:
                    yield f"{path}:{number}: {name} belongs to {owner}"


def system_error(folder, name):
    for pattern, folders in SYSTEM.items():
        if pattern.match(name) and folder in LEVELS and folder not in folders:
            return f"only {', '.join(sorted(folders))} may use <{name}>"
    return None


def include_error(tree, path, style, name):
    target = tree.resolve(path, style, name)
    folder = folder_of(path)
    if target is None:
        if style == '"' and name not in GENERATED:
            return f'"{name}" is not in the tree'
        return system_error(folder, name)
    unit = unit_of(path)
    if unit is not None:
        return unit_error(unit, target)
    if folder not in LEVELS:
        return f"{path} is in no known layer"
    return level_error(folder, target)


def check(root):
    tree = Tree(root)
    errors = []
    count = 0
    for path in tree.files:
        for number, style, name in tree.includes(path):
            count += 1
            error = include_error(tree, path, style, name)
            if error:
                errors.append(f"{path}:{number}: {error}")
    errors.extend(macro_errors(tree))
    return errors, count, len(tree.files)


def main():
    default = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    errors, includes, files = check(sys.argv[1] if len(sys.argv) > 1
                                    else default)
    for error in errors:
        print(error)
    print(f"layers: {len(errors)} violations in {includes} includes "
          f"of {files} files")
    return 1 if errors or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
