"""The pages, asked for as a browser asks: what they show, whom they refuse, and that every look is written down."""

import csv
import io
import json
import re

import httpx
import pytest
from sqlalchemy import select

from server import tables as t
from server.people import FAILURES_OF_NAME_AND_ADDRESS_MAX, IDLE_MS_MAX
from server.web import guard
from tests.server import samples
from tests.server.conftest import PASSWORD, Browser
from wire import objects
from wire.record import Note, Operator, Patient, Picture, Place
from wire.worklist import Order

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def events(centre, kind):
    with centre.database.read() as connection:
        return connection.execute(select(t.events).where(t.events.c.kind == kind)).all()


@pytest.fixture
def study(van, take):
    """A study with everything, and the path of its page."""
    study_id, raw = samples.rich(van)
    take((study_id, raw))
    return f"/studies/{study_id.hex()}", raw


PAGES = [
    "/",
    "/?rows",
    "/quality",
    "/settings",
    "{study}",
    "{study}/waveforms/0/2",
    "{study}/raw/0/1",
    "{study}/raw/0/1/bytes",
    "{study}/file",
    "{study}/results.csv",
    "{study}/results.json",
    "{study}/pictures/0/0",
    "{study}/receipts/" + "0" * 32,
    "/office",
    "/office/record",
]


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_logged_in_sees_only_the_login(stranger, study, path):
    answer = stranger.get(path.format(study=study[0]))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")
    assert not answer.content


@pytest.mark.parametrize("path", ["/office", "/office/record"])
def test_a_doctor_does_not_see_the_office(doctor, path):
    answer = doctor.get(path)
    assert answer.status_code == 403
    assert "for the role admin" in answer.text


@pytest.mark.parametrize("path", ["/", "/quality", "/settings", "/login", "/nowhere", "/office"])
def test_every_page_keeps_the_browser_strict(doctor, path):
    headers = doctor.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_no_page_has_script_or_style_within_or_from_elsewhere(doctor, admin, study):
    for browser in (doctor, admin):
        for path in (
            "/",
            "/quality",
            "/settings",
            study[0],
            f"{study[0]}/waveforms/0/2",
            f"{study[0]}/raw/0/1",
            "/office",
        ):
            text = browser.get(path).text
            assert not re.search(r"<script(?![^>]*src=\"/static/)", text)
            assert not re.search(
                r"\sstyle=|<style|\son[a-z]+=|javascript:|https?://", text.replace("&lt;script&gt;", "")
            ), path


def test_the_study_page_shows_what_a_doctor_needs(doctor, study):
    text = doctor.get(study[0]).text
    for wanted in (
        "Haemoglobin",
        '<b class="value">6.4</b> <span class="unit">g/dL</span>',
        '64 <span class="unit">g/L</span>',
        "LOINC 718-7",
        "12.0-16.0",
        "critically low",
        "▼▼",
        "4711",
        "check digit holds",
        "Koval^Olena",
        "Patient had climbed the stairs.",
        "the line was cut",
        "was replaced by a correction",
        "Control material, not a patient",
        "van-1",
        "holds: written by the kit",
        "Europe/Kyiv (UTC+02:00)",
        "2026-11-18 13:06:40",
        "<svg",
        "As the device sent it",
    ):
        assert wanted in text, wanted


def test_a_quality_control_result_is_not_among_the_results(doctor, study):
    text = doctor.get(study[0]).text
    patient, _, control = text.partition('id="h-qc"')
    assert "Quality control" not in patient.partition('id="h-results"')[2]
    assert control.count('class="results"') == 1


def test_every_look_is_written_down(doctor, centre, study):
    kinds = {
        "": "study",
        "/waveforms/0/2": "waveform",
        "/raw/0/1": "raw bytes",
        "/raw/0/1/bytes": "raw bytes",
        "/file": "file",
        "/results.csv": "results",
        "/results.json": "results",
    }
    for path, what in kinds.items():
        before = len(events(centre, f"look {what}"))
        assert doctor.get(study[0] + path).status_code == 200
        found = events(centre, f"look {what}")
        assert len(found) == before + 1
        assert (found[-1].actor, found[-1].address, found[-1].study) == ("olena", "192.0.2.1", study[0][-32:])


def test_the_original_file_and_the_raw_bytes_are_identical(doctor, study):
    assert doctor.get(f"{study[0]}/file").content == study[1]
    answer = doctor.get(f"{study[0]}/raw/0/1/bytes")
    assert answer.content == bytes(range(256)) * 20
    assert "attachment" in answer.headers["content-disposition"]


