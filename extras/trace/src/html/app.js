// Part 3 of 3: selection, lists, search, table, keys, pointer. Texts become nodes by `textContent` only.

// Returns an element with a text, or with children.
function make(tag, content, name) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (Array.isArray(content)) element.append(...content);
  else if (content !== undefined) element.textContent = content;
  return element;
}

function makeButton(label, act) {
  const button = make("button", label);
  button.type = "button";
  button.addEventListener("click", act);
  return button;
}

// --- selection -------------------------------------------------------------------------------------------

// Selects a poll, wait, task, turn, closure, instant or note; `jump` brings it into view.
function select(selected, jump = false) {
  state.selected = selected;
  const box = selected && boxOf(selected);
  if (box) {
    state.lane = box[2];
    showLane(box[2]);
    if (jump) {
      const length = Math.max(box[1] - box[0], 1000);
      show(box[0] - length * 2, box[1] + length * 2, true);
    } else if (box[1] < view.t0 || box[0] > view.t1) {
      const half = (view.t1 - view.t0) / 2;
      show(box[0] - half, box[0] + half, true);
    }
  }
  describe();
  redraw();
}

function describe() {
  const s = state.selected;
  const panel = $("selection");
  $("wake").disabled = !(s && (s.kind === "poll" || s.kind === "wait"));
  if (!s) return panel.replaceChildren(make("p", "Click a poll, or a line of the lists below.", "hint"));
  const [title, facts] = { poll: ofPoll, wait: ofWait, task: ofTask, turn: ofTurn, closure: ofClosure, instant: ofInstant, note: ofNote }[s.kind](s.i);
  const list = make("dl");
  for (const [name, value] of facts) if (value) list.append(make("dt", name), make("dd", value));
  panel.replaceChildren(make("p", title, "big"), list);
}

const placeOf = (i) => (task.place[i] ? text(task.place[i]) : "");
const previousPoll = (i) => {
  const lane = lanes[laneOfTask[poll.task[i]]];
  const n = lane.first + partition(lane.count, (m) => lanePolls[lane.first + m] < i);
  return n > lane.first && poll.task[lanePolls[n - 1]] === poll.task[i] ? lanePolls[n - 1] : -1;
};

function ofPoll(i) {
  const after = poll.wait[i] ? poll.wait[i] - 1 : -1;
  return [`poll of ${taskName(poll.task[i])}: ${duration(poll.end[i] - poll.begin[i])}`, [
    ["begins", moment(poll.begin[i])],
    ["cause", causeWords(i)],
    ["outcome", OUTCOMES[poll.outcome[i]]],
    ["spawned at", placeOf(poll.task[i])],
    ["then waits", after >= 0 ? `${duration(waitEnd(after) - wait.begin[after])} in ${waitWords(after)}` : ""],
    ["spans", spansIn(i)],
    ["meanwhile", instantsIn(i, 6).join("; ")],
  ]];
}

function ofWait(i) {
  return [`${taskName(wait.task[i])} waits: ${duration(waitEnd(i) - wait.begin[i])}`, [
    ["in", wait.operation[i] ? text(wait.operation[i]) : "something unknown to the runtime"],
    ["at", wait.place[i] ? text(wait.place[i]) : ""],
    ["on", onWords(i).slice(4)],
    ["begins", moment(wait.begin[i])],
    ["ends", wait.end[i] < 0 ? "not in this recording" : moment(wait.end[i])],
    ["spawned at", placeOf(wait.task[i])],
  ]];
}

function ofTask(i) {
  const end = task.end[i] < 0 ? "alive at the end of the recording" : `${moment(task.end[i])}, ${OUTCOMES[task.outcome[i]]}`;
  const last = task.last[i] ? poll.wait[task.last[i] - 1] : 0;
  return [taskName(i), [
    ["spawned at", placeOf(i)],
    ["begins", moment(task.begin[i])],
    ["ends", end],
    ["polls", grouped(task.polls[i])],
    ["busy", duration(task.busy[i])],
    ["longest poll", task.longest[i] ? duration(poll.end[task.longest[i] - 1] - poll.begin[task.longest[i] - 1]) : ""],
    ["waits", last && task.end[i] < 0 ? `${duration(waitEnd(last - 1) - wait.begin[last - 1])} in ${waitWords(last - 1)}` : ""],
  ]];
}

