"use strict";
// Part 1 of 3: decodes the columns, and puts events into words. The page has one script, made of data.js,
// draw.js and app.js in this order. Times are nanoseconds since the start of the recording.

const $ = (id) => document.getElementById(id);
const meta = JSON.parse($("meta").textContent);
const ROOT = 0xffffffff;
const OUTCOMES = ["pending", "ready", "panicked", "aborted", "unfinished"];
const WHAT = { 1: "fd", 2: "timer", 3: "task in row", 4: "a list of waiters", 5: "a closure", 6: "signal" };
const SENTENCES = ["first poll after its spawn", "woken by fd", "woken by a timer", "woken by task in row",
  "woken by the root future", "woken by another thread", "yielded", "aborted"];

// --- columns ---------------------------------------------------------------------------------------------

function decode(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const bytes = atob(text);
  const array = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) array[i] = bytes.charCodeAt(i);
  return array;
}

// Returns the columns as typed arrays: `col.poll.begin`.
function columns() {
  const element = $("columns");
  const buffer = decode(element.textContent.trim()).buffer;
  element.remove();
  const types = { f64: Float64Array, u32: Uint32Array, u8: Uint8Array };
  const tables = {};
  for (const [name, [type, offset, length]] of Object.entries(meta.columns)) {
    const [table, column] = name.split(".");
    tables[table] ??= {};
    tables[table][column] = new types[type](buffer, offset, length);
  }
  return tables;
}

const { runtime, note, task, poll, wait, wake, turn, instant, span, closure } = columns();
const BEGIN = meta.begin;
const END = Math.max(meta.end, meta.begin + 1);
// The texts about peers, by runtime and descriptor.
const peers = new Map(meta.peers.map(([of, fd, text]) => [`${of} ${fd}`, text]));

// --- lanes -----------------------------------------------------------------------------------------------

// A group is a program, with its runtimes one after another. Its lanes: its name with what happened from outside, if it
// has a name; the loop; the root future and the rows; the closures. Notes and closures are packed so that none overlap.
const lanes = [];
const groups = meta.groups.map((name) => ({ name, loop: -1, laneOfRow: new Map(), first: 0, last: 0 }));
const groupOf = (i) => groups[runtime.group[i]];

// Puts what begins and ends into the lanes of a kind that `make` adds.
function pack(count, begin, end, make) {
  const packed = [];
  for (const i of [...Array(count).keys()].filter((i) => begin(i) >= 0).sort((a, b) => begin(a) - begin(b))) {
    let lane = packed.find((known) => known.until <= begin(i));
    if (!lane) packed.push((lane = { ...make(), until: 0 }));
    lane.list.push(i);
    // What takes no time still takes place.
    lane.until = Math.max(end(i), begin(i) + 1);
  }
  return packed;
}

const closureEnd = (i) => (closure.end[i] < 0 ? runtime.end[closure.runtime[i]] : closure.end[i]);

groups.forEach((group, number) => {
  group.first = lanes.length;
  if (group.name) {
    const begin = (i) => (note.group[i] === number ? note.begin[i] : -1);
    const packed = pack(note.group.length, begin, (i) => note.end[i], () => ({ kind: "notes", group: number, label: "", list: [] }));
    if (!packed.length) packed.push({ kind: "notes", group: number, label: "", list: [] });
    packed[0].label = group.name;
    lanes.push(...packed);
  }
  const own = (list) => list.map((of, i) => [of, i]).filter(([of]) => runtime.group[of] === number).map(([, i]) => i);
  if (runtime.group.includes(number)) {
    group.loop = lanes.length;
    lanes.push({ kind: "loop", group: number, label: "loop", turns: own([...turn.runtime]) });
  }
  const tasks = own([...task.runtime]);
  for (const row of [...new Set(tasks.map((i) => task.row[i]))].sort((a, b) => (a === ROOT ? -1 : b === ROOT ? 1 : a - b))) {
    group.laneOfRow.set(row, lanes.length);
    lanes.push({ kind: "row", group: number, row, label: row === ROOT ? "root" : `row ${row}`, tasks: [], first: 0, count: 0, spans: [] });
  }
  const begin = (i) => (runtime.group[closure.runtime[i]] === number ? closure.begin[i] : -1);
  lanes.push(...pack(closure.begin.length, begin, closureEnd, () => ({ kind: "closures", group: number, label: "closures", list: [] })));
  group.last = lanes.length - 1;
});