def test_pages_travel_packed_and_sealed_files_as_they_are(doctor, study):
    assert doctor.get(study[0]).headers["content-encoding"] == "gzip"
    for path in ("/file", "/raw/0/1/bytes"):
        assert "content-encoding" not in doctor.get(study[0] + path).headers


def test_the_receipt_can_be_had(doctor, van, take):
    pair = samples.laboratory(van)
    receipt = take(pair).data
    assert doctor.get(f"/studies/{pair[0].hex()}/receipts/{pair[0].hex()}").content == receipt


def test_results_for_other_programs(doctor, study):
    tree = json.loads(doctor.get(f"{study[0]}/results.json").content)
    assert tree["results"][-1]["qc"] is True
    assert [one["replaced"] for one in tree["results"]] == [True, False, False]
    rows = list(csv.DictReader(io.StringIO(doctor.get(f"{study[0]}/results.csv").text)))
    assert [row["value"] for row in rows if row["code"] == "HGB"] == ["6.4"] * 3


@pytest.mark.parametrize("where", ["patient", "note", "device", "place"])
def test_markup_in_what_a_device_or_person_wrote_stays_text(doctor, van, take, where):
    tags = {
        "patient": Patient(EVIL, "barcode"),
        "note": Note(EVIL),
        "place": Place(EVIL, EVIL, EVIL, gps_time=EVIL, port=EVIL, sentences=(EVIL,)),
        "device": samples.Device(driver=EVIL, model=EVIL, serial=EVIL, port=EVIL),
    }
    study_id, raw = van.study(
        [[tags[where].to_tag()], [samples.summary_of(bytes(16), "van-1", EVIL, EVIL, [(EVIL,) * 3]).to_tag()]]
    )
    take((study_id, raw))
    for path in ("/", "/?rows", f"/studies/{study_id.hex()}"):
        text = doctor.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert" in text


def test_the_page_says_where_and_how_wrong_the_kits_clock_was(doctor, van, take):
    place = Place(
        "50.450000000", "30.523333333", "150.7", gps_time="2026-11-22T08:00:00.500+00:00", clock_offset_ms=-1250
    )
    study_id, raw = van.study([[place.to_tag()]])
    take((study_id, raw))
    text = doctor.get(f"/studies/{study_id.hex()}").text
    assert "50.450000000, 30.523333333, 150.7 m" in text
    assert "-1.2 s" in text
    (told,) = json.loads(doctor.get(f"/studies/{study_id.hex()}/results.json").content)["places"]
    assert told["clock_offset_ms"] == -1250


def test_a_study_of_nobody_on_the_list_and_its_operator_are_shown(doctor, van, take):
    study_id = bytes(16)
    tags = [samples.device(), Patient("99", "barcode").to_tag(), Operator("18", checked=True).to_tag()]
    summary = samples.summary_of(study_id, "van-1", "99", unlisted=True, operator="18", patient_conflict=True)
    take(van.study([tags, [summary.to_tag()]], study_id=study_id))
    page = doctor.get(f"/studies/{study_id.hex()}").text
    assert "Not on the list." in page
    assert "Conflict." in page
    assert "18 <span" in page
    listed = doctor.get("/").text
    assert "not on the list" in listed
    tree = json.loads(doctor.get(f"/studies/{study_id.hex()}/results.json").content)
    assert {"not on the list", "conflict"} <= set(tree["flags"])
    assert tree["operators"] == [{"id": "18", "checked": True}]


def test_the_office_shows_the_worklists_and_how_far_they_are(admin, centre, van, clock):
    assert "None yet: <code>feldsher server worklist" in admin.get("/office").text
    centre.worklists.put("van-1", "2026-11-22", [Order("4711", "Koval")], clock.ms + 1000, "olena")
    page = admin.get("/office").text
    assert "2026-11-22" in page
    assert "<td>waiting</td>" in page
    assert "Koval" not in page


def test_a_formula_in_a_result_does_not_run_in_a_spreadsheet(doctor, van, take):
    one = samples.Observation(code='=HYPERLINK("http://x")', value="-3.2", unit="@x")
    study_id, raw = van.study([[samples.Result(observations=(one,)).to_tag()]])
    take((study_id, raw))
    (row,) = csv.DictReader(io.StringIO(doctor.get(f"/studies/{study_id.hex()}/results.csv").text))
    assert (row["code"][:2], row["value"], row["unit"]) == ("'=", "-3.2", "'@x")


