"""Cards of the kernel's DRM, and their files in sysfs."""

import errno
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ABSENT = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,  # amdgpu while it resets or sleeps
        errno.EINVAL,  # a sensor that this chip lacks, as EOPNOTSUPP
        errno.EOPNOTSUPP,
        errno.ENODATA,
        errno.EBUSY,
    }
)
"""Errors that mean "not here, or not now": the value is absent, and nothing is wrong."""
LONGEST = 4096


class Folder:
    """Reads files of one folder. `failures` takes what went wrong with single ones."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failures: list[str] = []

    def text(self, name: str) -> str | None:
        """Return the text of a file without blanks around it; None where there is none."""
        try:
            file = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.read(file, LONGEST).decode(errors="replace").strip() or None
            finally:
                os.close(file)
        except OSError as error:
            if error.errno not in ABSENT:
                self.failures.append(f"{name}: {error.strerror}")
            return None

    def number(self, *names: str, over: float = 1) -> float | None:
        """Return the number in the first of the files that has one, divided by `over`."""
        for name in names:
            text = self.text(name)
            if text is not None:
                try:
                    return int(text) / over
                except ValueError:
                    self.failures.append(f"{name}: {text[:40]!r} is no number")
        return None


VENDORS = {"1002": "amd", "8086": "intel", "10de": "nvidia"}
"""By PCI vendor; NVIDIA's are here when nouveau drives them."""
NAMES = "usr/share/libdrm/amdgpu.ids"
"""Names of AMD's GPUs by PCI device and revision, a part of libdrm."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU. `slot` is its PCI address, which fdinfo names it by, or the name of its node where it is on no PCI."""

    gpu: str
    uuid: str
    vendor: str
    name: str
    driver: str
    slot: str
    device: str
    """The device's folder in sysfs."""


def find_cards(root: Path) -> list[Card]:
    """Return all GPUs in the order of their slots, without those of NVIDIA's own driver, of which NVML reports more.

    What has no render node cannot compute: the graphics of a server's management controller is no GPU.
    """
    found = []
    for node in (root / "sys/class/drm").glob("renderD*"):
        device = Folder(f"{node}/device")
        told = dict(re.findall(r"^(\w+)=(.+)$", device.text("uevent") or "", re.MULTILINE))
        if told.get("DRIVER") != "nvidia":
            found.append((told.get("PCI_SLOT_NAME", node.name), told, device))
    found.sort(key=lambda entry: entry[0])
    counts: Counter[str] = Counter()
    cards = []
    for slot, told, device in found:
        vendor, _, chip = told.get("PCI_ID", "").partition(":")
        driver = told.get("DRIVER", "")
        brand = VENDORS.get(vendor.lower(), "other")
        number = device.text("unique_id")
        cards.append(
            Card(
                gpu=str(counts[brand]),
                # As ROCR_VISIBLE_DEVICES takes it. APUs and older cards have none.
                uuid=f"GPU-{number}" if number else slot,
                vendor=brand,
                name=device.text("product_name") or _marketing_name(root, chip, device) or f"{driver} {vendor}:{chip}",
                driver=f"{driver} {_version(root, driver)}".strip(),
                slot=slot,
                device=device.path,
            )
        )
        counts[brand] += 1
    return cards


def _version(root: Path, driver: str) -> str:
    """Return the module's own version where it is not a part of the kernel, else the kernel's."""
    own = Folder(f"{root}/sys/module/{driver}").text("version")
    return own or Folder(f"{root}/proc/sys/kernel").text("osrelease") or ""


def _marketing_name(root: Path, chip: str, device: Folder) -> str | None:
    revision = (device.text("revision") or "").removeprefix("0x")
    try:
        lines = (root / NAMES).read_text(errors="replace").splitlines()
    except OSError:
        return None
    # 744C,	C8,	AMD Radeon RX 7900 XTX
    rows = (line.split(",", 2) for line in lines if line.count(",") > 1 and not line.startswith("#"))
    wanted = chip.lower(), revision.lower()
    return next((name.strip() for number, step, name in rows if (number.lower(), step.strip().lower()) == wanted), None)
