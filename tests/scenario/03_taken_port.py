#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""A second daemon on the same port does not start, and says why; the first
one does not notice."""
import unittest

import kamatest
from kamatest import Daemon, Client


class TakenPort(unittest.TestCase):
    def test_taken(self):
        with Daemon() as first, Client(first) as client:
            client.set(b"k", b"v")
            second = Daemon(listen=first.address, ready=False)
            self.assertEqual(second.wait(), 1)
            line = second.wait_line("cannot start")
            self.assertIn(first.address, line["reason"])
            self.assertIn("--listen", line["hint"])
            errors = [x for x in second.lines if x["level"] == "error"]
            self.assertEqual(errors, [line])
            self.assertEqual(client.get(b"k"), b"v")

    def test_no_address_of_this_machine(self):
        """192.0.2.0/24 is for documentation: no machine has such an address.
        The reason says all there is; no hint pretends to say more."""
        node = Daemon("--insecure", listen="192.0.2.1:0", ready=False)
        self.assertEqual(node.wait(), 1)
        line = node.wait_line("cannot start")
        self.assertEqual((line["reason"], line["status"]),
                         ("cannot listen on 192.0.2.1:0: address not available",
                          "KAMA_ERR_IO"))
        self.assertNotIn("hint", line)

    def test_restart_at_once(self):
        """The port of a daemon that just stopped, with connections that linger,
        is free."""
        with Daemon() as first, Client(first) as client:
            client.set(b"k", b"v")
            address = first.address
        with Daemon(listen=address) as second, Client(second) as client:
            client.set(b"k", b"v")


if __name__ == "__main__":
    kamatest.main()
