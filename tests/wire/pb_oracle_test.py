#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""Our codec against python's protobuf: random messages both ways, and what
both say to messages that were damaged.

`wire_pb --recode` decodes and encodes what it is given. What it accepts must
be what python accepts, field by field; what only it refuses must be one of
the things that wire/pb.h says it refuses.
"""
import importlib
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings

from google.protobuf import descriptor as descriptors
from google.protobuf import message as messages

SOURCE = os.environ.get("KAMA_SOURCE_DIR", os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("KAMA_BUILD_DIR", os.path.join(SOURCE, "build"))
TOOL = os.path.join(BUILD, "tests", "wire_msg")
GOLDEN = os.path.join(SOURCE, "tests", "wire", "golden", "messages.txt")
SEED = int(os.environ.get("KAMA_SEED", random.SystemRandom().getrandbits(32)))

# Every field of these has a row in our tables.
WHOLE = [
    "kama.v1.GetRequest", "kama.v1.SetRequest", "kama.v1.DeleteRequest",
    "kama.v1.GetResponse", "kama.v1.SetResponse", "kama.v1.DeleteResponse",
    "kama.v2.GetRequest", "kama.v2.GetResponse", "kama.v2.SetRequest",
    "kama.v2.SetResponse", "kama.v2.DeleteRequest", "kama.v2.DeleteResponse", "kama.v2.MGetRequest",
    "kama.v2.MGetItem", "kama.v2.MGetResponse", "kama.v2.ClearRequest",
    "kama.v2.ClearResponse", "kama.v2.ResizeRequest", "kama.v2.ResizeResponse",
    "kama.v2.ScanRequest", "kama.v2.ScanEntry",
    "kama.v2.ScanResponse", "kama.v2.PingRequest", "kama.v2.PingResponse",
    "kama.v2.StatsRequest", "kama.v2.GroupInfo", "kama.v2.GroupOption",
    "kama.v2.GroupsResponse", "kama.v2.Latency", "kama.v2.Metric",
    "kama.v2.NodeResponse", "kama.v2.OwnerRequest", "kama.v2.OwnerResponse",
    "kama.v2.HotKeysRequest", "kama.v2.ExplainRequest", "kama.v2.KeyRecord", "kama.v2.Copy",
    "kama.v2.ExplainResponse", "kama.v2.DoctorCheck", "kama.v2.HostFacts",
    "kama.v2.RegistryFacts"] + [
    "kama.peer.v1." + name for name in (
        "Sender", "HelloRequest", "HelloResponse", "Need",
        "FillRequest", "FillResponse", "FillManyRequest", "FillManyResponse",
        "PeekRequest", "PeekItem", "PeekResponse", "MutateResponse",
        "Mutation", "MutateRequest", "MutateResult")]
# One table of ours stands for several messages.
SHARED_TABLES = {"kama.v1.GetRequest": "kama.v1.SetRequest",
                 "kama.v1.DeleteRequest": "kama.v1.SetRequest"}

FD = descriptors.FieldDescriptor
BITS = {FD.TYPE_UINT64: 64, FD.TYPE_UINT32: 32, FD.TYPE_FIXED64: 64,
        FD.TYPE_INT64: 63}


def setUpModule():
    print("KAMA_SEED=%d" % SEED)
    folder = tempfile.TemporaryDirectory(prefix="kama-pb2-")
    unittest.addModuleCleanup(folder.cleanup)
    proto = os.path.join(SOURCE, "proto")
    subprocess.run(["protoc", "-I", proto, "--python_out", folder.name,
                    "kama/v1/kama.proto", "kama/v2/cache.proto",
                    "kama/peer/v1/peer.proto"],
                   cwd=proto, check=True)
    sys.path.insert(0, folder.name)
    importlib.invalidate_caches()


def type_of(name):
    package, _, short = name.rpartition(".")
    module = {"kama.v1": "kama.v1.kama_pb2", "kama.v2": "kama.v2.cache_pb2",
              "kama.peer.v1": "kama.peer.v1.peer_pb2"}
    return getattr(importlib.import_module(module[package]), short)


def recode(pairs):
    """[(name, bytes)] -> [encoded bytes, or None when it was refused]"""
    request = b"".join(struct.pack("<I", len(part)) + part
                       for name, data in pairs
                       for part in (name.encode(), data))
    reply = subprocess.run([TOOL, "--recode"], input=request, check=True,
                           stdout=subprocess.PIPE).stdout
    results = []
    at = 0
    while at < len(reply):
        accepted, length = struct.unpack_from("<BI", reply, at)
        at += 5
        results.append(reply[at:at + length] if accepted else None)
        at += length
    assert len(results) == len(pairs)
    return results


# -- random messages ----------------------------------------------------------

def random_number(rng, bits):
    return rng.getrandbits(rng.choice([1, 7, 8, 14, 21, 31, bits]))


def random_value(rng, field):
    if field.type == FD.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FD.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type in (FD.TYPE_SINT64, FD.TYPE_SINT32):
        bits = 63 if field.type == FD.TYPE_SINT64 else 31
        return random_number(rng, bits) * rng.choice([1, -1])
    if field.type == FD.TYPE_STRING:
        return "".join(rng.choice("ab\0é中\U0001f600")
                       for _ in range(rng.choice([0, 1, 5, 200])))
    if field.type == FD.TYPE_BYTES:
        return rng.randbytes(rng.choice([0, 1, 5, 127, 128, 5000]))
    return random_number(rng, BITS[field.type])


def drop_empty(message):
    """Our structs do not tell an empty message from one that is absent."""
    for field in message.DESCRIPTOR.fields:
        if (field.type == FD.TYPE_MESSAGE and
                field.label != FD.LABEL_REPEATED and
                message.HasField(field.name)):
            drop_empty(getattr(message, field.name))
            if not getattr(message, field.name).ByteSize():
                message.ClearField(field.name)
    return message


def fill(rng, message):
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.3:
            continue
        repeated = field.label == FD.LABEL_REPEATED
        for _ in range(rng.randrange(4) if repeated else 1):
            if field.type == FD.TYPE_MESSAGE:
                child = getattr(message, field.name)
                fill(rng, child.add() if repeated else child)
                drop_empty(message)
            elif repeated:
                getattr(message, field.name).append(random_value(rng, field))
            else:
                setattr(message, field.name, random_value(rng, field))
    return message


# -- damage -------------------------------------------------------------------

def damage(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at:at] = rng.randbytes(rng.randrange(1, 4))
        elif kind == 2:
            del data[at:at + rng.randrange(1, 4)]
        elif kind == 3:
            data[at:at] = data[:rng.randrange(len(data) + 1)]
        elif at < len(data):
            data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, data[at] ^ 1,
                                   data[at] ^ 4])
    return bytes(data)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
        shift += 7


WIRE = {FD.TYPE_STRING: 2, FD.TYPE_BYTES: 2, FD.TYPE_MESSAGE: 2,
        FD.TYPE_FIXED64: 1}


def may_refuse(descriptor, data):
    """A group, field number 0 (where python stops reading), a tag over 32 bits
    (which it cuts) or a known field with another wire type. data is what
    python accepts."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        wire = tag & 7
        field = descriptor.fields_by_number.get(tag >> 3)
        if wire not in (0, 1, 2, 5) or not 8 <= tag < 1 << 32:
            return True
        if field is not None and wire != WIRE.get(field.type, 0):
            return True
        if wire == 0:
            _, at = read_varint(data, at)
        elif wire == 2:
            length, at = read_varint(data, at)
            if (field is not None and field.type == FD.TYPE_MESSAGE and
                    may_refuse(field.message_type, data[at:at + length])):
                return True
            at += length
        else:
            at += 8 if wire == 1 else 4
    return False


