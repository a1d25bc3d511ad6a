// Copyright (c) monai_semise contributors
// SPDX-License-Identifier: Apache-2.0
"use strict";

const $ = (id) => document.getElementById(id);
const SIDES = ["left", "right"];
const FITTING = { zoom: 0, x: 0, y: 0, level: 0, contrast: 0, slice: 0.5 };
const view = { ...FITTING };
const panes = { left: null, right: null };
let rater = "";
let pair = null;
let shownAt = 0;
let pending = null; // an answer or undo that is not acknowledged yet: sent again under the same id
let generation = 0;
const SETTLED = 250; // ms that a pair must be in sight before it is answered: a double click is not two answers

// ---------------------------------------------------------------- talking to the server

class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (response.ok) return response;
  if (response.status === 401) {
    show("sign-in");
    throw new Refused("Please sign in.", 401);
  }
  const detail = await response.json().then((content) => content.detail, () => response.statusText);
  throw new Refused(typeof detail === "string" ? detail : JSON.stringify(detail), response.status);
}

function newId() {
  const random = crypto.getRandomValues(new Uint32Array(4));
  return Array.from(random, (n) => n.toString(16).padStart(8, "0")).join("");
}

async function send() {
  const { path, body, said } = pending;
  try {
    const answer = await (await ask(path, body)).json();
    pending = null;
    trouble("");
    $("status").textContent = answer.undone === null ? "There is nothing to take back." : said;
    take(answer);
  } catch (error) {
    if (error.status === 401) return;
    const final = error.status >= 400 && error.status < 500; // it would be refused again
    trouble(`Not stored: ${error.message}`, !final);
    if (!final) return;
    pending = null;
    take(await (await ask(`api/next?rater=${encodeURIComponent(rater)}`)).json());
  }
}

function answer(outcome) {
  if (!pair || pending || $("work").dataset.ready !== "yes") return;
  const button = document.querySelector(`[data-outcome="${outcome}"]`);
  const seconds = (performance.now() - shownAt) / 1000;
  pending = { path: "api/answers", body: { id: newId(), ...pair, outcome, rater, seconds }, said: `Stored: ${spoken(button)}.` };
  send();
}

function undo() {
  if (pending) return;
  pending = { path: "api/undo", body: { id: newId(), rater }, said: "Last answer taken back." };
  send();
}

function spoken(button) {
  return Array.from(button.childNodes).filter((node) => node.nodeName !== "KBD").map((node) => node.textContent).join("").trim();
}

function trouble(text, retry = false) {
  $("trouble-text").textContent = text;
  $("again").hidden = !retry;
}

// ---------------------------------------------------------------- what is on the page

function show(part) {
  for (const name of ["sign-in", "name", "work", "done"]) $(name).hidden = name !== part;
  const named = part === "work" || part === "done";
  for (const name of ["progress", "leave", "agreement-open", "export"]) $(name).hidden = !named;
  if (part === "name") $("rater").focus();
  if (part === "sign-in") $("user").focus();
}

function take({ pair: next, progress }) {
  $("who").textContent = `Rater: ${rater}`;
  $("bar").max = progress.expected;
  $("bar").value = Math.min(progress.answered_by_all, progress.expected);
  const drawn = progress.left_out ? `; ${progress.images} of ${progress.images + progress.left_out} images` : "";
  $("count").textContent = `${progress.answered} by you, ${progress.answered_by_all} of about ${progress.expected} in all${drawn}`;
  pair = next;
  show(pair ? "work" : "done");
  if (pair) load();
}

async function start() {
  try {
    take(await (await ask(`api/next?rater=${encodeURIComponent(rater)}`)).json());
    trouble("");
  } catch (error) {
    if ($("sign-in").hidden) show("name");
    trouble(error.message);
  }
}

async function load() {
  const mine = ++generation;
  Object.assign(view, FITTING);
  shownAt = performance.now();
  document.activeElement.blur?.();
  for (const side of SIDES) {
    panes[side] = null;
    $(`${side}-problem`).textContent = "";
    $(`${side}-name`).textContent = pair[side === "left" ? "image_a" : "image_b"];
  }
  $("slice-tool").hidden = true;
  update();
  $("work").setAttribute("aria-busy", "true");
  $("work").dataset.ready = "no";
  await Promise.all(SIDES.map((side) => loadSide(side, mine)));
  if (mine !== generation) return;
  $("work").removeAttribute("aria-busy");
  shownAt = performance.now();
  setTimeout(() => { if (mine === generation) $("work").dataset.ready = "yes"; }, SETTLED);
}

