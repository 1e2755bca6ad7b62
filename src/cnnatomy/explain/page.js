// Moves a cursor through the steps of a record: what is marked and said at each is in the data.
export function mount(root, data) {
  const cells = [...root.querySelectorAll(".board td")];
  const at = { outputs: data.at, cells: 0 };
  const byId = (id) => root.querySelector(`#${id}`);
  let kind = "outputs";
  let timer = null;

  const step = () => data[kind][at[kind]];

  const marked = { read: [], sent: [], here: [] };

  function mark(name, numbers) {
    for (const number of marked[name]) cells[number].classList.remove(name);
    for (const number of numbers) cells[number].classList.add(name);
    marked[name] = numbers;
  }

  function show(follow = true) {
    const now = step();
    for (const name of Object.keys(marked)) mark(name, now[name]);
    for (const [id, said] of [["name", now.name], ["line", now.line], ["remark", now.remark], ["back", now.back ?? ""]]) {
      byId(id).textContent = said;
    }
    if (follow) cells[now.here[0]].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function go(number) {
    at[kind] = number;
    show();
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
    }, 700);
  }

  function turn() {
    stop();
    kind = kind === "outputs" ? "cells" : "outputs";
    byId("gather").setAttribute("aria-pressed", String(kind === "cells"));
    show();
  }

  const owner = new Map();
  for (const name of ["cells", "outputs"]) {
    for (const [i, one] of data[name].entries()) for (const number of one.here) owner.set(number, [name, i]);
  }

  root.addEventListener("click", (event) => {
    const found = owner.get(cells.indexOf(event.target));
    if (!found) return;
    stop();
    if (found[0] !== kind) turn();
    go(found[1]);
  });
  byId("previous").addEventListener("click", () => { stop(); go(step().next[0]); });
  byId("next").addEventListener("click", () => { stop(); go(step().next[1]); });
  byId("play").addEventListener("click", play);
  byId("gather").addEventListener("click", turn);
  const keys = { ArrowLeft: 0, ArrowRight: 1, ArrowUp: 2, ArrowDown: 3 };
  root.ownerDocument.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in keys) { stop(); go(step().next[keys[event.key]]); }
    else if (event.key === "b") turn();
    else if (event.key === " " && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY") play();
    else return;
    event.preventDefault();
  });
  show(false);
}

mount(document.querySelector("#explanation"), JSON.parse(document.querySelector("#data").textContent));
