# SPDX-License-Identifier: MIT
"""What the tests of frozen nodes have in common: the others give the node up, and
every value changes meanwhile."""
import unittest

from faultkit import GROUP, KEYS
from kamatest import Client, wait_until


def wait_given_up(cluster, node):
    """Waits until the others have a view without the node."""
    others = cluster.others(node)
    wait_until(lambda: cluster.agreed(others), 30, "a view without %s" % node)
    return others


class FrozenCase(unittest.TestCase):
    def fill(self, node):
        """Makes every key that the node owns a value in its memory."""
        with Client(node) as client:
            for key in KEYS:
                client.get(key, GROUP)

    def change_all(self, cluster):
        """Changes every value in the database, and deletes its key at the
        owner that the second node knows."""
        for key in KEYS:
            cluster.database.raise_number(key)
            owner = cluster.owner(key, GROUP, cluster.nodes[1])
            owner.client.delete(key, GROUP)

    def is_new(self, cluster, client, key):
        return (int(client.get(key, GROUP)) ==
                cluster.database.numbers[key])

    def expect_new(self, cluster, node):
        """Each key has its present value."""
        with Client(node) as client:
            self.assertEqual([key for key in KEYS if not self.is_new(
                cluster, client, key)], [])