@pytest.mark.parametrize(
    "path",
    [
        "/studies/",
        "/studies/x",
        "/studies/" + "0" * 32,
        "/studies/" + "a" * 5000,
        "/studies/..%2f..%2fetc%2fpasswd",
        "/studies/%00",
        "/studies/' OR 1=1 --",
        "/static/../app.py",
        "/static/..%2f..%2fkeys.toml",
        "{study}/raw/0/0",
        "{study}/raw/99/99",
        "{study}/raw/99999999999999999999999/1",
        "{study}/raw/-1/0",
        "{study}/waveforms/0/1",
        "{study}/pictures/0/1",
        "{study}/receipts/x",
        "/nowhere",
    ],
)
def test_addresses_that_lead_nowhere_say_what_to_do(doctor, study, path):
    answer = doctor.get(path.format(study=study[0]))
    assert answer.status_code == 404
    assert "root:" not in answer.text
    if "static" not in path:
        assert "To the arrivals" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "from=nan&to=nan",
        "from=inf",
        "from=-1e308&to=1e308",
        "from=x&to=",
        "from=5&to=1",
        "to=-1",
        "from=1e9",
        "from=9.99",
    ],
)
def test_a_range_that_makes_no_sense_still_draws_the_waveform(doctor, study, query):
    answer = doctor.get(f"{study[0]}/waveforms/0/2?{query}")
    assert answer.status_code == 200
    assert 'class="trace" d="M' in answer.text
    assert "nan" not in answer.text.lower().replace("finance", "")


@pytest.mark.parametrize("page", ["-1", "x", "99999999999999999999", "1e9", "१"])
def test_a_page_number_that_makes_no_sense(doctor, study, page):
    assert doctor.get("/", params={"page": page}).status_code == 200
    assert doctor.get(f"{study[0]}/raw/0/1", params={"page": page}).status_code == 200


def test_the_list_sends_nothing_when_nothing_has_changed(doctor, van, take):
    take(samples.laboratory(van))
    first = doctor.get("/?rows")
    state = first.headers["etag"]
    assert "<html" not in first.text
    again = doctor.get("/?rows", headers={"if-none-match": state})
    assert (again.status_code, again.content) == (304, b"")
    take(samples.laboratory(van, "new one"))
    fresh = doctor.get("/?rows", headers={"if-none-match": state})
    assert fresh.status_code == 200
    assert "new one" in fresh.text


def test_a_study_is_seen_as_announced_and_then_received(doctor, van, take):
    study_id, raw = samples.laboratory(van)
    take(van.summary(samples.summary_of(study_id, "van-1", "4711", headline=samples.HEADLINE)), objects.SUMMARY, 1)
    text = doctor.get("/").text
    assert "announced" in text
    assert "urgent" in text
    page = doctor.get(f"/studies/{study_id.hex()}")
    assert "still on its way" in page.text
    assert ">6.4</b>" in page.text
    assert doctor.get(f"/studies/{study_id.hex()}/file").status_code == 404
    take((study_id, raw))
    assert "announced" not in doctor.get("/?rows").text


def test_quality_control_has_its_own_page(doctor, van, take):
    study_id, _ = take_pair = samples.laboratory(van, qc=True)
    take(take_pair)
    assert study_id.hex() not in doctor.get("/").text
    assert study_id.hex() in doctor.get("/quality").text


@pytest.mark.parametrize("bad", ["damaged", "unsigned", "stranger", "garbage"])
def test_what_cannot_be_trusted_is_shown_as_such(doctor, centre, van, take, bad):
    study_id, raw = samples.laboratory(van)
    if bad == "damaged":
        raw = samples.damage(raw)
    elif bad == "unsigned":
        study_id, raw = samples.laboratory(van, sign=False)
    elif bad == "stranger":
        study_id, raw = samples.laboratory(samples.Kit("who", centre.keys.seal_public, "who"))
    else:
        raw = b"\xff" * 3000
    take((study_id, raw))
    page = doctor.get(f"/studies/{study_id.hex()}")
    assert page.status_code == 200
    assert "Not verified." in page.text
    assert ("Damaged." in page.text) == (bad != "stranger")
    assert "not verified" in doctor.get("/").text


def test_a_file_that_rotted_on_the_disk_is_not_shown(doctor, centre, study, tmp_path):
    digest = centre.library.line(study[0][-32:]).digest
    path = tmp_path / "files" / digest[:2] / digest
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    answer = doctor.get(study[0])
    assert answer.status_code == 503
    assert "restore it from a backup" in answer.text


