#!/usr/bin/python3
"""Tests the page in a browser: check.py FOLDER [--pictures FOLDER], with the pages small, server, hostile, hosts, million.

Ends with 77 and a line if this machine has no Chromium or no module websockets.
"""

import asyncio
import pathlib
import sys

try:
    import browser
except ImportError as error:
    print(f"SKIPPED: {error} (apt-get install python3-websockets)")
    sys.exit(77)

FOLDER = pathlib.Path(sys.argv[1])
PICTURES = pathlib.Path(sys.argv[3]) if "--pictures" in sys.argv else None
VIEW = "[wakefulTrace.view.t0, wakefulTrace.view.t1]"
SELECTED = "wakefulTrace.state.selected && [wakefulTrace.state.selected.kind, wakefulTrace.state.selected.i]"
PANEL = "document.querySelector('#selection').textContent"


async def assert_quiet(page):
    """No request but that of the page itself, and nothing in the console."""
    assert len([url for url in page.requests if not url.startswith("data:")]) == 1, page.requests
    assert page.problems == [], page.problems


async def keys_zoom_and_pan(page):
    await page.open(FOLDER / "server.html")
    everything = await page.eval(VIEW)
    await page.key("+")
    zoomed = await page.eval(VIEW)
    assert zoomed[1] - zoomed[0] < 0.7 * (everything[1] - everything[0]), (everything, zoomed)
    await page.key("ArrowRight")
    later = await page.eval(VIEW)
    assert later[0] > zoomed[0], (zoomed, later)
    assert abs((later[1] - later[0]) - (zoomed[1] - zoomed[0])) < 2, (zoomed, later)
    await page.key("ArrowLeft")
    await page.key("-")
    await page.key("0")
    assert await page.eval(VIEW) == everything
    lane = await page.eval("wakefulTrace.state.lane")
    await page.key("ArrowDown")
    assert await page.eval("wakefulTrace.state.lane") == lane + 1
    await assert_quiet(page)


async def tab_walks_along_a_lane_and_escape_leaves(page):
    await page.open(FOLDER / "small.html")
    await page.eval("document.querySelector('#timeline').focus()")
    await page.key("ArrowDown")
    await page.key("Tab", shift=True)
    first = await page.eval(SELECTED)
    await page.key("Tab")
    second = await page.eval(SELECTED)
    assert first[0] == second[0] == "poll" and first[1] < second[1], (first, second)
    await page.key("Tab", shift=True)
    assert await page.eval(SELECTED) == first
    await page.key("Escape")
    assert await page.eval(SELECTED) is None
    await page.key("Escape")
    assert await page.eval("document.activeElement.id") != "timeline"
    await assert_quiet(page)


async def the_end_of_a_lane_gives_the_focus_on(page):
    await page.open(FOLDER / "small.html")
    await page.eval("document.querySelector('#timeline').focus()")
    for _ in range(6):
        await page.key("Tab")
    assert await page.eval("document.activeElement.id") != "timeline"


async def w_follows_a_wake_backwards(page):
    await page.open(FOLDER / "small.html")
    await page.key("/")
    await page.type("log")
    await page.key("Enter")
    assert "task 3.4 \"log\"" in await page.eval(PANEL)
    await page.eval("document.querySelector('#timeline').focus()")
    await page.key("Tab")
    text = await page.eval(PANEL)
    assert "woken by task 2.0" in text, text
    await page.key("w")
    text = await page.eval(PANEL)
    assert text.startswith("poll of task 2.0"), text
    assert "4.50 ms" in text, text
    await assert_quiet(page)


