"use strict";
// The page keeps two items: the one on the desk and the next, whose pictures are loaded before they are needed.
const desk = document.getElementById("desk");
const say = desk.dataset;
const csrf = document.querySelector("meta[name=csrf]").content;
const status = document.getElementById("status");
const waiting = []; // [{id, group, element}], the first one is on the desk
const gone = new Set(); // decided or given back: an answer that was under way must not bring them again
let busy = false, fading = 0, empty = "";

function tell(text, problem = false) {
  clearTimeout(fading);
  status.textContent = text;
  status.classList.toggle("problem", problem);
  fading = setTimeout(() => { status.textContent = ""; }, problem ? 6000 : 1800);
}

// A problem in the language of the page.
const toldIn = problem => (document.documentElement.lang.startsWith("zh") && problem.zh) || problem.detail;

async function call(path, body) {
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf } };
  let answer;
  try { answer = await fetch(path, sent); } catch { throw new Error(say.lost); }
  if (answer.status === 401) { location.assign("/review/sign-in"); throw new Error(""); }
  const content = await answer.json();
  if (!answer.ok) { const error = new Error(`${say.failed}: ${toldIn(content)}`); error.status = answer.status; throw error; }
  return content;
}

function unpack(html) {
  return document.adoptNode(new DOMParser().parseFromString(html, "text/html").body.firstElementChild);
}

async function fetchMore() {
  const query = new URLSearchParams(location.search);
  query.set("count", "2");
  const found = await call(`/review/items?${query}`);
  empty = found.empty;
  document.getElementById("open-count").textContent = found.open;
  document.getElementById("appeal-count").textContent = found.appeals;
  const known = new Set([...gone, ...waiting.map(each => each.id)]);
  for (const each of found.items) if (!known.has(each.id)) waiting.push({ ...each, element: unpack(each.html) });
  if (waiting[1]) preload(waiting[1].element);
}

function preload(element) {
  for (const image of element.querySelectorAll(".picture")) new Image().src = image.getAttribute("src");
}

function show() {
  const current = waiting[0];
  desk.setAttribute("aria-busy", String(busy));
  if (!current) { if (empty) desk.replaceChildren(unpack(empty)); return; }
  if (desk.firstElementChild === current.element) return;
  desk.replaceChildren(current.element);
  current.element.querySelector(".picture").addEventListener("error", event => {
    event.target.hidden = true;
    current.element.querySelector(".gone").hidden = false;
  });
  const range = current.element.querySelector(".swipe input");
  if (range) range.addEventListener("input", () => divide(current.element));
  for (const pick of current.element.querySelectorAll(".pick")) pick.addEventListener("click", () => {
    current.element.querySelector(".reference").src = pick.dataset.reference;
    swipe(true);
  });
  current.element.querySelector(".facts").scrollTop = 0;
  desk.focus({ preventScroll: true });
}

async function refill() {
  await fetchMore();
  show();
}

// A key pressed while a decision is on its way is dropped: it would fall on an item nobody has seen.
async function act(step) {
  if (busy) return;
  busy = true;
  desk.setAttribute("aria-busy", "true");
  try { await step(); } catch (error) {
    if (error.status === 409) waiting.shift(); // somebody else has it; nothing is lost
    if (error.message) tell(error.message, true);
  } finally { busy = false; desk.setAttribute("aria-busy", "false"); }
  await refill().catch(error => tell(error.message, true));
}

const decide = (outcome, category = "") => act(async () => {
  const current = waiting[0];
  if (!current) return;
  const form = current.element.querySelector("[data-verdict]");
  const group = Boolean(form.elements.group && form.elements.group.checked);
  const made = await call(`/review/items/${current.id}/decide`, { outcome, category, note: form.elements.note.value, group });
  for (const id of made.decided) gone.add(id);
  for (let place = waiting.length - 1; place >= 0; place--) if (gone.has(waiting[place].id)) waiting.splice(place, 1);
  show(); // the next one is there already
  tell(group ? `${made.decided.length} ${say.groupDone}` : say.done);
});

const skip = () => act(async () => {
  const current = waiting[0];
  if (!current) return;
  await call(`/review/items/${current.id}/skip`, {});
  gone.add(current.id);
  setTimeout(() => gone.delete(current.id), 60000); // the queue keeps it away for half an hour, then it may come again
  waiting.shift();
  show();
  tell(say.skipped);
});