async function loadSide(side, mine) {
  const id = encodeURIComponent(pair[side === "left" ? "image_a" : "image_b"]);
  try {
    const image = await (await ask(`api/image?id=${id}`)).json();
    if (mine !== generation) return;
    panes[side] = { ...image, id, slice: -1, wanted: -1, values: null, picture: document.createElement("canvas") };
    panes[side].picture.width = image.width;
    panes[side].picture.height = image.height;
    if (image.slices > 1) $("slice-tool").hidden = false;
    await loadSlice(side, mine);
  } catch (error) {
    if (mine === generation) $(`${side}-problem`).textContent = `This image cannot be shown: ${error.message}`;
  }
}

async function loadSlice(side, mine) {
  const pane = panes[side];
  const slice = Math.round(view.slice * (pane.slices - 1));
  if (slice === pane.wanted) return;
  pane.wanted = slice;
  const buffer = await (await ask(`api/pixels?id=${pane.id}&slice=${slice}`)).arrayBuffer();
  if (mine !== generation || slice !== pane.wanted) return;
  pane.values = pane.channels === 1 ? new Uint16Array(buffer) : new Uint8Array(buffer);
  pane.slice = slice;
  pane.drawn = null;
  draw(side);
}

// ---------------------------------------------------------------- drawing

function developed(pane) {
  // window and level: gray values become brightness; the same relative change for both images
  const key = `${view.level} ${view.contrast}`;
  if (pane.drawn === key) return;
  pane.drawn = key;
  const width = pane.window_width * 2 ** -view.contrast;
  const center = pane.window_center - view.level * pane.window_width;
  const step = (pane.high - pane.low) / (pane.channels === 1 ? 65535 : 255);
  const table = new Uint8ClampedArray(pane.channels === 1 ? 65536 : 256);
  for (let n = 0; n < table.length; n++) {
    const brightness = 255 * ((pane.low + n * step - center) / width + 0.5);
    table[n] = pane.inverted ? 255 - Math.min(255, Math.max(0, brightness)) : brightness;
  }
  const context = pane.picture.getContext("2d");
  const picture = context.createImageData(pane.width, pane.height);
  const out = picture.data;
  for (let n = 0, from = 0; n < out.length; n += 4) {
    if (pane.channels === 1) {
      out[n] = out[n + 1] = out[n + 2] = table[pane.values[from++]];
    } else {
      for (let c = 0; c < 3; c++) out[n + c] = table[pane.values[from++]];
    }
    out[n + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

function fit(side) {
  const canvas = $(side);
  const pane = panes[side];
  return Math.min(canvas.width / pane.width, canvas.height / (pane.height * pane.aspect)) * 2 ** view.zoom;
}

function draw(side) {
  const canvas = $(side);
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const pane = panes[side];
  canvas.dataset.shown = pane?.values ? "yes" : "no";
  if (!pane?.values || !width || !height) return;
  developed(pane);
  const scale = fit(side);
  context.imageSmoothingEnabled = scale < 8; // from there on single pixels are looked at
  context.imageSmoothingQuality = "high";
  const [w, h] = [pane.width * scale, pane.height * scale * pane.aspect];
  context.drawImage(pane.picture, width / 2 - (0.5 + view.x) * w, height / 2 - (0.5 + view.y) * h, w, h);
}

function update() {
  view.zoom = Math.min(4, Math.max(0, view.zoom));
  for (const axis of ["x", "y"]) view[axis] = Math.min(0.5, Math.max(-0.5, view[axis]));
  for (const name of ["level", "contrast", "slice"]) {
    view[name] = Math.min(Number($(name).max), Math.max(Number($(name).min), view[name]));
  }
  for (const name of ["zoom", "level", "contrast", "slice"]) $(name).value = view[name];
  for (const side of SIDES) {
    draw(side);
    if (panes[side]) loadSlice(side, generation).catch((error) => trouble(error.message));
  }
}

function change(difference) {
  for (const name in difference) view[name] += difference[name];
  update();
}

// ---------------------------------------------------------------- hands

const KEYS = {
  ArrowLeft: () => answer("left"),
  ArrowRight: () => answer("right"),
  ArrowDown: () => answer("equal"),
  ArrowUp: () => answer("cannot_tell"),
  u: undo,
  Backspace: undo,
  r: () => { Object.assign(view, FITTING); update(); },
  n: names,
  w: () => change({ level: 0.05 }),
  s: () => change({ level: -0.05 }),
  d: () => change({ contrast: 0.15 }),
  a: () => change({ contrast: -0.15 }),
  "+": () => change({ zoom: 0.25 }),
  "=": () => change({ zoom: 0.25 }),
  "-": () => change({ zoom: -0.25 }),
  PageUp: () => turn(-1),
  PageDown: () => turn(1),
};
const MOVES = { ArrowLeft: { x: -1 }, ArrowRight: { x: 1 }, ArrowUp: { y: -1 }, ArrowDown: { y: 1 } };

function turn(slices) {
  const most = Math.max(...SIDES.map((side) => panes[side]?.slices ?? 1));
  if (most > 1) change({ slice: slices / (most - 1) });
}

function names() {
  const shown = $("left-name").hidden;
  for (const side of SIDES) $(`${side}-name`).hidden = !shown;
  $("names").setAttribute("aria-pressed", String(shown));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input:not([type=range])")) return;
  if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
  if ($("work").hidden) {
    if (!$("done").hidden && ["u", "Backspace"].includes(event.key)) undo();
    return;
  }
  const move = event.shiftKey && MOVES[event.key];
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!move && (!act || (event.shiftKey && event.key.startsWith("Arrow")))) return;
  event.preventDefault();
  const answers = event.key.startsWith("Arrow") || ["u", "Backspace"].includes(event.key);
  if (!move && answers && event.repeat) return; // a key held down is one answer
  if (move) change(Object.fromEntries(Object.entries(move).map(([axis, sign]) => [axis, sign * 0.1 * 2 ** -view.zoom])));
  else act();
});

function attachHands(side) {
  const canvas = $(side);
  const pointers = new Map();
  let spread = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    canvas.setPointerCapture(event.pointerId);
    spread = 0;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => { pointers.delete(event.pointerId); spread = 0; });
  }
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const pane = panes[side];
    if (!before || !pane) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    if (pointers.size === 2) {
      const [[ax, ay], [bx, by]] = pointers.values();
      const now = Math.hypot(ax - bx, ay - by);
      if (spread) change({ zoom: Math.log2(now / spread) });
      spread = now;
    } else if (event.buttons & 2) {
      change({ level: -dy / canvas.clientHeight, contrast: dx / canvas.clientWidth * 3 });
    } else {
      const scale = fit(side) / (window.devicePixelRatio || 1);
      change({ x: -dx / (pane.width * scale), y: -dy / (pane.height * pane.aspect * scale) });
    }
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); change({ zoom: -event.deltaY / 400 }); }, { passive: false });
}