function ofTurn(i) {
  const limit = turn.limit[i] === 0 ? "does not block" : turn.limit[i] === ROOT ? "none" : `${grouped(turn.limit[i])} ms`;
  return [ofGroup(turn.runtime[i], `epoll_wait: ${duration(turn.end[i] - turn.begin[i])}`), [
    ["begins", moment(turn.begin[i])],
    ["limit", limit],
    ["events", grouped(turn.events[i])],
  ]];
}

function ofClosure(i) {
  const name = ofGroup(closure.runtime[i], `closure ${closure.number[i]}`);
  return [`${name}: ${duration(closureEnd(i) - closure.begin[i])}`, [
    ["begins", moment(closure.begin[i])],
    ["ends", closure.end[i] < 0 ? "not in this recording" : moment(closure.end[i])],
    ["awaited by", closure.task[i] ? taskName(closure.task[i] - 1) : ""],
  ]];
}

function ofInstant(i) {
  const where = instant.task[i] ? taskName(instant.task[i] - 1) : ofGroup(instant.runtime[i], "the loop");
  return [instantWords(i), [["at", moment(instant.time[i])], ["in", where]]];
}

function ofNote(i) {
  const lasts = note.end[i] - note.begin[i];
  return [`${groups[note.group[i]].name}: ${meta.notes[i]}`, [
    ["begins", moment(note.begin[i])],
    ["ends", lasts ? `${moment(note.end[i])}, after ${duration(lasts)}` : ""],
  ]];
}

// Goes to what woke the selected poll: the poll of another task, or the turn of the loop before it.
function followWake() {
  const s = state.selected;
  let i = s?.kind === "poll" ? s.i : -1;
  if (s?.kind === "wait") i = nextPollAt(laneOfTask[wait.task[s.i]], waitEnd(s.i));
  if (i < 0) return;
  const number = poll.wake[i] - 1;
  if (number >= 0 && wake.from[number]) return select({ kind: "poll", i: wake.from[number] - 1 });
  const { turns } = lanes[groupOf(task.runtime[poll.task[i]]).loop];
  const before = partition(turns.length, (n) => turn.end[turns[n]] <= poll.begin[i]) - 1;
  const kind = poll.cause[i] >>> 24;
  if (before >= 0 && kind !== 0 && kind !== 6) return select({ kind: "turn", i: turns[before] });
  const previous = previousPoll(i);
  if (previous >= 0) select({ kind: "poll", i: previous });
}

function nextPollAt(lane, time) {
  const { first, count } = lanes[lane];
  const n = partition(count, (m) => poll.begin[lanePolls[first + m]] < time);
  return n < count ? lanePolls[first + n] : -1;
}

// Returns what a lane without tasks has: the kind of a selection, its numbers, and their begins.
function listOf(lane) {
  if (lane.kind === "loop") return ["turn", lane.turns, turn.begin];
  return lane.kind === "notes" ? ["note", lane.list, note.begin] : ["closure", lane.list, closure.begin];
}

// Selects the next or the previous event of the lane. Returns `false` at the end of the lane.
function step(by) {
  const lane = lanes[state.lane];
  const s = state.selected;
  if (lane.kind !== "row") {
    const [kind, list, begins] = listOf(lane);
    const at = s?.kind === kind && list.includes(s.i) ? list.indexOf(s.i) + by : partition(list.length, (n) => begins[list[n]] < view.t0);
    if (at < 0 || at >= list.length) return false;
    select({ kind, i: list[at] });
    return true;
  }
  let n = firstPollAfter(lane, view.t0);
  if (s && boxOf(s)?.[2] === state.lane) {
    const [begin] = boxOf(s);
    n = lane.first + partition(lane.count, (m) => poll.begin[lanePolls[lane.first + m]] < begin);
    if (s.kind === "poll") {
      n = lane.first + partition(lane.count, (m) => lanePolls[lane.first + m] < s.i);
      n += by;
    } else if (by < 0) n--;
  }
  if (n < lane.first || n >= lane.first + lane.count) return false;
  select({ kind: "poll", i: lanePolls[n] });
  return true;
}

// Selects the lane above or below, and its event nearest to the middle of the view.
function changeLane(by) {
  const lane = Math.min(Math.max(state.lane + by, 0), lanes.length - 1);
  state.lane = lane;
  showLane(lane);
  const middle = state.selected && boxOf(state.selected) ? boxOf(state.selected)[0] : (view.t0 + view.t1) / 2;
  const at = Math.min(Math.max(middle, view.t0), view.t1);
  if (lanes[lane].kind !== "row") {
    const [kind, list, begins] = listOf(lanes[lane]);
    const n = Math.max(partition(list.length, (m) => begins[list[m]] <= at) - 1, 0);
    return list.length ? select({ kind, i: list[n] }) : redraw();
  }
  const { first, count } = lanes[lane];
  const n = Math.min(firstPollAfter(lanes[lane], at), first + count - 1);
  if (count) select({ kind: "poll", i: lanePolls[n] });
  else select({ kind: "task", i: lanes[lane].tasks[0] });
}

