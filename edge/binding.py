"""Whose study is it, when a label, the worklist and the device each have a word? Pure; docs/devices.md, "Binding".

Owns nothing. Called by `edge.capture` with what was scanned before the study began, the ids that the device gave, and
the kit's worklist; by `edge.importing` with what the files say in the device's place. Nothing is guessed: where they
disagree the study keeps all of them, the label's word stands, and it is flagged for the centre. Without a worklist in
force the label and the device are all there is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wire.worklist import Order


class Orders(Protocol):
    """What capture needs of the kit's worklist (`edge.worklist`)."""

    @property
    def is_in_force(self) -> bool:
        """There is a list that has not expired."""
        ...

    def about(self, ids: Sequence[str]) -> list[Order]:
        """Return the lines that name one of these patients or samples; all lines when none is given."""
        ...


class NoOrders:
    """The worklist of a kit that has none."""

    is_in_force = False

    def about(self, ids: Sequence[str]) -> list[Order]:
        """Return nothing."""
        return []


class HandedOrders:
    """The worklist as it was when it was handed to another process."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self._orders = list(dict.fromkeys(orders))
        self._by_id: dict[str, list[Order]] = {}
        for one in self._orders:
            for text in {one.patient, one.sample} - {""}:
                self._by_id.setdefault(text, []).append(one)

    @property
    def is_in_force(self) -> bool:
        """There was a list."""
        return bool(self._orders)

    def about(self, ids: Sequence[str]) -> list[Order]:
        """Return the lines that name one of these patients or samples; all lines when none is given."""
        if not ids:
            return list(self._orders)
        return list(dict.fromkeys(one for text in ids if text for one in self._by_id.get(text, ())))


@dataclass(frozen=True, slots=True)
class Bound:
    """The patient, and how sure that is. `source`: of the id, as PATIENT has it; `remark`: for the study's reader."""

    patient: str = ""
    source: str = ""
    conflict: bool = False
    unlisted: bool = False
    """A list is in force, and what names the patient is not on it."""
    remark: str = ""


def owner_of(id: str, orders: Orders) -> str:  # noqa: A002  it is the field's word
    """Return the patient whom the worklist means by an id, which may be a patient's or a sample's; "" for nobody."""
    owners = {one.patient for one in orders.about((id,))} if id else set()
    return owners.pop() if len(owners) == 1 else ""


def whose(label: str, ids: Sequence[str], orders: Orders) -> Bound:
    """Return whose study it is that began under `label` ("": none) and in which the device says `ids`."""
    of_label = owner_of(label, orders)
    owners = list(dict.fromkeys(owner for one in ids if (owner := owner_of(one, orders))))
    first = ids[0] if ids else ""
    is_first_strange = bool(first and orders.is_in_force and not owner_of(first, orders))
    if label:
        mine = {label, of_label} - {""}
        strange = bool(set(owners) - {of_label or label}) or (is_first_strange and not mine & set(ids))
        conflict = bool(ids) and (strange or not mine & {*ids, *owners})
        patient, source = of_label or label, "worklist" if of_label not in {"", label} else "barcode"
    else:
        conflict = len(owners) > 1 or bool(owners and is_first_strange)
        patient = owners[0] if owners else first
        source = "worklist" if owners and patient not in ids else "device"
    unlisted = orders.is_in_force and bool(label or ids) and not (of_label if label else owners)
    return Bound(patient, source if patient else "", conflict, unlisted, _remark(label, of_label, patient, unlisted))


def whose_files(label: str, ids: Iterable[str], orders: Orders) -> Bound:
    """Return whose study it is that was made of files which say `ids`.

    `whose` takes the ids of a device for several names of one tube; of files each names a patient by itself. So files
    that name several persons make it nobody's without a label, and a conflict.
    """
    said = list(dict.fromkeys(ids))
    owners = [owner_of(one, orders) for one in said]
    if len({owner or one for owner, one in zip(owners, said, strict=True)}) <= 1:
        return whose(label, said, orders)
    if label:
        return replace(whose(label, said, orders), conflict=True)
    return Bound(conflict=True, unlisted=orders.is_in_force and not any(owners))


def _remark(label: str, of_label: str, patient: str, unlisted: bool) -> str:
    if unlisted:
        return f"{label or patient} is not on the worklist"
    if of_label not in {"", label}:
        return f"{label} is the number of a sample; by the worklist it is patient {of_label}'s"
    return ""
