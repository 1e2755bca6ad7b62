// From a patch to its picture: what is shown of each patch is written in its attributes.
const patches = [...document.querySelectorAll(".patch")];
const rows = [...document.querySelectorAll(".unit")].map((unit) => [...unit.querySelectorAll(".patch")]);
const whole = document.querySelector("#whole");

function show(patch) {
  for (const one of patches) {
    one.setAttribute("aria-pressed", String(one === patch));
    one.tabIndex = one === patch ? 0 : -1;
  }
  whole.querySelector("use").setAttribute("href", patch.querySelector("use").getAttribute("href"));
  const field = patch.querySelector("rect");
  for (const name of ["x", "y", "width", "height"]) {
    whole.querySelector("rect").setAttribute(name, field.getAttribute(name));
  }
  document.querySelector("#said").textContent = patch.getAttribute("aria-label");
}

const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
document.addEventListener("keydown", (event) => {
  const step = steps[event.key];
  const row = rows.findIndex((one) => one.includes(document.activeElement));
  if (!step || row < 0) return;
  const next = rows[row + step[0]];
  const patch = next && (next[rows[row].indexOf(document.activeElement) + step[1]] ?? (step[0] && next.at(-1)));
  if (!patch) return;
  event.preventDefault();
  patch.focus();
  show(patch);
});
for (const patch of patches) patch.addEventListener("click", () => show(patch));
if (patches.length) show(patches[0]);
