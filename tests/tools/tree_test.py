#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan
"""What holds for the tree as it is: scripts parse, every source says its
licence, documents name files that exist, the two READMEs show the same code,
and nothing knows the machine that it was written on."""
import ast
import os
import re
import subprocess
import unittest

SOURCE = os.environ.get("KAMA_SOURCE_DIR", os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))
SKIPPED = {".git", "node_modules", "__pycache__", "corpus", "golden"}
# Written in pieces, so that this file does not find itself.
MACHINE = re.compile(r"/" r"work/|/" r"tmp/kama/|deb\." r"debian\.org|"
                     r"registry\." r"npmjs|proxy\." r"golang|/" r"home/\w|"
                     r"/" r"root/")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
FOLDERS = r"(?:src/)?(?:base|store|flight|net|wire|rpc|group|services|node|loaders|apps)"


def files(*endings):
    """Paths of the tree, relative to it."""
    found = []
    for folder, folders, names in os.walk(SOURCE):
        folders[:] = [name for name in folders if name not in SKIPPED and
                      not (folder == SOURCE and name.startswith("build"))]
        found += [os.path.relpath(os.path.join(folder, name), SOURCE)
                  for name in names if name.endswith(endings)]
    return sorted(found)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as text:
        return text.read()


def exists(*path):
    return os.path.exists(os.path.join(SOURCE, *path))


def code_blocks(document, language):
    """The blocks of that language, without comments."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", read(document),
                        re.M | re.S)
    return [re.sub(r"/\*.*?\*/", "", block) for block in blocks]


class Tree(unittest.TestCase):
    def test_scripts_parse(self):
        for path in files(".py"):
            with self.subTest(path=path):
                ast.parse(read(path))
        for path in files(".sh") + ["dev", ".ci/run"]:
            with self.subTest(path=path):
                shell = "bash" if "bash" in read(path).split("\n")[0] else "sh"
                subprocess.run([shell, "-n", os.path.join(SOURCE, path)],
                               check=True)

    def test_licences(self):
        sources = files(".c", ".h", ".cc", ".py", ".sh", ".js", ".proto",
                        ".cmake", "CMakeLists.txt")
        self.assertGreater(len(sources), 200)
        for path in sources + ["dev", ".ci/run"]:
            head = "\n".join(read(path).split("\n")[:3])
            self.assertIn("SPDX-License-Identifier: MIT", head, path)

    def test_no_machine(self):
        texts = files(".c", ".h", ".cc", ".py", ".sh", ".js", ".json", ".md",
                      ".proto", ".cmake", ".txt", ".in") + ["dev", ".ci/run"]
        for path in texts:
            text = read(path)
            self.assertIsNone(MACHINE.search(text), path)
            self.assertIsNone(UNFINISHED.search(text), path)

    def test_links(self):
        """Links of documents go to files that exist."""
        for path in files(".md"):
            folder = os.path.dirname(path)
            for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(path)):
                if "://" not in link:
                    self.assertTrue(exists(folder, link), f"{path}: {link}")

    def test_named_files(self):
        """So do the files that documents name in the text."""
        for path in files(".md"):
            names = re.findall(
                rf"`((?:{FOLDERS}|tests|tools|include|proto|fuzz|bench|docs)"
                r"/[\w/.-]+\.(?:c|h|cc|py|sh|md|proto))`", read(path))
            for name in names:
                self.assertTrue(exists(name) or exists("src", name),
                                f"{path}: {name}")

    def test_named_functions(self):
        """And the functions of the tour stand in the sources."""
        sources = "\n".join(read(path) for path in files(".c", ".h"))
        names = re.findall(r"`(km?a?_\w+)`", read("docs/ARCHITECTURE.md"))
        for name in names:
            if not name.endswith("_"):
                self.assertRegex(sources, rf"\b{name}\(?", name)

    def test_twins(self):
        """The READMEs of both languages show the same code and go to the
        same places."""
        for language in ("sh", "c", "python"):
            self.assertEqual(
                [re.sub(r"\s+", " ", block) for block in
                 code_blocks("README.md", language)],
                [re.sub(r"\s+", " ", block) for block in
                 code_blocks("README.zh-CN.md", language)])

        def links(document):
            return set(re.findall(r"\]\(([^)]+)\)", read(document))) - {
                "README.md", "README.zh-CN.md"}
        self.assertEqual(links("README.md"), links("README.zh-CN.md"))


if __name__ == "__main__":
    unittest.main()
