// Part 2 of 3: the view, and what is drawn on the two canvases.

const LANE = 24;
const AXIS = 22;
const view = { t0: BEGIN, t1: END, y: 0 };
const state = { selected: null, hover: null, lane: Math.max(lanes.findIndex((lane) => lane.kind === "row"), 0), width: 0, height: 0, gutter: 150, frame: 0 };
const overview = $("overview");
const timeline = $("timeline");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let colors = {};
let overviewPicture = null;

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = ["bg", "fg", "dim", "line", "stripe", "band", "wait", "life", "accent", "panel", "note"];
  colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  colors.causes = meta.causes.map((_, i) => style.getPropertyValue(`--c${i}`).trim());
  overviewPicture = null;
}

// --- view ------------------------------------------------------------------------------------------------

const scale = () => (state.width - state.gutter) / (view.t1 - view.t0);
const xOf = (time) => state.gutter + (time - view.t0) * scale();
const timeAt = (x) => view.t0 + (x - state.gutter) / scale();
const yOf = (lane) => AXIS + lane * LANE - view.y;
const laneAt = (y) => (y < AXIS ? -1 : Math.floor((y - AXIS + view.y) / LANE));

function clampView(t0, t1) {
  const all = END - BEGIN;
  const length = Math.min(Math.max(t1 - t0, Math.min(20, all)), all);
  const middle = (t0 + t1) / 2;
  const begin = Math.min(Math.max(middle - length / 2, BEGIN), END - length);
  return [begin, begin + length];
}

let motion = 0;

// Shows a part of the recording; moves there in a few frames, unless motion is to be reduced.
function show(t0, t1, animate = false) {
  [t0, t1] = clampView(t0, t1);
  cancelAnimationFrame(motion);
  if (!animate || calm.matches) {
    [view.t0, view.t1] = [t0, t1];
    return redraw();
  }
  const [from0, from1, start] = [view.t0, view.t1, performance.now()];
  const step = (now) => {
    const part = Math.min((now - start) / 180, 1);
    const eased = 1 - (1 - part) ** 3;
    view.t0 = from0 + (t0 - from0) * eased;
    view.t1 = from1 + (t1 - from1) * eased;
    if (part < 1) motion = requestAnimationFrame(step);
    else [view.t0, view.t1] = [t0, t1];
    redraw();
  };
  motion = requestAnimationFrame(step);
}

function zoom(factor, at = (view.t0 + view.t1) / 2) {
  show(at - (at - view.t0) * factor, at + (view.t1 - at) * factor);
}

function pan(part) {
  const by = (view.t1 - view.t0) * part;
  show(view.t0 + by, view.t1 + by);
}

function scrollTo(y) {
  const most = Math.max(0, lanes.length * LANE + AXIS + 8 - state.height);
  view.y = Math.min(Math.max(y, 0), most);
}

function showLane(lane) {
  const y = yOf(lane);
  if (y < AXIS || y + LANE > state.height) scrollTo(lane * LANE - (state.height - AXIS) / 2);
}

// --- drawing ---------------------------------------------------------------------------------------------

function redraw() {
  // What it describes is not below the pointer any more.
  $("tip").hidden = true;
  if (!state.frame) state.frame = requestAnimationFrame(draw);
}

// Prepares a canvas for the density of the screen. Returns the context, and whether the size has changed.
function prepare(canvas) {
  const ratio = devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  const resized = canvas.width !== width || canvas.height !== height;
  if (resized) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, box.width, box.height, resized];
}

function draw() {
  state.frame = 0;
  const [c, width, height] = prepare(timeline);
  if (width === 0) return;
  Object.assign(state, { width, height, gutter: width < 520 ? 84 : 150 });
  scrollTo(view.y);
  c.fillStyle = colors.bg;
  c.fillRect(0, 0, width, height);
  const first = Math.max(0, laneAt(AXIS));
  const last = Math.min(lanes.length - 1, laneAt(height));
  c.save();
  c.beginPath();
  c.rect(0, AXIS, width, height - AXIS);
  c.clip();
  drawStripes(c, first, last);
  c.save();
  c.beginPath();
  c.rect(state.gutter, AXIS, width - state.gutter, height - AXIS);
  c.clip();
  for (const group of groups) drawTurns(c, group);
  const isNotes = (lane) => lanes[lane].kind === "notes";
  for (let lane = first; lane <= last; lane++) if (!isNotes(lane)) drawLane(c, lanes[lane], yOf(lane));
  // A group that is partly in view can have its notes above it.
  for (const lane of lanes.keys()) if (isNotes(lane)) drawEdges(c, lanes[lane]);
  for (let lane = first; lane <= last; lane++) if (isNotes(lane)) drawNotes(c, lanes[lane], yOf(lane));
  drawSelection(c);
  c.restore();
  drawLabels(c, first, last);
  c.restore();
  drawAxis(c);
  drawOverview();
}

