# SPDX-License-Identifier: MIT
"""The lines of the log, as the sources have them and as docs/LOG.md does.

    sources()            the lines that the sources can write, as a set of Line
    document()           the lines of the document, as a set of Line
    explanations(line)   what the document has about a line of a real log
    examples()           the examples of the document

A Line has component, event ("" for a line of the daemon itself), level, message
and fields. In the message each part that varies is a star: "%s" in a source, and
"<address>" in the document. The fields of an event are written by the daemon, so
that only the document has them; those in brackets there are not in every line.
"""
import collections
import functools
import glob
import os
import re
import shlex

SOURCE = os.environ.get("KAMA_SOURCE_DIR", os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))

Line = collections.namedtuple(
    "Line", "component event level message fields maybe",
    defaults=(frozenset(), frozenset()))

LEVELS = ["debug", "info", "warn", "error"]
STANDARD = {"ts", "level", "component", "msg", "held_back"}
CONVERSION = re.compile(
    r"%[-+ 0#]*(?:\d+|\*)?(?:\.(?:\d+|\*)?)?(?:hh|h|ll|l|z)?[a-z]")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|/\*.*?\*/|//[^\n]*|\w+|\S', re.S)
OPENING, CLOSING = "([{", ")]}"


# -- the sources -------------------------------------------------------------

def arguments(tokens, at):
    """The arguments of the call whose "(" is tokens[at], as lists of tokens."""
    depth, args = 0, [[]]
    for token in tokens[at:]:
        depth += token in OPENING and 1 or token in CLOSING and -1 or 0
        if depth == 0:
            return args
        if depth == 1 and token == ",":
            args.append([])
        elif depth > 1 or token != "(":
            args[-1].append(token)
    raise AssertionError("a call without an end")


def texts(argument):
    """The texts that an argument can be: literals, or two between ? and :."""
    found, text = [], None
    for token in [*argument, "?"]:
        if token.startswith('"'):
            text = (text or "") + token[1:-1].replace('\\"', '"')
        elif token.startswith("PRI") and text is not None:
            text += token[3].lower()
        elif text is not None:
            found.append(re.sub(r"\*+", "*", CONVERSION.sub("*", text)))
            text = None
    return found


def levels(argument):
    words = [re.sub(r"^KM_(LOG|NODE)_", "", token).lower()
             for token in argument]
    if len(argument) == 1 and argument[0].isdigit():
        return [LEVELS[int(argument[0])]]
    return [word for word in words if word in LEVELS]


def fields(args):
    names = [re.match(r'"(\w+)"', arg[2]).group(1) for arg in args
             if re.match(r"km_f_", arg[0])]
    return frozenset(names)


def calls(tokens, names):
    """Each call of one of the functions: (name, arguments)."""
    for at, token in enumerate(tokens):
        if token in names and tokens[at + 1:at + 2] == ["("]:
            yield token, arguments(tokens, at + 1)


# Where a call has its level, its event and its message.
LOGS = {"KM_LOG": (0, 1, 2), "KM_LOG_AT": (1, 2, 3)}
EVENTS = {"km_node_emit_event": (1, 2, 3), "km_node_tell_member": (1, 2, 5),
          "km_membership_log": (1, 2, 3)}
# What a group is told of: the event of a sentence is in the call before it.
SENTENCES = {"about": None, "km_group_event_sentence": 3}


def tokens_of(path):
    with open(path, encoding="utf-8") as source:
        return [token for token in TOKEN.findall(source.read())
                if not token.startswith(("/*", "//"))]


def daemon_lines(tokens):
    defined = " ".join(tokens)
    for name, args in calls(tokens, LOGS):
        level, component, message = (args[i] for i in LOGS[name])
        if component == ["COMPONENT"]:
            found = re.search(r'define COMPONENT "(\w+)"', defined)
            component = ['"%s"' % found.group(1)]
        for text in texts(message):
            for word in levels(level):
                yield Line(component[0].strip('"'), "", word, text,
                           fields(args[LOGS[name][2] + 1:]))


def node_lines(tokens):
    for name, args in calls(tokens, EVENTS):
        level, event, message = (args[i:i + 1] for i in EVENTS[name])
        events = texts(event[0])
        found, words = texts((message or [[]])[0]), levels(level[0])
        if len(found) != len(words):  # else both depend on one condition
            found, words = zip(*[(text, word) for text in found
                                 for word in words] or [((), ())])
        for text, word in zip(found, words) if events else ():
            yield Line("node", events[0], word, text)


def sync_lines(tokens):
    for _, args in calls(tokens, ["km_sync_say"]):
        for text in texts(args[3]):
            for word in levels(args[1]):
                yield Line("node", "sync", word, text)


def group_lines(tokens):
    """Sentences of group/trace.c; without the group and the key around them."""
    event = None
    for name, args in calls(tokens, SENTENCES):
        if name == "about":
            event = (texts(args[1]) or [event])[0]
        elif texts(args[3]) and args[4:5] != [["steps", "[", "step", "]"]]:
            text = texts(args[4])[0] if args[4:] and texts(args[4]) and \
                texts(args[3]) == ["*"] else texts(args[3])[0]
            yield Line("node", event,
                       "warn" if event == "load_failed" else "debug", text)