// Returns what is drawn at a point of the timeline.
function hit(x, y) {
  const number = laneAt(y);
  const lane = lanes[number];
  if (!lane || x < 0) return null;
  if (x < state.gutter) return lane.kind === "row" ? { kind: "task", i: lane.tasks[lane.tasks.length - 1] } : null;
  const time = timeAt(x);
  const slack = 2 / scale();
  if (lane.kind !== "row") {
    const [kind, list, begins] = listOf(lane);
    const end = { turn: (i) => turn.end[i], note: (i) => note.end[i], closure: closureEnd }[kind];
    const i = list[partition(list.length, (n) => end(list[n]) + slack < time)];
    return i !== undefined && begins[i] - slack <= time ? { kind, i } : null;
  }
  // Among the polls in reach of the pointer, the longest one.
  let best = -1;
  for (let n = firstPollAfter(lane, time - slack); n < lane.first + lane.count; n++) {
    const i = lanePolls[n];
    if (poll.begin[i] > time + slack) break;
    if (best < 0 || poll.end[i] - poll.begin[i] > poll.end[best] - poll.begin[best]) best = i;
  }
  if (best >= 0) return { kind: "poll", i: best };
  const before = partition(lane.count, (n) => poll.begin[lanePolls[lane.first + n]] <= time) - 1;
  const number_ = before >= 0 ? poll.wait[lanePolls[lane.first + before]] - 1 : firstWait.get(lane.tasks[0]) ?? -1;
  if (number_ >= 0 && wait.begin[number_] <= time && waitEnd(number_) >= time) return { kind: "wait", i: number_ };
  const alive = lane.tasks.find((i) => task.begin[i] <= time && taskEnd(i) >= time);
  return alive === undefined ? null : { kind: "task", i: alive };
}

// --- lists -----------------------------------------------------------------------------------------------

function entry(figure, what, more, act) {
  const words = make("span", [document.createTextNode(what), make("span", more, "more")], "what");
  const button = makeButton(undefined, act);
  button.append(make("span", figure, "figure"), words);
  return make("li", [button]);
}

const pollEntry = (i) => entry(duration(poll.end[i] - poll.begin[i]), taskName(poll.task[i]),
  [short(placeOf(poll.task[i])), moment(poll.begin[i]), causeWords(i)].filter(Boolean).join(" · "), () => select({ kind: "poll", i }, true));
const taskEntry = (i) => entry(duration(task.busy[i]), taskName(i),
  [short(placeOf(i)), counted(task.polls[i], "poll")].filter(Boolean).join(" · "), () => select({ kind: "task", i }, true));
const waitEntry = (i) => entry(duration(waitEnd(i) - wait.begin[i]), taskName(wait.task[i]),
  `${waitLabel(i)}${onWords(i)}`, () => select({ kind: "wait", i }, true));

const LISTED = 8;
const waitLength = (i) => (task.row[wait.task[i]] === ROOT ? -1 : waitEnd(i) - wait.begin[i]);

function fillLists() {
  $("longest-polls").replaceChildren(...highest(poll.task.length, LISTED, (i) => poll.end[i] - poll.begin[i]).map(pollEntry));
  $("busiest-tasks").replaceChildren(...highest(task.row.length, LISTED, (i) => task.busy[i]).map(taskEntry));
  const waits = highest(wait.task.length, LISTED, waitLength).filter((i) => waitLength(i) >= 0);
  $("longest-waits").replaceChildren(...waits.map(waitEntry));
  for (const list of document.querySelectorAll(".list")) list.parentElement.hidden = !list.childElementCount;
}

// --- search ----------------------------------------------------------------------------------------------

const FOUND = 60;

