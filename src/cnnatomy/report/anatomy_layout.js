// A layered drawing of a directed graph without cycles, from above to below: ranks by the longest path, long
// edges through points in between, the order within a rank by barycentres, then places with the order kept.
// Sugiyama, Tagawa & Toda, "Methods for visual understanding of hierarchical system structures", 1981.
"use strict";

const GAP = { x: 22, y: 26, point: 12 };

// nodes: [{id, w, h}] such that every edge [from, to] (indices into nodes) goes forward.
// Returns the width and height, a place {x, y} of each node's upper left corner, and each edge's points.
function arrange(nodes, edges) {
  const points = nodes.map((node) => ({ w: node.w, h: node.h, port: node.port, rank: 0, near: [[], []] }));
  for (const [a, b] of edges) points[b].rank = Math.max(points[b].rank, points[a].rank + 1);
  const last = Math.max(0, ...points.map((point) => point.rank));
  points.forEach((point) => { if (point.port === "out") point.rank = last; });
  const trunks = nodes.map(() => []);
  const chains = edges.map(([a, b]) => chain(points, a, b, trunks[a]));
  const ranks = Array.from({ length: last + 1 }, () => []);
  points.forEach((point) => ranks[point.rank].push(point));
  for (let sweep = 0; sweep < 12; sweep++) order(ranks, sweep % 2 === 0);
  place(ranks);
  let y = 0;
  for (const rank of ranks) {
    const tallest = Math.max(0, ...rank.map((point) => point.h));
    for (const point of rank) {
      point.y = y + tallest / 2;
      if (point.point) point.h = tallest;  // an edge passes a rank upright, beside whatever stands in it
    }
    y += tallest + (rank.every((point) => point.port) ? GAP.y / 2 : GAP.y);
  }
  const left = Math.min(...points.map((point) => point.x - point.w / 2));
  const right = Math.max(...points.map((point) => point.x + point.w / 2));
  for (const point of points) point.x -= left;
  return {
    w: right - left,
    h: y - GAP.y,
    at: nodes.map((_, i) => ({ x: points[i].x - points[i].w / 2, y: points[i].y - points[i].h / 2 })),
    lines: chains.map((line) => line.map((i) => points[i])),
  };
}

// The points of one edge: those between its ends are shared by all edges of its source, the trunk.
function chain(points, a, b, trunk) {
  const between = points[b].rank - points[a].rank - 1;
  while (trunk.length < between) {
    const before = trunk.length ? trunk[trunk.length - 1] : a;
    points.push({ w: GAP.point, h: 0, rank: points[before].rank + 1, near: [[], []], point: true });
    trunk.push(points.length - 1);
    link(points[before], points[points.length - 1]);
  }
  const line = [a, ...trunk.slice(0, Math.max(0, between)), b];
  link(points[line[line.length - 2]], points[b]);
  return line;
}

function link(above, below) {
  above.near[1].push(below);
  below.near[0].push(above);
}

function order(ranks, down) {
  for (const rank of ranks) rank.forEach((point, i) => { point.seat = i - rank.length / 2; });
  for (const rank of down ? ranks : [...ranks].reverse()) {
    const wish = new Map(rank.map((point) => [point, mean(point.near[down ? 0 : 1], (one) => one.seat, point.seat)]));
    rank.sort((one, other) => wish.get(one) - wish.get(other) || one.seat - other.seat);
    rank.forEach((point, i) => { point.seat = i - rank.length / 2; });
  }
}

function place(ranks) {
  for (const rank of ranks) {
    let x = 0;
    for (const point of rank) { point.x = x + point.w / 2; x += point.w + GAP.x; }
    for (const point of rank) point.x -= x / 2;
  }
  for (let sweep = 0; sweep < 30; sweep++) {
    for (const rank of sweep % 2 ? [...ranks].reverse() : ranks) {
      for (const point of rank) point.wish = mean(point.near[sweep % 2], (one) => one.x, point.x);
      settle(rank);
    }
  }
  const columns = straight(ranks);
  for (let sweep = 0; sweep < 60; sweep++) {
    for (const column of columns) {
      const outside = [...column[0].near[0], ...column[column.length - 1].near[1]];
      const own = mean(column, (point) => point.x), wish = (own + mean(outside, (one) => one.x, own)) / 2;
      for (const point of column) point.wish = wish;
    }
    ranks.forEach(settle);
  }
}

// Points that follow each other without a branch, from above to below: they should stand in one line.
function straight(ranks) {
  const columns = [], next = (point) => point.near[1].length === 1 && point.near[1][0].near[0].length === 1;
  for (const point of ranks.flat()) {
    if (point.near[0].length === 1 && next(point.near[0][0])) continue;
    const column = [point];
    for (let last = point; next(last); column.push(last)) last = last.near[1][0];
    columns.push(column);
  }
  return columns;
}

// The places nearest to the wishes in which no two overlap: runs that touch share the mean of their wishes.
function settle(rank) {
  const runs = [];
  for (const point of rank) {
    let run = { points: [point], shift: [0], sum: point.wish, width: 0 };
    for (let before = runs[runs.length - 1]; before; before = runs[runs.length - 1]) {
      const end = before.points[before.points.length - 1], start = run.points[0];
      const apart = (end.w + start.w) / 2 + (end.point && start.point ? 0 : GAP.x);
      const lastShift = before.shift[before.shift.length - 1];
      if (before.sum / before.points.length + lastShift + apart <= run.sum / run.points.length) break;
      runs.pop();
      const moved = run.shift.map((shift) => shift + lastShift + apart);
      run = {
        points: [...before.points, ...run.points],
        shift: [...before.shift, ...moved],
        sum: before.sum + run.sum - run.points.length * (lastShift + apart),
      };
    }
    runs.push(run);
  }
  for (const run of runs) run.points.forEach((point, i) => { point.x = run.sum / run.points.length + run.shift[i]; });
}

function mean(list, of, otherwise) {
  return list.length ? list.reduce((sum, one) => sum + of(one), 0) / list.length : otherwise;
}
