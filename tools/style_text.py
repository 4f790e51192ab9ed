#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What style_stats.py counts of a C file beside its functions: how its comments
read, how many lines have a comment, asserts, and blocks that are repeated.

Nothing here judges. The numbers stand beside the aims of docs and review.

A *clipped noun* is a clause with "who" or "what" in the place of a noun, such as
"Who waits is woken" or "frees what is over". The reader has to guess the noun:
"a caller that waits is woken", "frees the loads that have ended". Counted are

  - "who" at the beginning of a sentence, behind a preposition, a conjunction or
    a verb ("hands it to who asked"),
  - "what" everywhere, because it never follows the noun that it stands for,

but not questions, not clauses behind a verb of asking or saying ("decides who
leads", "says what failed"), not "does what X does", and not relative clauses
("the caller who leads"). It is an estimate: a few per thousand words are noise.
"""
import re

COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
ASSERT = re.compile(r"\b(?:KM_(?:DEBUG_)?ASSERT(?:_\w+)?|assert|"
                    r"(?:_S|s)tatic_assert)\(")
# Lines of a comment that are indented like this are code or a drawing.
DRAWN = "    "
WORD = re.compile(r"[A-Za-z][\w'’-]*")
SENTENCE_END = re.compile(r"[.!?:;](?=\s|$)|\n\s*\n|\n\s*[-*]\s")
CLAUSE = re.compile(r"\b(who|what)\b", re.I)
ASKING = set("""ask asks asked asking say says said saying tell tells told know
knows knew known knowing decide decides decided see sees seen show shows shown
explain explains describe describes learn learns check checks choose chooses
determine determines matter out state states define defines""".split())
PREPOSITIONS = set("""of to for with from by in on at into over about behind
beyond before after between against without than as like upon under until
through per""".split())
CONJUNCTIONS = set("""and or but if when while that because so only not nor else
all even""".split())
VERBS = set("""is are was were be been has have had get gets got give gives take
takes keep keeps hold holds wake wakes free frees make makes need needs let lets
remove removes find finds count counts send sends drop drops move moves leave
leaves bound bounds stop stops help helps serve serves answer answers call calls
close closes cancel cancels reach reaches become becomes""".split())
DOING = {"do", "does", "did", "done", "doing"}
BLOCK_LINES = 6


def comments(text):
    """The comments of a C file as prose: without stars, drawings and code."""
    joined = []
    for match in COMMENT_OR_STRING.finditer(text):
        comment = match.group(0)
        if not comment.startswith("/") or "SPDX-License" in comment:
            continue
        lines = [re.sub(r"^\s*(?:/\*|\*/|\*|//) ?", "", line)
                 for line in comment.replace("*/", "").split("\n")]
        prose = [("" if line.startswith(DRAWN) else line) for line in lines]
        joined.append((text.count("\n", 0, match.start()) + 1,
                       "\n".join(prose)))
    return merge_lines(joined, text)


def merge_lines(found, text):
    """Joins // comments on consecutive lines into one text."""
    merged = []
    lines = text.split("\n")
    for number, prose in found:
        if merged and lines[number - 1].lstrip().startswith("//") and \
                merged[-1][0] + merged[-1][1].count("\n") == number - 1:
            merged[-1] = (merged[-1][0], merged[-1][1] + "\n" + prose)
        else:
            merged.append((number, prose))
    return merged


def sentences(prose):
    """(offset, sentence, is a question) of each sentence."""
    start = 0
    for match in list(SENTENCE_END.finditer(prose)) + [None]:
        end = match.end() if match else len(prose)
        yield start, prose[start:end], prose[start:end].rstrip().endswith("?")
        start = end


def is_clipped(word, before, after, earlier):
    """Whether who or what stands for a noun that is missing. before: the words
    of the sentence in front of it; earlier: the verdict on the clause that the
    same sentence has before."""
    last = before[-1].lower() if before else ""
    if last in ASKING:
        return False
    if last in ("and", "or") and earlier is not None:
        return earlier
    if word == "what":
        return not (last in DOING and DOING.intersection(after))
    return not before or last in PREPOSITIONS | CONJUNCTIONS | VERBS


def clipped_nouns(text):
    """(line, clause) of each clipped noun in the comments of a C file."""
    for number, prose in comments(text):
        for offset, sentence, question in sentences(prose):
            verdict = None
            for match in CLAUSE.finditer(sentence):
                if question or is_quoted(sentence, match.start()):
                    continue
                before = WORD.findall(sentence[:match.start()])
                rest = sentence[match.start():]
                after = [word.lower() for word in WORD.findall(rest)[1:8]]
                verdict = is_clipped(match.group(1).lower(), before, after,
                                     verdict)
                if verdict:
                    place = offset + match.start()
                    yield (number + prose.count("\n", 0, place),
                           " ".join(rest.split()[:6]))


def is_quoted(sentence, place):
    """Whether an odd number of quotes stands before the place."""
    return sentence.count('"', 0, place) % 2 == 1


def word_count(text):
    return sum(len(WORD.findall(prose)) for _, prose in comments(text))


def comment_lines(text):
    """(lines with a comment, lines that are not blank). The line of the
    licence counts as neither."""
    commented = set()
    for match in COMMENT_OR_STRING.finditer(text):
        if match.group(0).startswith("/"):
            first = text.count("\n", 0, match.start())
            last = first + match.group(0).count("\n")
            commented.update(range(first, last + 1))
    lines = [number for number, line in enumerate(text.split("\n"))
             if line.strip() and "SPDX-License" not in line]
    return len(commented.intersection(lines)), len(lines)


def assert_count(code):
    """Asserts in the lines of a file without comments and strings."""
    return sum(len(ASSERT.findall(line)) for line in code)


def normalised(path, code):
    """[(place, line)] of the lines that say something."""
    found = []
    for number, line in enumerate(code):
        short = re.sub(r"\s+", " ", line).strip()
        if len(short) > 2:
            found.append((f"{path}:{number + 1}", short))
    return found


def repeated_blocks(files):
    """Finds blocks of BLOCK_LINES and more equal lines. files: a list of what
    normalised returns, one for each file. Yields (place, earlier place, lines);
    a block that begins inside one that was reported is not reported again."""
    seen = {}
    for which, lines in enumerate(files):
        skip_to = 0
        for at in range(len(lines) - BLOCK_LINES + 1):
            window = tuple(line for _, line in lines[at:at + BLOCK_LINES])
            other = seen.get(window)
            if other is None:
                seen[window] = (which, at)
            elif at >= skip_to and not (other[0] == which and
                                        at - other[1] < BLOCK_LINES):
                length = common_length(lines, at, files[other[0]], other[1])
                skip_to = at + length
                yield lines[at][0], files[other[0]][other[1]][0], length


def common_length(lines, at, others, from_):
    length = 0
    while at + length < len(lines) and from_ + length < len(others) and \
            lines[at + length][1] == others[from_ + length][1]:
        length += 1
    return length
