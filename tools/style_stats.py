#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints how the C code of the tree reads, beside the limits it aims at.

    style_stats.py [ROOT]

Per folder: lines, function lengths (signature to closing brace), documented
prototypes. Medians and percentiles inform; the exit status is 1 when a
function over 70 lines is not marked `/* long: table */`, when a statement
has no braces, or when too few prototypes are documented.

It reads the layout that clang-format gives: a function's braces stand in
column 0, and nothing else's opening brace does.
"""
import os
import re
import sys

FUNCTION_MEDIAN = 12
FUNCTION_P90 = 35
FUNCTION_MAX = 70
FILE_MAX = 500
PUBLIC_DOCUMENTED = 100
INTERNAL_DOCUMENTED = 80
LONG_MARK = "/* long: table */"
GUIDED = ("src", "include")
ALSO_COUNTED = ("tests", "examples", "bench", "fuzz", "tools")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "corpus"}

CONTROL = re.compile(r"^\s*(} )?(else )?(if|for|while|switch) \(|"
                     r"^\s*(} )?(else|do)\b")
PROTOTYPE_START = re.compile(r"^(?!typedef\b|#|/|\*|}|{|enum\b|return\b)"
                             r"[A-Za-z_][\w *,()]*?\b\w+\(")
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


class Function:
    def __init__(self, place, lines, marked):
        self.place = place
        self.lines = lines
        self.marked = marked


def blank(match):
    """A comment or string as spaces, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def strip(text):
    """The text without comments, strings and preprocessor lines."""
    code = COMMENT_OR_STRING.sub(blank, text)
    lines = code.split("\n")
    continued = False
    for number, line in enumerate(lines):
        directive = continued or line.lstrip().startswith("#")
        continued = directive and line.endswith("\\")
        if directive:
            lines[number] = ""
    return lines


def find_functions(path, code, raw):
    """The functions of a file, each with its length."""
    start = None
    for number, line in enumerate(code):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            first = start
            while first > 0 and not code[first - 1].endswith(("}", ";")) \
                    and code[first - 1].strip():
                first -= 1
            body = "\n".join(raw[first:number + 1])
            yield Function(f"{path}:{first + 1}", number - first + 1,
                           LONG_MARK in body)
            start = None


def statement_end(code, number):
    """The line where the parentheses opened on line `number` close."""
    depth = 0
    for end in range(number, min(number + 40, len(code))):
        depth += code[end].count("(") - code[end].count(")")
        if depth <= 0:
            return end
    return number


def find_unbraced(path, code):
    """Lines of if, else, for, while and do without a brace."""
    for number, line in enumerate(code):
        if not CONTROL.match(line):
            continue
        end = statement_end(code, number)
        text = code[end].rstrip()
        ends_do = re.match(r"^\s*} while \(", line) and text.endswith(";")
        if not text.endswith("{") and not ends_do:
            yield f"{path}:{number + 1}"


def find_prototypes(path, code, raw):
    """(place, documented) of each prototype and inline of a header. A
    comment documents the prototypes and function types that follow it without
    a blank line."""
    documented = False
    number = 0
    while number < len(code):
        line = code[number]
        if not raw[number].strip():
            documented = False
        elif not line.strip():
            documented = documented or raw[number].rstrip().endswith("*/")
        elif PROTOTYPE_START.match(line):
            yield f"{path}:{number + 1}", documented
            number = statement_end(code, number)
        elif line[0] not in " {}" and not line.startswith("typedef"):
            documented = False
        number += 1


class Folder:
    """What is counted of one folder."""

    def __init__(self, name):
        self.name = name
        self.files = 0
        self.lines = 0
        self.code_lines = 0
        self.functions = []
        self.long_files = []
        self.unbraced = []
        self.prototypes = []

    def add(self, root, path):
        with open(os.path.join(root, path), encoding="utf-8") as source:
            text = source.read()
        raw = text.rstrip("\n").split("\n")
        self.files += 1
        self.lines += len(raw)
        if not path.endswith((".c", ".h")):
            self.code_lines += sum(1 for line in raw if line.strip())
            return
        bare = COMMENT_OR_STRING.sub(
            lambda m: m.group(0) if m.group(0)[0] in "\"'" else blank(m), text)
        self.code_lines += sum(1 for line in bare.split("\n") if line.strip())
        code = strip(text)[:len(raw)]
        self.functions.extend(find_functions(path, code, raw))
        self.unbraced.extend(find_unbraced(path, code))
        if len(raw) > FILE_MAX and not path.startswith("include"):
            self.long_files.append(f"{path}: {len(raw)} lines")
        if path.endswith(".h"):
            self.prototypes.extend(find_prototypes(path, code, raw))

    def merge(self, other):
        for field, value in vars(other).items():
            if field != "name":
                setattr(self, field, getattr(self, field) + value)


