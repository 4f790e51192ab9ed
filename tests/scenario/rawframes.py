# SPDX-License-Identifier: MIT
"""HTTP/2 written by hand for scenario tests: frames as they are, fields by
python's hpack, and what the server says to them."""
import socket
import struct
import time

import hpack

import kamatest

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY,
 WINDOW_UPDATE, CONTINUATION) = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
PROTOCOL_ERROR = 1
FLOW_CONTROL_ERROR = 3
REFUSED_STREAM = 7
CALM = 11


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + \
        struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value, first=0):
    """A field that leaves the table alone (first 0x40: that enters it)."""
    def text(data):
        if len(data) < 127:
            return bytes([len(data)]) + data
        rest = len(data) - 127
        return bytes([127, rest & 127 | 128, rest >> 7]) + data
    return bytes([first]) + text(name) + text(value)


def plain_block(path=b"/x"):
    """A request's header block that does not touch the table."""
    return b"".join(literal(name, value) for name, value in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path),
        (b":authority", b"here"), (b"content-type", b"application/grpc")))


def rst(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def grpc_frame(message, flag=0):
    return struct.pack(">BI", flag, len(message)) + message


class RawConnection:
    """A connection that has sent preface and SETTINGS (unless told not to)."""

    def __init__(self, node, start=True, settings=b""):
        self.sock = socket.create_connection(("127.0.0.1", node.port), 10)
        self.sock.settimeout(20 * kamatest.SLOWDOWN)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.buffer = b""
        self.closed = False
        if start:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data):
        """Sends, as far as the other side still listens."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = True

    def block(self, path, extra=(), method="POST",
              content_type="application/grpc"):
        """A header block of a gRPC request."""
        fields = [(":method", method), (":scheme", "http"), (":path", path),
                  (":authority", "here"), ("te", "trailers")]
        if content_type is not None:
            fields.append(("content-type", content_type))
        return self.encoder.encode(fields + list(extra), huffman=False)

    def headers(self, stream, path=kamatest.V1 + "Get", flags=0, **more):
        return frame(HEADERS, END_HEADERS | flags, stream,
                     self.block(path, **more))

    def request(self, stream, body=b"", path=kamatest.V1 + "Get", **more):
        """A whole request."""
        return self.headers(stream, path, **more) + \
            frame(DATA, END_STREAM, stream, body)

    def read_frame(self):
        """(kind, flags, stream, payload), None at the end."""
        while len(self.buffer) < 9 or \
                len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                self.closed = True
                return None
            self.buffer += more
        length = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        payload = self.buffer[9:9 + length]
        self.buffer = self.buffer[9 + length:]
        return kind, flags, stream & 0x7fffffff, payload

    def answer(self, stream):
        """The answer to a request: (fields, body), fields of headers and
        trailers together; the reset's code instead of fields."""
        fields, body = {}, b""
        while True:
            got = self.read_frame()
            if got is None:
                raise AssertionError("closed before the answer")
            kind, flags, number, payload = got
            if kind == HEADERS:
                decoded = dict(self.decoder.decode(payload))
                fields.update(decoded if number == stream else {})
            if number != stream:
                continue
            if kind == RST_STREAM:
                return int.from_bytes(payload, "big"), body
            if kind == DATA:
                body += payload
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return fields, body

    def goaway(self):
        """The error code of its GOAWAY, read to the end of the connection;
        None when it closed without one. Its text is in .goaway_text."""
        code = None
        while True:
            got = self.read_frame()
            if got is None:
                return code
            if got[0] == GOAWAY and code is None:
                code = int.from_bytes(got[3][4:8], "big")
                self.goaway_text = got[3][8:].decode()

    def wait_closed(self, seconds):
        """Drains until the other side closes; how long it took."""
        start = time.monotonic()
        self.sock.settimeout(seconds * kamatest.SLOWDOWN)
        while self.read_frame() is not None:
            pass
        return time.monotonic() - start

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
