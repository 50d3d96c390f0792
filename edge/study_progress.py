"""How far each study is on its way: its summary, its previews and the study itself, as one, for `kit status`.

Owns nothing durable. A study is known by its running number in the catalog; its other objects by ids that follow from
its own (`node/sealer.py`). May call `node` and `edge.importing` for bounds.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from edge.importing import FILES_MAX
from node.progress import ObjectProgress
from node.sealer import preview_id_of, summary_id_of
from node.spool import Spool, SpoolObject, State
from wire.objects import KINDS
from wire.record import STAGES_MAX

STUDIES_MAX: Final = 64
"""Studies whose objects are remembered; looking for the previews of one costs a millisecond."""


class StudyProgress:
    """See the module's text. One for each spool."""

    def __init__(self) -> None:
        self._ids: dict[bytes, list[bytes]] = {}

    def describe(
        self,
        spool: Spool,
        listed: Iterable[Mapping[str, Any]],
        sending: Iterable[ObjectProgress],
        rate_bps: float,
        way_of: Mapping[bytes, str],
    ) -> list[dict[str, Any]]:
        """Return the listed studies, each with what it consists of and how far that is.

        `sending` in the order in which it goes; `way_of`: the way that an object takes or waits for.
        """
        moving = {one.object_id: one for one in sending}
        return [self._study(spool, dict(one), moving, rate_bps, way_of) for one in listed]

    def _study(
        self,
        spool: Spool,
        study: dict[str, Any],
        moving: Mapping[str, ObjectProgress],
        rate_bps: float,
        way_of: Mapping[bytes, str],
    ) -> dict[str, Any]:
        objects = self._objects(spool, bytes.fromhex(study["study"]))
        parts = [_part(one, moving.get(one.object_id.hex())) for one in objects]
        unfinished = [one for one in objects if one.state is State.WAITING]
        times = [moving[one.object_id.hex()].eta_s if one.object_id.hex() in moving else None for one in unfinished]
        known = [seconds for seconds in times if seconds is not None]
        ways = dict.fromkeys(way_of.get(one.object_id, "") for one in unfinished)
        return study | {
            "parts": parts,
            "total": sum(part["size"] for part in parts),
            "done": sum(part["done"] for part in parts),
            "rate_bps": rate_bps if any(part["state"] == "sending" for part in parts) else 0.0,
            "eta_s": max(known) if known and len(known) == len(times) else None,
            "way": ", ".join(filter(None, ways)),
        }

    def _objects(self, spool: Spool, study_id: bytes) -> list[SpoolObject]:
        """Return what the spool has of a study, the first look first."""
        ids = self._ids.get(study_id)
        if ids is None:
            if spool.get(study_id) is None:
                return []  # it is still being captured
            ids = [summary_id_of(study_id), *_preview_ids(spool, study_id), study_id]
            self._ids[study_id] = ids
            if len(self._ids) > STUDIES_MAX:
                del self._ids[next(iter(self._ids))]
        return [one for one in map(spool.get, ids) if one is not None]


def _preview_ids(spool: Spool, study_id: bytes) -> list[bytes]:
    named = (
        preview_id_of(study_id, number, stage) for stage in range(1, STAGES_MAX + 1) for number in range(FILES_MAX)
    )
    return [preview_id for preview_id in named if spool.get(preview_id) is not None]


def _part(held: SpoolObject, moving: ObjectProgress | None) -> dict[str, Any]:
    is_there = held.state in {State.CUSTODY, State.RECEIVED}
    done = held.size if is_there else moving.done if moving is not None and held.state is State.WAITING else 0
    state = moving.state if moving is not None and held.state is State.WAITING else held.state.value
    return {"kind": KINDS[held.kind], "size": held.size, "done": min(done, held.size), "state": state}