const laneOfTask = new Uint32Array(task.row.length);
for (let i = 0; i < task.row.length; i++) {
  laneOfTask[i] = groupOf(task.runtime[i]).laneOfRow.get(task.row[i]);
  lanes[laneOfTask[i]].tasks.push(i);
}
for (const lane of lanes) {
  if (lane.kind !== "row") continue;
  const named = lane.tasks.find((i) => task.name[i] !== 0);
  if (named !== undefined) lane.label += ` ${text(task.name[named])}`;
}

// The polls of a lane are `lanePolls[first .. first + count]`, in order.
const lanePolls = new Uint32Array(poll.task.length);
for (let i = 0; i < poll.task.length; i++) lanes[laneOfTask[poll.task[i]]].count++;
lanes.reduce((first, lane) => {
  lane.first = lane.end = first;
  return first + (lane.count ?? 0);
}, 0);
for (let i = 0; i < poll.task.length; i++) lanePolls[lanes[laneOfTask[poll.task[i]]].end++] = i;

for (let i = 0; i < span.task.length; i++) lanes[laneOfTask[span.task[i]]].spans.push(i);

// Wakes by the task that was woken, and by the one that woke.
const wakesOf = new Map();
for (let i = 0; i < wake.time.length; i++) {
  for (const who of new Set([wake.woken[i], wake.by[i] - 1])) {
    if (who < 0) continue;
    if (!wakesOf.has(who)) wakesOf.set(who, []);
    wakesOf.get(who).push(i);
  }
}

// Waits that have no poll before them: their tasks are older than the recording.
const firstWait = new Map();
{
  const after = new Uint8Array(wait.task.length);
  for (const number of poll.wait) if (number) after[number - 1] = 1;
  for (let i = 0; i < after.length; i++) if (!after[i]) firstWait.set(wait.task[i], i);
}

// Returns the number of entries of a sorted list that satisfy `before`.
function partition(count, before) {
  let low = 0;
  while (low < count) {
    const middle = (low + count) >> 1;
    if (before(middle)) low = middle + 1;
    else count = middle;
  }
  return low;
}

// Returns the position in `lanePolls` of the first poll of a lane that ends after a time.
function firstPollAfter(lane, time) {
  return lane.first + partition(lane.count, (i) => poll.end[lanePolls[lane.first + i]] <= time);
}

// --- words -----------------------------------------------------------------------------------------------

function text(number) {
  return number === 0 ? "" : (meta.texts[number - 1] ?? "?");
}