def test_a_picture_is_shown_and_a_document_is_only_for_download(doctor, van, take):
    png = b"\x89PNG\r\n\x1a\nnot really"
    html = b"<script>alert(1)</script>"
    tags = [Picture("image/png", "chest", png).to_tag(), Picture("text/html", "evil", html).to_tag()]
    study_id, raw = van.study([tags])
    take((study_id, raw))
    shown = doctor.get(f"/studies/{study_id.hex()}/pictures/0/0")
    assert (shown.content, shown.headers["content-type"]) == (png, "image/png")
    other = doctor.get(f"/studies/{study_id.hex()}/pictures/0/1")
    assert other.headers["content-type"] == "application/octet-stream"
    assert "attachment" in other.headers["content-disposition"]
    assert doctor.get(f"/studies/{study_id.hex()}").text.count('<img src="/studies') == 1


def test_a_page_of_studies_and_the_next(doctor, van, take):
    for number in range(52):
        take(samples.oximetry(van, f"P{number:03d}"))
    first, second = doctor.get("/").text, doctor.get("/?page=1").text
    assert (first.count("data-study="), second.count("data-study=")) == (50, 2)
    assert "Older" in first
    assert "P000" in second


def test_the_login_form_and_its_cookie(doctor, centre):
    cookies = [cookie for cookie in doctor.client.cookies.jar if cookie.name == "feldsher_session"]
    assert len(cookies) == 1
    browser = Browser(centre)
    page = browser.get("/login")
    form = {"token": browser.field(page, "token"), "name": "olena", "password": PASSWORD, "next": "/quality"}
    answer = browser.post("/login", data=form)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert answer.headers["location"] == "/quality"


def test_the_cookie_stays_on_https(centre):
    centre.people.add("olena", PASSWORD)
    browser = Browser(centre)
    browser.client.base_url = httpx.URL("https://centre.test")
    assert "Secure" in browser.log_in("olena").headers["set-cookie"]


@pytest.mark.parametrize(
    "wanted", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)", "/\r\nx: y", "/" + "a" * 500]
)
def test_a_login_never_leads_elsewhere(centre, wanted):
    centre.people.add("olena", PASSWORD)
    browser = Browser(centre)
    page = browser.get("/login", params={"next": wanted})
    form = {"token": browser.field(page, "token"), "name": "olena", "password": PASSWORD, "next": wanted}
    assert browser.post("/login", data=form).headers["location"] == "/"


def test_after_the_login_the_wanted_page_comes(stranger, centre, study):
    centre.people.add("olena", PASSWORD)
    where = stranger.get(study[0]).headers["location"]
    page = stranger.get(where)
    form = {
        "token": stranger.field(page, "token"),
        "next": stranger.field(page, "next"),
        "name": "olena",
        "password": PASSWORD,
    }
    assert stranger.post("/login", data=form).headers["location"] == study[0]


def test_a_login_without_the_forms_own_token(stranger, centre):
    centre.people.add("olena", PASSWORD)
    for token in ("", "0" * 32, "é"):
        answer = stranger.post("/login", data={"token": token, "name": "olena", "password": PASSWORD})
        assert answer.status_code == 403
        assert "feldsher_session" not in stranger.client.cookies


def test_wrong_passwords_are_told_and_then_braked(stranger, centre):
    centre.people.add("olena", PASSWORD)
    for _ in range(FAILURES_OF_NAME_AND_ADDRESS_MAX):
        answer = stranger.log_in("olena", "wrong wrong wrong")
        assert (answer.status_code, 'role="alert"' in answer.text) == (403, True)
    answer = stranger.log_in("olena", PASSWORD)
    assert (answer.status_code, "15 minutes" in answer.text) == (429, True)
    assert len(events(centre, "login failed")) == FAILURES_OF_NAME_AND_ADDRESS_MAX


def csrf(browser):
    return browser.field(browser.get("/settings"), "csrf")


@pytest.mark.parametrize("token", [None, "", "0" * 32, "ü"])
@pytest.mark.parametrize("path", ["/logout", "/settings"])
def test_a_change_that_another_site_asks_for_is_refused(doctor, centre, path, token):
    data = {"zone": "Asia/Tokyo"} | ({} if token is None else {"csrf": token})
    assert doctor.post(path, data=data).status_code == 403
    assert centre.people.user("olena").zone == "Europe/Kyiv"
    assert doctor.get("/").status_code == 200


def test_a_change_by_get_is_not_possible(doctor):
    answer = doctor.get("/logout")
    assert answer.status_code == 405
    assert doctor.get("/").status_code == 200


