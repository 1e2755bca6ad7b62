// Random graphs: whatever `arrange` is given, boxes stay apart, inside, and below what feeds them.
"use strict";
let seed = 1;
const random = (n) => (seed = (seed * 48271) % 2147483647) % n;

for (let trial = 0; trial < 60; trial++) {
  const nodes = Array.from({ length: 2 + random(30) }, () => ({ w: 20 + random(200), h: 10 + random(90) }));
  const pairs = new Map();
  for (let b = 1; b < nodes.length; b++) {
    for (let k = 0; k < 1 + random(3); k++) {
      const a = random(b);
      pairs.set(`${a} ${b}`, [a, b]);
    }
  }
  const plan = arrange(nodes, [...pairs.values()].sort((one, other) => one[0] - other[0]));
  const boxes = nodes.map((node, i) => ({ ...plan.at[i], ...node }));
  const slack = 0.01;
  boxes.forEach((one, i) => {
    const within = one.x > -slack && one.y > -slack && one.x + one.w < plan.w + slack && one.y + one.h < plan.h + slack;
    if (!within) throw new Error(`outside in trial ${trial}`);
    for (const other of boxes.slice(i + 1)) {
      const across = one.x < other.x + other.w - slack && other.x < one.x + one.w - slack;
      const down = one.y < other.y + other.h - slack && other.y < one.y + one.h - slack;
      if (across && down) throw new Error(`overlap in trial ${trial}`);
    }
  });
  for (const [a, b] of pairs.values()) {
    if (boxes[a].y + boxes[a].h > boxes[b].y + slack) throw new Error(`upward in trial ${trial}`);
  }
}
console.log("60 graphs");