function drawStripes(c, first, last) {
  for (let lane = first; lane <= last; lane++) {
    if (lane === state.lane) c.fillStyle = colors.life;
    else if (lanes[lane].kind === "notes") {
      c.fillStyle = colors.panel;
      c.fillRect(0, yOf(lane), state.width, LANE);
      c.fillStyle = colors.line;
      c.fillRect(0, yOf(lane), state.width, lanes[lane].label ? 1 : 0);
      continue;
    } else if (lane % 2) c.fillStyle = colors.stripe;
    else continue;
    c.fillRect(lane === state.lane ? 0 : state.gutter, yOf(lane), lane === state.lane ? state.gutter : state.width, LANE);
  }
}

function drawLabels(c, first, last) {
  c.font = "12px system-ui, sans-serif";
  c.textBaseline = "middle";
  for (let lane = first; lane <= last; lane++) {
    const isName = lanes[lane].kind === "notes";
    c.font = `${isName ? "600 " : ""}12px system-ui, sans-serif`;
    c.fillStyle = lane === state.lane || isName ? colors.fg : colors.dim;
    c.fillText(fitted(c, lanes[lane].label, state.gutter - 12), 8, yOf(lane) + LANE / 2 + 1);
  }
  c.fillStyle = colors.line;
  c.fillRect(state.gutter - 1, AXIS, 1, state.height);
}

// Returns a text without what does not fit into a width.
function fitted(c, label, width) {
  if (c.measureText(label).width <= width) return label;
  const letters = [...label];
  const count = partition(letters.length, (n) => c.measureText(`${letters.slice(0, n + 1).join("")}…`).width <= width);
  return count < 2 ? "" : `${letters.slice(0, count).join("")}…`;
}

function drawAxis(c) {
  c.fillStyle = colors.panel;
  c.fillRect(0, 0, state.width, AXIS);
  c.fillStyle = colors.line;
  c.fillRect(0, AXIS - 1, state.width, 1);
  const wanted = ((view.t1 - view.t0) * 110) / (state.width - state.gutter);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= wanted);
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  c.fillStyle = colors.dim;
  c.fillText(fitted(c, `${duration(view.t1 - view.t0)} shown`, state.gutter - 12), 8, AXIS / 2);
  const [unit, name] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]].find(([n]) => step >= n || n === 1);
  for (let time = Math.ceil(view.t0 / step) * step; time <= view.t1; time += step) {
    const x = xOf(time);
    c.fillRect(x, AXIS - 5, 1, 5);
    const figure = time / unit;
    c.fillText(`${figure.toLocaleString("en-US", { maximumFractionDigits: 3 })} ${name}`, x + 4, AXIS / 2);
  }
}