for (const side of SIDES) attachHands(side);
for (const name of ["zoom", "level", "contrast", "slice"]) {
  $(name).addEventListener("input", (event) => { view[name] = Number(event.target.value); update(); });
}
for (const button of document.querySelectorAll("[data-outcome]")) button.addEventListener("click", () => answer(button.dataset.outcome));
for (const [id, act] of [["undo", undo], ["undo-last", undo], ["reset", KEYS.r], ["names", names], ["again", send]]) {
  $(id).addEventListener("click", act);
}
new ResizeObserver(() => SIDES.forEach(draw)).observe($("work"));

// ---------------------------------------------------------------- who, export, agreement

$("name").addEventListener("submit", (event) => {
  event.preventDefault();
  rater = $("rater").value.trim();
  localStorage.setItem("rater", rater);
  start();
});
$("leave").addEventListener("click", () => {
  if (pending) return trouble("Send the last answer first.", true);
  localStorage.removeItem("rater");
  pair = null;
  $("rater").value = "";
  show("name");
});
$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams({ username: $("user").value, password: $("password").value });
  const response = await fetch("../auth/token", { method: "POST", body });
  if (!response.ok) return trouble("User or password is wrong.");
  sessionStorage.setItem("token", (await response.json()).access_token);
  $("password").value = "";
  trouble("");
  if (pending) send();
  else begin();
});
$("export").addEventListener("click", async () => {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await (await ask("pairs.csv")).blob());
    link.download = "pairs.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) { trouble(error.message); }
});
$("help-open").addEventListener("click", () => $("help").showModal());
$("agreement-open").addEventListener("click", async () => {
  try {
    const found = await (await ask("api/agreement")).json();
    const rows = [
      ...found.between.map((entry) => [entry.raters.join(" and "), entry]),
      ...found.oneself.map((entry) => [`${entry.raters[0]}, with oneself`, entry]),
    ].map(([name, entry]) => [name, entry.pairs, percent(entry.same), number(entry.kappa)]);
    $("agreement-rows").replaceChildren(...(rows.length ? rows : [["no pair was judged twice yet", "", "", ""]]).map(tableRow));
    $("agreement").showModal();
  } catch (error) { trouble(error.message); }
});

function tableRow(cells) {
  const row = document.createElement("tr");
  for (const cell of cells) row.insertCell().textContent = cell;
  return row;
}

const between = ([value, low, high], write) => value === null ? "–" : write(value) + (low === null ? "" : ` (${write(low)} to ${write(high)})`);
const percent = (interval) => between(interval, (value) => `${Math.round(100 * value)} %`);
const number = (interval) => between(interval, (value) => value.toFixed(2));

function begin() {
  rater = localStorage.getItem("rater") ?? "";
  if (rater) start();
  else show("name");
}

begin();