# Sentences that are made in one place and told in another: the file, the function
# that makes them with the place of its format, the event and its level.
MADE = [
    ("peers/hello.c", "km_text_printf", 2, "peer", "warn"),
    ("membership/claim.c", "snprintf", 2, "register", "error"),
    ("membership/registration.c", "snprintf", 2, "register", "error"),
    ("membership/step.c", "snprintf", 2, "register", "error"),
]


def made_lines(path, tokens):
    for end, function, at, event, level in MADE:
        for _, args in calls(tokens, [function]) if path.endswith(end) else ():
            for text in texts(args[at]) if args[0] == ["text"] else ():
                yield Line("node", event, "info" if text == "* answers"
                           else level, text)


def step_lines(path):
    """The table of sentences of a get, in group/trace.c."""
    with open(path, encoding="utf-8") as source:
        for text in re.findall(r'\[KM_GET_\w+\] = "(.*?)"', source.read()):
            yield Line("node", "get", "debug", text)


def unlogged_events():
    """Events for which the daemon has lines of its own."""
    with open(os.path.join(SOURCE, "src/apps/kamacached/serve.c"),
              encoding="utf-8") as source:
        text = source.read()
    names = re.search(r"names\[\] = \{(.*?)\};", text, re.S).group(1)
    return set(re.findall(r'"(\w+)"', names)) | {"listen"}


@functools.lru_cache(None)
def sources():
    found = set()
    for path in glob.glob(os.path.join(SOURCE, "src/**/*.c"), recursive=True):
        tokens = tokens_of(path)
        if path.endswith("base/log.c"):
            found.add(Line("log", "", "warn", texts(
                tokens[tokens.index("msg") + 2:][:1])[0],
                frozenset(["count"])))
        found.update(daemon_lines(tokens))
        found.update(node_lines(tokens))
        found.update(sync_lines(tokens))
        found.update(made_lines(path, tokens))
        if path.endswith("group/trace.c"):
            found.update(group_lines(tokens))
            found.update(step_lines(path))
    # That a sentence is told says nothing where its parts are known (MADE).
    return {line for line in found if line.event not in unlogged_events() and
            (line.event, line.message) != ("peer", "*")}


# -- the document ------------------------------------------------------------

def cells(row):
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def named(text):
    """The names in code of a cell; those in brackets apart."""
    maybe = "".join(re.findall(r"\[.*?\]", text))
    return (frozenset(re.findall(r"`(\w+)`", re.sub(r"\[.*?\]", "", text))),
            frozenset(re.findall(r"`(\w+)`", maybe)))


def rows():
    """Each row of a table of lines, as a dict by the heads of its columns; with
    the component and the event of its chapter."""
    component = event = head = None
    for row in text_of_document().splitlines():
        if row.startswith("## "):
            found = re.search(r"`component=(\w+)`", row)
            component, event = found and found.group(1), ""
        elif row.startswith("### "):
            event = re.search(r"`(\w+)`", row).group(1)
        if row.startswith("| message "):
            head = cells(row)
        elif not row.startswith("|"):
            head = None
        elif head and row.startswith("| `"):
            yield dict(zip(head, cells(row)), component=component, event=event)


def text_of_document():
    with open(os.path.join(SOURCE, "docs/LOG.md"), encoding="utf-8") as text:
        return text.read()


@functools.lru_cache(None)
def document():
    found = set()
    for row in rows():
        message = re.sub(r"<[^>]*>", "*", row["message"].strip("`"))
        for level in row["level"].split(" or "):
            found.add(Line(row["component"], row["event"], level, message,
                           *named(row["fields"])))
    return found


def without_fields(lines):
    """As the sources have lines: an event has its fields from the daemon."""
    return {line._replace(fields=frozenset(), maybe=frozenset())
            if line.event else line._replace(maybe=frozenset())
            for line in lines}


def examples():
    """The lines of the examples, as dicts of texts."""
    blocks = re.findall(r"^```text\n(.*?)^```", text_of_document(), re.M | re.S)
    for line in "".join(blocks).splitlines():
        yield dict(part.split("=", 1) for part in shlex.split(line))


def matches(template, text):
    pattern = ".*".join(re.escape(part) for part in template.split("*"))
    return re.fullmatch(pattern, text, re.S) is not None


GROUP = re.compile(r'group \S+: (.*) \(key ".*"\)(; \d+ more failures since '
                   r"the last warning)?", re.S)


def explanations(line):
    """What the document has about a line of a real log, which is a dict."""
    message = line["msg"]
    if "group" in line and line["component"] == "node":
        message = GROUP.fullmatch(message).group(1)
    names = frozenset(set(line) - STANDARD - {"event"})
    return {known for known in document() if
            known.component == line["component"] and
            known.event == line.get("event", "") and
            known.level == line["level"] and
            known.fields <= names <= known.fields | known.maybe and
            matches(known.message, message)}
