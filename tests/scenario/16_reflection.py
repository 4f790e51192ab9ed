#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60
"""Reflection, v1 and v1alpha: enough for a generic tool to call every method
without having seen a .proto; streams stay open as long as the client likes."""
import queue
import time
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import kamatest
from kamatest import Daemon, pb2

SERVICES = {"kama.v1.KamaCacheService", "kama.v2.Cache", "kama.peer.v1.Peer",
            "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection"}


class Reflector:
    """One reflection stream; ask(...) waits for the answer."""

    def __init__(self, channel, version):
        self.messages = pb2("grpc.reflection.%s.reflection" % version)
        self.questions = queue.Queue()
        self.call = channel.stream_stream(
            "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo" %
            version,
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=(
                self.messages.ServerReflectionResponse.FromString))(
                    iter(self.questions.get, None))

    def ask(self, **question):
        request = self.messages.ServerReflectionRequest(**question)
        self.questions.put(request)
        reply = next(self.call)
        assert reply.original_request == request
        return reply

    def files(self, **question):
        return [descriptor_pb2.FileDescriptorProto.FromString(data)
                for data in self.ask(**question).file_descriptor_response
                .file_descriptor_proto]

    def close(self):
        self.questions.put(None)


class Reflection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Daemon()
        cls.addClassCleanup(cls.node.stop)
        cls.channel = kamatest.connected_channel(cls.node.address)
        cls.addClassCleanup(cls.channel.close)

    def reflectors(self):
        for version in ("v1", "v1alpha"):
            reflector = Reflector(self.channel, version)
            yield reflector
            reflector.close()
            # The half-close ends the stream with OK.
            self.assertEqual(list(reflector.call), [])
            self.assertEqual(reflector.call.code(), grpc.StatusCode.OK)

    def test_list(self):
        for reflector in self.reflectors():
            reply = reflector.ask(host="a host", list_services="")
            self.assertEqual({s.name for s in
                              reply.list_services_response.service}, SERVICES)
            self.assertEqual(reply.valid_host, "a host")

    def test_symbols(self):
        """Services, methods, messages and enums lead to their file."""
        for reflector in self.reflectors():
            for symbol, name in (
                    ("kama.v1.KamaCacheService", "kama/v1/kama.proto"),
                    ("kama.v1.KamaCacheService.Get", "kama/v1/kama.proto"),
                    ("kama.v1.SetRequest", "kama/v1/kama.proto"),
                    ("kama.v1.SetRequest.value", "kama/v1/kama.proto"),
                    ("kama.v2.Cache.Scan", "kama/v2/cache.proto"),
                    ("kama.v2.Status", "kama/v2/cache.proto"),
                    ("grpc.health.v1.HealthCheckResponse.ServingStatus",
                     "grpc/health/v1/health.proto"),
                    ("grpc.reflection.v1.ServerReflection",
                     "grpc/reflection/v1/reflection.proto")):
                file, = reflector.files(file_containing_symbol=symbol)
                self.assertEqual(file.name, name, symbol)
                again, = reflector.files(file_by_filename=name)
                self.assertEqual(again, file)

    def test_not_found(self):
        for reflector in self.reflectors():
            for symbol in ("", "kama", "kama.v1", "kama.v1.", "kama.v1.Nothing",
                           "kama.v1.KamaCacheService.Nothing",
                           "kama.v1.KamaCacheService.Get.x", "x" * 5000):
                reply = reflector.ask(file_containing_symbol=symbol)
                self.assertEqual(reply.error_response.error_code, 5, symbol)
            reply = reflector.ask(file_by_filename="kama/v3/none.proto")
            self.assertEqual(reply.error_response.error_code, 5)
            reply = reflector.ask(
                file_containing_extension={"containing_type": "kama.v1.X"})
            self.assertEqual(reply.error_response.error_code, 5)
            reply = reflector.ask(all_extension_numbers_of_type="kama.v1.X")
            self.assertEqual(reply.error_response.error_code, 12)
            self.assertEqual(reflector.ask(host="h").error_response.error_code,
                             3)

    def test_generic_client(self):
        """From the symbol of a method to a call of it, as ghz does."""
        reflector = Reflector(self.channel, "v1")
        file, = reflector.files(
            file_containing_symbol="kama.v2.Cache.Ping")
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        method = pool.FindServiceByName("kama.v2.Cache").methods_by_name["Ping"]
        factory = message_factory.MessageFactory(pool)
        request = factory.GetPrototype(method.input_type)(payload=b"hi")
        reply = factory.GetPrototype(method.output_type)
        # The stream is still open, as grpcurl keeps it, while others work.
        answer = kamatest.unary(self.channel, "/kama.v2.Cache/Ping", request,
                                reply)
        self.assertEqual(answer.payload, b"hi")
        reflector.call.cancel()

    def test_malformed(self):
        call = self.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        with self.assertRaises(grpc.RpcError) as caught:
            list(call(iter([b"\x0a\xff"])))
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.INVALID_ARGUMENT)

    def test_open_stream_does_not_hold_up_the_stop(self):
        with Daemon("--drain-timeout", "60s") as node, \
                kamatest.connected_channel(node.address) as channel:
            reflector = Reflector(channel, "v1")
            reflector.ask(list_services="")
            begin = time.monotonic()
            node.stop()
            self.assertLess(time.monotonic() - begin, 30)
            with self.assertRaises(grpc.RpcError) as caught:
                next(reflector.call)
            self.assertEqual(caught.exception.code(),
                             grpc.StatusCode.UNAVAILABLE)


if __name__ == "__main__":
    kamatest.main()
