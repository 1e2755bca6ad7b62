// Moves a cursor through the steps of a record: what is marked and said at each is in the data.
const KEYS = { ArrowLeft: 0, ArrowRight: 1, ArrowUp: 2, ArrowDown: 3 };
const PAUSE = 700;

// `moved` hears where the reader stands; `signal` ends all listening.
export function mount(root, data, { moved = () => {}, signal } = {}) {
  const cells = [...root.querySelectorAll(".board td")];
  const at = { outputs: data.at, cells: data.cell };
  const byId = (id) => root.querySelector(`#${id}`);
  const slide = byId("slide");
  const marked = { read: [], sent: [], here: [] };
  const owner = new Map();
  let kind = data.kind;
  let timer = null;

  const step = () => data[kind][at[kind]];

  function mark(name, numbers) {
    for (const number of marked[name]) cells[number].classList.remove(name);
    for (const number of numbers) cells[number].classList.add(name);
    marked[name] = numbers;
  }

  function show(follow = true) {
    const now = step();
    for (const name of Object.keys(marked)) mark(name, now[name]);
    for (const name of ["name", "line", "remark", "back"]) byId(name).textContent = now[name] ?? "";
    byId("gather").setAttribute("aria-pressed", String(kind === "cells"));
    slide.max = data[kind].length - 1;
    slide.value = at[kind];
    slide.setAttribute("aria-valuetext", `${now.name} ${now.line}`);
    if (follow) cells[now.here[0]].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function go(number) {
    at[kind] = number;
    show();
    const place = step().place.join(",");
    moved(kind === "outputs" ? { at: place, cell: "" } : { cell: place });
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    byId("play").setAttribute("aria-pressed", "false");
    byId("step").setAttribute("aria-live", "polite");
  }

  function play() {
    if (timer !== null) return stop();
    byId("play").setAttribute("aria-pressed", "true");
    byId("step").setAttribute("aria-live", "off"); // a reader cannot follow a film
    timer = setInterval(() => {
      const next = step().next[1];
      if (next === at[kind]) stop();
      else go(next);
    }, PAUSE);
  }

  function turn() {
    stop();
    kind = kind === "outputs" ? "cells" : "outputs";
    go(at[kind]);
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea")) return; // what is typed there is theirs
    if (event.key in KEYS) { stop(); go(step().next[KEYS[event.key]]); }
    else if (event.key === "b") turn();
    else if (event.key === " " && !event.target.closest?.("button, summary, a")) play();
    else return;
    event.preventDefault();
  }

  for (const name of ["cells", "outputs"]) {
    for (const [i, one] of data[name].entries()) for (const number of one.here) owner.set(number, [name, i]);
  }
  root.addEventListener("click", (event) => {
    const found = owner.get(cells.indexOf(event.target));
    if (!found) return;
    stop();
    kind = found[0];
    go(found[1]);
  }, { signal });
  const pressed = { previous: () => { stop(); go(step().next[0]); }, next: () => { stop(); go(step().next[1]); }, play, gather: turn };
  for (const [id, act] of Object.entries(pressed)) byId(id).addEventListener("click", act, { signal });
  slide.addEventListener("input", () => { stop(); go(Number(slide.value)); }, { signal });
  root.ownerDocument.addEventListener("keydown", press, { signal });
  signal?.addEventListener("abort", stop);
  show(false);
}
