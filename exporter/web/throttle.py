"""Guessing made slow: a peer that was wrong a few times has to wait, longer each time."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

FREE = 3
"""Wrong tries before the first pause: people mistype."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
FORGET_AFTER = 900.0
"""Seconds without a wrong try after which a peer begins anew."""
MAX_PEERS = 4096


class _Record(NamedTuple):
    failures: int
    last: float
    until: float


class Throttle:
    """Counts wrong tries by peer. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def pause(self, peer: str | None, now: float) -> float:
        """Seconds that this peer has to wait before its next try is looked at; 0 when it need not."""
        record = self._records.get(network_of(peer))
        return max(0.0, record.until - now) if record else 0.0

    def failed(self, peer: str | None, now: float) -> None:
        """Count a wrong try of this peer."""
        network = network_of(peer)
        before = self._records.pop(network, None)
        failures = 1 if before is None or now - before.last > FORGET_AFTER else before.failures + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - FREE)) if failures >= FREE else 0.0
        self._records[network] = _Record(failures, now, now + pause)
        if len(self._records) > MAX_PEERS:
            self._records.popitem(last=False)

    def succeeded(self, peer: str | None) -> None:
        """Let this peer begin anew: it was right."""
        self._records.pop(network_of(peer), None)


def network_of(peer: str | None) -> str:
    """Who counts as one: an IPv4 address, or the /64 network of an IPv6 address, which one host has all of."""
    try:
        address = ip_address(peer or "")
    except ValueError:
        return peer or ""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or int(address) >> 64)
    return str(address)
