"""What happens on a line while a recording is replayed, and what must then hold. Each task is at most sixteen runs.

whole     as it was recorded, as fast as the kit takes it: exactly the expected study
paced     every byte by itself, at the speed of the line: exactly the expected study
divided   each piece in two at a byte, for every byte: exactly the expected study
unplugged the line vanishes behind a byte and comes back 5 s later (or, for devices that are waited for, 200 s), for
          every byte: what the kit keeps is what the driver alone makes of the same bytes, no byte is in two
          studies, and no value is there that the device did not send, or more often than it did
repeated  the same, and the device, as those do that wait for an answer, says all of it again: the expected studies
          are there, whole, and beside them only what is marked as partial
"""

import logging
import re
import time
from collections import Counter
from functools import cache
from itertools import pairwise

from edge import registry
from edge.bench import Bench
from edge.recording import AFTER_S, study_outcome
from tests.replay.corpus import case
from tests.replay.line import RETURN, SAY, VANISH, Run, play

RUNS_MAX = 16
GONE_S = 5.0
AWAY_S = 200.0
"""Longer than any driver waits for its device."""
PHASES = 32
"""Of a long recording this many runs are made; each unplugs the line behind every 32nd byte, from another one on."""
PART_SIZE_MAX = 64
"""A piece that is longer is cut behind every 64th byte, in so many runs from so many bytes on."""
STEP = 64
"""A message that broke off breaks off again so many bytes later, in so many runs."""
REST_S = 5.0
QUESTION_S_MAX = 60.0
ENQ = b"\x05"
REPEATERS = {"astm", "hl7", "abacus", "kx21", "bc2800"}
FAULTS = re.compile(r"cut|lost|damaged|bad|frame-numbers|query|no-end|other-form|binary|asleep|plain|handshake")
"""In such a recording something has been said twice already, or was left in the middle."""
MEASURED = {"nonin", "contec", "gmc", "radex", "radpro", "andscale", "mtsics", "lines", "printer"}
"""A study that was cut short says another median, lowest or last value than the whole one, rightly; a line, less."""
AT = re.compile(r"\bat=[\d.]+")
COMPARED = ("form", "model", "qc", "headline", "raw_bytes", "results")


def tasks(name):
    """Return (kind, cuts) of all that is done with one recording: one batch each."""
    one = case(name)
    yield "whole", [0]
    yield "paced", [0]
    yield from (("divided", cuts) for cuts in batches(range(1, 1 + min(max(1, one.longest - 1), PART_SIZE_MAX))))
    phases = min(PHASES, one.size)
    yield from (("unplugged", cuts) for cuts in batches(range(phases)))
    if repeats(one):
        longest = max(sum(map(len, message)) for message in messages(one))
        yield from (("repeated", cuts) for cuts in batches(range(1, 1 + min(longest, STEP))))


def repeats(one):
    return one.driver in REPEATERS and not FAULTS.search(one.name)


def batches(cuts):
    return [list(cuts[at : at + RUNS_MAX]) for at in range(0, len(cuts), RUNS_MAX)]


def perform(name, kind, cuts):
    """Play one task and check it; return what was wrong, each with its cut."""
    one = case(name)
    make, check = KINDS[kind]
    runs = [Run(one.driver, one.options, make(one, cut), f"{name} {kind} {cut}") for cut in cuts]
    came = play(runs)
    return [
        f"{run.label}: {wrong}"
        for run, cut, result in zip(runs, cuts, came, strict=True)
        for wrong in check(one, run, result)
    ]


def work(task):
    """Perform one task in a process of its own; return it with what was wrong, and its seconds."""
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    try:
        wrong = perform(*task)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
        wrong = [f"{task[0]} {task[1]} {task[2][0]}..{task[2][-1]}: {type(error).__name__}: {error}"]
    return task, wrong, time.monotonic() - began


# What happens