async def wheel_and_drag_move_the_view(page):
    await page.open(FOLDER / "server.html")
    everything = await page.eval(VIEW)
    await page.mouse("mouseWheel", 600, 400, deltaX=0, deltaY=-400)
    await page.frame()
    zoomed = await page.eval(VIEW)
    assert zoomed[1] - zoomed[0] < everything[1] - everything[0]
    await page.mouse("mousePressed", 600, 400, button="left", clickCount=1)
    await page.mouse("mouseMoved", 500, 400, button="left", buttons=1)
    await page.mouse("mouseReleased", 500, 400, button="left", clickCount=1)
    await page.frame()
    dragged = await page.eval(VIEW)
    assert dragged[0] > zoomed[0], (zoomed, dragged)
    await page.mouse("mousePressed", 300, 100, button="left", clickCount=1)
    await page.mouse("mouseReleased", 300, 100, button="left", clickCount=1)
    box = await page.eval("(() => { const b = overview.getBoundingClientRect(); return [b.x, b.y, b.width]; })()")
    await page.mouse("mousePressed", box[0] + box[2] / 2, box[1] + 20, button="left", clickCount=1)
    await page.mouse("mouseMoved", box[0] + box[2] * 0.75, box[1] + 20, button="left", buttons=1)
    await page.mouse("mouseReleased", box[0] + box[2] * 0.75, box[1] + 20, button="left", clickCount=1)
    await page.frame()
    part = await page.eval(VIEW)
    share = (part[1] - part[0]) / (everything[1] - everything[0])
    assert 0.2 < share < 0.3, share
    await assert_quiet(page)


async def search_finds_names_places_fds_and_peers(page):
    await page.open(FOLDER / "small.html")
    for query, wanted in [("accept", "task 1.0"), ("log.rs", "task 3.4"), ("fd 9", "TcpStream::read"),
                          ("40112", "fd 9"), ("closing", "mark"), ("echo.rs:12", "TcpStream::read")]:
        await page.key("/")
        await page.eval("document.querySelector('#search').value = ''")
        await page.type(query)
        found = await page.eval("document.querySelector('#results').textContent")
        assert wanted in found, (query, found)
        await page.key("Escape")
    await page.key("/")
    await page.type("no such thing")
    assert await page.eval("document.querySelector('#results-title').textContent") == "Found: 0"
    await assert_quiet(page)


async def the_slow_task_is_one_click_away(page):
    await page.open(FOLDER / "server.html")
    await page.press("#longest-polls button")
    text = await page.eval(PANEL)
    assert "import" in text and "37.0 ms" in text and "main.rs:29" in text, text
    view = await page.eval(VIEW)
    assert 30e6 < view[1] - view[0] < 300e6, view
    await assert_quiet(page)


async def the_slow_task_is_found_in_at_most_five_actions(page):
    """By a list, by the table with keys alone, and by a search: its duration, its spawn, what woke it and what waited."""
    await page.open(FOLDER / "server.html")
    await page.press("#longest-polls button")
    text = await page.eval(PANEL)
    assert "import" in text and "37.0 ms" in text and "main.rs:29" in text, text
    slow = await page.eval(SELECTED)
    await page.key("w")
    assert await page.eval(SELECTED) != slow

    await page.open(FOLDER / "server.html")
    await page.key("t")
    await page.eval("document.querySelector('#table-kind').focus()")
    await page.key("p")
    await page.eval("document.querySelector('#table-body button').focus()")
    await page.key("Enter")
    assert await page.eval(SELECTED) == slow, await page.eval(SELECTED)

    await page.open(FOLDER / "server.html")
    await page.key("/")
    await page.type("import")
    await page.key("Enter")
    text = await page.eval(PANEL)
    assert "longest poll" in text and "37.0 ms" in text, text
    await assert_quiet(page)


async def tooltips_have_file_and_line(page):
    await page.open(FOLDER / "small.html")
    await page.press("#longest-polls button")
    spot = await page.eval(
        "(() => { const b = timeline.getBoundingClientRect(); const [t0, t1, lane] = boxOf(wakefulTrace.state.selected);"
        " return [b.x + xOf((t0 + t1) / 2), b.y + yOf(lane) + 12]; })()")
    await page.mouse("mouseMoved", *spot)
    await page.frame()
    tip = await page.eval("document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').textContent")
    assert "src/echo.rs:12" in tip and "4.50 ms" in tip and "src/main.rs:29" in tip, tip
    # A key that moves the view leaves none behind.
    await page.key("+")
    assert await page.eval("document.querySelector('#tip').hidden")
    await assert_quiet(page)