function duration(ns) {
  for (const [unit, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (ns < unit) continue;
    const figure = ns / unit;
    return `${figure < 10 ? figure.toFixed(2) : figure < 100 ? figure.toFixed(1) : grouped(Math.floor(figure))} ${name}`;
  }
  return `${Math.round(ns)} ns`;
}

const grouped = (number) => Math.round(number).toLocaleString("en-US");
const counted = (number, thing) => `${grouped(number)} ${thing}${number === 1 ? "" : "s"}`;
const moment = (ns) => `+${(ns / 1e9).toFixed(6)} s`;

// Returns file name and line of a location.
function short(place) {
  const match = /([^/]*):(\d+):\d+$/.exec(place);
  return match ? `${match[1]}:${match[2]}` : place;
}

function taskId(i) {
  const id = task.row[i] === ROOT ? "root" : `task ${task.row[i]}.${task.generation[i]}`;
  return task.name[i] ? `${id} "${text(task.name[i])}"` : id;
}

// Returns the name of a group before a text, if there are several.
const ofGroup = (of, words) => (groupOf(of).name ? `${groupOf(of).name}: ${words}` : words);
const taskName = (i) => ofGroup(task.runtime[i], taskId(i));

function causeWords(i) {
  const by = poll.wake[i] ? wake.by[poll.wake[i] - 1] : 0;
  if (by) return `woken by ${taskId(by - 1)}`;
  const [kind, value] = [poll.cause[i] >>> 24, poll.cause[i] & 0xffffff];
  if (kind === 1 && value === 0xffffff) return "woken by an event";
  const known = SENTENCES[kind] ?? "woken";
  return kind === 1 || kind === 3 ? `${known} ${value}${kind === 1 ? peerWords(poll.task[i], value) : ""}` : known;
}

function peerWords(who, fd) {
  const peer = peers.get(`${task.runtime[who]} ${fd}`);
  return peer ? `, peer ${text(peer)}` : "";
}

function onWords(i) {
  const [what, value] = [wait.what[i], wait.value[i]];
  if (!WHAT[what]) return "";
  if (what === 4 || what === 5) return ` on ${WHAT[what]}`;
  return ` on ${WHAT[what]} ${value}${what === 1 ? peerWords(wait.task[i], value) : ""}`;
}

// Returns operation and location of a wait, as short as a gap in a lane needs.
function waitLabel(i) {
  const operation = wait.operation[i] ? text(wait.operation[i]) : "waits";
  return wait.place[i] ? `${operation} ${short(text(wait.place[i]))}` : operation;
}

function waitWords(i) {
  const operation = wait.operation[i] ? text(wait.operation[i]) : "something unknown to the runtime";
  const place = wait.place[i] ? ` at ${text(wait.place[i])}` : "";
  return `${operation}${place}${onWords(i)}`;
}

const taskEnd = (i) => (task.end[i] < 0 ? runtime.end[task.runtime[i]] : task.end[i]);
const waitEnd = (i) => (wait.end[i] < 0 ? runtime.end[task.runtime[wait.task[i]]] : wait.end[i]);
const spanEnd = (i) => (span.end[i] < 0 ? runtime.end[task.runtime[span.task[i]]] : span.end[i]);

function instantWords(i) {
  const [a, x, y] = [instant.a[i], instant.x[i], instant.y[i]];
  const result = y | 0;
  const noun = ["", "receive", "send", "accept", "connect"][a] ?? "transfer";
  switch (instant.kind[i]) {
    case 10: return `timer ${x} armed, due in ${duration(y * 1e6)}${y === ROOT ? " or later" : ""}`;
    case 11: return "timer fired";
    case 12:
      if (result === -115) return `fd ${x} begins to connect`;
      if (result === -11) return `fd ${x}: ${noun} would block`;
      if (result === -0x80000000) return `fd ${x}: ${noun} failed`;
      if (result < 0) return `fd ${x}: ${noun} failed with errno ${-result}`;
      if (a === 3) return `fd ${x} accepted fd ${result}`;
      if (a === 4) return `fd ${x} connected`;
      return `fd ${x} ${["", "received", "sent"][a] ?? "transferred"} ${counted(result, "byte")}`;
    case 15: return `${counted(y, "message")}: ${["wake", "timer or waker", "closure", "abort"][x] ?? "other"}`;
    case 16: return `fd ${x} registered`;
    case 17: return `fd ${x} deregistered`;
    case 18: return `mark "${text(y)}"`;
    default: return "texts lost";
  }
}

// Returns what happened during a poll, in words, at most `limit` entries.
function instantsIn(i, limit) {
  const from = partition(instant.time.length, (n) => instant.time[n] < poll.begin[i]);
  const words = [];
  for (let n = from; n < instant.time.length && instant.time[n] <= poll.end[i]; n++) {
    if (instant.task[n] - 1 !== poll.task[i]) continue;
    if (words.length === limit) return [...words, "and more"];
    words.push(instantWords(n));
  }
  return words;
}

// Returns the spans that overlap a poll, in words.
function spansIn(i) {
  const spans = lanes[laneOfTask[poll.task[i]]].spans;
  const overlapping = spans.filter((n) => span.task[n] === poll.task[i] && span.begin[n] <= poll.end[i] && spanEnd(n) >= poll.begin[i]);
  return overlapping.slice(0, 6).map((n) => `${text(span.name[n])} ${duration(spanEnd(n) - span.begin[n])}`).join("; ");
}

// Returns the numbers below `count` with the highest figures, the highest first.
function highest(count, limit, figure) {
  const best = [];
  let least = -Infinity;
  for (let i = 0; i < count; i++) {
    const value = figure(i);
    if (best.length === limit && value <= least) continue;
    let at = best.length;
    while (at > 0 && best[at - 1][0] < value) at--;
    best.splice(at, 0, [value, i]);
    if (best.length > limit) best.pop();
    least = best[best.length - 1][0];
  }
  return best.map(([, i]) => i);
}
