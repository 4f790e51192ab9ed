#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=60
"""What docs/LOADERS.md shows is true: the example plug-in compiles as it
stands and loads, and the wrapper scripts map exit codes as they say."""
import ctypes as c
import os
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["KAMA_SOURCE_DIR"]
ABI_VERSION = 1
OK, MISS = 0, 1


def blocks(language):
    """The code blocks of the document in that language."""
    with open(os.path.join(SOURCE, "docs/LOADERS.md"),
              encoding="utf-8") as text:
        return re.findall(rf"^```{language}\n(.*?)^```", text.read(),
                          re.M | re.S)


class Bytes(c.Structure):
    _fields_ = [("data", c.c_void_p), ("len", c.c_size_t)]


SinkSet = c.CFUNCTYPE(c.c_int, c.c_void_p, Bytes, c.c_void_p)


class Host(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("abi_version", c.c_uint32),
                ("sink_set", SinkSet), ("sink_error", c.c_void_p),
                ("load_defer", c.c_void_p), ("load_finish", c.c_void_p),
                ("log", c.c_void_p)]


class Config(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("concurrency", c.c_uint32),
                ("config", c.c_char_p), ("group", c.c_char_p),
                ("timeout_ms", c.c_int64), ("max_value_bytes", c.c_uint64)]


class Load(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("reserved", c.c_uint32),
                ("group", Bytes), ("key", Bytes), ("deadline_ms", c.c_int64)]


class Info(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("abi_version", c.c_uint32),
                ("name", c.c_char_p), ("version", c.c_char_p),
                ("help", c.c_char_p),
                ("open", c.CFUNCTYPE(c.c_int, c.POINTER(Host),
                                     c.POINTER(Config), c.c_char_p,
                                     c.c_size_t, c.POINTER(c.c_void_p))),
                ("load", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Load),
                                     c.c_void_p)),
                ("close", c.CFUNCTYPE(None, c.c_void_p))]


def view(data):
    return Bytes(c.cast(c.c_char_p(data), c.c_void_p), len(data))


class ExampleTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source = os.path.join(folder.name, "hello.c")
        plugin = os.path.join(folder.name, "hello.so")
        (example,) = blocks("c")
        with open(source, "w", encoding="utf-8") as out:
            out.write(example)
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror",
                        "-shared", "-fPIC", f"-I{SOURCE}/include",
                        "-Wl,-z,defs", "-o", plugin, source], check=True)
        describe = c.CDLL(plugin).kama_loader_plugin
        describe.restype = c.POINTER(Info)
        self.info = describe().contents
        self.said = []
        self.host = Host(c.sizeof(Host), ABI_VERSION, SinkSet(self.sink_set))

    def sink_set(self, _sink, value, _options):
        self.said.append(c.string_at(value.data, value.len))
        return OK

    def open(self, text):
        """(status, loader, sentence) of open."""
        config = Config(c.sizeof(Config), 4, text, b"group", 1000, 1 << 20)
        error = c.create_string_buffer(256)
        loader = c.c_void_p()
        status = self.info.open(self.host, config, error, len(error), loader)
        return status, loader, error.value

    def test_table(self):
        self.assertEqual(self.info.struct_size, c.sizeof(Info))
        self.assertEqual(self.info.abi_version, ABI_VERSION)
        self.assertEqual(self.info.name, b"hello")

    def test_load(self):
        status, loader, _ = self.open(b"Hi")
        self.assertEqual(status, OK)
        load = Load(c.sizeof(Load), 0, view(b"group"), view(b"tom"), 1000)
        self.assertEqual(self.info.load(loader, load, None), OK)
        self.assertEqual(self.said, [b"Hi tom"])
        self.info.close(loader)

    def test_refusals(self):
        status, _, sentence = self.open(b"")
        self.assertLess(status, 0)
        self.assertIn(b"hello:WORD", sentence)
        self.host.abi_version = ABI_VERSION + 1
        self.assertLess(self.open(b"Hi")[0], 0)


class WrapperTest(unittest.TestCase):
    """The scripts, with a command in PATH that ends as the test says."""

    def setUp(self):
        self.scripts = [text for text in blocks("sh")
                        if text.startswith("#!/bin/sh")]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_with(self, script, command, code, key="tom"):
        path = os.path.join(self.folder, command)
        with open(path, "w", encoding="utf-8") as out:
            out.write("#!/bin/sh\nfor a; do last=$a; done\n"
                      f"printf %s \"$last\"\nexit {code}\n")
        os.chmod(path, 0o755)
        env = dict(os.environ, PATH=self.folder + ":" + os.environ["PATH"])
        done = subprocess.run(["/bin/sh", "-c", script, "wrapper", key],
                              env=env, stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout

    def test_exit_codes(self):
        commands = ["grep" if "\ngrep" in text else "kamacache-cli"
                    for text in self.scripts]
        self.assertEqual(sorted(commands), ["grep", "kamacache-cli"])
        for script, command in zip(self.scripts, commands):
            for code, mapped in ((0, 0), (1, 4), (2, 5), (4, 5), (137, 5)):
                with self.subTest(command=command, code=code):
                    self.assertEqual(self.run_with(script, command, code)[0],
                                     mapped)

    def test_client_keys(self):
        """A key reaches the client as it is, whatever it looks like."""
        script = next(text for text in self.scripts if "from-node" in text)
        for key in ("tom", "-x y", '"a\\b"', '"open'):
            self.assertEqual(self.run_with(script, "kamacache-cli", 0, key),
                             (0, key.encode()))


if __name__ == "__main__":
    sys.exit(unittest.main())