async def the_table_sorts(page):
    await page.open(FOLDER / "server.html")
    await page.key("t")
    first = "document.querySelector('#table-body tr').textContent"
    assert "import" in await page.eval(first), await page.eval(first)
    await page.eval("document.querySelectorAll('#table-head button')[3].click()")
    assert await page.eval("document.querySelectorAll('#table-head th')[3].ariaSort") == "ascending"
    assert "import" not in await page.eval(first)
    await page.eval("(() => { const s = document.querySelector('#table-kind'); s.value = 'waits';"
                    " s.dispatchEvent(new Event('change')); })()")
    assert "src/" in await page.eval(first)
    await page.eval("document.querySelector('#table-body button').click()")
    await page.frame()
    assert (await page.eval(SELECTED))[0] == "wait"
    assert await page.eval("document.querySelector('#table-view').hidden")
    await assert_quiet(page)


async def hostile_names_stay_text(page):
    await page.open(FOLDER / "hostile.html")
    for query in ["onerror", "SCRIPT", "bold", "red", "CDATA"]:
        await page.key("/")
        await page.eval("document.querySelector('#search').value = ''")
        await page.type(query)
        assert await page.eval("document.querySelectorAll('#results li').length") > 0, query
        await page.key("Enter")
        await page.eval("document.querySelector('#timeline').focus()")
        await page.key("t")
        await page.key("Escape")
    assert await page.eval("document.querySelectorAll('img, b, aside script, table script').length") == 0
    assert "owned" not in await page.eval("document.title")
    assert "</script><img" in await page.eval("document.body.textContent")
    await assert_quiet(page)


# The labels of the lanes, those of names in capitals.
LANES = "wakefulTrace.lanes.map((lane) => (lane.kind === 'notes' ? lane.label.toUpperCase() : lane.label))"


async def the_lanes_of_each_host_are_below_its_name(page):
    await page.open(FOLDER / "hosts.html")
    lanes = await page.eval(LANES)
    # The crash overlaps the partition, so the notes of the server take two lanes.
    assert lanes == ["SERVER", "", "loop", "root", "row 1 answer", "CLIENT", "loop", "root", "row 1 ask"], lanes
    # Both runs of the server are in one lane, and what was alive ends with the crash.
    lives = await page.eval("wakefulTrace.lanes[4].tasks.map((i) => taskEnd(i) / 1e9)")
    assert lives == [2, 10], lives
    # Up from the lane of a task to what happened to its host, and along it.
    await page.eval("document.querySelector('#timeline').focus()")
    texts = []
    for key in ["ArrowUp", "ArrowUp", "ArrowUp", "Tab", "Escape", "ArrowDown"]:
        await page.key(key)
        texts.append(await page.eval(PANEL))
    assert texts[0].startswith("server: epoll_wait"), texts
    assert texts[1].startswith("server: no way to client") and "after 3.00 s" in texts[1], texts
    assert texts[2].startswith("server: crashed") and "+2.000000 s" in texts[2], texts
    assert texts[3].startswith("server: signal 10"), texts
    assert texts[5].startswith("server: no way to client"), texts
    await assert_quiet(page)


async def hosts_are_searched_and_named_everywhere(page):
    await page.open(FOLDER / "hosts.html")
    for query, wanted in [("crash", "server: crashed"), ("client: task", "client: task 1.0"), ("answer", "server: task 1.0 \"answer\""),
                          # The same descriptor has another peer on each host.
                          ("40000", "server: task 1.0"), ("10.0.0.1:7000", "client: task 1.0")]:
        await page.key("/")
        await page.eval("document.querySelector('#search').value = ''")
        await page.type(query)
        found = await page.eval("document.querySelector('#results').textContent")
        other = "client" if wanted.startswith("server") else "server"
        assert wanted in found and f"{other}: task" not in found, (query, found)
        await page.key("Escape")
    await page.key("/")
    await page.eval("document.querySelector('#search').value = ''")
    await page.type("crash")
    await page.key("Enter")
    assert await page.eval(SELECTED) == ["note", 0]
    spot = await page.eval(
        "(() => { const b = timeline.getBoundingClientRect(); const [t0, t1, lane] = boxOf(wakefulTrace.state.selected);"
        " show(BEGIN, END); return [b.x + xOf((t0 + t1) / 2), b.y + yOf(lane) + 12]; })()")
    await page.frame()
    await page.mouse("mouseMoved", *spot)
    await page.frame()
    tip = await page.eval("document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').textContent")
    assert tip.startswith("server: crashed"), tip
    # Back from the client's second poll to its turn, not to that of the server.
    await page.key("/")
    await page.eval("document.querySelector('#search').value = ''")
    await page.type("client: task")
    await page.key("Enter")
    await page.eval("document.querySelector('#timeline').focus()")
    await page.key("Tab")
    await page.key("Tab")
    await page.key("w")
    text = await page.eval(PANEL)
    assert text.startswith("client: epoll_wait") and "10.0 s" not in text, text
    await assert_quiet(page)


