# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves by an interface while a command runs: capture.py INTERFACE SECONDS COMMAND...

Prints JSON: each destination of IPv4 with its protocol and port, and the status of the command.
"""

import json
import select
import socket
import struct
import subprocess
import sys
import time

_EVERYTHING, _IPV4 = 3, 0x0800
_OUTGOING = 4  # PACKET_OUTGOING (packet(7))


def seen_in(frame):
    header = frame[14:]
    length = (header[0] & 15) * 4
    protocol, destination = header[9], socket.inet_ntoa(header[16:20])
    has_ports = protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
    port = struct.unpack("!H", header[length + 2 : length + 4])[0] if has_ports else 0
    return f"{destination} {protocol} {port}"


def main(interface, seconds, *argv):
    seen = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)) as tap:
        tap.bind((interface, 0))
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + float(seconds)
        while time.monotonic() < ends:
            if select.select([tap], [], [], 0.1)[0]:
                frame, about = tap.recvfrom(65536)
                if about[2] == _OUTGOING and about[1] == _IPV4:
                    seen.add(seen_in(frame))
    json.dump({"seen": sorted(seen), "status": process.wait()}, sys.stdout)


main(*sys.argv[1:])
