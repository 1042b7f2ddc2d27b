// Axes of the configuration: values to places from 0 to 1, and ticks, as reporting/axis.py has them.

function axisOf(name) {
  const axis = report.axes[name];
  const values = report.runs.map((run) => {
    const value = run.configuration[name];
    if (value === undefined || value === null) return null;
    return axis.scale === "category" ? axis.categories.indexOf(String(value)) : value;
  });
  const bend = { log: Math.log, symlog: (v) => Math.asinh(v / axis.smallest) }[axis.scale] || Number;
  const known = values.filter((value) => value !== null).map(bend);
  const low = Math.min(...known), high = Math.max(...known);
  const place = (value) => (high > low ? (bend(value) - low) / (high - low) : 0.5);
  const ticks = ticksOf(axis, values.filter((value) => value !== null))
    .map(([value, label]) => ({ at: place(value), label }))
    .filter((tick) => tick.at > -0.07 && tick.at < 1.07);
  return { name, places: values.map((value) => (value === null ? null : place(value))), ticks };
}

function ticksOf(axis, values) {
  if (axis.scale === "category") {
    // More names than there is room for: every second, third, ... of them.
    const every = Math.ceil(axis.categories.length / 12);
    return axis.categories.map((name, i) => [i, name]).filter((_, i) => i % every === 0);
  }
  const low = Math.min(...values), high = Math.max(...values);
  if (low === high) return [[low, short(low)]];
  if (axis.scale === "linear") return evenTicks(low, high);
  const ticks = axis.scale === "symlog" ? [[0, "0"]] : [];
  const first = Math.floor(Math.log10(axis.smallest)), last = Math.ceil(Math.log10(high));
  const every = Math.ceil((last - first) / 6);
  for (let power = first; power <= last; power += every) ticks.push([10 ** power, short(10 ** power)]);
  return ticks;
}

function evenTicks(low, high) {
  const raw = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((candidate) => candidate >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push([i * step, short(i * step)]);
  return ticks;
}

function short(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number" || Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  return String(Number(value.toPrecision(3)));
}

// Runs of one configuration share a place: they are laid out like the seeds of a sunflower.
function spread(x, y) {
  const cells = new Map();
  const keys = x.places.map((place, i) =>
    place === null || y.places[i] === null ? null : `${place.toFixed(6)} ${y.places[i].toFixed(6)}`);
  for (const key of keys) if (key !== null) cells.set(key, (cells.get(key) || 0) + 1);
  const seen = new Map();
  return keys.map((key, i) => {
    if (key === null) return null;
    const rank = seen.get(key) || 0, number = cells.get(key);
    seen.set(key, rank + 1);
    const radius = 0.04 * Math.sqrt(rank / Math.max(number - 1, 1)) * Math.min(1, Math.sqrt(number) / 4);
    const angle = rank * Math.PI * (3 - Math.sqrt(5));
    return { x: x.places[i] + radius * Math.cos(angle), y: y.places[i] + radius * Math.sin(angle) };
  });
}