// Shades the time in epoll_wait, as far as it is wider than a pixel.
function drawTurns(c, group) {
  if (group.loop < 0) return;
  const y = yOf(group.loop);
  const bottom = group.name ? yOf(group.last + 1) : state.height;
  if (bottom < AXIS || y > state.height) return;
  const k = scale();
  c.fillStyle = colors.band;
  const { turns } = lanes[group.loop];
  // Turns that nearly touch are one bar, as dark as it is full of them: [from, to, sum of widths, count].
  const bars = [];
  for (let n = partition(turns.length, (m) => turn.end[turns[m]] <= view.t0); n < turns.length; n++) {
    const i = turns[n];
    if (turn.begin[i] >= view.t1) break;
    const [from, w] = [xOf(turn.begin[i]), (turn.end[i] - turn.begin[i]) * k];
    if (w >= 1) c.fillRect(from, y, w, bottom - y);
    const last = bars[bars.length - 1];
    if (last && from - last[1] < 0.5) {
      last[1] = from + w;
      last[2] += w;
      last[3]++;
    } else bars.push([from, from + w, w, 1]);
  }
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  for (const [from, to, sum, count] of bars) {
    c.fillStyle = colors.wait;
    c.globalAlpha = count === 1 ? 1 : Math.max(0.15, Math.min(1, sum / (to - from)));
    c.fillRect(from, y + 6, Math.max(to - from, 0.5), LANE - 12);
    c.globalAlpha = 1;
    c.fillStyle = count === 1 ? colors.bg : colors.fg;
    const label = count === 1 ? "epoll_wait" : `${grouped(count)} epoll_wait`;
    const begin = Math.max(from, state.gutter) + 5;
    if (Math.min(to, state.width) - begin > 90) c.fillText(label, begin, y + LANE / 2 + 0.5);
  }
}

function drawLane(c, lane, y) {
  if (lane.kind === "closures") return drawBars(c, lane.list, closure.begin, closureEnd, y + 6, LANE - 12, (i) => `closure ${closure.number[i]}`);
  if (lane.kind !== "row") return;
  c.fillStyle = colors.life;
  for (const i of lane.tasks) {
    const [from, to] = [Math.max(xOf(task.begin[i]), -9), Math.min(xOf(taskEnd(i)), state.width + 9)];
    if (to >= state.gutter && from <= state.width) c.fillRect(from, y + 4, Math.max(to - from, 1), LANE - 8);
  }
  drawWaits(c, lane, y);
  drawPolls(c, lane, y);
  if (lane.spans.length) drawBars(c, lane.spans, span.begin, spanEnd, y + LANE - 4, 3, () => "", colors.fg);
}

function drawBars(c, list, begins, end, y, height, label, color = colors.accent) {
  for (const i of list) {
    const [from, to] = [xOf(begins[i]), xOf(end(i))];
    if (to < state.gutter || from > state.width) continue;
    c.fillStyle = color;
    c.fillRect(from, y, Math.max(to - from, 1), height);
    if (to - from < 70 || !label(i)) continue;
    c.fillStyle = colors.bg;
    c.font = "11px system-ui, sans-serif";
    c.fillText(label(i), Math.max(from, state.gutter) + 5, y + height / 2 + 0.5);
  }
}

// Draws what happened from outside, with its text inside of the bar, right of it or left of it, where there is room.
function drawNotes(c, lane, y) {
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  let left = state.gutter;
  lane.list.forEach((i, n) => {
    const from = Math.min(xOf(note.begin[i]), xOf(END) - 2);
    const to = Math.max(xOf(note.end[i]), from + 2);
    const next = n + 1 < lane.list.length ? xOf(note.begin[lane.list[n + 1]]) : state.width;
    if (to < state.gutter || from > state.width) return;
    c.fillStyle = colors.note;
    c.fillRect(from, y + 4, to - from, LANE - 8);
    const [begin, end] = [Math.max(from, state.gutter) + 5, Math.min(to, state.width)];
    const width = c.measureText(meta.notes[i]).width;
    const [inside, right, before] = [end - begin - 5, Math.min(next, state.width) - to - 8, from - left - 8];
    const middle = y + LANE / 2 + 0.5;
    c.fillStyle = width <= inside ? colors.bg : colors.fg;
    left = to;
    if (width <= inside) return c.fillText(meta.notes[i], begin, middle);
    const isRight = width <= right || before < right;
    const words = fitted(c, meta.notes[i], isRight ? right : before);
    const taken = c.measureText(words).width + 4;
    c.fillText(words, isRight ? to + 4 : from - taken, middle);
    if (isRight) left = to + taken;
  });
}

// Draws the begin and the end of notes through the lanes of their group.
function drawEdges(c, lane) {
  const group = groups[lane.group];
  const [top, bottom] = [yOf(group.first), yOf(group.last + 1)];
  if (bottom < AXIS || top > state.height) return;
  c.fillStyle = colors.note;
  c.globalAlpha = 0.5;
  for (const i of lane.list) {
    const edges = note.end[i] === note.begin[i] ? [note.begin[i]] : [note.begin[i], note.end[i]];
    for (const time of edges) if (time > BEGIN && time < END) c.fillRect(Math.round(xOf(time)), top, 1, bottom - top);
  }
  c.globalAlpha = 1;
}

