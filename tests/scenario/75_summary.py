#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""The summary that ends the start of a node: the log, as text and as JSON, the
client, Node of kama.v2 and the API say the same, field by field."""
import os
import shlex
import subprocess
import unittest

import etcdkit
import kamatest
from clikit import OK, address_of, cli, cli_json
from clusterkit import Cluster, node_port
from etcdkit import TcpProxy
from kamatest import Client, Daemon, Folder, pb2, v2, wait_until

FIELDS = ("listen advertise admin service cluster etcd id lease_id registration "
          "view_id peer_count group_count missing degraded version "
          "start_ms").split()
NUMBERS = {"peer_count", "group_count", "start_ms"}

# A node in an application, which says what kama_node_describe says.
PROGRAM = r"""
#include <inttypes.h>
#include <kamacache/kamacache.h>
#include <stdio.h>

static void print(void *arg, const kama_node_info *n)
{
    (void)arg;
    printf("listen=%s\nadvertise=%s\nadmin=%s\nservice=%s\ncluster=%s\n"
           "etcd=%s\nid=", n->listen, n->advertise, n->admin, n->service,
           n->cluster, n->etcd);
    for (int i = 0; i < KAMA_MEMBER_ID_BYTES; i++) {
        printf("%02x", n->id[i]);
    }
    printf("\nlease_id=%" PRIx64 "\nregistration=%s\nview_id=%016" PRIx64
           "\npeer_count=%" PRIu32 "\ngroup_count=%" PRIu32 "\nmissing=",
           (uint64_t)n->lease_id, n->registration, n->view_id, n->peer_count,
           n->group_count);
    for (size_t i = 0; i < n->missing_count; i++) {
        printf("%s%s", i > 0 ? "," : "", n->missing[i]);
    }
    printf("\ndegraded=%s\nversion=%s\nstart_ms=%" PRIu64 "\n", n->degraded,
           kama_version(), n->start_ms);
}