def paced(one, cut):
    """Each byte takes ten bits at the line's speed. What answers waits for its question, and then as long as it did.

    Whoever answers does so to the driver alone here; the kit, which asks at the same times, is then told the same.
    """
    byte_s = 10 / registry.find(one.driver).FACTS.lines[0].baud
    bench, events, wanted = Bench(one.driver, one.options), [], 0
    now, before = 0.0, 0.0
    for direction, at, data in one.recording.pieces:
        now, before = now + at - before, at
        if direction == ">":
            wanted += len(data)
            now = asked_at(bench, wanted, now)
            continue
        for byte in data:
            bench.wait(max(0.0, now - bench.now))
            bench.feed(bytes([byte]))
            events.append((now, SAY, bytes([byte])))
            now += byte_s
    return events


def asked_at(bench, wanted, now):
    """Return when the driver has said so many bytes, `now` at the earliest."""
    while len(bench.sent) < wanted and (due := bench.driver.deadline()) is not None and due <= now + QUESTION_S_MAX:
        bench.wait(max(0.0, due - bench.now))
    return max(now, bench.now)


def whole(one, cut):
    return [(at, SAY, data) for at, data in one.heard]


def divided(one, cut):
    """Each piece is cut at a byte, and one longer than PART_SIZE_MAX behind every so many bytes from there on."""
    events = []
    for at, data in one.heard:
        inner = min(max(1, len(data) - 1), PART_SIZE_MAX)
        here = [*range(1 + (cut - 1) % inner, len(data), PART_SIZE_MAX)]
        events += [(at, SAY, data[begin:end]) for begin, end in pairwise([0, *here, len(data)])]
    return events


def unplugged(one, cut):
    """Behind each byte of this phase; who waits for a device's return waits in vain every second time."""
    events, said, late_s = [], 0, 0.0
    gone_s = AWAY_S if one.driver in REPEATERS and cut % 2 else GONE_S
    phases = min(PHASES, one.size)
    for at, data in one.heard:
        begin = 0
        for number in range(len(data)):
            said += 1
            if (said - 1) % phases == cut:
                events += [(at + late_s, SAY, data[begin : number + 1]), (at + late_s, VANISH, b"")]
                begin, late_s = number + 1, late_s + gone_s
                events.append((at + late_s, RETURN, b""))
        if data[begin:]:
            events.append((at + late_s, SAY, data[begin:]))
    return events


def repeated(one, cut):
    """A message breaks off behind a byte, begins anew and breaks off STEP bytes later, until it gets through."""
    events, now = [], 0.0
    for message in messages(one):
        whole = b"".join(message)
        last = len(whole) - (one.driver == "astm")  # behind EOT everything has been acknowledged: nobody repeats it
        for end in range(cut, last + 1, STEP):
            events += [(now, SAY, part) for part in upto(message, end)]
            events += [(now, VANISH, b""), (now + GONE_S, RETURN, b"")]
            now += GONE_S + 1.0
        events += [(now, SAY, part) for part in message]
        now += REST_S
    return events


def messages(one):
    """Return the pieces of each message: what a device says again when it was not acknowledged to the end."""
    found = []
    for _, data in one.heard:
        if one.driver != "astm" or data == ENQ or not found:
            found.append([])
        found[-1].append(data)
    return found


def upto(message, end):
    for data in message:
        if end > 0:
            yield data[:end]
        end -= len(data)


# What must hold


def as_expected(one, run, came):
    yield from studies_as_expected(one, came)
    yield from same_scans(came, one.expected["scans"])
    if came.answered.hex() != one.expected["answered"]:
        yield f"answered {came.answered.hex()}; expected {one.expected['answered']}"


def as_expected_in_time(one, run, came):
    """The studies are the expected ones. Places are told every few seconds, and some questions are asked again after
    some seconds: of these there are as many as the driver alone gives at this pace.
    """
    bench = alone(run)
    yield from studies_as_expected(one, came)
    yield from same_scans(came, map(str, bench.scans))
    if not came.answered.startswith(bench.sent):  # it goes on to ask as long as another port has something to say
        yield f"answered {came.answered.hex()}; the driver alone {bench.sent.hex()}"