function search(query) {
  query = query.trim().toLowerCase();
  $("results-view").hidden = query === "";
  if (query === "") return;
  const matching = new Set();
  meta.texts.forEach((line, i) => line.toLowerCase().includes(query) && matching.add(i + 1));
  const fd = /^(?:fd\s*)?(\d+)$/.exec(query);
  const byPeer = new Set([...peers].filter(([, peer]) => matching.has(peer)).map(([key]) => key));
  const hasFd = (of, number) => (fd && Number(fd[1]) === number) || byPeer.has(`${of} ${number}`);
  const found = [];
  for (let i = 0; i < note.group.length && found.length < FOUND; i++) {
    const [title] = ofNote(i);
    if (title.toLowerCase().includes(query)) found.push(entry("", title, moment(note.begin[i]), () => select({ kind: "note", i }, true)));
  }
  for (let i = 0; i < task.row.length && found.length < FOUND; i++) {
    if (matching.has(task.name[i]) || matching.has(task.place[i]) || taskName(i).toLowerCase().includes(query)) found.push(taskEntry(i));
  }
  // One entry per task, location and target, else a connection fills the list.
  const seen = new Set();
  for (let i = 0; i < wait.task.length && found.length < FOUND; i++) {
    const byFd = wait.what[i] === 1 && hasFd(task.runtime[wait.task[i]], wait.value[i]);
    if (!byFd && !matching.has(wait.operation[i]) && !matching.has(wait.place[i])) continue;
    const key = `${wait.task[i]} ${wait.place[i]} ${wait.what[i]} ${wait.value[i]}`;
    if (seen.has(key)) continue;
    seen.add(key);
    found.push(waitEntry(i));
  }
  for (let i = 0; i < instant.time.length && found.length < FOUND; i++) {
    const mark = instant.kind[i] === 18 && matching.has(instant.y[i]);
    const fdEvent = (instant.kind[i] === 16 || instant.kind[i] === 17) && hasFd(instant.runtime[i], instant.x[i]);
    if (mark || fdEvent) found.push(entry("", instantWords(i), moment(instant.time[i]), () => select({ kind: "instant", i }, true)));
  }
  $("results-title").textContent = found.length === FOUND ? `Found, the first ${FOUND}` : `Found: ${found.length}`;
  $("results").replaceChildren(...found);
}

// --- table -----------------------------------------------------------------------------------------------

const ROWS = 500;
const length = (i) => poll.end[i] - poll.begin[i];
const lastWait = (i) => (task.last[i] && task.end[i] < 0 ? poll.wait[task.last[i] - 1] - 1 : firstWait.get(i) ?? -1);
// A column: title, value to sort by, words if they differ, whether it is a number.
const TABLES = {
  tasks: { count: task.row.length, sort: 3, columns: [
    ["task", (i) => task.row[i] + 1, taskName], ["spawned at", placeOf], ["polls", (i) => task.polls[i], null, true],
    ["busy", (i) => task.busy[i], (i) => duration(task.busy[i]), true],
    ["longest poll", (i) => (task.longest[i] ? length(task.longest[i] - 1) : 0), (i) => (task.longest[i] ? duration(length(task.longest[i] - 1)) : ""), true],
    ["waits in", (i) => (lastWait(i) >= 0 ? waitWords(lastWait(i)) : "")],
    ["end", (i) => (task.end[i] < 0 ? "alive" : OUTCOMES[task.outcome[i]])]] },
  polls: { count: poll.task.length, sort: 2, columns: [
    ["task", (i) => task.row[poll.task[i]] + 1, (i) => taskName(poll.task[i])], ["begins", (i) => poll.begin[i], (i) => moment(poll.begin[i]), true],
    ["duration", length, (i) => duration(length(i)), true], ["cause", causeWords], ["outcome", (i) => OUTCOMES[poll.outcome[i]]],
    ["then waits in", (i) => (poll.wait[i] ? waitWords(poll.wait[i] - 1) : "")]] },
  waits: { count: wait.task.length, sort: 2, columns: [
    ["task", (i) => task.row[wait.task[i]] + 1, (i) => taskName(wait.task[i])], ["begins", (i) => wait.begin[i], (i) => moment(wait.begin[i]), true],
    ["duration", (i) => waitEnd(i) - wait.begin[i], (i) => duration(waitEnd(i) - wait.begin[i]), true],
    ["operation", (i) => text(wait.operation[i])], ["at", (i) => text(wait.place[i])], ["on", (i) => onWords(i).slice(4)]] },
};
const order = { kind: "tasks", column: 3, down: true };