int main(int argc, char **argv)
{
    kama_node_options options;
    kama_group_options group;
    kama_node *node;
    kama_node_options_init(&options);
    options.listen = argv[1];
    options.etcd = argv[argc - 1];
    kama_group_options_init(&group);
    group.name = "users";
    if (kama_node_new(&options, &node) != KAMA_OK ||
        kama_node_add_group(node, &group, NULL) != KAMA_OK ||
        kama_node_start(node) != KAMA_OK) {
        char text[256];
        kama_last_error(text, sizeof text);
        fprintf(stderr, "%s\n", text);
        return 1;
    }
    /* A line asks; the end of the input ends the node. */
    while (getchar() != EOF) {
        if (kama_node_describe(node, print, NULL) != KAMA_OK) {
            return 1;
        }
        puts("");
        fflush(stdout);
    }
    kama_node_free(node);
    return 0;
}
"""


def of_log(line):
    return {name: line[name] for name in FIELDS}


def of_cli(node):
    code, facts = cli_json(node, "node")
    assert code == OK
    facts["missing"] = ",".join(facts["missing"])
    return {name: facts[name] for name in FIELDS}


def of_v2(client):
    node = v2(client.channel, "Node", pb2().NodeRequest())
    facts = {name: getattr(node, name) for name in FIELDS}
    facts.update(id=node.id.hex(), view_id="%016x" % node.view_id,
                 lease_id="%x" % node.lease_id if node.lease_id else "",
                 missing=",".join(node.missing))
    return facts


def of_pairs(pairs):
    """From name=value texts: those that are numbers become numbers."""
    facts = dict(pair.split("=", 1) for pair in pairs)
    return {name: int(facts[name]) if name in NUMBERS else facts[name]
            for name in FIELDS}


def summaries(node):
    return [line for line in list(node.lines) if line["msg"] == "summary"]


class Alone(unittest.TestCase):
    def test_a_node_alone(self):
        """It has neither etcd nor a lease, and is a cluster of itself."""
        with Daemon("--group", "a", "--group", "b") as node, \
                Client(node) as client:
            said = of_log(node.wait_line("summary"))
            self.assertEqual(said, of_cli(node))
            self.assertEqual(said, of_v2(client))
            self.assertEqual(
                (said["listen"], said["etcd"], said["lease_id"],
                 said["registration"], said["peer_count"],
                 said["group_count"], said["missing"]),
                (node.address, "", "", "none", 0, 2, ""))

    def test_it_is_the_last_line_of_the_start(self):
        with Daemon() as node:
            node.wait_line("summary")
            self.assertEqual([line["msg"] for line in node.lines],
                             ["starting", "group", "admin port", "listening",
                              "ready", "summary"])


@unittest.skipIf(etcdkit.MISSING, etcdkit.MISSING)
class Member(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(1)
        cls.addClassCleanup(cls.cluster.close)
        cls.etcd = cls.cluster.etcd.address

    def check(self, said, node, client):
        """All sources agree, and have what this cluster must have made."""
        self.assertEqual(said, of_cli(node))
        self.assertEqual(said, of_v2(client))
        self.assertEqual(
            (said["advertise"], said["etcd"], said["registration"],
             said["peer_count"], said["missing"], said["degraded"]),
            (address_of(node), self.etcd, "active", 1, "", ""))
        self.assertIn(int(said["lease_id"], 16),
                      self.cluster.etcd.leases())

    def test_the_log_as_json(self):
        with Daemon("--etcd", self.etcd, "--group", "users",
                    "--service", "kama-cache",
                    listen="127.0.0.1:%d" % node_port()) as node, \
                Client(node) as client:
            self.check(of_log(node.wait_line("summary")), node, client)
            self.assertEqual(len(summaries(node)), 1)

    def test_the_log_as_text(self):
        address = "127.0.0.1:%d" % node_port()
        with Daemon("--etcd", self.etcd, "--group", "users", listen=address,
                    ready=False, log=("--log-format=text",)) as node:
            raw = wait_until(lambda: next(
                (line for line in list(node.raw) if "msg=summary" in line),
                None), 20)
            node.address = address
            with Client(node) as client:
                self.check(of_pairs(shlex.split(raw)), node, client)

    @unittest.skipIf(kamatest.SANITIZER,
                     "a program without the sanitizer cannot load the library")
    def test_the_api(self):
        address = "127.0.0.1:%d" % node_port()
        with Folder() as folder:
            source = folder.file("program.c", PROGRAM)
            program = os.path.splitext(source)[0]
            lib = os.path.join(kamatest.BUILD, "lib")
            subprocess.run(
                ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I",
                 os.path.join(kamatest.SOURCE, "include"), source, "-o",
                 program, "-L", lib, "-lkamacache", "-Wl,-rpath," + lib],
                check=True)
            app = subprocess.Popen([program, address, self.etcd], text=True,
                                   stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
            try:
                app.stdin.write("?")
                app.stdin.flush()
                lines = []
                while not lines or lines[-1] not in ("", "\n"):
                    lines.append(app.stdout.readline())
                lines.pop()
                self.assertIn("start_ms", "".join(lines))
                with Client(address) as client:
                    self.check(of_pairs(line.rstrip("\n") for line in lines),
                               address, client)
            finally:
                app.communicate(timeout=30 * kamatest.SLOWDOWN)
            self.assertEqual(app.returncode, 0)

    def test_what_people_read(self):
        """The client's table has every fact of the summary."""
        node, = self.cluster.nodes
        facts = of_cli(node)
        shown = dict(line.split(None, 1) for line in
                     cli(node, "node").stdout.decode().splitlines())
        self.assertEqual(shown["groups"], str(facts["group_count"]))
        self.assertEqual(shown["start"], "%d ms" % facts["start_ms"])
        self.assertEqual(shown["admin"], facts["admin"] or "-")
        self.assertEqual(shown["lease"], facts["lease_id"])

    def test_a_node_that_joins_later(self):
        """The summary of its start says what is missing; when the node has
        become a member, a second one says so."""
        with TcpProxy(self.etcd) as proxy:
            proxy.stall()
            with Daemon("--etcd", proxy.address, "--start-timeout=300ms",
                        listen="127.0.0.1:%d" % node_port()) as node:
                first = of_log(node.wait_line("summary"))
                self.assertEqual(
                    (first["missing"], first["registration"],
                     first["peer_count"]),
                    ("register,view,peers,streams,dialback,lease", "none", 0))
                proxy.flow()
                node.wait_line("all steps are done: the node serves as a "
                               "member", 30)
                wait_until(lambda: len(summaries(node)) == 2)
                second = of_log(summaries(node)[1])
                self.assertEqual(second, of_cli(node))
                self.assertEqual(
                    (second["missing"], second["registration"],
                     second["peer_count"], second["start_ms"]),
                    ("", "active", 1, first["start_ms"]))


if __name__ == "__main__":
    kamatest.main()
