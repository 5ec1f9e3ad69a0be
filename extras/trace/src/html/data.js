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

const { task, poll, wait, wake, turn, instant, span, closure } = columns();
const BEGIN = meta.begin;
const END = Math.max(meta.end, meta.begin + 1);
const peers = new Map(meta.peers);

// --- lanes -----------------------------------------------------------------------------------------------

// Lane 0 is the loop; then the root future and the rows; then closures, packed so that none overlap.
const lanes = [{ kind: "loop", label: "loop" }];
const laneOfRow = new Map();
for (const row of [...new Set(task.row)].sort((a, b) => (a === ROOT ? -1 : b === ROOT ? 1 : a - b))) {
  laneOfRow.set(row, lanes.length);
  lanes.push({ kind: "row", row, label: row === ROOT ? "root" : `row ${row}`, tasks: [], first: 0, count: 0, spans: [] });
}
const laneOfTask = new Uint32Array(task.row.length);
for (let i = 0; i < task.row.length; i++) {
  laneOfTask[i] = laneOfRow.get(task.row[i]);
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
for (let i = 0; i < closure.begin.length; i++) {
  const ends = (lane) => lane.kind === "closures" && lane.until <= closure.begin[i];
  let lane = lanes.find(ends);
  if (!lane) {
    lane = { kind: "closures", label: "closures", closures: [], until: 0 };
    lanes.push(lane);
  }
  lane.closures.push(i);
  lane.until = closure.end[i] < 0 ? Infinity : closure.end[i];
}

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

function taskName(i) {
  const id = task.row[i] === ROOT ? "root" : `task ${task.row[i]}.${task.generation[i]}`;
  return task.name[i] ? `${id} "${text(task.name[i])}"` : id;
}

function causeWords(i) {
  const by = poll.wake[i] ? wake.by[poll.wake[i] - 1] : 0;
  if (by) return `woken by ${taskName(by - 1)}`;
  const [kind, value] = [poll.cause[i] >>> 24, poll.cause[i] & 0xffffff];
  if (kind === 1 && value === 0xffffff) return "woken by an event";
  const known = SENTENCES[kind] ?? "woken";
  return kind === 1 || kind === 3 ? `${known} ${value}${kind === 1 ? peerWords(value) : ""}` : known;
}

function peerWords(fd) {
  if (!peers.has(fd)) return "";
  return `, peer ${text(peers.get(fd))}`;
}

function onWords(i) {
  const [what, value] = [wait.what[i], wait.value[i]];
  if (!WHAT[what]) return "";
  if (what === 4 || what === 5) return ` on ${WHAT[what]}`;
  return ` on ${WHAT[what]} ${value}${what === 1 ? peerWords(value) : ""}`;
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

const waitEnd = (i) => (wait.end[i] < 0 ? END : wait.end[i]);
const taskEnd = (i) => (task.end[i] < 0 ? END : task.end[i]);

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
  const end = (n) => (span.end[n] < 0 ? END : span.end[n]);
  const overlapping = spans.filter((n) => span.task[n] === poll.task[i] && span.begin[n] <= poll.end[i] && end(n) >= poll.begin[i]);
  return overlapping.slice(0, 6).map((n) => `${text(span.name[n])} ${duration(end(n) - span.begin[n])}`).join("; ");
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
