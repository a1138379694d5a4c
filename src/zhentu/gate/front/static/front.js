"use strict";
// Everything shown lives in `tries`; the page is drawn from it, also when its language changes. Nothing is stored.
const AT_ONCE = 2; // pictures under way: a gate on one's own machine has few threads
const ATTEMPTS = 4; // of a picture that a busy gate refused
let tries = []; // [{name, file, url, goods, references, answer, problem, urls, heat, element}]
let references = [];
let underWay = 0, fading = 0;

const by = id => document.getElementById(id);
const say = name => document.querySelector("main").dataset[name];
const language = () => say("language");

function tell(text, problem = false) {
  clearTimeout(fading);
  by("status").textContent = text;
  by("status").classList.toggle("problem", problem);
  fading = setTimeout(() => { by("status").textContent = ""; }, problem ? 6000 : 2500);
}

// A problem in the language of the page.
const toldIn = problem => (language() === "zh" && problem.zh) || problem.detail;

function bytesOf(base64) { return Uint8Array.from(atob(base64), each => each.charCodeAt(0)); }

function fragment(html) {
  return document.adoptNode(new DOMParser().parseFromString(html, "text/html").body.firstElementChild);
}

// ---- asking the gate

function formOf(one) {
  const form = new FormData();
  if (one.file) form.append("picture", one.file, one.name); else form.append("url", one.url);
  if (one.goods) form.append("goods", one.goods);
  for (const each of one.references) form.append("reference", each, each.name);
  return form;
}

async function ask(path, form) {
  for (let attempt = 1; ; attempt++) {
    let answer;
    try { answer = await fetch(path, { method: "POST", body: form() }); } catch { throw new Error(say("noAnswer")); }
    if (answer.status === 401) throw new Error(say("lostSession"));
    const wait = Number(answer.headers.get("Retry-After"));
    if (answer.ok || !wait || attempt === ATTEMPTS) return answer;
    await new Promise(done => setTimeout(done, wait * 1000));
  }
}

async function check(one) {
  try {
    const answer = await ask("/try", () => formOf(one));
    const content = await answer.json();
    if (!answer.ok) { one.problem = content.html || null; one.detail = toldIn(content) || ""; return; }
    one.answer = content;
    for (const [name, base64] of Object.entries(content.images))
      one.urls[name] = URL.createObjectURL(new Blob([bytesOf(base64)], { type: "image/jpeg" }));
    content.images = null; // the blobs hold them now
    if (content.source) one.file = new File([bytesOf(content.source)], one.name);
    content.source = null;
  } catch (error) { one.problem = null; one.detail = error.message; }
}

function pump() {
  while (underWay < AT_ONCE) {
    const next = tries.find(each => each.state === "waiting");
    if (!next) return;
    next.state = "checking";
    underWay++;
    check(next).finally(() => { next.state = "done"; underWay--; if (tries.includes(next)) draw(next); advance(); pump(); });
  }
}

// ---- what people give

function add(given) {
  const room = Number(say("most")) - tries.filter(each => each.state !== "done").length;
  if (given.length > room) tell(say("tooMany"), true);
  const fresh = given.slice(0, Math.max(room, 0)).map(each => ({ file: null, url: "", goods: by("goods").value.trim(),
    references: [...references], urls: {}, heat: "", state: "waiting", ...each }));
  tries.unshift(...fresh); // the newest stand on top, in the order they came
  document.querySelector(".found").hidden = tries.length === 0;
  for (const each of [...fresh].reverse()) { draw(each); by("cards").prepend(each.element); }
  advance();
  pump();
  if (fresh.length) fresh[0].element.scrollIntoView({ block: "nearest" });
}

const addFiles = files => add([...files].map(file => ({ name: file.name || "picture", file })));
const addUrl = url => add([{ name: url, url }]);

async function addSample(button) {
  const load = async name => {
    const answer = await fetch(`/try/samples/${name}`);
    if (!answer.ok) throw new Error(answer.status === 401 ? say("lostSession") : `${say("failed")}: ${name}`);
    return new File([await answer.blob()], name, { type: "image/jpeg" });
  };
  try {
    const file = await load(button.dataset.sample);
    const real = button.dataset.reference ? [await load(button.dataset.reference)] : [];
    add([{ name: file.name, file, goods: button.dataset.goods, references: real }]);
  } catch (error) { tell(error instanceof TypeError ? say("noAnswer") : error.message, true); }
}

