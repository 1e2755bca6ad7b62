// Moves a unit over the map of a layer: what it sees is in the data.
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export function mount(root, data, { moved = () => {}, signal } = {}) {
  const at = (name) => root.querySelector(name);
  const mapped = data.layers.map((layer, i) => (layer.rows.length ? i : -1)).filter((i) => i >= 0);
  let chosen = data.layer;
  let [row, column] = data.unit;

  function set(one, values) {
    for (const [name, value] of Object.entries(values)) one.setAttribute(name, value);
  }

  function show() {
    const { path, rows, columns } = data.layers[chosen];
    const [y, height, vertically] = rows[row];
    const [x, width, across] = columns[column];
    set(at("#map .rim"), { viewBox: `0 0 ${columns.length} ${rows.length}` });
    set(at("#map .rim"), { width: columns.length, height: rows.length });
    set(at("#unit"), { x: column, y: row });
    set(at("#seen"), { x, y, width, height });
    at("#map-name").textContent = `${path}, ${rows.length}×${columns.length}`;
    at("#said").textContent = `${path}[${row},${column}] sees ${vertically}, ${across}`;
    for (const button of root.querySelectorAll(".layer")) {
      const mine = Number(button.dataset.layer) === chosen;
      button.setAttribute("aria-pressed", String(mine));
      button.closest("tr").classList.toggle("chosen", mine);
    }
  }

  function go(to, r, c) {
    const { path, rows, columns } = data.layers[to];
    chosen = to;
    row = Math.min(Math.max(r, 0), rows.length - 1);
    column = Math.min(Math.max(c, 0), columns.length - 1);
    show();
    moved({ layer: path, unit: `${row},${column}` });
  }

  const turn = (step) => go(mapped[Math.min(Math.max(mapped.indexOf(chosen) + step, 0), mapped.length - 1)], row, column);
  at("#before").addEventListener("click", () => turn(-1), { signal });
  at("#after").addEventListener("click", () => turn(1), { signal });
  root.addEventListener("click", (event) => {
    const button = event.target.closest(".layer");
    if (button) return go(Number(button.dataset.layer), row, column);
    const map = event.target.closest("#map");
    if (!map) return;
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    go(chosen, Math.floor(place.y), Math.floor(place.x));
  }, { signal });
  root.ownerDocument.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
    const step = ARROWS[event.key];
    if (!step) return;
    go(chosen, row + step[0], column + step[1]);
    event.preventDefault();
  }, { signal });
  show();
}