function sortedRows(table) {
  const value = table.columns[order.column][1];
  const sign = order.down ? 1 : -1;
  const number = table.columns[order.column][2] || table.columns[order.column][3];
  if (number) return highest(table.count, ROWS, (i) => sign * value(i));
  const keys = Array.from({ length: table.count }, (_, i) => [value(i), i]);
  keys.sort((a, b) => sign * (a[0] < b[0] ? 1 : a[0] > b[0] ? -1 : 0) || a[1] - b[1]);
  return keys.slice(0, ROWS).map(([, i]) => i);
}

function fillTable() {
  const table = TABLES[order.kind];
  const heads = table.columns.map(([title, , , number], column) => {
    const current = column === order.column;
    const button = makeButton(current ? `${title} ${order.down ? "▾" : "▴"}` : title, () => {
      order.down = current ? !order.down : Boolean(number);
      order.column = column;
      fillTable();
      $("table-head").querySelectorAll("button")[column].focus();
    });
    const head = make("th", [button], number ? "n" : "");
    head.scope = "col";
    if (current) head.ariaSort = order.down ? "descending" : "ascending";
    return head;
  });
  const kind = order.kind.slice(0, -1);
  const rows = sortedRows(table).map((i) => make("tr", table.columns.map(([, value, words, number], column) => {
    const cell = make("td", column === 0 ? undefined : String((words ?? value)(i)), number ? "n" : "");
    if (column === 0) {
      cell.append(makeButton(words(i), () => {
        toggleTable(false);
        select({ kind, i }, true);
        timeline.focus();
      }));
    }
    return cell;
  })));
  $("table-head").replaceChildren(make("tr", heads));
  $("table-body").replaceChildren(...rows);
  $("table-count").textContent = table.count > ROWS ? `the first ${ROWS} of ${grouped(table.count)}` : grouped(table.count);
}

function toggleTable(on = $("table-view").hidden) {
  $("table-view").hidden = !on;
  $("stage").hidden = on;
  $("show-table").ariaPressed = String(on);
  if (on) {
    fillTable();
    $("table-kind").focus();
  } else redraw();
}

// --- keys and pointer ------------------------------------------------------------------------------------

const KEYS = {
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
  ArrowUp: () => changeLane(-1), ArrowDown: () => changeLane(1),
  "+": () => zoom(0.6, center()), "=": () => zoom(0.6, center()), "-": () => zoom(1 / 0.6, center()),
  0: () => show(BEGIN, END, true), w: followWake, t: () => toggleTable(), "?": openHelp,
  "/": () => $("search").focus(),
  Enter: () => state.selected && select(state.selected, true),
};

// The middle of the selection if it is in view, else that of the view.
function center() {
  const box = state.selected && boxOf(state.selected);
  if (!box) return undefined;
  const middle = (Math.max(box[0], view.t0) + Math.min(box[1], view.t1)) / 2;
  return middle >= view.t0 && middle <= view.t1 ? middle : undefined;
}

function openHelp() {
  $("help").showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const inField = event.target.matches("input, select");
  if (event.key === "Escape") return escape(event);
  if (inField) {
    if (event.key === "Enter" && event.target.id === "search") $("results").querySelector("button")?.click();
    return;
  }
  const onTimeline = event.target === timeline || event.target === document.body;
  if (event.key === "Tab") {
    if (event.target === timeline && step(event.shiftKey ? -1 : 1)) event.preventDefault();
    return;
  }
  if (!onTimeline && /^(Arrow|Enter)/.test(event.key)) return;
  const act = Object.hasOwn(KEYS, event.key) && KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// Closes the table, clears the search or the selection, or leaves the timeline.
function escape(event) {
  if (event.target.id === "search") {
    $("search").value = "";
    search("");
    timeline.focus();
  } else if (!$("table-view").hidden) {
    toggleTable(false);
    $("show-table").focus();
  } else if (state.selected) select(null);
  else timeline.blur();
}

function tooltip(selected) {
  const [title, facts] = { poll: ofPoll, wait: ofWait, task: ofTask, turn: ofTurn, closure: ofClosure, instant: ofInstant, note: ofNote }[selected.kind](selected.i);
  return [title, ...facts.filter(([, value]) => value).map(([name, value]) => `${name}: ${value}`)].join("\n");
}

function hover(event) {
  const box = timeline.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const found = hit(x, y);
  const tip = $("tip");
  tip.hidden = !found;
  if (!found) return;
  tip.textContent = tooltip(found);
  const stage = $("stage").getBoundingClientRect();
  tip.style.left = `${Math.max(0, Math.min(event.clientX - stage.left + 14, stage.width - tip.offsetWidth - 4))}px`;
  const below = event.clientY - stage.top + 16;
  tip.style.top = `${below + tip.offsetHeight > stage.height ? Math.max(0, below - tip.offsetHeight - 30) : below}px`;
}

let drag = null;
timeline.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  timeline.setPointerCapture(event.pointerId);
  drag = { x: event.clientX, y: event.clientY, t0: view.t0, t1: view.t1, top: view.y, moved: false };
  $("tip").hidden = true;
});
timeline.addEventListener("pointermove", (event) => {
  if (!drag) return hover(event);
  const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag.moved = true;
  scrollTo(drag.top - dy);
  const by = dx / scale();
  show(drag.t0 - by, drag.t1 - by);
});
timeline.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { moved } = drag;
  drag = null;
  if (moved) return;
  const box = timeline.getBoundingClientRect();
  const found = hit(event.clientX - box.left, event.clientY - box.top);
  select(found);
});
timeline.addEventListener("pointercancel", () => (drag = null));
timeline.addEventListener("pointerleave", () => ($("tip").hidden = true));
timeline.addEventListener("dblclick", () => state.selected && select(state.selected, true));
timeline.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 30 : 1;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const by = ((event.deltaX || event.deltaY) * lines) / scale();
    return show(view.t0 + by, view.t1 + by);
  }
  const x = event.clientX - timeline.getBoundingClientRect().left;
  if (x < state.gutter) {
    scrollTo(view.y + event.deltaY * lines);
    return redraw();
  }
  zoom(1.0018 ** (Math.max(-300, Math.min(300, event.deltaY * lines))), timeAt(x));
}, { passive: false });

