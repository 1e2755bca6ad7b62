// Moves one cursor over a picture and what two operators make of it: all numbers and lines are in the data.
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const AROUND = 2;

export function mount(root, data, { moved = () => {}, signal } = {}) {
  const figures = [...root.querySelectorAll(".plane")];
  const last = [Object.values(data.rows)[0].length - 1, Object.values(data.columns)[0].length - 1];
  let at = data.at;

  function place(one, [x, y, width, height]) {
    for (const [name, value] of Object.entries({ x, y, width, height })) one.setAttribute(name, value);
  }

  // Where the cursor is on a map: its row, its column, and both as one number.
  function own(name) {
    const [row, column] = [data.rows[name][at[0]], data.columns[name][at[1]]];
    return [row, column, row * data.planes[name].size[1] + column];
  }

  function show() {
    for (const figure of figures) {
      const name = figure.dataset.plane;
      const { size, texts } = data.planes[name];
      const [row, column] = own(name);
      place(figure.querySelector(".unit"), [column, row, 1, 1]);
      figure.querySelectorAll("tr").forEach((tr, r) => [...tr.cells].forEach((td, c) => {
        const [y, x] = [row + r - AROUND, column + c - AROUND];
        const there = y >= 0 && y < size[0] && x >= 0 && x < size[1];
        td.textContent = there ? texts[y * size[1] + x] : "";
        td.className = r === AROUND && c === AROUND ? "here" : there ? "" : "outside";
      }));
    }
    for (const side of ["a", "b"]) place(root.querySelector(`.seen.${side}`), data.planes[side].reads[own(side)[2]]);
    const [left, right] = ["a", "b"].map((side) => `${data.planes[side].name} = ${data.planes[side].lines[own(side)[2]]}`);
    root.querySelector("#name").textContent = `cell ${at.join(",")}`;
    root.querySelector("#line").textContent = left;
    root.querySelector("#other").textContent = right;
  }

  function go(row, column) {
    at = [Math.min(Math.max(row, 0), last[0]), Math.min(Math.max(column, 0), last[1])];
    show();
    moved({ at: at.join(",") });
  }

  const step = ([down, right]) => go(at[0] + down, at[1] + right);
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (button) return step(button.dataset.step.split(",").map(Number));
    const map = event.target.closest(".plane svg svg");
    if (!map) return;
    const name = map.closest(".plane").dataset.plane;
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    go(data.rows[name].indexOf(Math.floor(point.y)), data.columns[name].indexOf(Math.floor(point.x)));
  }, { signal });
  root.ownerDocument.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
    if (!ARROWS[event.key]) return;
    step(ARROWS[event.key]);
    event.preventDefault();
  }, { signal });
  show();
}