def test_the_zone_of_the_reader(doctor, study):
    answer = doctor.post("/settings", data={"csrf": csrf(doctor), "zone": "Asia/Tokyo"})
    assert answer.status_code == 303
    text = doctor.get(study[0]).text
    assert "Asia/Tokyo (UTC+09:00)" in text
    assert "2026-11-18 20:06:40" in text
    assert doctor.post("/settings", data={"csrf": csrf(doctor), "zone": "Moon/Crater"}).status_code == 400


def test_logging_out_ends_the_session(doctor):
    session = doctor.client.cookies["feldsher_session"]
    doctor.post("/logout", data={"csrf": csrf(doctor)})
    doctor.client.cookies.set("feldsher_session", session)
    assert doctor.get("/").status_code == 303


def test_a_session_that_nobody_used_is_over(doctor, clock):
    clock.pass_s(IDLE_MS_MAX / 1000 + 1)
    assert doctor.get("/").status_code == 303


@pytest.mark.parametrize("cookie", ["x" * 5000, "'; DROP TABLE sessions; --", "%00"])
def test_a_cookie_that_was_never_given(stranger, cookie):
    assert stranger.get("/", headers={"cookie": f"feldsher_session={cookie}"}).status_code == 303


def test_the_office_shows_who_may_send_and_what_was_set_aside(admin, centre, van, take):
    pair = samples.laboratory(van)
    take(pair)
    centre.peers.revoke_kit("van-1")
    take(samples.laboratory(van))
    text = admin.get("/office").text
    assert "revoked" in text
    assert "kit van-1 is revoked" in text
    assert "olena" not in text
    record = admin.get("/office/record").text
    for kind in ("object received", "object refused", "kits revoke", "login"):
        assert kind in record


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_stands_out_from_its_ground(stranger, theme):
    css = stranger.get("/static/feldsher.css").text
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    pairs = [
        (text, ground)
        for text in ("ink", "faint", "accent", "warn", "alarm", "good")
        for ground in ("card", "soft", "paper")
    ]
    pairs += [
        ("warn", "warn-bg"),
        ("alarm", "alarm-bg"),
        ("ink", "warn-bg"),
        ("ink", "alarm-bg"),
        ("accent-ink", "accent"),
    ]
    for text, ground in pairs:
        light, dark = sorted((luminance(colours[theme][text]), luminance(colours[theme][ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_health_needs_no_login_and_says_little(stranger):
    answer = stranger.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "schema": "0003"})


def test_health_when_the_database_fails(stranger, centre, monkeypatch):
    monkeypatch.setattr(centre.database, "revision", lambda: ("", "0001"))
    assert stranger.get("/health").status_code == 503


def test_static_files_and_the_icon(stranger):
    for path, kind in (
        ("/static/feldsher.css", "text/css"),
        ("/static/arrivals.js", "javascript"),
        ("/favicon.ico", "image/x-icon"),
        ("/static/favicon.svg", "image/svg+xml"),
    ):
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]


def test_a_body_at_the_limit_and_one_over(stranger):
    at = b"x=" + b"y" * (guard.BODY_SIZE_MAX - 2)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert stranger.post("/login", content=at, headers=kind).status_code == 403
    assert stranger.post("/login", content=at + b"y", headers=kind).status_code == 413


def test_a_body_that_does_not_say_how_long_it_is(stranger):
    async def endless():
        for _ in range(100):
            yield b"x" * 4096

    assert stranger.post("/login", content=endless()).status_code == 413


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&".join(b"a=%d" % n for n in range(99)), b"%zz=%00", b""])
def test_a_form_that_cannot_be_read(stranger, body):
    assert stranger.post("/login", content=body).status_code in {400, 403}


def test_too_many_requests_are_braked_and_the_brake_lets_go(stranger, centre, clock):
    codes = [stranger.get("/health").status_code for _ in range(int(guard.BURST_MAX) + 1)]
    assert codes == [200] * int(guard.BURST_MAX) + [429]
    clock.pass_s(1)
    assert stranger.get("/health").status_code == 200


def test_the_brake_remembers_a_bounded_number_of_addresses(clock):
    brake = guard.Brake(clock)
    for number in range(guard.ADDRESSES_MAX + 100):
        assert brake.passes(str(number))
    assert len(brake._buckets) == guard.ADDRESSES_MAX


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
def test_other_methods_are_refused(doctor, method):
    assert doctor.call(method, "/").status_code == 405


def test_a_fault_of_ours_tells_nothing_to_strangers(doctor, centre, monkeypatch):
    def fail(**_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr(centre.library, "lines", fail)
    answer = doctor.get("/")
    assert answer.status_code == 500
    assert "secret inside" not in answer.text
    assert "Nothing was lost" in answer.text
