// Keeps the list of arrivals fresh: asks every few seconds, and only when something has changed is anything sent back.
"use strict";
(() => {
  const PERIOD_MS = 4000, PERIOD_MS_MAX = 60000;
  const rows = document.getElementById("rows"), live = document.getElementById("live");
  let state = rows.dataset.state, pause = PERIOD_MS;
  const studies = () => new Set([...rows.querySelectorAll("tr[data-study]")].map((row) => row.dataset.study));

  function show(html) {
    const before = studies(), focused = document.activeElement?.closest?.("tr[data-study]")?.dataset.study;
    rows.innerHTML = html;
    const fresh = [...rows.querySelectorAll("tr[data-study]")].filter((row) => !before.has(row.dataset.study));
    fresh.forEach((row) => row.classList.add("fresh"));
    if (focused) rows.querySelector(`tr[data-study="${focused}"] a`)?.focus();
    const urgent = fresh.filter((row) => row.classList.contains("urgent")).length;
    if (fresh.length) live.textContent = `${fresh.length} new${urgent ? `, ${urgent} urgent` : ""}.`;
    document.title = document.title.replace(/^(\(\d+\) )?/, fresh.length && document.hidden ? `(${fresh.length}) ` : "");
  }

  async function ask() {
    try {
      const headers = { "If-None-Match": state };
      const answer = await fetch(`${rows.dataset.path}?rows`, { headers, cache: "no-store", redirect: "error" });
      if (answer.status === 200) {
        state = answer.headers.get("ETag");
        show(await answer.text());
      } else if (answer.status !== 304) throw new Error(String(answer.status));
      if (pause > PERIOD_MS) live.textContent = "The centre answers again.";
      pause = PERIOD_MS;
    } catch {
      pause = Math.min(pause * 2, PERIOD_MS_MAX);
      live.textContent = "The centre does not answer, or you were logged out. What you see may be old; reload the page.";
    }
    setTimeout(ask, pause);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.title = document.title.replace(/^\(\d+\) /, "");
  });
  setTimeout(ask, PERIOD_MS);
})();