// Draws lines for waits that are wide enough, and what they wait for.
function drawWaits(c, lane, y) {
  const list = [];
  for (const i of lane.tasks) if (firstWait.has(i)) list.push(firstWait.get(i));
  const from = Math.max(firstPollAfter(lane, view.t0) - 1, lane.first);
  const minimum = 3 / scale();
  for (let n = from; n < lane.first + lane.count; n++) {
    const i = lanePolls[n];
    if (poll.begin[i] > view.t1) break;
    const number = poll.wait[i];
    if (number && waitEnd(number - 1) - wait.begin[number - 1] > minimum) list.push(number - 1);
  }
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  for (const i of list) {
    const from = Math.max(xOf(wait.begin[i]), state.gutter);
    const to = Math.min(xOf(waitEnd(i)), state.width);
    if (to - from < 3) continue;
    const label = to - from > 60 ? fitted(c, waitLabel(i), to - from - 14) : "";
    c.fillStyle = colors.wait;
    if (!label) {
      c.fillRect(from, y + LANE / 2, to - from, 1);
      continue;
    }
    const width = c.measureText(label).width + 10;
    c.fillRect(from, y + LANE / 2, 4, 1);
    c.fillRect(from + width, y + LANE / 2, Math.max(to - from - width, 0), 1);
    c.fillStyle = colors.dim;
    c.fillText(label, from + 6, y + LANE / 2 + 1);
  }
}

// Draws polls. Those that begin in the same pixel are a column, as high as the pixel is busy, with the color
// of the cause that it was busy for most.
function drawPolls(c, lane, y) {
  const k = scale();
  const busy = new Float64Array(colors.causes.length);
  const [top, height] = [y + 3, LANE - 6];
  let pixel = -1;
  let sum = 0;
  const flush = () => {
    if (sum === 0) return;
    let cause = 0;
    for (let n = 1; n < busy.length; n++) if (busy[n] > busy[cause]) cause = n;
    const part = Math.max(0.3, Math.min(1, sum));
    c.fillStyle = colors.causes[cause];
    c.fillRect(pixel, top + height * (1 - part), 1, height * part);
    busy.fill(0);
    sum = 0;
  };
  const end = lane.first + lane.count;
  for (let n = firstPollAfter(lane, view.t0); n < end; n++) {
    const i = lanePolls[n];
    if (poll.begin[i] > view.t1) break;
    const x = xOf(poll.begin[i]);
    const w = (poll.end[i] - poll.begin[i]) * k;
    const cause = Math.min(poll.cause[i] >>> 24, busy.length - 1);
    if (w >= 1) {
      flush();
      c.fillStyle = colors.causes[cause];
      c.fillRect(x, top, w, height);
      continue;
    }
    if (Math.floor(x) !== pixel) {
      flush();
      pixel = Math.floor(x);
    }
    busy[cause] += w + 1e-9;
    sum += w + 1e-9;
  }
  flush();
}

function drawSelection(c) {
  const s = state.selected;
  if (!s) return;
  const who = s.kind === "poll" ? poll.task[s.i] : s.kind === "wait" ? wait.task[s.i] : s.kind === "task" ? s.i : -1;
  if (who >= 0) drawArrows(c, who);
  const box = boxOf(s);
  if (!box) return;
  const [from, to, lane] = box;
  c.strokeStyle = colors.fg;
  c.lineWidth = 2;
  const x = Math.max(xOf(from), state.gutter - 4);
  c.strokeRect(x - 1, yOf(lane) + 1, Math.max(Math.min(xOf(to), state.width + 4) - x, 2) + 2, LANE - 2);
}

