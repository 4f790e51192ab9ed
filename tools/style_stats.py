#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints how the C code of the tree reads, beside the limits it aims at.

    style_stats.py [ROOT]

The first table has, per folder: lines, function lengths (signature to closing
brace), documented prototypes. The second has the language and the invariants:
comment words, clipped nouns per 1000 of them (see style_text.py), the share of
lines with a comment in .c and .h files, asserts per 1000 lines of code, and
lines of blocks that are repeated elsewhere.

The aims stand below the numbers; medians, percentiles and the whole second table
only inform. The exit status is 1 when a function over 70 lines is not marked
`/* long: table */`, when a statement has no braces, or when too few prototypes
are documented. No rule on the number of lines applies to tests.

    style_stats.py --clauses [ROOT]     lists every clipped noun
    style_stats.py --duplicates [ROOT]  lists every repeated block

It reads the layout that clang-format gives: a function's braces stand in
column 0, and nothing else's opening brace does.
"""
import os
import re
import sys

import style_text

FUNCTION_MEDIAN = 12
FUNCTION_P90 = 35
FUNCTION_MAX = 70
FILE_MAX = 500
PUBLIC_DOCUMENTED = 100
INTERNAL_DOCUMENTED = 80
CLIPPED_PER_1000_WORDS = 2
COMMENT_PERCENT_C = 8
COMMENT_PERCENT_H = 40
ASSERTS_PER_KLOC = 10
ASSERTING = ("src/flight", "src/group", "src/node", "src/rpc")
LONG_MARK = "/* long: table */"
GUIDED = ("src", "include")
ALSO_COUNTED = ("tests", "examples", "bench", "fuzz", "tools")
UNLIMITED = "tests"  # a test may be as long as its subject is
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "corpus"}

CONTROL = re.compile(r"^\s*(} )?(else )?(if|for|while|switch) \(|"
                     r"^\s*(} )?(else|do)\b")
PROTOTYPE_START = re.compile(r"^(?!typedef\b|#|/|\*|}|{|enum\b|return\b)"
                             r"[A-Za-z_][\w *,()]*?\b\w+\(")
COMMENT_OR_STRING = style_text.COMMENT_OR_STRING


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
        self.words = 0
        self.clipped = []
        self.comment_lines = {".c": 0, ".h": 0}
        self.all_lines = {".c": 0, ".h": 0}
        self.asserts = 0
        self.asserted_lines = 0
        self.normalised = []
        self.duplicates = []

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
        self.add_text(path, text, code)
        self.functions.extend(find_functions(path, code, raw))
        self.unbraced.extend(find_unbraced(path, code))
        if len(raw) > FILE_MAX and not path.startswith("include"):
            self.long_files.append(f"{path}: {len(raw)} lines")
        if path.endswith(".h"):
            self.prototypes.extend(find_prototypes(path, code, raw))

    def add_text(self, path, text, code):
        """Counts comments, asserts and lines that may be repeated."""
        self.words += style_text.word_count(text)
        self.clipped.extend(f"{path}:{line}: {clause}" for line, clause
                            in style_text.clipped_nouns(text))
        commented, lines = style_text.comment_lines(text)
        self.comment_lines[path[-2:]] += commented
        self.all_lines[path[-2:]] += lines
        self.asserts += style_text.assert_count(code)
        self.asserted_lines += sum(1 for line in code if line.strip())
        self.normalised.append(style_text.normalised(path, code))

    def merge(self, other):
        for field, value in vars(other).items():
            own = getattr(self, field)
            if isinstance(value, dict):
                setattr(self, field, {key: own[key] + value[key]
                                      for key in own})
            elif field != "name":
                setattr(self, field, own + value)


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
    long_files = len(folder.long_files)
    if folder.name == UNLIMITED:
        share = long_files = "-"
    print_row(folder.name, folder.files, folder.lines, folder.code_lines,
              len(lengths), percentile(lengths, 0.5),
              percentile(lengths, 0.9), max(lengths, default=0), share,
              long_files, documented)


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


def find_duplicates(root, folders):
    """Gives each folder its repeated blocks: (place, earlier place, lines).
    Tests are not looked at, because similar tests may be similar."""
    guided = [key for key in sorted(folders) if key.split(os.sep)[0] in GUIDED]
    files = [lines for key in guided for lines in folders[key].normalised]
    for place, earlier, lines in style_text.repeated_blocks(files):
        folders[folder_name(root, place.rsplit(":", 1)[0])].duplicates.append(
            (place, earlier, lines))


def ratio(part, whole, scale, digits=0):
    return f"{scale * part / whole:.{digits}f}" if whole else "-"


def print_language(folder):
    shares = [ratio(folder.comment_lines[end], folder.all_lines[end], 100)
              for end in (".c", ".h")]
    print_row(folder.name, folder.words,
              ratio(len(folder.clipped), folder.words, 1000, 1),
              *(share if share == "-" else share + "%" for share in shares),
              ratio(folder.asserts, folder.asserted_lines, 1000, 1),
              sum(lines for _, _, lines in folder.duplicates))


def print_languages(folders, guided):
    """The table of the language and the invariants."""
    print()
    print_row("folder", "words", "clipped", ".c", ".h", "asserts", "repeated")
    for key in sorted(folders, key=lambda k: (k.split(os.sep)[0] in
                                              ALSO_COUNTED, k)):
        if folders[key].normalised:
            print_language(folders[key])
    print_language(guided)
    print_row("aim", "", f"<{CLIPPED_PER_1000_WORDS}",
              f">={COMMENT_PERCENT_C}%", f">={COMMENT_PERCENT_H}%",
              f">={ASSERTS_PER_KLOC}", 0)
    print("clipped: per 1000 words; asserts: per 1000 lines, the aim is that of "
          + ", ".join(ASSERTING))


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


def print_list(option, folders):
    """Prints what an option asks for, one place a line."""
    for key in sorted(folders):
        if option == "--clauses":
            print("".join(place + "\n" for place in folders[key].clipped),
                  end="")
        else:
            for place, earlier, lines in folders[key].duplicates:
                print(f"{place}: {lines} lines as at {earlier}")


def main():
    default = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    arguments = sys.argv[1:]
    option = arguments.pop(0) if arguments and \
        arguments[0] in ("--clauses", "--duplicates") else None
    root = arguments[0] if arguments else default
    folders = collect(root)
    find_duplicates(root, folders)
    if option:
        print_list(option, folders)
        return 0
    guided = Folder("src and include")
    for key, folder in folders.items():
        if key.split(os.sep)[0] in GUIDED:
            guided.merge(folder)
    print_table(folders, guided)
    print_languages(folders, guided)
    return 1 if judge(folders, guided) else 0


if __name__ == "__main__":
    sys.exit(main())
