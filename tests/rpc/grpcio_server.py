# SPDX-License-Identifier: MIT
"""A gRPC server on grpcio for the tests of the C channel: grpcio_server.py
PORT. Prints the port (0: there is no grpc module) and serves until its
standard input ends; then it drains for at most 5 s. A line "COUNTER N" on the
standard input is answered when that counter has come to N.

Messages are bytes. Methods of /test.S/: Echo, Fail (CODE:TEXT), Kama
(CODE:NAME), Meta, Big (N), Hang, Cancelled (N), Slow (unary); Count (N), Zero,
Two (server streams, Zero and Two are called as if they were unary); Chat
(bidi).
"""
import sys
import threading
import time
from concurrent import futures

try:
    import grpc
except ImportError:
    print(0, flush=True)
    sys.exit(0)

CODES = {code.value[0]: code for code in grpc.StatusCode}
LOCK = threading.Condition()
COUNTS = {"hanging": 0, "cancelled": 0}
ENDING = threading.Event()


def count(name):
    """Counts, and wakes those who wait for it."""
    with LOCK:
        COUNTS[name] += 1
        LOCK.notify_all()


def wait_for(name, least):
    """Waits until a counter is large enough; returns it."""
    with LOCK:
        LOCK.wait_for(lambda: COUNTS[name] >= least, 20)
        return COUNTS[name]


def echo(request, context):
    del context
    return request


def fail(request, context):
    code, text = request.decode().split(":", 1)
    context.abort(CODES[int(code)], text)


def kama(request, context):
    code, name = request.decode().split(":", 1)
    context.set_trailing_metadata((("kama-status", name),))
    context.abort(CODES[int(code)], "as kama says")


def meta(request, context):
    del request
    left = context.time_remaining()
    lines = ["%s=%s" % (k, v) for k, v in context.invocation_metadata()]
    lines.append("left=none" if left is None or left > 1e6
                 else "left=%d" % round(left))
    return "\n".join(lines).encode()


def big(request, context):
    del context
    return b"x" * int(request)


def hang(request, context):
    """Waits until the call is over for the client."""
    del request
    done = threading.Event()
    context.add_callback(done.set)
    count("hanging")
    done.wait(20)
    count("cancelled")
    return b""


def cancelled(request, context):
    del context
    return str(wait_for("cancelled", int(request))).encode()


def slow(request, context):
    """Answers once the server has been told to end."""
    del context
    count("hanging")
    ENDING.wait(20)
    time.sleep(0.1)  # GOAWAY goes out first
    return request


def stream(request, context):
    del context
    for i in range(int(request)):
        yield str(i).encode()


def zero(request, context):
    del context
    yield from request[:0]


def two(request, context):
    del context
    yield request
    yield request


def chat(requests, context):
    del context
    for request in requests:
        yield request
        if request == b"bye":
            return


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Kama": grpc.unary_unary_rpc_method_handler(kama),
    "Meta": grpc.unary_unary_rpc_method_handler(meta),
    "Big": grpc.unary_unary_rpc_method_handler(big),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
    "Cancelled": grpc.unary_unary_rpc_method_handler(cancelled),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Count": grpc.unary_stream_rpc_method_handler(stream),
    "Zero": grpc.unary_stream_rpc_method_handler(zero),
    "Two": grpc.unary_stream_rpc_method_handler(two),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


def main():
    server = grpc.server(futures.ThreadPoolExecutor(16), options=(
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1)))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("test.S", HANDLERS),))
    port = server.add_insecure_port("127.0.0.1:" + sys.argv[1])
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        name, least = line.split()
        print(wait_for(name, int(least)), flush=True)
    ended = server.stop(5)
    ENDING.set()
    ended.wait()


main()