def parse(kind, data):
    """None: refused. (The end of no group is only warned of.)"""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            message = kind.FromString(data)
        except messages.DecodeError:
            return None
    return None if caught else message


def repeats_only_scalars(descriptor):
    return not any(f.label == FD.LABEL_REPEATED and f.type == FD.TYPE_MESSAGE
                   for f in descriptor.fields)


def without_strings(descriptor):
    """The names of the string fields: python refuses those that are not
    UTF-8, our codec leaves that to whoever uses them."""
    return not any(f.type == FD.TYPE_STRING or
                   (f.type == FD.TYPE_MESSAGE and
                    not without_strings(f.message_type))
                   for f in descriptor.fields)


class OracleTest(unittest.TestCase):
    def test_golden(self):
        """What was recorded says the same to python."""
        pairs = []
        with open(GOLDEN, encoding="utf-8") as golden:
            for line in golden:
                if line.startswith("kama."):
                    name, data = line.split()[:2]
                    pairs.append((name, bytes.fromhex(
                        "" if data == "-" else data)))
        self.assertGreater(len(pairs), 15)
        for (name, data), ours in zip(pairs, recode(pairs)):
            kind = type_of(name)
            self.assertEqual(ours, data, name)
            self.assertEqual(kind.FromString(data).SerializeToString(), data)

    def test_random(self):
        """What python wrote we read, and write the same bytes."""
        rng = random.Random(SEED)
        written = []
        for name in WHOLE:
            for _ in range(200):
                message = fill(rng, type_of(name)())
                written.append((name, message.SerializeToString(
                    deterministic=True)))
        for (name, data), ours in zip(written, recode(written)):
            self.assertEqual(ours, data, (SEED, name, data))

    def damaged(self):
        rng = random.Random(SEED + 1)
        for name in WHOLE:
            if repeats_only_scalars(type_of(name).DESCRIPTOR):
                for _ in range(800):
                    whole = fill(rng, type_of(name)()).SerializeToString()
                    yield name, damage(rng, whole[:400])

    def check_damaged(self, name, data, ours):
        kind = type_of(name)
        theirs = parse(kind, data)
        why = (SEED, name, data.hex())
        if ours is None:
            if theirs is not None:
                known = type_of(SHARED_TABLES.get(name, name)).DESCRIPTOR
                self.assertTrue(may_refuse(known, data), why)
            return False
        if theirs is None:
            self.assertFalse(without_strings(kind.DESCRIPTOR), why)
            return False
        again = kind.FromString(ours)
        again.DiscardUnknownFields()
        theirs.DiscardUnknownFields()
        self.assertEqual(again, drop_empty(theirs), why)
        return True

    def test_damaged(self):
        """Both accept, and see the same; or one has a reason not to."""
        pairs = list(self.damaged())
        accepted = sum(self.check_damaged(name, data, ours)
                       for (name, data), ours in zip(pairs, recode(pairs)))
        # Damage that nobody notices and damage that everybody sees: both.
        self.assertGreater(accepted, len(pairs) // 20)
        self.assertLess(accepted, len(pairs))


if __name__ == "__main__":
    unittest.main()
