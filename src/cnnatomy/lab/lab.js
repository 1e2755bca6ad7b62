// Keeps the address, the settings and what is shown in step. The page computes nothing: the server sends all.
const { mount } = await import(document.body.dataset.script);
const REST = 250, SETTLED = 600;
const byId = (id) => document.getElementById(id);
const form = byId("settings");
const view = document.body.dataset.view;
const GONE = "The lab does not answer. Was it stopped? Start it again (cnnatomy lab) and change something here; what is shown stays.";
let mounted = new AbortController();
let asking = new AbortController();
let waiting = null;

// What differs from the defaults.
function query() {
  const kept = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    kept.delete(name);
    const control = form.elements[name].length && !form.elements[name].options ? [...form.elements[name]].at(-1) : form.elements[name];
    const usual = control.dataset?.default ?? "";
    if (value !== usual) kept.set(name, value);
  }
  return kept.toString();
}

function remember() {
  const said = query();
  history.replaceState(null, "", said ? `/${view}?${said}` : `/${view}`);
  return said;
}

function place(name, value) {
  if (byId(`f-${name}`)) byId(`f-${name}`).value = value;
}

function moved(places) {
  for (const [name, value] of Object.entries(places)) place(name, value);
  remember();
}

function show() {
  mounted.abort();
  mounted = new AbortController();
  const data = JSON.parse(byId("data").textContent);
  const root = byId("shown");
  if (byId("png")) byId("png").disabled = !root;
  if (root && data) {
    mount(root, data, { moved, signal: mounted.signal });
    clearTimeout(waiting);
    if (byId("agreement")) waiting = setTimeout(check, SETTLED);
  }
}

function say(text) {
  byId("news").textContent = text;
}

async function ask(path, signal, more = {}) {
  try {
    const answer = await fetch(path, { signal, ...more });
    return answer.ok ? answer : (say(await answer.text()), null);
  } catch (error) {
    if (error.name !== "AbortError") refuse(GONE);
    return null;
  }
}

function refuse(text) {
  byId("result").classList.add("old");
  let said = byId("gone");
  if (!said) {
    said = Object.assign(document.createElement("p"), { id: "gone", className: "refused" });
    byId("result").prepend(said);
  }
  said.textContent = text;
  say(text);
}

// The same view at other settings, put in the place of this one.
async function update(whole = false) {
  asking.abort();
  asking = new AbortController();
  clearTimeout(waiting);
  const said = remember();
  const answer = await ask(`/${view}?${said}`, asking.signal);
  if (!answer) return;
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  byId("result").classList.remove("old");
  byId("result").replaceChildren(...made.getElementById("result").childNodes);
  document.title = made.title;
  if (whole) settle(made.getElementById("fields"));
  for (const one of made.querySelectorAll("#fields input[type=hidden][id]")) byId(one.id).value = one.value;
  show();
  const refused = byId("result").querySelector(".refused");
  say(refused ? refused.textContent : `${byId("name")?.textContent ?? ""} ${byId("line")?.textContent ?? ""}`);
}

// Other fields, but for the one that is being written in.
function settle(fields) {
  const own = document.activeElement;
  const at = own?.selectionStart;
  const mine = own?.id && fields.querySelector(`#${own.id}`);
  byId("fields").replaceChildren(...fields.childNodes);
  if (!mine) return;
  mine.value = own.value;
  mine.focus();
  if (at !== undefined && at !== null && mine.setSelectionRange) mine.setSelectionRange(at, at);
}

async function check() {
  const answer = await ask(`/${view}/check?${query()}`, asking.signal);
  if (!answer || !byId("agreement")) return;
  const { lines, error } = await answer.json();
  const rows = error ? [[error, "refused"]] : lines.map((line) => [line, "agrees"]);
  byId("agreement").replaceChildren(...rows.map(([textContent, className]) => Object.assign(document.createElement("p"), { textContent, className })));
  if (error) say(error);
}

// The step as a picture: drawn by the browser from the SVG.
async function png() {
  const answer = await ask(`/${view}/save.svg?${query()}`, asking.signal);
  if (!answer) return;
  const text = await answer.text();
  const [, width, height] = text.match(/viewBox="0 0 ([0-9.]+) ([0-9.]+)"/);
  const picture = new Image();
  picture.src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(picture.src);
  canvas.toBlob((made) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(made), download: `${view}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

async function upload(file) {
  if (!file || !byId("f-picture")) return;
  say("reading the picture");
  const answer = await ask("/pictures", undefined, { method: "POST", body: file });
  if (!answer) return;
  const { picture, error } = await answer.json();
  if (error) return refuse(error);
  place("picture", picture);
  update();
}
document.addEventListener("change", (event) => event.target.id === "file" && upload(event.target.files[0]));
document.addEventListener("dragover", (event) => byId("file") && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!byId("file")) return;
  event.preventDefault();
  upload(event.dataTransfer.files[0]);
});

let resting = null;
form.addEventListener("input", (event) => {
  if (event.target.type === "file") return;
  clearTimeout(resting);
  const whole = Boolean(event.target.closest("[data-changes]"));
  resting = setTimeout(() => update(whole), REST);
});
form.addEventListener("submit", (event) => {
  if (event.submitter?.formAction && new URL(event.submitter.formAction).pathname !== `/${view}`) return;
  event.preventDefault();
  update(true);
});
byId("png")?.addEventListener("click", png);
show();
document.body.dataset.ready = "";