// Returns begin, end and lane of a selection.
function boxOf(s) {
  if (s.kind === "poll") return [poll.begin[s.i], poll.end[s.i], laneOfTask[poll.task[s.i]]];
  if (s.kind === "wait") return [wait.begin[s.i], waitEnd(s.i), laneOfTask[wait.task[s.i]]];
  if (s.kind === "task") return [task.begin[s.i], taskEnd(s.i), laneOfTask[s.i]];
  if (s.kind === "turn") return [turn.begin[s.i], turn.end[s.i], groupOf(turn.runtime[s.i]).loop];
  const laneWith = (kind) => lanes.findIndex((lane) => lane.kind === kind && lane.list.includes(s.i));
  if (s.kind === "closure") return [closure.begin[s.i], closureEnd(s.i), laneWith("closures")];
  if (s.kind === "note") return [note.begin[s.i], note.end[s.i], laneWith("notes")];
  if (s.kind === "instant") {
    const lane = instant.task[s.i] ? laneOfTask[instant.task[s.i] - 1] : groupOf(instant.runtime[s.i]).loop;
    return [instant.time[s.i], instant.time[s.i], lane];
  }
  return null;
}

// Draws an arrow per wake of or by a task: from the moment of the wake to the poll after it.
function drawArrows(c, who) {
  const list = wakesOf.get(who) ?? [];
  const from = partition(list.length, (n) => wake.time[list[n]] < view.t0 - (view.t1 - view.t0));
  c.lineWidth = 1;
  c.strokeStyle = c.fillStyle = colors.fg;
  let drawn = 0;
  for (let n = from; n < list.length && drawn < 400; n++) {
    const i = list[n];
    if (wake.time[i] > view.t1) break;
    if (!wake.by[i] || !wake.to[i]) continue;
    const to = wake.to[i] - 1;
    if (poll.begin[to] < view.t0) continue;
    const [x0, x1] = [xOf(wake.time[i]), xOf(poll.begin[to])];
    const [y0, y1] = [yOf(laneOfTask[wake.by[i] - 1]) + LANE / 2, yOf(laneOfTask[poll.task[to]]) + LANE / 2];
    const bend = Math.min(Math.max((x1 - x0) / 2, 6), 60);
    c.beginPath();
    c.moveTo(x0, y0);
    c.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1 - 4, y1);
    c.stroke();
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x1 - 6, y1 - 3.5);
    c.lineTo(x1 - 6, y1 + 3.5);
    c.fill();
    drawn++;
  }
}

// --- overview --------------------------------------------------------------------------------------------

// Draws how busy the loop is in each pixel, once per size and theme; and the part that is shown, each time.
function drawOverview() {
  const [c, width, height, resized] = prepare(overview);
  if (resized || !overviewPicture) overviewPicture = overviewColumns(Math.max(1, Math.floor(width)));
  c.fillStyle = colors.bg;
  c.fillRect(0, 0, width, height);
  const inner = height - 6;
  for (let x = 0; x < overviewPicture.length; x++) {
    let y = height;
    overviewPicture[x].forEach((part, cause) => {
      if (part === 0) return;
      const h = Math.max(part * inner, 0.5);
      c.fillStyle = colors.causes[cause];
      c.fillRect(x, y - h, 1, h);
      y -= h;
    });
  }
  const x0 = ((view.t0 - BEGIN) / (END - BEGIN)) * width;
  const x1 = ((view.t1 - BEGIN) / (END - BEGIN)) * width;
  c.globalAlpha = 0.5;
  c.fillStyle = colors.band;
  c.fillRect(0, 0, x0, height);
  c.fillRect(x1, 0, width - x1, height);
  c.globalAlpha = 1;
  c.strokeStyle = colors.accent;
  c.lineWidth = 2;
  c.strokeRect(x0 + 1, 1, Math.max(x1 - x0 - 2, 2), height - 2);
}

// Returns for each pixel the part of its time that polls took, by cause. Of several groups it is the mean.
function overviewColumns(width) {
  const count = colors.causes.length;
  const sums = Array.from({ length: width }, () => new Float64Array(count));
  const per = (END - BEGIN) / width;
  const all = per * Math.max(groups.length, 1);
  for (let i = 0; i < poll.begin.length; i++) {
    const cause = Math.min(poll.cause[i] >>> 24, count - 1);
    let [begin, end] = [poll.begin[i] - BEGIN, poll.end[i] - BEGIN];
    for (let x = Math.min(Math.floor(begin / per), width - 1); x < width; x++) {
      const border = (x + 1) * per;
      sums[x][cause] += (Math.min(end, border) - begin) / all;
      if (end <= border) break;
      begin = border;
    }
  }
  return sums;
}