const undo = () => act(async () => {
  const found = await call("/review/undo", {});
  for (const id of found.undone) gone.delete(id);
  tell(say.undone);
  const query = new URLSearchParams(location.search);
  query.set("count", "4");
  const items = (await call(`/review/items?${query}`)).items;
  const undone = new Set(found.undone);
  items.sort((one, other) => undone.has(other.id) - undone.has(one.id)); // what was taken back comes first
  waiting.length = 0;
  for (const each of items) waiting.push({ ...each, element: unpack(each.html) });
  show();
});

function pressed(name, on) {
  const button = waiting[0] && waiting[0].element.querySelector(`[data-do=${name}]`);
  if (button) button.setAttribute("aria-pressed", String(on));
}

function heatmap() {
  const image = waiting[0] && waiting[0].element.querySelector(".heat");
  if (!image) return;
  if (!image.src) {
    image.addEventListener("error", () => { image.hidden = true; pressed("heatmap", false); }, { once: true });
    image.src = image.dataset.src;
  }
  image.hidden = !image.hidden;
  pressed("heatmap", !image.hidden);
}

function divide(element) {
  const share = element.querySelector(".swipe input").value;
  element.querySelector(".reference").style.clipPath = `inset(0 0 0 ${share}%)`;
  element.querySelector(".edge").style.left = `${share}%`;
}

function swipe(on) {
  const element = waiting[0] && waiting[0].element;
  const image = element && element.querySelector(".reference");
  if (!image) return;
  if (!image.src) image.src = image.dataset.src;
  image.hidden = on === undefined ? !image.hidden : !on;
  element.querySelector(".edge").hidden = element.querySelector(".swipe").hidden = image.hidden;
  pressed("swipe", !image.hidden);
  divide(element);
  if (!image.hidden) element.querySelector(".swipe input").focus();
}

function blur() {
  const on = document.body.classList.toggle("blurred");
  document.getElementById("blur").setAttribute("aria-pressed", String(on));
  try { localStorage.setItem("zhentu-blur", on ? "1" : ""); } catch { /* private windows forget it */ }
}

const help = document.getElementById("help");
const doing = { uphold: () => decide("uphold"), overturn: () => decide("overturn"), wrong_picture: () => decide("wrong_picture"),
  skip, undo, heatmap, swipe: () => swipe() };
const onKey = { u: doing.uphold, o: doing.overturn, w: doing.wrong_picture, s: skip, z: undo, h: heatmap, r: doing.swipe, b: blur,
  l: () => document.getElementById("language").click(), "?": () => help.showModal(),
  n: () => waiting[0] && waiting[0].element.querySelector("textarea").focus(),
  g: () => { const box = waiting[0] && waiting[0].element.querySelector("[name=group]"); if (box) box.checked = !box.checked; } };

// With a Chinese input method the key has no name of its own: its place on the keyboard says which one it is.
function keyOf(event) {
  if (event.key === "？") return "?";
  if (event.key !== "Process" && event.key !== "Unidentified") return event.key.toLowerCase();
  return event.code === "Slash" ? "?" : event.code.replace(/^(Key|Digit)/, "").toLowerCase();
}

document.addEventListener("click", event => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  if (button.dataset.category) decide("uphold", button.dataset.category); else doing[button.dataset.do]();
});
document.addEventListener("submit", event => { if (event.target.matches("[data-verdict]")) event.preventDefault(); });
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.matches("textarea, select, input:not([type=checkbox]):not([type=range])");
  if (typing) { if (event.key === "Escape") desk.focus(); return; }
  const key = keyOf(event);
  const category = waiting[0] && "12345".includes(key) && waiting[0].element.querySelectorAll("[data-category]")[Number(key) - 1];
  if (category) { event.preventDefault(); decide("uphold", category.dataset.category); return; }
  const step = onKey[key];
  if (step) { event.preventDefault(); step(); }
});
document.getElementById("blur").addEventListener("click", blur);
document.getElementById("help-open").addEventListener("click", () => help.showModal());
try { if (localStorage.getItem("zhentu-blur")) blur(); } catch { /* private windows forget it */ }
setInterval(() => { if (waiting.length) call("/review/renew", {}).catch(() => {}); }, 120000);
setInterval(() => { if (!waiting.length && !busy && !document.hidden) refill().catch(() => {}); }, 15000);
refill().catch(error => tell(error.message, true));