// A drag in the overview chooses a part; a click moves the part that is shown.
let chosen = null;
const overviewTime = (event) => {
  const box = overview.getBoundingClientRect();
  return BEGIN + (Math.min(Math.max(event.clientX - box.left, 0), box.width) / box.width) * (END - BEGIN);
};
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  chosen = { time: overviewTime(event), x: event.clientX, length: view.t1 - view.t0 };
});
overview.addEventListener("pointermove", (event) => {
  if (!chosen || Math.abs(event.clientX - chosen.x) < 4) return;
  const time = overviewTime(event);
  show(Math.min(time, chosen.time), Math.max(time, chosen.time));
});
overview.addEventListener("pointerup", (event) => {
  if (chosen && Math.abs(event.clientX - chosen.x) < 4) show(chosen.time - chosen.length / 2, chosen.time + chosen.length / 2, true);
  chosen = null;
});

// --- start -----------------------------------------------------------------------------------------------

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
  readColors();
  $("legend").replaceChildren(...meta.causes.map((cause, i) => {
    const color = make("i");
    color.style.background = `var(--c${i})`;
    return make("li", [color, document.createTextNode(cause)]);
  }), legendEntry("--wait", "epoll_wait"), ...(note.group.length ? [legendEntry("--note", "from outside")] : []));
  redraw();
}

function legendEntry(variable, label) {
  const color = make("i");
  color.style.background = `var(${variable})`;
  return make("li", [color, document.createTextNode(label)]);
}

const wantsDark = matchMedia("(prefers-color-scheme: dark)");
wantsDark.addEventListener("change", () => setTheme(wantsDark.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
$("zoom-in").addEventListener("click", KEYS["+"]);
$("zoom-out").addEventListener("click", KEYS["-"]);
$("fit").addEventListener("click", KEYS[0]);
$("wake").addEventListener("click", followWake);
$("show-table").addEventListener("click", () => toggleTable());
$("show-help").addEventListener("click", openHelp);
$("close-help").addEventListener("click", () => $("help").close());
$("search").addEventListener("input", () => search($("search").value));
$("table-kind").addEventListener("change", () => {
  const kind = $("table-kind").value;
  Object.assign(order, { kind, column: TABLES[kind].sort, down: true });
  fillTable();
});
new ResizeObserver(redraw).observe($("stage"));

$("facts").textContent = `${meta.facts}, ${counted(poll.task.length, "poll")} of ${counted(task.row.filter((row) => row !== ROOT).length, "task")} in ${duration(END - BEGIN)}`;
for (const warning of meta.warnings) $("facts").after(make("p", warning, "warning"));
setTheme(wantsDark.matches ? "dark" : "light");
fillLists();
describe();
// For scripts that test the page.
globalThis.wakefulTrace = { view, state, lanes, counts: { polls: poll.task.length, tasks: task.row.length, waits: wait.task.length } };