function addReferences(files) {
  const most = Number(say("mostReferences"));
  references = [...references, ...files].slice(0, most);
  drawReferences();
}

// ---- drawing

function draw(one) {
  const old = one.element;
  one.element = made(one);
  one.element.tried = one;
  if (old && old.isConnected) old.replaceWith(one.element);
}

function made(one) {
  if (one.answer) {
    const element = fragment(one.answer.html[language()]);
    for (const image of element.querySelectorAll("[data-image]")) image.src = one.urls[image.dataset.image];
    if (one.heatOf) element.querySelector(".heat-of").value = one.heatOf;
    if (one.kept) showKept(element, one.kept);
    showHeat(element, one);
    return element;
  }
  if (one.state === "done" && one.problem) {
    const element = fragment(one.problem[language()]);
    element.querySelector(".name").textContent = one.name;
    return element;
  }
  const element = document.createElement("article");
  element.className = "tried waiting";
  element.tabIndex = -1;
  for (const [text, kind] of [[one.name, "name"], [one.state === "done" ? one.detail : say("checking"), one.state === "done" ? "problem" : "soft"]]) {
    const line = document.createElement("p");
    line.className = kind;
    line.textContent = text;
    element.append(line);
  }
  return element;
}

function advance() {
  const done = tries.filter(each => each.state === "done").length;
  by("progress").max = Math.max(tries.length, 1);
  by("progress").value = done;
  by("count").textContent = `${done} / ${tries.length}`;
  by("cards").setAttribute("aria-busy", String(done < tries.length));
}

function drawReferences() {
  by("reference-list").replaceChildren(...references.map(file => {
    const item = document.createElement("li"), button = document.createElement("button");
    item.append(file.name, " ", button);
    button.type = "button";
    button.className = "quiet";
    button.textContent = "×";
    button.setAttribute("aria-label", `${say("remove")} ${file.name}`);
    button.addEventListener("click", () => { references = references.filter(each => each !== file); drawReferences(); });
    return item;
  }));
}

function showHeat(element, one) {
  const image = element.querySelector(".heat"), button = element.querySelector("[data-do=heatmap]");
  if (!button) return;
  const choice = element.querySelector(".heat-of");
  image.hidden = !one.heat;
  if (one.heat) image.src = one.urls[choice.value];
  image.alt = `${button.firstChild.textContent.trim()}: ${choice.selectedOptions[0].textContent}`;
  button.setAttribute("aria-pressed", String(Boolean(one.heat)));
}

function showKept(element, kept) {
  const line = element.querySelector(".kept");
  line.textContent = `${say("kept")} ${kept}`;
  line.hidden = false;
  element.querySelector("[data-do=keep]").hidden = true;
}

// ---- what can be done with a picture

function heatmap(one) {
  if (!one.element.querySelector("[data-do=heatmap]")) return;
  one.heat = one.heat ? "" : "on";
  showHeat(one.element, one);
}

async function problemOf(answer) {
  const content = await answer.json().catch(() => ({}));
  return `${say("failed")}: ${toldIn(content) || answer.status}`;
}