def as_the_driver_says(one, run, came):
    bench = alone(run)
    wanted = [study_outcome(study) for study in bench.studies]
    if [shown(study) for study in came.studies] != [shown(study) for study in wanted]:
        yield f"not what the driver alone makes of it: {differing(came, wanted)}"
    if came.faults != [f"{fault.code}: {fault.text}" for fault in bench.faults]:
        yield f"faults {came.faults}"
    yield from same_scans(came, map(str, bench.scans))
    yield from not_doubled(run, came)
    if one.driver not in MEASURED:
        yield from not_invented(one, came)


def alone(run):
    """Return what the driver makes of these events without kit, disk and line."""
    bench = Bench(run.driver, run.options)
    for at, what, data in run.events:
        bench.wait(max(0.0, at - bench.now))
        if what == SAY:
            bench.feed(data)
            bench.wait(0.0)
        elif what == VANISH:
            bench.lose()
    bench.wait(AFTER_S)
    return bench


def studies_as_expected(one, came):
    wanted = one.expected["studies"]
    if [shown(study) for study in came.studies] != [shown(study) for study in wanted]:
        yield f"{len(came.studies)} studies, and not those {len(wanted)} that were expected: {differing(came, wanted)}"
    if came.faults != one.expected["faults"]:
        yield f"faults {came.faults}; expected {one.expected['faults']}"


def same_scans(came, wanted):
    found, wanted = [AT.sub("", scan) for scan in came.scans], [AT.sub("", scan) for scan in wanted]
    if found != wanted:
        yield f"labels and places {found}; expected {wanted}"


def not_doubled(run, came):
    """The raw bytes of the studies stand in the bytes of the line, one behind the other."""
    line, at = b"".join(data for _, what, data in run.events if what == SAY), 0
    for study in came.studies:
        for byte in study["raw"]:
            at = line.find(byte, at) + 1
            if not at:
                yield f"{study['raw_bytes']} raw bytes are not the device's, or are there twice"
                return


def not_invented(one, came):
    wanted, found = values(one.expected["studies"]), values(came.studies)
    if found - wanted:
        yield f"values that the device did not send, or not so often: {dict(found - wanted)}"


def whole_again(one, run, came):
    """Each expected study is there once, whole; what is beside them is marked as partial and holds nothing else."""
    wanted = [facts(study) for study in one.expected["studies"]]
    found = [facts(study) for study in came.studies if not study["partial"]]
    if found != wanted:
        yield f"{len(found)} whole studies; expected {len(wanted)}: {found}"
    known = set(values(one.expected["studies"]))
    beside = values(study for study in came.studies if study["partial"])
    if set(beside) - known:
        yield f"values that the device did not send: {set(beside) - known}"


KINDS = {
    "whole": (whole, as_expected),
    "paced": (paced, as_expected_in_time),
    "divided": (divided, as_expected),
    "unplugged": (unplugged, as_the_driver_says),
    "repeated": (repeated, whole_again),
}


def shown(study):
    """Return what is compared of a study. Where a mark says why it is partial, the kit keeps the mark."""
    pictures = study.get("pictures", [])
    waves = [] if study.get("pictures") else study["waveforms"]  # those within a file are not the bench's to show
    return [study[key] for key in COMPARED] + [waves, [list(one) for one in pictures], bool(study["partial"])]


def facts(study):
    """Return what a doctor reads of a study, whatever bytes it was read from."""
    return [study["form"], study["qc"], values([study])]


def values(studies):
    return Counter(
        (one["code"], one.get("value", ""), one.get("unit", ""))
        for study in studies
        for result in study["results"]
        for one in result.get("observations", ())
    )


def differing(came, wanted):
    for found, want in zip(came.studies, wanted, strict=False):
        for key in (*COMPARED, "partial"):
            if (bool(found[key]), bool(want[key])) != (found[key], want[key]) and found[key] != want[key]:
                return f"{key}: {str(found[key])[:300]}; expected {str(want[key])[:300]}"
    return "the number of studies"


@cache
def count(name):
    """Return how many runs one recording asks for."""
    return sum(len(cuts) for _, cuts in tasks(name))
