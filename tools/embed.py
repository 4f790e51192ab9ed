#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes a file as a C header with one constant byte array.

    embed.py --name NAME INPUT OUTPUT

The header declares `static const unsigned char NAME[]`; its length is
`sizeof NAME`. Include it in one .c file.
"""
import argparse


def emit(name, data):
    yield "/* SPDX-License-Identifier: MIT */\n"
    yield "/* Generated. */\n"
    yield f"static const unsigned char {name}[] = {{\n"
    for start in range(0, len(data), 12):
        row = ", ".join(f"0x{byte:02x}" for byte in data[start:start + 12])
        yield f"    {row},\n"
    yield "};\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("input")
    parser.add_argument("output")
    args = parser.parse_args()
    with open(args.input, "rb") as source:
        data = source.read()
    with open(args.output, "w", encoding="ascii") as target:
        target.writelines(emit(args.name, data))


if __name__ == "__main__":
    main()
