#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: labels=nosan timeout=300
"""Installs into a temporary prefix and builds users' programs against it."""
import glob
import os
import subprocess
import sys
import tempfile
import unittest

BUILD = os.environ["KAMA_BUILD_DIR"]
CONSUMER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "consumer")
PACKAGES = ("kamacache", "kamacache-core")
SYSTEM_LIBRARIES = ("libc.so", "ld-linux", "libpthread.so")


def run(*command, **extra):
    """The standard output of a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True,
                          check=False, **extra)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}"
                             f"{done.stderr}")
    return done.stdout


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="kama-install-")
        cls.prefix = os.path.join(cls.folder.name, "usr")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        pc, = glob.glob(f"{cls.prefix}/lib/**/kamacache.pc", recursive=True)
        cls.libdir = os.path.dirname(os.path.dirname(pc))
        cls.environment = dict(os.environ, LD_LIBRARY_PATH=cls.libdir,
                               PKG_CONFIG_PATH=os.path.dirname(pc))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def greet(self, program):
        self.assertIn(" hello", run(program, env=self.environment))

    def build_with_pkg_config(self, package, static):
        options = ["--cflags", "--libs"] + (["--static"] if static else [])
        flags = run("pkg-config", *options, package,
                    env=self.environment).split()
        if static:
            flags = [f"-l:lib{package}.a" if f == f"-l{package}" else f
                     for f in flags]
        for compiler, source in (("gcc", "main.c"), ("g++", "main.cc")):
            program = os.path.join(self.folder.name, "pc-program")
            run(compiler, "-Wall", "-Wextra", "-Werror",
                os.path.join(CONSUMER, source), "-o", program, *flags)
            self.greet(program)

    def test_pkg_config(self):
        for package in PACKAGES:
            with self.subTest(package=package):
                self.build_with_pkg_config(package, static=False)

    def test_pkg_config_static(self):
        for package in PACKAGES:
            with self.subTest(package=package):
                self.build_with_pkg_config(package, static=True)

    def build_with_cmake(self, static):
        build = tempfile.mkdtemp(dir=self.folder.name)
        run("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DWITH_STATIC={static}")
        run("cmake", "--build", build)
        programs = glob.glob(f"{build}/c_*") + glob.glob(f"{build}/cc_*")
        for program in programs:
            self.greet(program)
        return len(programs)

    def test_find_package(self):
        self.assertEqual(self.build_with_cmake("OFF"), 6)

    def test_find_package_static(self):
        self.assertEqual(self.build_with_cmake("ON"), 8)

    def test_exports_nothing_else(self):
        for package in PACKAGES:
            library = f"{self.libdir}/lib{package}.so.0"
            lines = run("nm", "-D", "--defined-only", library).splitlines()
            names = [line.split()[2].split("@")[0] for line in lines
                     if line.split()[1] != "A"]
            self.assertIn("kama_get", names)
            self.assertEqual([n for n in names
                              if not n.startswith("kama_")], [])

    def test_archives_define_only_our_names(self):
        for package in PACKAGES:
            archive = f"{self.libdir}/lib{package}.a"
            lines = run("nm", "-g", "--defined-only", archive).splitlines()
            names = [line.split()[2] for line in lines
                     if len(line.split()) == 3]
            self.assertEqual([n for n in names
                              if not n.startswith(("kama_", "km_"))], [])

    def test_core_needs_libc_alone(self):
        lines = run("readelf", "-d",
                    f"{self.libdir}/libkamacache-core.so.0").splitlines()
        needed = [line.split("[")[1].rstrip("]") for line in lines
                  if "(NEEDED)" in line]
        self.assertEqual([n for n in needed
                          if not n.startswith(SYSTEM_LIBRARIES)], [])

    def test_soname(self):
        for package in PACKAGES:
            dump = run("readelf", "-d", f"{self.libdir}/lib{package}.so")
            self.assertIn(f"soname: [lib{package}.so.0]", dump)

    def test_names_no_build_directory(self):
        for pattern in ("pkgconfig/*.pc", "cmake/KamaCache/*.cmake"):
            for path in glob.glob(f"{self.libdir}/{pattern}"):
                with open(path, encoding="utf-8") as text:
                    self.assertNotIn(BUILD, text.read(), path)


if __name__ == "__main__":
    sys.exit(unittest.main())