def percentile(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)] \
        if values else 0


def documented_percent(folder):
    known = [documented for _, documented in folder.prototypes]
    return 100.0 * sum(known) / len(known) if known else 100.0


def folder_name(root, path):
    parts = path.split(os.sep)
    if parts[0] in GUIDED and len(parts) > 2:
        deep = parts[1] == "apps" and len(parts) > 3
        return os.sep.join(parts[:3 if deep else 2])
    return parts[0]


def collect(root):
    folders = {}
    suffixes = (".c", ".h", ".cc", ".py", ".sh", ".js")
    for top in GUIDED + ALSO_COUNTED:
        for where, children, names in os.walk(os.path.join(root, top)):
            children[:] = [c for c in children if c not in SKIPPED_FOLDERS]
            for name in sorted(names):
                if not name.endswith(suffixes):
                    continue
                path = os.path.relpath(os.path.join(where, name), root)
                key = folder_name(root, path)
                folders.setdefault(key, Folder(key)).add(root, path)
    return folders


def print_row(name, *cells):
    print(f"{name:24}" + "".join(f"{cell:>9}" for cell in cells))


def print_folder(folder):
    lengths = [function.lines for function in folder.functions]
    over = sum(1 for length in lengths if length > FUNCTION_MAX)
    share = f"{100.0 * over / len(lengths):.1f}%" if lengths else "-"
    documented = f"{documented_percent(folder):.0f}%" \
        if folder.prototypes else "-"
    print_row(folder.name, folder.files, folder.lines, folder.code_lines,
              len(lengths), percentile(lengths, 0.5),
              percentile(lengths, 0.9), max(lengths, default=0), share,
              len(folder.long_files), documented)


def print_table(folders, guided):
    print_row("folder", "files", "lines", "code", "funcs", "median", "p90",
              "max", f">{FUNCTION_MAX}", f">{FILE_MAX}", "docs")
    for key in sorted(folders, key=lambda k: (k.split(os.sep)[0] in
                                              ALSO_COUNTED, k)):
        print_folder(folders[key])
    print_folder(guided)
    print_row("aim (src, include)", "", "", "", "", FUNCTION_MEDIAN,
              FUNCTION_P90, FUNCTION_MAX, "0%", 0,
              f"{INTERNAL_DOCUMENTED}%")


def print_places(title, places):
    if places:
        print(f"{title}:")
        for place in places:
            print(f"  {place}")


def judge(folders, guided):
    """Prints what breaks a rule; true when something does."""
    long_functions = [f"{f.place}: {f.lines} lines" for f in guided.functions
                      if f.lines > FUNCTION_MAX and not f.marked]
    unbraced = [place for key, folder in folders.items()
                for place in folder.unbraced if key != "examples"]
    public = folders.get("include/kamacache", Folder(""))
    undocumented = [place for place, known in public.prototypes if not known]
    print_places(f"files over {FILE_MAX} lines (aim: none)",
                 guided.long_files)
    print_places(f"functions over {FUNCTION_MAX} lines without "
                 f"'{LONG_MARK}'", long_functions)
    print_places("statements without braces", unbraced)
    print_places("public prototypes without documentation", undocumented)
    low = documented_percent(guided) < INTERNAL_DOCUMENTED
    if low:
        print_places("prototypes without documentation",
                     [place for place, known in guided.prototypes
                      if not known])
    return bool(long_functions or unbraced or undocumented or low)


def main():
    default = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = collect(sys.argv[1] if len(sys.argv) > 1 else default)
    guided = Folder("src and include")
    for key, folder in folders.items():
        if key.split(os.sep)[0] in GUIDED:
            guided.merge(folder)
    print_table(folders, guided)
    return 1 if judge(folders, guided) else 0


if __name__ == "__main__":
    sys.exit(main())