async function download(one) {
  const button = one.element.querySelector("[data-do=download]");
  if (!button) return;
  const form = () => {
    const made = new FormData();
    made.append("picture", one.file, one.name);
    made.append("state", button.dataset.state);
    return made;
  };
  const answer = await ask("/try/label", form);
  if (!answer.ok) throw new Error(await problemOf(answer));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `labelled-${one.name.split("/").pop() || "picture"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  tell(answer.headers.get("Zhentu-Label-Changed") === "true" ? say("labelled") : say("unchanged"));
}

async function keep(one) {
  const answer = await ask("/v1/screen", () => formOf(one));
  if (!answer.ok) throw new Error(await problemOf(answer));
  one.kept = (await answer.json()).record_id;
  showKept(one.element, one.kept);
  tell(say("kept"));
}

async function copy(one) {
  await navigator.clipboard.writeText(one.element.querySelector("code").textContent);
  tell(say("copied"));
}

function clear() {
  for (const each of tries) Object.values(each.urls).forEach(URL.revokeObjectURL);
  tries = [];
  by("cards").replaceChildren();
  document.querySelector(".found").hidden = true;
}

// The page in the other language takes the place of this one; what was checked stays.
async function speak(link) {
  const goods = by("goods").value, url = by("url").value, open = by("options").open;
  let answer;
  try { answer = await fetch(link.href, { headers: { Accept: "text/html" } }); } catch { throw new Error(say("noAnswer")); }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.documentElement.lang = page.documentElement.lang;
  document.title = page.title;
  document.body.replaceChildren(...[...page.body.children].map(each => document.adoptNode(each)));
  by("goods").value = goods;
  by("url").value = url;
  by("options").open = open;
  drawReferences();
  document.querySelector(".found").hidden = tries.length === 0;
  for (const each of tries) { each.element = null; draw(each); by("cards").append(each.element); }
  advance();
  by("language").focus();
}

// ---- events, on the document: its content changes with the language

const ofPage = { choose: () => by("pictures").click(), "add-references": () => by("references").click(), clear, help: () => by("help").showModal() };
const ofPicture = { heatmap, download, keep, copy };
const doing = new Set();

async function act(name, one) {
  const key = one; // one thing at a time with a picture: a second click would ask twice
  if (doing.has(key)) return;
  doing.add(key);
  try { await ofPicture[name](one); } catch (error) { tell(error.message, true); } finally { doing.delete(key); }
}

document.addEventListener("click", event => {
  const sample = event.target.closest("[data-sample]"), button = event.target.closest("[data-do]"), link = event.target.closest("#language");
  if (link) { event.preventDefault(); speak(link).catch(error => tell(error.message, true)); }
  else if (sample) addSample(sample);
  else if (button && ofPage[button.dataset.do]) ofPage[button.dataset.do]();
  else if (button) act(button.dataset.do, button.closest(".tried").tried);
});
document.addEventListener("change", event => {
  if (event.target.id === "pictures") { addFiles(event.target.files); event.target.value = ""; }
  else if (event.target.id === "references") { addReferences(event.target.files); event.target.value = ""; }
  else if (event.target.matches(".heat-of")) {
    const one = event.target.closest(".tried").tried;
    one.heatOf = event.target.value;
    one.heat = "on";
    showHeat(one.element, one);
  }
});
document.addEventListener("submit", event => {
  if (event.target.id !== "by-url") return;
  event.preventDefault();
  addUrl(by("url").value.trim());
  by("url").value = "";
});
document.addEventListener("paste", event => {
  const files = event.clipboardData.files;
  const text = event.clipboardData.getData("text/plain").trim();
  if (files.length) { event.preventDefault(); addFiles(files); }
  else if (/^https?:\/\/\S+$/.test(text) && !event.target.closest("input")) addUrl(text);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(kind, event => {
  event.preventDefault();
  by("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
  if (kind !== "drop") return;
  const address = event.dataTransfer.getData("text/uri-list").split("\n")[0].trim();
  if (event.dataTransfer.files.length) addFiles(event.dataTransfer.files);
  else if (/^https?:\/\//.test(address)) addUrl(address);
});

function current() {
  const here = document.activeElement && document.activeElement.closest(".tried");
  return (here && here.tried) || tries[0];
}

function step(by_) {
  if (!tries.length) return;
  const here = document.activeElement && document.activeElement.closest(".tried");
  const place = here ? tries.indexOf(here.tried) + by_ : 0;
  const target = tries[Math.min(Math.max(place, 0), tries.length - 1)].element;
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "start" });
}

const onKey = { o: ofPage.choose, u: () => by("url").focus(), j: () => step(1), k: () => step(-1), l: () => by("language").click(),
  h: () => current() && act("heatmap", current()), d: () => current() && act("download", current()), "?": ofPage.help };

// With a Chinese input method the key has no name of its own: its place on the keyboard says which one it is.
function keyOf(event) {
  if (event.key === "？") return "?";
  if (event.key !== "Process" && event.key !== "Unidentified") return event.key.toLowerCase();
  return event.code === "Slash" ? "?" : event.code.replace(/^(Key|Digit)/, "").toLowerCase();
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || by("help").open || event.target.matches("input, select, textarea")) return;
  const found = onKey[keyOf(event)];
  if (found) { event.preventDefault(); found(); }
});