async def hosts_draw_in_both_themes_and_on_a_narrow_screen(page):
    # Whether the bar of the crash, and the middle of the gap below it, have the colors that they should have.
    colors = """(() => { const { width, height } = timeline; const { data } = timeline.getContext('2d').getImageData(0, 0, width, height);
      const ratio = devicePixelRatio;
      const at = (x, y) => { const i = 4 * (Math.round(y * ratio) * width + Math.round(x * ratio)); return [...data.slice(i, i + 3)].join(); };
      const css = (name) => { const hex = colors[name]; return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(); };
      return [at(xOf(4.8e9), yOf(0) + LANE / 2) === css('note'), at(xOf(2.5e9), yOf(4) + LANE / 2) === css('bg')]; })()"""
    for width in (1280, 360):
        for dark in (False, True):
            await page.open(FOLDER / "hosts.html", width=width, height=740, dark=dark)
            assert await page.eval(colors) == [True, True], (width, dark)
            assert await page.eval(CONTRAST) == []
            assert await page.eval(LABELS) == []
            assert await page.eval("document.documentElement.scrollWidth <= innerWidth"), width
            await assert_quiet(page)


# Contrast of two colors, by the formula of WCAG 2.2.
CONTRAST = """(() => {
  const light = (css) => {
    const c = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    c.fillStyle = css; c.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...c.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue('--' + name).trim();
  const contrast = (a, b) => { const [x, y] = [light(color(a)), light(color(b))]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const low = [];
  const check = (a, b, least) => { const found = contrast(a, b); if (found < least) low.push(`${a} on ${b}: ${found.toFixed(2)} < ${least}`); };
  for (const text of ['fg', 'dim', 'accent']) for (const ground of ['bg', 'panel', 'stripe', 'band', 'life']) check(text, ground, 4.5);
  check('warn', 'warn-bg', 4.5);
  check('bg', 'note', 4.5);
  check('note', 'panel', 3);
  for (let i = 0; i < 8; i++) for (const ground of ['bg', 'stripe', 'band', 'life']) check(`c${i}`, ground, 3);
  return low;
})()"""

# What a tool for accessibility would report first: controls without a name, twice the same id, headings that skip a level.
LABELS = """(() => {
  const bad = [];
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  if (new Set(ids).size !== ids.length) bad.push('an id occurs twice');
  for (const e of document.querySelectorAll('button, input, select, canvas, [role=region], dialog')) {
    const by = e.getAttribute('aria-labelledby');
    const name = e.getAttribute('aria-label') || (by && document.getElementById(by)?.textContent) || e.closest('label')?.textContent.trim() || e.textContent.trim();
    if (!name) bad.push(`${e.tagName} ${e.id} has no name`);
  }
  for (const e of document.querySelectorAll('[aria-labelledby]')) {
    if (!document.getElementById(e.getAttribute('aria-labelledby'))) bad.push(`${e.id} is labeled by nothing`);
  }
  const levels = [...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]));
  if (levels[0] !== 1 || levels.some((level, i) => i > 0 && level > levels[i - 1] + 1)) bad.push(`headings ${levels}`);
  if (!document.documentElement.lang) bad.push('no language');
  if (document.querySelector('#selection').getAttribute('aria-live') !== 'polite') bad.push('the selection is not announced');
  const small = [...document.querySelectorAll('button')].filter((b) => b.offsetHeight > 0 && b.offsetHeight < 24);
  if (small.length) bad.push(`${small.length} buttons are lower than 24 pixels`);
  return bad;
})()"""

# Colors that the timeline is drawn with.
DRAWN = """(() => { const c = timeline.getContext('2d'); const d = c.getImageData(0, 0, timeline.width, timeline.height).data;
  const seen = new Set(); for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
  return [seen.size, d[4 * (timeline.width * (timeline.height - 2) + timeline.width - 2)]]; })()"""


async def both_themes_draw_and_have_contrast(page):
    for width in (1280, 360):
        for dark in (False, True):
            await page.open(FOLDER / "server.html", width=width, height=740, dark=dark)
            await page.press("#longest-polls button")
            colors, ground = await page.eval(DRAWN)
            assert colors > 8, (width, dark, colors)
            assert (ground < 90) == dark, (width, dark, ground)
            assert await page.eval(CONTRAST) == []
            assert await page.eval(LABELS) == []
            assert await page.eval("document.documentElement.scrollWidth <= innerWidth"), width
            await assert_quiet(page)
    await page.press("#theme")
    assert await page.eval("document.documentElement.dataset.theme") == "light"


async def motion_can_be_reduced(page):
    length = "wakefulTrace.view.t1 - wakefulTrace.view.t0"
    jump = f"(document.querySelector('#longest-polls button').click(), {length})"
    await page.open(FOLDER / "server.html", calm=True)
    everything = await page.eval(length)
    assert await page.eval(jump) < everything
    await page.open(FOLDER / "server.html", calm=False)
    assert await page.eval(jump) == everything
    await page.until(f"{length} < {everything}")


async def a_million_events_load_and_draw(page):
    times = await page.load_times(FOLDER / "million.html")
    assert await page.eval("wakefulTrace.counts.polls") > 100_000
    print(f"    1,000,000 events: loaded after {times[0]:.0f} ms, drawn in {times[1]:.0f} ms")
    await page.press("#longest-polls button")
    assert "import" in await page.eval(PANEL)
    await page.key("t")
    assert await page.eval("document.querySelectorAll('#table-body tr').length") > 100
    await assert_quiet(page)


async def pictures(page):
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in ("small", "server", "hostile", "hosts"):
        for width in (1280, 360):
            for dark in (False, True):
                await page.open(FOLDER / f"{name}.html", width=width, height=800, dark=dark)
                end = f"{name}-{width}-{'dark' if dark else 'light'}.png"
                await page.picture(PICTURES / f"all-{end}")
                await page.press("#longest-polls button")
                await page.picture(PICTURES / f"poll-{end}")
                await page.key("t")
                await page.picture(PICTURES / f"table-{end}")
                await page.key("Escape")
                await page.key("?")
                await page.picture(PICTURES / f"help-{end}")


TESTS = [keys_zoom_and_pan, tab_walks_along_a_lane_and_escape_leaves, the_end_of_a_lane_gives_the_focus_on,
         w_follows_a_wake_backwards, wheel_and_drag_move_the_view, search_finds_names_places_fds_and_peers,
         the_slow_task_is_one_click_away, the_slow_task_is_found_in_at_most_five_actions, tooltips_have_file_and_line, the_table_sorts, hostile_names_stay_text,
         the_lanes_of_each_host_are_below_its_name, hosts_are_searched_and_named_everywhere, hosts_draw_in_both_themes_and_on_a_narrow_screen,
         both_themes_draw_and_have_contrast, motion_can_be_reduced, a_million_events_load_and_draw]


async def main(page):
    failed = 0
    for test in [pictures] if PICTURES else TESTS:
        try:
            await test(page)
            print(f"ok      {test.__name__}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"FAILED  {test.__name__}: {error}", flush=True)
    if failed:
        sys.exit(1)


if browser.program() is None:
    print("SKIPPED: no Chromium is installed (apt-get install chromium)")
    sys.exit(77)
asyncio.run(browser.run(main))
